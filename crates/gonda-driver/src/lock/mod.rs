//! A lock: what a recipe's builds took from elsewhere, written down beside the recipe, so that a later build takes the
//! same or says what has changed.
//!
//! The file, `gonda.conda-lock.yml`, is a lockfile after CEP 37, so other tools read its packages. What it has no words
//! for stands in `custom_metadata`, under keys that begin with `gonda.`:
//!
//! | key | value |
//! |---|---|
//! | `gonda.build/<target>/<output>` | the build string |
//! | `gonda.toolchain/<target>/<output>` | `go 1.26.8` |
//! | `gonda.source/<target>/<output>/<number>` | `sha256:…`, `git:<commit>` |
//! | `gonda.go.sum/<target>/<output>/<path>` | `sha256:…` |
//! | `gonda.answer/<request>` | what the module proxy answered to `@latest`, a version list or a branch |
//!
//! An output that is there twice for a target, in several variants, has a number after its name: `tool.2`.

mod file;
mod inputs;
mod keys;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use md5::Md5;
use rattler_conda_types::RepoDataRecord;
use sha2::{Digest, Sha256};

pub use inputs::{folder, inputs};
pub use keys::keys;

use self::file::{Channel, Input, LockFile, Metadata, Package};
use crate::{Error, Kind, Result, environment};

/// The file's name.
pub const FILE_NAME: &str = "gonda.conda-lock.yml";

/// The category of what tests need.
const TEST: &str = "test";

/// An output's build, as a lock holds it.
#[derive(Debug, Clone, Default)]
pub struct LockedOutput {
    /// `<target>/<output>`.
    pub key: String,
    /// Its build string.
    pub build_string: String,
    /// By environment – `build`, `host`, `test` – its platform and its packages.
    pub environments: Vec<(&'static str, String, Vec<RepoDataRecord>)>,
    /// `sha256:…` or `git:…` of each source.
    pub sources: Vec<String>,
    /// Digests of go.sum files, by path in the work folder.
    pub go_sums: BTreeMap<String, String>,
    /// What the module proxy answered to requests whose answers change with time.
    pub answers: BTreeMap<String, String>,
}

/// A lock, new or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Where it lies.
    path: PathBuf,
    file: LockFile,
}

impl Lock {
    /// A lock for a recipe: `folder` is where it is to lie, `inputs` the recipe's files.
    ///
    /// # Errors
    /// When a file of the recipe can't be read.
    pub fn new(folder: &Path, inputs: &[PathBuf], channels: &[String], outputs: &[LockedOutput]) -> Result<Self> {
        let mut metadata = Metadata {
            channels: channels.iter().map(|url| Channel { url: url.clone(), used_env_vars: Vec::new() }).collect(),
            ..Metadata::default()
        };
        for input in inputs {
            let name = relative(input, folder);
            metadata.inputs_metadata.insert(name.clone(), digest_input(input)?);
            metadata.sources.push(name);
        }
        metadata.sources.sort();
        let mut packages = Vec::new();
        let mut custom = BTreeMap::new();
        for output in outputs {
            let key = &output.key;
            custom.insert(format!("gonda.build/{key}"), output.build_string.clone());
            for (index, source) in output.sources.iter().enumerate() {
                custom.insert(format!("gonda.source/{key}/{}", index + 1), source.clone());
            }
            for (path, sum) in &output.go_sums {
                custom.insert(format!("gonda.go.sum/{key}/{path}"), sum.clone());
            }
            for (request, answer) in &output.answers {
                custom.insert(format!("gonda.answer/{request}"), answer.clone());
            }
            for (environment, platform, records) in &output.environments {
                let category = format!("{key}/{environment}");
                packages.extend(records.iter().map(|record| Package::new(record, platform, &category)));
                if let Some(go) = go_version(records).filter(|_| *environment == "build") {
                    custom.insert(format!("gonda.toolchain/{key}"), format!("go {go}"));
                }
            }
        }
        packages.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
        metadata.platforms = packages.iter().map(|package| package.platform.clone()).collect();
        metadata.content_hash = LockFile::content_hashes(&packages);
        metadata.custom_metadata = custom;
        Ok(Self { path: folder.join(FILE_NAME), file: LockFile { version: 1, metadata, package: packages } })
    }

    /// Reads the lock in a folder.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is none, or it is no lockfile.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE_NAME);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::new(Kind::Usage, format!("the lock `{}` can't be read", path.display()))
                .because(error)
                .help("`gonda lock` writes it")
        })?;
        let wrong = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(Kind::Usage, format!("`{}` is no lockfile that gonda knows", path.display()))
                .because(cause)
                .help("write it again with `gonda lock`")
        };
        let file: LockFile = serde_yaml::from_str(&text).map_err(|error| wrong(error.into()))?;
        if file.version != 1 {
            return Err(wrong(format!("its version is {}, not 1", file.version).into()));
        }
        Ok(Self { path, file })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self) -> Result<()> {
        let text = serde_yaml::to_string(&self.file)
            .map_err(|error| Error::new(Kind::Bug, "the lock can't be written as YAML").because(error))?;
        let part = self.path.with_file_name(format!("{FILE_NAME}.{}.part", std::process::id()));
        let mut file = fs_err::File::create(&part)?;
        file.write_all(b"# Written by `gonda lock`; `gonda build --locked` builds with it.\n")?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs_err::rename(&part, &self.path)?;
        Ok(())
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many packages it names.
    #[must_use]
    pub fn packages(&self) -> usize {
        self.file.package.len()
    }

    /// Whether the recipe's files are those that were locked.
    ///
    /// # Errors
    /// [`Kind::Verification`], with what has changed; a file that can't be read.
    pub fn check_inputs(&self, inputs: &[PathBuf]) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let known = &self.file.metadata.inputs_metadata;
        let mut drift = Vec::new();
        let mut seen = BTreeSet::new();
        for input in inputs {
            let name = relative(input, folder);
            match known.get(&name) {
                None => drift.push(format!("the recipe's file `{name}` is new")),
                Some(locked) if *locked != digest_input(input)? => {
                    drift.push(format!("the recipe's file `{name}` has changed"));
                }
                Some(_) => {}
            }
            seen.insert(name);
        }
        drift.extend(
            known.keys().filter(|name| !seen.contains(*name)).map(|name| format!("the recipe's file `{name}` is gone")),
        );
        self.no_drift(drift)
    }

    /// What is locked of an output; see [`LockedOutput::key`].
    ///
    /// # Errors
    /// [`Kind::Verification`] where the lock doesn't have it.
    pub fn output<'a>(&'a self, key: &'a str) -> Result<Locked<'a>> {
        if !self.file.metadata.custom_metadata.contains_key(&format!("gonda.build/{key}")) {
            self.no_drift(vec![format!("`{key}` is not in it")])?;
        }
        Ok(Locked { lock: self, key })
    }

    /// What the module proxy answered to requests whose answers change with time.
    #[must_use]
    pub fn answers(&self) -> BTreeMap<String, String> {
        let entries = self.file.metadata.custom_metadata.iter();
        entries
            .filter_map(|(key, value)| Some((key.strip_prefix("gonda.answer/")?.to_owned(), value.clone())))
            .collect()
    }

    fn no_drift(&self, drift: Vec<String>) -> Result<()> {
        let mut errors = drift.into_iter().map(|text| {
            Error::new(Kind::Verification, format!("`{}` doesn't hold any more: {text}", self.path.display()))
                .help("look at what has changed, then run `gonda lock` again")
        });
        match errors.next() {
            None => Ok(()),
            Some(mut first) => {
                first.others = errors.collect();
                Err(first)
            }
        }
    }
}

/// What a lock says of one output.
#[derive(Debug, Clone, Copy)]
pub struct Locked<'a> {
    lock: &'a Lock,
    key: &'a str,
}

impl Locked<'_> {
    /// Match specs that hold a solve to the packages of an environment.
    #[must_use]
    pub fn constraints(&self, environment: &str) -> Vec<String> {
        self.packages(environment).map(Package::constraint).collect()
    }

    fn packages(&self, environment: &str) -> impl Iterator<Item = &Package> {
        let category = format!("{}/{environment}", self.key);
        self.lock.file.package.iter().filter(move |package| package.category == category)
    }

    /// Whether an environment consists of the locked packages, and their archives are the same.
    ///
    /// # Errors
    /// [`Kind::Verification`], with what has changed.
    pub fn check_environment(&self, environment: &str, records: &[RepoDataRecord]) -> Result<()> {
        let mut locked: BTreeMap<&str, &Package> =
            self.packages(environment).map(|package| (package.name.as_str(), package)).collect();
        let mut drift = Vec::new();
        for record in records {
            let found = Package::new(record, "", "");
            match locked.remove(found.name.as_str()) {
                None => drift.push(format!("the {environment} environment has `{}` now", found.constraint())),
                Some(package) if package.version != found.version || package.build != found.build => {
                    drift.push(format!(
                        "the {environment} environment has `{}` in place of `{}`",
                        found.constraint(),
                        package.constraint()
                    ))
                }
                Some(package) if package.hash.get("sha256") != found.hash.get("sha256") => {
                    drift.push(format!("the channel has another `{}` now, by its sha256", package.constraint()));
                }
                Some(_) => {}
            }
        }
        drift.extend(
            locked.values().map(|package| format!("the {environment} environment has no `{}` any more", package.name)),
        );
        self.lock.no_drift(drift)
    }

    /// Match specs that hold the environments that tests share a category for; a package that they have in several builds is
    /// held by [`Locked::check_members`] alone. `None` where the lock has none: it was written elsewhere, or without tests.
    #[must_use]
    pub fn test_constraints(&self) -> Option<Vec<String>> {
        let mut builds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for package in self.packages(TEST) {
            builds.entry(&package.name).or_default().insert(package.constraint());
        }
        let once = builds.values().filter(|builds| builds.len() == 1);
        (!builds.is_empty()).then(|| once.flatten().cloned().collect())
    }

    /// Whether all packages of a test's environment are locked ones, and their archives are the same.
    ///
    /// # Errors
    /// [`Kind::Verification`], with what has changed.
    pub fn check_members(&self, records: &[&RepoDataRecord]) -> Result<()> {
        let mut drift = Vec::new();
        for record in records {
            let found = Package::new(record, "", "");
            let same = |package: &&Package| {
                (&package.name, &package.version, &package.build) == (&found.name, &found.version, &found.build)
            };
            match self.packages(TEST).find(same) {
                None => drift.push(format!("a test's environment has `{}` now", found.constraint())),
                Some(package) if package.hash.get("sha256") != found.hash.get("sha256") => {
                    drift.push(format!("the channel has another `{}` now, by its sha256", package.constraint()));
                }
                Some(_) => {}
            }
        }
        self.lock.no_drift(drift)
    }

    /// That an environment could not be solved with the locked packages: the channels don't have them any more.
    #[must_use]
    pub fn unsolvable(&self, environment: &str, error: Error) -> Error {
        let message = format!(
            "`{}` doesn't hold any more: the channels don't have the locked {environment} environment of `{}`",
            self.lock.path.display(),
            self.key
        );
        Error::new(Kind::Verification, message)
            .because(error.cause.unwrap_or_else(|| error.message.into()))
            .help("look at what has changed, then run `gonda lock` again")
    }

    /// Whether sources and go.sum files are those that were locked.
    ///
    /// # Errors
    /// [`Kind::Verification`], with what has changed.
    pub fn check_source(&self, sources: &[String], go_sums: &BTreeMap<String, String>) -> Result<()> {
        let custom = &self.lock.file.metadata.custom_metadata;
        let mut drift = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let locked = custom.get(&format!("gonda.source/{}/{}", self.key, index + 1));
            if locked != Some(source) {
                let was = locked.map_or_else(|| "not there".to_owned(), |locked| format!("`{locked}`"));
                drift.push(format!("source {} is `{source}`, and was {was}", index + 1));
            }
        }
        let prefix = format!("gonda.go.sum/{}/", self.key);
        let mut known: BTreeMap<&str, &String> =
            custom.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?, value))).collect();
        for (path, sum) in go_sums {
            match known.remove(path.as_str()) {
                Some(locked) if locked == sum => {}
                Some(_) => drift.push(format!("`{path}` of the source has changed")),
                None => drift.push(format!("`{path}` of the source is new")),
            }
        }
        drift.extend(known.keys().map(|path| format!("`{path}` of the source is gone")));
        self.lock.no_drift(drift)
    }
}

/// The digest of a go.sum, as a lock has it.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn digest_input(path: &Path) -> Result<Input> {
    let bytes = fs_err::read(path)?;
    Ok(Input { md5: hex::encode(Md5::digest(&bytes)), sha256: hex::encode(Sha256::digest(&bytes)) })
}

/// The version of the `go` among packages.
fn go_version(records: &[RepoDataRecord]) -> Option<String> {
    Some(environment::go_of(records)?.package_record.version.to_string())
}

/// A path below a folder with slashes; another as it is.
fn relative(path: &Path, folder: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path);
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
