//! The digest of a folder: of what is in it, not of where it is or when it was written.

use std::path::Path;

use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::source::sha256_of_file;
use crate::{Error, Kind, Result};

/// The digest of all names, kinds, execute bits and contents below a folder, in hex. `skip` and what is below it is
/// left out.
///
/// # Errors
/// What can't be read.
pub(crate) fn of_tree(folder: &Path, skip: Option<&Path>) -> Result<String> {
    let mut hash = Sha256::new();
    let entries = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| skip != Some(entry.path())) {
        let entry = entry.map_err(|error| {
            Error::new(Kind::Machine, format!("the folder `{}` can't be read", folder.display())).because(error)
        })?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).as_os_str().as_encoded_bytes();
        hash.update(name);
        let kind = entry.file_type();
        if kind.is_dir() {
            hash.update([0, b'd']);
        } else if kind.is_symlink() {
            hash.update([0, b'l']);
            hash.update(fs_err::read_link(entry.path())?.as_os_str().as_encoded_bytes());
        } else if kind.is_file() {
            let metadata = fs_err::metadata(entry.path())?;
            let executable = gonda_packager::is_executable(entry.path(), &metadata);
            hash.update([0, if executable { b'x' } else { b'f' }]);
            // A digest of its own, so that no content can pass for the entries that follow.
            hash.update(sha256_of_file(entry.path())?);
        } else {
            hash.update([0, b'?']);
        }
        hash.update([0]);
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, files: &[(&str, &str)]| {
            let root = dir.path().join(name);
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            of_tree(&root, Some(&root.join("skipped"))).unwrap()
        };
        let one = make("one", &[("a/b", "x"), ("c", "y")]);
        assert_eq!(one, make("two", &[("c", "y"), ("a/b", "x"), ("skipped/z", "z")]));
        for other in [&[("a/b", "x"), ("c", "z")][..], &[("a/b", "x"), ("d", "y")], &[("a/b", "x")]] {
            assert_ne!(one, make(&format!("{other:?}").replace(['/', '"'], ""), other));
        }
    }

    #[cfg(unix)]
    #[test]
    fn modes_and_links_count() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let digest = || of_tree(dir.path(), None).unwrap();
        std::fs::write(dir.path().join("f"), "").unwrap();
        let plain = digest();
        std::fs::set_permissions(dir.path().join("f"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let executable = digest();
        std::os::unix::fs::symlink("f", dir.path().join("g")).unwrap();
        assert!(plain != executable && executable != digest());
    }
}
