//! Is what compiled files say of themselves what their package says? Machine and system, suffix, interpreter, libraries,
//! the oldest system, the code signature: each held against `index.json` and, where it is known, the environment that the
//! files were linked in.
//!
//! What was found is data ([`Finding`]); who builds or verifies a package decides what follows. What only Go's own tools
//! can tell of a binary is held against its package elsewhere, in findings of the same shape.

mod constraint;
mod library;

use std::collections::{BTreeMap, BTreeSet};

use rattler_conda_types::Subdir;
use serde::Serialize;

use crate::binary::{Binary, Format, Os, Role, Subsystem};
use crate::error::Severity;

/// What the check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Machine and operating system are the package's.
    Platform,
    /// Programs end in `.exe` on Windows, and only there.
    Suffix,
    /// The loader that a program names is the platform's.
    Interpreter,
    /// Libraries come from the package, its dependencies or the system.
    Library,
    /// A `__glibc` constraint keeps the package away from systems that are too old for it.
    Glibc,
    /// The same for `__osx`.
    MacOs,
    /// Windows can start it.
    Subsystem,
    /// macOS on arm64 runs only what is signed, and holds it against the hashes of its pages.
    Signature,
    /// Go's build information can be read and agrees with the platform.
    BuildInfo,
    /// A Go program was built by the toolchain of the plan.
    Toolchain,
    /// Modules in a Go program are those of the source's go.sum.
    Modules,
}

impl Rule {
    /// Whether the package's metadata, not the file, would have to change. Such a finding is a warning, unless metadata
    /// are to be strict.
    #[must_use]
    pub fn is_of_metadata(self) -> bool {
        matches!(self, Self::Library | Self::Glibc | Self::MacOs)
    }
}

/// A file that isn't what its package says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, relative to the prefix.
    pub path: String,
    /// What was checked.
    pub rule: Rule,
    /// An error, unless the file may have its reasons or only metadata are missing.
    pub severity: Severity,
    /// Lower case, no full stop; the sentence goes on after the file's path.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// An error.
    pub fn error(path: &str, rule: Rule, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), rule, severity: Severity::Error, message: message.into(), help: None }
    }

    /// A warning.
    pub fn warning(path: &str, rule: Rule, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, rule, message) }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a package says of itself.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The platform; `None` for a package that is for all of them, whose files may be for any.
    pub subdir: Option<Subdir>,
    /// `depends` of `index.json`.
    pub depends: Vec<String>,
    /// `constrains` of `index.json`.
    pub constrains: Vec<String>,
    /// File names (without folders) of all files and links of the package: see [`Claims::with_files`].
    pub file_names: BTreeSet<String>,
    /// File names in the environment that the files were linked in, where it is known.
    pub environment: Option<BTreeMap<String, Provider>>,
}

impl Claims {
    /// Takes the names of the package's files and links from their paths.
    #[must_use]
    pub fn with_files<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let names = paths.into_iter().map(|path| path.rsplit('/').next().unwrap_or(path));
        self.file_names = names.map(|name| self.folded(name)).collect();
        self
    }

    /// A file name as the platform compares it.
    fn folded(&self, name: &str) -> String {
        if self.subdir.is_some_and(|subdir| subdir.is_windows()) { name.to_ascii_lowercase() } else { name.to_owned() }
    }
}

/// Who has a library of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The package's name.
    pub package: String,
    /// Whether it is among what the package depends on, directly or through others.
    pub at_run_time: bool,
}

/// Everything that is wrong with one file of a package, in the order of [`Rule`]. Object files are for linkers, what lies in
/// `testdata` is for tests: they are held to their platform alone.
#[must_use]
pub fn check(path: &str, binary: &Binary, claims: &Claims) -> Vec<Finding> {
    let Some(subdir) = claims.subdir else { return Vec::new() };
    let Some(image) = binary.image_for(subdir) else {
        return vec![wrong_platform(path, binary, subdir)];
    };
    if image.role == Role::Object || is_fixture(path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(suffix(path, image, subdir));
    findings.extend(interpreter(path, image, subdir));
    findings.extend(library::check(path, image, subdir, claims));
    findings.extend(constraint::check(path, image, subdir, claims));
    findings.extend(subsystem(path, image));
    for image in std::iter::once(binary).chain(&binary.images) {
        findings.extend(signature(path, image));
    }
    findings
}

fn wrong_platform(path: &str, binary: &Binary, subdir: Subdir) -> Finding {
    let message = format!("is a {binary}, and the package is for `{subdir}`");
    if is_fixture(path) || binary.role == Role::Object {
        return Finding::warning(path, Rule::Platform, message);
    }
    Finding::error(path, Rule::Platform, message)
        .help("the script ignores or unsets the target's GOOS and GOARCH, or packs a tool of the build machine")
}

/// The go command leaves `testdata` alone: what lies there is for tests.
fn is_fixture(path: &str) -> bool {
    path.split('/').any(|folder| folder == "testdata")
}

/// Folders that activation puts on PATH.
fn is_on_path(path: &str) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folders = ["", "bin", "sbin", "Scripts", "Library/bin", "Library/usr/bin", "Library/mingw-w64/bin"];
    folders.iter().any(|one| one.eq_ignore_ascii_case(folder))
}

fn suffix(path: &str, image: &Binary, subdir: Subdir) -> Option<Finding> {
    if image.role != Role::Program {
        return None;
    }
    let extension = path.rsplit_once('/').map_or(path, |(_, name)| name).rsplit_once('.');
    let extension = extension.map(|(_, extension)| extension.to_ascii_lowercase());
    let is = |wanted: &[&str]| extension.as_deref().is_some_and(|extension| wanted.contains(&extension));
    if subdir.is_windows() && !is(&["exe", "com", "scr", "cpl", "sys", "ocx", "pyd", "dll"]) {
        return Some(
            Finding::error(
                path,
                Rule::Suffix,
                "is a program for Windows without the suffix `.exe`, so it can't be started",
            )
            .help("write `-o %LIBRARY_BIN%\\NAME.exe`, or `NAME$(go env GOEXE)` in a shell script"),
        );
    }
    if !subdir.is_windows() && is(&["exe"]) {
        let message = format!("ends in `.exe`, but is a program for `{subdir}`");
        // Elsewhere than on PATH, a program may be called as others expect it.
        let finding = if is_on_path(path) { Finding::error } else { Finding::warning };
        return Some(finding(path, Rule::Suffix, message).help("leave the suffix to `go env GOEXE`"));
    }
    None
}

/// The loaders of a platform: glibc's first, then musl's.
fn loaders(subdir: Subdir) -> Option<[&'static str; 2]> {
    Some(match subdir {
        Subdir::Linux64 => ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"],
        Subdir::LinuxAarch64 => ["/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"],
        Subdir::LinuxPpc64le => ["/lib64/ld64.so.2", "/lib/ld-musl-powerpc64le.so.1"],
        Subdir::Linux32 => ["/lib/ld-linux.so.2", "/lib/ld-musl-i386.so.1"],
        Subdir::LinuxArmV7l => ["/lib/ld-linux-armhf.so.3", "/lib/ld-musl-armhf.so.1"],
        Subdir::LinuxS390X => ["/lib/ld64.so.1", "/lib/ld-musl-s390x.so.1"],
        Subdir::LinuxRiscv64 => ["/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-musl-riscv64.so.1"],
        Subdir::Osx64 | Subdir::OsxArm64 => ["/usr/lib/dyld", "/usr/lib/dyld"],
        _ => return None,
    })
}

fn interpreter(path: &str, image: &Binary, subdir: Subdir) -> Option<Finding> {
    let [glibc, musl] = loaders(subdir)?;
    let Some(found) = image.interpreter.as_deref() else {
        let lost = image.format == Format::Elf && image.role == Role::Program && !image.needed.is_empty() && !image.pie;
        return lost.then(|| {
            let message = format!("needs {} but names no loader, so it can't be started", image.needed.join(", "));
            Finding::error(path, Rule::Interpreter, message)
        });
    };
    if found == glibc || found.trim_end_matches('\0') == glibc {
        return None;
    }
    if found == musl {
        let message = format!("is linked for musl: its loader `{found}` is on few systems");
        return Some(Finding::warning(path, Rule::Interpreter, message));
    }
    // Clients may bring the loader along and replace the prefix in its path.
    let message = format!("names the loader `{found}`, which `{subdir}` hasn't; its own is `{glibc}`");
    Some(Finding::error(path, Rule::Interpreter, message).help("don't set the linker's -I or --dynamic-linker"))
}

fn subsystem(path: &str, image: &Binary) -> Option<Finding> {
    let none = image.role == Role::Program && image.subsystem == Some(Subsystem::Other);
    none.then(|| {
        Finding::warning(path, Rule::Subsystem, "is for none of Windows' subsystems, so Windows can't start it")
    })
}

/// arm64 refuses what isn't signed; on other machines, a wrong signature is a defect that macOS mostly overlooks.
fn signature(path: &str, image: &Binary) -> Option<Finding> {
    use crate::binary::Machine;
    if image.format != Format::MachO || image.os != Os::MacOs || image.role == Role::Object {
        return None;
    }
    let refused = image.machine == Machine::Arm64;
    let found = |message: &str| {
        let finding = if refused { Finding::error } else { Finding::warning };
        finding(path, Rule::Signature, message)
    };
    match image.signature {
        None if refused => Some(
            found("has no code signature, so macOS on arm64 won't run it")
                .help("Go's linker signs what it links; a later `strip` or `install_name_tool` takes it away"),
        ),
        Some(signature) if signature.intact == Some(false) => {
            Some(found("has a code signature whose page hashes are not those of the file").help(
                "nothing may change the file after it was linked: no `strip`, no `install_name_tool`, no patching",
            ))
        }
        Some(signature) if signature.intact.is_none() && refused => {
            Some(Finding::warning(path, Rule::Signature, "has a code signature without SHA-256 hashes of its pages"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
