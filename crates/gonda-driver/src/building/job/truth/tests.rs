use gonda_recipe::RecipeFormat;
use rattler_conda_types::Subdir;

use super::*;

struct World {
    dir: tempfile::TempDir,
    entry: Entry,
}

/// This test's own program as what a script left behind, and a folder for the source.
fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("source")).unwrap();
    std::fs::create_dir(dir.path().join("prefix")).unwrap();
    let name = format!("bin/tool{}", std::env::consts::EXE_SUFFIX);
    World { dir, entry: Entry::file(name, std::env::current_exe().unwrap(), true) }
}

impl World {
    /// `error: …` or the warnings, a line each.
    fn check(&self, target: Subdir, depends: &[&str], strict: bool) -> String {
        let known = Known::of(&self.dir.path().join("source")).unwrap();
        let mut output = crate::info::tests::output(RecipeFormat::V0);
        output.target_platform = target;
        output.depends = depends.iter().map(|spec| (*spec).to_owned()).collect();
        let prefix = self.dir.path().join("prefix");
        let check = Check { output: &output, build: &[], prefix: &prefix, known: &known, strict };
        match check.run(std::slice::from_ref(&self.entry)) {
            Ok(findings) => findings.iter().map(|finding| format!("{}\n", as_warning(finding))).collect(),
            Err(error) => {
                assert_eq!(error.kind, Kind::Verification);
                std::iter::once(&error).chain(&error.others).map(|error| format!("error: {error}\n")).collect()
            }
        }
    }
}

#[test]
fn a_program_of_this_machine_is_for_no_other() {
    let world = world();
    let here = Subdir::current().unwrap();
    let elsewhere = if here == Subdir::LinuxPpc64le { Subdir::Linux64 } else { Subdir::LinuxPpc64le };
    let refused = world.check(elsewhere, &[], false);
    assert!(refused.starts_with("error: `bin/tool") && refused.contains(elsewhere.as_str()), "{refused}");
    std::fs::copy(&world.entry.source, world.dir.path().join("source/fixture")).unwrap();
    let warned = world.check(elsewhere, &[], false);
    assert!(warned.contains("the source has it as it is") && !warned.contains("error"), "{warned}");
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[test]
fn glibc_that_the_metadata_lack() {
    let world = world();
    let check = |depends: &[&str], strict| {
        let text = world.check(Subdir::Linux64, depends, strict);
        text.lines().filter(|line| line.contains("glibc")).collect::<Vec<_>>().join("\n")
    };
    assert!(check(&[], false).contains("add this line to the recipe's run requirements: `- __glibc >="));
    assert!(check(&[], true).starts_with("error: "));
    assert_eq!(check(&["__glibc >=2.99,<3.0.a0"], true), "");
}

#[test]
fn libraries_of_the_host_environment() {
    let world = world();
    let meta = world.dir.path().join("prefix/conda-meta");
    std::fs::create_dir(&meta).unwrap();
    let record = serde_json::json!({
        "name": "libgcc", "version": "14.1.0", "build": "h_0", "build_number": 0, "subdir": "linux-64",
        "depends": [], "fn": "libgcc-14.1.0-h_0.conda", "url": "https://c.invalid/linux-64/libgcc-14.1.0-h_0.conda",
        "channel": "https://c.invalid/", "files": ["lib/libgcc_s.so.1"],
        "paths_data": { "paths_version": 1, "paths": [] },
    });
    std::fs::write(meta.join("libgcc-14.1.0-h_0.json"), record.to_string()).unwrap();
    let known = Known::default();
    let output = crate::info::tests::output(RecipeFormat::V0);
    let prefix = world.dir.path().join("prefix");
    let check = |depends: &str| {
        let output = Output { depends: vec![depends.to_owned()], ..output.clone() };
        let check = Check { output: &output, build: &[], prefix: &prefix, known: &known, strict: false };
        check.environment().unwrap().get("libgcc_s.so.1").unwrap().at_run_time
    };
    assert!(check("libgcc >=14") && !check("libgomp"));
}
