//! Channels of hand-made packages, written without gonda: what a test needs beside the toolchain, and packages whose
//! faults are the subject.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::archive::{Entry, sha256, tar, zip};

/// A package to be: metadata and files.
#[derive(Debug, Clone)]
pub struct HandMadePackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string.
    pub build: String,
    /// Subdir of the channel.
    pub subdir: String,
    /// `depends`.
    pub depends: Vec<String>,
    /// Files of the prefix.
    pub files: Vec<Entry>,
    /// A tar archive in place of one of `files`: for members that no honest tool writes.
    pub payload: Option<Vec<u8>>,
    /// `run_exports.json`, if it has one.
    pub run_exports: Option<Value>,
}

impl HandMadePackage {
    /// A package without files.
    pub fn new(name: &str, version: &str, subdir: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build: "0".to_owned(),
            subdir: subdir.to_owned(),
            depends: Vec::new(),
            files: Vec::new(),
            payload: None,
            run_exports: None,
        }
    }

    /// With run exports of a kind, such as `weak`.
    #[must_use]
    pub fn exports(mut self, kind: &str, specs: &[&str]) -> Self {
        self.run_exports = Some(json!({kind: specs}));
        self
    }

    /// With a dependency.
    #[must_use]
    pub fn depends_on(mut self, spec: &str) -> Self {
        self.depends.push(spec.to_owned());
        self
    }

    /// With a file.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl Into<Vec<u8>>, executable: bool) -> Self {
        self.files.push(Entry { executable, ..Entry::file(path, content) });
        self
    }

    /// `<name>-<version>-<build>.conda`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.conda", self.name, self.version, self.build)
    }

    fn index(&self) -> Map<String, Value> {
        let (platform, arch) = match self.subdir.split_once('-') {
            Some((platform, "64")) => (Value::from(platform), Value::from("x86_64")),
            Some((platform, arch)) => (Value::from(platform), Value::from(arch)),
            None => (Value::Null, Value::Null),
        };
        let index = json!({
            "arch": arch, "build": self.build, "build_number": 0, "depends": self.depends, "name": self.name,
            "platform": platform, "subdir": self.subdir, "timestamp": 315_532_800_000_u64, "version": self.version,
        });
        index.as_object().cloned().unwrap_or_default()
    }

    /// The bytes of the `.conda` file.
    #[must_use]
    pub fn archive(&self) -> Vec<u8> {
        let paths: Vec<Value> = self
            .files
            .iter()
            .map(|file| {
                json!({"_path": file.path, "path_type": "hardlink", "sha256": sha256(&file.content), "size_in_bytes": file.content.len()})
            })
            .collect();
        let mut info = vec![
            Entry::file("info/index.json", Value::Object(self.index()).to_string()),
            Entry::file("info/paths.json", json!({"paths": paths, "paths_version": 1}).to_string()),
            Entry::file("info/files", self.files.iter().map(|file| format!("{}\n", file.path)).collect::<String>()),
            Entry::file("info/about.json", "{}"),
        ];
        info.extend(self.run_exports.iter().map(|exports| Entry::file("info/run_exports.json", exports.to_string())));
        let zst = |tar: &[u8]| zstd::encode_all(tar, 3).expect("memory");
        let payload = self.payload.clone().unwrap_or_else(|| tar(&self.files));
        let stem = format!("{}-{}-{}", self.name, self.version, self.build);
        zip(
            &[
                Entry::file("metadata.json", r#"{"conda_pkg_format_version": 2}"#),
                Entry::file(format!("pkg-{stem}.tar.zst"), zst(&payload)),
                Entry::file(format!("info-{stem}.tar.zst"), zst(&tar(&info))),
            ],
            zip::CompressionMethod::Stored,
        )
    }
}

/// A channel's folder with `repodata.json` for each subdir.
#[derive(Debug, Clone)]
pub struct HandMadeChannel {
    folder: PathBuf,
}

impl HandMadeChannel {
    /// Writes packages and repodata. `noarch` is always there, for clients want it.
    pub fn new(folder: impl Into<PathBuf>, packages: &[HandMadePackage]) -> Self {
        let folder = folder.into();
        let mut subdirs: BTreeMap<&str, Map<String, Value>> = BTreeMap::from([("noarch", Map::new())]);
        for package in packages {
            let bytes = package.archive();
            let path = folder.join(&package.subdir).join(package.file_name());
            fs_err::create_dir_all(path.parent().expect("a subdir")).expect("the subdir");
            fs_err::write(&path, &bytes).expect("the package");
            let mut record = package.index();
            record.insert("sha256".into(), sha256(&bytes).into());
            record.insert("size".into(), bytes.len().into());
            subdirs.entry(&package.subdir).or_default().insert(package.file_name(), Value::Object(record));
        }
        for (subdir, records) in subdirs {
            let repodata =
                json!({"info": {"subdir": subdir}, "packages": {}, "packages.conda": records, "repodata_version": 1});
            fs_err::create_dir_all(folder.join(subdir)).expect("the subdir");
            fs_err::write(folder.join(subdir).join("repodata.json"), repodata.to_string()).expect("repodata");
        }
        Self { folder }
    }

    /// The channel's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `-c` is given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::conda_members;

    #[test]
    fn a_package_holds_what_it_was_given() {
        let package = HandMadePackage::new("x", "1", "linux-64").with_file("bin/x", "#!/bin/sh\n", true);
        let names: Vec<String> = conda_members(&package.archive()).into_iter().map(|entry| entry.path).collect();
        assert_eq!(names, ["bin/x", "info/index.json", "info/paths.json", "info/files", "info/about.json"]);
    }
}
