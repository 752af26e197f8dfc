//! The toolchain's packages as data: names, versions, dependencies, run exports and small files, in both layouts.
//!
//! Sources: conda-forge's `go`, `go-activation` and `_go_select` packages. A `go-<flavour>_<target>` package is named
//! after the target and lies in the subdir of the build machine, where it is installed.

use std::path::Path;

use rattler_conda_types::Subdir;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::{Layout, SystemCompiler};
use crate::golang::{TARGETS, go_platform};
use crate::{Error, Kind, Result};

/// Stands for the prefix in small files, until a package is installed.
pub(super) const PREFIX: &str = gonda_packager::CONSTANT_PLACEHOLDER;

/// Internal linking of position-independent programs works for all of [`TARGETS`], so that nocgo has `-buildmode=pie`
/// too.
const GOFLAGS: &str = "-modcacherw -buildmode=pie -trimpath";

/// A package without its large files.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) build: String,
    pub(super) depends: Vec<String>,
    pub(super) constrains: Vec<String>,
    pub(super) run_exports: Option<Value>,
    pub(super) summary: String,
    /// What the hash in the build string is made of, sorted.
    pub(super) hash_input: Vec<(&'static str, String)>,
    pub(super) files: Vec<SmallFile>,
    pub(super) payload: Payload,
}

impl Definition {
    /// `<name>-<version>-<build>`.
    pub(super) fn stem(&self) -> String {
        format!("{}-{}-{}", self.name, self.version, self.build)
    }
}

/// The large files of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    None,
    /// The SDK.
    Go,
    /// A zig distribution.
    Zig,
}

/// A small file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SmallFile {
    pub(super) path: String,
    /// May hold [`PREFIX`].
    pub(super) text: String,
    pub(super) executable: bool,
}

impl SmallFile {
    fn new(path: String, text: String) -> Self {
        Self { path, text, executable: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Cgo,
    Nocgo,
}

impl Flavour {
    const ALL: [Self; 2] = [Self::Nocgo, Self::Cgo];

    fn name(self) -> &'static str {
        match self {
            Self::Cgo => "cgo",
            Self::Nocgo => "nocgo",
        }
    }

    /// The version of `_go_select`, in the older layout.
    fn select(self) -> &'static str {
        match self {
            Self::Cgo => "2.3.0",
            Self::Nocgo => "2.2.0",
        }
    }

    fn cgo_enabled(self) -> &'static str {
        match self {
            Self::Cgo => "1",
            Self::Nocgo => "0",
        }
    }
}

/// All packages of the toolchain, for a version of Go and the machine that builds.
pub(super) fn toolchain(version: &str, layout: Layout, build_platform: Subdir) -> Vec<Definition> {
    let mut all = Vec::new();
    for flavour in Flavour::ALL {
        if layout == Layout::ActivateScripts {
            all.push(select(flavour));
        }
        let go = go(version, flavour, layout, build_platform);
        all.push(for_people(&go, flavour, build_platform));
        all.push(go);
        for (target, (goos, goarch)) in TARGETS.iter().filter_map(|target| Some((*target, go_platform(*target)?))) {
            all.push(activation(version, flavour, layout, build_platform, (target, goos, goarch)));
        }
    }
    all
}

fn go(version: &str, flavour: Flavour, layout: Layout, build_platform: Subdir) -> Definition {
    let hash_input =
        vec![("go_variant_str", flavour.name().to_owned()), ("target_platform", build_platform.to_string())];
    let hash = hash(&hash_input);
    let (build, depends, constrains, env) = match layout {
        Layout::EnvVars => (
            format!("{}_{hash}_0", flavour.name()),
            Vec::new(),
            // Keeps the other layout's activation away.
            vec!["_go_select <0.0a0".to_owned()],
            json!({ "GOROOT": format!("{PREFIX}/go"), "GOTOOLCHAIN": "local" }),
        ),
        Layout::ActivateScripts => (
            format!("{hash}_0"),
            vec![format!("_go_select =={}={}", flavour.select(), flavour.name())],
            Vec::new(),
            json!({ "GOTOOLCHAIN": "local" }),
        ),
    };
    Definition {
        name: "go".to_owned(),
        version: version.to_owned(),
        build,
        depends,
        constrains,
        run_exports: None,
        summary: "The Go Programming Language".to_owned(),
        hash_input,
        files: vec![SmallFile::new("etc/conda/env_vars.d/go.json".to_owned(), pretty(&env))],
        payload: Payload::Go,
    }
}

/// `go-cgo` and `go-nocgo`: empty, for people who want a Go, not for recipes.
fn for_people(go: &Definition, flavour: Flavour, build_platform: Subdir) -> Definition {
    let mut depends = vec![format!("go =={}={}", go.version, go.build)];
    if flavour == Flavour::Cgo {
        depends.push(compiler_name(build_platform));
    }
    depends.sort();
    let name = format!("go-{}", flavour.name());
    Definition {
        build: format!("{}_0", hash(&go.hash_input)),
        summary: format!("The Go Programming Language ({})", flavour.name()),
        name,
        depends,
        constrains: Vec::new(),
        files: Vec::new(),
        payload: Payload::None,
        ..go.clone()
    }
}

/// `go-<flavour>_<target>`: the variables of a build for a target.
fn activation(
    version: &str,
    flavour: Flavour,
    layout: Layout,
    build_platform: Subdir,
    (target, goos, goarch): (Subdir, &str, &str),
) -> Definition {
    let name = format!("go-{}_{target}", flavour.name());
    let hash_input = vec![
        ("cross_target_platform", target.to_string()),
        ("go_variant_str", flavour.name().to_owned()),
        ("target_platform", build_platform.to_string()),
    ];
    // Sorted.
    let variables = [
        ("CGO_ENABLED", flavour.cgo_enabled()),
        ("CONDA_GO_COMPILER", "1"),
        ("GOARCH", goarch),
        ("GOFLAGS", GOFLAGS),
        ("GOOS", goos),
    ];
    let (depends, files) = match layout {
        Layout::EnvVars => {
            let object: Value = variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            let path = format!("etc/conda/env_vars.d/{name}.json");
            (vec![format!("go {version}.* {}_*", flavour.name())], vec![SmallFile::new(path, pretty(&object))])
        }
        Layout::ActivateScripts => {
            let depends =
                vec![format!("_go_select =={}={}", flavour.select(), flavour.name()), format!("go {version}.*")];
            // conda-forge's script for cmd.exe leaves GOOS, GOARCH and CGO_ENABLED alone.
            let in_cmd = [("CONDA_GO_COMPILER", "1"), ("GOFLAGS", GOFLAGS)];
            (depends, scripts(&format!("z61-{name}"), &variables, &in_cmd))
        }
    };
    Definition {
        version: version.to_owned(),
        build: format!("{}_0", hash(&hash_input)),
        depends,
        constrains: Vec::new(),
        run_exports: run_exports(flavour, target),
        summary: format!("The Go ({}) compiler activation for {target}", flavour.name()),
        name,
        hash_input,
        files,
        payload: Payload::None,
    }
}

/// What programs built for a target need where they run.
fn run_exports(flavour: Flavour, target: Subdir) -> Option<Value> {
    let mut exports = serde_json::Map::new();
    if flavour == Flavour::Cgo && target.is_linux() {
        exports.insert("strong".to_owned(), json!(["__glibc >=2.17"]));
    }
    if flavour == Flavour::Cgo && target.is_osx() {
        exports.insert("strong".to_owned(), json!(["__osx >=12"]));
    }
    if target == Subdir::Osx64 {
        exports.insert("strong_constrains".to_owned(), json!(["__osx >=10.12"]));
    }
    (!exports.is_empty()).then_some(Value::Object(exports))
}

/// `_go_select`: chooses the flavour, and sets GOROOT, in the older layout.
fn select(flavour: Flavour) -> Definition {
    Definition {
        name: "_go_select".to_owned(),
        version: flavour.select().to_owned(),
        build: flavour.name().to_owned(),
        depends: Vec::new(),
        constrains: Vec::new(),
        run_exports: None,
        summary: format!("Chooses the {} flavour of Go", flavour.name()),
        hash_input: Vec::new(),
        files: scripts("z60-go", &[("GOROOT", "$CONDA_PREFIX/go")], &[("GOROOT", "%CONDA_PREFIX%\\go")]),
        payload: Payload::None,
    }
}

/// Scripts that set variables, and those that take them away again, for POSIX shells and cmd.exe.
fn scripts(name: &str, in_sh: &[(&str, &str)], in_cmd: &[(&str, &str)]) -> Vec<SmallFile> {
    let lines = |variables: &[(&str, &str)], line: &dyn Fn(&str, &str) -> String| -> String {
        variables.iter().map(|(name, value)| line(name, value)).collect()
    };
    let file = |action: &str, extension: &str, text: String| {
        SmallFile::new(format!("etc/conda/{action}.d/{action}-{name}.{extension}"), text)
    };
    vec![
        file("activate", "sh", lines(in_sh, &|name, value| format!("export {name}=\"{value}\"\n"))),
        file("activate", "bat", lines(in_cmd, &|name, value| format!("@set \"{name}={value}\"\r\n"))),
        file("deactivate", "sh", lines(in_sh, &|name, _| format!("unset {name}\n"))),
        file("deactivate", "bat", lines(in_cmd, &|name, _| format!("@set \"{name}=\"\r\n"))),
    ]
}

/// conda-forge's C compiler for the build platform, as `compiler('c')` names it.
fn compiler_name(platform: Subdir) -> String {
    if platform.is_osx() { format!("clang_{platform}") } else { format!("gcc_{platform}") }
}

/// A C compiler of this machine as the native target's compiler packages: `gcc_<platform>` and `gxx_<platform>` (on
/// macOS `clang_` and `clangxx_`), and for Linux an empty `sysroot_<platform>` in each version that conda-forge's
/// recipes pin. What is built with them needs this machine's glibc, and the run exports say so.
pub(super) fn system_compiler(compiler: &SystemCompiler, platform: Subdir) -> Result<Vec<Definition>> {
    let refused = |why: &str, help: &str| {
        Error::new(Kind::Usage, format!("compiler `{}` can't be packaged: {why}", compiler.path.display())).help(help)
    };
    let absolute = compiler.path.is_absolute() && compiler.path.is_file();
    let Some(cc) = compiler.path.to_str().filter(|_| absolute) else {
        return Err(refused("there is no such file", "give the absolute path of a C compiler, such as `/usr/bin/gcc`"));
    };
    let triple = match platform {
        Subdir::Linux64 => "x86_64-conda-linux-gnu",
        Subdir::LinuxAarch64 => "aarch64-conda-linux-gnu",
        Subdir::LinuxPpc64le => "powerpc64le-conda-linux-gnu",
        Subdir::Osx64 => "x86_64-apple-darwin13.4.0",
        Subdir::OsxArm64 => "arm64-apple-darwin20.0.0",
        _ => return Err(refused("the build platform has none of its kind", "this works on Linux and macOS alone")),
    };
    let version =
        compiler.version.clone().or_else(|| version_in_name(&compiler.path)).ok_or_else(|| {
            refused("its name does not say its version", "say which version the packages are to have")
        })?;
    if !super::is_conda_version(&version) {
        return Err(refused(&format!("`{version}` is not a version"), "a version is digits with dots"));
    }
    let (c, cxx) = if platform.is_osx() { ("clang", "clangxx") } else { ("gcc", "gxx") };
    let (cc_name, cxx_name) = if platform.is_osx() { ("clang", "clang++") } else { ("gcc", "g++") };

    let mut all = vec![wrapper(Wrapper {
        name: format!("{c}_{platform}"),
        version: &version,
        program: cc,
        names: [format!("{triple}-cc"), format!("{triple}-{cc_name}")],
        variables: vec![("CC", format!("{PREFIX}/bin/{triple}-cc")), ("HOST", triple.to_owned())],
    })];
    if let Some(program) = cxx_beside(&compiler.path) {
        all.push(wrapper(Wrapper {
            name: format!("{cxx}_{platform}"),
            version: &version,
            program: &program,
            names: [format!("{triple}-c++"), format!("{triple}-{cxx_name}")],
            variables: vec![("CXX", format!("{PREFIX}/bin/{triple}-c++"))],
        }));
    }
    if platform.is_linux() {
        for version in ["2.17", "2.28", "2.34"] {
            let glibc = compiler.glibc.as_deref().unwrap_or(version);
            all.push(Definition {
                name: format!("sysroot_{platform}"),
                version: version.to_owned(),
                build: "system_0".to_owned(),
                depends: Vec::new(),
                constrains: Vec::new(),
                run_exports: Some(json!({ "strong": [format!("__glibc >={glibc},<3.0.a0")] })),
                summary: "Stands for this machine's C library".to_owned(),
                hash_input: Vec::new(),
                files: Vec::new(),
                payload: Payload::None,
            });
        }
    }
    Ok(all)
}

struct Wrapper<'a> {
    name: String,
    version: &'a str,
    program: &'a str,
    names: [String; 2],
    variables: Vec<(&'static str, String)>,
}

/// A package with scripts that start a program of this machine.
fn wrapper(wrapper: Wrapper<'_>) -> Definition {
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", quoted(wrapper.program));
    let mut files: Vec<SmallFile> = wrapper
        .names
        .iter()
        .map(|name| SmallFile { path: format!("bin/{name}"), text: text.clone(), executable: true })
        .collect();
    let object: Value = wrapper.variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    files.push(SmallFile::new(format!("etc/conda/env_vars.d/{}.json", wrapper.name), pretty(&object)));
    Definition {
        version: wrapper.version.to_owned(),
        build: "system_0".to_owned(),
        depends: Vec::new(),
        constrains: Vec::new(),
        run_exports: None,
        summary: format!("Starts {} of this machine", wrapper.program),
        hash_input: Vec::new(),
        files,
        payload: Payload::None,
        name: wrapper.name,
    }
}

/// `12` for a link to `x86_64-linux-gnu-gcc-12`.
fn version_in_name(compiler: &Path) -> Option<String> {
    let real = compiler.canonicalize().ok()?;
    let (_, version) = real.file_name()?.to_str()?.rsplit_once('-')?;
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

/// `/usr/bin/g++` for `/usr/bin/gcc`, `…/clang++-17` for `…/clang-17`, if it is there.
fn cxx_beside(compiler: &Path) -> Option<String> {
    let name = compiler.file_name()?.to_str()?;
    let cxx = [("gcc", "g++"), ("clang", "clang++"), ("cc", "c++")]
        .iter()
        .find(|(c, _)| name.contains(c))
        .map(|(c, cxx)| name.replacen(c, cxx, 1))?;
    let path = compiler.with_file_name(cxx);
    path.is_file().then(|| path.to_str().map(str::to_owned)).flatten()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn pretty(value: &Value) -> String {
    // `#` asks for the indented form; a value of ours can always be written.
    format!("{value:#}\n")
}

/// conda-build's hash of what a build was made of: `h` and seven digits of the sha1 of its JSON, as Python writes it.
fn hash(input: &[(&str, String)]) -> String {
    let parts: Vec<String> = input.iter().map(|(key, value)| format!("\"{key}\": \"{value}\"")).collect();
    let digest = hex::encode(Sha1::digest(format!("{{{}}}", parts.join(", ")).as_bytes()));
    format!("h{}", &digest[..7])
}
