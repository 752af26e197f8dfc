//! Main modules in a source tree, and the toolchain that they ask for.

use super::*;

/// Finds main modules in a tree given as `path = text` pairs; gives folders, kinds and problems.
fn found(files: &[(&str, &str)], work: &str, sources: &[&str]) -> String {
    let top = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(top.path().join(path), text);
    }
    let sources: Vec<PathBuf> = sources.iter().map(|path| top.path().join(path)).collect();
    let found = find_main_modules(top.path(), &top.path().join(work), &sources).unwrap();
    let mut lines: Vec<String> = found
        .modules
        .iter()
        .map(|root| {
            let folder = root.folder.strip_prefix(top.path()).unwrap().display().to_string();
            let kind = if root.work.is_some() { format!("work of {}", root.mains.len()) } else { "mod".to_owned() };
            let vendoring = match &root.vendoring {
                Vendoring::Inconsistent(error) => format!("Inconsistent: {}", error.details.join("; ")),
                other => format!("{other:?}"),
            };
            format!("[{folder}] {kind} {vendoring}")
        })
        .collect();
    lines.extend(found.problems.iter().map(|problem| {
        let place = problem.place.as_ref().unwrap();
        let file = place.file.strip_prefix(top.path()).unwrap();
        format!("{}:{}: {}", file.display(), place.line.unwrap(), problem.message)
    }));
    lines.push(format!("floor {:?}", found.floor().preferred_spec("go").unwrap_or_default()));
    lines.join("\n")
}

#[test]
fn main_modules() {
    let check = |files: &[(&str, &str)], work: &str, sources: &[&str], expected: &str| {
        assert_eq!(found(files, work, sources), expected);
    };
    check(&[("x.go", "")], "", &[], "floor \"\"");
    check(
        &[("go.mod", "module a.b\ngo 1.22.1"), ("x/go.mod", "module a.b/x")],
        "",
        &[],
        "[] mod None\nfloor \"go >=1.22.1\"",
    );
    check(&[("go.mod", "module a.b"), ("x/y.go", "")], "x", &[], "[] mod None\nfloor \"\"");
    check(
        &[
            ("go.work", "go 1.23\nuse ./a\nuse ./b\n"),
            ("a/go.mod", "module a.b/a\ngo 1.22"),
            ("b/go.mod", "module a.b/b"),
        ],
        "a",
        &[],
        "[] work of 2 None\nfloor \"go >=1.23\"",
    );
    check(&[("s/go.mod", "module a.b"), ("t/go.mod", "module a.c")], "", &["s"], "[s] mod None\nfloor \"\"");
    check(
        &[
            ("s/t/go.mod", "module a.b\ngo 1.20"),
            ("s/u/go.mod", "module a.c\ngo 1.21\ntoolchain go1.22.0"),
            ("s/vendor/go.mod", "module x.y\ngo 1.99"),
            ("s/v/w/go.mod", "module a.d\ngo 1.99"),
        ],
        "",
        &[],
        "[s/t] mod None\n[s/u] mod None\nfloor \"go >=1.22.0\"",
    );
    check(
        &[("go.mod", "module a.b\nrequire (\n")],
        "",
        &[],
        "go.mod:3: syntax error (unterminated block started at 2:1)\nfloor \"\"",
    );
    check(
        &[
            ("go.mod", "module a.b\ngo 1.20\nrequire c.d v1.0.0"),
            ("vendor/modules.txt", "# c.d v1.0.0\n## explicit\nc.d\n"),
        ],
        "",
        &[],
        "[] mod Used\nfloor \"go >=1.20\"",
    );
    check(
        &[("go.mod", "module a.b\ngo 1.20\nrequire c.d v1.0.1"), ("vendor/modules.txt", "# c.d v1.0.0\n")],
        "",
        &[],
        "[] mod Inconsistent: c.d@v1.0.1: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt\nfloor \"go >=1.20\"",
    );
    check(
        &[("go.mod", "module a.b\ngo 1.13\nrequire c.d v1.0.1"), ("vendor/modules.txt", "# c.d v1.0.0\n")],
        "",
        &[],
        "[] mod Unused(GoTooOld)\nfloor \"go >=1.13\"",
    );
}

#[test]
fn floor_of_a_work_folder() {
    let top = tempfile::tempdir().unwrap();
    let floor = |work: &Path| find_main_modules(work, work, &[]).unwrap().toolchain_floor(work);
    assert_eq!(floor(&top.path().join("missing")), None);
    write(top.path().join("cmd/go.mod"), "module a.b\ngo 1.22.1\ntoolchain go1.23.0\n");
    let floor = floor(top.path()).unwrap();
    assert_eq!(
        [floor.go, floor.required, floor.preferred, floor.file],
        ["1.22.1", "go >=1.22.1", "go >=1.23.0", "cmd/go.mod"]
    );
}
