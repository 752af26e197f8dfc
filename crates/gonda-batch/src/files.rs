//! Commands that work on files and folders one by one: `del mkdir rmdir cd pushd popd type mklink`.

use crate::host::Link;
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
                let Some(folder) = self.pushed.pop() else {
                    self.silent_failure = Some(1);
                    return Ok(Flow::Next(false));
                };
                self.folder = folder;
                return Ok(Flow::Next(true));
            }
            "robocopy" => return self.robocopy(rest, streams),
            "where" => return self.where_(rest, streams),
            "mklink" => return Ok(self.link(rest, streams)),
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
            "copy" => Ok(self.copy(&words, &switches, streams)),
            "dir" => self.dir(&words, &switches, streams),
            "xcopy" => self.xcopy(&words, &switches, streams),
            _ => Err(self.error(format!("gonda doesn't know the command `{word}`"))),
        }
    }

    /// Switches in lower case without slash, and the other words without quotes. A word such as `/opt/x` that is there
    /// is a path, not a switch.
    pub(crate) fn words(&self, rest: &str) -> (Vec<String>, Vec<String>) {
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

    /// A failure leaves errorlevel alone, yet `||` sees it, with the system's number.
    fn remove_folders(&mut self, words: &[String], all: bool, streams: &Streams) -> Flow {
        let mut failed = words.is_empty().then_some((1, "The syntax of the command is incorrect.".to_owned()));
        for word in words {
            let full = self.full(word);
            let done = if self.is_folder(&full) {
                if all {
                    self.remove_tree(&full, 0).map_err(|error| (5, error.to_string()))
                } else if self.host.list(&full).is_empty() {
                    self.host.remove(&full).map_err(|error| (5, error.to_string()))
                } else {
                    Err((145, "The directory is not empty.".to_owned()))
                }
            } else if self.host.stat(&full).is_some() {
                Err((267, "The directory name is invalid.".to_owned()))
            } else if self.is_folder(paths::split(&full).0) {
                Err((2, "The system cannot find the file specified.".to_owned()))
            } else {
                Err((3, "The system cannot find the path specified.".to_owned()))
            };
            if let Err((code, message)) = done {
                self.put(&streams.error, format!("{message}\r\n").as_bytes());
                failed = Some((code, message));
            }
        }
        self.silent_failure = failed.as_ref().map(|(code, _)| *code);
        Flow::Next(failed.is_none())
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
        if words.is_empty() {
            return self.fail(streams, "The syntax of the command is incorrect.", 1);
        }
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
    pub(crate) fn files(&self, word: &str) -> Vec<String> {
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

    /// It ends at the first name that means no file.
    fn type_(&mut self, words: &[String], streams: &Streams) -> Flow {
        if words.is_empty() {
            return self.fail(streams, "The syntax of the command is incorrect.", 1);
        }
        for word in words.iter().filter(|word| !is_nul(word)) {
            let files = if self.is_folder(&self.full(word)) { Vec::new() } else { self.files(word) };
            if files.is_empty() {
                return self.fail(streams, "The system cannot find the file specified.", 1);
            }
            for file in files {
                match self.host.read(&file) {
                    Ok(bytes) => self.put(&streams.output, &bytes),
                    Err(error) => return self.fail(streams, &error.to_string(), 1),
                }
            }
        }
        self.done(0)
    }

    /// `mklink [/d | /h | /j] LINK TARGET`.
    fn link(&mut self, rest: &str, streams: &Streams) -> Flow {
        let (switches, words) = self.words(rest);
        let [link, target] = words.as_slice() else {
            return self.fail(streams, "The syntax of the command is incorrect.", 1);
        };
        let (kind, what) = match switches.as_slice() {
            [] => (Link::Symbolic, "symbolic link"),
            [one] if one == "d" => (Link::Symbolic, "symbolic link"),
            [one] if one == "j" => (Link::Symbolic, "Junction"),
            [one] if one == "h" => (Link::Hard, "Hardlink"),
            [other, ..] => return self.fail(streams, &format!("Invalid switch - \"{other}\"."), 1),
        };
        let full = self.full(link);
        if self.host.stat(&full).is_some() {
            return self.fail(streams, "Cannot create a file when that file already exists.", 1);
        }
        let absolute = target.starts_with(['\\', '/']) || target.contains(':');
        let target_full = self.full(target);
        // A link with a relative target keeps it.
        let kept = if absolute || kind == Link::Hard { target_full } else { target.replace('/', "\\") };
        if let Err(error) = self.host.link(kind, &full, &kept) {
            return self.fail(streams, &error.to_string(), 1);
        }
        self.put(&streams.output, format!("{what} created for {link} <<===>> {target}\r\n").as_bytes());
        self.done(0)
    }
}

/// Whether a switch, in lower case, changes nothing here or is heard. What is not listed would be passed over.
fn knows(word: &str, switch: &str) -> bool {
    let known: &[&str] = match word {
        "rd" | "rmdir" => &["s", "q"],
        "del" | "erase" => &["f", "q", "s", "a"],
        "copy" => &["y", "-y", "a", "b", "v", "n", "z", "l", "d"],
        "move" => &["y", "-y"],
        // `dir` and `xcopy` look at theirs themselves.
        "dir" | "xcopy" => return true,
        _ => &[],
    };
    known.contains(&switch)
}
