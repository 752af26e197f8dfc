//! Module sets: a build's modules, downloaded by a real `go mod download` and extracted, once for all jobs.
//!
//! `<modsets>/<key>/set/gopath/pkg/mod` is a GOMODCACHE without the zips, which Go doesn't miss once their content is
//! extracted; `<modsets>/<key>/modules.json` says what is in it. The key is a digest of the go.mod, go.sum, go.work and
//! go.work.sum files that decide what is downloaded, so it is the same wherever the source lies. `<modsets>/extracted/`
//! says for each module's sum which set has it, so that the next one takes hard links of its files: for that reason, and
//! because jobs share it, no script may ever be able to write to a set (see the module's head).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gonda_gomod::ModuleVersion;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::find::{MainModules, Vendoring, join, read};
use super::sweep;
use crate::files::write_whole;
use crate::{Error, Kind, Result};

/// Part of every key: another one whenever a set's layout changes.
const FORMAT: &str = "gonda module set 1";
/// The module cache, in the folder that is laid under a job's work folder.
const MODULE_CACHE: &str = "gopath/pkg/mod";

/// Runs the toolchain that the build was solved with.
pub trait GoRunner {
    /// Runs `go` with arguments in a folder and waits for it. `env` comes on top of the runner's own environment, which
    /// holds what Go needs to run: PATH, a private HOME, GOROOT, GOTOOLCHAIN, GOSUMDB, GONOSUMDB.
    fn go(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> impl Future<Output = Result<Output>> + Send;
}

/// Settings of [`module_set`].
#[derive(Debug, Clone)]
pub struct SetSettings {
    /// `<cache>/modsets`; made where it is missing.
    pub folder: PathBuf,
    /// GOPROXY for the download: [`super::Proxy::goproxy`].
    pub goproxy: String,
}

/// The modules of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSet {
    /// What the set is named by.
    pub key: String,
    /// A folder that holds `gopath/pkg/mod`, to be laid under a job's work folder, read-only.
    pub folder: PathBuf,
    /// The modules in it.
    pub modules: Vec<SetModule>,
}

/// A module in a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetModule {
    /// The module.
    #[serde(flatten)]
    pub module: ModuleVersion,
    /// `h1:…` of its content.
    pub sum: String,
    /// `h1:…` of its go.mod.
    pub go_mod_sum: String,
}

/// Whether the set of the modules that a source's main modules need is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing is to be downloaded: see [`module_set`].
    NotNeeded,
    /// It is there.
    Made(ModuleSet),
    /// It must be made.
    Missing,
}

/// Looks for a set without making it. `folder` is [`SetSettings::folder`].
///
/// # Errors
///
/// [`Kind::Machine`] when files can't be read.
pub fn known_set(folder: &Path, found: &[MainModules]) -> Result<Known> {
    let roots: Vec<&MainModules> = found.iter().filter(|root| needs_download(root)).collect();
    if roots.is_empty() {
        return Ok(Known::NotNeeded);
    }
    let key = Skeleton::read(&roots)?.key();
    Ok(match open(&folder.join(&key), &key)? {
        Some(set) if set.modules.is_empty() => Known::NotNeeded,
        Some(set) => Known::Made(set),
        None => Known::Missing,
    })
}

/// Makes the set of the modules that a source's main modules need, or finds it made. `None` where nothing is to be
/// downloaded: the standard library alone, a vendor folder that serves, nothing but local replacements.
///
/// # Errors
///
/// [`Kind::Unavailable`] when a module can't be downloaded or its sum is another than go.sum's, with what Go says;
/// [`Kind::Machine`] when the set can't be written.
pub async fn module_set(
    settings: &SetSettings,
    found: &[MainModules],
    runner: &impl GoRunner,
) -> Result<Option<ModuleSet>> {
    let roots: Vec<&MainModules> = found.iter().filter(|root| needs_download(root)).collect();
    if roots.is_empty() {
        return Ok(None);
    }
    let skeleton = Skeleton::read(&roots)?;
    let key = skeleton.key();
    let place = settings.folder.join(&key);
    if let Some(set) = open(&place, &key)? {
        return Ok(Some(set).filter(|set| !set.modules.is_empty()));
    }
    fs_err::create_dir_all(settings.folder.join(PARTS))?;
    sweep(&settings.folder.join(PARTS));
    let lock = lock(settings.folder.join(format!("{key}.lock"))).await?;
    let set = match open(&place, &key)? {
        Some(set) => set,
        None => make(settings, &skeleton, &roots, &key, &place, runner).await?,
    };
    drop(lock);
    Ok(Some(set).filter(|set| !set.modules.is_empty()))
}

/// Sets in the making, below the folder of sets.
const PARTS: &str = ".part";
/// What a set's folder holds: see [`ModuleSet::folder`].
const SET: &str = "set";
/// The list of a set's modules.
const LIST: &str = "modules.json";
/// Which set has which module, below the folder of sets.
const EXTRACTED: &str = "extracted";

fn needs_download(root: &MainModules) -> bool {
    root.vendoring != Vendoring::Used && root.mains.iter().any(|(_, go_mod)| !go_mod.require.is_empty())
}

fn open(place: &Path, key: &str) -> Result<Option<ModuleSet>> {
    let list = match fs_err::read(place.join(LIST)) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // What can't be read is made anew.
    let Ok(modules) = serde_json::from_slice(&list) else { return Ok(None) };
    let folder = place.join(SET);
    Ok(folder.join(MODULE_CACHE).is_dir().then(|| ModuleSet { key: key.to_owned(), folder, modules }))
}

/// Waits for the lock of a set, which the system lets go of when the process ends, however it ends.
async fn lock(file: PathBuf) -> Result<std::fs::File> {
    let waiting = tokio::task::spawn_blocking(move || -> Result<std::fs::File> {
        let handle = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(&file)?.into_file();
        handle.lock().map_err(|error| {
            Error::new(Kind::Machine, format!("could not lock `{}`", file.display())).because(error)
        })?;
        Ok(handle)
    });
    waiting.await.map_err(|error| Error::new(Kind::Bug, "waiting for a lock failed").because(error))?
}

async fn make(
    settings: &SetSettings,
    skeleton: &Skeleton,
    roots: &[&MainModules],
    key: &str,
    place: &Path,
    runner: &impl GoRunner,
) -> Result<ModuleSet> {
    let part = tempfile::Builder::new().tempdir_in(settings.folder.join(PARTS)).map_err(|error| {
        let message = format!("could not make a folder in `{}`", settings.folder.join(PARTS).display());
        Error::new(Kind::Machine, message).because(error)
    })?;
    let source = part.path().join("source");
    skeleton.write(&source)?;
    let made = part.path().join(key);
    let cache = made.join(SET).join(MODULE_CACHE);
    fs_err::create_dir_all(&cache)?;

    let mut modules = BTreeMap::new();
    for root in roots {
        let folder = source.join(skeleton.relative(&root.folder));
        let work = match root.work {
            Some(_) => folder.join("go.work").display().to_string(),
            None => "off".to_owned(),
        };
        let env = [
            ("GOMODCACHE", cache.display().to_string()),
            // Where Go keeps what it knows of the checksum database.
            ("GOPATH", part.path().join("gopath").display().to_string()),
            ("GOPROXY", settings.goproxy.clone()),
            ("GOWORK", work),
            // Folders must be writable for gonda, so that it can remove a set.
            ("GOFLAGS", "-modcacherw".to_owned()),
            ("GO111MODULE", "on".to_owned()),
        ];
        let output = runner.go(&["mod", "download", "-json"], &folder, &env).await?;
        for module in downloaded(&output, root)? {
            modules.insert(ModuleVersion::new(module.path.clone(), module.version.clone()), module);
        }
    }

    let settings = settings.clone();
    let (key, place) = (key.to_owned(), place.to_owned());
    let finish = move || -> Result<ModuleSet> {
        drop_what_go_does_not_miss(&cache)?;
        let extracted = settings.folder.join(EXTRACTED);
        let mut index = Vec::new();
        for module in modules.values() {
            let (Some(dir), Some(sum)) = (Path::new(&module.dir).strip_prefix(&cache).ok(), hex_sum(&module.sum))
            else {
                continue;
            };
            // Sharing saves space; where it can't be done, nothing is lost.
            if !share(&settings.folder, &extracted.join(&sum), &cache.join(dir)) {
                index.push((sum, Path::new(&key).join(SET).join(MODULE_CACHE).join(dir)));
            }
        }
        let list: Vec<SetModule> = modules
            .into_iter()
            .map(|(of, module)| SetModule { module: of, sum: module.sum, go_mod_sum: module.go_mod_sum })
            .collect();
        let text = serde_json::to_vec_pretty(&list)
            .map_err(|error| Error::new(Kind::Bug, "could not write a list of modules").because(error))?;
        fs_err::write(made.join(LIST), text)?;
        if place.exists() {
            // It could not be opened: damaged, or of another time.
            fs_err::remove_dir_all(&place)?;
        }
        fs_err::rename(&made, &place)?;
        for (sum, dir) in index {
            note_extracted(&extracted, &sum, &dir);
        }
        let folder = place.join(SET);
        drop(part);
        Ok(ModuleSet { key, folder, modules: list })
    };
    tokio::task::spawn_blocking(finish)
        .await
        .map_err(|error| Error::new(Kind::Bug, "making a module set failed").because(error))?
}

/// One object of `go mod download -json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Downloaded {
    path: String,
    version: String,
    error: String,
    dir: String,
    sum: String,
    go_mod_sum: String,
}

fn downloaded(output: &Output, root: &MainModules) -> Result<Vec<Downloaded>> {
    let failed = |help: String| {
        let message = format!("could not download the modules of `{}`", root.folder.display());
        Error::new(Kind::Unavailable, message).help(help)
    };
    let mut modules = Vec::new();
    let mut errors = Vec::new();
    for module in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Downloaded>() {
        match module {
            Ok(module) if module.error.is_empty() => modules.push(module),
            Ok(module) => errors.push(module.error),
            Err(_) => break,
        }
    }
    if !output.status.success() || !errors.is_empty() {
        if errors.is_empty() {
            errors.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        errors.truncate(10);
        return Err(failed(format!("`go mod download` says: {}", errors.join("\n"))));
    }
    Ok(modules)
}

/// Removes zips, locks, clones of repositories and what Go keeps of the checksum database.
fn drop_what_go_does_not_miss(cache: &Path) -> Result<()> {
    let own = cache.join("cache");
    for folder in [own.join("vcs"), own.join("download").join("sumdb")] {
        if folder.is_dir() {
            fs_err::remove_dir_all(folder)?;
        }
    }
    for entry in WalkDir::new(&own) {
        let Ok(entry) = entry else { continue };
        let needless =
            entry.path().extension().is_some_and(|end| end == "zip" || end == "lock") || entry.file_name() == "lock";
        if needless && entry.file_type().is_file() {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The bytes of an `h1:` sum in hexadecimal: a file's name.
fn hex_sum(sum: &str) -> Option<String> {
    Some(hex::encode(STANDARD.decode(sum.strip_prefix("h1:")?).ok()?))
}

/// Puts hard links to the files of the set that has the same module into the place of a module's own. Whether they all
/// are shared now.
fn share(sets: &Path, note: &Path, dir: &Path) -> bool {
    let Ok(other) = std::fs::read_to_string(note) else { return false };
    let other = sets.join(other.trim());
    if !other.is_dir() {
        return false;
    }
    for entry in WalkDir::new(dir).into_iter() {
        let Ok(entry) = entry else { return false };
        if !entry.file_type().is_file() {
            continue;
        }
        let Ok(path) = entry.path().strip_prefix(dir) else { return false };
        let theirs = other.join(path);
        let same_size = || Some(std::fs::symlink_metadata(&theirs).ok()?.len() == entry.metadata().ok()?.len());
        if same_size() != Some(true) {
            return false;
        }
        let link = entry.path().with_file_name(".gonda-link");
        let linked = std::fs::hard_link(&theirs, &link).and_then(|()| std::fs::rename(&link, entry.path()));
        if linked.is_err() {
            // Best effort: what is there already is right.
            let _ = std::fs::remove_file(&link);
            return false;
        }
    }
    true
}

/// Notes which set has a module. Only good for saving space, so failing is no error.
fn note_extracted(extracted: &Path, sum: &str, dir: &Path) {
    let _ = write_whole(&extracted.join(sum), dir.to_string_lossy().as_bytes());
}

/// The files that decide what is downloaded, without the source around them: Go may write to them.
#[derive(Debug)]
struct Skeleton {
    /// What all paths are relative to.
    top: PathBuf,
    files: BTreeMap<PathBuf, String>,
    /// Files that go.mod names by their absolute path; they stay where they are.
    outside: BTreeSet<String>,
    /// What is added to go.work files: see [`replace_siblings`].
    siblings: BTreeMap<PathBuf, String>,
}

impl Skeleton {
    fn read(roots: &[&MainModules]) -> Result<Self> {
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        let mut outside = BTreeSet::new();
        let mut replaced = |from: &Path, new: &ModuleVersion| -> Result<Option<PathBuf>> {
            if !new.version.is_empty() {
                return Ok(None);
            }
            if Path::new(&new.path).is_absolute() {
                outside.insert(read(&Path::new(&new.path).join("go.mod"))?.unwrap_or_default());
                return Ok(None);
            }
            Ok(Some(join(from, &new.path)))
        };
        for root in roots {
            folders.insert(root.folder.clone());
            for (folder, go_mod) in &root.mains {
                folders.insert(folder.clone());
                for replace in &go_mod.replace {
                    folders.extend(replaced(folder, &replace.value.new)?);
                }
            }
            for replace in root.work.iter().flat_map(|work| &work.replace) {
                folders.extend(replaced(&root.folder, &replace.value.new)?);
            }
        }
        let top = common_folder(&folders);
        let mut files = BTreeMap::new();
        for folder in &folders {
            for name in ["go.mod", "go.sum", "go.work", "go.work.sum"] {
                let file = folder.join(name);
                if let Some(text) = read(&file)? {
                    files.insert(file.strip_prefix(&top).unwrap_or(&file).to_owned(), text);
                }
            }
        }
        let siblings = roots
            .iter()
            .filter_map(|root| Some((root.folder.strip_prefix(&top).ok()?.join("go.work"), replace_siblings(root)?)))
            .collect();
        Ok(Self { top, files, outside, siblings })
    }

    fn relative(&self, folder: &Path) -> PathBuf {
        folder.strip_prefix(&self.top).unwrap_or(folder).to_owned()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        fs_err::create_dir_all(folder)?;
        for (path, text) in &self.files {
            let file = folder.join(path);
            if let Some(parent) = file.parent() {
                fs_err::create_dir_all(parent)?;
            }
            let siblings = self.siblings.get(path).map_or("", String::as_str);
            fs_err::write(file, format!("{text}{siblings}"))?;
        }
        Ok(())
    }

    fn key(&self) -> String {
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            // Lengths keep the parts apart.
            digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            digest.update(text.as_bytes());
        };
        add(FORMAT);
        for (path, text) in &self.files {
            let path: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            add(&path.join("/"));
            add(text);
        }
        for text in &self.outside {
            add(text);
        }
        hex::encode(digest.finalize())
    }
}

/// `replace` lines for the modules of a workspace that require one another. `go build` takes them from the workspace,
/// whatever version is required; `go mod download` asks for that version, which often was never published.
fn replace_siblings(root: &MainModules) -> Option<String> {
    let work = root.work.as_ref()?;
    let mut lines = BTreeSet::new();
    for require in root.mains.iter().flat_map(|(_, go_mod)| &go_mod.require) {
        let module = &require.value.module;
        let sibling = root.mains.iter().find_map(|(main, go_mod)| {
            go_mod.module.as_ref().filter(|declared| declared.value.path == module.path)?;
            work.uses.iter().map(|path| &path.value).find(|path| join(&root.folder, path) == *main)
        });
        let replaced = work.replacement(module).is_some()
            || root.mains.iter().any(|(_, go_mod)| go_mod.replacement(module).is_some());
        if let (Some(folder), false) = (sibling, replaced) {
            lines.insert(format!("replace {} {} => {folder:?}\n", module.path, module.version));
        }
    }
    (!lines.is_empty()).then(|| format!("\n{}", lines.into_iter().collect::<String>()))
}

/// The deepest folder that holds all of some.
fn common_folder(folders: &BTreeSet<PathBuf>) -> PathBuf {
    let mut folders = folders.iter();
    let mut common = folders.next().cloned().unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&common) && common.pop() {}
    }
    common
}
