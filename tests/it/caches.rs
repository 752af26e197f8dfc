//! What is kept from one run to the next: it answers what didn't change, and it can be made
//! smaller.
#![cfg(unix)]

use std::path::PathBuf;

use gonda_testkit::{
    ArchiveKind, Feedstock, FileServer, Run, private_mounts, sha256, skipped, source_archive, source_entries,
};

use crate::support::{Lab, here};

/// A feedstock whose script counts its own runs, in a file that the test can see.
fn counting(lab: &Lab) -> (Feedstock, PathBuf) {
    let count = lab.world.path("count");
    let script = format!("echo run >> {}; go build -o $PREFIX/bin/hello .", count.display());
    (lab.hello("hello", &script, ""), count)
}

fn runs(count: &std::path::Path) -> usize {
    std::fs::read_to_string(count).unwrap_or_default().lines().count()
}

#[test]
fn an_unchanged_build_is_answered() {
    let mut lab = Lab::fake();
    lab.rebuild = false;
    let (feedstock, count) = counting(&lab);
    // Without mounts, so that the script can reach the file in which it counts.
    let build = |lab: &Lab, more: &[&str]| -> Run {
        lab.build(feedstock.root(), &[&["--isolation", "env"], more].concat()).succeeds()
    };
    build(&lab, &[]).prints("built");
    let package = lab.world.the_package();
    let first = std::fs::read(&package).unwrap();
    assert_eq!(runs(&count), 1);

    build(&lab, &[]).prints("unchanged");
    // Another folder, or none: the package is there again, and in the index.
    std::fs::remove_file(&package).unwrap();
    std::fs::remove_file(package.with_file_name("repodata.json")).unwrap();
    build(&lab, &[]).prints("unchanged");
    assert_eq!(sha256(&std::fs::read(&package).unwrap()), sha256(&first));
    assert!(std::fs::read_to_string(package.with_file_name("repodata.json")).unwrap().contains("hello-1.0.0-"));
    assert_eq!(runs(&count), 1);

    build(&lab, &["--rebuild"]).prints("built");
    assert_eq!(runs(&count), 2);

    // Whatever decides bytes makes another build of it.
    feedstock.write("src/main.go", "package main\n\nfunc main() { println(\"changed\") }\n");
    build(&lab, &[]).prints("built");
    feedstock.write("recipe/extra.txt", "in the recipe folder");
    build(&lab, &[]).prints("built");
    build(&lab, &["--compression-level", "3"]).prints("built");
    assert_eq!(runs(&count), 5);
    build(&lab, &["--compression-level", "3"]).prints("unchanged");

    // Nothing that happened to a kept package is handed on.
    for entry in crate::support::walk(&lab.world.cache().join("finished")) {
        if entry.extension().is_some_and(|extension| extension == "conda") {
            std::fs::write(entry, "spoilt").unwrap();
        }
    }
    std::fs::remove_dir_all(lab.world.output()).unwrap();
    build(&lab, &[]).prints("built");
    lab.world.gonda(["verify".as_ref(), lab.world.the_package().as_os_str()]).succeeds();
}

#[test]
fn an_unchanged_build_does_without_its_source() {
    let mut lab = Lab::fake();
    lab.rebuild = false;
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello .", "");
    let archive = source_archive(ArchiveKind::TarGz, &source_entries(&feedstock.root().join("src"), "hello-1.0.0"));
    let served = lab.world.path("sources");
    std::fs::create_dir_all(&served).unwrap();
    std::fs::write(served.join("hello-1.0.0.tar.gz"), &archive).unwrap();
    let server = FileServer::new(&served);
    let patched = |to: &str| {
        let patch =
            "--- a/main.go\n+++ b/main.go\n@@ -1,3 +1,3 @@\n package main\n \n-func main() { println(\"hello\") }\n+";
        feedstock.write("recipe/greet.patch", format!("{patch}func main() {{ println(\"{to}\") }}\n"));
    };
    let source = format!(
        "url: {}/hello-1.0.0.tar.gz\n  sha256: {}\n  patches:\n    - greet.patch",
        server.url(),
        sha256(&archive)
    );
    feedstock.write("recipe/meta.yaml", feedstock.read("recipe/meta.yaml").replace("path: ../src", &source));
    patched("good morning");
    lab.build(feedstock.root(), &[]).succeeds().prints("built");

    // Nothing of it is left, and nobody asks for it.
    std::fs::remove_dir_all(lab.world.cache().join("sources")).unwrap();
    std::fs::remove_dir_all(&served).unwrap();
    lab.build(feedstock.root(), &[]).succeeds().prints("unchanged");
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());
    // Whoever builds asks.
    lab.build(feedstock.root(), &["--rebuild"]).fails_with(3).says("hello-1.0.0.tar.gz");
    patched("good evening");
    lab.build(feedstock.root(), &[]).fails_with(3).says("hello-1.0.0.tar.gz");
}

#[test]
fn outputs_that_share_a_work_folder_are_answered_together() {
    let mut lab = Lab::fake();
    lab.rebuild = false;
    let feedstock = Feedstock::new(lab.world.path("two-feedstock"));
    let recipe = |second: &str| {
        format!(
            "package:\n  name: two\n  version: 1\nsource:\n  path: ../src\noutputs:\n  - name: one\n    script: one.sh\n  \
             - name: other\n    script: other.sh\nabout:\n  license: MIT\n  summary: {second}\n"
        )
    };
    feedstock.write("recipe/meta.yaml", recipe("Two of them"));
    feedstock.write("src/a", "a");
    feedstock.write("recipe/one.sh", "echo made > made; mkdir -p $PREFIX/share; cp made $PREFIX/share/one\n");
    feedstock.write("recipe/other.sh", "mkdir -p $PREFIX/share; cp made $PREFIX/share/other\n");
    lab.build(feedstock.root(), &[]).succeeds();
    let run = lab.build(feedstock.root(), &[]).succeeds();
    assert_eq!(run.stdout.matches("unchanged").count(), 2, "{run}");
    // One is lost: both scripts run again, for the second needs what the first left in the work folder.
    for entry in std::fs::read_dir(lab.world.cache().join("finished")).unwrap().map(|entry| entry.unwrap().path()) {
        let holds = |name: &str| crate::support::walk(&entry).iter().any(|file| file.ends_with(name));
        if entry.is_dir() && holds("other-1-0.conda") {
            std::fs::remove_dir_all(entry).unwrap();
        }
    }
    let run = lab.build(feedstock.root(), &[]).succeeds();
    assert_eq!(run.stdout.matches("built").count(), 2, "{run}");
}

#[test]
fn the_caches_tell_their_size_and_are_emptied() {
    let mut lab = Lab::fake();
    lab.rebuild = false;
    let (feedstock, _) = counting(&lab);
    lab.build(feedstock.root(), &["--isolation", "env"]).succeeds();
    let size = || lab.world.gonda(["cache", "size", "--format", "json"]).succeeds().json();
    let bytes = |name: &str| {
        let size = size();
        let parts = size["parts"].as_array().unwrap();
        parts.iter().find(|part| part["name"] == name).unwrap()["bytes"].as_u64().unwrap()
    };
    assert!(bytes("pkgs") > 0 && bytes("finished") > 0, "{}", size());
    lab.world.gonda(["cache", "size"]).succeeds().prints("finished packages");
    // Nothing is older than a day.
    lab.world.gonda(["cache", "prune", "--days", "1"]).succeeds().prints("removed 0 entries");
    lab.build(feedstock.root(), &["--isolation", "env"]).succeeds().prints("unchanged");
    lab.world.gonda(["cache", "clean"]).succeeds();
    assert_eq!(size()["bytes"], 0);
    lab.build(feedstock.root(), &["--isolation", "env"]).succeeds().prints("built");
}

/// A port that nobody listens on just now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Two machines' caches and a store between them: what one compiled the other doesn't, and the package is the same; so it
/// is where the store is dead or spoilt, which is told once.
#[test]
fn machines_share_what_go_compiled() {
    if !private_mounts() {
        return skipped(here!(), "no namespaces here, and Go's keys hold folders");
    }
    let Some(mut lab) = Lab::real(here!()) else { return };
    let build = |lab: &mut Lab, cache: &str, url: &str| {
        let folder = lab.world.path(cache);
        let std = lab.world.cache().join("gocache");
        lab.world.share_cache(folder).share_go_std(std.canonicalize().unwrap());
        let feedstock = lab.hello("hello", "go build -v -o $PREFIX/bin/hello .", "");
        let _ = std::fs::remove_dir_all(lab.world.output());
        let run = lab.build(feedstock.root(), &["--go-cache", url]).succeeds();
        (
            sha256(&std::fs::read(lab.world.the_package()).unwrap()),
            lab.logs().contains("gonda.invalid/tests/hello\n"),
            run,
        )
    };
    lab.build(lab.hello("hello", "go build -v -o $PREFIX/bin/hello .", "").root(), &[]).succeeds();
    let first = sha256(&std::fs::read(lab.world.the_package()).unwrap());

    let port = free_port();
    let (address, store) = (format!("127.0.0.1:{port}"), lab.world.path("store"));
    let serve = ["gocache", "serve", "--listen", &address, "--folder", store.to_str().unwrap()];
    let mut server = lab.world.start(lab.world.command(serve));
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(server.runs(), "{}", server.wait());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let url = format!("http://{address}");
    for (machine, compiles) in [("one", true), ("two", false), ("one", false)] {
        let (package, compiled, run) = build(&mut lab, machine, &url);
        assert_eq!((&package, compiled), (&first, compiles), "{machine}\n{run}");
        run.is_silent_about("Go build cache");
    }
    let objects = crate::support::walk(&store);
    assert!(!objects.is_empty());
    let once = |run: &Run| assert_eq!(run.stderr.matches("the Go build cache `http").count(), 1, "{run}");
    for object in objects {
        // The server finds out what was damaged on its own disk; what lies is caught by who takes it.
        std::fs::write(object, "spoilt").unwrap();
    }
    assert_eq!(build(&mut lab, "three", &url).0, first);
    let _ = server.kill();
    let (package, compiled, run) = build(&mut lab, "four", &url);
    assert_eq!((&package, compiled), (&first, true), "{run}");
    once(&run);
    // What a machine has serves without the store.
    let (package, compiled, run) = build(&mut lab, "two", &url);
    assert_eq!((package, compiled), (first, false), "{run}");
    let feedstock = lab.hello("hello", "true", "");
    lab.build(feedstock.root(), &["--go-cache", "ftp://x"]).fails_with(2).says("can't be used");
}
