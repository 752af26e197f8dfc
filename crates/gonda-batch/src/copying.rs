//! Commands that give files other places or names: `copy move ren`.

use std::io;

use crate::paths;
use crate::run::{Flow, Machine};
use crate::streams::{Streams, is_nul};

/// Ctrl-Z, which ends a text for `copy`.
const END_OF_TEXT: u8 = 0x1a;

/// A file to copy.
struct Source {
    /// As `copy` names it.
    shown: String,
    /// Its path; none for `nul`.
    full: Option<String>,
}

impl Machine<'_> {
    /// What a word names, absolute: what fits a pattern, where folders count only for some commands, or the one thing of
    /// this name.
    fn named(&self, word: &str, folders: bool) -> Vec<String> {
        if paths::has_wildcard(word) {
            let fitting = self.matches(word).into_iter().filter(|(_, folder)| folders || !folder);
            return fitting.map(|(path, _)| self.full(&path)).collect();
        }
        let full = self.full(word);
        self.host.stat(&full).map(|_| full).into_iter().collect()
    }

    pub(crate) fn rename(&mut self, words: &[String], streams: &Streams) -> Flow {
        let [from, to] = words else { return self.fail(streams, "The syntax of the command is incorrect.", 1) };
        if to.contains(['\\', '/', ':']) {
            return self.fail(streams, "The syntax of the command is incorrect.", 1);
        }
        let sources = self.named(from, true);
        if sources.is_empty() {
            return self.fail(streams, "The system cannot find the file specified.", 1);
        }
        for source in sources {
            let (folder, name) = paths::split(&source);
            let target = format!("{folder}{}", renamed(name, to));
            let same = target.eq_ignore_ascii_case(&source);
            if !same && self.host.stat(&target).is_some() {
                return self.fail(streams, "A duplicate file name exists, or the file cannot be found.", 1);
            }
            if let Err(error) = self.host.rename(&source, &target) {
                return self.fail(streams, &error.to_string(), 1);
            }
        }
        self.done(0)
    }

    pub(crate) fn move_(&mut self, words: &[String], streams: &Streams) -> Flow {
        let (from, to) = match words {
            [from, to] => (from, to.as_str()),
            [from] => (from, "."),
            _ => return self.fail(streams, "The syntax of the command is incorrect.", 1),
        };
        let target = self.full(to);
        let sources = self.named(from, false);
        if sources.is_empty() {
            return self.fail(streams, "The system cannot find the file specified.", 1);
        }
        let count = sources.len();
        let mut folders = 0;
        for source in sources {
            let to =
                if self.is_folder(&target) { paths::join(&target, paths::split(&source).1) } else { target.clone() };
            folders += usize::from(self.is_folder(&source));
            if !self.is_folder(&source)
                && self.host.stat(&to).is_some_and(|entry| !entry.folder)
                && !to.eq_ignore_ascii_case(&source)
            {
                drop(self.host.remove(&to));
            }
            if let Err(error) = self.host.rename(&source, &to) {
                return self.fail(streams, &error.to_string(), 1);
            }
            if paths::has_wildcard(from) {
                self.put(&streams.output, format!("{source}\r\n").as_bytes());
            }
        }
        let what = if folders > 0 { "dir(s)" } else { "file(s)" };
        self.put(&streams.output, format!("        {count} {what} moved.\r\n").as_bytes());
        self.done(0)
    }

    /// `copy A [+ B] [TO]`. Files that are joined are text unless `/b` says otherwise: each ends at a Ctrl-Z, and one is
    /// put behind all.
    pub(crate) fn copy(&mut self, words: &[String], switches: &[String], streams: &Streams) -> Flow {
        let (parts, to) = match joined(words).as_slice() {
            [from, to] => (from.clone(), Some(to.join("+"))),
            [from] => (from.clone(), None),
            _ => return self.fail(streams, "The syntax of the command is incorrect.", 1),
        };
        let plus = parts.len() > 1;
        let mut sources: Vec<Source> = Vec::new();
        for part in &parts {
            if is_nul(part) {
                sources.push(Source { shown: part.clone(), full: None });
                continue;
            }
            // What is shown is written as the pattern is.
            let folder = if self.is_folder(&self.full(part)) { part.as_str() } else { paths::split(part).0 };
            for full in self.files(part) {
                let name = paths::split(&full).1;
                let shown = if folder.is_empty() { name.to_owned() } else { paths::join(folder, name) };
                let shown = if folder.ends_with(':') { format!("{folder}{name}") } else { shown };
                sources.push(Source { shown, full: Some(full) });
            }
        }
        if sources.is_empty() {
            return self.fail(streams, "The system cannot find the file specified.", 1);
        }
        // `copy a+b` puts b behind a.
        let to = to.unwrap_or_else(|| if plus { parts[0].clone() } else { ".".to_owned() });
        let target = self.full(&to);
        let into = self.is_folder(&target);
        if to.ends_with(['\\', '/']) && !into {
            return self.fail(streams, "The system cannot find the path specified.", 1);
        }
        let has = |letter: &str| switches.iter().any(|switch| switch == letter);
        let several = parts.iter().any(|part| paths::has_wildcard(part) || self.is_folder(&self.full(part)));
        let together = plus || (!into && !paths::has_wildcard(&to) && sources.len() > 1);
        let done = if together {
            let goal = match sources.first().filter(|_| into) {
                Some(first) => paths::join(&target, paths::split(&first.shown).1),
                None => target,
            };
            self.join(&sources, &goal, !has("b"))
        } else {
            sources.iter().try_for_each(|source| self.copy_one(source, &to, &target, into, has("a")))
        };
        if let Err(error) = done {
            return self.fail(streams, &error.to_string(), 1);
        }
        if several || plus {
            let text: String = sources.iter().map(|source| format!("{}\r\n", source.shown)).collect();
            self.put(&streams.output, text.as_bytes());
        }
        let count = if together { 1 } else { sources.len() };
        self.put(&streams.output, format!("        {count} file(s) copied.\r\n").as_bytes());
        self.done(0)
    }

    fn copy_one(&mut self, source: &Source, to: &str, target: &str, into: bool, text: bool) -> io::Result<()> {
        let name = paths::split(&source.shown).1;
        let goal = if into {
            paths::join(target, name)
        } else if paths::has_wildcard(to) {
            let (folder, pattern) = paths::split(target);
            format!("{folder}{}", renamed(name, pattern))
        } else {
            target.to_owned()
        };
        match &source.full {
            Some(full) if goal.eq_ignore_ascii_case(full) => {
                Err(io::Error::other("The file cannot be copied onto itself."))
            }
            Some(full) if !text => self.host.copy(full, &goal),
            _ => self.join(std::slice::from_ref(source), &goal, text),
        }
    }

    /// Several files as one, which may be the first of them.
    fn join(&mut self, sources: &[Source], goal: &str, text: bool) -> io::Result<()> {
        let mut all = Vec::new();
        for full in sources.iter().filter_map(|source| source.full.as_ref()) {
            let bytes = self.host.read(full)?;
            let end = bytes.iter().position(|byte| text && *byte == END_OF_TEXT).unwrap_or(bytes.len());
            all.extend_from_slice(&bytes[..end]);
        }
        if text {
            all.push(END_OF_TEXT);
        }
        self.host.write(goal, &all, false)
    }
}

/// Words as `a + b c` means them: `[[a, b], [c]]`; blanks around the plus are free.
fn joined(words: &[String]) -> Vec<Vec<String>> {
    let mut joined: Vec<Vec<String>> = Vec::new();
    let mut plus = false;
    for word in words {
        for (index, part) in word.split('+').enumerate() {
            plus |= index > 0;
            if part.is_empty() {
                continue;
            }
            match joined.last_mut().filter(|_| plus) {
                Some(last) => last.push(part.to_owned()),
                None => joined.push(vec![part.to_owned()]),
            }
            plus = false;
        }
    }
    joined
}

/// A name by a pattern: `*` takes the rest of the part.
pub(crate) fn renamed(name: &str, pattern: &str) -> String {
    if !paths::has_wildcard(pattern) {
        return pattern.to_owned();
    }
    let part = |name: &str, pattern: &str| {
        let mut out = String::new();
        let mut chars = name.chars();
        for c in pattern.chars() {
            match c {
                '*' => out.extend(chars.by_ref()),
                '?' => out.extend(chars.next()),
                c => {
                    chars.next();
                    out.push(c);
                }
            }
        }
        out
    };
    let (stem, extension) = paths::split_extension(name);
    let (pattern_stem, pattern_extension) = paths::split_extension(pattern);
    let extension = part(extension.trim_start_matches('.'), pattern_extension.trim_start_matches('.'));
    let stem = part(stem, pattern_stem);
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}
