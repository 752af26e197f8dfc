//! A lock is written, read again, and finds what has changed.

use std::str::FromStr;

use rattler_conda_types::package::DistArchiveIdentifier;
use rattler_conda_types::{PackageName, PackageRecord, Version};

use super::*;

fn record(name: &str, version: &str, build: &str, content: &str) -> RepoDataRecord {
    let name = PackageName::from_str(name).unwrap();
    let file = format!("{}-{version}-{build}.conda", name.as_normalized());
    let mut package = PackageRecord::new(name, Version::from_str(version).unwrap(), build.parse().unwrap());
    package.subdir = "linux-64".to_owned();
    package.depends = vec!["libc >=2,<3".to_owned(), "bare".to_owned()];
    package.sha256 = Some(Sha256::digest(content));
    RepoDataRecord {
        package_record: package,
        identifier: DistArchiveIdentifier::from_str(&file).unwrap(),
        url: format!("https://channel.invalid/c/linux-64/{file}").parse().unwrap(),
        channel: Some("https://channel.invalid/c/".to_owned()),
    }
}

struct World {
    folder: tempfile::TempDir,
    output: LockedOutput,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("recipe")).unwrap();
        std::fs::write(folder.path().join("recipe/meta.yaml"), "package: {}\n").unwrap();
        let build = vec![record("go", "1.26.8", "h0", "go"), record("go-nocgo", "1.26.8", "h1", "nocgo")];
        let output = LockedOutput {
            key: "linux-64/tool".to_owned(),
            build_string: "h2_0".to_owned(),
            environments: vec![
                ("build", "linux-64".to_owned(), build),
                ("host", "linux-64".to_owned(), Vec::new()),
                ("test", "linux-64".to_owned(), vec![record("go", "1.26.8", "h0", "go")]),
            ],
            sources: vec!["sha256:00".to_owned()],
            go_sums: [("go.sum".to_owned(), digest_of(b"sum"))].into(),
            answers: [("a.b/c/@latest".to_owned(), "{\"Version\":\"v1.0.0\"}".to_owned())].into(),
        };
        Self { folder, output }
    }

    fn inputs(&self) -> Vec<PathBuf> {
        vec![self.folder.path().join("recipe/meta.yaml")]
    }

    /// Written and read again.
    fn lock(&self) -> Lock {
        let outputs = std::slice::from_ref(&self.output);
        let lock = Lock::new(self.folder.path(), &self.inputs(), &["conda-forge".to_owned()], outputs).unwrap();
        lock.write().unwrap();
        let read = Lock::read(self.folder.path()).unwrap();
        assert_eq!(lock, read);
        read
    }
}

/// All that an error says, without the lock's path.
fn said(result: Result<()>) -> String {
    let Err(error) = result else { return "-".to_owned() };
    assert_eq!(error.kind, Kind::Verification);
    let all = std::iter::once(&error).chain(&error.others);
    let texts = all.map(|error| error.message.split_once("any more: ").unwrap().1.to_owned());
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_stands_in_it() {
    let world = World::new();
    world.lock();
    let text = std::fs::read_to_string(world.folder.path().join(FILE_NAME)).unwrap();
    let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    // CEP 37: what must be there, and nothing else in `metadata`.
    let metadata = value["metadata"].as_mapping().unwrap();
    let keys: Vec<&str> = metadata.keys().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys, ["content_hash", "channels", "platforms", "sources", "inputs_metadata", "custom_metadata"]);
    assert_eq!(value["metadata"]["sources"][0], "recipe/meta.yaml");
    assert_eq!(value["metadata"]["platforms"][0], "linux-64");
    assert_eq!(value["metadata"]["content_hash"]["linux-64"].as_str().unwrap().len(), 64);
    assert_eq!(value["metadata"]["custom_metadata"]["gonda.toolchain/linux-64/tool"], "go 1.26.8");
    let package = &value["package"][0];
    assert_eq!(package["category"], "linux-64/tool/build");
    assert_eq!(package["dependencies"]["libc"], ">=2,<3");
    assert_eq!(package["dependencies"]["bare"], "");
    assert_eq!(package["optional"], false);
    assert_eq!(value["package"].as_sequence().unwrap().len(), 3);
}

#[test]
fn nothing_has_changed() {
    let world = World::new();
    let lock = world.lock();
    assert_eq!(said(lock.check_inputs(&world.inputs())), "-");
    let output = lock.output("linux-64/tool").unwrap();
    for (environment, _, records) in &world.output.environments {
        assert_eq!(said(output.check_environment(environment, records)), "-");
    }
    assert_eq!(said(output.check_source(&world.output.sources, &world.output.go_sums)), "-");
    assert_eq!(output.constraints("build"), ["go ==1.26.8 h0", "go-nocgo ==1.26.8 h1"]);
    assert_eq!(lock.answers(), world.output.answers);
}

#[test]
fn drift() {
    let world = World::new();
    let lock = world.lock();
    let output = lock.output("linux-64/tool").unwrap();
    let check = |records: &[RepoDataRecord], expected: &str| {
        assert_eq!(said(output.check_environment("build", records)), expected);
    };
    let (go, nocgo) = (record("go", "1.26.8", "h0", "go"), record("go-nocgo", "1.26.8", "h1", "nocgo"));
    check(
        &[go.clone(), record("go-nocgo", "1.26.8", "h1", "changed")],
        "the channel has another `go-nocgo ==1.26.8 h1` now, by its sha256",
    );
    check(
        &[record("go", "1.27", "h0", "go"), nocgo.clone()],
        "the build environment has `go ==1.27 h0` in place of `go ==1.26.8 h0`",
    );
    check(
        &[go, record("more", "1", "0", "")],
        "the build environment has `more ==1 0` now\nthe build environment has no `go-nocgo` any more",
    );

    assert_eq!(
        said(output.check_source(&["sha256:11".to_owned()], &world.output.go_sums)),
        "source 1 is `sha256:11`, and was `sha256:00`"
    );
    let sums = [("go.sum".to_owned(), digest_of(b"other")), ("x/go.sum".to_owned(), digest_of(b""))].into();
    assert_eq!(
        said(output.check_source(&world.output.sources, &sums)),
        "`go.sum` of the source has changed\n`x/go.sum` of the source is new"
    );

    assert_eq!(said(lock.output("osx-64/tool").map(drop)), "`osx-64/tool` is not in it");
    let build = world.folder.path().join("recipe/build.sh");
    std::fs::write(&build, "").unwrap();
    std::fs::write(&world.inputs()[0], "package: {name: x}\n").unwrap();
    assert_eq!(
        said(lock.check_inputs(&[world.inputs(), vec![build]].concat())),
        "the recipe's file `recipe/meta.yaml` has changed\nthe recipe's file `recipe/build.sh` is new"
    );
    assert_eq!(said(lock.check_inputs(&[])), "the recipe's file `recipe/meta.yaml` is gone");
}

#[test]
fn other_files_are_no_locks() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Lock::read(folder.path()).unwrap_err().kind, Kind::Usage);
    for text in ["", "[1]", "version: 2\nmetadata: {}\npackage: []\n"] {
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap_err().kind, Kind::Usage, "{text}");
    }
}

#[test]
fn environments_of_tests() {
    let mut world = World::new();
    let test = &mut world.output.environments[2].2;
    test.push(record("tool", "1", "h0", "one"));
    test.push(record("tool", "2", "h0", "two"));
    let lock = world.lock();
    let locked = lock.output("linux-64/tool").unwrap();
    // Two tests have another `tool` each: a solve can't be held to both.
    assert_eq!(locked.test_constraints().unwrap(), ["go ==1.26.8 h0"]);
    let check = |records: &[RepoDataRecord]| said(locked.check_members(&records.iter().collect::<Vec<_>>()));
    assert_eq!(check(&[record("go", "1.26.8", "h0", "go"), record("tool", "2", "h0", "two")]), "-");
    assert_eq!(check(&[record("tool", "3", "h0", "three")]), "a test's environment has `tool ==3 h0` now");
    assert_eq!(check(&[record("tool", "1", "h0", "x")]), "the channel has another `tool ==1 h0` now, by its sha256");
    world.output.environments.pop();
    let lock = world.lock();
    assert_eq!(lock.output("linux-64/tool").unwrap().test_constraints(), None);
}
