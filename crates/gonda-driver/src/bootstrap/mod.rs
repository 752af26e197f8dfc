//! A local channel with the Go toolchain, made from a Go SDK folder, for machines that can't reach a channel that has
//! one: the packages that conda-forge calls `go`, `go-<flavour>` and `go-<flavour>_<target>`, in the same layout, so
//! that a feedstock sees no difference.
//!
//! The packages differ from conda-forge's in one point: conda-forge patches its `go` command so that GOPATH and GOBIN
//! have other defaults within a build. Whoever builds sets both, so that it does not matter.

mod packages;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fs_err as fs;
use gonda_packager::{Artifact, Compression, Entry, FileMode, InfoFile, Package, Prefix};
use rattler_conda_types::{Subdir, Version};
use serde_json::{Map, Value, json};
use walkdir::WalkDir;

pub use packages::TARGETS;
use packages::{Definition, SmallFile};

use crate::{Error, Events, Kind, Result};

/// zstd level of the packages: they stay on this machine, so quick is better than small.
const COMPRESSION: Compression = Compression { level: 3, long: None };

/// Where GOROOT lies below the prefix.
const GO: &str = "go";

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
    /// A GOROOT: a folder with `VERSION`, `bin/go`, `src` …
    pub go_root: PathBuf,
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
    /// The oldest glibc that a program may need which was linked with it, that is: this machine's. Linux only.
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
    let working = tokio::task::spawn_blocking(move || make(&options, &events));
    match working.await {
        Ok(done) => done,
        Err(error) => Err(Error::new(Kind::Bug, "making the toolchain's channel ended early").because(error)),
    }
}

fn make(options: &BootstrapOptions, events: &Events) -> Result<Vec<Artifact>> {
    let sdk = Sdk::open(&options.go_root, options.build_platform)?;
    let timestamp = options.timestamp.or(sdk.time).unwrap_or(EARLIEST).max(EARLIEST);
    let folder = options.output.join(options.build_platform.as_str());
    fs::create_dir_all(&folder)?;
    // Small files are written here before they are packed; the name keeps indexers away.
    let aside = tempfile::Builder::new().prefix(".bootstrap").tempdir_in(&options.output)?;
    let payload = sdk.entries(options.build_platform)?;
    let license = sdk.license();

    let mut definitions = packages::toolchain(&sdk.version, options.layout, options.build_platform);
    if let Some(compiler) = &options.system_cc {
        definitions.extend(packages::system_compiler(compiler, options.build_platform)?);
    }
    let mut artifacts = Vec::with_capacity(definitions.len());
    for definition in &definitions {
        let mut entries = if definition.has_go_root { payload.clone() } else { Vec::new() };
        for file in &definition.files {
            entries.push(small_entry(aside.path(), &definition.stem(), file)?);
        }
        let info = info(definition, options.build_platform, timestamp, license.as_deref())?;
        let package = Package {
            stem: &definition.stem(),
            entries: &entries,
            info: &info,
            timestamp,
            compression: COMPRESSION,
            threads: options.threads,
        };
        artifacts.push(gonda_packager::write(&folder, &package).map_err(not_packed)?);
        events.note("", format!("packed {}", definition.stem()));
    }
    drop(aside);
    crate::index::index(&options.output, events)?;
    artifacts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(artifacts)
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
        let Some((goos, goarch)) = packages::go_platform(platform) else {
            return Err(no_sdk("there are no toolchain packages for it".to_owned()));
        };
        let mut missing = vec![format!("bin/{}", executable("go", platform)), "src/runtime".to_owned()];
        missing.push(format!("pkg/tool/{goos}_{goarch}"));
        missing.retain(|path| !root.join(path).exists());
        if let Some(path) = missing.first() {
            return Err(no_sdk(format!("it has no `{path}`")));
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
                let program = is_program(entry.path(), &path, platform)?;
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

/// Whether a file of the SDK is to be executable: where the file system knows, what it says; else Go's programs.
fn is_program(path: &Path, packed: &str, platform: Subdir) -> Result<bool> {
    let by_place = packed.starts_with("go/bin/") || packed.starts_with("go/pkg/tool/");
    if by_place || platform.is_windows() {
        return Ok(by_place);
    }
    Ok(has_x_bit(&fs::metadata(path)?).unwrap_or_else(|| packed.ends_with(".bash") || packed.ends_with(".pl")))
}

#[cfg(unix)]
fn has_x_bit(metadata: &std::fs::Metadata) -> Option<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn has_x_bit(_: &std::fs::Metadata) -> Option<bool> {
    None
}

fn posix(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

/// Writes a small file aside and describes it as the packager wants it.
fn small_entry(aside: &Path, stem: &str, file: &SmallFile) -> Result<Entry> {
    let source = aside.join(stem).join(&file.path);
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
    index.insert("license".to_owned(), json!("BSD-3-Clause"));
    index.insert("license_family".to_owned(), json!("BSD"));
    index.insert("name".to_owned(), json!(definition.name));
    index.insert("platform".to_owned(), json!(platform.only_platform()));
    index.insert("subdir".to_owned(), json!(platform.as_str()));
    index.insert("timestamp".to_owned(), json!(timestamp.saturating_mul(1000)));
    index.insert("version".to_owned(), json!(definition.version));
    let about = json!({
        "doc_url": "https://go.dev/doc", "home": "https://go.dev/", "license": "BSD-3-Clause",
        "license_family": "BSD", "summary": definition.summary,
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
