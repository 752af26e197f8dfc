//! Packages, repodata and scripts that mean harm: nothing outside is read or written, and gonda says what is wrong.

use std::fs;
use std::path::Path;

use gonda_testkit::{HandMadeChannel, HandMadePackage, RawMember, Run, private_mounts, raw_tar, sha256, skipped};
use serde_json::Value;

use crate::support::{GONDA, Lab, here, walk};

const GO_BUILD: &str = "go build -o $PREFIX/bin/hello .";

/// The platform of hand-made packages.
fn subdir() -> &'static str {
    match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
        (true, _) => "osx-arm64",
        (false, true) => "linux-aarch64",
        (false, false) => "linux-64",
    }
}

fn member<'a>(name: &'a str, kind: u8, link: &'a str, content: &'a str) -> RawMember<'a> {
    RawMember { name, kind, link, content: content.as_bytes() }
}

/// Builds a feedstock that needs `lib` of a channel.
fn build_against(lab: &Lab, channel: &HandMadeChannel) -> Run {
    let feedstock = lab.hello("hello", GO_BUILD, "");
    let recipe = feedstock.read("recipe/meta.yaml");
    feedstock.write("recipe/meta.yaml", recipe.replace("requirements:\n", "requirements:\n  host:\n    - lib\n"));
    lab.build(feedstock.root(), &["-c", &channel.url()])
}

/// A package with these members: what builds with it, reads it or tests it ends with an error of gonda's, or leaves
/// them aside; nothing arrives outside, and no secret inside.
fn check(lab: &Lab, members: &[RawMember<'_>]) {
    let outside = lab.world.path("outside");
    fs::create_dir_all(&outside).unwrap();
    lab.world.write("secret", "the secret");
    let package = HandMadePackage { payload: Some(raw_tar(members)), ..HandMadePackage::new("lib", "1", subdir()) };
    let channel_folder = lab.world.path("hostile");
    let _ = fs::remove_dir_all(&channel_folder);
    let channel = HandMadeChannel::new(&channel_folder, std::slice::from_ref(&package));
    let file = channel.folder().join(subdir()).join(package.file_name());
    let runs = [
        build_against(lab, &channel),
        lab.world.gonda(["verify".as_ref(), file.as_os_str()]).fails_with(4),
        lab.world.gonda(["inspect".as_ref(), file.as_os_str()]),
        lab.world.gonda(["test".as_ref(), file.as_os_str()]),
    ];
    for run in runs {
        assert!(matches!(run.code, Some(0..=5)), "{members:?}\n{run}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{members:?}\n{run}");
        for path in walk(&lab.world.root()) {
            let name = path.file_name().unwrap_or_default();
            let escaped = name == "escaped" && !path.starts_with(lab.world.cache());
            let stolen = name == "stolen" && fs::read(&path).is_ok_and(|bytes| bytes == b"the secret");
            assert!(!escaped && !stolen, "`{}`: {members:?}\n{run}", path.display());
        }
    }
    let _ = fs::remove_dir_all(lab.world.output());
}

#[cfg(unix)]
#[test]
fn packages_that_reach_out() {
    let lab = Lab::fake();
    let root = lab.world.root().display().to_string();
    let (outside, secret) = (format!("{root}/outside"), format!("{root}/secret"));
    let absolute = format!("{outside}/escaped");
    check(&lab, &[member("../../../escaped", b'0', "", "x")]);
    check(&lab, &[member(&absolute, b'0', "", "x")]);
    check(&lab, &[member("out", b'2', &outside, ""), member("out/escaped", b'0', "", "x")]);
    check(&lab, &[member("up", b'2', "..", ""), member("up/../up/escaped", b'0', "", "x")]);
    check(&lab, &[member("stolen", b'1', &secret, "")]);
    check(&lab, &[member("null", b'3', "", ""), member("pipe", b'6', "", "")]);
}

/// Repodata for one package, changed before it is used.
fn lying(lab: &Lab, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Run {
    let folder = lab.world.path("lying");
    let _ = fs::remove_dir_all(&folder);
    let library = HandMadePackage::new("lib", "1", subdir()).with_file("lib/x", "honest", false);
    let channel = HandMadeChannel::new(&folder, &[library]);
    let path = folder.join(subdir()).join("repodata.json");
    let mut repodata: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(repodata["packages.conda"].as_object_mut().unwrap());
    fs::write(&path, repodata.to_string()).unwrap();
    let run = build_against(lab, &channel);
    assert!(matches!(run.code, Some(0 | 3 | 4)), "{run}");
    assert!(!walk(&lab.world.root()).iter().any(|path| is_outside(lab, path)), "{run}");
    run
}

fn is_outside(lab: &Lab, path: &Path) -> bool {
    let known = [lab.world.cache(), &lab.world.path("lying"), &lab.world.output()];
    path.file_name().is_some_and(|name| name.to_string_lossy().contains("lib-1-0"))
        && !known.iter().any(|folder| path.starts_with(folder))
}

#[test]
fn repodata_that_lies() {
    let lab = Lab::fake();
    let only = "lib-1-0.conda";
    lying(&lab, |_| {}).succeeds();
    fs::remove_dir_all(lab.world.output()).unwrap();
    fs::remove_dir_all(lab.world.cache().join("pkgs")).unwrap();
    lying(&lab, |packages| packages[only]["sha256"] = sha256(b"another").into()).fails_with(3).says(only);
    lab.has_no_package();
    for name in ["../../../../lib-1-0.conda", "/tmp/lib-1-0.conda", "..\\lib-1-0.conda", "lib-1-0.conda/../x", "..", ""]
    {
        let run = lying(&lab, |packages| {
            let record = packages.remove(only).unwrap();
            packages.insert(name.to_owned(), record);
        });
        run.fails_with(3);
        lab.has_no_package();
    }
    for (key, value) in [("name", "../lib"), ("version", "../../1"), ("build", "../../../x"), ("subdir", "../../..")] {
        let run = lying(&lab, |packages| packages[only][key] = value.into());
        assert!(run.code == Some(3) || key == "subdir", "{key}\n{run}");
        let _ = fs::remove_dir_all(lab.world.output());
    }
    let run = lying(&lab, |packages| packages[only]["depends"] = Value::from("everything"));
    run.fails_with(3);
}

#[cfg(unix)]
#[test]
fn an_interruption_leaves_nothing() {
    let lab = Lab::fake();
    let beat = "(while :; do echo x >> beat; sleep 0.1; done)";
    let feedstock = lab.hello("hello", &format!("{beat} & {beat} & echo begun; wait"), "");
    for isolation in ["auto", "env"] {
        let arguments = lab.build_arguments(feedstock.root(), &["--isolation", isolation]);
        let mut running = lab.world.start(lab.world.command(arguments));
        let begin = std::time::Instant::now();
        while !lab.logs().contains("begun") {
            assert!(running.runs() && begin.elapsed().as_secs() < 120, "{}", running.wait());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let told = std::process::Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
        assert!(told.success());
        let run = running.wait().fails_with(130);
        let beats = || {
            walk(lab.world.cache())
                .iter()
                .filter(|path| path.ends_with("beat"))
                .map(|path| fs::metadata(path).map_or(0, |meta| meta.len()))
                .sum::<u64>()
        };
        let then = beats();
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(beats(), then, "{}: a process is left\n{run}", here!());
        lab.has_no_package();
        let halves: Vec<_> = walk(&lab.world.root())
            .into_iter()
            .filter(|path| path.extension().is_some_and(|end| end == "part"))
            .collect();
        assert!(halves.is_empty(), "{halves:?}\n{run}");
        fs::remove_dir_all(lab.world.output()).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_that_forks_without_end() {
    if !private_mounts() {
        return skipped(here!(), "no namespaces here");
    }
    let lab = Lab::fake();
    let script = "sh -c 'while :; do sleep 600 & done'";
    let feedstock = lab.hello("hello", script, "");
    let run = lab.build(feedstock.root(), &["--isolation", "strict", "--max-processes", "64"]);
    run.fails_with(1).says("`--max-processes` raises the limit");
    lab.has_no_package();
}

#[test]
fn a_script_that_fills_memory() {
    if !private_mounts() {
        return skipped(here!(), "no namespaces here");
    }
    let lab = Lab::fake();
    // `tail` holds a line until it knows its end.
    let script = "(head -c 200M /dev/zero; sleep 600) | tail -n 1 > /dev/null";
    let feedstock = lab.hello("hello", script, "");
    let run = lab.build(feedstock.root(), &["--isolation", "strict", "--max-memory", "100M"]).fails_with(5);
    run.says("MiB of memory").says("by `tail -n 1`, and may take 100 MiB: it was ended").says("`--max-memory` raises");
    lab.has_no_package();
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    lab.build(feedstock.root(), &["--isolation", "strict", "--max-memory", "100M"]).succeeds();
    lab.build(feedstock.root(), &["--max-memory", "lots"]).fails_with(2).says("a size such as");
}

/// The caches are on a disk of their own, which holds little.
#[cfg(target_os = "linux")]
#[test]
fn a_script_that_fills_the_disk() {
    if !private_mounts() {
        return skipped(here!(), "no namespaces here");
    }
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "echo begun; head -c 100M /dev/zero > big; sleep 600", "");
    let build = |flags: &[&str]| {
        let mount = format!("mount -t tmpfs -o size=128m disk '{}' && exec \"$@\"", lab.world.cache().display());
        let mut command = lab.world.command_of("unshare", ["--user", "--map-root-user", "--mount", "sh", "-c", &mount]);
        command
            .arg("sh")
            .arg(GONDA)
            .args(lab.build_arguments(feedstock.root(), &[&["--isolation", "env"], flags].concat()));
        lab.world.run(command)
    };
    build(&[]).fails_with(5).says("the job was ended: it left less than").says("--min-free-disk");
    lab.has_no_package();
    assert!(lab.logs().contains("begun"), "{}", lab.logs());
    build(&["--min-free-disk", "lots"]).fails_with(2).says("a size such as");
}
