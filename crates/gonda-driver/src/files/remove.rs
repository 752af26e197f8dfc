//! Removing folders that scripts have been in: Go's module cache is read-only, and a recipe may do the same.

use std::io::ErrorKind;
use std::path::Path;

use crate::host;

/// How often a folder that fills up while it is emptied is tried again.
const WAITS: usize = 30;
/// How often permissions are changed before giving up.
const OPENINGS: usize = 3;

/// Removes a folder with all that is in it, whatever permissions its files and folders have. Links are not followed.
/// A folder that isn't there is fine.
///
/// # Errors
/// When something can't be removed even so.
pub fn remove_all(folder: &Path) -> std::io::Result<()> {
    let (mut waited, mut opened) = (0, 0);
    loop {
        match std::fs::remove_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && folder.symlink_metadata().is_err() => return Ok(()),
            // A process that is just being ended may still write.
            Err(error)
                if waited < WAITS && matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) =>
            {
                waited += 1;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) if opened == OPENINGS => return Err(error),
            Err(_) => {
                opened += 1;
                make_removable(folder);
            }
        }
    }
}

/// Gives the owner every right over folders (and over files, where a read-only file can't be removed). What can't be
/// changed is left for the removal to complain about.
fn make_removable(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let _ = host::make_removable(&folder);
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if cfg!(windows) => {
                    let _ = host::make_removable(&entry.path());
                }
                _ => {}
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn read_only_trees_go_and_what_links_point_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        let deep = folder.path().join("room/pkg/mod/x@v1");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("f"), "x").unwrap();
        std::fs::write(deep.join("f"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, deep.join("link")).unwrap();
        std::fs::set_permissions(deep.join("f"), PermissionsExt::from_mode(0o444)).unwrap();
        std::fs::set_permissions(&deep, PermissionsExt::from_mode(0o555)).unwrap();
        std::fs::set_permissions(deep.parent().unwrap(), PermissionsExt::from_mode(0o000)).unwrap();
        remove_all(&folder.path().join("room")).unwrap();
        assert!(!folder.path().join("room").exists());
        assert!(outside.join("f").exists());
        remove_all(&folder.path().join("room")).unwrap();
    }
}
