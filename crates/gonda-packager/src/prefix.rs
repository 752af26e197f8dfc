//! The prefix in files: finding it as conda-build does (build.py, `get_files_with_prefix`, `record_prefix_files`), and
//! replacing it in text by one of equal length.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use memchr::memmem::Finder;
use serde::Serialize;

use crate::error::{Error, Result};

/// The string that conda has always taken for a prefix, whatever the build prefix was.
pub const CONSTANT_PLACEHOLDER: &str = "/opt/anaconda1anaconda2anaconda3";

/// How clients replace the prefix in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileMode {
    /// The shorter prefix is padded with NUL bytes.
    Binary,
    /// Text is simply replaced.
    Text,
}

impl FileMode {
    /// The word of `paths.json` and `has_prefix`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Text => "text",
        }
    }
}

/// The prefix in a file, as clients are to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// The strings found, sorted, never empty. `paths.json` has room for the first.
    pub placeholders: Vec<String>,
    /// How it is replaced.
    pub mode: FileMode,
}

/// The spellings of a prefix that are searched for. For Windows targets, with both kinds of slashes, both cases of the
/// drive letter, and with backslashes doubled, as Python and JSON files hold them.
#[must_use]
pub fn spellings(prefix: &str, windows: bool) -> Vec<String> {
    let mut all = BTreeSet::from([prefix.to_owned(), CONSTANT_PLACEHOLDER.to_owned()]);
    if windows {
        for base in [prefix, CONSTANT_PLACEHOLDER] {
            for slashes in [base.replace('\\', "/"), base.replace('/', "\\"), base.to_owned()] {
                let mut characters = slashes.chars();
                let Some(first) = characters.next() else { continue };
                let rest = characters.as_str();
                all.extend([
                    format!("{}{rest}", first.to_uppercase()),
                    format!("{}{rest}", first.to_lowercase()),
                    slashes.replace('\\', "\\\\"),
                ]);
            }
        }
    }
    all.into_iter().filter(|spelling| spelling.len() > 1).collect()
}

/// A prefix that is replaced by another of the same length, in text files only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixMap {
    from: String,
    to: String,
}

impl PrefixMap {
    /// From the prefix of this very build to the fixed one.
    ///
    /// # Errors
    /// If they differ in length, for then sizes and offsets would change with the folder of the build.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Result<Self> {
        let (from, to) = (from.into(), to.into());
        if from.is_empty() || from.len() != to.len() {
            return Err(Error::unpackable(format!(
                "the build prefix `{from}` is {} bytes long, but the fixed one has {}",
                from.len(),
                to.len()
            )));
        }
        Ok(Self { from, to })
    }

    /// Replaces all occurrences; the length stays.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        text.replace(&self.from, &self.to)
    }

    /// `inner` with all occurrences replaced.
    pub(crate) fn reader<R: Read>(self: &Arc<Self>, inner: R) -> MappedReader<R> {
        MappedReader { inner, map: Arc::clone(self), buffer: Vec::new(), ready: 0, taken: 0, ended: false }
    }
}

/// Replaces while reading, with a window of one chunk.
pub(crate) struct MappedReader<R> {
    inner: R,
    map: Arc<PrefixMap>,
    buffer: Vec<u8>,
    /// How much of `buffer` is final, and how much of that was handed out.
    ready: usize,
    taken: usize,
    ended: bool,
}

const CHUNK: usize = 256 * 1024;

impl<R: Read> Read for MappedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready && !self.ended {
            self.buffer.drain(..self.ready);
            let keep = self.buffer.len();
            self.buffer.resize(keep + CHUNK, 0);
            let mut filled = keep;
            while filled < self.buffer.len() {
                match self.inner.read(&mut self.buffer[filled..]) {
                    Ok(0) => {
                        self.ended = true;
                        break;
                    }
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.buffer.truncate(filled);
                        (self.ready, self.taken) = (0, 0);
                        return Err(error);
                    }
                }
            }
            self.buffer.truncate(filled);
            let (from, to) = (self.map.from.as_bytes(), self.map.to.as_bytes());
            let mut after = 0;
            while let Some(found) = self.buffer.get(after..).and_then(|rest| memchr::memmem::find(rest, from)) {
                let start = after + found;
                after = start + from.len();
                self.buffer[start..after].copy_from_slice(to);
            }
            // The last bytes may begin another occurrence, except those that are part of one already.
            let tail = filled.saturating_sub(from.len() - 1).max(after.min(filled));
            (self.ready, self.taken) = (if self.ended { filled } else { tail }, 0);
        }
        let n = out.len().min(self.ready - self.taken);
        out[..n].copy_from_slice(&self.buffer[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}

/// How prefixes are searched for, and what is done with what is found.
pub struct Detection<'a> {
    /// The strings that are the prefix; see [`spellings`].
    pub prefixes: Vec<String>,
    /// Paths of this very build (work folder, build prefix, home …) that no packed file should hold. With `map`, the
    /// prefix itself is such a path in all files that aren't text.
    pub foreign: Vec<String>,
    /// Replaces the real prefix by the fixed one in text files; `None` where the build saw the fixed path.
    pub map: Option<Arc<PrefixMap>>,
    /// Whether binary files are searched: conda-build's `detect_binary_files_with_prefix`; `None` is its default,
    /// which is yes, except where `binary_files` are listed and on Windows.
    pub binaries: Option<bool>,
    /// Whether the package is for Windows.
    pub windows: bool,
    /// Files that are not searched.
    pub ignore: &'a (dyn Fn(&str) -> bool + Sync),
    /// Files that are taken as text, whatever they hold.
    pub text_files: &'a (dyn Fn(&str) -> bool + Sync),
    /// Files that are taken as binary.
    pub binary_files: &'a (dyn Fn(&str) -> bool + Sync),
    /// conda-build's `has_prefix_files`: if not empty, only these text files are recorded, and each must hold the
    /// prefix.
    pub only_text: Vec<String>,
    /// conda-build's `binary_has_prefix_files`, in the same way, unless `binaries` is `Some(true)`.
    pub only_binary: Vec<String>,
}

impl Detection<'_> {
    /// Searches for one prefix as conda-build does by default.
    #[must_use]
    pub fn of(prefix: &str, windows: bool) -> Detection<'static> {
        Detection {
            prefixes: spellings(prefix, windows),
            foreign: Vec::new(),
            map: None,
            binaries: None,
            windows,
            ignore: &|_| false,
            text_files: &|_| false,
            binary_files: &|_| false,
            only_text: Vec::new(),
            only_binary: Vec::new(),
        }
    }
}

/// The searchers of a [`Detection`], made once.
pub(crate) struct Search<'a> {
    detection: &'a Detection<'a>,
    finders: Vec<(&'a str, Finder<'a>)>,
    foreign: Vec<Finder<'a>>,
    longest: usize,
}

/// What was found in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) prefix: Option<Prefix>,
    /// Whether the file's text is to be mapped.
    pub(crate) mapped: bool,
    /// Whether the bytes, as they will be packed, depend on the folder of the build.
    pub(crate) path_dependent: bool,
}

/// What one reading of a file tells.
struct Swept {
    nul: bool,
    prefixes: BTreeSet<String>,
    foreign: bool,
}

impl<'a> Search<'a> {
    pub(crate) fn new(detection: &'a Detection<'a>) -> Self {
        let finders: Vec<_> = detection.prefixes.iter().map(|prefix| (prefix.as_str(), Finder::new(prefix))).collect();
        let foreign: Vec<_> = detection.foreign.iter().filter(|path| path.len() > 1).map(Finder::new).collect();
        let longest = finders.iter().map(|(prefix, _)| prefix.len()).chain(foreign.iter().map(|f| f.needle().len()));
        let longest = longest.max().unwrap_or(1);
        Self { detection, finders, foreign, longest }
    }

    /// Searches a regular file, to be packed as `path`.
    pub(crate) fn file(&self, path: &str, source: &Path) -> Result<Found> {
        self.reopened(path, || File::open(source)).map_err(|error| Error::io("read", source, error))
    }

    fn reopened<R: Read>(&self, path: &str, open: impl Fn() -> io::Result<R>) -> io::Result<Found> {
        let swept = self.sweep(open()?)?;
        let mut found = self.judge(path, swept.nul, swept.prefixes, swept.foreign);
        // A path above the prefix is gone with it: what counts is the text as it will be packed.
        if let Some(map) = self.detection.map.as_ref().filter(|_| found.mapped && found.path_dependent) {
            found.path_dependent = self.sweep(map.reader(open()?))?.foreign;
        }
        Ok(found)
    }

    fn sweep(&self, mut file: impl Read) -> io::Result<Swept> {
        let mut hits = vec![false; self.finders.len()];
        let mut foreign = false;
        let mut nul = false;
        let mut buffer = vec![0; CHUNK.max(self.longest * 2)];
        let mut filled = 0;
        loop {
            let n = match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            nul = nul || memchr::memchr(0, &buffer[filled..filled + n]).is_some();
            filled += n;
            let window = &buffer[..filled];
            for ((_, finder), hit) in self.finders.iter().zip(&mut hits) {
                *hit = *hit || finder.find(window).is_some();
            }
            foreign = foreign || self.foreign.iter().any(|finder| finder.find(window).is_some());
            // What could begin a string that goes on in the next chunk is kept.
            let keep = filled.min(self.longest - 1);
            buffer.copy_within(filled - keep..filled, 0);
            filled = keep;
        }
        let hits = self.finders.iter().zip(hits).filter(|(_, hit)| *hit).map(|((prefix, _), _)| (*prefix).to_owned());
        Ok(Swept { nul, prefixes: hits.collect(), foreign })
    }

    /// conda-build's rules on what is recorded.
    fn judge(&self, path: &str, nul: bool, found: BTreeSet<String>, foreign: bool) -> Found {
        let detection = self.detection;
        let mode = if nul { FileMode::Binary } else { FileMode::Text };
        let from = detection.map.as_ref().map(|map| map.from.as_str());
        let real = from.is_some_and(|from| found.contains(from));
        let mapped = real && mode == FileMode::Text;
        let path_dependent = foreign || (real && !mapped);

        let bytecode = path.ends_with(".pyc") || path.ends_with(".pyo");
        let by_default = !detection.windows && detection.only_binary.is_empty();
        let binaries = detection.binaries.unwrap_or(by_default);
        let forced = if (detection.binary_files)(path) || detection.only_binary.iter().any(|file| file == path) {
            Some(FileMode::Binary)
        } else if (detection.text_files)(path)
            || detection.only_text.iter().any(|file| file == path)
            || path.rsplit_once('/').is_some_and(|(folder, _)| folder == "python-scripts")
        {
            Some(FileMode::Text)
        } else {
            match mode {
                FileMode::Binary if binaries => Some(mode),
                FileMode::Text if detection.only_text.is_empty() => Some(mode),
                _ => None,
            }
        };
        let recorded = !found.is_empty() && !bytecode && !(detection.ignore)(path);
        let prefix = forced.filter(|_| recorded).map(|mode| {
            let map = detection.map.as_ref().filter(|_| mapped);
            let placeholders: BTreeSet<String> =
                found.into_iter().map(|prefix| map.map_or_else(|| prefix.clone(), |map| map.apply(&prefix))).collect();
            Prefix { placeholders: placeholders.into_iter().collect(), mode }
        });
        Found { prefix, mapped, path_dependent }
    }
}

/// Which files were declared to hold the prefix and don't.
pub(crate) fn check_declared(detection: &Detection<'_>, recorded: &BTreeSet<&str>) -> Result<()> {
    let lists = [("has_prefix_files", &detection.only_text), ("binary_has_prefix_files", &detection.only_binary)];
    let missing: Vec<String> = lists
        .iter()
        .flat_map(|(list, files)| {
            files
                .iter()
                .filter(|file| !recorded.contains(file.as_str()))
                .map(move |file| format!("`{file}` of `{list}`"))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Unpackable {
        message: format!("the build prefix does not occur in {}", missing.join(", ")),
        help: Some("remove the entry from the recipe, or correct its path below the prefix".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "/build/host_env_placehold_placehold";

    fn check(path: &str, content: &str, change: impl FnOnce(&mut Detection<'_>)) -> String {
        let mut detection = Detection::of(PREFIX, false);
        change(&mut detection);
        let found = Search::new(&detection).reopened(path, || Ok(content.as_bytes())).unwrap();
        let mut words: Vec<String> = Vec::new();
        if let Some(prefix) = found.prefix {
            words.push(prefix.mode.as_str().to_owned());
            words.extend(prefix.placeholders);
        }
        words.extend(found.mapped.then(|| "mapped".to_owned()));
        words.extend(found.path_dependent.then(|| "path-dependent".to_owned()));
        words.join(" ")
    }

    #[test]
    fn text_and_binary_are_told_apart_by_nul() {
        assert_eq!(check("bin/a", &format!("#!{PREFIX}/bin/sh\n"), |_| {}), format!("text {PREFIX}"));
        assert_eq!(check("bin/a", &format!("\0{PREFIX}/bin\0"), |_| {}), format!("binary {PREFIX}"));
        assert_eq!(check("bin/a", "nothing\0", |_| {}), "");
        assert_eq!(check("a.pyc", &format!("\0{PREFIX}"), |_| {}), "");
        let both = format!("{PREFIX} {CONSTANT_PLACEHOLDER}");
        assert_eq!(check("a", &both, |_| {}), format!("text {PREFIX} {CONSTANT_PLACEHOLDER}"));
    }

    #[test]
    fn declared_files_restrict_what_is_recorded() {
        let text = PREFIX.to_owned();
        let binary = format!("{PREFIX}\0");
        assert_eq!(check("a", &text, |d| d.only_text = vec!["b".into()]), "");
        assert_eq!(check("a", &binary, |d| d.only_text = vec!["a".into()]), format!("text {PREFIX}"));
        assert_eq!(check("a", &binary, |d| d.only_binary = vec!["b".into()]), "");
        assert_eq!(check("a", &text, |d| d.only_binary = vec!["a".into()]), format!("binary {PREFIX}"));
        assert_eq!(check("a", &binary, |d| d.binaries = Some(false)), "");
        assert_eq!(check("a", &binary, |d| d.windows = true), "");
        assert_eq!(check("a", &text, |d| d.ignore = &|path| path == "a"), "");
        assert_eq!(check("a", &text, |d| d.binary_files = &|path| path == "a"), format!("binary {PREFIX}"));
    }

    #[test]
    fn a_mapped_prefix_is_recorded_as_packed() {
        let fixed = "/opt/gonda/host_env_placehold_place";
        let map = Arc::new(PrefixMap::new(PREFIX, fixed).unwrap());
        let with = |d: &mut Detection<'_>| d.map = Some(map.clone());
        assert_eq!(check("a", PREFIX, with), format!("text {fixed} mapped"));
        assert_eq!(check("a", &format!("\0{PREFIX}"), with), format!("binary {PREFIX} path-dependent"));
        assert_eq!(check("a", "\0/work/src", |d| d.foreign = vec!["/work".into()]), "path-dependent");
        let above = |d: &mut Detection<'_>| {
            d.map = Some(map.clone());
            d.foreign = vec!["/build".into()];
        };
        assert_eq!(check("a", PREFIX, above), format!("text {fixed} mapped"));
        assert_eq!(check("a", &format!("{PREFIX} /build/work"), above), format!("text {fixed} mapped path-dependent"));
        assert!(PrefixMap::new(PREFIX, "/short").is_err());
    }

    #[test]
    fn strings_across_chunks_are_found_and_replaced() {
        let map = Arc::new(PrefixMap::new("/aab", "/xyz").unwrap());
        for before in [CHUNK - 4, CHUNK - 3, CHUNK - 2, CHUNK - 1, CHUNK, 2 * CHUNK - 2] {
            let text = format!("{}/aab/aa/aab", "a".repeat(before));
            let mut out = String::new();
            map.reader(text.as_bytes()).read_to_string(&mut out).unwrap();
            assert_eq!(out, format!("{}/xyz/aa/xyz", "a".repeat(before)));
            let detection = Detection::of("/aab/aa/", false);
            let found = Search::new(&detection).reopened("a", || Ok(text.as_bytes())).unwrap();
            assert!(found.prefix.is_some());
        }
    }

    #[test]
    fn windows_spellings() {
        let all = spellings("C:\\env", true);
        for expected in ["C:\\env", "c:\\env", "C:/env", "c:/env", "C:\\\\env"] {
            assert!(all.iter().any(|spelling| spelling == expected), "{expected} in {all:?}");
        }
        assert_eq!(spellings("/p", false), ["/opt/anaconda1anaconda2anaconda3", "/p"]);
    }
}
