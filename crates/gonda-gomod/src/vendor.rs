//! `vendor/modules.txt`, and whether a vendor folder agrees with go.mod (<https://go.dev/ref/mod#vendoring>).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::go_mod::GoMod;
use crate::go_version::GoVersion;
use crate::go_work::GoWork;
use crate::module_path::check_import_path;
use crate::module_version::{ModuleVersion, Semver, compare_versions};

/// What modules.txt says of a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VendoredModule {
    /// Whether go.mod requires it.
    pub explicit: bool,
    /// What replaces it.
    pub replacement: Option<ModuleVersion>,
    /// The `go` line of its own go.mod.
    pub go: Option<String>,
    /// Its packages in the vendor folder.
    pub packages: Vec<String>,
}

/// A `vendor/modules.txt` file. Like Go, the reader passes over what it does not understand, so there are no mistakes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModulesTxt {
    /// Whether `go work vendor` wrote it.
    pub workspace: bool,
    /// By module; a replacement of all versions has a module without version.
    pub modules: BTreeMap<ModuleVersion, VendoredModule>,
    /// The modules that provide packages, in the file's order.
    pub providers: Vec<ModuleVersion>,
    /// The modules with a replacement, in the file's order.
    pub replaced: Vec<ModuleVersion>,
}

impl ModulesTxt {
    /// Reads a file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut this = Self::default();
        let first = text.lines().next().unwrap_or_default();
        this.workspace = annotations(first).is_some_and(|mut list| list.any(|entry| entry == "workspace"));
        let mut selected: BTreeMap<String, String> = BTreeMap::new();
        let mut current: Option<ModuleVersion> = None;
        for line in text.lines() {
            if line.starts_with("# ") {
                this.module_line(line, &mut current);
            } else if let Some(module) = &current {
                if let Some(list) = annotations(line) {
                    let entry = this.modules.entry(module.clone()).or_default();
                    for annotation in list {
                        entry.explicit |= annotation == "explicit";
                        if let Some(go) = annotation.strip_prefix("go ") {
                            entry.go = Some(go.to_owned());
                        }
                    }
                    continue;
                }
                let mut words = line.split_whitespace();
                let (Some(package), None) = (words.next(), words.next()) else { continue };
                if check_import_path(package).is_err() {
                    continue;
                }
                this.modules.entry(module.clone()).or_default().packages.push(package.to_owned());
                let newer =
                    selected.get(&module.path).is_none_or(|version| compare_versions(version, &module.version).is_lt());
                if newer {
                    selected.insert(module.path.clone(), module.version.clone());
                    this.providers.push(module.clone());
                }
            }
        }
        this
    }

    /// `# path version`, `# path version => …` or `# path => …`.
    fn module_line(&mut self, line: &str, current: &mut Option<ModuleVersion>) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (module, rest) = match fields.as_slice() {
            ["#", path, version, rest @ ..] if Semver::parse(version).is_some() => {
                (ModuleVersion::new(*path, *version), rest)
            }
            ["#", path, "=>", ..] => (ModuleVersion::new(*path, ""), &fields[2..]),
            ["#", _, _, ..] => {
                *current = None;
                return;
            }
            _ => return,
        };
        let replacement = match rest {
            ["=>", path] => Some(ModuleVersion::new(*path, "")),
            ["=>", path, version] if Semver::parse(version).is_some() => Some(ModuleVersion::new(*path, *version)),
            _ => None,
        };
        if let Some(replacement) = replacement {
            self.replaced.push(module.clone());
            self.modules.entry(module.clone()).or_default().replacement = Some(replacement);
        }
        *current = Some(module);
    }
}

/// The entries of a `## a; b` line.
fn annotations(line: &str) -> Option<impl Iterator<Item = &str>> {
    line.strip_prefix("## ").map(|text| text.split(';').map(str::trim))
}

/// Whether Go builds from the vendor folder unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VendorUse {
    /// `-mod=vendor` is the default.
    Used,
    /// The `go` line is missing or below 1.14.
    GoTooOld,
    /// The folder was made for a workspace and there is none, or the other way round.
    OtherMode,
}

/// Whether Go builds from an existing vendor folder by default: `go` is the `go` line of go.work in a workspace, else of
/// go.mod; `modules_txt` is empty where the file is missing.
#[must_use]
pub fn vendor_use(go: Option<&GoVersion>, modules_txt: &ModulesTxt, workspace: bool) -> VendorUse {
    let since = GoVersion::parse("1.14");
    if go.is_none_or(|go| since.is_some_and(|since| *go < since)) {
        VendorUse::GoTooOld
    } else if modules_txt.workspace != workspace {
        VendorUse::OtherMode
    } else {
        VendorUse::Used
    }
}

/// A main module.
#[derive(Debug, Clone, Copy)]
pub struct MainModule<'a> {
    /// Its folder, relative to the one that holds `vendor`, with slashes; `.` or empty for that one itself.
    pub folder: &'a str,
    /// Its go.mod.
    pub go_mod: &'a GoMod,
}

/// Where a vendor folder and go.mod disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InconsistentVendoring {
    /// The folder that holds `vendor`.
    pub folder: String,
    /// One line for each disagreement.
    pub details: Vec<String>,
    workspace: bool,
}

impl fmt::Display for InconsistentVendoring {
    /// Go's text, without its leading `go: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inconsistent vendoring in {}:", self.folder)?;
        for detail in &self.details {
            write!(f, "\n\t{detail}")?;
        }
        let command = if self.workspace { "work" } else { "mod" };
        write!(f, "\n\n\tTo ignore the vendor directory, use -mod=readonly or -mod=mod.")?;
        write!(f, "\n\tTo sync the vendor directory, run:\n\t\tgo {command} vendor")
    }
}

impl std::error::Error for InconsistentVendoring {}

/// Checks a vendor folder as Go since 1.14 does before it builds from it: every `require` is marked explicit, every
/// `replace` is recorded, and the other way round. With a workspace, `mains` are its modules; without, the one module.
/// `folder` is only named in the error.
///
/// # Errors
///
/// All disagreements.
pub fn check_vendor(
    folder: &str,
    mains: &[MainModule<'_>],
    work: Option<&GoWork>,
    modules_txt: &ModulesTxt,
) -> Result<(), InconsistentVendoring> {
    let mut details = Vec::new();
    let mut tell = |module: &ModuleVersion, text: String| details.push(format!("{module}: {text}"));
    let replacements = Replacements { mains, work };

    for require in mains.iter().flat_map(|main| &main.go_mod.require) {
        let module = &require.value.module;
        if !modules_txt.modules.get(module).is_some_and(|vendored| vendored.explicit) {
            let text = "is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt";
            tell(module, text.to_owned());
        }
    }

    let mut seen = BTreeSet::new();
    let all = mains.iter().flat_map(|main| &main.go_mod.replace).chain(work.iter().flat_map(|work| &work.replace));
    for replace in all {
        let old = &replace.value.old;
        if !seen.insert(old) {
            continue;
        }
        let found = replacements.find(old);
        let vendored = modules_txt.modules.get(old).and_then(|vendored| vendored.replacement.as_ref());
        match (vendored, found) {
            // Not in effect: it may be a main module of the workspace.
            (None, None) => {}
            (None, Some(found)) => {
                tell(old, format!("is replaced in {}, but not marked as replaced in vendor/modules.txt", found.source));
            }
            (Some(vendored), found) => {
                let (new, canonical, source) = match found {
                    Some(found) => (found.new, found.canonical, found.source),
                    None => (ModuleVersion::default(), ModuleVersion::default(), "go.mod".to_owned()),
                };
                if *vendored != canonical {
                    let text = format!(
                        "is replaced by {new} in {source}, but marked as replaced by {vendored} in vendor/modules.txt"
                    );
                    tell(old, text);
                }
            }
        }
    }

    let article = if work.is_some() { "a " } else { "" };
    for module in &modules_txt.providers {
        let explicit = modules_txt.modules.get(module).is_some_and(|vendored| vendored.explicit);
        let required = || mains.iter().flat_map(|main| &main.go_mod.require).any(|r| r.value.module == *module);
        if explicit && !required() {
            let text =
                format!("is marked as explicit in vendor/modules.txt, but not explicitly required in {article}go.mod");
            tell(module, text);
        }
    }

    let source = if work.is_some() { "the workspace" } else { "go.mod" };
    for module in &modules_txt.replaced {
        if replacements.find(module).is_none() {
            tell(module, format!("is marked as replaced in vendor/modules.txt, but not replaced in {source}"));
        }
    }

    if details.is_empty() {
        Ok(())
    } else {
        Err(InconsistentVendoring { folder: folder.to_owned(), details, workspace: work.is_some() })
    }
}

struct Replacements<'a> {
    mains: &'a [MainModule<'a>],
    work: Option<&'a GoWork>,
}

struct Replaced {
    /// As written.
    new: ModuleVersion,
    /// A folder relative to the one that holds `vendor`.
    canonical: ModuleVersion,
    /// The file that says so.
    source: String,
}

impl Replacements<'_> {
    fn find(&self, module: &ModuleVersion) -> Option<Replaced> {
        let is_main = |main: &&MainModule<'_>| {
            main.go_mod.module.as_ref().is_some_and(|declared| declared.value.path == module.path)
        };
        if module.version.is_empty() && self.mains.iter().any(|main| is_main(&main)) {
            return None;
        }
        if let Some(new) = self.work.and_then(|work| work.replacement(module)) {
            return Some(Replaced { new: new.clone(), canonical: new.clone(), source: "go.work".to_owned() });
        }
        // The last of the modules counts; Go refuses a workspace whose modules disagree.
        let (main, new) =
            self.mains.iter().rev().find_map(|main| main.go_mod.replacement(module).map(|new| (main, new)))?;
        let source = if is_here(main.folder) { "go.mod".to_owned() } else { format!("{}/go.mod", clean(main.folder)) };
        let mut canonical = new.clone();
        let absolute = new.path.starts_with(['/', '\\']) || new.path.get(1..2) == Some(":");
        if self.work.is_some() && new.version.is_empty() && !absolute {
            let joined = clean(&format!("{}/{}", main.folder, new.path));
            canonical.path = if joined == "." || joined == ".." || joined.starts_with("../") {
                joined
            } else {
                format!("./{joined}")
            };
        }
        Some(Replaced { new: new.clone(), canonical, source })
    }
}

fn is_here(folder: &str) -> bool {
    clean(folder) == "."
}

/// A slash path without `.`, and without `..` but at its beginning; `.` if nothing is left.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(go_mod: &str, modules_txt: &str, expected: &str) {
        let go_mod = GoMod::parse(go_mod).unwrap();
        let main = MainModule { folder: ".", go_mod: &go_mod };
        let answer = check_vendor("D", &[main], None, &ModulesTxt::parse(modules_txt));
        assert_eq!(answer.err().map_or_else(|| "ok".to_owned(), |error| error.details.join("\n")), expected);
    }

    const VENDORED: &str = "\
# a.b/x v1.0.0
## explicit; go 1.20
a.b/x
a.b/x/y
# a.b/z v1.1.0 => ./z
## explicit
a.b/z
# a.b/w => c.d/w v1.0.0
";

    #[test]
    fn consistent() {
        check(
            "module m.n\nrequire a.b/x v1.0.0\nrequire a.b/z v1.1.0\nreplace a.b/z v1.1.0 => ./z\nreplace a.b/w => c.d/w v1.0.0",
            VENDORED,
            "ok",
        );
        check("module m.n", "", "ok");
    }

    #[test]
    fn disagreements() {
        check(
            "module m.n\nrequire a.b/x v1.0.1\nrequire a.b/z v1.1.0\nreplace a.b/z v1.1.0 => ./zz\nreplace a.b/v => ./v",
            VENDORED,
            "\
a.b/x@v1.0.1: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt
a.b/z@v1.1.0: is replaced by ./zz in go.mod, but marked as replaced by ./z in vendor/modules.txt
a.b/v: is replaced in go.mod, but not marked as replaced in vendor/modules.txt
a.b/x@v1.0.0: is marked as explicit in vendor/modules.txt, but not explicitly required in go.mod
a.b/w: is marked as replaced in vendor/modules.txt, but not replaced in go.mod",
        );
    }

    #[test]
    fn text_is_that_of_go() {
        let go_mod = GoMod::parse("module m.n\nrequire a.b/x v1.0.1").unwrap();
        let main = MainModule { folder: "", go_mod: &go_mod };
        let error = check_vendor("/src", &[main], None, &ModulesTxt::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "inconsistent vendoring in /src:\n\ta.b/x@v1.0.1: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt\n\n\tTo ignore the vendor directory, use -mod=readonly or -mod=mod.\n\tTo sync the vendor directory, run:\n\t\tgo mod vendor"
        );
    }

    #[test]
    fn workspaces() {
        let a = GoMod::parse("module m.n/a\nrequire a.b/x v1.0.0\nreplace a.b/x => ../x").unwrap();
        let b = GoMod::parse("module m.n/b\nrequire m.n/a v1.0.0\nreplace m.n/a => ../a").unwrap();
        let mains = [MainModule { folder: "a", go_mod: &a }, MainModule { folder: "./b", go_mod: &b }];
        let work = GoWork::parse("go 1.22\nuse ./a ").unwrap();
        let text = "## workspace\n# a.b/x v1.0.0 => ./x\n## explicit\na.b/x\n# m.n/a v1.0.0 => ./a\n## explicit\n# a.b/x => ./x\n";
        let parsed = ModulesTxt::parse(text);
        assert!(parsed.workspace);
        assert_eq!(check_vendor("D", &mains, Some(&work), &parsed), Ok(()));
        let error =
            check_vendor("D", &mains, Some(&work), &ModulesTxt::parse("## workspace\n# a.b/x => ./y\n")).unwrap_err();
        assert_eq!(
            error.details.join("\n"),
            "a.b/x@v1.0.0: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt
m.n/a@v1.0.0: is explicitly required in go.mod, but not marked as explicit in vendor/modules.txt
a.b/x: is replaced by ../x in a/go.mod, but marked as replaced by ./y in vendor/modules.txt"
        );
    }

    #[test]
    fn default_mode() {
        let check = |go: &str, text: &str, workspace: bool, expected: VendorUse| {
            assert_eq!(vendor_use(GoVersion::parse(go).as_ref(), &ModulesTxt::parse(text), workspace), expected);
        };
        check("1.14", "", false, VendorUse::Used);
        check("1.13", "", false, VendorUse::GoTooOld);
        check("", "", false, VendorUse::GoTooOld);
        check("1.22", "## workspace\n", false, VendorUse::OtherMode);
        check("1.22", "## workspace\n", true, VendorUse::Used);
    }
}
