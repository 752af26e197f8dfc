//! Environments on disk: installing solved packages into a prefix, sharing the build environments of many jobs, and
//! reading what activation would set.
//!
//! A prefix has two paths: where it is written (`at`) and where those who use it will see it (`seen_as`), which is
//! what prefix replacement writes into files. They differ where a job sees the prefix through a mount.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use indexmap::IndexMap;
use rattler::install::{AppleCodeSignBehavior, Installer, InstallerError, LinkOptions};
use rattler_conda_types::{RepoDataRecord, Subdir};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::channels::Channels;
use crate::{Error, Kind, Result, host};

/// How many files are linked at the same time.
const PARALLEL_FILES: usize = 32;

/// How many packages are fetched at the same time.
const PARALLEL_PACKAGES: usize = 8;

/// Changes whenever the same packages would be installed in another way, so that older entries of the cache are not
/// used any more.
const FORMAT: &str = "gonda-env-1";

/// Whether files of a prefix may be the package cache's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Nobody writes to the prefix: hard links into the package cache.
    ReadOnly,
    /// A script may write to any file: reflinks or copies, never hard links.
    Private,
}

/// What activating a prefix sets and runs. No process is started to find out; who runs a script puts it in front.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activation {
    /// From `etc/conda/env_vars.d/*.json` (in the order of their names, the later wins), then from
    /// `conda-meta/state`. To be set before the scripts run.
    pub variables: IndexMap<String, String>,
    /// `etc/conda/activate.d/*.sh`, sorted, as seen: to be sourced in this order by a POSIX shell.
    pub sh: Vec<String>,
    /// `etc/conda/activate.d/*.bat`, sorted, as seen.
    pub bat: Vec<String>,
    /// What goes to the front of PATH, as seen, in this order, on the machine that runs the scripts.
    pub path_entries: Vec<PathBuf>,
}

/// Installs packages into the prefix `at`, which is made if missing, for those who see it as `seen_as`.
///
/// # Errors
/// [`Kind::Unavailable`]: a package can't be fetched, or is not what its channel says. [`Kind::Machine`]: it can't be
/// written.
pub async fn install(
    channels: &Channels,
    records: &[RepoDataRecord],
    platform: Subdir,
    at: &Path,
    seen_as: &Path,
    share: Share,
) -> Result<()> {
    let link_options = LinkOptions {
        allow_hard_links: match share {
            // Where cache and prefix are on different disks, rattler finds out and copies.
            Share::ReadOnly => None,
            Share::Private => Some(false),
        },
        ..LinkOptions::default()
    };
    // Elsewhere there is no `codesign`; a patched binary for another machine is left as it is.
    let signing = if Subdir::current().is_some_and(Subdir::is_osx) {
        AppleCodeSignBehavior::Fail
    } else {
        AppleCodeSignBehavior::DoNothing
    };
    let mut installer = Installer::new()
        .with_package_cache(channels.package_cache().clone())
        .with_download_client(channels.client().clone())
        .with_target_platform(platform)
        .with_io_concurrency_limit(PARALLEL_FILES)
        .with_max_concurrent_requests(PARALLEL_PACKAGES)
        .with_apple_code_signing_behavior(signing)
        .with_link_options(link_options);
    if seen_as != at {
        installer = installer.with_alternative_target_prefix(seen_as);
    }
    installer.install(at, records.iter().cloned()).await.map_err(|error| not_installed(channels, at, error))?;
    // rattler's mark for backup programs belongs to no package, and conda-build's prefixes have none.
    match std::fs::remove_file(at.join("CACHEDIR.TAG")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A read-only environment that all jobs with the same packages share: `<cache_root>/envs/<key>`, installed for those
/// who see it as `seen_as`. It is made at most once, whoever asks at the same time, in this process or another; an
/// interrupted attempt leaves nothing that is taken for an environment. Whoever removes an entry holds its lock,
/// `<key>.lock` beside it, and renames it away first.
///
/// # Errors
/// As [`install`].
pub async fn shared(
    channels: &Channels,
    records: &[RepoDataRecord],
    platform: Subdir,
    seen_as: &Path,
    cache_root: &Path,
) -> Result<PathBuf> {
    let key = environment_key(records, platform, seen_as);
    let envs = cache_root.join("envs");
    let place = envs.join(&key);
    fs::create_dir_all(&envs)?;
    let lock = lock_entry(envs.join(format!("{key}.lock"))).await?;
    if !place.is_dir() {
        // We hold the lock, so whatever lies aside was left by one who died.
        let aside = envs.join(format!("{key}.part"));
        remove_tree(&aside)?;
        let made = install(channels, records, platform, &aside, seen_as, Share::ReadOnly).await;
        if let Err(error) = made {
            // The error that matters is the first one.
            let _ = remove_tree(&aside);
            return Err(error);
        }
        fs::rename(&aside, &place)?;
    }
    // The lock's time says when the entry was last used; whoever prunes the cache goes by it.
    let _ = lock.set_len(0).and_then(|()| (&lock).write_all(b"used\n"));
    Ok(place)
}

/// What activating the prefix that lies at `prefix_on_disk`, and is seen as `seen_as`, would do.
///
/// # Errors
/// [`Kind::Machine`]: its files can't be read; [`Kind::Unavailable`]: a package's file of variables is no JSON object.
pub fn activation(prefix_on_disk: &Path, seen_as: &Path) -> Result<Activation> {
    let mut variables = IndexMap::new();
    for name in sorted_names(&prefix_on_disk.join("etc/conda/env_vars.d"))? {
        if has_extension(&name, "json") {
            let path = prefix_on_disk.join("etc/conda/env_vars.d").join(&name);
            merge_variables(&mut variables, read_object(&path)?);
        }
    }
    let state = prefix_on_disk.join("conda-meta/state");
    if state.is_file()
        && let Some(Value::Object(of_state)) = read_object(&state)?.remove("env_vars")
    {
        merge_variables(&mut variables, of_state);
    }
    let scripts = sorted_names(&prefix_on_disk.join("etc/conda/activate.d"))?;
    let as_seen = |extension: &str| -> Vec<String> {
        let of_kind = scripts.iter().filter(|name| has_extension(name, extension));
        of_kind.map(|name| seen_as.join("etc/conda/activate.d").join(name).to_string_lossy().into_owned()).collect()
    };
    Ok(Activation {
        variables,
        sh: as_seen("sh"),
        bat: as_seen("bat"),
        path_entries: path_entries(seen_as, Subdir::current().unwrap_or(Subdir::Linux64)),
    })
}

/// The folders of a prefix that conda puts on PATH, the most important first, for programs of `platform`.
#[must_use]
pub fn path_entries(prefix: &Path, platform: Subdir) -> Vec<PathBuf> {
    if platform.is_windows() {
        let below = ["Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin"];
        let mut entries = vec![prefix.to_path_buf()];
        entries.extend(
            below.iter().map(|folder| folder.split('/').fold(prefix.to_path_buf(), |path, part| path.join(part))),
        );
        entries
    } else {
        vec![prefix.join("bin")]
    }
}

/// The cache's name of an environment: its packages by content, its platform, and the path it is made for.
fn environment_key(records: &[RepoDataRecord], platform: Subdir, seen_as: &Path) -> String {
    let packages = contents(records);
    let mut hash = Sha256::new();
    for part in
        [FORMAT, platform.as_str(), &seen_as.to_string_lossy()].into_iter().chain(packages.iter().map(String::as_str))
    {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    // 32 hex digits: file names within an environment can be long already.
    hex::encode(&hash.finalize()[..16])
}

/// The toolchain among packages.
pub(crate) fn go_of(records: &[RepoDataRecord]) -> Option<&RepoDataRecord> {
    records.iter().find(|record| record.package_record.name.as_normalized() == "go")
}

/// What identifies packages: subdir, file name and digest of each, sorted.
pub(crate) fn contents<'a>(records: impl IntoIterator<Item = &'a RepoDataRecord>) -> Vec<String> {
    let mut packages: Vec<String> = records
        .into_iter()
        .map(|record| {
            let content = match (&record.package_record.sha256, &record.package_record.md5) {
                (Some(sha256), _) => hex::encode(sha256),
                (None, Some(md5)) => format!("{} {}", record.url, hex::encode(md5)),
                (None, None) => record.url.to_string(),
            };
            format!("{}/{} {content}", record.package_record.subdir, record.identifier.to_file_name())
        })
        .collect();
    packages.sort();
    packages
}

/// Waits for the sole right to make a cache entry.
async fn lock_entry(path: PathBuf) -> Result<File> {
    match tokio::task::spawn_blocking(move || crate::index::lock(&path)).await {
        Ok(locked) => locked,
        Err(error) => Err(Error::new(Kind::Bug, "waiting for a lock of the cache ended early").because(error)),
    }
}

/// Removes a folder if it is there, read-only folders included.
fn remove_tree(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(path).into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        // Best effort: if it fails, removing says so.
        let _ = host::make_removable(entry.path());
    }
    fs::remove_dir_all(path)?;
    Ok(())
}

fn sorted_names(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        // A name that is no text can't be written into a script either.
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

fn read_object(path: &Path) -> Result<serde_json::Map<String, Value>> {
    let text = fs::read(path)?;
    let broken = || Error::new(Kind::Unavailable, format!("`{}` is not a JSON object of variables", path.display()));
    match serde_json::from_slice(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(broken()),
        Err(error) => Err(broken().because(error)),
    }
}

/// conda's mark for a variable that the user took away (`conda env config vars unset`).
const UNSET: &str = "***unset***";

fn merge_variables(into: &mut IndexMap<String, String>, object: serde_json::Map<String, Value>) {
    for (name, value) in object {
        let value = match value {
            Value::String(text) => text,
            Value::Null => continue,
            // conda writes other values as Python's `str` does; for numbers that is JSON's text.
            other => other.to_string(),
        };
        if value == UNSET {
            into.shift_remove(&name);
        } else {
            into.insert(name, value);
        }
    }
}

fn not_installed(channels: &Channels, at: &Path, error: InstallerError) -> Error {
    let full = io_cause(&error)
        .is_some_and(|io| matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded));
    let made = match &error {
        _ if full => Error::new(Kind::Machine, format!("the disk is full: could not install into `{}`", at.display()))
            .help("free some space, or set another cache or output folder"),
        InstallerError::FailedToFetch(package, _) => {
            channels.with_offline_help(Error::new(Kind::Unavailable, format!("could not fetch package `{package}`")))
        }
        InstallerError::UnsafePackageRecord(_) => {
            Error::new(Kind::Unavailable, format!("a package that was to go into `{}` is unsafe", at.display()))
        }
        InstallerError::LinkError(package, _) => {
            Error::new(Kind::Machine, format!("could not install package `{package}` into `{}`", at.display()))
        }
        InstallerError::Cancelled => Error::new(Kind::Interrupted, "installing was cancelled"),
        _ => Error::new(Kind::Machine, format!("could not install into `{}`", at.display())),
    };
    made.because(error)
}

fn io_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Events;
    use crate::channels::{ChannelSettings, SolveRequest, virtual_packages};
    use crate::index::tests::{TestPackage, write_package};

    const PLACEHOLDER: &str = "/opt/placehold_placehold_placehold";

    /// A channel with one package, whose files are given, and the records of an environment with it.
    async fn world(files: &[(&str, &str, Option<&str>)]) -> (tempfile::TempDir, Channels, Vec<RepoDataRecord>) {
        let folder = tempfile::tempdir().unwrap();
        let channel = folder.path().join("channel");
        let package =
            TestPackage { subdir: "linux-64", name: "a", version: "1", depends: &[], files, run_exports: None };
        write_package(&channel, &package);
        crate::index::index(&channel, &Events::silent()).unwrap();
        let settings = ChannelSettings {
            channels: vec!["./channel".to_owned()],
            channel_alias: None,
            cache_root: folder.path().join("cache"),
            offline: true,
            base_dir: folder.path().to_owned(),
        };
        let channels = Channels::open(settings, Events::silent()).unwrap();
        let request = SolveRequest {
            what: "test".to_owned(),
            specs: vec!["a".to_owned()],
            constraints: Vec::new(),
            platform: Subdir::Linux64,
            virtual_packages: virtual_packages(Subdir::Linux64, false).unwrap(),
            local: None,
        };
        let records = channels.solve(&request).await.unwrap();
        (folder, channels, records)
    }

    #[tokio::test]
    async fn a_prefix_is_written_for_those_who_see_it_elsewhere() {
        let text = format!("prefix = {PLACEHOLDER}");
        let (folder, channels, records) = world(&[("share/a.txt", &text, Some(PLACEHOLDER))]).await;
        let (at, seen) = (folder.path().join("env"), Path::new("/opt/gonda/b/build_env"));
        install(&channels, &records, Subdir::Linux64, &at, seen, Share::Private).await.unwrap();
        assert_eq!(fs::read_to_string(at.join("share/a.txt")).unwrap(), "prefix = /opt/gonda/b/build_env");
        assert!(at.join("conda-meta/a-1-0.json").is_file());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_read_only_prefixes_share_files_with_the_cache() {
        use std::os::unix::fs::MetadataExt as _;
        let (folder, channels, records) = world(&[("bin/a", "#!/bin/sh\n", None)]).await;
        for (share, links) in [(Share::Private, 1..=1), (Share::ReadOnly, 1..=2), (Share::Private, 1..=1)] {
            let at = folder.path().join(format!("env-{share:?}"));
            install(&channels, &records, Subdir::Linux64, &at, &at, share).await.unwrap();
            let count = at.join("bin/a").metadata().unwrap().nlink();
            assert!(links.contains(&count), "{share:?}: {count}");
            fs::remove_dir_all(at).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_shared_environment_is_made_once_and_whole() {
        let (folder, channels, records) = world(&[("bin/a", "#!/bin/sh\n", None)]).await;
        let cache = folder.path().join("cache");
        let seen = Path::new("/opt/gonda/b/build_env");
        let ask = || shared(&channels, &records, Subdir::Linux64, seen, &cache);
        // What one who was killed left behind.
        let part = cache.join("envs").join(format!("{}.part", environment_key(&records, Subdir::Linux64, seen)));
        fs::create_dir_all(part.join("bin")).unwrap();
        fs::write(part.join("bin/rubbish"), "").unwrap();

        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        let place = one.unwrap();
        assert_eq!((&place, &place), (&two.unwrap(), &three.unwrap()));
        assert!(place.join("bin/a").is_file());
        assert!(!place.join("bin/rubbish").exists());
        assert!(!part.exists());
        let made = fs::metadata(place.join("conda-meta/a-1-0.json")).unwrap().modified().unwrap();
        assert_eq!(ask().await.unwrap(), place);
        assert_eq!(fs::metadata(place.join("conda-meta/a-1-0.json")).unwrap().modified().unwrap(), made);

        let other = shared(&channels, &records, Subdir::Linux64, Path::new("/opt/other"), &cache).await.unwrap();
        assert_ne!(other, place);
    }

    #[tokio::test]
    async fn a_package_that_changed_is_not_installed() {
        let (folder, channels, records) = world(&[("bin/a", "#!/bin/sh\n", None)]).await;
        fs::write(folder.path().join("channel/linux-64/a-1-0.conda"), "something else").unwrap();
        let cache = folder.path().join("cache");
        let seen = Path::new("/opt/gonda/b/build_env");
        let error = shared(&channels, &records, Subdir::Linux64, seen, &cache).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{error:?}");
        assert!(error.message.contains("a-1-0"), "{error}");
        let left: Vec<String> = sorted_names(&cache.join("envs")).unwrap();
        assert!(left.iter().all(|name| name.ends_with(".lock")), "{left:?}");
    }

    #[tokio::test]
    async fn a_rebuilt_package_replaces_what_is_cached() {
        let (folder, channels, records) = world(&[("share/a", "old", None)]).await;
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        install(&channels, &records, Subdir::Linux64, &old, &old, Share::ReadOnly).await.unwrap();
        let files: &[_] = &[("share/a", "new", None)];
        let package =
            TestPackage { subdir: "linux-64", name: "a", version: "1", depends: &[], files, run_exports: None };
        let path = write_package(&folder.path().join("channel"), &package);
        crate::index::add_to_index(&folder.path().join("channel"), &path, &Events::silent()).unwrap();
        channels.forget(&folder.path().join("channel"));
        let request = SolveRequest {
            what: "test".to_owned(),
            specs: vec!["a".to_owned()],
            constraints: Vec::new(),
            platform: Subdir::Linux64,
            virtual_packages: Vec::new(),
            local: None,
        };
        let records = channels.solve(&request).await.unwrap();
        install(&channels, &records, Subdir::Linux64, &new, &new, Share::ReadOnly).await.unwrap();
        assert_eq!(fs::read_to_string(new.join("share/a")).unwrap(), "new");
        assert_eq!(fs::read_to_string(old.join("share/a")).unwrap(), "old");
        assert!(!new.join("CACHEDIR.TAG").exists());
    }

    /// What activation sets and sources, for files of a prefix that is seen as `/env`.
    fn check(files: &[(&str, &str)]) -> String {
        let prefix = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = prefix.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        match activation(prefix.path(), Path::new("/env")) {
            Ok(found) => {
                let variables = found.variables.iter().map(|(name, value)| format!("{name}={value}"));
                variables.chain(found.sh).chain(found.bat).collect::<Vec<_>>().join("\n")
            }
            Err(error) => format!("{:?}: {error}", error.kind).replace(&prefix.path().display().to_string(), "PREFIX"),
        }
    }

    #[test]
    fn activation_is_read_from_both_layouts() {
        assert_eq!(check(&[]), "");
        assert_eq!(
            check(&[
                ("etc/conda/env_vars.d/go.json", r#"{"GOROOT": "/env/go", "GOFLAGS": "-old", "N": 1}"#),
                ("etc/conda/env_vars.d/go-nocgo_linux-64.json", r#"{"GOFLAGS": "-trimpath", "CGO_ENABLED": "0"}"#),
                ("etc/conda/env_vars.d/readme.txt", "no json"),
                ("conda-meta/state", r#"{"env_vars": {"MINE": "x", "N": "***unset***"}}"#),
            ]),
            "GOFLAGS=-old\nCGO_ENABLED=0\nGOROOT=/env/go\nMINE=x"
        );
        assert_eq!(
            check(&[
                ("etc/conda/activate.d/activate-z61-go-nocgo_linux-64.sh", ""),
                ("etc/conda/activate.d/activate-z60-go.sh", ""),
                ("etc/conda/activate.d/activate-z60-go.bat", ""),
                ("etc/conda/activate.d/activate-z60-go.fish", ""),
            ]),
            "/env/etc/conda/activate.d/activate-z60-go.sh\n\
             /env/etc/conda/activate.d/activate-z61-go-nocgo_linux-64.sh\n\
             /env/etc/conda/activate.d/activate-z60-go.bat"
        );
        assert_eq!(
            check(&[("etc/conda/env_vars.d/go.json", "[]")]),
            "Unavailable: `PREFIX/etc/conda/env_vars.d/go.json` is not a JSON object of variables"
        );
    }

    #[test]
    fn path_entries_follow_the_platform() {
        assert_eq!(path_entries(Path::new("/env"), Subdir::Linux64), [Path::new("/env/bin")]);
        assert_eq!(path_entries(Path::new("/env"), Subdir::Win64).len(), 6);
    }
}
