//! Where a source's main modules are, and whether their vendor folders serve.
//!
//! A script says with `cd` and `go build DIR` which module it builds, and nobody else knows before it runs. The rule here
//! finds what is built in nearly all recipes, and never less than one module where there is one:
//!
//! 1. what Go finds from the work folder: the nearest go.work and go.mod there or above, up to the top of the source tree;
//! 2. else the go.mod or go.work of each source's own folder;
//! 3. else the go.mod files that lie least deep, at most five folders down, at most eight of them; `vendor`, `testdata`,
//!    `node_modules` and folders that begin with a dot or an underscore are passed over.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use gonda_gomod::{
    GoMod, GoVersion, GoWork, InconsistentVendoring, MainModule, ModulesTxt, SyntaxErrors, ToolchainFloor, VendorUse,
    check_vendor, vendor_use,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result, Where};

/// How deep go.mod files are looked for below the work folder.
const MAX_DEPTH: usize = 5;
/// How many folders are looked into.
const MAX_FOLDERS: usize = 20_000;
/// How many modules are taken from the same depth.
const MAX_MODULES: usize = 8;
/// A go.mod or modules.txt above this size, in bytes, is not read.
const MAX_FILE: u64 = 32 << 20;

/// A module, or a workspace of modules, that a script may build.
#[derive(Debug, Clone)]
pub struct MainModules {
    /// The folder of go.mod, or of go.work.
    pub folder: PathBuf,
    /// The workspace.
    pub work: Option<GoWork>,
    /// The modules with their folders: one, or those of the workspace.
    pub mains: Vec<(PathBuf, GoMod)>,
    /// What the vendor folder is good for.
    pub vendoring: Vendoring,
}

/// What a vendor folder is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vendoring {
    /// There is none.
    None,
    /// Go builds from it.
    Used,
    /// Go leaves it aside.
    Unused(VendorUse),
    /// Go stops with this error, unless it is told to leave it aside.
    Inconsistent(InconsistentVendoring),
}

/// The main modules of a source.
#[derive(Debug, Default)]
pub struct Found {
    /// In a stable order.
    pub modules: Vec<MainModules>,
    /// Files that can't be read as what they should be. Go will say so itself where it reads them.
    pub problems: Vec<Error>,
}

/// The least toolchain that a source's go.mod and go.work files allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// The highest `go` line: `1.22.1`.
    pub go: String,
    /// That line as a match spec.
    pub required: String,
    /// The match spec to try first: that of the highest `toolchain` line, where it is above.
    pub preferred: String,
    /// Which file has that `go` line, relative to the work folder.
    pub file: String,
}

impl Found {
    /// The paths of all of them.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let modules =
            self.modules.iter().flat_map(|found| &found.mains).filter_map(|(_, go_mod)| go_mod.module.as_ref());
        modules.map(|module| module.value.path.clone()).collect()
    }

    /// The least toolchain that builds all of them.
    #[must_use]
    pub fn floor(&self) -> ToolchainFloor {
        // Only go.work's lines and those of its modules count, as in Go; several roots together ask for the most.
        let mut floor = ToolchainFloor::default();
        for found in &self.modules {
            let one = ToolchainFloor::new(found.mains.iter().map(|(_, go_mod)| go_mod), found.work.as_ref());
            floor.go = floor.go.max(one.go);
            floor.toolchain = floor.toolchain.max(one.toolchain);
        }
        if floor.toolchain <= floor.go {
            floor.toolchain = None;
        }
        floor
    }

    /// The same as match specs; `None` where nothing is asked for. `work` is the work folder.
    #[must_use]
    pub fn toolchain_floor(&self, work: &Path) -> Option<Floor> {
        let floor = self.floor();
        let (required, preferred) = (floor.required_spec("go")?, floor.preferred_spec("go")?);
        let go = floor.go?;
        let file = self.file_of(&go).map(|file| file.strip_prefix(work).map(Path::to_path_buf).unwrap_or(file));
        let file = file.map_or_else(|| "go.mod".to_owned(), |file| file.display().to_string());
        Some(Floor { go: go.to_string(), required, preferred, file })
    }
}

/// Finds the main modules of a source tree. `top` is its top folder, `work` the folder where the script starts, in it or
/// the same, `sources` the folders of its sources.
///
/// # Errors
///
/// When a folder or file can't be read.
pub fn find_main_modules(top: &Path, work: &Path, sources: &[PathBuf]) -> Result<Found> {
    let mut found = Found::default();
    let mut roots: BTreeSet<PathBuf> = above(work, top).into_iter().collect();
    if roots.is_empty() {
        roots = sources.iter().filter(|folder| has_go_file(folder)).cloned().collect();
    }
    if roots.is_empty() {
        roots = shallowest(work)?;
    }
    for folder in roots {
        found.read(&folder)?;
    }
    Ok(found)
}

/// The nearest folder with a go.work or go.mod, from a folder upwards, not above `top`.
fn above(folder: &Path, top: &Path) -> Option<PathBuf> {
    let mut inside = folder.ancestors().take_while(|folder| folder.starts_with(top));
    let nearest = inside.find(|folder| has_go_file(folder))?;
    // A workspace may stand above the module.
    let work = nearest.ancestors().take_while(|folder| folder.starts_with(top)).find(|f| f.join("go.work").is_file());
    Some(work.unwrap_or(nearest).to_owned())
}

fn has_go_file(folder: &Path) -> bool {
    folder.join("go.work").is_file() || folder.join("go.mod").is_file()
}

fn shallowest(top: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut level = vec![top.to_owned()];
    let mut seen = 0;
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for folder in level {
            seen += 1;
            if seen > MAX_FOLDERS {
                return Ok(BTreeSet::new());
            }
            next.extend(subfolders(&folder)?);
        }
        let found: BTreeSet<PathBuf> =
            next.iter().filter(|folder| has_go_file(folder)).take(MAX_MODULES).cloned().collect();
        if !found.is_empty() {
            return Ok(found);
        }
        level = next;
    }
    Ok(BTreeSet::new())
}

/// The folders in a folder, by name, without those that hold no module to build.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let passed_over = name.starts_with(['.', '_']) || matches!(&*name, "vendor" | "testdata" | "node_modules");
        if !passed_over && entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

impl Found {
    /// The file with this `go` line.
    fn file_of(&self, go: &GoVersion) -> Option<PathBuf> {
        let of_work = self.modules.iter().filter_map(|found| {
            let line = found.work.as_ref()?.go.as_ref()?;
            (line.value == *go).then(|| found.folder.join("go.work"))
        });
        let mains = self.modules.iter().flat_map(|found| &found.mains);
        let of_main = mains
            .filter(|(_, main)| main.go.as_ref().is_some_and(|line| line.value == *go))
            .map(|(folder, _)| folder.join("go.mod"));
        of_work.chain(of_main).next()
    }

    fn read(&mut self, folder: &Path) -> Result<()> {
        let work_file = folder.join("go.work");
        let work = match read(&work_file)? {
            Some(text) => match GoWork::parse(&text) {
                Ok(work) => Some(work),
                Err(errors) => {
                    self.problems.push(problem(&work_file, &errors));
                    return Ok(());
                }
            },
            None => None,
        };
        let folders: Vec<PathBuf> = match &work {
            Some(work) => work.uses.iter().map(|path| join(folder, &path.value)).collect(),
            None => vec![folder.to_owned()],
        };
        let mut mains = Vec::new();
        for folder in folders {
            let file = folder.join("go.mod");
            let Some(text) = read(&file)? else { continue };
            match GoMod::parse(&text) {
                Ok(go_mod) => mains.push((folder, go_mod)),
                Err(errors) => self.problems.push(problem(&file, &errors)),
            }
        }
        if !mains.is_empty() {
            let vendoring = vendoring(folder, work.as_ref(), &mains)?;
            self.modules.push(MainModules { folder: folder.to_owned(), work, mains, vendoring });
        }
        Ok(())
    }
}

fn vendoring(folder: &Path, work: Option<&GoWork>, mains: &[(PathBuf, GoMod)]) -> Result<Vendoring> {
    let vendor = folder.join("vendor");
    if !vendor.is_dir() {
        return Ok(Vendoring::None);
    }
    let modules_txt = ModulesTxt::parse(&read(&vendor.join("modules.txt"))?.unwrap_or_default());
    let go = match work {
        Some(work) => work.go.as_ref(),
        None => mains.first().and_then(|(_, go_mod)| go_mod.go.as_ref()),
    };
    let used = vendor_use(go.map(|go| &go.value), &modules_txt, work.is_some());
    if used != VendorUse::Used {
        return Ok(Vendoring::Unused(used));
    }
    let relative: Vec<String> = mains.iter().map(|(main, _)| relative(folder, main)).collect();
    let mains: Vec<MainModule<'_>> = mains
        .iter()
        .zip(&relative)
        .map(|((_, go_mod), folder)| MainModule { folder: folder.as_str(), go_mod })
        .collect();
    Ok(match check_vendor(&folder.display().to_string(), &mains, work, &modules_txt) {
        Ok(()) => Vendoring::Used,
        Err(error) => Vendoring::Inconsistent(error),
    })
}

/// A folder below another, with slashes; a folder elsewhere as it is.
fn relative(from: &Path, folder: &Path) -> String {
    let path = folder.strip_prefix(from).unwrap_or(folder);
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// A path of go.mod or go.work from its folder, without `.` and `..`.
pub(super) fn join(folder: &Path, path: &str) -> PathBuf {
    let mut joined = PathBuf::new();
    for part in folder.join(path.replace('\\', "/")).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                joined.pop();
            }
            part => joined.push(part),
        }
    }
    joined
}

/// A file's text; `None` where there is no such file.
pub(super) fn read(file: &Path) -> Result<Option<String>> {
    let metadata = match fs_err::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.len() > MAX_FILE {
        let message = format!("`{}` has {} bytes, which is no file of Go's", file.display(), metadata.len());
        return Err(Error::new(Kind::Build, message));
    }
    Ok(Some(String::from_utf8_lossy(&fs_err::read(file)?).into_owned()))
}

fn problem(file: &Path, errors: &SyntaxErrors) -> Error {
    let mut all = errors.0.iter().map(|error| {
        let mut this = Error::new(Kind::Build, error.message.clone());
        this.place = Some(Where {
            file: file.to_owned(),
            line: Some(error.place.line),
            column: Some(error.place.column),
            text: Some(error.text.clone()),
        });
        this
    });
    let mut first = all.next().unwrap_or_else(|| Error::new(Kind::Bug, "a syntax error without an error"));
    first.others = all.collect();
    first
}
