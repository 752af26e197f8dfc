use std::collections::BTreeMap;

use super::*;
use crate::channels::{ChannelSettings, Channels, SolveRequest, virtual_packages};
use crate::environment::{Share, activation, install};

/// A tiny SDK: the files that make a folder one, and one more.
fn sdk(folder: &Path, version: &str) -> PathBuf {
    let root = folder.join("sdk");
    for (path, text) in [
        ("VERSION", version),
        ("LICENSE", "a licence\n"),
        ("go.env", "GOTOOLCHAIN=local\n"),
        ("bin/go", "#!/bin/sh\n"),
        ("bin/gofmt", "#!/bin/sh\n"),
        ("src/runtime/proc.go", "package runtime\n"),
        ("pkg/tool/linux_amd64/compile", "#!/bin/sh\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn options(folder: &Path, layout: Layout) -> BootstrapOptions {
    BootstrapOptions {
        go_root: Some(sdk(folder, "go1.26.8\ntime 2026-08-28T16:20:06Z\n")),
        zig: None,
        output: folder.join("channel"),
        layout,
        build_platform: Subdir::Linux64,
        timestamp: None,
        system_cc: None,
        threads: 1,
    }
}

fn root(options: &BootstrapOptions) -> PathBuf {
    options.go_root.clone().unwrap()
}

fn channels(folder: &Path) -> Channels {
    let settings = ChannelSettings {
        channels: vec!["./channel".to_owned()],
        channel_alias: None,
        cache_root: folder.join("cache"),
        offline: true,
        base_dir: folder.to_owned(),
    };
    Channels::open(settings, Events::silent()).unwrap()
}

async fn solve(channels: &Channels, specs: &[&str]) -> Result<Vec<rattler_conda_types::RepoDataRecord>> {
    let request = SolveRequest {
        what: "build environment of hello".to_owned(),
        specs: specs.iter().map(|&spec| spec.to_owned()).collect(),
        constraints: Vec::new(),
        platform: Subdir::Linux64,
        virtual_packages: virtual_packages(Subdir::Linux64, false)?,
        local: None,
    };
    channels.solve(&request).await
}

/// The packages that a spec brings, what activating them says, and what they export.
async fn check(layout: Layout, spec: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    bootstrap(&options(folder.path(), layout), Events::silent()).await.unwrap();
    let channels = channels(folder.path());
    let records = solve(&channels, &[spec]).await.unwrap();
    let mut text = String::new();
    for record in &records {
        let exports = channels.run_exports(record).await.unwrap();
        let build = record.package_record.build.as_str();
        let flavour = build.split_once('_').map_or("", |(first, _)| if first.starts_with('h') { "" } else { first });
        text += &format!("{} {}", record.package_record.name.as_normalized(), record.package_record.version);
        text += &format!(" {flavour} {:?} {:?}\n", exports.strong, exports.strong_constrains);
    }
    let at = folder.path().join("env");
    install(&channels, &records, Subdir::Linux64, &at, Path::new("/env"), Share::Private).await.unwrap();
    assert!(at.join("go/src/runtime/proc.go").is_file());
    assert!(at.join("go/pkg/tool/linux_amd64/compile").is_file());
    assert_eq!(fs::read(at.join("bin/go")).unwrap(), fs::read(at.join("go/bin/go")).unwrap());
    let found = activation(&at, Path::new("/env")).unwrap();
    let variables: BTreeMap<_, _> = found.variables.iter().collect();
    for (name, value) in variables {
        text += &format!("{name}={value}\n");
    }
    for script in found.sh.iter() {
        text += &format!("{script}\n");
        text += &fs::read_to_string(at.join(script.strip_prefix("/env/").unwrap())).unwrap();
    }
    text
}

#[tokio::test]
async fn the_newer_layout() {
    assert_eq!(
        check(Layout::EnvVars, "go-nocgo_win-64").await,
        "go 1.26.8 nocgo [] []\n\
         go-nocgo_win-64 1.26.8  [] []\n\
         CGO_ENABLED=0\n\
         CONDA_GO_COMPILER=1\n\
         GOARCH=amd64\n\
         GOFLAGS=-modcacherw -buildmode=pie -trimpath\n\
         GOOS=windows\n\
         GOROOT=/env/go\n\
         GOTOOLCHAIN=local\n"
    );
    let text = check(Layout::EnvVars, "go-cgo_osx-64 1.26.*").await;
    assert!(
        text.starts_with("go 1.26.8 cgo [] []\ngo-cgo_osx-64 1.26.8  [\"__osx >=12\"] [\"__osx >=10.12\"]\n"),
        "{text}"
    );
    assert!(text.contains("CGO_ENABLED=1\n"), "{text}");
}

#[tokio::test]
async fn the_older_layout() {
    assert_eq!(
        check(Layout::ActivateScripts, "go-cgo_linux-aarch64").await,
        "_go_select 2.3.0  [] []\n\
         go 1.26.8  [] []\n\
         go-cgo_linux-aarch64 1.26.8  [\"__glibc >=2.17\"] []\n\
         GOTOOLCHAIN=local\n\
         /env/etc/conda/activate.d/activate-z60-go.sh\n\
         export GOROOT=\"$CONDA_PREFIX/go\"\n\
         /env/etc/conda/activate.d/activate-z61-go-cgo_linux-aarch64.sh\n\
         export CGO_ENABLED=\"1\"\n\
         export CONDA_GO_COMPILER=\"1\"\n\
         export GOARCH=\"arm64\"\n\
         export GOFLAGS=\"-modcacherw -buildmode=pie -trimpath\"\n\
         export GOOS=\"linux\"\n"
    );
}

#[tokio::test]
async fn every_target_and_flavour_can_be_had_but_not_two_flavours_at_once() {
    for layout in [Layout::EnvVars, Layout::ActivateScripts] {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = bootstrap(&options(folder.path(), layout), Events::silent()).await.unwrap();
        assert_eq!(artifacts.len(), if layout == Layout::EnvVars { 18 } else { 20 });
        let channels = channels(folder.path());
        for target in TARGETS {
            for flavour in ["cgo", "nocgo"] {
                solve(&channels, &[&format!("go-{flavour}_{target}")]).await.unwrap();
            }
        }
        assert!(solve(&channels, &["go-nocgo"]).await.is_ok());
        assert!(solve(&channels, &["go-nocgo_linux-64", "go-nocgo_win-64"]).await.is_ok());
        assert!(solve(&channels, &["go-nocgo_linux-64", "go-cgo_linux-64"]).await.is_err());
    }
}

#[tokio::test]
async fn the_same_sdk_gives_the_same_bytes() {
    let mut all = Vec::new();
    for threads in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let options = BootstrapOptions { threads, ..options(folder.path(), Layout::EnvVars) };
        let artifacts = bootstrap(&options, Events::silent()).await.unwrap();
        all.push(artifacts.into_iter().map(|artifact| artifact.sha256).collect::<Vec<_>>());
        let left: Vec<_> =
            fs::read_dir(folder.path().join("channel")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with("-bootstrap")), "{left:?}");
    }
    assert_eq!(all[0], all[1]);
}

#[tokio::test]
async fn what_is_no_sdk_is_refused() {
    async fn check(change: impl Fn(&mut BootstrapOptions)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), Layout::EnvVars);
        change(&mut options);
        let error = bootstrap(&options, Events::silent()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Usage, "{error:?}");
        assert!(error.help.is_some(), "{error}");
        error.to_string().replace(&folder.path().display().to_string(), "ROOT")
    }
    let rewrite = |options: &mut BootstrapOptions, path: &str, text: &str| {
        fs::write(root(options).join(path), text).unwrap();
    };
    assert_eq!(
        check(|options| options.go_root = Some(root(options).join("src"))).await,
        "`ROOT/sdk/src` is not a Go SDK for linux-64: it has no readable file `VERSION`"
    );
    assert_eq!(
        check(|options| options.build_platform = Subdir::OsxArm64).await,
        "`ROOT/sdk` is not a Go SDK for osx-arm64: its tools are for linux_amd64"
    );
    assert_eq!(
        check(|options| fs::remove_file(root(options).join("bin/go")).unwrap()).await,
        "`ROOT/sdk` is not a Go SDK for linux-64: it has no `bin/go`"
    );
    assert_eq!(
        check(|options| rewrite(options, "VERSION", "devel go1.27-abc Mon")).await,
        "`ROOT/sdk` is not a Go SDK for linux-64: its version is `devel`"
    );
    assert_eq!(
        check(|options| {
            let path = options.output.join("gcc");
            options.system_cc = Some(SystemCompiler { path, version: None, glibc: None });
        })
        .await,
        "compiler `ROOT/channel/gcc` can't be packaged: there is no such file"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_compiler_of_the_machine_becomes_the_native_targets() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), Layout::EnvVars);
    let tools = folder.path().join("it's here");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("real-gcc-13"), "").unwrap();
    fs::write(tools.join("g++"), "").unwrap();
    std::os::unix::fs::symlink("real-gcc-13", tools.join("gcc")).unwrap();
    let glibc = Some("2.36".to_owned());
    options.system_cc = Some(SystemCompiler { path: tools.join("gcc"), version: None, glibc });
    bootstrap(&options, Events::silent()).await.unwrap();

    let channels = channels(folder.path());
    let specs = ["go-cgo", "go-cgo_linux-64", "gcc_linux-64 13.*", "gxx_linux-64", "sysroot_linux-64 2.17.*"];
    let records = solve(&channels, &specs).await.unwrap();
    let sysroot = records.iter().find(|record| record.package_record.name.as_normalized() == "sysroot_linux-64");
    assert_eq!(channels.run_exports(sysroot.unwrap()).await.unwrap().strong, ["__glibc >=2.36,<3.0.a0"]);
    let at = folder.path().join("env");
    install(&channels, &records, Subdir::Linux64, &at, &at, Share::Private).await.unwrap();
    let found = activation(&at, &at).unwrap();
    let script = fs::read_to_string(&found.variables["CC"]).unwrap();
    let quoted = tools.join("gcc").display().to_string().replace('\'', r"'\''");
    assert_eq!(script, format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n"));
    assert!(host::is_executable(Path::new(&found.variables["CXX"])));
}

#[cfg(unix)]
#[tokio::test]
async fn a_zig_distribution_becomes_a_package() {
    let folder = tempfile::tempdir().unwrap();
    let zig = folder.path().join("ziglang");
    fs::create_dir_all(zig.join("lib/std")).unwrap();
    fs::write(zig.join("lib/std/std.zig"), "// std\n").unwrap();
    fs::write(zig.join("LICENSE"), "MIT\n").unwrap();
    fs::write(zig.join("zig"), "#!/bin/sh\necho 0.18.0-dev.12+abc\n").unwrap();
    host::make_executable(&zig.join("zig")).unwrap();
    let options = BootstrapOptions { go_root: None, zig: Some(zig.clone()), ..options(folder.path(), Layout::EnvVars) };
    let made = bootstrap(&options, Events::silent()).await.unwrap();
    assert_eq!(made.len(), 1);
    let channels = channels(folder.path());
    let records = solve(&channels, &["zig"]).await.unwrap();
    assert_eq!(records[0].package_record.version.to_string(), "0.18.0_dev.12+abc");
    let at = folder.path().join("env");
    install(&channels, &records, Subdir::Linux64, &at, &at, Share::Private).await.unwrap();
    assert!(host::is_executable(&at.join("bin/zig")));
    assert!(at.join("lib/zig/std/std.zig").is_file());

    fs::remove_file(zig.join("lib/std/std.zig")).unwrap();
    let error = bootstrap(&options, Events::silent()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is not a zig distribution for linux-64: it has no `lib/std/std.zig`"),
        "{error}"
    );
}

#[test]
fn layouts_have_names() {
    for layout in [Layout::EnvVars, Layout::ActivateScripts] {
        assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
    }
    assert_eq!("other".parse::<Layout>().unwrap_err().kind, Kind::Usage);
}
