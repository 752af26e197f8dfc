//! The same plan gives the same bytes: whatever the folder, the user and the machine's settings, and once more from the
//! package alone.
#![cfg(unix)]

use std::ffi::OsString;
use std::path::Path;

use gonda_testkit::{FileServer, Run, World, sha256, skipped, source_archive, source_entries};

use crate::support::{GONDA, Lab, here, info};

/// One thing that may not matter: what it is called, how it is set up, flags, and what a shell does before.
type Factor = (&'static str, fn(&mut Lab), &'static [&'static str], &'static str);

const FACTORS: &[Factor] = &[
    ("folder and user", |_| {}, &[], ""),
    ("time zone", |lab| _ = lab.world.env("TZ", "Pacific/Kiritimati"), &[], ""),
    ("language", |lab| _ = lab.world.env("LANG", "tr_TR.UTF-8").env("LC_ALL", "tr_TR.UTF-8"), &[], ""),
    ("umask", |_| {}, &[], "umask 077; "),
    ("processors", |_| {}, &["--jobs", "1"], ""),
    ("another cache of Go's", |_| {}, &["--go-cache", "shared"], ""),
    // Outside of the project's own repository, which a build without namespaces refuses to lie in.
    ("no namespaces", |lab| _ = lab.own_cache(), &["--isolation", "env"], ""),
];

#[test]
fn nothing_else_decides_bytes() {
    const SAMPLES: [&str; 2] = ["tally", "slugify"];
    let Some(lab) = Lab::real(here!()) else { return };
    for sample in SAMPLES {
        lab.build(&lab.sample(sample), &[]).succeeds();
    }
    let digests = |world: &World| -> Vec<(String, String)> {
        let digest = |name: &String| sha256(&std::fs::read(world.output().join(name)).unwrap());
        world.packages().into_iter().map(|name| (name.clone(), digest(&name))).collect()
    };
    let expected = digests(&lab.world);
    for (index, (factor, set_up, flags, before)) in FACTORS.iter().enumerate() {
        let Some(mut other) = Lab::real(here!()) else { return };
        set_up(&mut other);
        // Both recipe formats in turn, for each build takes a second or two.
        let feedstock = other.sample(SAMPLES[index % 2]);
        let gonda = other.world.command(other.build_arguments(&feedstock, flags));
        let mut line: Vec<OsString> =
            vec!["-c".into(), format!("{before}exec \"$@\"").into(), "sh".into(), GONDA.into()];
        line.extend(gonda.get_args().map(OsString::from));
        other.world.run(other.world.command_of("/bin/sh", line)).succeeds();
        let found = digests(&other.world);
        assert!(
            found.len() == 1 && expected.contains(&found[0]),
            "{factor} made a difference: {expected:?}, {found:?}"
        );
    }
}

#[test]
fn a_cold_build_gives_the_same_bytes() {
    let Some(lab) = Lab::real(here!()) else { return };
    lab.build(&lab.sample("tally"), &[]).succeeds();
    let Some(mut cold) = Lab::real(here!()) else { return };
    let cache = cold.world.path("cold-cache");
    cold.world.share_cache(cache);
    cold.build(&cold.sample("tally"), &[]).succeeds();
    let digest = |lab: &Lab| sha256(&std::fs::read(lab.world.the_package()).unwrap());
    assert_eq!(digest(&lab), digest(&cold));
}

#[test]
fn a_path_of_the_build_is_told() {
    if !cfg!(target_os = "linux") {
        return skipped(here!(), "it packs a program of the system as Linux has it");
    }
    let lab = Lab::fake();
    let script = "mkdir -p $PREFIX/bin && cp /bin/true $PREFIX/bin/marked && printf %s $SRC_DIR >> $PREFIX/bin/marked";
    let feedstock = lab.hello("marked", script, "");
    lab.build(feedstock.root(), &["--isolation", "env"]).succeeds().says("not path-independent: bin/marked");
}

/// `gonda rebuild PACKAGE MORE…`
fn rebuild(lab: &Lab, package: &Path, more: &[&str]) -> Run {
    let mut arguments: Vec<OsString> = vec!["rebuild".into(), package.into(), "-c".into(), lab.channel_url().into()];
    arguments.extend(more.iter().map(OsString::from));
    lab.world.gonda(arguments)
}

#[test]
fn a_package_tells_how_it_was_built_and_is_built_again() {
    let Some(lab) = Lab::real(here!()) else { return };
    let feedstock = lab.sample("tally");
    lab.build(&feedstock, &[]).succeeds();
    let package = lab.world.the_package();
    let record = info(&package, "recipe/gonda.json").unwrap();
    for machine in [lab.world.root().display().to_string(), "/work".to_owned(), lab.channel.display().to_string()] {
        assert!(!record.contains(&machine), "`{machine}` stands in {record}");
    }
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&record["format"], &record["recipe"]), (&1.into(), &"meta.yaml".into()));
    let build = record["environments"]["build"].as_array().unwrap();
    assert!(
        build.iter().all(|package| package["sha256"].as_str().is_some_and(|digest| digest.len() == 64)),
        "{record}"
    );

    // Its source is a folder beside the recipe.
    rebuild(&lab, &package, &[]).fails_with(2).says("was built from `../src`").says("--recipe");
    let recipe = feedstock.to_str().unwrap();
    rebuild(&lab, &package, &["--recipe", recipe]).succeeds().prints("reproduced, sha256");
}

/// A feedstock whose source is an archive on a server.
fn with_archive(lab: &Lab, script: &str) -> (gonda_testkit::Feedstock, FileServer) {
    let feedstock = lab.hello("hello", script, "");
    let archive = source_archive(
        gonda_testkit::ArchiveKind::TarGz,
        &source_entries(&feedstock.root().join("src"), "hello-1.0.0"),
    );
    let folder = lab.world.path("sources");
    lab.world.write("sources/hello-1.0.0.tar.gz", &archive);
    let server = FileServer::new(folder);
    let source = format!("  url: {}/hello-1.0.0.tar.gz\n  sha256: {}\n", server.url(), sha256(&archive));
    feedstock.write("recipe/meta.yaml", feedstock.read("recipe/meta.yaml").replace("  path: ../src\n", &source));
    std::fs::remove_dir_all(feedstock.root().join("src")).unwrap();
    (feedstock, server)
}

#[test]
fn a_package_is_built_again_from_itself_alone() {
    let lab = Lab::fake();
    let (feedstock, _server) = with_archive(&lab, "go build -o $PREFIX/bin/hello .");
    lab.build(feedstock.root(), &[]).succeeds();
    std::fs::remove_dir_all(feedstock.root()).unwrap();
    rebuild(&lab, &lab.world.the_package(), &[]).succeeds().prints("reproduced, sha256");
}

#[test]
fn what_differs_is_named_with_its_likely_cause() {
    let lab = Lab::fake();
    let script = "mkdir -p $PREFIX/share && date +%s%N > $PREFIX/share/stamp && go build -o $PREFIX/bin/hello .";
    let (feedstock, _server) = with_archive(&lab, &script.replace("%s%N", "%Y-%m-%dT%H:%M:%S.%N"));
    lab.build(feedstock.root(), &[]).succeeds();
    let run = rebuild(&lab, &lab.world.the_package(), &[]).fails_with(4).prints("NOT reproduced");
    let second = run.stdout.lines().nth(1).unwrap();
    assert!(second.contains("share/stamp: its content is another"), "{run}");
    run.prints("likely cause: it holds the time of the build").prints("SOURCE_DATE_EPOCH");
}
