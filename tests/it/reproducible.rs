//! The same plan gives the same bytes: whatever the folder, the user and the machine's settings, and once more from the
//! package alone.
#![cfg(unix)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gonda_testkit::{FileServer, Run, sha256, skipped, source_archive, source_entries};

use crate::samples::{Samples, c_variant, digests};
use crate::support::{GONDA, Lab, here, info, walk};

/// One build more of a sample for all its targets, in which one thing is another than in the samples' first build, which
/// started with empty caches: its packages must be the same, byte for byte. Every world is another folder and another
/// HOME, and time goes by.
struct Again<'a> {
    test: &'a str,
    sample: &'a str,
    /// What a shell does before it starts gonda.
    before: &'a str,
    flags: &'a [&'a str],
    /// For which of its targets; all where there are none.
    targets: &'a [&'a str],
    /// What else is changed; it is told the feedstock, too.
    set_up: fn(&mut Lab, &Samples, &Path),
    /// Where the feedstock is moved to.
    place: &'a str,
}

impl Default for Again<'_> {
    fn default() -> Self {
        Self { test: "", sample: "", before: "", flags: &[], targets: &[], set_up: |_, _, _| {}, place: "" }
    }
}

impl Again<'_> {
    fn check(&self) {
        let Some(samples) = Samples::with(self.sample, self.test) else { return };
        let Some(mut lab) = samples.lab(self.test) else { return };
        let mut feedstock = lab.sample(self.sample);
        if !self.place.is_empty() {
            let place = lab.world.path(self.place);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::rename(feedstock, &place).unwrap();
            feedstock = place;
        }
        (self.set_up)(&mut lab, samples, &feedstock);
        let variant = c_variant();
        let targets = self.targets.join(",");
        let targets = if targets.is_empty() { vec!["--all-targets"] } else { vec!["--target-platform", &targets] };
        let more = [&["--test", "skip", "--variants", &variant], self.flags, &targets].concat();
        let gonda = lab.world.command(lab.build_arguments(&feedstock, &more));
        let line = format!("{}exec \"$@\"", self.before);
        let mut line: Vec<OsString> = vec!["-c".into(), line.into(), "sh".into(), GONDA.into()];
        line.extend(gonda.get_args().map(OsString::from));
        let run = lab.world.run(lab.world.command_of("/bin/sh", line)).succeeds();
        let mut expected = samples.digests(self.sample);
        let wanted = |target: &str| self.targets.is_empty() || self.targets.contains(&target);
        expected.retain(|package, _| package.split('/').next().is_some_and(wanted));
        assert_eq!(digests(&lab.world), expected, "{run}");
    }
}

#[test]
fn another_folder_and_user_name() {
    Again {
        test: here!(),
        sample: "tally",
        place: "some other/place/for it",
        set_up: |lab, _, _| _ = lab.world.env("USER", "somebody").env("LOGNAME", "somebody"),
        ..Again::default()
    }
    .check();
}

#[test]
fn another_umask() {
    Again { test: here!(), sample: "hexpair", before: "umask 077; ", ..Again::default() }.check();
}

#[test]
fn another_time_zone() {
    let set_up: fn(&mut Lab, &Samples, &Path) = |lab, _, _| _ = lab.world.env("TZ", "Pacific/Kiritimati");
    Again { test: here!(), sample: "orrery", set_up, ..Again::default() }.check();
}

#[test]
fn another_language() {
    let set_up: fn(&mut Lab, &Samples, &Path) =
        |lab, _, _| _ = lab.world.env("LANG", "tr_TR.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
    Again { test: here!(), sample: "glossary", set_up, ..Again::default() }.check();
    // What prints completions runs natively, under an emulator, and as a twin, which takes Go long: once each.
    let targets = &["linux-64", "linux-ppc64le", "win-64"];
    Again { test: here!(), sample: "lumen", targets, set_up, ..Again::default() }.check();
}

#[test]
fn another_number_of_jobs() {
    Again { test: here!(), sample: "epochal", flags: &["--jobs", "1"], ..Again::default() }.check();
    Again { test: here!(), sample: "epochal", flags: &["--jobs", "7"], ..Again::default() }.check();
}

/// Go's own build cache, kept over jobs, in place of the layer of the standard library. It holds already what the layers
/// hold, for all targets, so that it need not be compiled once more.
#[test]
fn another_go_cache() {
    let set_up: fn(&mut Lab, &Samples, &Path) = |lab, samples, _| {
        let shared = lab.world.cache().join("gocache/shared-nocgo");
        for entry in walk(&samples.go_std()) {
            let parts: Vec<_> = entry.strip_prefix(samples.go_std()).unwrap().components().collect();
            // `<key>/g<number>/<two digits>/<entry>`
            let [_, _, folder, name] = parts[..] else { continue };
            let to = shared.join(folder).join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            if !to.exists() {
                std::fs::copy(entry, to).unwrap();
            }
        }
    };
    Again { test: here!(), sample: "slugify", flags: &["--go-cache", "shared"], set_up, ..Again::default() }.check();
}

/// The files of recipe and source are of another time. Another clock of the machine is not tried here: within a job's
/// namespaces nothing moves it.
#[test]
fn other_times_of_files() {
    Again { test: here!(), sample: "tally", set_up: |_, _, feedstock| age(feedstock), ..Again::default() }.check();
}

/// gonda's own clock is years ahead; its scripts see the machine's.
#[test]
fn another_clock_of_gonda_itself() {
    if !Path::new("/usr/bin/faketime").exists() {
        return skipped(here!(), "there is no `faketime` here");
    }
    // Only the time of day: what waits must not wait for years, and times of files are another test's.
    let before = "export FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1; set -- /usr/bin/faketime -f +4000d \"$@\"; ";
    Again { test: here!(), sample: "tally", before, ..Again::default() }.check();
}

/// Without namespaces paths are not fixed, and these programs hold none.
#[test]
fn without_namespaces() {
    // Outside of the project's own repository, which a build without namespaces refuses to lie in.
    let set_up: fn(&mut Lab, &Samples, &Path) = |lab, samples, _| {
        let cache = lab.world.path("own-cache");
        lab.world.share_cache(cache).share_go_std(samples.go_std());
    };
    let flags = &["--isolation", "env"];
    // Each job has a copy of the toolchain here, so a target of each system stands for all.
    let targets = &["linux-64", "linux-aarch64", "osx-arm64", "win-64"];
    Again { test: here!(), sample: "tally", flags, targets, set_up, ..Again::default() }.check();
    // And two for the other recipe format.
    let targets = &["linux-64", "win-arm64"];
    Again { test: here!(), sample: "slugify", flags, targets, set_up, ..Again::default() }.check();
}

/// All at once, for the sample that is compiled by C, too; its compiler is the machine's.
#[test]
fn a_program_with_c_in_it() {
    let set_up: fn(&mut Lab, &Samples, &Path) = |lab, _, _| {
        lab.world.env("TZ", "Pacific/Kiritimati").env("LC_ALL", "tr_TR.UTF-8").env("USER", "somebody");
    };
    let (flags, targets, place) = (&["--jobs", "1"], &["linux-64"], "some other/place/for it");
    Again { test: here!(), sample: "adlersum", before: "umask 077; ", flags, targets, place, set_up }.check();
}

/// Gives all files times of their own, years apart.
fn age(folder: &Path) {
    let files: Vec<PathBuf> = walk(folder);
    for (number, file) in (1_u64..).zip(files) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(number * 40_000_000);
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_modified(time).unwrap();
    }
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

/// A recipe of three outputs over an archive: the second needs the first as built and what its script left behind, the
/// third fails.
fn of_several_outputs(lab: &Lab, first: &str) -> (gonda_testkit::Feedstock, FileServer) {
    let (feedstock, server) = with_archive(lab, "true");
    let recipe = feedstock.read("recipe/meta.yaml");
    let source = &recipe[recipe.find("source:").unwrap()..recipe.find("build:").unwrap()];
    let recipe = format!(
        "package:\n  name: hello-split\n  version: 1.0.0\n{source}outputs:\n  - name: first\n    script: first.sh\n    \
         requirements:\n      build:\n        - {{{{ compiler('go-nocgo') }}}}\n  - name: second\n    script: second.sh\n    \
         requirements:\n      build:\n        - {{{{ compiler('go-nocgo') }}}}\n      host:\n        - {{{{ pin_subpackage('first', \
         exact=True) }}}}\n      run:\n        - {{{{ pin_subpackage('first', exact=True) }}}}\n  - name: third\n    script: \
         third.sh\n    requirements:\n      build:\n        - {{{{ compiler('go-nocgo') }}}}\n        - {{{{ \
         pin_subpackage('second') }}}}\nabout:\n  license: MIT\n  summary: Several\n"
    );
    feedstock.write("recipe/meta.yaml", recipe);
    feedstock.write("recipe/first.sh", first);
    let second = "cp left $PREFIX/share/second && cat $PREFIX/share/first >> $PREFIX/share/second && go build -o $PREFIX/bin/second .";
    feedstock.write("recipe/second.sh", second);
    feedstock.write("recipe/third.sh", "exit 1");
    (feedstock, server)
}

#[test]
fn one_of_several_outputs_is_built_again() {
    let lab = Lab::fake();
    let first = "mkdir -p $PREFIX/share && echo first > $PREFIX/share/first && echo left > left";
    let (feedstock, _server) = of_several_outputs(&lab, first);
    lab.build(feedstock.root(), &[]).fails_with(1);
    std::fs::remove_dir_all(feedstock.root()).unwrap();
    let package = |name: &str| {
        let found = lab.world.packages().into_iter().find(|package| package.contains(&format!("/{name}-"))).unwrap();
        lab.world.output().join(found)
    };
    for (name, others) in [("first", [false, false]), ("second", [true, false])] {
        let run = rebuild(&lab, &package(name), &[]).succeeds().prints("reproduced, sha256");
        let built = ["first", "third"]
            .map(|other| other != name && run.stderr.contains(&format!("{other}-1.0.0 linux-64: building")));
        assert_eq!(built, others, "{run}");
    }
}

/// What another output of the recipe brings into an environment must be what it was.
#[test]
fn an_output_on_another_that_differs() {
    let lab = Lab::fake();
    let first = "mkdir -p $PREFIX/share && date +%N > $PREFIX/share/first && echo left > left";
    let (feedstock, _server) = of_several_outputs(&lab, first);
    lab.build(feedstock.root(), &[]).fails_with(1);
    let found = lab.world.packages().into_iter().find(|package| package.contains("/second-")).unwrap();
    let run = rebuild(&lab, &lab.world.output().join(found), &[]).fails_with(4);
    run.says("`first-1.0.0-0.conda`, which it was built with, is not reproduced");
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
