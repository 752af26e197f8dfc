//! What compiled files say of themselves is what their package says: in builds, and in anybody's packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use gonda_testkit::{HandMadePackage, World, go_root, skipped};
use serde_json::Value;

use crate::support::{GONDA, Lab, here, on_linux_64, scratch};

/// A recipe's script that takes no notice of the target: it packs a program of the build machine.
const IGNORES_THE_TARGET: &str = "mkdir -p $PREFIX/bin && cp $(command -v bash) $PREFIX/bin/hello";

#[test]
fn a_script_that_ignores_the_target() {
    if !on_linux_64(here!()) {
        return;
    }
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", IGNORES_THE_TARGET, "");
    let run = lab.build(feedstock.root(), &["--target-platform", "linux-aarch64", "--test", "skip"]).fails_with(4);
    run.says("`bin/hello` is a linux x86_64 program, and the package is for `linux-aarch64`").says("GOOS and GOARCH");
    lab.has_no_package();

    // A batch file as well.
    let batch = "mkdir %LIBRARY_BIN% && cp /bin/bash %LIBRARY_BIN%\\hello.exe";
    let feedstock_of_windows = lab.hello("hello-win", batch, "");
    let run = lab.build(feedstock_of_windows.root(), &["--target-platform", "win-64", "--test", "skip"]).fails_with(4);
    run.says("`Library/bin/hello.exe` is a linux x86_64 program, and the package is for `win-64`");
    lab.has_no_package();

    // The source may have such a file; then it is packed, and said.
    let bash = ["/usr/bin/bash", "/bin/bash"].map(Path::new).into_iter().find(|path| path.is_file()).unwrap();
    feedstock.write("src/testdata/blob", std::fs::read(bash).unwrap());
    let run = lab.build(feedstock.root(), &["--target-platform", "linux-aarch64", "--test", "skip"]).succeeds();
    run.says("the source has it as it is");
}

#[test]
fn metadata_that_lack_what_a_program_needs() {
    if !on_linux_64(here!()) {
        return;
    }
    let lab = Lab::fake();
    let feedstock = lab.hello("hello", IGNORES_THE_TARGET, "");
    let run = lab.build(feedstock.root(), &["--strict-metadata", "--test", "skip"]).fails_with(4);
    run.says("needs glibc 2.").says("add this line to the recipe's run requirements: `- __glibc >=2.");
    lab.has_no_package();
    lab.build(feedstock.root(), &["--test", "skip"]).succeeds().says("`- __glibc >=2.");
    let package = lab.world.the_package();
    lab.world.gonda(["verify".as_ref(), package.as_os_str()]).succeeds().prints("warning: `bin/hello` needs glibc 2.");
    lab.world.gonda(["verify".as_ref(), "--strict-metadata".as_ref(), package.as_os_str()]).fails_with(4);
}

/// Small Go programs, compiled once for all tests here.
struct Programs(PathBuf);

impl Programs {
    fn build(test: &str) -> Option<&'static Self> {
        static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();
        match BUILT.get_or_init(Self::compile) {
            Ok(programs) => Some(programs),
            Err(reason) => {
                skipped(test, reason);
                None
            }
        }
    }

    fn compile() -> Result<Self, String> {
        let go = go_root()?.join("bin").join(format!("go{}", std::env::consts::EXE_SUFFIX));
        let folder = scratch().join("binaries");
        let source = folder.join("source");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(source.join("go.mod"), "module gonda.invalid/tests/small\n\ngo 1.20\n").unwrap();
        std::fs::write(source.join("main.go"), "package main\n\nfunc main() { println(\"hello\") }\n").unwrap();
        for platform in ["linux-amd64", "darwin-arm64", "windows-arm64"] {
            let (goos, goarch) = platform.split_once('-').unwrap();
            let mut command = Command::new(&go);
            command
                .args(["build", "-trimpath", "-buildmode=pie", "-ldflags=-s -w", "-o"])
                .arg(folder.join(platform))
                .arg(".");
            command.current_dir(&source).env("GOOS", goos).env("GOARCH", goarch).env("CGO_ENABLED", "0");
            command.env("GOCACHE", folder.join("go-cache")).env("GOFLAGS", "").env("GOENV", "off").env("GOWORK", "off");
            command.env("GOTOOLCHAIN", "local").env_remove("GOROOT");
            assert!(command.status().unwrap().success(), "{platform}");
        }
        Ok(Self(folder))
    }

    fn of(&self, platform: &str) -> Vec<u8> {
        std::fs::read(self.0.join(platform)).unwrap()
    }
}

/// Verifies a package with one file: its words, a line each, the package's own line left out.
fn verify(world: &World, subdir: &str, path: &str, content: Vec<u8>, depends: &[&str], ok: bool) -> String {
    let mut package = HandMadePackage::new("small", "1", subdir).with_file(path, content, true);
    for spec in depends {
        package = package.depends_on(spec);
    }
    let file = world.write("small-1-0.conda", package.archive());
    let run = world.gonda(["verify".as_ref(), file.as_os_str()]).fails_with(if ok { 0 } else { 4 });
    run.stdout.lines().skip(1).map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn go_programs_of_anybody() {
    let Some(programs) = Programs::build(here!()) else { return };
    let world = World::new(GONDA);
    let osx = ["__osx >=99"];
    let check =
        |subdir, path, platform, depends: &[&str]| verify(&world, subdir, path, programs.of(platform), depends, true);
    assert_eq!(check("linux-64", "bin/small", "linux-amd64", &[]), "");
    assert_eq!(check("osx-arm64", "bin/small", "darwin-arm64", &osx), "");
    assert_eq!(check("win-arm64", "Library/bin/small.exe", "windows-arm64", &[]), "");

    let wrong = |subdir, path, content| verify(&world, subdir, path, content, &osx, false);
    assert!(
        wrong("win-64", "Library/bin/small.exe", programs.of("linux-amd64"))
            .starts_with("error: `Library/bin/small.exe` is a linux x86_64 program, and the package is for `win-64`\n")
    );
    assert!(wrong("win-arm64", "bin/small", programs.of("windows-arm64")).contains("without the suffix `.exe`"));

    // One byte, somewhere in the code.
    let mut patched = programs.of("darwin-arm64");
    patched[100_000] ^= 1;
    assert!(wrong("osx-arm64", "bin/small", patched).contains("page hashes are not those of the file"));

    // What patchelf leaves: a segment of size 0 at address 0 before all others. Go's own reader is misled.
    let mut sorted = programs.of("linux-amd64");
    let (start, size) = (sorted[32] as usize, sorted[54] as usize);
    let stack = (0..sorted[56] as usize).map(|index| start + index * size);
    let stack = stack.into_iter().find(|at| sorted[*at..*at + 4] == 0x6474_e551_u32.to_le_bytes()).unwrap();
    let moved: Vec<u8> = sorted.splice(stack..stack + size, []).collect();
    sorted.splice(start..start, moved);
    assert!(wrong("linux-64", "bin/small", sorted).contains("`go version -m` calls none: segments of size 0"));

    // Nothing is left of the information.
    let mut lost = programs.of("linux-amd64");
    let magic = b"\xff Go buildinf:";
    while let Some(at) = lost.windows(magic.len()).position(|window| window == magic) {
        lost[at] = 0;
    }
    assert!(wrong("linux-64", "bin/small", lost).contains("a Go executable without readable build information"));
}

#[test]
fn inspect_shows_what_is_in_a_package() {
    let Some(programs) = Programs::build(here!()) else { return };
    let world = World::new(GONDA);
    let package =
        HandMadePackage::new("small", "1", "osx-arm64").with_file("bin/small", programs.of("darwin-arm64"), true);
    let file = world.write("small-1-0.conda", package.archive());
    let run = world.gonda(["inspect".as_ref(), file.as_os_str()]).succeeds();
    run.prints("bin/small: macos arm64 program")
        .prints("loader /usr/lib/dyld")
        .prints("needs /usr/lib/libSystem.B.dylib");
    let run = world.gonda(["inspect".as_ref(), file.as_os_str(), "--format".as_ref(), "json".as_ref()]).succeeds();
    let value: Value = run.json();
    let binary = &value["files"][0]["binary"];
    assert_eq!(
        (&binary["machine"], &binary["os"], &binary["role"]),
        (&"arm64".into(), &"macos".into(), &"program".into())
    );
    assert_eq!(binary["signature"], serde_json::json!({"adhoc": true, "intact": true}));
    let go = &value["go"]["bin/small"];
    assert!(go["go_version"].as_str().unwrap().starts_with("go1."), "{go}");
    assert_eq!(go["path"], "gonda.invalid/tests/small");
    assert_eq!(value["findings"][0]["rule"], "mac-os");
}

#[test]
fn a_package_that_needs_cgo_is_named() {
    let Some(lab) = Lab::real(here!()) else { return };
    let feedstock = lab.hello("needy", "go build -o $PREFIX/bin/needy .", "");
    feedstock.write("src/native/native.go", "package native\n\n// int three(void);\nimport \"C\"\n\nconst Three = 3\n");
    feedstock.write(
        "src/main.go",
        "package main\n\nimport \"gonda.invalid/tests/needy/native\"\n\nfunc main() { println(native.Three) }\n",
    );
    let run = lab.build(feedstock.root(), &[]).fails_with(1);
    run.says("package `gonda.invalid/tests/needy/native` has only files for cgo, and cgo is switched off")
        .says("{{ compiler('cgo') }}");
}
