//! The project's own conformance set is equal, but for what is meant to differ. `GONDA_CONFORMANCE_ONLY=TEXT` runs the
//! cases whose names contain the text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use gonda_conformance::batch::Programs;

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

#[test]
fn all_of_the_set_is_equal() {
    let only = std::env::var("GONDA_CONFORMANCE_ONLY").ok();
    let report = gonda_conformance::run(&tree(), only.as_deref(), None).unwrap();
    println!("{report}");
    assert!(report.unexcused().next().is_none(), "some of it differs:\n{report}");
    if only.is_none() {
        // An excuse that nothing needs any more is struck off.
        for excuse in ["IndexError; the outputs that", "IndexError; the outputs are", "booleans in text"] {
            let used = report.excused().any(|difference| difference.excuse.is_some_and(|why| why.contains(excuse)));
            assert!(used, "nothing differs any more because of `{excuse}`");
        }
    }
}

/// A tree with one part, and what differs in it.
#[test]
fn a_tree_may_have_a_part_alone_and_differences_are_told() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("one-part");
    let case = folder.join("v0/some-case");
    for name in ["recipe", "expected"] {
        std::fs::create_dir_all(case.join(name)).unwrap();
    }
    std::fs::write(case.join("recipe/meta.yaml"), "package:\n  name: mine\n  version: 2\n").unwrap();
    std::fs::write(case.join("case.json"), r#"{"mode": "nofinal"}"#).unwrap();
    std::fs::write(case.join("expected/linux-64.json"), r#"{"ok": true, "outputs": []}"#).unwrap();
    std::fs::write(case.join("expected/win-64.json"), r#"{"ok": false, "error": {"message": "no"}}"#).unwrap();
    let report = gonda_conformance::run(&folder, None, None).unwrap().to_string();
    let expected = "v0 nofinal: 0 of 2 outputs equal\n--- some-case linux-64\nunexpected output \"mine-2-0\"\n\
                    --- some-case win-64\nrenders to [\"mine-2-0\"], expected {\"message\":\"no\"}\n\
                    total: 0 of 2 outputs equal\n";
    assert_eq!(report.replace(".conda", ""), expected);
    assert!(gonda_conformance::run(&folder.join("v0/some-case"), None, None).is_err());
}

/// The batch files, by the same interpreter and on the same disk as a build's.
#[cfg(unix)]
#[test]
fn all_of_the_batch_files_are_equal() {
    let tool = PathBuf::from(env!("CARGO_BIN_EXE_gonda-conformance"));
    let gonda = tool.with_file_name("gonda");
    if !gonda.is_file() {
        eprintln!("skipped: all_of_the_batch_files_are_equal: gonda itself is not built");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch-part");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("batch")).unwrap();
    for entry in std::fs::read_dir(tree().join("batch")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join("batch").join(path.file_name().unwrap())).unwrap();
    }
    let report = gonda_conformance::run(&folder, None, Some(&Programs { gonda, tool })).unwrap();
    let cases: usize = report.groups.iter().map(|group| group.total).sum();
    assert!(report.unexcused().next().is_none(), "some of it differs:\n{report}");
    assert!(cases >= 275, "{cases} cases");
}
