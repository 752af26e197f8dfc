//! Commands that work on files: `copy move ren del mkdir rmdir cd pushd popd type dir where`.

use crate::host::Entry;
use crate::paths;
use crate::run::{Done, Flow, Machine, items};
use crate::streams::{Streams, is_nul};

/// Folders within folders go at most this deep.
pub(crate) const DEEPEST: usize = 200;

impl Machine<'_> {
    pub(crate) fn file_command(&mut self, word: &str, rest: &str, streams: &Streams) -> Done {
        match word {
            "cd" | "chdir" => return Ok(self.change_folder(rest, streams)),
            "pushd" => return Ok(self.push_folder(rest, streams)),
            "popd" => {
                if let Some(folder) = self.pushed.pop() {
                    self.folder = folder;
                }
                return Ok(Flow::Next(true));
            }
            _ => {}
        }
        let (switches, words) = self.words(rest);
        if let Some(switch) = switches.iter().find(|switch| !knows(word, switch)) {
            return Err(self.error(format!("gonda doesn't know `{word} /{switch}`")));
        }
        let has = |letter: &str| switches.iter().any(|switch| switch == letter);
        match word {
            "md" | "mkdir" => Ok(self.make_folders(&words, streams)),
            "rd" | "rmdir" => Ok(self.remove_folders(&words, has("s"), streams)),
            "del" | "erase" => Ok(self.delete(&words, has("s"), streams)),
            "type" => Ok(self.type_(&words, streams)),
            "ren" | "rename" => Ok(self.rename(&words, streams)),
            "move" => Ok(self.move_(&words, streams)),
            "copy" => Ok(self.copy(&words, streams)),
            "dir" => {
                let kind = if has("ad") || has("a:d") {
                    Some(true)
                } else if has("a-d") || has("a:-d") {
                    Some(false)
                } else {
                    None
                };
                Ok(self.dir(&words, Listing { bare: has("b"), below: has("s"), kind }, streams))
            }
            "xcopy" => Ok(self.xcopy(&words, &switches, streams)),
            "robocopy" => Ok(self.robocopy(&words, &switches, streams)),
            "where" => Ok(self.where_(&words, has("q"), streams)),
            _ => Err(self.error(format!("gonda doesn't know the command `{word}`"))),
        }
    }

    /// Switches in lower case without slash, and the other words without quotes. A word such as `/opt/x` that is there
    /// is a path, not a switch.
    fn words(&self, rest: &str) -> (Vec<String>, Vec<String>) {
        let mut switches = Vec::new();
        let mut words = Vec::new();
        for item in items(rest) {
            match item.strip_prefix('/') {
                Some(_)
                    if item[1..].contains('/') && self.host.stat(&paths::absolute(&item, &self.folder)).is_some() =>
                {
                    words.push(item);
                }
                Some(switch) => {
                    // `/s/q` is two.
                    switches.extend(switch.split('/').map(str::to_lowercase));
                }
                None => words.push(item.replace('"', "")),
            }
        }
        (switches, words)
    }

    pub(crate) fn full(&self, path: &str) -> String {
        paths::absolute(path, &self.folder)
    }

    pub(crate) fn is_folder(&self, full: &str) -> bool {
        self.host.stat(full).is_some_and(|entry| entry.folder)
    }

    pub(crate) fn fail(&mut self, streams: &Streams, text: &str, level: i32) -> Flow {
        self.put(&streams.error, format!("{text}\r\n").as_bytes());
        self.done(level)
    }

    fn change_folder(&mut self, rest: &str, streams: &Streams) -> Flow {
        let mut text = rest.trim().trim_start_matches([',', ';', '=']).to_owned();
        let mut drive = false;
        if text.get(..2).is_some_and(|switch| switch.eq_ignore_ascii_case("/d")) {
            drive = true;
            text = text[2..].trim().to_owned();
        }
        if text.is_empty() {
            let folder = self.folder.clone();
            self.put(&streams.output, format!("{folder}\r\n").as_bytes());
            return self.done(0);
        }
        let full = self.full(&text);
        if !self.is_folder(&full) {
            return self.fail(streams, "The system cannot find the path specified.", 1);
        }
        let same_drive = full.get(..2).map(str::to_lowercase) == self.folder.get(..2).map(str::to_lowercase);
        if drive || same_drive {
            self.folder = self.real(&full);
        }
        self.done(0)
    }

    /// A path with the case that the folders have.
    pub(crate) fn real(&self, full: &str) -> String {
        let mut parts = full.split('\\');
        let mut path = parts.next().unwrap_or("C:").to_owned();
        for part in parts.filter(|part| !part.is_empty()) {
            let next = format!("{path}\\{part}");
            let name = self.host.stat(&next).map_or_else(|| part.to_owned(), |entry| entry.name);
            path = format!("{path}\\{name}");
        }
        if path.ends_with(':') { path + "\\" } else { path }
    }

    fn push_folder(&mut self, rest: &str, streams: &Streams) -> Flow {
        let text = rest.trim();
        if text.is_empty() {
            let text: String = self.pushed.iter().rev().map(|folder| format!("{folder}\r\n")).collect();
            self.put(&streams.output, text.as_bytes());
            return self.done(0);
        }
        let full = self.full(text);
        if !self.is_folder(&full) {
            return self.fail(streams, "The system cannot find the path specified.", 1);
        }
        self.pushed.push(self.folder.clone());
        self.folder = self.real(&full);
        self.done(0)
    }

    fn make_folders(&mut self, words: &[String], streams: &Streams) -> Flow {
        let mut level = 0;
        if words.is_empty() {
            return self.fail(streams, "The syntax of the command is incorrect.", 1);
        }
        for word in words {
            let full = self.full(word);
            if self.host.stat(&full).is_some() {
                self.fail(streams, &format!("A subdirectory or file {word} already exists."), 1);
                level = 1;
            } else if let Err(error) = self.make_all(&full) {
                self.fail(streams, &error.to_string(), 1);
                level = 1;
            }
        }
        self.done(level)
    }

    pub(crate) fn make_all(&mut self, full: &str) -> std::io::Result<()> {
        let mut path = String::new();
        for part in full.split('\\').filter(|part| !part.is_empty()) {
            if !path.is_empty() {
                path.push('\\');
            }
            path.push_str(part);
            if !part.ends_with(':') && self.host.stat(&path).is_none() {
                self.host.make_folder(&path)?;
            }
        }
        Ok(())
    }

    /// A failure leaves errorlevel alone, yet `||` sees it.
    fn remove_folders(&mut self, words: &[String], all: bool, streams: &Streams) -> Flow {
        let mut ok = true;
        for word in words {
            let full = self.full(word);
            let done = if !self.is_folder(&full) {
                Err(std::io::Error::other("The system cannot find the file specified."))
            } else if all {
                self.remove_tree(&full, 0)
            } else if self.host.list(&full).is_empty() {
                self.host.remove(&full)
            } else {
                Err(std::io::Error::other("The directory is not empty."))
            };
            if let Err(error) = done {
                self.put(&streams.error, format!("{error}\r\n").as_bytes());
                ok = false;
            }
        }
        if !ok {
            self.silent_failure = Some(2);
        }
        Flow::Next(ok)
    }

    pub(crate) fn remove_tree(&mut self, full: &str, depth: usize) -> std::io::Result<()> {
        if depth > DEEPEST {
            return Err(std::io::Error::other("folders are nested too deeply"));
        }
        for entry in self.host.list(full) {
            let path = paths::join(full, &entry.name);
            if entry.folder && !entry.link {
                self.remove_tree(&path, depth + 1)?;
            } else {
                self.host.remove(&path)?;
            }
        }
        self.host.remove(full)
    }

    fn delete(&mut self, words: &[String], below: bool, streams: &Streams) -> Flow {
        let mut level = 0;
        for word in words {
            let full = self.full(word);
            let (folder, name) = paths::split(&full);
            let (folder, name) = (folder.trim_end_matches('\\').to_owned(), name.to_owned());
            let (folder, pattern) = if self.is_folder(&full) { (full.clone(), "*".to_owned()) } else { (folder, name) };
            if !self.is_folder(&folder) && !folder.ends_with(':') {
                self.fail(streams, "The system cannot find the path specified.", 1);
                level = 1;
                continue;
            }
            if let Err(error) = self.delete_in(&folder, &pattern, below, 0) {
                self.fail(streams, &error.to_string(), 1);
                level = 1;
            }
        }
        self.done(level)
    }

    fn delete_in(&mut self, folder: &str, pattern: &str, below: bool, depth: usize) -> std::io::Result<()> {
        if depth > DEEPEST {
            return Ok(());
        }
        for entry in self.host.list(folder) {
            let path = paths::join(folder, &entry.name);
            if entry.folder {
                if below && !entry.link {
                    self.delete_in(&path, pattern, below, depth + 1)?;
                }
            } else if paths::fits(pattern, &entry.name) {
                self.host.remove(&path)?;
            }
        }
        Ok(())
    }

    /// The files a word means, absolute; none where nothing fits.
    fn files(&self, word: &str) -> Vec<String> {
        if paths::has_wildcard(word) {
            let fitting = self.matches(word).into_iter().filter(|(_, folder)| !folder);
            return fitting.map(|(path, _)| self.full(&path)).collect();
        }
        let full = self.full(word);
        if self.is_folder(&full) {
            let entries = self.host.list(&full).into_iter().filter(|entry| !entry.folder);
            return entries.map(|entry| paths::join(&full, &entry.name)).collect();
        }
        if self.host.stat(&full).is_some() { vec![full] } else { Vec::new() }
    }

    fn type_(&mut self, words: &[String], streams: &Streams) -> Flow {
        let mut level = 0;
        for word in words {
            if is_nul(word) {
                continue;
            }
            let files = if self.is_folder(&self.full(word)) { Vec::new() } else { self.files(word) };
            if files.is_empty() {
                self.fail(streams, "The system cannot find the file specified.", 1);
                level = 1;
            }
            for file in files {
                match self.host.read(&file) {
                    Ok(bytes) => self.put(&streams.output, &bytes),
                    Err(error) => {
                        self.fail(streams, &error.to_string(), 1);
                        level = 1;
                    }
                }
            }
        }
        self.done(level)
    }

    fn rename(&mut self, words: &[String], streams: &Streams) -> Flow {
        let [from, to] = words else { return self.fail(streams, "The syntax of the command is incorrect.", 1) };
        if to.contains(['\\', '/', ':']) {
            return self.fail(streams, "The syntax of the command is incorrect.", 1);
        }
        let sources: Vec<String> = if paths::has_wildcard(from) {
            self.matches(from).into_iter().map(|(path, _)| self.full(&path)).collect()
        } else {
            let full = self.full(from);
            self.host.stat(&full).map(|_| full).into_iter().collect()
        };
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

    fn move_(&mut self, words: &[String], streams: &Streams) -> Flow {
        let (from, to) = match words {
            [from, to] => (from, to.as_str()),
            [from] => (from, "."),
            _ => return self.fail(streams, "The syntax of the command is incorrect.", 1),
        };
        let target = self.full(to);
        let sources: Vec<String> = if paths::has_wildcard(from) {
            self.matches(from).into_iter().filter(|(_, folder)| !folder).map(|(path, _)| self.full(&path)).collect()
        } else {
            let full = self.full(from);
            self.host.stat(&full).map(|_| full).into_iter().collect()
        };
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
        }
        let what = if folders > 0 { "dir(s)" } else { "file(s)" };
        self.put(&streams.output, format!("        {count} {what} moved.\r\n").as_bytes());
        self.done(0)
    }

    fn copy(&mut self, words: &[String], streams: &Streams) -> Flow {
        // `a + b c` joins; blanks around the plus are free.
        let mut joined: Vec<String> = Vec::new();
        let mut plus = false;
        for word in words {
            let parts: Vec<&str> = word.split('+').collect();
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    plus = true;
                }
                if part.is_empty() {
                    continue;
                }
                match joined.last_mut().filter(|_| plus) {
                    Some(last) => {
                        last.push('+');
                        last.push_str(part);
                    }
                    None => joined.push((*part).to_owned()),
                }
                plus = false;
            }
        }
        let (from, to) = match joined.as_slice() {
            [from, to] => (from.clone(), to.as_str()),
            [from] => (from.clone(), "."),
            _ => return self.fail(streams, "The syntax of the command is incorrect.", 1),
        };
        let sources: Vec<String> = from
            .split('+')
            .flat_map(|word| if is_nul(word) { vec!["nul".to_owned()] } else { self.files(word) })
            .collect();
        if sources.is_empty() {
            return self.fail(streams, "The system cannot find the file specified.", 1);
        }
        let target = self.full(to);
        let into = self.is_folder(&target);
        if to.ends_with(['\\', '/']) && !into {
            return self.fail(streams, "The system cannot find the path specified.", 1);
        }
        let together = !into && !paths::has_wildcard(to) && (from.contains('+') || sources.len() > 1);
        let mut all = Vec::new();
        for source in &sources {
            let done = if together || source == "nul" {
                let bytes = if source == "nul" { Ok(Vec::new()) } else { self.host.read(source) };
                bytes.map(|bytes| all.extend(bytes))
            } else {
                let name = paths::split(source).1;
                let to = if into {
                    paths::join(&target, name)
                } else if paths::has_wildcard(to) {
                    let (folder, pattern) = paths::split(&target);
                    format!("{folder}{}", renamed(name, pattern))
                } else {
                    target.clone()
                };
                if to.eq_ignore_ascii_case(source) {
                    Err(std::io::Error::other("The file cannot be copied onto itself."))
                } else {
                    self.host.copy(source, &to)
                }
            };
            if let Err(error) = done {
                return self.fail(streams, &error.to_string(), 1);
            }
        }
        if (together || sources.iter().any(|source| source == "nul"))
            && let Err(error) = self.host.write(&target, &all, false)
        {
            return self.fail(streams, &error.to_string(), 1);
        }
        let count = if together { 1 } else { sources.len() };
        self.put(&streams.output, format!("        {count} file(s) copied.\r\n").as_bytes());
        self.done(0)
    }

    fn dir(&mut self, words: &[String], listing: Listing, streams: &Streams) -> Flow {
        let all = ["*".to_owned()];
        let mut lines = Vec::new();
        for word in if words.is_empty() { &all } else { words } {
            let full = self.full(word);
            let (folder, pattern) = if self.is_folder(&full) {
                (full, "*".to_owned())
            } else {
                let (folder, name) = paths::split(&full);
                (folder.trim_end_matches('\\').to_owned(), name.to_owned())
            };
            self.dir_in(&folder, &pattern, listing, 0, &mut lines);
        }
        if lines.is_empty() {
            return self.fail(streams, "File Not Found", 1);
        }
        let text: String = if listing.bare {
            lines.iter().map(|line| format!("{line}\r\n")).collect()
        } else {
            let head = format!(" Directory of {}\r\n\r\n", self.folder);
            lines.iter().fold(head, |text, line| text + &format!("{line}\r\n"))
        };
        self.put(&streams.output, text.as_bytes());
        self.done(0)
    }

    fn dir_in(&self, folder: &str, pattern: &str, listing: Listing, depth: usize, lines: &mut Vec<String>) {
        if depth > DEEPEST {
            return;
        }
        let entries = self.host.list(folder);
        let wanted = |entry: &&Entry| listing.kind.is_none_or(|folder| folder == entry.folder);
        for entry in entries.iter().filter(wanted).filter(|entry| paths::fits(pattern, &entry.name)) {
            lines.push(if listing.below { paths::join(folder, &entry.name) } else { entry.name.clone() });
        }
        if listing.below {
            for entry in entries.iter().filter(|entry| entry.folder && !entry.link) {
                self.dir_in(&paths::join(folder, &entry.name), pattern, listing, depth + 1, lines);
            }
        }
    }

    fn where_(&mut self, words: &[String], quiet: bool, streams: &Streams) -> Flow {
        let mut level = 0;
        for word in words {
            match self.find_program(word) {
                Some(_) if quiet => {}
                Some(path) => {
                    let path = self.real(&path);
                    self.put(&streams.output, format!("{path}\r\n").as_bytes());
                }
                None => {
                    self.fail(streams, "INFO: Could not find files for the given pattern(s).", 1);
                    level = 1;
                }
            }
        }
        self.done(level)
    }
}

/// What `dir` lists.
#[derive(Debug, Clone, Copy)]
struct Listing {
    bare: bool,
    below: bool,
    /// Folders alone, or files alone.
    kind: Option<bool>,
}

/// Whether a switch, in lower case, changes nothing here or is heard. What is not listed would be passed over.
fn knows(word: &str, switch: &str) -> bool {
    let known: &[&str] = match word {
        "rd" | "rmdir" => &["s", "q"],
        "del" | "erase" => &["f", "q", "s", "a"],
        "copy" => &["y", "-y", "a", "b", "v", "n", "z", "l", "d"],
        "move" => &["y", "-y"],
        "dir" => &["b", "s", "a", "ad", "a:d", "a-d", "a:-d", "on", "o:n", "n", "w", "-c", "o"],
        "xcopy" => {
            &["s", "e", "i", "y", "-y", "q", "h", "r", "k", "c", "f", "g", "o", "x", "v", "z", "n", "b", "d", "j", "w"]
        }
        "robocopy" => {
            // How it reports, how often it tries, what beside the content it copies.
            let prefixes = ["r:", "w:", "mt", "copy:", "dcopy:", "log"];
            if prefixes.iter().any(|prefix| switch.starts_with(prefix)) {
                return true;
            }
            &[
                "s", "e", "mir", "mov", "move", "njh", "njs", "ndl", "nfl", "np", "nc", "ns", "copyall", "sec", "z",
                "b", "zb", "v", "eta", "is", "it", "sl", "xj", "unicode", "nodcopy",
            ]
        }
        "where" => &["q"],
        _ => &[],
    };
    known.contains(&switch)
}

/// A name by a pattern: `*` takes the rest of the part.
fn renamed(name: &str, pattern: &str) -> String {
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
