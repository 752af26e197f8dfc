//! cgo: zig in the place of C compilers, what the toolchain says of itself, and packages that nothing but cgo compiles.

use std::path::{Path, PathBuf};

use gonda_testkit::{HandMadeChannel, HandMadePackage, sha256, skipped};

use crate::support::{Lab, here, info};

/// A recipe that asks for C in all that it can.
const RECIPE: &str = "\
package:
  name: withc
  version: '1.0'
build:
  number: 0
  script:
    - $CC -c a.c && $CXX -c b.cc && go build -o $PREFIX/bin/withc .  # [unix]
    - \"%CC% -c a.c && go build -o %LIBRARY_BIN%\\\\withc.exe .\"  # [win]
requirements:
  build:
    - {{ compiler('c') }}
    - {{ compiler('cxx') }}
    - {{ stdlib('c') }}
    - {{ compiler('cgo') }}
about:
  license: MIT
";
const VARIANT: &str = "\
cgo_compiler:
- go-cgo
c_compiler:
- gcc  # [linux]
- clang  # [osx]
- vs2022  # [win]
cxx_compiler:
- gxx  # [linux]
- clangxx  # [osx]
- vs2022  # [win]
c_stdlib:
- sysroot  # [linux]
- vs  # [win]
- macosx_deployment_target  # [osx]
c_stdlib_version:  # [linux]
- '2.28'  # [linux]
";

/// A zig that says how it was called.
const FAKE_ZIG: &str = "#!/bin/sh\n[ \"$1\" = version ] && echo 0.99.0 || echo \"fake zig: $*\"\n";

/// Puts zig into a lab's channel.
fn add_zig(lab: &Lab, distribution: &Path) {
    let channel = ["channel", "bootstrap", "--output"].map(PathBuf::from);
    let arguments = channel.into_iter().chain([lab.channel.clone(), "--zig".into(), distribution.into()]);
    lab.world.gonda(arguments).succeeds();
}

/// A lab whose zig only pretends, and a feedstock of [`RECIPE`].
fn lab_with_zig() -> (Lab, PathBuf) {
    let lab = Lab::fake();
    lab.world.write("zig/lib/std/std.zig", "");
    let program = lab.world.write("zig/zig", FAKE_ZIG);
    make_executable(&program);
    add_zig(&lab, &lab.world.path("zig"));
    lab.world.write("withc/recipe/meta.yaml", RECIPE);
    lab.world.write("withc/recipe/conda_build_config.yaml", VARIANT);
    let feedstock = lab.world.path("withc");
    (lab, feedstock)
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) {}

#[test]
fn zig_takes_the_place_of_c_compilers() {
    if cfg!(windows) {
        return skipped(here!(), "its zig is a shell script");
    }
    let (lab, feedstock) = lab_with_zig();
    let targets = ["--cgo-compiler", "zig", "--target-platform", "linux-64,linux-aarch64,win-64,win-arm64"];
    let run = lab.build(&feedstock, &targets).succeeds();
    run.says("zig compiles C for `aarch64-linux-gnu.2.28` in place of `gcc_linux-aarch64`, `gxx_linux-aarch64`, `sysroot_linux-aarch64 2.28.*`")
        .says("zig compiles C for `x86_64-windows-gnu` in place of `vs2022_win-64`");
    let logs = lab.logs();
    for call in [
        "fake zig: cc -target x86_64-linux-gnu.2.28 -fno-sanitize=undefined -c a.c",
        "fake zig: c++ -target x86_64-linux-gnu.2.28 -fno-sanitize=undefined -c b.cc",
        "fake zig: cc -target aarch64-linux-gnu.2.28 -fno-sanitize=undefined -c a.c",
        "fake zig: cc -target x86_64-windows-gnu -fno-sanitize=undefined -gno-codeview-command-line",
        "fake zig: cc -target aarch64-windows-gnu -fno-sanitize=undefined -gno-codeview-command-line",
    ] {
        assert!(logs.contains(call), "{call}\n{logs}");
    }
    for package in lab.world.packages() {
        let index = info(&lab.world.output().join(&package), "index.json").unwrap();
        let depends = serde_json::from_str::<serde_json::Value>(&index).unwrap()["depends"].to_string();
        // What the C library's package would have brought is there without it.
        assert_eq!(depends.contains("__glibc >=2.28,<3.0.a0"), package.contains("linux"), "{package}: {depends}");
    }
}

#[test]
fn zig_is_named_where_no_channel_has_a_c_compiler() {
    if cfg!(windows) {
        return skipped(here!(), "its zig is a shell script");
    }
    let (lab, feedstock) = lab_with_zig();
    lab.build(&feedstock, &["--target-platform", "win-64"])
        .fails_with(3)
        .says("no package `vs2022_win-64`")
        .says("`--cgo-compiler zig` compiles C for win-64 without them");
}

#[test]
fn zig_says_beforehand_what_it_can_not_do() {
    if cfg!(windows) {
        return skipped(here!(), "its zig is a shell script");
    }
    let (lab, feedstock) = lab_with_zig();
    let ask = |target: &str| lab.build(&feedstock, &["--cgo-compiler", "zig", "--target-platform", target]);
    ask("osx-arm64")
        .fails_with(2)
        .says("zig can't be the C compiler of `withc` for `osx-arm64`: it comes without a macOS SDK")
        .says("--cgo-compiler conda");
    ask("linux-ppc64le").fails_with(2).says("`__fprintfieee128`");
    // One target among all is no reason to fail.
    let recipe = format!("{RECIPE}extra:\n  gonda:\n    cgo: zig\n");
    lab.world.write("withc/recipe/meta.yaml", recipe);
    let run = lab.build(&feedstock, &["--all-targets", "--dry-run"]).succeeds();
    run.prints("no toolchain").prints("linux-ppc64le");
    lab.build(&feedstock, &["--cgo-compiler", "tcc"]).fails_with(2).says("`tcc` is no value for `cgo-compiler`");
}

#[test]
fn zig_compiles_c_through_cgo() {
    let zig = match gonda_testkit::zig() {
        Ok(zig) => zig,
        Err(reason) => return skipped(here!(), reason),
    };
    let Some(mut lab) = Lab::real(here!()) else { return };
    lab.own_cache();
    let channel = lab.world.path("zig-channel");
    let arguments = ["channel", "bootstrap", "--output"].map(PathBuf::from).into_iter();
    lab.world.gonda(arguments.chain([channel.clone(), "--zig".into(), zig])).succeeds();
    let feedstock = lab.sample("adlersum");
    let channel = format!("file://{}", channel.display());
    let flags = ["-c", &channel, "--cgo-compiler", "zig", "--target-platform", "linux-64,linux-aarch64"];
    lab.build(&feedstock, &flags).succeeds();
    let digest = |name: &String| sha256(&std::fs::read(lab.world.output().join(name)).unwrap());
    let digests = || lab.world.packages().iter().map(digest).collect::<Vec<_>>();
    let first = digests();
    assert_eq!(first.len(), 2);
    lab.build(&feedstock, &flags).succeeds();
    assert_eq!(first, digests(), "the same bytes twice");
}

/// What comes of a package that sets a variable of Go's when it is activated.
fn check_meddling(line: &str, code: i32, expected: &[&str]) {
    let lab = Lab::fake();
    let meddler = HandMadePackage::new("meddler", "1", "noarch").with_file(
        "etc/conda/activate.d/z99-meddler.sh",
        format!("{line}\n"),
        false,
    );
    let extra = HandMadeChannel::new(lab.world.path("extra"), &[meddler]);
    let feedstock = lab.hello("meddled", "go build -o $PREFIX/bin/meddled .", "");
    let recipe = std::fs::read_to_string(feedstock.root().join("recipe/meta.yaml")).unwrap();
    let recipe = recipe.replace("  build:\n    - {{", "  build:\n    - meddler\n    - {{");
    assert!(recipe.contains("meddler"), "{recipe}");
    feedstock.write("recipe/meta.yaml", recipe);
    let run = lab.build(feedstock.root(), &["-c", &extra.url()]);
    let run = if code == 0 { run.succeeds() } else { run.fails_with(code) };
    expected.iter().fold(run, |run, text| run.says(text));
}

#[test]
fn a_toolchain_for_something_else_is_an_error() {
    if cfg!(windows) {
        return skipped(here!(), "its toolchain is a shell script");
    }
    check_meddling("export MEDDLED=1", 0, &[]);
    check_meddling(
        "export GOARCH=s390x",
        2,
        &[
            "the Go toolchain answers `GOARCH=s390x`, but target platform",
            "package `meddler` in `etc/conda/activate.d/",
        ],
    );
    check_meddling(
        "export CGO_ENABLED=1",
        2,
        &[
            "the Go toolchain answers `CGO_ENABLED=1`, but the build environment has the toolchain `go-nocgo_",
            "`meddler`",
        ],
    );
}

#[test]
fn packages_for_cgo_alone_are_named_before_the_script_runs() {
    let Some(lab) = Lab::real(here!()) else { return };
    let feedstock = lab.hello("spare", "go build -o $PREFIX/bin/spare .", "");
    feedstock
        .write("src/cmd/native/native.go", "package main\n\n// int three(void);\nimport \"C\"\n\nfunc main() {}\n");
    feedstock.write("src/other/other_plan9.go", "package other\n");
    for _ in 0..2 {
        // The second time it is remembered.
        lab.build(feedstock.root(), &[])
            .succeeds()
            .says("package `gonda.invalid/tests/spare/cmd/native` has only files for cgo, and cgo is switched off")
            .says("what imports it fails unless the script leaves it out")
            .is_silent_about("tests/spare/other");
    }
}
