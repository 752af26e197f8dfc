//! A Go module proxy in a folder, for `GOPROXY=file://…`: the layout of `go help goproxy`, with zips as Go wants
//! them and the `go.sum` lines that belong to them.

use std::path::{Path, PathBuf};

use base64::Engine;
use sha2::{Digest, Sha256};

use crate::archive::{Entry, source_entries, zip};

/// Time of every version in the proxy.
const TIME: &str = "2020-01-01T00:00:00Z";

/// The two h1 sums of a module version, as `go.sum` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Module path.
    pub path: String,
    /// Version with its `v`.
    pub version: String,
    /// `h1:…` of the zip.
    pub zip: String,
    /// `h1:…` of go.mod.
    pub go_mod: String,
}

impl Sums {
    /// Both lines.
    #[must_use]
    pub fn lines(&self) -> String {
        let Self { path, version, zip, go_mod } = self;
        format!("{path} {version} {zip}\n{path} {version}/go.mod {go_mod}\n")
    }
}

/// The folder of a proxy under construction.
#[derive(Debug, Clone)]
pub struct ModuleProxy {
    folder: PathBuf,
    sums: Vec<Sums>,
}

impl ModuleProxy {
    /// An empty proxy; the folder is made.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        fs_err::create_dir_all(&folder).expect("the proxy's folder");
        Self { folder, sums: Vec::new() }
    }

    /// A proxy of all modules below a folder `<root>/<module path>@<version>/…`.
    #[must_use]
    pub fn of_modules(folder: impl Into<PathBuf>, modules: &Path) -> Self {
        let mut this = Self::new(folder);
        let mut walk = walkdir::WalkDir::new(modules).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry.expect("a folder that can be read");
            if !entry.file_type().is_dir() {
                continue;
            }
            let relative = entry.path().strip_prefix(modules).expect("below").to_string_lossy().replace('\\', "/");
            if let Some((path, version)) = relative.split_once('@') {
                this.add(path, version, entry.path());
                walk.skip_current_dir();
            }
        }
        this
    }

    /// Adds a version of a module from its source folder. One without `go.mod` gets the one that Go makes up for it.
    pub fn add(&mut self, path: &str, version: &str, source: &Path) -> &mut Self {
        self.add_entries(path, version, source_entries(source, ""))
    }

    /// Adds a version from entries whose paths are relative to the module.
    pub fn add_entries(&mut self, path: &str, version: &str, entries: Vec<Entry>) -> &mut Self {
        let go_mod = entries
            .iter()
            .find(|entry| entry.path == "go.mod")
            .map_or_else(|| format!("module {path}\n").into_bytes(), |entry| entry.content.clone());
        let sums = sums_of(path, version, &entries, &go_mod);
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| Entry { path: format!("{path}@{version}/{}", entry.path), ..entry })
            .collect();

        let folder = self.folder.join(escape(path)).join("@v");
        fs_err::create_dir_all(&folder).expect("the module's folder");
        let escaped = escape(version);
        let write =
            |end: &str, bytes: &[u8]| fs_err::write(folder.join(format!("{escaped}{end}")), bytes).expect("a file");
        write(".info", format!(r#"{{"Version":"{version}","Time":"{TIME}"}}"#).as_bytes());
        write(".mod", &go_mod);
        write(".zip", &zip(&entries, zip::CompressionMethod::Deflated));
        let list = folder.join("list");
        let mut versions = fs_err::read_to_string(&list).unwrap_or_default();
        versions.push_str(version);
        versions.push('\n');
        fs_err::write(list, versions).expect("the list");
        self.sums.push(sums);
        self
    }

    /// What `GOPROXY` is set to.
    #[must_use]
    pub fn url(&self) -> String {
        let path = self.folder.canonicalize().expect("the proxy's folder").to_string_lossy().replace('\\', "/");
        format!("file://{}{path}", if path.starts_with('/') { "" } else { "/" })
    }

    /// The proxy's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The sums of what was added.
    #[must_use]
    pub fn sums(&self) -> &[Sums] {
        &self.sums
    }

    /// A `go.sum` of all that was added.
    #[must_use]
    pub fn go_sum(&self) -> String {
        let mut lines: Vec<&Sums> = self.sums.iter().collect();
        lines.sort_by(|a, b| (&a.path, &a.version).cmp(&(&b.path, &b.version)));
        lines.into_iter().map(Sums::lines).collect()
    }
}

/// The sums of a module's source folder.
#[must_use]
pub fn module_sums(path: &str, version: &str, source: &Path) -> Sums {
    let entries = source_entries(source, "");
    let go_mod = entries
        .iter()
        .find(|entry| entry.path == "go.mod")
        .map_or_else(|| format!("module {path}\n").into_bytes(), |entry| entry.content.clone());
    sums_of(path, version, &entries, &go_mod)
}

fn sums_of(path: &str, version: &str, entries: &[Entry], go_mod: &[u8]) -> Sums {
    let mut names: Vec<(String, &[u8])> =
        entries.iter().map(|entry| (format!("{path}@{version}/{}", entry.path), &*entry.content)).collect();
    Sums {
        path: path.to_owned(),
        version: version.to_owned(),
        zip: h1(&mut names),
        go_mod: h1(&mut [("go.mod".to_owned(), go_mod)]),
    }
}

/// `golang.org/x/mod/sumdb/dirhash`, Hash1: sha256 over the lines `<hex sha256>  <name>\n`, sorted by name.
fn h1(files: &mut [(String, &[u8])]) -> String {
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut whole = Sha256::new();
    for (name, content) in files {
        whole.update(format!("{}  {name}\n", hex::encode(Sha256::digest(content))));
    }
    format!("h1:{}", base64::engine::general_purpose::STANDARD.encode(whole.finalize()))
}

/// Upper-case letters as `!` and their lower case, so that file systems without case tell them apart.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(c.to_ascii_lowercase());
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_gos() {
        // Computed by `go mod download -json` over a proxy with the same two files.
        let entries = vec![
            Entry::file("go.mod", "module gonda.invalid/modules/Sun\n\ngo 1.20\n"),
            Entry::file("sun.go", "package sun\n"),
        ];
        let go_mod = entries[0].content.clone();
        let sums = sums_of("gonda.invalid/modules/Sun", "v1.0.0", &entries, &go_mod);
        assert_eq!(sums.lines(), SUN);
    }

    const SUN: &str = "gonda.invalid/modules/Sun v1.0.0 h1:WL5k47e+uLBXlrPiIwhRpQuJzd16Zy0iwJ1SlEHqSOs=\ngonda.invalid/modules/Sun v1.0.0/go.mod h1:EmVF9ln7kscCWelqrGLRJgCGP7mpKYKYEBKbFEnYkr0=\n";

    #[test]
    fn samples_ask_for_what_the_proxy_has() {
        let folder = tempfile::tempdir().unwrap();
        let samples = crate::feedstock::samples_folder();
        let made = ModuleProxy::of_modules(folder.path(), &samples.join("modules")).go_sum();
        for sample in ["orrery", "lumen", "glossary"] {
            let go_sum = fs_err::read_to_string(samples.join(format!("{sample}-feedstock/src/go.sum"))).unwrap();
            for line in go_sum.lines() {
                assert!(made.lines().any(|made| made == line), "{sample}: `{line}` is not in\n{made}");
            }
        }
    }

    #[test]
    fn escapes_case() {
        assert_eq!(escape("gonda.invalid/Sun/MoonX"), "gonda.invalid/!sun/!moon!x");
    }
}
