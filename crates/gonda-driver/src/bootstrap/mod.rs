//! A local channel with the Go toolchain, made from a Go SDK folder, for machines that can't reach a channel that has
//! one: the packages that conda-forge calls `go`, `go-<flavour>` and `go-<flavour>_<target>`, in the same layout, so
//! that a feedstock sees no difference.
//!
//! The packages differ from conda-forge's in one point: conda-forge patches its `go` command so that GOPATH and GOBIN
//! have other defaults within a build. Whoever builds sets both, so that it does not matter.

mod packages;
mod zig;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use gonda_packager::{Artifact, Compression, Entry, FileMode, InfoFile, Package, Prefix};
use rattler_conda_types::{Subdir, Version};
use serde_json::{Map, Value, json};
use walkdir::WalkDir;

use packages::{Definition, Payload, SmallFile};

use crate::golang::{TARGETS, go_platform};
use crate::{Error, Events, Kind, Result, host};

/// zstd level of the packages: they stay on this machine, so quick is better than small.
const COMPRESSION: Compression = Compression { level: 3, long: None };

/// Where GOROOT lies below the prefix.
const GO: &str = "go";

/// Held while the channel is made, below its folder.
const LOCK: &str = ".gonda-bootstrap.lock";

/// Where small files lie until they are packed, below the channel's folder.
const ASIDE: &str = ".gonda-bootstrap";

/// The time of packages when nothing says more: 1980-01-01, the first that a zip file knows.
const EARLIEST: i64 = 315_532_800;

/// How the toolchain packages tell a build about themselves. conda-forge has used both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Layout {
    /// `etc/conda/env_vars.d/*.json`; the flavour (cgo, nocgo) stands in the build string of `go`.
    #[default]
    EnvVars,
    /// `etc/conda/activate.d/*.{sh,bat}`; the flavour is chosen by `_go_select`.
    ActivateScripts,
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "env_vars.d" => Ok(Self::EnvVars),
            "activate.d" => Ok(Self::ActivateScripts),
            _ => Err(Error::new(Kind::Usage, format!("`{text}` is not a layout of toolchain packages"))
                .help("`env_vars.d` or `activate.d`")),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EnvVars => "env_vars.d",
            Self::ActivateScripts => "activate.d",
        })
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct BootstrapOptions {
    /// A GOROOT: a folder with `VERSION`, `bin/go`, `src` …; `None`: no toolchain is packaged.
    pub go_root: Option<PathBuf>,
    /// A zig distribution, to be packaged as `zig`.
    pub zig: Option<PathBuf>,
    /// The channel's folder; made if missing. Other packages in it stay.
    pub output: PathBuf,
    /// How the packages tell about themselves.
    pub layout: Layout,
    /// The machine that the SDK runs on.
    pub build_platform: Subdir,
    /// The time of everything in the packages, in seconds since 1970; `None`: the time in the SDK's `VERSION`.
    pub timestamp: Option<i64>,
    /// A C compiler of this machine, to be packaged as the native target's (for tests of cgo without conda-forge).
    pub system_cc: Option<SystemCompiler>,
    /// Threads that compress; the bytes do not depend on it.
    pub threads: u32,
}

/// A C compiler of this machine. The packages hold scripts that start it, so they work on this machine alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemCompiler {
    /// `/usr/bin/gcc`; a C++ compiler is taken from beside it (`g++`), if there is one.
    pub path: PathBuf,
    /// The version that the packages get; `None`: what the compiler's file name ends with (`gcc-12`).
    pub version: Option<String>,
    /// The oldest glibc with which a program runs that was linked with it; `None`: this machine's. Linux only.
    pub glibc: Option<String>,
}

/// Writes the toolchain's packages into `<output>/<build platform>` and indexes the channel. Gives the packages in the
/// order of their file names.
///
/// # Errors
/// [`Kind::Usage`]: the folder is no Go SDK for the build platform, or the compiler can't be packaged.
/// [`Kind::Machine`]: something can't be read or written.
pub async fn bootstrap(options: &BootstrapOptions, events: Events) -> Result<Vec<Artifact>> {
    let options = options.clone();
    let zig = match &options.zig {
        Some(folder) => Some(zig::Distribution::open(folder, options.build_platform).await?),
        None => None,
    };
    let working = tokio::task::spawn_blocking(move || make(&options, zig.as_ref(), &events));
    match working.await {
        Ok(done) => done,
        Err(error) => Err(Error::new(Kind::Bug, "making the toolchain's channel ended early").because(error)),
    }
}

fn make(options: &BootstrapOptions, zig: Option<&zig::Distribution>, events: &Events) -> Result<Vec<Artifact>> {
    let platform = options.build_platform;
    let sdk = options.go_root.as_ref().map(|root| Sdk::open(root, platform)).transpose()?;
    let mut definitions: Vec<Definition> =
        sdk.iter().flat_map(|sdk| packages::toolchain(&sdk.version, options.layout, platform)).collect();
    definitions.extend(zig.map(zig::Distribution::definition));
    if let Some(compiler) = &options.system_cc {
        let mut compiler = compiler.clone();
        if compiler.glibc.is_none() {
            compiler.glibc = own_glibc(options.build_platform)?;
        }
        definitions.extend(packages::system_compiler(&compiler, options.build_platform)?);
    }
    fs::create_dir_all(&options.output)?;
    let _lock = crate::index::lock(&options.output.join(LOCK))?;
    // Small files are written here before they are packed; whatever lies there was left by one who died.
    let aside = options.output.join(ASIDE);
    remove_aside(&aside)?;
    let work = Work {
        platform: options.build_platform,
        folder: options.output.join(options.build_platform.as_str()),
        aside: aside.clone(),
        timestamp: options.timestamp.or(sdk.as_ref().and_then(|sdk| sdk.time)).unwrap_or(EARLIEST).max(EARLIEST),
        go: sdk.as_ref().map(|sdk| sdk.entries(platform)).transpose()?.unwrap_or_default(),
        zig: zig.map(|zig| zig.entries(platform)).transpose()?.unwrap_or_default(),
        license: sdk.as_ref().and_then(Sdk::license),
        zig_license: zig.and_then(zig::Distribution::license),
        threads: options.threads,
    };
    let packed = work.pack_all(&definitions, events);
    remove_aside(&aside)?;
    let mut artifacts = packed?;
    crate::index::index(&options.output, events)?;
    artifacts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(artifacts)
}

/// What all packages have in common.
struct Work {
    platform: Subdir,
    folder: PathBuf,
    aside: PathBuf,
    timestamp: i64,
    go: Vec<Entry>,
    zig: Vec<Entry>,
    license: Option<PathBuf>,
    zig_license: Option<PathBuf>,
    threads: u32,
}

impl Work {
    /// Packs all, two at a time: the two large packages, the first of their flavours, take nearly all of it.
    fn pack_all(&self, definitions: &[Definition], events: &Events) -> Result<Vec<Artifact>> {
        let mut order: Vec<&Definition> = definitions.iter().collect();
        order.sort_by_key(|definition| definition.payload == Payload::None);
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some(definition) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let packed = self.pack(definition);
                        if packed.is_ok() {
                            events.note("", format!("packed {}", definition.stem()));
                        }
                        done.lock().unwrap_or_else(PoisonError::into_inner).push(packed);
                    }
                });
            }
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
    }

    fn pack(&self, definition: &Definition) -> Result<Artifact> {
        let stem = definition.stem();
        let (mut entries, license) = match definition.payload {
            Payload::None => (Vec::new(), &self.license),
            Payload::Go => (self.go.clone(), &self.license),
            Payload::Zig => (self.zig.clone(), &self.zig_license),
        };
        for file in &definition.files {
            entries.push(small_entry(&self.aside.join(&stem), file)?);
        }
        let info = info(definition, self.platform, self.timestamp, license.as_deref())?;
        let package = Package {
            stem: &stem,
            entries: &entries,
            info: &info,
            timestamp: self.timestamp,
            compression: COMPRESSION,
            threads: self.threads,
        };
        gonda_packager::write(&self.folder, &package).map_err(not_packed)
    }
}

fn remove_aside(aside: &Path) -> Result<()> {
    match std::fs::remove_dir_all(aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let message = format!("could not remove `{}`", aside.display());
            Err(Error::new(Kind::Machine, message).because(error))
        }
        _ => Ok(()),
    }
}

/// This machine's glibc, if it is of the platform: programs that are linked here may need it.
fn own_glibc(platform: Subdir) -> Result<Option<String>> {
    let found = crate::channels::virtual_packages(platform, true)?;
    let glibc = found.iter().find(|package| package.name.as_normalized() == "__glibc");
    Ok(glibc.map(|glibc| glibc.version.to_string()))
}

/// A Go SDK on disk.
struct Sdk {
    root: PathBuf,
    /// As conda writes it: `1.26.8`.
    version: String,
    /// Seconds since 1970, from `VERSION`.
    time: Option<i64>,
}

impl Sdk {
    fn open(root: &Path, platform: Subdir) -> Result<Self> {
        let no_sdk = |why: String| {
            Error::new(Kind::Usage, format!("`{}` is not a Go SDK for {platform}: {why}", root.display())).help(
                "give a GOROOT (`go env GOROOT` prints it) whose Go runs on the build platform, \
                 such as an unpacked archive of a Go release",
            )
        };
        let text = std::fs::read_to_string(root.join("VERSION"))
            .map_err(|error| no_sdk("it has no readable file `VERSION`".to_owned()).because(error))?;
        let Some((goos, goarch)) = go_platform(platform).filter(|_| TARGETS.contains(&platform)) else {
            return Err(no_sdk("there are no toolchain packages for it".to_owned()));
        };
        if let Some(path) = [format!("bin/{}", executable("go", platform)), "src".to_owned()]
            .iter()
            .find(|path| !root.join(path).exists())
        {
            return Err(no_sdk(format!("it has no `{path}`")));
        }
        let tools = tool_platforms(root);
        let own = format!("{goos}_{goarch}");
        if !tools.is_empty() && !tools.contains(&own) {
            return Err(no_sdk(format!("its tools are for {}", tools.join(", "))));
        }
        let first = text.split_whitespace().next().unwrap_or_default();
        let version = first.strip_prefix("go").unwrap_or_default().to_lowercase().replace('-', "_");
        if version.is_empty() || version.len() > 64 || !is_conda_version(&version) {
            return Err(no_sdk(format!("its version is `{first}`")).help(
                "only releases can be packaged, whose `VERSION` begins with `go` and a number; write such a version there",
            ));
        }
        let time = text.lines().find_map(|line| line.strip_prefix("time ")).and_then(|time| {
            let time: jiff::Timestamp = time.trim().parse().ok()?;
            Some(time.as_second())
        });
        Ok(Self { root: root.to_path_buf(), version, time })
    }

    /// The whole of it below `go/`, and the programs' place in the prefix.
    fn entries(&self, platform: Subdir) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        // Distributions keep parts of a GOROOT elsewhere, behind links: what they lead to is packed.
        for entry in WalkDir::new(&self.root).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let message = format!("could not read the Go SDK `{}`", self.root.display());
                Error::new(Kind::Machine, message).because(error)
            })?;
            if !entry.file_type().is_file() {
                continue;
            }
            let Some(path) = entry.path().strip_prefix(&self.root).ok().and_then(posix) else {
                let message =
                    format!("`{}`, a file of the Go SDK, has a name that is not UTF-8", entry.path().display());
                return Err(Error::new(Kind::Usage, message));
            };
            let path = format!("{GO}/{path}");
            if !gonda_packager::is_excluded(&path) {
                let program = is_program(entry.path(), &path, platform);
                entries.push(Entry::file(path, entry.path(), program));
            }
        }
        for name in ["go", "gofmt"] {
            let name = executable(name, platform);
            let source = self.root.join("bin").join(&name);
            if !source.is_file() {
                continue;
            }
            let mut entry = Entry::file(format!("bin/{name}"), source, true);
            if !platform.is_windows() {
                entry.kind = gonda_packager::Kind::Symlink {
                    target: format!("../{GO}/bin/{name}"),
                    leads_to: Some(format!("{GO}/bin/{name}")),
                };
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn license(&self) -> Option<PathBuf> {
        Some(self.root.join("LICENSE")).filter(|path| path.is_file())
    }
}

/// The platforms that an SDK has compilers for, as Go names them in `pkg/tool`: the one that it runs on. Sorted.
fn tool_platforms(root: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(root.join("pkg/tool")).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Whether conda takes a text for a version (CEP 26 and 33: `[0-9a-z._+!]`, a digit first).
fn is_conda_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || "._+!".contains(c))
        && Version::from_str(text).is_ok()
}

/// A program's file name on a platform.
fn executable(name: &str, platform: Subdir) -> String {
    if platform.is_windows() { format!("{name}.exe") } else { name.to_owned() }
}

/// Whether a file of the SDK is to be executable: Go's programs, and where the file system knows, what it says.
fn is_program(path: &Path, packed: &str, platform: Subdir) -> bool {
    let by_place = packed.starts_with("go/bin/") || packed.starts_with("go/pkg/tool/");
    by_place || (!platform.is_windows() && host::is_executable(path))
}

fn posix(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

/// Writes a small file into a package's folder aside and describes it as the packager wants it.
fn small_entry(aside: &Path, file: &SmallFile) -> Result<Entry> {
    let source = aside.join(&file.path);
    if let Some(folder) = source.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&source, &file.text)?;
    let mut entry = Entry::file(file.path.clone(), source, file.executable);
    if file.text.contains(packages::PREFIX) {
        entry.prefix = Some(Prefix { placeholders: vec![packages::PREFIX.to_owned()], mode: FileMode::Text });
    }
    Ok(entry)
}

/// `info/` of a package, but for what the packager makes from the bytes (CEP 34, CEP 40).
fn info(definition: &Definition, platform: Subdir, timestamp: i64, license: Option<&Path>) -> Result<Vec<InfoFile>> {
    let mut index = Map::new();
    index.insert("arch".to_owned(), json!(platform.arch().map(|arch| arch.to_string())));
    index.insert("build".to_owned(), json!(definition.build));
    index.insert("build_number".to_owned(), json!(0));
    if !definition.constrains.is_empty() {
        index.insert("constrains".to_owned(), json!(definition.constrains));
    }
    index.insert("depends".to_owned(), json!(definition.depends));
    let (license_name, family, home, docs) = match definition.payload {
        Payload::Zig => ("MIT", "MIT", "https://ziglang.org/", "https://ziglang.org/documentation/"),
        Payload::Go | Payload::None => ("BSD-3-Clause", "BSD", "https://go.dev/", "https://go.dev/doc"),
    };
    index.insert("license".to_owned(), json!(license_name));
    index.insert("license_family".to_owned(), json!(family));
    index.insert("name".to_owned(), json!(definition.name));
    index.insert("platform".to_owned(), json!(platform.only_platform()));
    index.insert("subdir".to_owned(), json!(platform.as_str()));
    index.insert("timestamp".to_owned(), json!(timestamp.saturating_mul(1000)));
    index.insert("version".to_owned(), json!(definition.version));
    let about = json!({
        "doc_url": docs, "home": home, "license": license_name, "license_family": family, "summary": definition.summary,
    });
    let tool = json!({ "name": "gonda", "version": env!("CARGO_PKG_VERSION") });
    let hash_input: Map<String, Value> =
        definition.hash_input.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let mut files = vec![
        json_file("index.json", &Value::Object(index))?,
        json_file("about.json", &about)?,
        json_file("used_build_tool.json", &tool)?,
        json_file("hash_input.json", &Value::Object(hash_input))?,
    ];
    if let Some(run_exports) = &definition.run_exports {
        files.push(json_file("run_exports.json", run_exports)?);
    }
    if let Some(license) = license {
        files.push(InfoFile::copy("licenses/LICENSE", license, false));
    }
    Ok(files)
}

fn json_file(name: &str, value: &Value) -> Result<InfoFile> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(Kind::Bug, format!("`{name}` can't be written")).because(error))?;
    Ok(InfoFile::bytes(name, text))
}

/// An error of the packager, by who must act.
fn not_packed(error: gonda_packager::Error) -> Error {
    let kind = match &error {
        gonda_packager::Error::Io { .. } => Kind::Machine,
        gonda_packager::Error::Unpackable { .. } => Kind::Usage,
        _ => Kind::Verification,
    };
    let mut made = Error::new(kind, error.to_string());
    made.help = error.help().map(str::to_owned);
    match error {
        gonda_packager::Error::Io { source, .. } => made.because(source),
        _ => made,
    }
}

#[cfg(test)]
mod tests;
