//! Each thing that goes wrong has its exit code and its words, leaves no package behind, and the next run works.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use gonda_testkit::{
    ArchiveKind, Feedstock, FileServer, HandMadeChannel, HandMadePackage, Reply, private_mounts, sha256, skipped,
    source_archive, source_entries,
};

use crate::support::{GONDA, Lab, here};

const SCRIPT: &str = "go build -o $PREFIX/bin/hello .";

/// Builds a feedstock that must fail so, then again after `mend`, which must succeed.
fn check(lab: &Lab, feedstock: &Feedstock, code: i32, words: &[&str], mend: impl FnOnce(&Feedstock)) {
    let mut run = lab.build(feedstock.root(), &[]).fails_with(code);
    for word in words {
        run = run.says(word);
    }
    lab.has_no_package();
    mend(feedstock);
    lab.build(feedstock.root(), &[]).succeeds();
    assert_eq!(lab.world.packages().iter().filter(|name| name.ends_with(".conda")).count(), 1);
}

fn replace(feedstock: &Feedstock, from: &str, to: &str) {
    let recipe = feedstock.read("recipe/meta.yaml");
    assert!(recipe.contains(from), "`{from}` is not in\n{recipe}");
    feedstock.write("recipe/meta.yaml", recipe.replace(from, to));
}

/// Turns the feedstock's path source into an archive behind a server; returns the archive's sha256.
fn with_url_source(feedstock: &Feedstock, folder: &std::path::Path, url: &str, digest: Option<&str>) -> String {
    let archive = source_archive(ArchiveKind::TarGz, &source_entries(&feedstock.root().join("src"), "hello-1.0.0"));
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("hello-1.0.0.tar.gz"), &archive).unwrap();
    let right = sha256(&archive);
    let digest = digest.unwrap_or(&right);
    replace(feedstock, "path: ../src", &format!("url: {url}/hello-1.0.0.tar.gz\n  sha256: {digest}"));
    right
}

#[test]
fn wrong_sha256() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let sources = lab.world.path("sources");
    fs::create_dir_all(&sources).unwrap();
    let server = FileServer::new(&sources);
    let wrong = "0".repeat(64);
    let right = with_url_source(&feedstock, &sources, &server.url(), Some(&wrong));
    check(&lab, &feedstock, 3, &[&wrong, &right, "help:"], |feedstock| replace(feedstock, &wrong, &right));
}

#[test]
fn missing_source() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let sources = lab.world.path("sources");
    fs::create_dir_all(&sources).unwrap();
    let server = FileServer::new(&sources);
    with_url_source(&feedstock, &sources, &server.url(), None);
    fs::rename(sources.join("hello-1.0.0.tar.gz"), sources.join("elsewhere")).unwrap();
    check(&lab, &feedstock, 3, &["hello-1.0.0.tar.gz", "404"], |_| {
        fs::rename(sources.join("elsewhere"), sources.join("hello-1.0.0.tar.gz")).unwrap();
    });
}

#[test]
fn missing_source_path() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    replace(&feedstock, "path: ../src", "path: ../nowhere");
    check(&lab, &feedstock, 2, &["../nowhere"], |feedstock| replace(feedstock, "../nowhere", "../src"));
}

#[test]
fn a_source_cut_short() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let sources = lab.world.path("sources");
    fs::create_dir_all(&sources).unwrap();
    let server = FileServer::with_rule(&sources, |_| Reply::CutAfter(40));
    let honest = FileServer::new(&sources);
    with_url_source(&feedstock, &sources, &server.url(), None);
    check(&lab, &feedstock, 3, &["hello-1.0.0.tar.gz"], |feedstock| replace(feedstock, &server.url(), &honest.url()));
}

#[test]
fn a_source_mirror_is_asked_first() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let mirror = lab.world.path("mirror");
    let digest = with_url_source(&feedstock, &mirror, "http://127.0.0.1:9", None);
    fs::rename(mirror.join("hello-1.0.0.tar.gz"), mirror.join(digest)).unwrap();
    lab.build(feedstock.root(), &["--source-mirror", &mirror.to_string_lossy()]).succeeds();
}

#[test]
fn unsatisfiable() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    replace(&feedstock, "requirements:\n", "requirements:\n  host:\n    - no-such-library >=9\n");
    // The solver's own explanation is part of it.
    check(&lab, &feedstock, 3, &["no-such-library", "No candidates were found"], |feedstock| {
        replace(feedstock, "  host:\n    - no-such-library >=9\n", "");
    });
}

#[cfg(unix)]
#[test]
fn failing_script() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "echo this is the end; exit 7", "");
    let words = ["this is the end", "exit code 7", "output/logs/"];
    check(&lab, &feedstock, 1, &words, |feedstock| {
        assert!(lab.logs().contains("this is the end"), "{}", lab.logs());
        replace(feedstock, "echo this is the end; exit 7", SCRIPT);
    });
}

#[cfg(unix)]
#[test]
fn failing_test() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "test:\n  commands:\n    - hello you\n    - exit 3\n");
    check(&lab, &feedstock, 1, &["exit code 3"], |feedstock| replace(feedstock, "    - exit 3\n", ""));
}

#[test]
fn recipe_mistake() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    replace(&feedstock, "version: 1.0.0", "version: {{ version|nosuchfilter }}");
    check(&lab, &feedstock, 2, &["meta.yaml:3", "nosuchfilter", "version: {{ version|nosuchfilter }}"], |feedstock| {
        replace(feedstock, "{{ version|nosuchfilter }}", "1.0.0");
    });
}

#[test]
fn recipe_mistake_as_json() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    replace(&feedstock, "version: 1.0.0", "version: {{ version|nosuchfilter }}");
    let run = lab
        .world
        .gonda(["render".as_ref(), feedstock.root().as_os_str(), "--format".as_ref(), "json".as_ref()])
        .fails_with(2);
    let event = run.events().into_iter().find(|event| event["event"] == "error").unwrap();
    let error = &event["error"];
    assert_eq!(error["code"], 2, "{run}");
    assert_eq!(error["where"]["line"], 3, "{run}");
    for key in ["message", "help", "cause"] {
        assert!(error.get(key).is_some(), "no `{key}`\n{run}");
    }
}

#[test]
fn unreachable_channel() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/channel");
    let run = lab.world.gonda([
        "build".as_ref(),
        feedstock.root().as_os_str(),
        "-c".as_ref(),
        url.as_ref(),
        "--output-dir".as_ref(),
        lab.world.output().as_os_str(),
    ]);
    run.fails_with(3).says(&url);
    lab.has_no_package();
    lab.build(feedstock.root(), &[]).succeeds();
}

#[test]
fn a_channel_that_is_not_there() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    lab.build(feedstock.root(), &["-c", "file:///no/such/channel"]).fails_with(3).says("/no/such/channel");
    lab.has_no_package();
}

#[test]
fn a_channel_over_http_and_one_that_hangs_up() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let build = |url: &str| {
        lab.world.gonda([
            "build".as_ref(),
            feedstock.root().as_os_str(),
            "-c".as_ref(),
            url.as_ref(),
            "--output-dir".as_ref(),
            lab.world.output().as_os_str(),
        ])
    };
    let cut =
        FileServer::with_rule(
            &lab.channel,
            |path| {
                if path.ends_with(".conda") { Reply::CutAfter(100) } else { Reply::File }
            },
        );
    build(&cut.url()).fails_with(3).says(".conda");
    lab.has_no_package();
    let honest = FileServer::new(&lab.channel);
    build(&honest.url()).succeeds();
    assert!(honest.requests().iter().any(|request| request.ends_with(".conda")), "{:?}", honest.requests());
}

#[test]
fn a_channel_whose_package_is_another() {
    let lab = Lab::fake();
    let subdir = if cfg!(target_os = "macos") { "osx-arm64" } else { "linux-64" };
    let library = HandMadePackage::new("lib", "1", subdir).with_file("lib/x", "honest", false);
    let channel = HandMadeChannel::new(lab.world.path("lying"), std::slice::from_ref(&library));
    let other = HandMadePackage { files: vec![], ..library.clone() }.with_file("lib/x", "changed", false);
    fs::write(channel.folder().join(subdir).join(library.file_name()), other.archive()).unwrap();
    let feedstock = lab.hello("hello", SCRIPT, "");
    replace(&feedstock, "requirements:\n", "requirements:\n  host:\n    - lib\n");
    let run = lab.build(feedstock.root(), &["-c", &channel.url()]);
    assert!(matches!(run.code, Some(3 | 4)), "{run}");
    lab.has_no_package();
    fs::write(channel.folder().join(subdir).join(library.file_name()), library.archive()).unwrap();
    lab.build(feedstock.root(), &["-c", &channel.url()]).succeeds();
}

#[test]
fn wrong_use() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    lab.build(feedstock.root(), &["--no-such-flag"]).fails_with(2).says("--no-such-flag");
    lab.build(feedstock.root(), &["--target-platform", "plan9-64"]).fails_with(2).says("plan9-64");
    lab.build(&lab.world.path("nothing-here"), &[]).fails_with(2).says("nothing-here");
    lab.has_no_package();
}

#[test]
fn a_script_that_installs_nothing_is_warned_of() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "go build -o hello .", "");
    lab.build(feedstock.root(), &[]).succeeds().says("the script installed nothing");
    replace(&feedstock, "-o hello", "-o $PREFIX/bin/hello");
    lab.build(feedstock.root(), &[]).succeeds().is_silent_about("installed nothing");
}

#[test]
fn a_missing_licence_is_named() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    replace(&feedstock, "license_file: LICENSE", "license_file: COPYING");
    let run = lab.build(feedstock.root(), &[]).says("COPYING");
    assert!(matches!(run.code, Some(1 | 2 | 4)), "{run}");
    lab.has_no_package();
}

/// A script that packs many bytes that can't be compressed.
fn big(megabytes: u32) -> String {
    format!("mkdir -p $PREFIX/share && head -c {megabytes}000000 /dev/urandom > $PREFIX/share/big")
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    if !private_mounts() {
        skipped(here!(), "no mounts of one's own here, so no small file system");
        return;
    }
    let lab = Lab::fake();
    let in_a_small_room = r#"
        mount -t tmpfs -o "size=$SIZE" none "$SMALL" || exit 99
        "$@"; code=$?
        echo "left: $(find "$SMALL" -name '*.conda')"
        exit $code"#;
    // The output folder can't take the package; the cache can't even take the toolchain.
    let cases = [("output", "8m", big(40)), ("small-cache", "24k", SCRIPT.to_owned())];
    let feedstocks = cases.map(|(folder, size, script)| {
        let feedstock = lab.hello(folder, &script, "");
        let small = lab.world.path(folder);
        fs::create_dir_all(&small).unwrap();
        let unshared = ["--user", "--map-root-user", "--mount", "sh", "-c", in_a_small_room, "sh"];
        let mut command = lab.world.command_of("unshare", unshared);
        command.arg(GONDA).args(lab.build_arguments(feedstock.root(), &[])).env("SMALL", &small).env("SIZE", size);
        if folder == "small-cache" {
            command.env("GONDA_CACHE_DIR", &small);
        }
        let run = lab.world.run(command).fails_with(5).says("No space left").says("help:");
        if folder == "output" {
            run.prints("left: \n");
        }
        lab.has_no_package();
        feedstock
    });
    for feedstock in feedstocks {
        lab.build(feedstock.root(), &[]).succeeds();
    }
}

#[cfg(unix)]
#[test]
fn killed_while_packing() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", &big(400), "");
    let mut running = lab.world.start(lab.world.command(lab.build_arguments(feedstock.root(), &[])));
    let begin = Instant::now();
    while !lab.world.packages().iter().any(|name| name.ends_with(".part")) {
        assert!(running.runs() && begin.elapsed() < Duration::from_secs(300), "{}", running.wait());
        std::thread::sleep(Duration::from_millis(2));
    }
    let run = running.kill();
    assert_eq!(run.code, None, "{run}");
    assert!(!lab.world.packages().iter().any(|name| name.ends_with(".conda")), "{:?}", lab.world.packages());
    replace(&feedstock, &big(400), SCRIPT);
    lab.build(feedstock.root(), &[]).succeeds();
    // What the killed run left is gone too.
    assert!(lab.world.the_package().to_string_lossy().ends_with(".conda"));
    lab.world.gonda(["verify".as_ref(), lab.world.the_package().as_os_str()]).succeeds();
}

#[cfg(unix)]
#[test]
fn interrupted_while_a_script_runs() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", "echo begun; sleep 120", "");
    let mut running = lab.world.start(lab.world.command(lab.build_arguments(feedstock.root(), &[])));
    let begin = Instant::now();
    while !lab.logs().contains("begun") {
        assert!(running.runs() && begin.elapsed() < Duration::from_secs(120), "{}", running.wait());
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = std::process::Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(told.success());
    let run = running.wait().fails_with(130);
    assert!(run.elapsed < Duration::from_secs(100), "the script was waited for\n{run}");
    lab.has_no_package();
}

#[test]
fn a_toolchain_older_than_the_source_wants() {
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", SCRIPT, "");
    let go_mod = feedstock.read("src/go.mod");
    feedstock.write("src/go.mod", go_mod.replace("go 1.20", "go 2.1"));
    let words = ["`go.mod` asks for Go 2.1 or newer", "it would have Go 1.99.0", "needs `go 1.99.0"];
    check(&lab, &feedstock, 3, &words, |feedstock| {
        // A `toolchain` line is a wish.
        feedstock.write("src/go.mod", go_mod.replace("go 1.20", "go 1.20\ntoolchain go2.1.0"));
    });
}
