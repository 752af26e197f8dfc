//! Packages written and read back.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::extract::{Extent, extract};
use crate::prefix::{Detection, PrefixMap};
use crate::scan::{Remark, Scanned, list, scan};
use crate::verify::verify;

const INDEX: &str =
    r#"{"build": "0", "build_number": 0, "depends": [], "name": "tool", "subdir": "linux-64", "version": "1.0"}"#;

fn package<'a>(entries: &'a [Entry], info: &'a [InfoFile], threads: u32) -> Package<'a> {
    Package { stem: "tool-1.0-0", entries, info, timestamp: 1_700_000_001, compression: Compression::DEFAULT, threads }
}

fn index() -> InfoFile {
    InfoFile::bytes("index.json", INDEX)
}

/// A prefix on disk, and a folder for packages beside it.
struct World {
    root: tempfile::TempDir,
}

impl World {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let world = Self { root: tempfile::tempdir().unwrap() };
        for (path, content) in files {
            let path = world.prefix().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        world
    }

    fn prefix(&self) -> PathBuf {
        self.root.path().join("prefix")
    }

    fn out(&self) -> PathBuf {
        self.root.path().join("out")
    }

    fn scan(&self) -> Scanned {
        let prefix = self.prefix();
        let text = prefix.to_str().unwrap();
        scan(&prefix, text, list(&prefix).unwrap(), &|_| false, &Detection::of(text, false)).unwrap()
    }

    fn write(&self, entries: &[Entry]) -> Result<Artifact> {
        write(&self.out(), &package(entries, &[index()], 1))
    }
}

/// `paths.json` of a package, a line each: path, type, size, mode of the prefix.
fn paths(path: &Path) -> Vec<String> {
    let info = crate::record::read_info(path, &|name| name == "paths.json", &Limits::default()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&info["paths.json"]).unwrap();
    json["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| {
            let words = ["_path", "path_type", "size_in_bytes", "file_mode", "no_link"].iter().filter_map(|key| path.get(*key));
            words.map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn zip_times() {
    let check = |timestamp, expected: &str| assert_eq!(zip_time(timestamp).to_string(), expected);
    check(0, "1980-01-01 00:00:00");
    check(315_532_800, "1980-01-01 00:00:00");
    check(951_868_799, "2000-02-29 23:59:58");
    check(1_700_000_001, "2023-11-14 22:13:20");
    check(i64::MAX, "1980-01-01 00:00:00");
}

#[test]
fn a_prefix_is_packed_and_verified() {
    let world = World::new(&[
        ("bin/tool", b"#!/bin/sh\n"),
        ("lib/x.la", b"dropped"),
        ("conda-meta/history", b"dropped"),
        ("share/.git/HEAD", b"dropped"),
        ("share/.DS_Store", b"dropped"),
        ("share/a.conda_trash_1", b"dropped"),
        ("share/a.conda_trashed", b""),
    ]);
    std::fs::create_dir_all(world.prefix().join("empty")).unwrap();
    let artifact = world.write(&world.scan().entries).unwrap();
    assert_eq!(paths(&artifact.path), ["bin/tool hardlink 10", "share/a.conda_trashed hardlink 0"]);
    let verification = verify(&artifact.path, &Limits::default()).unwrap();
    assert_eq!(verification.problems, []);
    assert_eq!((verification.files, verification.info), (2, 3));
    let record = crate::record::repodata_record(&artifact.path).unwrap();
    assert_eq!(record["sha256"], artifact.sha256);
    assert_eq!(record["size"], artifact.size);
    assert_eq!(std::fs::read_dir(world.out()).unwrap().count(), 1, "nothing but the package is left");
}

#[test]
fn bytes_depend_on_nothing_but_the_content() {
    let noise: Vec<u8> = (0..40u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x3f).collect();
    let first = World::new(&[("bin/tool", b"x"), ("lib/big", &noise), ("a", b"y")]);
    let second = World::new(&[("a", b"y"), ("lib/big", &noise), ("bin/tool", b"x")]);
    let info = [InfoFile::bytes("about.json", "{}"), index()];
    let mut sums = std::collections::BTreeSet::new();
    for compression in [Compression { level: 1, long: Some(27) }, Compression { level: 1, long: None }] {
        for (world, threads) in [(&first, 1), (&first, 2), (&second, 4)] {
            let entries = world.scan().entries;
            let package = Package { compression, ..package(&entries, &info, threads) };
            sums.insert(write(&world.out(), &package).unwrap().sha256);
        }
    }
    assert_eq!(sums.len(), 2, "one for each compression");
}

#[cfg(unix)]
#[test]
fn modes_links_and_hard_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let world = World::new(&[("bin/tool", b"12345"), ("bin/data", b"d"), ("lib/dir/file", b"f")]);
    let prefix = world.prefix();
    let chmod = |path: &str, mode| std::fs::set_permissions(prefix.join(path), PermissionsExt::from_mode(mode)).unwrap();
    chmod("bin/tool", 0o4701);
    chmod("bin/data", 0o600);
    std::fs::hard_link(prefix.join("bin/tool"), prefix.join("bin/again")).unwrap();
    symlink("tool", prefix.join("bin/relative")).unwrap();
    symlink(prefix.join("bin/tool"), prefix.join("lib/absolute")).unwrap();
    symlink("/nowhere/at/all", prefix.join("lib/dangling")).unwrap();
    symlink("dir", prefix.join("lib/folder")).unwrap();
    symlink("a", prefix.join("lib/b")).unwrap();
    symlink("b", prefix.join("lib/a")).unwrap();
    let scanned = world.scan();
    let dangling = Remark::AbsoluteLink { path: "lib/dangling".into(), target: "/nowhere/at/all".into() };
    assert_eq!(scanned.remarks, [dangling]);
    let artifact = world.write(&scanned.entries).unwrap();
    assert_eq!(
        paths(&artifact.path),
        [
            "bin/again hardlink 5",
            "bin/data hardlink 1",
            "bin/relative softlink 5",
            "bin/tool hardlink 5",
            "lib/a softlink 0",
            "lib/absolute softlink 5",
            "lib/b softlink 0",
            "lib/dangling softlink 0",
            "lib/dir/file hardlink 1",
            "lib/folder softlink 0",
        ]
    );
    let inspection = crate::inspect::inspect(&artifact.path, &Limits::default()).unwrap();
    let modes: Vec<String> = inspection.files.iter().map(|f| format!("{} {}", f.path, f.mode)).collect();
    assert!(modes.contains(&"bin/tool 0755".to_owned()) && modes.contains(&"bin/data 0644".to_owned()), "{modes:?}");
    let absolute = inspection.files.iter().find(|file| file.path == "lib/absolute").unwrap();
    assert_eq!(absolute.target.as_deref(), Some("../bin/tool"));
    // Only the dangling link is worth a word, and it is not extracted.
    assert_eq!(inspection.problems.len(), 1, "{:?}", inspection.problems);
    let folder = world.root.path().join("extracted");
    let warnings = extract(&artifact.path, &folder, Extent::All, &Limits::default()).unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(std::fs::read(folder.join("lib/absolute")).unwrap(), b"12345");
    assert_eq!(folder.join("bin/tool").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    assert!(folder.join("info/index.json").is_file());
}

#[test]
fn text_is_mapped_and_binaries_are_reported() {
    let world = World::new(&[]);
    let prefix = world.prefix();
    let real = prefix.to_str().unwrap();
    let fixed = format!("/{}", "f".repeat(real.len() - 1));
    std::fs::create_dir_all(&prefix).unwrap();
    std::fs::write(prefix.join("text"), format!("a {real}/bin b {real}")).unwrap();
    std::fs::write(prefix.join("binary"), format!("\0{real}/bin\0")).unwrap();
    let map = Some(Arc::new(PrefixMap::new(real, fixed.clone()).unwrap()));
    let detection = Detection { map, ..Detection::of(real, false) };
    let scanned = scan(&prefix, real, list(&prefix).unwrap(), &|path| path == "text", &detection).unwrap();
    assert_eq!(scanned.remarks, [Remark::PathDependent { path: "binary".into() }]);
    assert_eq!(scanned.remarks[0].to_string(), "not path-independent: binary");
    let artifact = world.write(&scanned.entries).unwrap();
    let folder = world.root.path().join("extracted");
    extract(&artifact.path, &folder, Extent::All, &Limits::default()).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("text")).unwrap(), format!("a {fixed}/bin b {fixed}"));
    let has_prefix = std::fs::read_to_string(folder.join("info/has_prefix")).unwrap();
    assert_eq!(has_prefix, format!("{real} binary binary\n{fixed} text text\n").split_inclusive('\n').map(str::to_owned).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<String>());
    assert_eq!(std::fs::read_to_string(folder.join("info/no_link")).unwrap(), "text\n");
    assert_eq!(std::fs::read_to_string(folder.join("info/files")).unwrap(), "binary\ntext\n");
}

#[test]
fn what_cant_be_packed_is_refused() {
    let world = World::new(&[("a", b"")]);
    let source = world.prefix().join("a");
    let check = |entries: &[Entry], expected: &str| {
        let error = world.write(entries).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!world.out().exists() || std::fs::read_dir(world.out()).unwrap().next().is_none());
    };
    let entry = |path: &str| Entry::file(path, &source, false);
    check(&[entry("../a")], "`../a` can't be packed: a path with `..`");
    check(&[entry("/a")], "an absolute path");
    check(&[entry("a"), entry("a")], "`a` was to be packed twice");
    check(&[entry("info/a")], "`info/` holds the package's metadata");
    check(&[entry("a"), entry("a/b")], "lies below `a`, which is no folder");
    check(&[Entry::file("b", world.prefix().join("absent"), false)], "could not read");
    check(&[Entry::file("b", world.prefix(), false)], "is not a regular file");
    let error = write(&world.out(), &package(&[], &[], 1)).unwrap_err().to_string();
    assert!(error.contains("`info/index.json`: missing"), "{error}");
    let error = write(&world.out(), &Package { stem: "other-1-0", ..package(&[], &[index()], 1) }).unwrap_err();
    assert!(error.to_string().contains("is that of `tool-1.0-0`, not of `other-1-0`"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_named() {
    let world = World::new(&[("a", b"")]);
    let _socket = std::os::unix::net::UnixListener::bind(world.prefix().join("s")).unwrap();
    let prefix = world.prefix();
    let detection = Detection::of("/p", false);
    let error = scan(&prefix, "/p", list(&prefix).unwrap(), &|_| false, &detection).unwrap_err();
    assert_eq!(error.to_string(), "`s` is neither a file nor a link");
}

#[test]
fn leftovers_of_a_killed_writer_are_taken_over() {
    let world = World::new(&[("a", b"content")]);
    std::fs::create_dir_all(world.out()).unwrap();
    std::fs::write(world.out().join("tool-1.0-0.conda.part"), vec![7; 100_000]).unwrap();
    std::fs::write(world.out().join("tool-1.0-0.conda"), "an old one").unwrap();
    let artifact = world.write(&world.scan().entries).unwrap();
    assert!(verify(&artifact.path, &Limits::default()).unwrap().ok());
    assert_eq!(std::fs::read_dir(world.out()).unwrap().count(), 1);
}

#[test]
fn writers_of_one_package_wait_for_one_another() {
    let world = World::new(&[("a", &[5; 300_000])]);
    let entries = world.scan().entries;
    let sums: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| world.write(&entries).unwrap().sha256)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sums.iter().all(|sum| *sum == sums[0]));
    assert_eq!(std::fs::read_dir(world.out()).unwrap().count(), 1);
}

#[test]
fn long_names_survive() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    let world = World::new(&[(&long, b"x"), ("ünï/ço dé", b"y")]);
    let artifact = world.write(&world.scan().entries).unwrap();
    assert_eq!(verify(&artifact.path, &Limits::default()).unwrap().problems, []);
    assert_eq!(paths(&artifact.path), [format!("{long} hardlink 1"), "ünï/ço dé hardlink 1".to_owned()]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_goes_in_comes_out(
        files in proptest::collection::btree_map("[a-z]{1,3}(/[a-z.]{0,2}[A-Z]){0,2}", proptest::collection::vec(any::<u8>(), 0..3000), 0..12),
        long in any::<bool>(),
    ) {
        // A file can't be another's folder; `info` and `conda-meta` are reserved.
        let files: Vec<(&String, &Vec<u8>)> = files
            .iter()
            .filter(|(path, _)| !files.keys().any(|other| other.starts_with(&format!("{path}/"))))
            .collect();
        let listed: Vec<(&str, &[u8])> = files.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
        let world = World::new(&listed);
        std::fs::create_dir_all(world.prefix()).unwrap();
        let entries = world.scan().entries;
        let info = [index()];
        let compression = Compression { level: 3, long: long.then_some(27) };
        let artifact = write(&world.out(), &Package { compression, ..package(&entries, &info, 2) }).unwrap();
        prop_assert_eq!(verify(&artifact.path, &Limits::default()).unwrap().ok(), true);
        let folder = world.root.path().join("extracted");
        extract(&artifact.path, &folder, Extent::Payload, &Limits::default()).unwrap();
        prop_assert_eq!(list(&folder).unwrap(), list(&world.prefix()).unwrap());
        for (path, content) in listed {
            prop_assert_eq!(std::fs::read(folder.join(path)).unwrap(), content);
        }
    }
}
