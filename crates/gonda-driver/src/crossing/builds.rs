//! Records of the programs that a job's script has built, and how: what a native twin is made from.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::identity::identity;
use crate::Result;

/// More entries of a folder than a build leaves there.
const MANY: usize = 10_000;

/// A call of Go that made programs for the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Build {
    /// Go's arguments.
    pub(super) args: Vec<String>,
    /// The folder in which it was called.
    pub(super) cwd: PathBuf,
    /// Its whole environment.
    pub(super) env: IndexMap<String, String>,
    /// What it made.
    pub(super) programs: Vec<Program>,
}

/// A program that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    /// Where it was then.
    pub(super) path: PathBuf,
    /// By what it is known wherever it is now.
    pub(super) identity: String,
}

/// Where the programs of a call are found once it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outputs {
    /// In this file.
    File(PathBuf),
    /// Among the files of this folder.
    In(PathBuf),
}

impl Outputs {
    /// By Go's `-o`, if it is given, else in the folder where Go runs (`go help build`).
    pub(super) fn of(cwd: &Path, folder: Option<&str>, output: Option<&str>) -> Self {
        let cwd = folder.map_or_else(|| cwd.to_owned(), |folder| cwd.join(folder));
        match output {
            None => Self::In(cwd),
            Some(output) if output.ends_with(std::path::is_separator) => Self::In(cwd.join(output)),
            Some(output) => Self::File(cwd.join(output)),
        }
    }

    /// The programs that are there and no older than `since`.
    pub(super) fn programs(&self, since: SystemTime) -> Result<Vec<Program>> {
        let mut paths = Vec::new();
        let folder = match self {
            Self::File(file) if !file.is_dir() => {
                paths.push(file.clone());
                None
            }
            Self::File(folder) | Self::In(folder) => Some(folder),
        };
        if let Some(folder) = folder
            && folder.is_dir()
        {
            for entry in fs_err::read_dir(folder)?.take(MANY) {
                let entry = entry?;
                let meta = entry.metadata()?;
                if meta.is_file() && meta.modified()? >= since {
                    paths.push(entry.path());
                }
            }
            paths.sort();
        }
        let mut programs = Vec::new();
        for path in paths.into_iter().filter(|path| is_program(path)) {
            let path = path.canonicalize()?;
            programs.push(Program { identity: identity(&path)?, path });
        }
        Ok(programs)
    }
}

/// Whether a file begins as a program of some system does.
pub(super) fn is_program(path: &Path) -> bool {
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && gonda_packager::binary::could_be(&start)
}

/// The records of a job.
#[derive(Debug, Clone)]
pub(super) struct Builds {
    folder: PathBuf,
}

/// A program of a recorded build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The record's name.
    pub(super) name: String,
    /// The record.
    pub(super) build: Build,
    /// The place of the program in it.
    pub(super) index: usize,
}

impl Builds {
    /// Records in a folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A moment by the clock of the file system, for [`Outputs::programs`].
    pub(super) fn now(&self) -> Result<SystemTime> {
        let mark = self.folder.join(format!(".{}", std::process::id()));
        fs_err::write(&mark, "")?;
        let now = fs_err::metadata(&mark)?.modified()?;
        fs_err::remove_file(&mark)?;
        Ok(now)
    }

    /// Adds a record. Several processes may do so at once.
    pub(super) fn add(&self, build: &Build) -> Result<()> {
        let text = serde_json::to_vec(build).map_err(io::Error::from)?;
        let aside = self.folder.join(format!(".{}", std::process::id()));
        fs_err::write(&aside, text)?;
        for number in 0..100_000_u32 {
            // Unlike a rename, a link doesn't take another's place.
            match std::fs::hard_link(&aside, self.folder.join(format!("{number:05}.json"))) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => {
                    fs_err::remove_file(&aside)?;
                    return Ok(linked?);
                }
            }
        }
        Ok(())
    }

    /// The build that a program came from: by what it is, else by where it is, for it may have been changed since. The
    /// newest counts.
    pub(super) fn find(&self, program: &Path) -> Result<Option<Found>> {
        let path = program.canonicalize()?;
        let wanted = identity(&path)?;
        let mut names: Vec<PathBuf> = match fs_err::read_dir(&self.folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        names.retain(|name| name.extension().is_some_and(|extension| extension == "json"));
        names.sort();
        let mut builds = Vec::new();
        for file in names.into_iter().rev() {
            // Whatever a script may have put there is no record.
            let Ok(build) = serde_json::from_slice::<Build>(&fs_err::read(&file)?) else { continue };
            let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            builds.push((name, build));
        }
        let find = |test: &dyn Fn(&Program) -> bool| {
            builds.iter().find_map(|(name, build)| {
                let index = build.programs.iter().position(test)?;
                Some(Found { name: name.clone(), build: build.clone(), index })
            })
        };
        let known = find(&|program| program.identity == wanted && program.path == path);
        let known = known.or_else(|| find(&|program| program.identity == wanted));
        Ok(known.or_else(|| find(&|program| program.path == path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, format!("MZ\0\0{text}")).unwrap();
        path
    }

    #[test]
    fn where_programs_are() {
        let check = |folder: Option<&str>, output: Option<&str>, expected: &str| {
            assert_eq!(format!("{:?}", Outputs::of(Path::new("/w"), folder, output)), expected);
        };
        check(None, None, "In(\"/w\")");
        check(Some("sub"), None, "In(\"/w/sub\")");
        check(None, Some("bin/x"), "File(\"/w/bin/x\")");
        check(Some("sub"), Some("/p/bin/"), "In(\"/p/bin/\")");
    }

    #[test]
    fn a_program_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let builds = Builds::new(root.join("builds"));
        std::fs::create_dir(root.join("builds")).unwrap();
        std::fs::create_dir(root.join("out")).unwrap();
        program(&root, "old", "");
        std::fs::write(root.join("out/text"), "no program").unwrap();
        let since = builds.now().unwrap();
        let (a, b) = (program(&root.join("out"), "a", "1"), program(&root.join("out"), "b", "2"));
        let record = |outputs: Outputs, arg: &str| {
            let programs = outputs.programs(since).unwrap();
            let build = Build { args: vec![arg.to_owned()], cwd: root.clone(), env: IndexMap::new(), programs };
            builds.add(&build).unwrap();
        };
        record(Outputs::In(root.join("out")), "both");
        record(Outputs::File(a.clone()), "a alone");
        let check = |path: &Path, expected: &str| {
            let found = builds.find(path).unwrap();
            let shown = found.map(|found| format!("{} {}", found.build.args[0], found.index));
            assert_eq!(shown.as_deref().unwrap_or("none"), expected, "{}", path.display());
        };
        check(&a, "a alone 0");
        check(&b, "both 1");
        // Copied under another name.
        std::fs::copy(&b, root.join("tool")).unwrap();
        check(&root.join("tool"), "both 1");
        // Changed where it is.
        program(&root.join("out"), "b", "stripped");
        check(&b, "both 1");
        check(&program(&root, "stranger", "3"), "none");
    }
}
