//! Unpacks archives of unknown origin into a folder of one's own, and nowhere else.
//!
//! Nothing is written through a link that the archive brought: links are made last, and a member that lies below one
//! is refused. Owner, setuid bits, devices and times of the archive have no effect.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::archive::{Limits, Part, walk};
use crate::error::{Error, Problem, Result};
use crate::host;
use crate::member_path::{leaves_package, path_problem};
use crate::tarball::TarKind;

/// How much is extracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// `info/` and payload.
    All,
    /// `info/` alone.
    Info,
    /// The payload alone.
    Payload,
}

/// Extracts an archive into `folder`, which is made; it must be empty or absent.
///
/// # Errors
/// A folder that isn't empty; what can't be read or written; members with absolute paths, `..`, of unknown types, or
/// twice there. What was extracted until then stays.
///
/// Links out of the folder are left out; they are the warnings of the result.
pub fn extract(path: &Path, folder: &Path, extent: Extent, limits: &Limits) -> Result<Vec<Problem>> {
    let failed = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| Error::io(action, &path, error)
    };
    fs::create_dir_all(folder).map_err(failed("make the folder", folder))?;
    if fs::read_dir(folder).map_err(failed("read", folder))?.next().is_some() {
        return Err(Error::io("extract into", folder, io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let file = File::open(path).map_err(failed("read", path))?;
    let parts: &[Part] = match extent {
        Extent::All => &[Part::Info, Part::Pkg],
        Extent::Info => &[Part::Info],
        Extent::Payload => &[Part::Pkg],
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut links: Vec<(String, String)> = Vec::new();
    let mut warnings = Vec::new();
    walk(path, &file, parts, limits, &mut |_, member, bytes| {
        let refuse = |message: String| Error::malformed(path, format!("`{}`: {message}", member.path));
        if let Some(problem) = path_problem(&member.path) {
            return Err(refuse(problem.to_owned()));
        }
        if cfg!(windows) && member.path.contains(':') {
            return Err(refuse("a name that would be a stream of another file".to_owned()));
        }
        let name = member.path.trim_end_matches('/').to_owned();
        let target = folder.join(&name);
        if member.kind == TarKind::Directory {
            return fs::create_dir_all(&target).map_err(failed("make the folder", &target));
        }
        if !names.insert(name.clone()) {
            return Err(refuse("there twice".to_owned()));
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(failed("make the folder", parent))?;
        }
        match &member.kind {
            TarKind::File => {
                // `create_new` never follows a link and never writes into what is there.
                let created = OpenOptions::new().write(true).create_new(true).open(&target);
                let mut output = created.map_err(failed("write", &target))?;
                copy(path, bytes, &mut output, &target)?;
                host::set_mode(&output, member.mode & 0o111 != 0).map_err(failed("write", &target))
            }
            TarKind::Hardlink(first) => {
                if !names.contains(first) || !folder.join(first).is_file() {
                    return Err(refuse(format!("a hard link to `{first}`, which is no file before it")));
                }
                let source = folder.join(first);
                // A file of its own, so that changing one never changes the other.
                fs::copy(&source, &target).map(drop).map_err(failed("write", &target))
            }
            TarKind::Symlink(leads) => {
                if leaves_package(&name, leads) {
                    let message = format!("a link out of the package, to `{leads}`: left out");
                    warnings.push(Problem::warning(name, message));
                } else {
                    links.push((name, leads.clone()));
                }
                Ok(())
            }
            TarKind::Directory => Ok(()),
            TarKind::Other(kind) => Err(refuse(format!("of an unknown type (`{}`)", char::from(*kind)))),
        }
    })?;
    for (name, leads) in links {
        let place = folder.join(&name);
        host::symlink(&leads, &place).map_err(failed("make the link", &place))?;
    }
    Ok(warnings)
}

fn copy(archive: &Path, bytes: &mut dyn io::Read, output: &mut File, target: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => io::Write::write_all(output, &buffer[..n]).map_err(|error| Error::io("write", target, error))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::malformed(archive, error.to_string())),
        }
    }
}
