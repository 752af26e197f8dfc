//! What was done while crossing, for the log: a line each, beside the script's own output, which a script may read.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Crossing;

/// More than this is not written or read: a script may run a program many thousand times.
const LARGEST: u64 = 1 << 20;

/// Adds a line, unless it is there already. A job goes on without its journal.
pub(super) fn say(crossing: &Crossing, line: &str) {
    let path = crossing.journal();
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = format!("gonda: {line}\n");
    let mut known = String::new();
    let read = File::open(&path).and_then(|file| file.take(LARGEST).read_to_string(&mut known));
    if read.is_ok_and(|length| length as u64 >= LARGEST) || known.split_inclusive('\n').any(|other| other == line) {
        return;
    }
    let _ = File::options().append(true).create(true).open(path).and_then(|mut file| file.write_all(line.as_bytes()));
}

/// Reads a journal as it grows.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    read: u64,
}

impl Journal {
    /// From its start.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// The whole lines that were added since.
    pub fn news(&mut self) -> Vec<String> {
        // Most often there is none, and this is asked for each line that a script prints.
        let Some(text) = self.grown().then(|| read(&self.path, self.read)).flatten() else { return Vec::new() };
        let Some(end) = text.rfind('\n') else { return Vec::new() };
        self.read += end as u64 + 1;
        text[..end].lines().map(str::to_owned).collect()
    }

    fn grown(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() > self.read && self.read < LARGEST)
    }
}

fn read(path: &Path, from: u64) -> Option<String> {
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_once() {
        let folder = tempfile::tempdir().unwrap();
        let crossing = Crossing { own: folder.path().to_owned(), ..super::super::tests::linux_aarch64() };
        let mut journal = Journal::new(crossing.journal());
        assert!(journal.news().is_empty());
        say(&crossing, "a\nb");
        say(&crossing, "c");
        say(&crossing, "a\nb");
        assert_eq!(journal.news(), ["gonda: a b", "gonda: c"]);
        assert!(journal.news().is_empty());
        say(&crossing, "d");
        assert_eq!(journal.news(), ["gonda: d"]);
    }
}
