//! What of the machine reaches a script: programs of the system part of PATH, and files that passed variables name.

use std::path::PathBuf;

use super::{Settings, path_entries, variables};
use crate::host;
use crate::isolation::{Bind, DiskPaths};

/// Programs that decide what is built; where they come from belongs in the log.
const NAMED: &[&str] = &["go", "git", "cc", "gcc", "clang", "c++", "g++", "clang++"];

/// A program that a script would take from the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemProgram {
    /// As a script calls it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl SystemProgram {
    /// For the log.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("`{}` is not in the build environment: scripts get the machine's `{}`", self.name, self.path.display())
    }
}

/// Which `go`, `git` and C compilers a script would take from the system part of PATH, once the environments are
/// installed. `target_windows`: whether the host environment has the layout of Windows.
#[must_use]
pub fn programs_of_the_system(disk: &DiskPaths, target_windows: bool) -> Vec<SystemProgram> {
    let mut own = path_entries(&disk.build_prefix, cfg!(windows));
    own.extend(path_entries(&disk.prefix, target_windows));
    let system = host::system_path();
    let folder_has = |name: &&&str| {
        // A link in an environment may point to where the script sees it, and so to nothing here.
        let suffix = if cfg!(windows) { ".exe" } else { "" };
        own.iter().any(|folder| folder.join(format!("{name}{suffix}")).symlink_metadata().is_ok())
    };
    NAMED
        .iter()
        .filter(|name| !folder_has(name))
        .filter_map(|name| {
            let path = host::find_program(name, &system)?;
            Some(SystemProgram { name: (*name).to_owned(), path })
        })
        .collect()
}

/// Files and folders that passed-on variables name (`SSL_CERT_FILE` and the like), so that they can be seen where the
/// rest of the disk is hidden.
#[must_use]
pub fn passed_files(settings: &Settings) -> Vec<Bind> {
    if !settings.open_network && !settings.conda_build {
        return Vec::new();
    }
    let seen_anyway = ["/usr", "/etc"];
    variables::CERTIFICATES
        .iter()
        .filter_map(|name| settings.caller.get(*name))
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.exists())
        .filter(|path| !seen_anyway.iter().any(|folder| path.starts_with(folder)))
        .map(|path| Bind { disk: path.clone(), seen: path, writable: false })
        .collect()
}
