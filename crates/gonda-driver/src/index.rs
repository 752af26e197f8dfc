//! Indexing a folder of packages, so that it is a channel: `<folder>/<subdir>/repodata.json` (CEP 36, version 1) and
//! `repodata.json.zst` beside it.
//!
//! [`index`] reads every package; [`add_to_index`] takes in one that was just written, and whatever else appeared or
//! went. Both hold the folder's lock, so that parallel runs do not lose one another's packages, and replace the files
//! whole, so that whoever reads sees the old or the new ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use rattler_conda_types::package::DistArchiveIdentifier;
use rattler_conda_types::{PackageRecord, Subdir};
use serde_json::{Map, Value, json};

use crate::{Error, Events, Kind, Result};

/// The lock of a channel folder.
const LOCK: &str = ".gonda-index.lock";

/// zstd level of `repodata.json.zst`: small enough for a server, quick enough for each build.
const ZSTD_LEVEL: i32 = 9;

/// What was indexed in one subdir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedSubdir {
    /// The subdir.
    pub subdir: Subdir,
    /// How many packages its repodata lists.
    pub packages: usize,
}

/// Indexes a folder anew: every subdir with a platform's name, and `noarch`, which a channel must have and which is
/// made if missing. A file that is no package, or lies in another subdir than its own, is left out with a warning.
/// Blocks; reads every package to its end.
///
/// # Errors
/// [`Kind::Usage`]: there is no such folder. [`Kind::Machine`]: it can't be read or written.
pub fn index(folder: &Path, events: &Events) -> Result<Vec<IndexedSubdir>> {
    if !folder.is_dir() {
        return Err(Error::new(Kind::Usage, format!("there is no folder `{}` to index", folder.display()))
            .help("give a folder with subfolders such as `linux-64` and `noarch` that hold packages"));
    }
    let _lock = lock(folder)?;
    let mut done = Vec::new();
    for subdir in subdirs(folder) {
        let place = folder.join(subdir.as_str());
        fs::create_dir_all(&place)?;
        let entries = entries(&place, subdir, &package_files(&place)?, events)?;
        done.push(IndexedSubdir { subdir, packages: entries.len() });
        write_repodata(&place, empty_repodata(subdir), entries)?;
    }
    Ok(done)
}

/// Brings a folder's index up to date after `package` (a path below the folder, `<folder>/<subdir>/<file>`) was
/// written: its entry is made anew, files that the index does not know are added, entries without a file go. Blocks.
///
/// # Errors
/// [`Kind::Verification`]: the package can't be read, or does not belong into its subdir. [`Kind::Bug`]: it does not
/// lie in a subdir of the folder. [`Kind::Machine`]: the folder can't be read or written.
pub fn add_to_index(folder: &Path, package: &Path, events: &Events) -> Result<()> {
    let misplaced = || {
        let message = format!("`{}` is no package in a subdir of `{}`", package.display(), folder.display());
        Error::new(Kind::Bug, message)
    };
    let name = package.file_name().and_then(|name| name.to_str()).ok_or_else(misplaced)?.to_owned();
    let place = package.parent().ok_or_else(misplaced)?;
    let subdir = place.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<Subdir>().ok());
    let subdir = subdir.filter(|_| place.parent() == Some(folder)).ok_or_else(misplaced)?;

    // The slow part, hashing, needs no lock.
    let new = entry(package, subdir)?;
    let _lock = lock(folder)?;
    let (rest, mut entries) = read_repodata(place, subdir);
    let files = package_files(place)?;
    entries.retain(|known, _| *known != name && files.contains(known));
    let unknown: Vec<String> = files.into_iter().filter(|file| *file != name && !entries.contains_key(file)).collect();
    entries.extend(self::entries(place, subdir, &unknown, events)?);
    if package.is_file() {
        entries.insert(name, new);
    }
    write_repodata(place, rest, entries)?;
    if !folder.join("noarch/repodata.json").is_file() {
        let noarch = folder.join("noarch");
        fs::create_dir_all(&noarch)?;
        write_repodata(&noarch, empty_repodata(Subdir::NoArch), BTreeMap::new())?;
    }
    Ok(())
}

/// A package's entry, checked against its name and place.
fn entry(path: &Path, subdir: Subdir) -> Result<Value> {
    let entry = Value::Object(gonda_packager::repodata_record(path).map_err(unreadable)?);
    // What other tools can't read would spoil the whole index for them.
    let record: PackageRecord = serde_json::from_value(entry.clone()).map_err(|error| {
        Error::new(Kind::Verification, format!("package `{}` has no usable `index.json`", path.display()))
            .because(error)
    })?;
    if record.subdir != subdir.as_str() {
        let message = format!("package `{}` is for subdir `{}`, not `{subdir}`", path.display(), record.subdir);
        return Err(
            Error::new(Kind::Verification, message).help(format!("move it to the folder `{}` beside", record.subdir))
        );
    }
    let stem = format!("{}-{}-{}", record.name.as_normalized(), record.version, record.build);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if DistArchiveIdentifier::try_from_filename(name).is_none_or(|named| named.identifier.to_string() != stem) {
        let message = format!("package `{}` calls itself `{stem}` inside", path.display());
        return Err(Error::new(Kind::Verification, message).help("give the file the name that it has inside"));
    }
    Ok(entry)
}

/// An error of the packager, by who must act.
fn unreadable(error: gonda_packager::Error) -> Error {
    let kind = match error {
        gonda_packager::Error::Io { .. } => Kind::Machine,
        _ => Kind::Verification,
    };
    let made = Error::new(kind, error.to_string());
    match error {
        gonda_packager::Error::Io { source, .. } => made.because(source),
        _ => made,
    }
}

/// Entries of several files, read in parallel; what is no proper package is warned about and left out.
fn entries(place: &Path, subdir: Subdir, names: &[String], events: &Events) -> Result<BTreeMap<String, Value>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(names.len());
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let entry = entry(&place.join(name), subdir);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((name.clone(), entry));
                }
            });
        }
    });
    let mut entries = BTreeMap::new();
    for (name, entry) in found.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match entry {
            Ok(entry) => {
                entries.insert(name, entry);
            }
            Err(error) if error.kind == Kind::Verification => events.warn("", format!("not indexed: {error}")),
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// The names of packages in a folder, sorted. What begins with a dot is being written.
fn package_files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_package = name.ends_with(".conda") || name.ends_with(".tar.bz2");
        if is_package && !name.starts_with('.') && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn subdirs(folder: &Path) -> Vec<Subdir> {
    let mut subdirs: Vec<Subdir> =
        Subdir::all().filter(|subdir| *subdir == Subdir::NoArch || folder.join(subdir.as_str()).is_dir()).collect();
    subdirs.sort();
    subdirs
}

fn empty_repodata(subdir: Subdir) -> Map<String, Value> {
    let mut repodata = Map::new();
    repodata.insert("info".to_owned(), json!({ "subdir": subdir.as_str() }));
    repodata.insert("repodata_version".to_owned(), json!(1));
    repodata
}

/// What is there: everything but packages as it is, so that another tool's additions stay, and the packages. What
/// can't be read counts as nothing: it is made anew from the packages.
fn read_repodata(place: &Path, subdir: Subdir) -> (Map<String, Value>, BTreeMap<String, Value>) {
    let text = fs::read(place.join("repodata.json")).ok();
    let Some(Value::Object(mut rest)) = text.and_then(|text| serde_json::from_slice(&text).ok()) else {
        return (empty_repodata(subdir), BTreeMap::new());
    };
    let mut packages = BTreeMap::new();
    for key in ["packages", "packages.conda"] {
        if let Some(Value::Object(part)) = rest.remove(key) {
            packages.extend(part);
        }
    }
    (rest, packages)
}

fn write_repodata(place: &Path, mut rest: Map<String, Value>, entries: BTreeMap<String, Value>) -> Result<()> {
    let (conda, tar): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name.ends_with(".conda"));
    rest.insert("packages".to_owned(), Value::Object(tar.into_iter().collect()));
    rest.insert("packages.conda".to_owned(), Value::Object(conda.into_iter().collect()));
    rest.sort_keys();
    let mut text = serde_json::to_vec(&rest).map_err(|error| Error::new(Kind::Bug, "no repodata").because(error))?;
    text.push(b'\n');
    let compressed = zstd::bulk::compress(&text, ZSTD_LEVEL)?;
    replace(&place.join("repodata.json.zst"), &compressed)?;
    replace(&place.join("repodata.json"), &text)
}

/// Replaces a file whole. Only who holds the lock writes, so one name aside is enough.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let aside = PathBuf::from(aside);
    let mut file = fs::File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&aside, path)?;
    Ok(())
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
    file.file().lock().map_err(|error| {
        Error::new(Kind::Machine, format!("could not lock channel folder `{}`", folder.display())).because(error)
    })?;
    Ok(file.into_parts().0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rattler_conda_types::compression_level::CompressionLevel;
    use rattler_digest::digest::Digest as _;
    use rattler_digest::{Md5, Sha256};

    /// A package of a test: its metadata and files.
    pub(crate) struct TestPackage<'a> {
        pub(crate) subdir: &'a str,
        pub(crate) name: &'a str,
        pub(crate) version: &'a str,
        pub(crate) depends: &'a [&'a str],
        /// Path, text, and the placeholder in the text.
        pub(crate) files: &'a [(&'a str, &'a str, Option<&'a str>)],
        pub(crate) run_exports: Option<Value>,
    }

    /// Writes a package into a channel folder and gives its path.
    pub(crate) fn write_package(channel: &Path, package: &TestPackage<'_>) -> PathBuf {
        let TestPackage { subdir, name, version, depends, files, run_exports } = package;
        let staged = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        let mut put = |path: &str, content: &[u8]| {
            let to = staged.path().join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(&to, content).unwrap();
            paths.push(to);
        };
        let mut entries = Vec::new();
        for (path, text, placeholder) in *files {
            put(path, text.as_bytes());
            let mut entry = json!({
                "_path": path, "path_type": "hardlink", "size_in_bytes": text.len(),
                "sha256": hex::encode(Sha256::digest(text.as_bytes())),
            });
            if let Some(placeholder) = placeholder {
                entry["file_mode"] = json!("text");
                entry["prefix_placeholder"] = json!(placeholder);
            }
            entries.push(entry);
        }
        let index = json!({
            "name": name, "version": version, "build": "0", "build_number": 0, "depends": depends, "subdir": subdir,
        });
        put("info/index.json", index.to_string().as_bytes());
        put("info/paths.json", json!({ "paths": entries, "paths_version": 1 }).to_string().as_bytes());
        if let Some(run_exports) = run_exports {
            put("info/run_exports.json", run_exports.to_string().as_bytes());
        }
        fs::create_dir_all(channel.join(subdir)).unwrap();
        let stem = format!("{name}-{version}-0");
        let target = channel.join(subdir).join(format!("{stem}.conda"));
        rattler_package_streaming::write::write_conda_package(
            File::create(&target).unwrap(),
            staged.path(),
            &paths,
            CompressionLevel::Lowest,
            Some(1),
            &stem,
            Some(&jiff::Timestamp::constant(1_000_000_000, 0)),
            None,
        )
        .unwrap();
        target
    }

    fn package<'a>(subdir: &'a str, name: &'a str, version: &'a str) -> TestPackage<'a> {
        TestPackage { subdir, name, version, depends: &[], files: &[], run_exports: None }
    }

    /// The file names that each subdir's repodata lists, in both of its forms.
    fn listed(channel: &Path) -> String {
        let mut text = String::new();
        for subdir in subdirs(channel) {
            let plain = fs::read(channel.join(subdir.as_str()).join("repodata.json")).unwrap();
            let packed = fs::read(channel.join(subdir.as_str()).join("repodata.json.zst")).unwrap();
            assert_eq!(plain, zstd::decode_all(&packed[..]).unwrap(), "{subdir}");
            let repodata: Value = serde_json::from_slice(&plain).unwrap();
            assert_eq!(repodata["info"]["subdir"], subdir.as_str());
            let names: Vec<&str> = ["packages", "packages.conda"]
                .iter()
                .flat_map(|key| repodata[key].as_object().unwrap().keys().map(String::as_str))
                .collect();
            text += &format!("{subdir}: {}\n", names.join(" "));
        }
        text
    }

    fn warnings() -> (Events, std::sync::Arc<Mutex<Vec<String>>>) {
        let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let events = Events::new(move |event| {
            if let crate::Event::Warning { text, .. } = event {
                sink.lock().unwrap().push(text);
            }
        });
        (events, seen)
    }

    #[test]
    fn a_folder_is_indexed_and_what_is_no_package_left_out() {
        let channel = tempfile::tempdir().unwrap();
        write_package(channel.path(), &package("linux-64", "b", "2"));
        let a = write_package(channel.path(), &package("linux-64", "a", "1"));
        fs::copy(&a, channel.path().join("linux-64/z-1-0.conda")).unwrap();
        fs::write(channel.path().join("linux-64/junk-1-0.conda"), "junk").unwrap();
        fs::write(channel.path().join("linux-64/.c-1-0.conda"), "part").unwrap();
        fs::create_dir(channel.path().join("logs")).unwrap();
        fs::create_dir(channel.path().join("osx-64")).unwrap();
        fs::copy(&a, channel.path().join("osx-64/a-1-0.conda")).unwrap();

        let (events, seen) = warnings();
        let done = index(channel.path(), &events).unwrap();
        assert_eq!(done.len(), 3);
        assert_eq!(listed(channel.path()), "linux-64: a-1-0.conda b-2-0.conda\nnoarch: \nosx-64: \n");
        let mut seen = seen.lock().unwrap().clone();
        seen.sort();
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen.iter().any(|text| text.contains("calls itself `a-1-0` inside")), "{seen:?}");
        assert!(seen.iter().any(|text| text.contains("is for subdir `linux-64`, not `osx-64`")), "{seen:?}");

        let repodata: Value =
            serde_json::from_slice(&fs::read(channel.path().join("linux-64/repodata.json")).unwrap()).unwrap();
        let record = &repodata["packages.conda"]["a-1-0.conda"];
        assert_eq!(record["size"], a.metadata().unwrap().len());
        assert_eq!(record["sha256"], hex::encode(Sha256::digest(fs::read(&a).unwrap())));
        assert_eq!(record["md5"], hex::encode(Md5::digest(fs::read(&a).unwrap())));
    }

    #[test]
    fn packages_are_added_replaced_and_forgotten() {
        let channel = tempfile::tempdir().unwrap();
        let events = Events::silent();
        let a = write_package(channel.path(), &package("linux-64", "a", "1"));
        let b = write_package(channel.path(), &package("linux-64", "b", "1"));
        // `b` was written by one who died before indexing it.
        add_to_index(channel.path(), &a, &events).unwrap();
        assert_eq!(listed(channel.path()), "linux-64: a-1-0.conda b-1-0.conda\nnoarch: \n");
        fs::remove_file(b).unwrap();
        let noarch = write_package(channel.path(), &package("noarch", "n", "1"));
        add_to_index(channel.path(), &noarch, &events).unwrap();
        let old = fs::read(channel.path().join("linux-64/repodata.json")).unwrap();
        write_package(channel.path(), &TestPackage { depends: &["n"], ..package("linux-64", "a", "1") });
        add_to_index(channel.path(), &a, &events).unwrap();
        assert_eq!(listed(channel.path()), "linux-64: a-1-0.conda\nnoarch: n-1-0.conda\n");
        assert_ne!(old, fs::read(channel.path().join("linux-64/repodata.json")).unwrap());
    }

    #[test]
    fn parallel_additions_lose_nothing() {
        let channel = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| {
                    let path = write_package(channel.path(), &package("linux-64", name, "1"));
                    add_to_index(channel.path(), &path, &Events::silent()).unwrap();
                });
            }
        });
        for name in &names {
            assert!(listed(channel.path()).contains(&format!("{name}-1-0.conda")), "{name}");
        }
    }

    #[test]
    fn a_package_out_of_place_is_refused() {
        let channel = tempfile::tempdir().unwrap();
        let a = write_package(channel.path(), &package("linux-64", "a", "1"));
        let error = add_to_index(&channel.path().join("linux-64"), &a, &Events::silent()).unwrap_err();
        assert_eq!(error.kind, Kind::Bug);
        let error = index(&channel.path().join("none"), &Events::silent()).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
    }
}
