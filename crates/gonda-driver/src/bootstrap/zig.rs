//! A zig distribution as the package `zig`: its program in `bin/`, its library in `lib/zig/`, where the program finds it.

use std::path::{Path, PathBuf};

use gonda_packager::Entry;
use rattler_conda_types::Subdir;
use walkdir::WalkDir;

use super::packages::{Definition, Payload};
use super::{executable, is_conda_version, posix};
use crate::process::{self, Command};
use crate::{Error, Kind, Result, host};

/// A distribution on disk.
#[derive(Debug)]
pub(super) struct Distribution {
    program: PathBuf,
    library: PathBuf,
    license: Option<PathBuf>,
    /// As conda writes it: `0.17.1`.
    version: String,
}

impl Distribution {
    /// An unpacked archive of a zig release, the folder `ziglang` of the Python package, or a prefix that zig is
    /// installed in. Its program is asked for its version, so it must be one for this machine.
    pub(super) async fn open(folder: &Path, platform: Subdir) -> Result<Self> {
        let no_zig = |why: String| {
            Error::new(Kind::Usage, format!("`{}` is not a zig distribution for {platform}: {why}", folder.display()))
                .help("give the folder of an unpacked zig release, which holds the program `zig` and the folder `lib`")
        };
        let name = executable("zig", platform);
        let program = [folder.join(&name), folder.join("bin").join(&name)].into_iter().find(|path| path.is_file());
        let program = program.ok_or_else(|| no_zig(format!("it has no program `{name}`")))?;
        let library = [folder.join("lib"), folder.join("lib/zig")];
        let library = library.into_iter().find(|path| path.join("std/std.zig").is_file());
        let library = library.ok_or_else(|| no_zig("it has no `lib/std/std.zig`".to_owned()))?;
        let command = Command::new(&program, folder).args(["version"]).env(host::system_variables());
        let answer = process::capture(command).await;
        let answer = answer.map_err(|error| no_zig("its program can't be started here".to_owned()).because(error))?;
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_lowercase();
        // A development version is `0.18.0-dev.12+abc`.
        let version = text.replace('-', "_");
        if !answer.status.success() || version.len() > 64 || !is_conda_version(&version) {
            return Err(no_zig(format!("`zig version` answers `{text}`")));
        }
        let license = Some(folder.join("LICENSE")).filter(|path| path.is_file());
        Ok(Self { program, library, license, version })
    }

    pub(super) fn license(&self) -> Option<PathBuf> {
        self.license.clone()
    }

    pub(super) fn definition(&self) -> Definition {
        Definition {
            name: "zig".to_owned(),
            version: self.version.clone(),
            build: "local_0".to_owned(),
            depends: Vec::new(),
            constrains: Vec::new(),
            run_exports: None,
            summary: "Zig, a compiler of C and C++ for other platforms among other things".to_owned(),
            hash_input: Vec::new(),
            files: Vec::new(),
            payload: Payload::Zig,
        }
    }

    pub(super) fn entries(&self, platform: Subdir) -> Result<Vec<Entry>> {
        let base = if platform.is_windows() { "Library/" } else { "" };
        let mut entries =
            vec![Entry::file(format!("{base}bin/{}", executable("zig", platform)), self.program.clone(), true)];
        for entry in WalkDir::new(&self.library).follow_links(true).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let message = format!("could not read zig's library `{}`", self.library.display());
                Error::new(Kind::Machine, message).because(error)
            })?;
            let path = entry.path().strip_prefix(&self.library).ok().and_then(posix);
            let Some(path) = path.filter(|_| entry.file_type().is_file()) else { continue };
            let path = format!("{base}lib/zig/{path}");
            if !gonda_packager::is_excluded(&path) {
                entries.push(Entry::file(path, entry.path(), false));
            }
        }
        Ok(entries)
    }
}
