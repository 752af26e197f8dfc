//! Files for batch files: Windows paths, found whatever their case, on the disk of this machine.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use gonda_batch::{Call, Entry, Host, Keep, Link, Stream, translate};

use super::programs;
use crate::host;

/// The machine as a batch file meets it.
pub(super) struct Disk {
    /// Programs get unix paths; else what the script wrote.
    pub(super) translated: bool,
}

impl Host for Disk {
    fn stat(&self, path: &str) -> Option<Entry> {
        entry(&find(path))
    }

    fn is_program(&self, path: &str) -> bool {
        let path = find(path);
        // What has no extension is a program of this machine, and as such must be executable.
        path.is_file() && (path.extension().is_some() || host::is_executable(&path))
    }

    fn list(&self, folder: &str) -> Vec<Entry> {
        let Ok(read) = fs::read_dir(find(folder)) else { return Vec::new() };
        let mut entries: Vec<Entry> = read.flatten().filter_map(|found| entry(&found.path())).collect();
        entries.sort_by_cached_key(|entry| entry.name.to_uppercase());
        entries
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(find(path))
    }

    fn write(&mut self, path: &str, bytes: &[u8], append: bool) -> io::Result<()> {
        open(path, append)?.write_all(bytes)
    }

    fn make_folder(&mut self, path: &str) -> io::Result<()> {
        fs::create_dir(find(path))
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let path = find(path);
        let remove = |path: &Path| if is_folder(path) { fs::remove_dir(path) } else { fs::remove_file(path) };
        match remove(&path) {
            // Windows doesn't mind a read-only folder around it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if let Some(folder) = path.parent() {
                    host::make_removable(folder)?;
                }
                remove(&path)
            }
            done => done,
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (find(from), find(to));
        match fs::rename(&from, &to) {
            // A job's folders are mounts of their own; for the script they are one drive.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => move_over(&from, &to),
            done => done,
        }
    }

    fn copy(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (find(from), find(to));
        fs::copy(&from, &to)?;
        // Windows keeps the time, which `make` and `xcopy /d` go by. Where it can't be set, the copy is still there.
        if let Ok(modified) = from.metadata().and_then(|meta| meta.modified())
            && let Ok(file) = File::options().append(true).open(&to)
        {
            let _ = file.set_modified(modified);
        }
        Ok(())
    }

    fn link(&mut self, kind: Link, link: &str, target: &str) -> io::Result<()> {
        let link = find(link);
        if kind == Link::Hard {
            return fs::hard_link(find(target), link);
        }
        let relative = !target.contains(':') && !target.starts_with('\\');
        let base = link.parent().unwrap_or(Path::new("/"));
        let unix = target.replace('\\', "/");
        // As it is written, but for the case that its files have.
        let found = if relative { as_is(base, &unix) } else { find(target) };
        let kept = match found.strip_prefix(base).ok().filter(|_| relative) {
            Some(inner) => inner.to_owned(),
            None if relative => PathBuf::from(unix),
            None => found,
        };
        host::symlink(&kept, &link)
    }

    fn run(&mut self, call: &Call<'_>, keep: &mut Keep<'_>) -> io::Result<i32> {
        programs::run(call, self.translated, keep)
    }

    fn print(&mut self, stream: Stream, bytes: &[u8]) {
        // Whoever reads it may be gone; the script goes on as it does on Windows.
        let _ = match stream {
            Stream::Output => {
                let mut output = io::stdout().lock();
                output.write_all(bytes).and_then(|()| output.flush())
            }
            Stream::Error => io::stderr().write_all(bytes),
        };
    }

    fn input(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut input = io::stdin().lock();
        if !input.is_terminal() {
            // What can't be read isn't there.
            let _ = input.read_to_end(&mut bytes);
        }
        bytes
    }
}

/// The file that a Windows path means.
pub(super) fn find(path: &str) -> PathBuf {
    as_is(Path::new("/"), &translate::to_unix(path))
}

/// A path below a folder: each name as written if it is there, else one that differs in case alone, else as written.
pub(super) fn as_is(base: &Path, path: &str) -> PathBuf {
    let whole = base.join(path);
    if whole.symlink_metadata().is_ok() {
        return whole;
    }
    let mut found = base.to_owned();
    for name in Path::new(path).components() {
        let next = found.join(name);
        let there = next.symlink_metadata().is_ok();
        found = if there { next } else { whatever_case(&found, name.as_os_str()).unwrap_or(next) };
    }
    found
}

fn whatever_case(folder: &Path, name: &std::ffi::OsStr) -> Option<PathBuf> {
    let wanted = name.to_str()?.to_lowercase();
    let mut same: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.to_lowercase() == wanted))
        .map(|entry| entry.path())
        .collect();
    // The order of a folder's entries is chance.
    same.sort();
    same.into_iter().next()
}

fn entry(path: &Path) -> Option<Entry> {
    let own: Metadata = path.symlink_metadata().ok()?;
    let seen = path.metadata().ok();
    let seen = seen.as_ref().unwrap_or(&own);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let modified = seen.modified().ok();
    Some(Entry { name, folder: seen.is_dir(), link: own.is_symlink(), size: seen.len(), modified })
}

/// A folder itself, not a link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

/// A file to write to, from its start or at its end.
pub(super) fn open(path: &str, append: bool) -> io::Result<File> {
    let path = find(path);
    if append { OpenOptions::new().create(true).append(true).open(path) } else { File::create(path) }
}

fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    copy_over(from, to)?;
    if is_folder(from) { fs::remove_dir_all(from) } else { fs::remove_file(from) }
}

fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    if let Ok(target) = from.read_link() {
        return host::symlink(&target, to);
    }
    if !is_folder(from) {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_over(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
