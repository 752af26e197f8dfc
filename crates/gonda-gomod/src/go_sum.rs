//! go.sum and go.work.sum files (<https://go.dev/ref/mod#go-sum-files>).

use std::collections::BTreeMap;

use crate::error::{Place, SyntaxErrors};
use crate::module_version::ModuleVersion;

/// One line: the hash of a module's content or of its go.mod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoSumEntry {
    /// The module; its version without `/go.mod`.
    pub module: ModuleVersion,
    /// Whether the hash is that of the go.mod alone.
    pub go_mod: bool,
    /// `h1:` and base64; another algorithm's name if Go ever gets one.
    pub hash: String,
}

/// A go.sum file's entries, in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoSum {
    /// The entries.
    pub entries: Vec<GoSumEntry>,
}

impl GoSum {
    /// Reads a file. Blank lines are passed over.
    ///
    /// # Errors
    ///
    /// All lines that do not have three fields.
    pub fn parse(text: &str) -> Result<Self, SyntaxErrors> {
        let mut entries = Vec::new();
        let mut mistakes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields.as_slice() {
                [] => {}
                [path, version, hash] => {
                    let (version, go_mod) = match version.strip_suffix("/go.mod") {
                        Some(version) => (version, true),
                        None => (*version, false),
                    };
                    let module = ModuleVersion::new(*path, version);
                    entries.push(GoSumEntry { module, go_mod, hash: (*hash).to_owned() });
                }
                fields => {
                    let message = format!("malformed go.sum: wrong number of fields {}", fields.len());
                    mistakes.push((Place { line: index + 1, column: 1 }, message));
                }
            }
        }
        if mistakes.is_empty() { Ok(Self { entries }) } else { Err(SyntaxErrors::new(text, mistakes)) }
    }

    /// The hashes of modules' contents; several where the file gives several.
    #[must_use]
    pub fn zips(&self) -> BTreeMap<&ModuleVersion, Vec<&str>> {
        self.of(false)
    }

    /// The hashes of go.mod files.
    #[must_use]
    pub fn go_mods(&self) -> BTreeMap<&ModuleVersion, Vec<&str>> {
        self.of(true)
    }

    fn of(&self, go_mod: bool) -> BTreeMap<&ModuleVersion, Vec<&str>> {
        let mut hashes: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.go_mod == go_mod) {
            hashes.entry(&entry.module).or_default().push(&entry.hash);
        }
        hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let sum = GoSum::parse("a.b v1.0.0 h1:x=\r\na.b v1.0.0/go.mod h1:y=\n\n").unwrap();
        let module = ModuleVersion::new("a.b", "v1.0.0");
        assert_eq!(sum.zips(), BTreeMap::from([(&module, vec!["h1:x="])]));
        assert_eq!(sum.go_mods(), BTreeMap::from([(&module, vec!["h1:y="])]));
        let error = GoSum::parse("a.b v1.0.0 h1:x=\n<<<<<<< HEAD\n").unwrap_err();
        assert_eq!(error.to_string(), "2:1: malformed go.sum: wrong number of fields 2");
    }
}
