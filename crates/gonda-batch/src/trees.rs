//! Programs of Windows that copy trees: `xcopy robocopy`.

use std::io;

use crate::copying::renamed;
use crate::files::DEEPEST;
use crate::host::Entry;
use crate::paths;
use crate::run::{Done, Machine, items};
use crate::streams::Streams;

/// What of a tree is taken.
#[derive(Debug, Default)]
struct Walk {
    /// A file's name must fit one.
    patterns: Vec<String>,
    /// Folders within folders: this many levels, the first one included.
    levels: usize,
    /// Folders in which nothing is found, too.
    empty: bool,
    /// Parts of absolute paths, in lower case, that take a file or folder out.
    without: Vec<String>,
    /// Patterns of names, or absolute paths, of folders that are passed over; of files.
    without_folders: Vec<String>,
    without_files: Vec<String>,
}

/// A file or folder of a tree.
#[derive(Debug)]
struct Found {
    /// Below the tree's folder.
    path: String,
    entry: Entry,
}

impl Walk {
    /// Depth first; folders come before what is in them.
    fn below(&self, machine: &Machine<'_>, folder: &str) -> Vec<Found> {
        let mut found = Vec::new();
        self.gather(machine, folder, "", 1, &mut found);
        found
    }

    fn gather(&self, machine: &Machine<'_>, folder: &str, inner: &str, level: usize, found: &mut Vec<Found>) {
        let here = if inner.is_empty() { folder.to_owned() } else { paths::join(folder, inner) };
        let path = |entry: &Entry| if inner.is_empty() { entry.name.clone() } else { paths::join(inner, &entry.name) };
        let (folders, files): (Vec<Entry>, Vec<Entry>) =
            machine.host.list(&here).into_iter().partition(|entry| entry.folder);
        for entry in files {
            let full = paths::join(&here, &entry.name);
            let fits = self.patterns.iter().any(|pattern| paths::fits(pattern, &entry.name));
            if fits && !self.leaves_out(&full, &entry.name, &self.without_files) {
                found.push(Found { path: path(&entry), entry });
            }
        }
        if level >= self.levels.min(DEEPEST) {
            return;
        }
        for entry in folders {
            let full = paths::join(&here, &entry.name);
            // With its back slash, as a list of what to leave out may name it.
            if self.leaves_out(&format!("{full}\\"), &entry.name, &[])
                || self.leaves_out(&full, &entry.name, &self.without_folders)
            {
                continue;
            }
            let (at, path, link) = (found.len(), path(&entry), entry.link);
            if !link {
                self.gather(machine, folder, &path, level + 1, found);
            }
            if self.empty || found.len() > at {
                found.insert(at, Found { path, entry });
            }
        }
    }

    fn leaves_out(&self, full: &str, name: &str, patterns: &[String]) -> bool {
        let lower = full.to_lowercase();
        self.without.iter().any(|part| lower.contains(part))
            || patterns.iter().any(|pattern| paths::fits(pattern, name) || pattern.eq_ignore_ascii_case(full))
    }
}

impl Machine<'_> {
    pub(crate) fn xcopy(&mut self, words: &[String], switches: &[String], streams: &Streams) -> Done {
        const KNOWN: [&str; 27] = [
            "s", "e", "i", "y", "-y", "q", "h", "r", "k", "c", "f", "g", "o", "x", "v", "z", "n", "b", "d", "j", "w",
            "t", "l", "u", "a", "-i", "compress",
        ];
        let excluded: Vec<&str> = switches.iter().filter_map(|switch| switch.strip_prefix("exclude:")).collect();
        let unknown =
            switches.iter().find(|switch| !KNOWN.contains(&switch.as_str()) && !switch.starts_with("exclude:"));
        if let Some(switch) = unknown {
            return Err(self.error(format!("gonda doesn't know `xcopy /{switch}`")));
        }
        let has = |letter: &str| switches.iter().any(|switch| switch == letter);
        let (from, to) = match words {
            [from, to] => (from.clone(), to.clone()),
            [from] => (from.clone(), ".".to_owned()),
            _ => return Ok(self.fail(streams, "Invalid number of parameters", 4)),
        };
        let source = self.full(&from);
        let (folder, pattern, shown) = if self.is_folder(&source) {
            (source, "*".to_owned(), from.trim_end_matches(['\\', '/']).to_owned())
        } else {
            let (folder, name) = paths::split(&source);
            let shown = paths::split(&from).0.trim_end_matches(['\\', '/']).to_owned();
            (folder.trim_end_matches('\\').to_owned(), name.to_owned(), shown)
        };
        let below = has("s") || has("e") || has("t");
        let mut walk = Walk {
            patterns: vec![pattern.clone()],
            levels: if below { DEEPEST } else { 1 },
            empty: has("e"),
            ..Walk::default()
        };
        for file in excluded.iter().flat_map(|files| files.split('+')) {
            let file = file.replace('"', "");
            match self.host.read(&self.full(&file)) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).to_lowercase();
                    walk.without.extend(text.lines().map(str::to_owned).filter(|line| !line.is_empty()));
                }
                Err(_) => {
                    return Ok(self.fail(streams, &format!("Can't read file: {file}\r\n\r\n0 File(s) copied"), 4));
                }
            }
        }
        let found = walk.below(self, &folder);
        let single = !paths::has_wildcard(&pattern);
        if single && found.is_empty() {
            self.put(&streams.error, format!("File not found - {pattern}\r\n").as_bytes());
            self.put(&streams.output, b"0 File(s) copied\r\n");
            return Ok(self.done(4));
        }
        let target = self.full(&to);
        let as_file = !to.ends_with(['\\', '/']) && !self.is_folder(&target) && {
            // cmd asks what a name that isn't there is to be; without an answer it is what the source is.
            let answer = if has("i") { Some(b'D') } else { answer(streams) };
            answer.map_or(single, |answer| answer == b'F')
        };
        let mut count = 0;
        for Found { path, entry } in found {
            let goal = match paths::has_wildcard(&to) {
                true => {
                    let (above, name) = paths::split(&target);
                    format!("{above}{}", renamed(&entry.name, name))
                }
                false if as_file => target.clone(),
                false => paths::join(&target, &path),
            };
            if entry.folder {
                if !has("l")
                    && let Err(error) = self.make_all(&goal)
                {
                    return Ok(self.fail(streams, &error.to_string(), 4));
                }
                continue;
            }
            let there = self.host.stat(&goal);
            let newer =
                there.as_ref().is_none_or(|there| !self.is_current(&paths::join(&folder, &path), &entry, &goal, there));
            if has("t") || (has("u") && there.is_none()) || (has("d") && !newer) {
                continue;
            }
            count += 1;
            if !has("q") {
                let shown = if shown.is_empty() { path.clone() } else { paths::join(&shown, &path) };
                let line = if has("f") { format!("{} -> {goal}", paths::join(&folder, &path)) } else { shown };
                self.put(&streams.output, format!("{line}\r\n").as_bytes());
            }
            if !has("l")
                && let Err(error) = self.place(&paths::join(&folder, &path), &goal)
            {
                return Ok(self.fail(streams, &error.to_string(), 4));
            }
        }
        if !has("t") {
            let copied = if has("l") { "" } else { " copied" };
            self.put(&streams.output, format!("{count} File(s){copied}\r\n").as_bytes());
        }
        Ok(self.done(0))
    }

    /// Copies a file to where the folders may be missing.
    fn place(&mut self, from: &str, to: &str) -> io::Result<()> {
        let above = paths::split(to).0.trim_end_matches('\\').to_owned();
        self.make_all(&above)?;
        self.host.copy(from, to)
    }

    /// Whether what is there is as new as the source; without times, whether both are equal.
    fn is_current(&self, source: &str, entry: &Entry, goal: &str, there: &Entry) -> bool {
        match (entry.modified, there.modified) {
            (Some(source), Some(there)) => there >= source,
            _ => self.host.read(source).ok() == self.host.read(goal).ok(),
        }
    }

    /// Exit codes add up: 1 something was copied, 2 the target holds what the source doesn't; 16 is a mistake.
    pub(crate) fn robocopy(&mut self, rest: &str, streams: &Streams) -> Done {
        let options =
            Robocopy::read(rest).map_err(|switch| self.error(format!("gonda doesn't know `robocopy /{switch}`")))?;
        let [from, to, patterns @ ..] = options.words.as_slice() else {
            return Ok(self.fail(streams, "ERROR : Invalid Parameter", 16));
        };
        let (source, target) = (self.full(from), self.full(to));
        if !self.is_folder(&source) {
            return Ok(self.fail(streams, "ERROR 2 : The system cannot find the file specified.", 16));
        }
        Ok(match self.mirror(&options, &source, &target, patterns) {
            Ok(level) => self.done(level),
            Err(error) => self.fail(streams, &error.to_string(), 16),
        })
    }

    fn mirror(&mut self, options: &Robocopy, source: &str, target: &str, patterns: &[String]) -> io::Result<i32> {
        let has = |name: &str| options.has(name);
        let below = ["s", "e", "mir"].iter().any(|name| has(name));
        let absolute = |names: &[String]| {
            names.iter().map(|name| if name.contains(['\\', '/']) { self.full(name) } else { name.clone() }).collect()
        };
        let walk = Walk {
            patterns: if patterns.is_empty() { vec!["*".to_owned()] } else { patterns.to_vec() },
            levels: if below { options.levels.unwrap_or(DEEPEST) } else { 1 },
            empty: has("e") || has("mir"),
            without_folders: absolute(&options.without_folders),
            without_files: absolute(&options.without_files),
            ..Walk::default()
        };
        let found = walk.below(self, source);
        let (mut copied, dry) = (false, has("l"));
        if !dry {
            self.make_all(target)?;
        }
        let extra = !has("xx") && self.extra(&walk, source, target, has("purge") || has("mir"), dry)?;
        for Found { path, entry } in &found {
            let (origin, goal) = (paths::join(source, path), paths::join(target, path));
            let there = self.host.stat(&goal);
            if entry.folder {
                copied |= there.is_none();
                if !dry {
                    self.make_all(&goal)?;
                }
                continue;
            }
            let skip = there.is_some_and(|there| {
                let (same, older) = match (entry.modified, there.modified) {
                    (Some(one), Some(other)) => (one == other && entry.size == there.size, one < other),
                    _ => (self.host.read(&origin).ok() == self.host.read(&goal).ok(), false),
                };
                (same && !has("is")) || (older && has("xo")) || (!older && !same && has("xn"))
            });
            if skip {
                continue;
            }
            copied = true;
            if !dry {
                self.place(&origin, &goal)?;
                if has("mov") || has("move") {
                    self.host.remove(&origin)?;
                }
            }
        }
        if has("move") && !dry {
            self.remove_empty(source, &found)?;
        }
        Ok(i32::from(copied) + 2 * i32::from(extra))
    }

    /// What the target holds and the source doesn't; `purge` takes it away. What is left out of the copy isn't looked at.
    fn extra(&mut self, walk: &Walk, source: &str, target: &str, purge: bool, dry: bool) -> io::Result<bool> {
        let all = Walk {
            patterns: walk.patterns.clone(),
            levels: walk.levels,
            empty: true,
            without_folders: walk.without_folders.clone(),
            without_files: walk.without_files.clone(),
            ..Walk::default()
        };
        let mut any = false;
        let mut gone: Option<String> = None;
        for Found { path, entry } in all.below(self, target) {
            let inside = gone.as_ref().is_some_and(|gone| path.starts_with(gone.as_str()));
            if inside || self.host.stat(&paths::join(source, &path)).is_some_and(|there| there.folder == entry.folder) {
                continue;
            }
            any = true;
            if purge && !dry {
                let full = paths::join(target, &path);
                if entry.folder && !entry.link { self.remove_tree(&full, 0)? } else { self.host.remove(&full)? }
            }
            if entry.folder {
                gone = Some(format!("{path}\\"));
            }
        }
        Ok(any)
    }

    /// After `/move`: the folders that are empty now, the deepest first.
    fn remove_empty(&mut self, source: &str, found: &[Found]) -> io::Result<()> {
        let inner = found.iter().rev().filter(|found| found.entry.folder && !found.entry.link);
        let inner = inner.map(|found| paths::join(source, &found.path));
        for folder in inner.chain([source.to_owned()]) {
            if self.host.list(&folder).is_empty() {
                self.host.remove(&folder)?;
            }
        }
        Ok(())
    }
}

/// What was answered to `xcopy`'s question: `F` or `D`.
fn answer(streams: &Streams) -> Option<u8> {
    let bytes = streams.take_input();
    bytes.iter().map(u8::to_ascii_uppercase).find(|byte| matches!(byte, b'F' | b'D'))
}

/// The command line of `robocopy`.
#[derive(Debug, Default)]
struct Robocopy {
    words: Vec<String>,
    switches: Vec<String>,
    levels: Option<usize>,
    without_folders: Vec<String>,
    without_files: Vec<String>,
}

impl Robocopy {
    /// An error is the switch that isn't known.
    fn read(rest: &str) -> Result<Self, String> {
        const KNOWN: [&str; 38] = [
            "s", "e", "mir", "purge", "mov", "move", "l", "is", "it", "xo", "xn", "xx", "xl", "xj", "xjd", "xjf",
            "njh", "njs", "ndl", "nfl", "np", "nc", "ns", "copyall", "sec", "z", "b", "zb", "j", "v", "eta", "fp",
            "sl", "fft", "tee", "unicode", "nodcopy", "mt",
        ];
        /// How it reports, how often it tries, what beside the content it copies.
        const WITH_VALUE: [&str; 9] = ["r:", "w:", "mt:", "copy:", "dcopy:", "log:", "log+:", "unilog:", "a-:"];
        let mut read = Self::default();
        // What the words after a switch are.
        let mut list = None;
        for item in items(rest) {
            let Some(switch) = item.strip_prefix('/').map(str::to_lowercase) else {
                let word = item.replace('"', "");
                let word = if word.len() > 3 { word.trim_end_matches(['\\', '/']).to_owned() } else { word };
                match list {
                    Some("xd") => read.without_folders.push(word),
                    Some(_) => read.without_files.push(word),
                    None => read.words.push(word),
                }
                continue;
            };
            list = None;
            match switch.as_str() {
                "xd" => list = Some("xd"),
                "xf" => list = Some("xf"),
                _ if KNOWN.contains(&switch.as_str()) => read.switches.push(switch),
                _ if WITH_VALUE.iter().any(|start| switch.starts_with(start)) => {}
                _ => match switch.strip_prefix("lev:").and_then(|levels| levels.parse().ok()) {
                    Some(levels) => read.levels = Some(levels),
                    None => return Err(switch),
                },
            }
        }
        Ok(read)
    }

    fn has(&self, name: &str) -> bool {
        self.switches.iter().any(|switch| switch == name)
    }
}
