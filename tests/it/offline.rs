//! The two phases apart: what was fetched serves without any network, and what was not is named; and a lock, which holds
//! builds to what it says.

use std::fs;
use std::path::Path;

use gonda_testkit::{
    ArchiveKind, Feedstock, FileServer, HandMadeChannel, HandMadePackage, Run, private_mounts, sha256, skipped,
    source_archive, source_entries,
};
use serde_yaml::Value;

use crate::support::{GONDA, Lab, here};

const GO_BUILD: &str = "go build -o $PREFIX/bin/hello .";
const LOCK: &str = "gonda.conda-lock.yml";

/// A feedstock whose source, toolchain and test requirement come over HTTP.
pub struct Remote {
    pub lab: Lab,
    pub feedstock: Feedstock,
    channel: FileServer,
    /// Held, for it serves.
    _sources: FileServer,
}

impl Remote {
    pub fn new() -> Self {
        let lab = Lab::fake();
        let tool = HandMadePackage::new("tool", "1", "noarch").with_file("share/tool", "x", false);
        let more = HandMadeChannel::new(lab.world.path("more"), &[tool]);
        let (from, to) = (more.folder().join("noarch"), lab.channel.join("noarch"));
        fs::copy(from.join("tool-1-0.conda"), to.join("tool-1-0.conda")).unwrap();
        lab.world.gonda(["channel".as_ref(), "index".as_ref(), lab.channel.as_os_str()]).succeeds();
        let test = "test:\n  requires:\n    - tool\n  commands:\n    - test -f $PREFIX/share/tool\n    - hello\n";
        let feedstock = lab.hello("hello", GO_BUILD, test);
        let archive = source_archive(ArchiveKind::TarGz, &source_entries(&feedstock.root().join("src"), "hello-1.0.0"));
        let folder = lab.world.path("sources");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("hello-1.0.0.tar.gz"), &archive).unwrap();
        let sources = FileServer::new(&folder);
        let url = format!("url: {}/hello-1.0.0.tar.gz\n  sha256: {}", sources.url(), sha256(&archive));
        feedstock.write("recipe/meta.yaml", feedstock.read("recipe/meta.yaml").replace("path: ../src", &url));
        let channel = FileServer::new(&lab.channel);
        Self { lab, feedstock, channel, _sources: sources }
    }

    pub fn gonda(&self, command: &str, flags: &[&str]) -> Run {
        self.lab.world.gonda(self.arguments(command, flags))
    }

    pub fn arguments(&self, command: &str, flags: &[&str]) -> Vec<std::ffi::OsString> {
        let url = self.channel.url();
        let mut arguments: Vec<std::ffi::OsString> = vec![command.into(), self.feedstock.root().into()];
        arguments.extend(["-c", &url, "--output-dir"].map(std::ffi::OsString::from));
        arguments.push(self.lab.world.output().into());
        arguments.extend(flags.iter().map(std::ffi::OsString::from));
        arguments
    }

    /// Builds in a network namespace without any route, where the machine has such.
    fn build_without_network(&self, test: &str) -> Run {
        if !private_mounts() {
            skipped(&format!("{test} (without a route)"), "no namespaces here");
            return self.gonda("build", &["--offline"]);
        }
        let mut command = self.lab.world.command_of("unshare", ["--user", "--map-root-user", "--net", GONDA]);
        command.args(self.arguments("build", &["--offline"]));
        self.lab.world.run(command)
    }
}

#[test]
fn what_was_fetched_is_enough() {
    let remote = Remote::new();
    let run = remote.build_without_network(here!()).fails_with(3).says("gonda fetch");
    run.is_silent_about("internal");
    remote.lab.has_no_package();
    let run = remote.gonda("fetch", &[]).succeeds();
    run.prints("fetched").prints("packages");
    remote.lab.has_no_package();
    let asked = remote.channel.requests().len();
    remote.build_without_network(here!()).succeeds();
    assert_eq!(remote.channel.requests().len(), asked);
    let first = sha256(&fs::read(remote.lab.world.the_package()).unwrap());
    fs::remove_dir_all(remote.lab.world.output()).unwrap();
    remote.gonda("build", &[]).succeeds();
    assert_eq!(first, sha256(&fs::read(remote.lab.world.the_package()).unwrap()));
    // Without the source alone, it is the source that is named.
    fs::remove_dir_all(remote.lab.world.cache().join("sources")).unwrap();
    remote.gonda("build", &["--offline", "--rebuild"]).fails_with(3).says("hello-1.0.0.tar.gz").says("gonda fetch");
}

#[test]
fn an_output_that_needs_another_is_fetched_too() {
    let lab = Lab::fake();
    let sample = lab.sample("hexpair");
    lab.world.gonda(["fetch".as_ref(), sample.as_os_str(), "-c".as_ref(), lab.channel_url().as_ref()]).succeeds();
    assert_eq!(lab.world.packages(), Vec::<String>::new());
}

#[test]
fn modules_are_fetched() {
    let Some(mut lab) = Lab::real(here!()) else { return };
    lab.with_sample_modules();
    let sample = lab.sample("orrery");
    let run = lab.world.gonda([
        "fetch".as_ref(),
        sample.as_os_str(),
        "-c".as_ref(),
        lab.channel_url().as_ref(),
        "--output-dir".as_ref(),
        lab.world.output().as_os_str(),
    ]);
    let run = run.succeeds();
    assert!(!run.stdout.contains(" 0 modules"), "{run}");
    fs::remove_dir_all(lab.world.path("module-proxy")).unwrap();
    lab.build(&sample, &["--offline"]).succeeds();
}

fn lock_of(feedstock: &Feedstock) -> Value {
    serde_yaml::from_str(&feedstock.read(format!("recipe/{LOCK}"))).unwrap()
}

#[test]
fn a_lock_holds_builds_to_it() {
    let remote = Remote::new();
    remote.gonda("build", &["--locked"]).fails_with(2).says(LOCK);
    remote.gonda("lock", &[]).succeeds().prints(LOCK);
    let lock = lock_of(&remote.feedstock);
    let categories: Vec<&str> =
        lock["package"].as_sequence().unwrap().iter().map(|p| p["category"].as_str().unwrap()).collect();
    for environment in ["build", "test"] {
        assert!(
            categories.iter().any(|category| category.ends_with(&format!("/hello/{environment}"))),
            "{categories:?}"
        );
    }
    let custom = lock["metadata"]["custom_metadata"].as_mapping().unwrap();
    let keys: Vec<&str> = custom.keys().map(|key| key.as_str().unwrap().split('/').next().unwrap()).collect();
    assert_eq!(keys, ["gonda.build", "gonda.source", "gonda.toolchain"]);

    remote.gonda("build", &["--locked"]).succeeds();
    let locked = sha256(&fs::read(remote.lab.world.the_package()).unwrap());
    fs::remove_dir_all(remote.lab.world.output()).unwrap();
    // The lock is no part of the recipe: without it the package is the same.
    fs::rename(remote.feedstock.recipe().join(LOCK), remote.lab.world.path(LOCK)).unwrap();
    remote.gonda("build", &[]).succeeds();
    assert_eq!(locked, sha256(&fs::read(remote.lab.world.the_package()).unwrap()));
    fs::remove_dir_all(remote.lab.world.output()).unwrap();
    fs::rename(remote.lab.world.path(LOCK), remote.feedstock.recipe().join(LOCK)).unwrap();

    // The recipe.
    let recipe = remote.feedstock.read("recipe/meta.yaml");
    remote.feedstock.write("recipe/meta.yaml", format!("{recipe}\n# changed\n"));
    remote.gonda("build", &["--locked"]).fails_with(4).says("the recipe's file `meta.yaml` has changed");
    remote.feedstock.write("recipe/meta.yaml", recipe);

    // The channel: another archive of the same name.
    let lock_file = remote.feedstock.recipe().join(LOCK);
    let text = fs::read_to_string(&lock_file).unwrap();
    let sum = lock["package"][0]["hash"]["sha256"].as_str().unwrap();
    fs::write(&lock_file, text.replace(sum, &"0".repeat(64))).unwrap();
    remote.gonda("build", &["--locked"]).fails_with(4).says("by its sha256");
    // What a test needs is held too.
    let of_tests = lock["package"].as_sequence().unwrap().iter().find(|package| package["name"] == "tool").unwrap();
    let sum = of_tests["hash"]["sha256"].as_str().unwrap();
    fs::write(&lock_file, text.replace(sum, &"0".repeat(64))).unwrap();
    remote.gonda("build", &["--locked"]).fails_with(4).says("the channel has another `tool");
    fs::write(&lock_file, text.replace("name: tool\n", "name: tool-no-more\n")).unwrap();
    remote.gonda("build", &["--locked"]).fails_with(4).says("a test's environment has `tool");
    // A package that is there no more.
    let version = lock["package"][0]["version"].as_str().unwrap();
    fs::write(&lock_file, text.replace(&format!("version: {version}\n"), "version: 0.0.1\n")).unwrap();
    remote.gonda("build", &["--locked"]).fails_with(4).says("the channels don't have the locked");
    remote.lab.has_no_package();
}

#[test]
fn a_lock_tells_variants_apart() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", &format!("echo {{{{ flavour }}}} && {GO_BUILD}"), "");
    feedstock.write("recipe/conda_build_config.yaml", "flavour:\n  - plain\n  - sweet\n");
    lab.world
        .gonda(["lock".as_ref(), feedstock.root().as_os_str(), "-c".as_ref(), lab.channel_url().as_ref()])
        .succeeds()
        .prints("2 outputs");
    let lock = lock_of(&feedstock);
    let packages = lock["package"].as_sequence().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for package in packages {
        let key = ["name", "manager", "platform", "category"].map(|key| package[key].as_str().unwrap());
        assert!(seen.insert(key), "{key:?} is there twice");
    }
    assert!(packages.iter().any(|package| package["category"].as_str().unwrap().contains("/hello.2/build")));
    lab.build(feedstock.root(), &["--locked"]).succeeds();
}

#[test]
fn a_lock_knows_the_sources_go_sum() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", GO_BUILD, "");
    feedstock.write("src/go.sum", "a.b/c v1.0.0 h1:x=\n");
    let lock = |folder: &Path| {
        lab.world.gonda(["lock".as_ref(), folder.as_os_str(), "-c".as_ref(), lab.channel_url().as_ref()])
    };
    lock(feedstock.root()).succeeds();
    lab.build(feedstock.root(), &["--locked"]).succeeds();
    feedstock.write("src/go.sum", "a.b/c v1.0.1 h1:y=\n");
    lab.build(feedstock.root(), &["--locked"]).fails_with(4).says("`go.sum` of the source has changed");
}
