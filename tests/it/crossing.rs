//! Host tools while crossing: what a script for another platform runs, runs here, and what it packs is the target's.

use std::path::Path;

use gonda_testkit::{Entry, Feedstock, ModuleProxy, conda_members, private_mounts, skipped};

use crate::samples::Samples;
use crate::support::{Lab, SEVEN, files, here, on_linux_64};

/// A target that no emulator of a Linux machine runs.
const FOREIGN: &str = "osx-arm64";

/// A program that says what it was built for, what it was told and what it sees.
const PROGRAM: &str = r#"package main

import (
	"os"
	"runtime"
)

func main() {
	line := "NAME built for " + runtime.GOOS + "/" + runtime.GOARCH + ", sees " + os.Getenv("GOOS") + "/" + os.Getenv("GOARCH")
	for _, arg := range os.Args[1:] {
		line += " " + arg
	}
	os.Stdout.WriteString(line + "\n")
}
"#;

const SCRIPT: &str = r#"set -ex
mkdir -p $PREFIX/share
exec 3> $PREFIX/share/report
go version | cut -d' ' -f1-2,4 >&3
test "$(go env GOROOT)" = "$BUILD_PREFIX/go"
go generate ./...
cat generated >&3
go run ./gen by hand >&3
go run gonda.invalid/tests/stamp@v1.0.0 by version >&3
go install gonda.invalid/tests/stamp@v1.0.0
stamp installed >&3
GOBIN=$PWD/mine go install gonda.invalid/tests/stamp@v1.0.0
./mine/stamp elsewhere >&3
(unset GOOS GOARCH; go run ./gen by itself >&3)
go install -tags x ./cmd/...
$PREFIX/bin/alpha completion bash >&3
go build -o out/ ./cmd/beta && cp out/beta copied && strip copied 2> /dev/null || true
./copied copied >&3
alpha from PATH >&3
go build -o /dev/null ./cmd/beta
go run ./gone && exit 1
exec 3>&-
"#;

fn program(name: &str) -> String {
    PROGRAM.replace("NAME", name)
}

/// A feedstock whose script uses Go in all the ways that a cross build must know.
fn feedstock(lab: &mut Lab, script: &str) -> Feedstock {
    let mut proxy = ModuleProxy::new(lab.world.path("stamp-proxy"));
    let module = "module gonda.invalid/tests/stamp\n\ngo 1.20\n";
    let entries = vec![Entry::file("go.mod", module), Entry::file("main.go", program("stamp").as_str())];
    proxy.add_entries("gonda.invalid/tests/stamp", "v1.0.0", entries);
    lab.world.env("GONDA_GOPROXY", proxy.url());
    let feedstock = lab.hello("crosser", "bash $RECIPE_DIR/cross.sh", "");
    feedstock.write("recipe/cross.sh", script);
    feedstock.write("src/gen/main.go", program("gen"));
    feedstock.write("src/cmd/alpha/main.go", program("alpha"));
    feedstock.write("src/cmd/beta/main.go", program("beta"));
    feedstock
        .write("src/lib/lib.go", "package lib\n\n//go:generate sh -c \"go run ../gen generated > ../generated\"\n");
    feedstock
}

fn member(package: &Path, path: &str) -> String {
    let members = conda_members(&std::fs::read(package).unwrap());
    let found = members.into_iter().find(|entry| entry.path == path).unwrap();
    String::from_utf8(found.content).unwrap()
}

#[test]
fn what_a_script_runs_is_for_the_build_machine() {
    if !on_linux_64(here!()) {
        return;
    }
    let Some(mut lab) = Lab::real(here!()) else { return };
    let feedstock = feedstock(&mut lab, SCRIPT);
    let run = lab.build(feedstock.root(), &["--target-platform", FOREIGN]);
    if run.code == Some(1) && lab.logs().contains("cannot execute binary file") {
        return skipped(here!(), "the kernel has no formats of programs for a namespace (Linux 6.7 has)");
    }
    let run = run.succeeds();
    let package = lab.world.the_package();
    assert_eq!(files(&package), ["bin/alpha", "bin/beta", "share/report"], "{run}");
    let here = "built for linux/amd64, sees";
    let expected = [
        "go version linux/amd64".to_owned(),
        format!("gen {here} darwin/arm64 generated"),
        format!("gen {here} darwin/arm64 by hand"),
        format!("stamp {here} darwin/arm64 by version"),
        format!("stamp {here} darwin/arm64 installed"),
        format!("stamp {here} darwin/arm64 elsewhere"),
        format!("gen {here} / by itself"),
        format!("alpha {here} darwin/arm64 completion bash"),
        format!("beta {here} darwin/arm64 copied"),
        format!("alpha {here} darwin/arm64 from PATH"),
    ];
    assert_eq!(member(&package, "share/report").lines().collect::<Vec<_>>(), expected);
    lab.world.gonda(["verify".as_ref(), package.as_os_str()]).succeeds();
    let logs = lab.logs();
    for line in [
        "gonda: `go run ./gen by hand`: runs on the build machine",
        "gonda: `go install gonda.invalid/tests/stamp@v1.0.0`: a tool for the build machine (linux/amd64), into `/opt/gonda/b/own/tools`",
        "gonda: `go install ./cmd/...`: of the source, for osx-arm64 into",
        "gonda: a twin for linux/amd64 is built: `go install -tags x ./cmd/...`",
        "is for osx-arm64: its native twin runs, for no emulator runs programs for `osx-arm64` here",
    ] {
        assert!(logs.contains(line), "`{line}` is missing\n{logs}");
    }
    assert!(!logs.contains("cannot install cross-compiled binaries"), "{logs}");
}

/// What is built for the build machine begins with the standard library that native jobs begin with: `-v` names no package
/// of it as compiled, in each of the ways in which a script builds for its own machine, and nothing of the target's either.
#[test]
fn native_programs_find_the_standard_library() {
    if !on_linux_64(here!()) {
        return;
    }
    if !private_mounts() {
        return skipped(here!(), "the library is compiled in namespaces only");
    }
    let Some(lab) = Lab::real(here!()) else { return };
    let script = r#"set -e
before=$GOCACHE
go run -v . && test "$GOCACHE" = "$before"
(unset GOOS GOARCH; go build -v -o native .)
go build -v -o "$PREFIX/bin/hello" .
ls -d "$before"/../own/gocache/trim.txt
"#;
    let feedstock = lab.hello("hello", "bash $RECIPE_DIR/native.sh", "");
    feedstock.write("recipe/native.sh", script);
    lab.build(feedstock.root(), &["--target-platform", FOREIGN]).succeeds();
    let logs = lab.logs();
    let compiled: Vec<&str> = ["runtime", "os", "fmt", "internal/cpu"]
        .into_iter()
        .filter(|package| logs.lines().any(|line| line == *package))
        .collect();
    assert!(compiled.is_empty(), "{compiled:?} were compiled anew\n{logs}");
    assert!(logs.contains("the standard library for linux/amd64 is there, as gonda compiled it"), "{logs}");

    // A script that never builds for this machine has none.
    let feedstock = lab.hello("hello", "go build -o $PREFIX/bin/hello . && test ! -e $GOCACHE/../own/gocache", "");
    lab.build(feedstock.root(), &["--target-platform", FOREIGN]).succeeds();
}

/// Completions that the freshly built program prints itself: under an emulator, as a twin from bash, and as a twin from a
/// batch file.
#[test]
fn completions_for_every_kind_of_target() {
    let Some(samples) = Samples::with("lumen", here!()) else { return };
    let fish = |target: &str| {
        let folder = if target.starts_with("win") { "Library/" } else { "" };
        let package = samples.package("lumen", target);
        assert!(
            member(&package, &format!("{folder}share/bash-completion/completions/lumen")).contains("lumen"),
            "{target}"
        );
        member(&package, &format!("{folder}share/fish/vendor_completions.d/lumen.fish"))
    };
    let native = fish("linux-64");
    assert!(!native.is_empty());
    for target in SEVEN {
        assert_eq!(fish(target), native, "{target}");
    }
    let log = samples.log("lumen", "osx-arm64");
    assert!(log.contains("its native twin runs, for no emulator runs programs for `osx-arm64` here"), "{log}");
    let log = samples.log("lumen", "linux-aarch64");
    if !log.contains("runs under `/") {
        skipped(&format!("{} (linux-aarch64)", here!()), "no emulator ran the program, its native twin did");
    }
}

#[test]
fn a_foreign_program_that_the_job_did_not_build_is_refused() {
    if !on_linux_64(here!()) {
        return;
    }
    let lab = Lab::fake();
    let script = "printf '\\317\\372\\355\\376\\014\\0\\0\\001 and more' > tool && chmod +x tool && ./tool";
    let feedstock = lab.hello("hello", script, "");
    let run = lab.build(feedstock.root(), &["--target-platform", FOREIGN]).fails_with(1);
    if run.stderr.contains("cannot execute binary file") {
        return skipped(here!(), "the kernel has no formats of programs for a namespace (Linux 6.7 has)");
    }
    run.says("`./tool` is a program for osx-arm64 and can't run on linux/amd64")
        .says("no `go build` of this job made it");
    lab.has_no_package();
    // Without namespaces the shell says it, and gonda what it means.
    let run = lab.build(feedstock.root(), &["--target-platform", FOREIGN, "--isolation", "env"]).fails_with(1);
    run.says("the script runs a program that is not for this machine");
}

#[cfg(unix)]
#[test]
fn go_is_told_the_same_without_namespaces() {
    let said = |flags: &[&str]| {
        let lab = Lab::fake();
        let feedstock = lab.hello("hello", "go test ./... && go build -o $PREFIX/bin/hello .", "");
        let arguments = [&["--target-platform", FOREIGN], flags].concat();
        lab.build(feedstock.root(), &arguments).succeeds();
        let logs = lab.logs();
        let lines = logs.lines().filter(|line| line.contains("fake go:") && !line.starts_with('+'));
        let lines = lines.filter(|line| line.contains("args: test") || line.contains("args: build"));
        lines.map(|line| line.split(" args: ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let isolated = said(&[]);
    assert_eq!(isolated, said(&["--isolation", "env"]));
    assert!(isolated[0].contains("GOOS=linux") || cfg!(not(target_os = "linux")), "{isolated:?}");
    assert!(isolated[1].contains("GOOS=darwin GOARCH=arm64"), "{isolated:?}");
}
