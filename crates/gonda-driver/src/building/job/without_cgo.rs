//! Packages that only cgo compiles, under a toolchain without it: found and named before the script runs, as a warning,
//! for the script may not build them. If it does and fails, [`super::attribution`] gives them as the cause.
//!
//! Nobody waits for it: Go is asked in the same breath as for the standard library ([`super::go_cache`]), once for a
//! source, and again only if some package has no file left. Nothing is downloaded for it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::Job;
use super::modules::Runner;
use crate::Result;
use crate::modules::GoRunner as _;

/// How much of a Go file is read: imports stand at its beginning.
const HEAD: u64 = 64 << 10;
/// No more folders are named to Go, for a command line has an end.
const MOST: usize = 500;
/// What `go list` prints of a package, as a template: the path of one of the standard library, and the path of another with
/// a mark if all of its files are left out.
pub(super) const FORMAT: &str =
    "{{if .Standard}}{{.ImportPath}}{{else if .IgnoredGoFiles}}{{if not .GoFiles}}? {{.ImportPath}}{{end}}{{end}}";
const MARK: &str = "? ";

/// What a source's programs are made of.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Packages of the standard library.
    pub(super) standard: BTreeSet<String>,
    /// Packages of which nothing is left without cgo.
    pub(super) cgo_only: BTreeSet<String>,
}

/// A listing, as it is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The digest of the source that was looked at.
    pub(super) source: String,
    pub(super) standard: BTreeSet<String>,
    pub(super) cgo_only: BTreeSet<String>,
}

/// The folders of a module that hold files for cgo, as patterns: `./...` passes over those that hold nothing else.
pub(super) fn folders_with_c(module: &Path) -> Vec<String> {
    let visited = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let hidden = name.starts_with(['.', '_']) || name == "testdata" || name == "vendor";
        entry.depth() == 0 || !entry.file_type().is_dir() || !(hidden || entry.path().join("go.mod").exists())
    };
    let mut folders = BTreeSet::new();
    for entry in WalkDir::new(module).into_iter().filter_entry(visited).flatten() {
        let name = entry.file_name().to_string_lossy();
        if name.ends_with(".go") && !name.ends_with("_test.go") && imports_c(entry.path()) {
            let folder = entry.path().parent().and_then(|folder| folder.strip_prefix(module).ok());
            let parts = folder.into_iter().flat_map(|folder| folder.components());
            let parts: Vec<String> = parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            folders.insert(format!("./{}", parts.join("/")));
        }
    }
    folders.into_iter().take(MOST).collect()
}

/// Whether a Go file imports `C`. What can't be read doesn't.
fn imports_c(file: &Path) -> bool {
    use std::io::Read as _;
    let mut head = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    read.is_ok() && text.lines().map(str::trim).any(|line| line == "import \"C\"" || line == "\"C\"")
}

/// Splits what `go list` printed with [`FORMAT`].
pub(super) fn read(text: &str, standard: &mut BTreeSet<String>) -> Vec<String> {
    let mut left_out = Vec::new();
    // Paths of packages, which are to be words of a shell's line.
    let plain = |path: &str| !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    for line in text.lines() {
        match line.strip_prefix(MARK) {
            Some(path) => left_out.push(path.to_owned()),
            None if plain(line) => {
                standard.insert(line.to_owned());
            }
            None => {}
        }
    }
    left_out.truncate(MOST);
    left_out
}

/// Of packages whose files are all left out, those that have some with cgo: the others are for other platforms.
pub(super) async fn with_cgo(
    runner: &Runner<'_>,
    folder: &Path,
    env: &[(&str, String)],
    packages: &[String],
) -> Result<BTreeSet<String>> {
    if packages.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut env = env.to_vec();
    env.push(("CGO_ENABLED", "1".to_owned()));
    let mut args = vec!["list", "-e", "-f", "{{if or .GoFiles .CgoFiles}}{{.ImportPath}}{{end}}"];
    args.extend(packages.iter().map(String::as_str));
    let output = runner.go(&args, folder, &env).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

impl Job {
    /// Warns of packages that the toolchain can't compile.
    pub(super) fn warn_without_cgo(&self, packages: &BTreeSet<String>) {
        let names: Vec<&str> = packages.iter().map(String::as_str).collect();
        if let Some(names) = name(&names, "only files for cgo") {
            let said = format!("{names}; what imports it fails unless the script leaves it out");
            self.common.events.warn(&self.name, said);
        }
    }
}

/// Packages by name, what they have, and the cure. `None` without packages.
pub(super) fn name(packages: &[&str], have: &str) -> Option<String> {
    let names: Vec<String> = packages.iter().take(3).map(|package| format!("`{package}`")).collect();
    let more = if packages.len() > 3 { format!(" and {} more", packages.len() - 3) } else { String::new() };
    let (word, verb) = if packages.len() == 1 { ("package", "has") } else { ("packages", "have") };
    (!names.is_empty()).then(|| {
        format!(
            "{word} {}{more} {verb} {have}, and cgo is switched off: write `{{{{ compiler('c') }}}}`, `{{{{ stdlib('c') }}}}` and \
             `{{{{ compiler('cgo') }}}}` instead of `{{{{ compiler('go') }}}}`",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders() {
        let module = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = module.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("main.go", "package main\n\nimport \"fmt\"\n");
        write("cmd/tool/tool.go", "package main\n\n/* int x; */\nimport \"C\"\n");
        write("a/b.go", "package a\n\nimport (\n\t\"C\"\n\t\"os\"\n)\n");
        write("a/quoted.go", "package a\n\nconst s = `import \"C\" here`\n");
        write("c/c_test.go", "package c\n\nimport \"C\"\n");
        write("testdata/x.go", "package x\n\nimport \"C\"\n");
        write("vendor/v/v.go", "package v\n\nimport \"C\"\n");
        write("other/go.mod", "module other\n");
        write("other/o.go", "package o\n\nimport \"C\"\n");
        assert_eq!(folders_with_c(module.path()), ["./a", "./cmd/tool"]);
        write("root.go", "package main\n\nimport \"C\"\n");
        assert_eq!(folders_with_c(module.path()), ["./", "./a", "./cmd/tool"]);
    }

    #[test]
    fn listings() {
        let mut standard = BTreeSet::new();
        let left_out = read("fmt\n? a.b/c\nnet/http\n\n$(bad)\n", &mut standard);
        assert_eq!(left_out, ["a.b/c"]);
        assert_eq!(standard.into_iter().collect::<Vec<_>>(), ["fmt", "net/http"]);
    }

    #[test]
    fn names() {
        let check = |packages: &[&str], expected: &str| {
            let text = name(packages, "only files for cgo").unwrap_or_default();
            assert!(text.starts_with(expected) && text.is_empty() == expected.is_empty(), "{text}");
        };
        check(&[], "");
        check(&["a.b/c"], "package `a.b/c` has only files for cgo, and cgo is switched off: write");
        check(&["a", "b", "c", "d", "e"], "packages `a`, `b`, `c` and 2 more have only files for cgo");
    }
}
