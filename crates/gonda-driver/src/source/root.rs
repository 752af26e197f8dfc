//! A folder that writing never leaves: every path below it goes through here.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::host;
use crate::{Error, Kind, Result};

/// A folder, and what is known to be a real folder below it.
#[derive(Debug)]
pub(super) struct Root {
    folder: PathBuf,
    known: HashSet<PathBuf>,
}

impl Root {
    /// `folder` must exist and be trusted itself.
    pub(super) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), known: HashSet::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where `relative` lies, after making the folders above it. A link or file in place of one of them is an error.
    pub(super) fn place(&mut self, relative: &Path) -> Result<PathBuf> {
        if let Some(parent) = relative.parent() {
            self.make(parent, relative)?;
        }
        Ok(self.folder.join(relative))
    }

    /// Makes a folder and those above it; returns where it lies.
    pub(super) fn make_folder(&mut self, relative: &Path) -> Result<PathBuf> {
        self.make(relative, relative)?;
        Ok(self.folder.join(relative))
    }

    /// `whole` is what is to be written, for messages.
    fn make(&mut self, relative: &Path, whole: &Path) -> Result<()> {
        let mut so_far = PathBuf::new();
        for component in relative.components() {
            let Component::Normal(name) = component else {
                return Err(outside(whole));
            };
            so_far.push(name);
            if self.known.contains(&so_far) {
                continue;
            }
            let full = self.folder.join(&so_far);
            match full.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    return Err(Error::new(
                        Kind::Unavailable,
                        format!(
                            "`{}` would be written through `{}`, which is no folder",
                            whole.display(),
                            so_far.display()
                        ),
                    ));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    fs_err::create_dir(&full)?;
                    host::set_mode(&full, 0o755)?;
                }
                Err(error) => return Err(error.into()),
            }
            self.known.insert(so_far.clone());
        }
        Ok(())
    }

    /// Whether `relative` can be read without passing through a link.
    pub(super) fn is_direct(&self, relative: &Path) -> bool {
        let mut full = self.folder.clone();
        for component in relative.components() {
            let Component::Normal(name) = component else { return false };
            full.push(name);
            if full.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_symlink()) {
                return false;
            }
        }
        true
    }

    /// Forgets what it knew, after somebody else changed the folder.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

fn outside(path: &Path) -> Error {
    Error::new(Kind::Unavailable, format!("`{}` lies outside the folder it belongs to", path.display()))
}

/// A member's name as a path below the archive's root: parts between slashes, `.` left out. Absolute names and `..`
/// are refused; an empty path is the root itself.
pub(super) fn member_path(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.first() == Some(&b'/') {
        return Err("its name is absolute");
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("its name contains `..`"),
            part => {
                let part: OsString = host::name(part).ok_or("its name can't be written on this system")?;
                path.push(part);
            }
        }
    }
    Ok(path)
}

/// A recipe's `folder`/`target_directory` as a path below the work folder.
pub(super) fn folder_path(text: &str) -> Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("the source folder `{text}` lies outside the work folder"),
                )
                .help("name a folder below the work folder, without a leading `/` and without `..`"));
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        let check = |name: &[u8], expected: &str| {
            let text = member_path(name).map_or_else(|why| why.to_owned(), |path| path.display().to_string());
            assert_eq!(text.replace('\\', "/"), expected);
        };
        check(b"a/b", "a/b");
        check(b"./a//b/", "a/b");
        check(b"./", "");
        check(b"/etc/passwd", "its name is absolute");
        check(b"a/../../b", "its name contains `..`");
        check(b"a/..b/c", "a/..b/c");
        check(b"a\0b", "its name can't be written on this system");
    }

    #[test]
    fn folders() {
        let check = |text: &str, expected: &str| {
            let text = folder_path(text).map_or_else(|error| error.to_string(), |path| path.display().to_string());
            assert_eq!(text.replace('\\', "/"), expected);
        };
        check("src/x", "src/x");
        check("./src", "src");
        check("a/../b", "b");
        check("../x", "the source folder `../x` lies outside the work folder");
        check("/x", "the source folder `/x` lies outside the work folder");
    }
}
