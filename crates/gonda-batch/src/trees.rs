//! Programs of Windows that copy trees: `xcopy robocopy`.

use crate::files::DEEPEST;
use crate::paths;
use crate::run::{Flow, Machine};
use crate::streams::Streams;

impl Machine<'_> {
    pub(crate) fn xcopy(&mut self, words: &[String], switches: &[String], streams: &Streams) -> Flow {
        let has = |letter: &str| switches.iter().any(|switch| switch == letter);
        let (from, to) = match words {
            [from, to] => (from.clone(), to.clone()),
            [from] => (from.clone(), ".".to_owned()),
            _ => return self.fail(streams, "Invalid number of parameters", 4),
        };
        let source = self.full(&from);
        let target = self.full(&to);
        let (folder, pattern) = if self.is_folder(&source) {
            (source, "*".to_owned())
        } else {
            let (folder, name) = paths::split(&source);
            (folder.trim_end_matches('\\').to_owned(), name.to_owned())
        };
        let single = !paths::has_wildcard(&pattern);
        let mut found = Vec::new();
        let (below, empty) = (has("s") || has("e"), has("e"));
        self.gather(&folder, "", &pattern, below, empty, 0, &mut found);
        if single && found.is_empty() {
            return self.fail(streams, &format!("File not found - {pattern}\r\n0 File(s) copied"), 4);
        }
        // A single file to a name that isn't there: cmd would ask; without /i a file is meant.
        let as_file = single && !has("i") && !to.ends_with(['\\', '/']) && !self.is_folder(&target);
        let mut count = 0;
        for (path, is_folder) in found {
            let goal = if as_file { target.clone() } else { paths::join(&target, &path) };
            let done = if is_folder {
                self.make_all(&goal)
            } else {
                let (above, _) = paths::split(&goal);
                let above = above.trim_end_matches('\\').to_owned();
                count += 1;
                self.make_all(&above).and_then(|()| self.host.copy(&paths::join(&folder, &path), &goal))
            };
            if let Err(error) = done {
                return self.fail(streams, &error.to_string(), 4);
            }
        }
        if !has("q") || count > 0 {
            self.put(&streams.output, format!("{count} File(s) copied\r\n").as_bytes());
        }
        self.done(0)
    }

    /// Files, and folders where empty ones count, below a folder: relative paths.
    #[allow(clippy::too_many_arguments)]
    fn gather(
        &self,
        folder: &str,
        inner: &str,
        pattern: &str,
        below: bool,
        empty: bool,
        depth: usize,
        found: &mut Vec<(String, bool)>,
    ) {
        if depth > DEEPEST {
            return;
        }
        let here = if inner.is_empty() { folder.to_owned() } else { paths::join(folder, inner) };
        for entry in self.host.list(&here) {
            let path = if inner.is_empty() { entry.name.clone() } else { paths::join(inner, &entry.name) };
            if !entry.folder {
                if paths::fits(pattern, &entry.name) {
                    found.push((path, false));
                }
            } else if below {
                if empty {
                    found.push((path.clone(), true));
                }
                if !entry.link {
                    self.gather(folder, &path, pattern, below, empty, depth + 1, found);
                }
            }
        }
    }

    /// Exit code 1: files were copied; 0: nothing to do; 16: a mistake.
    pub(crate) fn robocopy(&mut self, words: &[String], switches: &[String], streams: &Streams) -> Flow {
        let [from, to, patterns @ ..] = words else { return self.fail(streams, "Invalid Parameter", 16) };
        let has = |name: &str| switches.iter().any(|switch| switch == name);
        let (source, target) = (self.full(from), self.full(to));
        if !self.is_folder(&source) {
            return self.fail(streams, "The system cannot find the file specified.", 16);
        }
        let (below, empty) = (has("s") || has("e") || has("mir"), has("e") || has("mir"));
        let all = ["*".to_owned()];
        let mut found = Vec::new();
        for pattern in if patterns.is_empty() { &all } else { patterns } {
            self.gather(&source, "", pattern, below, empty, 0, &mut found);
        }
        let mut level = 0;
        for (path, is_folder) in found {
            let goal = paths::join(&target, &path);
            let origin = paths::join(&source, &path);
            let done = if is_folder {
                self.make_all(&goal)
            } else {
                let equal =
                    self.host.stat(&goal).is_some() && self.host.read(&goal).ok() == self.host.read(&origin).ok();
                if equal {
                    continue;
                }
                let above = paths::split(&goal).0.trim_end_matches('\\').to_owned();
                level = 1;
                self.make_all(&above).and_then(|()| {
                    self.host.copy(&origin, &goal)?;
                    if has("mov") || has("move") { self.host.remove(&origin) } else { Ok(()) }
                })
            };
            if let Err(error) = done {
                return self.fail(streams, &error.to_string(), 16);
            }
        }
        self.done(level)
    }
}
