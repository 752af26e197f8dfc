//! Which paths a recipe's globs mean. The two formats have three languages: Python's `glob` and `fnmatch` in v0, and
//! rattler-build's in v1.

use gonda_recipe::{FileMatch, RecipeFormat};
use rattler_build_types::GlobVec;
use regex::Regex;

use crate::{Error, Kind, Result};

/// The languages of globs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python's `glob.glob(recursive=True)`: `*` stays within a folder and skips hidden names, `**` crosses folders; a
    /// folder that is met means all that is in it.
    Glob,
    /// conda-build's lists of files (utils.py, `expand_globs`): as [`Language::Glob`], but only a folder that is named
    /// without wildcards means all that is in it.
    Files,
    /// Python's `fnmatch`: `*` crosses folders.
    Fnmatch,
    /// v1: `*` crosses folders; what names a folder means all that is in it.
    V1,
}

impl Language {
    /// The language of `no_link`, `always_include_files` and `ignore_prefix_files`.
    #[must_use]
    pub fn of_options(format: RecipeFormat) -> Self {
        match format {
            RecipeFormat::V0 => Self::Fnmatch,
            RecipeFormat::V1 => Self::V1,
        }
    }

    /// The language of file lists.
    #[must_use]
    pub fn of_files(format: RecipeFormat) -> Self {
        match format {
            RecipeFormat::V0 => Self::Files,
            RecipeFormat::V1 => Self::V1,
        }
    }
}

/// A compiled [`FileMatch`].
#[derive(Debug, Clone)]
pub struct Matcher {
    all: bool,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
}

/// One glob.
#[derive(Debug, Clone)]
pub struct Glob {
    /// As written.
    pub text: String,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Regex(Regex),
    V1(GlobVec),
}

impl Glob {
    /// Compiles a glob.
    ///
    /// # Errors
    /// A glob that is no glob of this language.
    pub fn new(text: &str, language: Language) -> Result<Self> {
        let wrong =
            |error: &dyn std::fmt::Display| Error::new(Kind::Usage, format!("`{text}` is not a valid glob: {error}"));
        let how = match language {
            Language::V1 => {
                How::V1(GlobVec::from_strings(vec![text.to_owned()], Vec::new()).map_err(|error| wrong(&error))?)
            }
            Language::Fnmatch | Language::Glob | Language::Files => {
                How::Regex(Regex::new(&python(text, language)).map_err(|error| wrong(&error))?)
            }
        };
        Ok(Self { text: text.to_owned(), how })
    }

    /// Whether a posix path, relative to where the glob starts, is meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match &self.how {
            How::Regex(regex) => regex.is_match(path),
            How::V1(globs) => globs.is_match(path.as_ref()),
        }
    }
}

impl Matcher {
    /// Compiles all globs.
    ///
    /// # Errors
    /// A glob that is none; it is named.
    pub fn new(files: &FileMatch, language: Language) -> Result<Self> {
        let compile = |globs: &[String]| globs.iter().map(|glob| Glob::new(glob, language)).collect::<Result<_>>();
        Ok(Self { all: files.all, include: compile(&files.include)?, exclude: compile(&files.exclude)? })
    }

    /// Whether a path is meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        (self.all || self.include.iter().any(|glob| glob.matches(path)))
            && !self.exclude.iter().any(|glob| glob.matches(path))
    }

    /// The including globs that mean none of `paths`.
    #[must_use]
    pub fn idle<'a>(&self, paths: impl Iterator<Item = &'a str> + Clone) -> Vec<&str> {
        let idle = self.include.iter().filter(|glob| !paths.clone().any(|path| glob.matches(path)));
        idle.map(|glob| glob.text.as_str()).collect()
    }
}

/// A regular expression for one of Python's globs.
fn python(text: &str, language: Language) -> String {
    let by_folder = language != Language::Fnmatch;
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = if by_folder { text.trim_end_matches('/') } else { text };
    let mut regex = String::from("(?s)^");
    let mut characters = text.chars().peekable();
    let mut at_start = true;
    while let Some(character) = characters.next() {
        let starts_name = std::mem::replace(&mut at_start, character == '/');
        // glob never takes a hidden name for a wildcard.
        let hidden = if by_folder && starts_name { "[^./]" } else { "" };
        match character {
            '*' if by_folder => {
                let mut stars = 1;
                while characters.next_if_eq(&'*').is_some() {
                    stars += 1;
                }
                let alone = stars == 2 && starts_name;
                if alone && characters.next_if_eq(&'/').is_some() {
                    regex.push_str("(?:[^./][^/]*/)*");
                    at_start = true;
                } else if alone && characters.peek().is_none() {
                    regex.push_str("(?:[^./][^/]*(?:/[^./][^/]*)*)?");
                } else if hidden.is_empty() {
                    regex.push_str("[^/]*");
                } else {
                    // At a name's start, nothing or what is not hidden; glob wants a name that is not empty.
                    regex.push_str("(?:[^./][^/]*)?");
                }
            }
            '*' => regex.push_str(".*"),
            '?' if !hidden.is_empty() => regex.push_str(hidden),
            '?' => regex.push_str(if by_folder { "[^/]" } else { "." }),
            '[' => {
                let rest: String = characters.clone().collect();
                match set(&rest) {
                    Some((set, used)) => {
                        regex.push_str(&set);
                        for _ in 0..used {
                            characters.next();
                        }
                    }
                    None => regex.push_str("\\["),
                }
            }
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    let folders = match language {
        Language::Glob => true,
        Language::Files => !text.contains(['*', '?', '[']),
        Language::Fnmatch | Language::V1 => false,
    };
    regex.push_str(if folders { "(?:/.*)?$" } else { "$" });
    regex
}

/// `[abc]`, `[!a-z]`: the set as a regular expression, and how many characters of `rest` it takes.
fn set(rest: &str) -> Option<(String, usize)> {
    let characters: Vec<char> = rest.chars().collect();
    let negated = characters.first() == Some(&'!');
    let from = usize::from(negated);
    // A bracket right at the beginning stands for itself.
    let end = (from + 1..characters.len()).find(|i| characters[*i] == ']')?;
    let mut set = String::from(if negated { "[^" } else { "[" });
    for character in &characters[from..end] {
        if matches!(character, '\\' | '[' | ']' | '^' | '&' | '~') {
            set.push('\\');
        }
        set.push(*character);
    }
    set.push(']');
    Some((set, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, glob: &str, yes: &[&str], no: &[&str]) {
        let compiled = Glob::new(glob, language).unwrap();
        for path in yes {
            assert!(compiled.matches(path), "{glob} should match {path}");
        }
        for path in no {
            assert!(!compiled.matches(path), "{glob} should not match {path}");
        }
    }

    #[test]
    fn python_glob() {
        let language = Language::Glob;
        check(language, "bin/tool", &["bin/tool"], &["bin/tool2", "x/bin/tool"]);
        check(language, "bin", &["bin/a", "bin/b/.c"], &["binary"]);
        check(language, "share/", &["share/a"], &["share2/a"]);
        check(language, "bin/*", &["bin/a", "bin/a/b"], &["bin/.hidden", "bin"]);
        check(language, "**/*.txt", &["a.txt", "a/b/c.txt"], &["a/.b/c.txt", "a.txt2"]);
        check(language, "lib/**", &["lib/a/b"], &["other/a"]);
        check(language, "a?[!x].so", &["abc.so"], &["abx.so", "a/c.so"]);
        check(language, "a[b", &["a[b"], &["ab"]);
    }

    #[test]
    fn lists_of_files() {
        let language = Language::Files;
        check(language, "lib", &["lib/a", "lib/.b/c"], &["lib64/a"]);
        check(language, "lib/*", &["lib/a"], &["lib/a/b", "lib/.a"]);
        check(language, "lib/**", &["lib/a", "lib/a/b"], &["other/a"]);
        check(language, "bin/tool*", &["bin/tool", "bin/tool-2"], &["bin/tools/x"]);
    }

    #[test]
    fn python_fnmatch() {
        check(Language::Fnmatch, "bin/*", &["bin/a", "bin/a/b", "bin/.a"], &["x/bin/a"]);
        check(Language::Fnmatch, "*.so", &["lib/a.so"], &["a.so.1"]);
    }

    #[test]
    fn version_1() {
        check(Language::V1, "*.so", &["lib/a.so"], &["a.txt"]);
        check(Language::V1, "lib", &["lib", "lib/a/b"], &["lib64/a"]);
        check(Language::V1, "licenses/", &["licenses/a/b"], &["licenses"]);
        assert!(Glob::new("a[", Language::V1).is_err());
        let files = FileMatch { include: vec!["bin".into(), "etc".into()], exclude: vec!["**/*.h".into()], all: false };
        let matcher = Matcher::new(&files, Language::V1).unwrap();
        assert!(matcher.matches("bin/a") && !matcher.matches("bin/a.h") && !matcher.matches("lib/a"));
        assert_eq!(matcher.idle(["bin/a"].into_iter()), ["etc"]);
    }
}
