//! What differs by host system for sources: modes, links, file names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{Error, Kind, Result};

/// The mode bits of a file that count; 0o644 where the system has none.
#[cfg(unix)]
pub(super) fn mode(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

/// The mode bits of a file that count; 0o644 where the system has none.
#[cfg(not(unix))]
pub(super) fn mode(_metadata: &std::fs::Metadata) -> u32 {
    0o644
}

/// Sets mode bits, whatever the umask; nothing where the system has none.
#[cfg(unix)]
pub(super) fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Sets mode bits, whatever the umask; nothing where the system has none.
#[cfg(not(unix))]
pub(super) fn set_mode(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}

/// Makes a symbolic link; where a Windows account may not, the target is copied if it is a file that is there.
pub(super) fn symlink(target: &Path, link: &Path) -> Result<()> {
    let full = link.parent().unwrap_or(Path::new(".")).join(target);
    match crate::host::symlink(target, link) {
        Ok(()) => Ok(()),
        Err(_) if cfg!(windows) && full.is_file() => Ok(fs_err::copy(full, link).map(drop)?),
        Err(error) => {
            Err(Error::new(Kind::Machine, format!("could not make the link `{}`", link.display())).because(error))
        }
    }
}

/// A name from an archive, as this system writes it; `None` where it can't.
#[cfg(unix)]
pub(super) fn name(bytes: &[u8]) -> Option<OsString> {
    let bad = bytes.contains(&0);
    (!bad).then(|| std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec()))
}

/// A name from an archive, as this system writes it; `None` where it can't.
#[cfg(not(unix))]
pub(super) fn name(bytes: &[u8]) -> Option<OsString> {
    let text = std::str::from_utf8(bytes).ok()?;
    let bad = text.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
        || text.chars().any(|c| c < ' ')
        || text.ends_with(['.', ' ']);
    (!bad).then(|| text.into())
}

/// A path from an archive (a link's target), as this system writes it.
#[cfg(unix)]
pub(super) fn path(bytes: &[u8]) -> Option<PathBuf> {
    name(bytes).map(PathBuf::from)
}

/// A path from an archive (a link's target), as this system writes it.
#[cfg(not(unix))]
pub(super) fn path(bytes: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(PathBuf::from(text.replace('/', "\\")))
}

/// Whether a path begins with a drive, as only Windows has them.
pub(super) fn has_drive(path: &str) -> bool {
    cfg!(windows) && path.as_bytes().get(1) == Some(&b':')
}

/// `~` at the start of a path is the user's home folder, as conda-build reads it.
pub(super) fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_path_buf(),
    }
}

/// Whether the folder's file system takes `a` and `A` for one name. Asked of a folder that we made, whose name has
/// lower-case letters.
pub(super) fn folds_case(folder: &Path) -> bool {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str())) else {
        return false;
    };
    let other = name.to_ascii_uppercase();
    other != name && parent.join(other).symlink_metadata().is_ok()
}
