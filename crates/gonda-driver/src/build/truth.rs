//! What a compiled file says of itself, held against the target platform before it is packed: a package can't lie about
//! its platform.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use gonda_packager::binary::could_be;
use gonda_packager::{Binary, Entry};
use rattler_conda_types::Subdir;
use sha2::{Digest, Sha256};

use crate::{Error, Kind, Result};

/// Compiled files of the source, by their SHA-256: test fixtures and vendored blobs, which are for whatever they are for.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeSet<[u8; 32]>);

impl Known {
    /// Looks through the source as it is before any script has run.
    pub(super) fn of(source: &Path) -> Result<Self> {
        let mut known = BTreeSet::new();
        for entry in walkdir::WalkDir::new(source).into_iter().flatten() {
            if entry.file_type().is_file()
                && let Some(bytes) = compiled(entry.path())?
            {
                known.insert(Sha256::digest(&bytes).into());
            }
        }
        Ok(Self(known))
    }

    /// Checks every compiled file that is to be packed; the answer is what to warn of.
    ///
    /// # Errors
    /// [`Kind::Verification`] for a file that is for another machine or system, unless the source has it as it is.
    pub(super) fn check(&self, entries: &[Entry], target: Subdir) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for entry in entries {
            if !matches!(entry.kind, gonda_packager::Kind::File) {
                continue;
            }
            let Some(bytes) = compiled(&entry.source)? else { continue };
            let Some(Ok(binary)) = Binary::parse(&bytes) else { continue };
            if binary.is_for(target) {
                continue;
            }
            let wrong = format!("`{}` is a {binary}, and the package is for `{target}`", entry.path);
            if self.0.contains(&<[u8; 32]>::from(Sha256::digest(&bytes))) {
                warnings.push(format!("{wrong}; the source has it as it is"));
                continue;
            }
            return Err(Error::new(Kind::Verification, wrong).help(
                "the script ignores or unsets the target's GOOS and GOARCH, or packs a tool of the build machine",
            ));
        }
        Ok(warnings)
    }
}

/// The bytes of a file that looks compiled; `None` for all others, which are not read.
fn compiled(path: &Path) -> Result<Option<Vec<u8>>> {
    let failed = |error: std::io::Error| {
        let mut this = Error::from(error);
        this.message = format!("can't read `{}`: {}", path.display(), this.message);
        this
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        // A file that its own author can't read is no program.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.by_ref().take(4).read_to_end(&mut bytes).map_err(failed)?;
    if !could_be(&bytes) {
        return Ok(None);
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_this_machine_is_for_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let entry = Entry::file("bin/tool", &program, true);
        let here = Subdir::current().unwrap();
        let elsewhere = if here == Subdir::LinuxPpc64le { Subdir::Linux64 } else { Subdir::LinuxPpc64le };
        let check = |known: &Known, target| known.check(std::slice::from_ref(&entry), target);

        let empty = Known::of(dir.path()).unwrap();
        assert_eq!(check(&empty, here).unwrap(), Vec::<String>::new());
        let error = check(&empty, elsewhere).unwrap_err();
        assert_eq!(error.kind, Kind::Verification);
        assert!(error.message.contains("`bin/tool`") && error.message.contains(elsewhere.as_str()), "{error}");

        std::fs::copy(&program, dir.path().join("fixture")).unwrap();
        let warned = check(&Known::of(dir.path()).unwrap(), elsewhere).unwrap();
        assert_eq!(warned.len(), 1);
    }
}
