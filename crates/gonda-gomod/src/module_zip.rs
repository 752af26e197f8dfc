//! What makes a module zip well formed (<https://go.dev/ref/mod#zip-files>), checked on the list of its entries.

use std::collections::HashMap;
use std::fmt;

use crate::module_path::{check_file_path, check_module};
use crate::module_version::{ModuleVersion, canonical_version};

/// The largest zip file, and the largest sum of its files' sizes, in bytes.
pub const MAX_MODULE_ZIP: u64 = 500 << 20;
/// The largest go.mod or LICENSE in a module zip, in bytes.
pub const MAX_GO_MOD: u64 = 16 << 20;

/// Why a zip is not a module zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZipProblem {
    /// The entry, where it is about one.
    pub entry: Option<String>,
    /// What is wrong, in Go's words.
    pub reason: String,
}

impl fmt::Display for ZipProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(f, "{entry}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ZipProblem {}

/// Checks a module zip of `size` bytes by its entries' names and declared sizes in bytes: prefix, valid names, no two
/// names that differ by case alone, go.mod only at the top, size limits. Whoever reads the contents must hold the sizes to
/// what is declared.
///
/// # Errors
///
/// The first problem, in Go's words.
pub fn check_module_zip<'a>(
    module: &ModuleVersion,
    size: u64,
    entries: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<(), ZipProblem> {
    let whole = |reason: String| ZipProblem { entry: None, reason };
    if canonical_version(&module.version).as_deref() != Some(module.version.as_str()) {
        return Err(whole(format!("version \"{}\" is not canonical", module.version)));
    }
    check_module(&module.path, &module.version).map_err(|error| whole(error.to_string()))?;
    if size > MAX_MODULE_ZIP {
        let reason = format!("module zip file is too large ({size} bytes; limit is {MAX_MODULE_ZIP} bytes)");
        return Err(whole(reason));
    }
    let prefix = format!("{module}/");
    let mut collisions = Collisions::default();
    let mut total: u64 = 0;
    for (entry, size) in entries {
        let problem = |reason: String| ZipProblem { entry: Some(entry.to_owned()), reason };
        let Some(name) = entry.strip_prefix(&prefix) else {
            return Err(problem(format!("path does not have prefix \"{prefix}\"")));
        };
        if name.is_empty() {
            continue;
        }
        let (name, is_folder) = match name.strip_suffix('/') {
            Some(name) => (name, true),
            None => (name, false),
        };
        check_file_path(name).map_err(|error| problem(error.to_string()))?;
        collisions.check(name, is_folder).map_err(problem)?;
        if is_folder {
            continue;
        }
        let base = name.rsplit('/').next().unwrap_or(name);
        if base.eq_ignore_ascii_case("go.mod") {
            if base != name {
                return Err(problem("go.mod file not in module root directory".to_owned()));
            }
            if name != "go.mod" {
                return Err(problem("go.mod files must have lowercase names".to_owned()));
            }
        }
        total = total.saturating_add(size);
        if total > MAX_MODULE_ZIP {
            let reason =
                format!("total uncompressed size of module contents too large (max size is {MAX_MODULE_ZIP} bytes)");
            return Err(whole(reason));
        }
        if (name == "go.mod" || name == "LICENSE") && size > MAX_GO_MOD {
            return Err(problem(format!("{name} file too large (max size is {MAX_GO_MOD} bytes)")));
        }
    }
    Ok(())
}

/// Paths by their case-folded form.
#[derive(Default)]
struct Collisions(HashMap<String, (String, bool)>);

impl Collisions {
    fn check(&mut self, path: &str, is_folder: bool) -> Result<(), String> {
        let mut path = path;
        let mut is_folder = is_folder;
        loop {
            match self.0.get(&fold(path)) {
                Some((other, _)) if other != path => {
                    return Err(format!("case-insensitive file name collision: \"{other}\" and \"{path}\""));
                }
                Some((_, other)) if *other != is_folder => {
                    return Err(format!("entry \"{path}\" is both a file and a directory"));
                }
                Some(_) if !is_folder => return Err(format!("multiple entries for file \"{path}\"")),
                // A folder that is known has known parents.
                Some(_) => return Ok(()),
                None => {
                    self.0.insert(fold(path), (path.to_owned(), is_folder));
                }
            }
            match path.rsplit_once('/') {
                Some((parent, _)) => (path, is_folder) = (parent, true),
                None => return Ok(()),
            }
        }
    }
}

/// Simple case folding: the lower case of the upper case, character by character where both are one character.
fn fold(path: &str) -> String {
    fn one(mut characters: impl Iterator<Item = char>, otherwise: char) -> char {
        match (characters.next(), characters.next()) {
            (Some(c), None) => c,
            _ => otherwise,
        }
    }
    path.chars()
        .map(|c| {
            let upper = one(c.to_uppercase(), c);
            one(upper.to_lowercase(), upper)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &str, expected: &str) {
        let module = ModuleVersion::new("a.b/m", "v1.0.0");
        let entries = names.split('\n').map(|line| {
            let (name, size) = line.split_once(" = ").unwrap_or((line, "1"));
            (name, size.parse().unwrap())
        });
        let answer = check_module_zip(&module, 1, entries);
        assert_eq!(answer.err().map_or_else(|| "ok".to_owned(), |problem| problem.to_string()), expected);
    }

    #[test]
    fn zips() {
        check("a.b/m@v1.0.0/go.mod\na.b/m@v1.0.0/x/y.go\na.b/m@v1.0.0/x/z.go\na.b/m@v1.0.0/", "ok");
        check("a.b/m@v1.0.0/x/\na.b/m@v1.0.0/x/y.go\na.b/m@v1.0.0/x/", "ok");
        check("m/go.mod", "m/go.mod: path does not have prefix \"a.b/m@v1.0.0/\"");
        check("a.b/m@v1.0.0/../x", "a.b/m@v1.0.0/../x: malformed file path \"../x\": invalid path element \"..\"");
        check(
            "a.b/m@v1.0.0//etc/passwd",
            "a.b/m@v1.0.0//etc/passwd: malformed file path \"/etc/passwd\": empty path element",
        );
        check(
            "a.b/m@v1.0.0/X/a\na.b/m@v1.0.0/x/b",
            "a.b/m@v1.0.0/x/b: case-insensitive file name collision: \"X\" and \"x\"",
        );
        check(
            "a.b/m@v1.0.0/\u{212a}\na.b/m@v1.0.0/k",
            "a.b/m@v1.0.0/k: case-insensitive file name collision: \"\u{212a}\" and \"k\"",
        );
        check("a.b/m@v1.0.0/x\na.b/m@v1.0.0/x", "a.b/m@v1.0.0/x: multiple entries for file \"x\"");
        check("a.b/m@v1.0.0/x\na.b/m@v1.0.0/x/y", "a.b/m@v1.0.0/x/y: entry \"x\" is both a file and a directory");
        check("a.b/m@v1.0.0/x/go.mod", "a.b/m@v1.0.0/x/go.mod: go.mod file not in module root directory");
        check("a.b/m@v1.0.0/GO.mod", "a.b/m@v1.0.0/GO.mod: go.mod files must have lowercase names");
        check(
            "a.b/m@v1.0.0/x = 524288001",
            "total uncompressed size of module contents too large (max size is 524288000 bytes)",
        );
        check(
            "a.b/m@v1.0.0/go.mod = 16777217",
            "a.b/m@v1.0.0/go.mod: go.mod file too large (max size is 16777216 bytes)",
        );
    }
}
