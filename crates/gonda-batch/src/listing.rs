//! Commands that say what is there: `dir where`.

use crate::files::DEEPEST;
use crate::host::Entry;
use crate::paths;
use crate::run::{Done, Machine};
use crate::streams::Streams;

/// What `dir` lists, and how.
#[derive(Debug, Default)]
struct Listing {
    bare: bool,
    below: bool,
    /// Folders alone, or files alone.
    kind: Option<bool>,
    /// What no file here has: hidden, system, read-only.
    nothing: bool,
    /// Keys, each with whether it goes down.
    order: Vec<(char, bool)>,
}

impl Listing {
    /// From switches in lower case; an error is the one that isn't known.
    fn read(switches: &[String]) -> Result<Self, String> {
        let mut listing = Self::default();
        for switch in switches {
            let mut letters = switch.chars();
            let first = letters.next();
            let rest = letters.as_str();
            let wrong = || format!("gonda doesn't know `dir /{switch}`");
            let mut not = false;
            match first {
                Some('b') if rest.is_empty() => listing.bare = true,
                Some('s') if rest.is_empty() => listing.below = true,
                Some('a') => {
                    for letter in rest.trim_start_matches(':').chars() {
                        match letter {
                            '-' => not = true,
                            'd' => listing.kind = Some(!std::mem::take(&mut not)),
                            'h' | 's' | 'r' => listing.nothing |= !std::mem::take(&mut not),
                            _ => return Err(wrong()),
                        }
                    }
                }
                Some('o') => {
                    let keys = rest.trim_start_matches(':');
                    for letter in if keys.is_empty() { "gn" } else { keys }.chars() {
                        match letter {
                            '-' => not = true,
                            'n' | 'e' | 'g' | 's' | 'd' => listing.order.push((letter, std::mem::take(&mut not))),
                            _ => return Err(wrong()),
                        }
                    }
                }
                // How it looks, of which little is done anyway.
                Some('n' | 'w' | 'd' | 'p' | '4' | 'l' | 'q' | 'r' | 'x') if rest.is_empty() => {}
                Some('-') if matches!(rest, "c" | "n" | "p") => {}
                Some('c') if rest.is_empty() => {}
                Some('t') => {}
                _ => return Err(wrong()),
            }
        }
        Ok(listing)
    }

    fn takes(&self, entry: &Entry) -> bool {
        !self.nothing && self.kind.is_none_or(|folder| folder == entry.folder)
    }

    fn sort(&self, entries: &mut [Entry]) {
        let extension = |entry: &Entry| paths::split_extension(&entry.name).1.to_lowercase();
        entries.sort_by(|one, other| {
            let mut order = std::cmp::Ordering::Equal;
            for (key, down) in &self.order {
                let next = match key {
                    'n' => one.name.to_lowercase().cmp(&other.name.to_lowercase()),
                    'e' => extension(one).cmp(&extension(other)),
                    'g' => other.folder.cmp(&one.folder),
                    's' => one.size.cmp(&other.size),
                    _ => one.modified.cmp(&other.modified),
                };
                order = order.then(if *down { next.reverse() } else { next });
            }
            order
        });
    }
}

impl Machine<'_> {
    pub(crate) fn dir(&mut self, words: &[String], switches: &[String], streams: &Streams) -> Done {
        let listing = Listing::read(switches).map_err(|why| self.error(why))?;
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
            self.dir_in(&folder, &pattern, &listing, 0, &mut lines);
        }
        if lines.is_empty() {
            return Ok(self.fail(streams, "File Not Found", 1));
        }
        let text: String = if listing.bare {
            lines.iter().map(|line| format!("{line}\r\n")).collect()
        } else {
            let head = format!(" Directory of {}\r\n\r\n", self.folder);
            lines.iter().fold(head, |text, line| text + &format!("{line}\r\n"))
        };
        self.put(&streams.output, text.as_bytes());
        Ok(self.done(0))
    }

    fn dir_in(&self, folder: &str, pattern: &str, listing: &Listing, depth: usize, lines: &mut Vec<String>) {
        if depth > DEEPEST {
            return;
        }
        let mut entries = self.host.list(folder);
        listing.sort(&mut entries);
        for entry in entries.iter().filter(|entry| listing.takes(entry) && paths::fits(pattern, &entry.name)) {
            lines.push(if listing.below { paths::join(folder, &entry.name) } else { entry.name.clone() });
        }
        if listing.below {
            for entry in entries.iter().filter(|entry| entry.folder && !entry.link) {
                self.dir_in(&paths::join(folder, &entry.name), pattern, listing, depth + 1, lines);
            }
        }
    }

    /// `where [/q] [/r FOLDER] [$NAME:|FOLDERS:]PATTERN …`: all that fit, in the current folder and those of PATH.
    pub(crate) fn where_(&mut self, rest: &str, streams: &Streams) -> Done {
        let (switches, words) = self.words(rest);
        if let Some(switch) = switches.iter().find(|switch| !matches!(switch.as_str(), "q" | "r" | "f")) {
            return Err(self.error(format!("gonda doesn't know `where /{switch}`")));
        }
        let has = |letter: &str| switches.iter().any(|switch| switch == letter);
        let (folder, patterns) = match words.split_first().filter(|_| has("r")) {
            Some((folder, patterns)) => (Some(self.full(folder)), patterns),
            None => (None, words.as_slice()),
        };
        let mut level = i32::from(patterns.is_empty()) * 2;
        for pattern in patterns {
            let found = match &folder {
                Some(folder) => self.where_below(folder, pattern),
                None => self.where_on_path(pattern),
            };
            if found.is_empty() {
                level = 1;
                if !has("q") {
                    self.fail(streams, "INFO: Could not find files for the given pattern(s).", 1);
                }
            }
            for path in found.iter().filter(|_| !has("q")) {
                let path = self.real(path);
                let quote = if has("f") { "\"" } else { "" };
                self.put(&streams.output, format!("{quote}{path}{quote}\r\n").as_bytes());
            }
        }
        Ok(self.done(level))
    }

    fn where_on_path(&self, pattern: &str) -> Vec<String> {
        let variable = |name: &str| crate::expand::Names::variable(self, name).unwrap_or_default();
        let (folders, pattern) = match pattern.rsplit_once(':') {
            Some((list, pattern)) => {
                let list = list.strip_prefix('$').map_or_else(|| list.to_owned(), variable);
                (crate::command::path_folders(&list), pattern)
            }
            None => {
                let path = crate::command::path_folders(&variable("PATH"));
                (std::iter::once(self.folder.clone()).chain(path).collect(), pattern)
            }
        };
        let mut found: Vec<String> = Vec::new();
        for folder in folders {
            let folder = self.full(&folder);
            let fitting: Vec<String> = if paths::has_wildcard(pattern) {
                let entries = self.host.list(&folder).into_iter().filter(|entry| !entry.folder);
                entries.filter(|entry| paths::fits(pattern, &entry.name)).map(|entry| entry.name).collect()
            } else {
                let extensions = variable("PATHEXT");
                let more = extensions.split(';').filter(|end| !end.is_empty()).map(|end| format!("{pattern}{end}"));
                std::iter::once(pattern.to_owned()).chain(more).collect()
            };
            let paths = fitting.iter().map(|name| paths::join(&folder, name));
            for path in paths.filter(|path| self.host.is_program(path)) {
                if !found.iter().any(|known| known.eq_ignore_ascii_case(&path)) {
                    found.push(path);
                }
            }
        }
        // A program of this machine has no extension.
        let plain = (found.is_empty() && !pattern.contains([':', '*', '?'])).then(|| self.find_program(pattern));
        found.extend(plain.flatten());
        found
    }

    fn where_below(&self, folder: &str, pattern: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let listing = Listing { below: true, kind: Some(false), ..Listing::default() };
        self.dir_in(folder, pattern, &listing, 0, &mut lines);
        lines
    }
}
