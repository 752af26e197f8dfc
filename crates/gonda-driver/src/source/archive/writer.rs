//! Puts members of an archive below one folder.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::host;
use super::super::root::{Root, member_path};
use super::{Trouble, Unpacked};
use crate::Result;

/// The last second of the year 9999: later times are taken for nonsense.
const LATEST: i64 = 253_402_300_799;
/// Remarks beyond these are only counted.
const REMARKS: usize = 5;

/// The folder, and what has been put there.
pub(super) struct Writer {
    root: Root,
    cap: u64,
    max_members: u64,
    files: HashSet<PathBuf>,
    /// Made last: nothing can be written through them.
    links: BTreeMap<PathBuf, PathBuf>,
    folders: BTreeMap<PathBuf, (u32, Option<i64>)>,
    /// Folded names to names, where the file system takes them for one.
    folded: Option<HashMap<String, PathBuf>>,
    outward: usize,
    unpacked: Unpacked,
    buffer: Vec<u8>,
}

/// One member.
pub(super) struct Member {
    /// As shown in messages.
    pub(super) shown: String,
    /// Below the root; empty for the root itself.
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) mtime: Option<i64>,
}

impl Member {
    pub(super) fn trouble(&self, why: impl Into<String>) -> Trouble {
        Trouble::Member { name: self.shown.clone(), why: why.into() }
    }

    fn within(&self, error: std::io::Error) -> Trouble {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::AlreadyExists => self.trouble("something else has its name"),
            ErrorKind::InvalidFilename | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                self.trouble(error.to_string())
            }
            _ => Trouble::Machine(error.into()),
        }
    }
}

impl Writer {
    pub(super) fn new(folder: &Path, cap: u64, max_members: u64) -> Self {
        Self {
            root: Root::new(folder),
            cap,
            max_members,
            files: HashSet::new(),
            links: BTreeMap::new(),
            folders: BTreeMap::new(),
            folded: host::folds_case(folder).then(HashMap::new),
            outward: 0,
            unpacked: Unpacked::default(),
            buffer: vec![0; 128 * 1024],
        }
    }

    /// As on a file system that takes `a` and `A` for one name.
    #[cfg(test)]
    pub(super) fn folding(mut self) -> Self {
        self.folded = Some(HashMap::new());
        self
    }

    /// Takes note of a member and checks its name.
    pub(super) fn member(&mut self, name: &[u8], mode: u32, mtime: Option<i64>) -> Result<Member, Trouble> {
        let shown: String = String::from_utf8_lossy(name).chars().take(200).flat_map(char::escape_debug).collect();
        self.unpacked.members += 1;
        if self.unpacked.members > self.max_members {
            return Err(Trouble::Archive(format!("it has more than {} members", self.max_members)));
        }
        let path = member_path(name).map_err(|why| Trouble::Member { name: shown.clone(), why: why.into() })?;
        let mtime = mtime.filter(|mtime| (-LATEST..=LATEST).contains(mtime));
        self.unpacked.newest = self.unpacked.newest.max(mtime);
        let member = Member { shown, path, mode: mode & 0o777, mtime };
        if let Some(link) = member.path.ancestors().skip(1).find(|above| self.links.contains_key(*above)) {
            return Err(member.trouble(format!("it would be written through the link `{}`", link.display())));
        }
        if let Some(folded) = &mut self.folded {
            let key = member.path.to_string_lossy().to_lowercase();
            let first = folded.entry(key).or_insert_with(|| member.path.clone());
            if *first != member.path {
                let why = format!("this file system takes its name and `{}` for one", first.display());
                return Err(member.trouble(why));
            }
        }
        Ok(member)
    }

    pub(super) fn folder(&mut self, member: Member) -> Result<(), Trouble> {
        self.free(&member, true)?;
        self.root.make_folder(&member.path).map_err(|error| member.trouble(error.message))?;
        self.folders.insert(member.path, (member.mode | 0o700, member.mtime));
        Ok(())
    }

    pub(super) fn file(&mut self, member: &Member, content: &mut dyn Read) -> Result<(), Trouble> {
        self.free(member, false)?;
        let full = self.place(member)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&full)
            .map_err(|error| member.within(error))?;
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(member.trouble(error.to_string())),
            };
            self.unpacked.size += read as u64;
            if self.unpacked.size > self.cap {
                return Err(member.trouble(format!("the archive unpacks to more than the limit of {} bytes", self.cap)));
            }
            file.write_all(&self.buffer[..read]).map_err(|error| member.within(error))?;
        }
        if let Some(time) = member.mtime.and_then(system_time) {
            file.set_modified(time).map_err(|error| member.within(error))?;
        }
        drop(file);
        host::set_mode(&full, member.mode | 0o600).map_err(|error| member.within(error))?;
        self.files.insert(member.path.clone());
        Ok(())
    }

    pub(super) fn symlink(&mut self, member: Member, target: &[u8]) -> Result<(), Trouble> {
        self.free(&member, false)?;
        let Some(target) = host::path(target).filter(|target| !target.as_os_str().is_empty()) else {
            return Err(member.trouble("its target can't be written on this system"));
        };
        if leaves(&member.path, &target) {
            self.outward += 1;
            if self.outward <= REMARKS {
                let remark = format!("the link `{}` leads out of the source: `{}`", member.shown, target.display());
                self.unpacked.remarks.push(remark);
            }
        }
        self.links.insert(member.path, target);
        Ok(())
    }

    pub(super) fn hard_link(&mut self, member: Member, target: &[u8]) -> Result<(), Trouble> {
        let target = member_path(target).map_err(|why| {
            member.trouble(why.replace("its name", &format!("its target `{}`", String::from_utf8_lossy(target))))
        })?;
        if target == member.path {
            return Ok(());
        }
        if let Some(link) = self.links.get(&target).cloned() {
            self.free(&member, false)?;
            self.links.insert(member.path, link);
            return Ok(());
        }
        if !self.files.contains(&target) {
            return Err(
                member.trouble(format!("it is a link to `{}`, which the archive doesn't have", target.display()))
            );
        }
        self.free(&member, false)?;
        let full = self.place(&member)?;
        let target = self.root.folder().join(target);
        if std::fs::hard_link(&target, &full).is_err() {
            std::fs::copy(&target, &full).map_err(|error| member.within(error))?;
        }
        self.files.insert(member.path);
        Ok(())
    }

    /// Makes the links, sets the folders' modes and times.
    pub(super) fn finish(mut self) -> Result<Unpacked, Trouble> {
        let links = std::mem::take(&mut self.links);
        for (path, target) in links {
            let shown = path.display().to_string();
            let trouble = |why: String| Trouble::Member { name: shown.clone(), why };
            let full = self.root.place(&path).map_err(|error| trouble(error.message))?;
            if full.symlink_metadata().is_ok() {
                return Err(trouble("something else has its name".into()));
            }
            host::symlink(&target, &full)?;
        }
        // The deepest first: work within a folder changes its time.
        for (path, (mode, mtime)) in self.folders.iter().rev() {
            let full = self.root.folder().join(path);
            if path.as_os_str().is_empty() || !full.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                continue;
            }
            host::set_mode(&full, *mode).map_err(|error| Trouble::Machine(error.into()))?;
            if let Some(time) = mtime.and_then(system_time)
                && let Ok(folder) = std::fs::File::open(&full)
            {
                // Some systems give a folder no time; nothing depends on it.
                let _ = folder.set_modified(time);
            }
        }
        if self.outward > REMARKS {
            self.unpacked.remarks.push(format!("{} more links lead out of the source", self.outward - REMARKS));
        }
        Ok(self.unpacked)
    }

    fn place(&mut self, member: &Member) -> Result<PathBuf, Trouble> {
        if member.path.as_os_str().is_empty() {
            return Err(member.trouble("it has no name"));
        }
        self.root.place(&member.path).map_err(|error| match error.kind {
            crate::Kind::Unavailable => member.trouble(error.message),
            _ => Trouble::Machine(error),
        })
    }

    /// Makes way for a member: as tar does, a later one takes the place of an earlier file or link.
    fn free(&mut self, member: &Member, folder: bool) -> Result<(), Trouble> {
        if self.links.remove(&member.path).is_some() {
            return Ok(());
        }
        if self.files.contains(&member.path) {
            if folder {
                return Err(member.trouble("it is a file and a folder"));
            }
            let full = self.root.folder().join(&member.path);
            std::fs::remove_file(&full).map_err(|error| member.within(error))?;
            self.files.remove(&member.path);
        }
        Ok(())
    }
}

fn system_time(seconds: i64) -> Option<SystemTime> {
    let length = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(length) } else { SystemTime::UNIX_EPOCH.checked_add(length) }
}

/// Whether a link's target lies outside the root.
fn leaves(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out() {
        let check = |link: &str, target: &str, expected: bool| {
            assert_eq!(leaves(Path::new(link), Path::new(target)), expected, "{link} -> {target}");
        };
        check("a/b", "c", false);
        check("a/b", "../c", false);
        check("a/b", "../../c", true);
        check("a/b", "x/../../c", false);
        check("a", "/etc/passwd", true);
        check("a", "..", true);
    }

    #[test]
    fn names_that_differ_by_case_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(folder.path(), 1000, 1000).folding();
        let first = writer.member(b"README.md", 0o644, None).unwrap();
        writer.file(&first, &mut &b"one"[..]).unwrap();
        assert!(writer.member(b"README.md", 0o644, None).is_ok());
        let Err(Trouble::Member { name, why }) = writer.member(b"readme.md", 0o644, None) else {
            panic!("the second name was taken");
        };
        assert_eq!(format!("{name}: {why}"), "readme.md: this file system takes its name and `README.md` for one");
    }
}
