//! What other tools make of our packages: py-rattler installs and runs them, conda-package-handling and
//! conda-package-streaming read them, and gonda indexes them.

use std::path::Path;
use std::process::Command;

use gonda_testkit::{python, skipped};

use crate::support::{Lab, here};

/// A built sample, or `None` where the test is skipped.
fn built(test: &str, sample: &str) -> Option<Lab> {
    let lab = Lab::real(test)?;
    lab.build(&lab.sample(sample), &[]).succeeds();
    Some(lab)
}

#[test]
fn py_rattler_installs_and_the_program_runs() {
    let python = match python(&["rattler"]) {
        Ok(python) => python,
        Err(reason) => return skipped(here!(), reason),
    };
    let Some(lab) = built(here!(), "slugify") else { return };
    let prefix = lab.world.path("prefix");
    let cache = lab.world.path("rattler-cache");
    let said = python.run(
        include_str!("python/install.py"),
        &[&lab.world.output(), &prefix, &cache, Path::new("slugify"), Path::new("3.1.4")],
    );
    assert!(said.contains("slugify-3.1.4"), "{said}");
    let program = prefix.join(if cfg!(windows) { "Library/bin/slugify.exe" } else { "bin/slugify" });
    let run = Command::new(program).args(["Hello,", "World"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), "hello-world");
}

#[test]
fn conda_package_handling_extracts_and_converts() {
    let python = match python(&["conda_package_handling"]) {
        Ok(python) => python,
        Err(reason) => return skipped(here!(), reason),
    };
    let Some(lab) = built(here!(), "slugify") else { return };
    let package = lab.world.the_package();
    let said = python.run(include_str!("python/handle.py"), &[&package, &lab.world.path("handled")]);
    assert!(said.contains("share/man/man1/slugify.1"), "{said}");
}

#[test]
fn conda_package_streaming_reads_both_parts() {
    let python = match python(&["conda_package_streaming"]) {
        Ok(python) => python,
        Err(reason) => return skipped(here!(), reason),
    };
    let Some(lab) = built(here!(), "slugify") else { return };
    let package = lab.world.the_package();
    let said = python.run(include_str!("python/stream.py"), &[&package]);
    assert!(said.contains("info/index.json") && said.contains("bin/slugify"), "{said}");
}

#[test]
fn gonda_indexes_and_reads_a_converted_package() {
    let python = match python(&["conda_package_handling"]) {
        Ok(python) => python,
        Err(reason) => return skipped(here!(), reason),
    };
    let Some(lab) = built(here!(), "tally") else { return };
    let package = lab.world.the_package();
    let folder = lab.world.path("other/linux-64");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = python.run(
        "import sys, conda_package_handling.api as a; a.transmute(sys.argv[1], '.tar.bz2', out_folder=sys.argv[2])",
        &[&package, &folder],
    );
    let converted = folder.join(package.file_name().unwrap()).with_extension("tar.bz2");
    lab.world.gonda(["verify".as_ref(), converted.as_os_str()]).succeeds();
    lab.world.gonda(["channel".as_ref(), "index".as_ref(), lab.world.path("other").as_os_str()]).succeeds();
    let repodata = std::fs::read_to_string(folder.join("repodata.json")).unwrap();
    let repodata: serde_json::Value = serde_json::from_str(&repodata).unwrap();
    let record = &repodata["packages"][&*converted.file_name().unwrap().to_string_lossy()];
    assert_eq!(record["name"], "tally", "{repodata}");
    assert_eq!(record["sha256"], gonda_testkit::sha256(&std::fs::read(&converted).unwrap()), "{repodata}");
}

#[test]
fn a_damaged_package_does_not_verify() {
    let lab = Lab::fake();
    let package = gonda_testkit::HandMadePackage::new("x", "1", "linux-64").with_file("bin/x", "#!/bin/sh\n", true);
    let whole = package.archive();
    let honest = lab.world.write("x-1-0.conda", &whole);
    lab.world.gonda(["verify".as_ref(), honest.as_os_str()]).succeeds();
    let cut = lab.world.write("cut/x-1-0.conda", &whole[..whole.len() / 2]);
    lab.world.gonda(["verify".as_ref(), cut.as_os_str()]).fails_with(4).says("x-1-0.conda");
    let mut undeclared = package.clone();
    let declared = undeclared.archive();
    undeclared.files.push(gonda_testkit::Entry::file("bin/y", "more"));
    // The second archive's files with the first one's lists.
    let swapped = gonda_testkit::swap_info(&undeclared.archive(), &declared);
    let swapped = lab.world.write("swapped/x-1-0.conda", swapped);
    lab.world.gonda(["verify".as_ref(), swapped.as_os_str()]).fails_with(4).prints("bin/y");
}

/// The package's sha256 when built in another folder, by a user with another umask, with so many jobs.
#[cfg(unix)]
fn built_elsewhere(lab: &Lab, isolation: &str, umask: &str, jobs: &str) -> String {
    let mut world = gonda_testkit::World::new(crate::support::GONDA);
    world.env("GONDA_GOPROXY", "off").env("GONDA_GOSUMDB", "off");
    let feedstock = world.path(format!("a-folder-{jobs}/hello-feedstock"));
    gonda_testkit::copy_tree(&lab.world.path("hello-feedstock"), &feedstock);
    let mut command =
        world.command_of("sh", ["-c", "umask \"$0\"; exec \"$@\"", umask, crate::support::GONDA, "build"]);
    command.arg(&feedstock).args(["-c", &lab.channel_url(), "--isolation", isolation, "--jobs", jobs]);
    command.arg("--output-dir").arg(world.output());
    world.run(command).succeeds();
    gonda_testkit::sha256(&std::fs::read(world.the_package()).unwrap())
}

#[cfg(unix)]
#[test]
fn the_same_bytes_in_any_folder() {
    let lab = Lab::fake();
    let script =
        "go build -o $PREFIX/bin/hello . && mkdir -p $PREFIX/share && echo from $PREFIX > $PREFIX/share/origin";
    lab.hello("hello", script, "");
    for isolation in ["strict", "env"] {
        if isolation == "strict" && !gonda_testkit::private_mounts() {
            skipped(here!(), "no mounts of one's own here, so only the half without them");
            continue;
        }
        let first = built_elsewhere(&lab, isolation, "022", "1");
        assert_eq!(first, built_elsewhere(&lab, isolation, "077", "2"), "with isolation `{isolation}`");
    }
}

#[test]
fn an_index_has_what_is_there() {
    let lab = Lab::fake();
    let packages = [
        gonda_testkit::HandMadePackage::new("x", "1", "linux-64"),
        gonda_testkit::HandMadePackage::new("y", "2", "noarch"),
    ];
    let channel = gonda_testkit::HandMadeChannel::new(lab.world.path("mine"), &packages);
    let repodata = |subdir: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(channel.folder().join(subdir).join("repodata.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let before = [repodata("linux-64"), repodata("noarch")];
    for subdir in ["linux-64", "noarch"] {
        std::fs::remove_file(channel.folder().join(subdir).join("repodata.json")).unwrap();
    }
    lab.world.gonda(["channel".as_ref(), "index".as_ref(), channel.folder().as_os_str()]).succeeds();
    for (subdir, before) in ["linux-64", "noarch"].into_iter().zip(before) {
        let after = repodata(subdir);
        for (name, record) in before["packages.conda"].as_object().unwrap() {
            for key in ["name", "version", "build", "depends", "sha256", "size"] {
                assert_eq!(after["packages.conda"][name][key], record[key], "{subdir}/{name}: {key}");
            }
        }
    }
}
