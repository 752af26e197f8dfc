//! What a channel says about a package.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value};

use crate::archive::{Limits, Part, walk};
use crate::error::{Error, Result};
use crate::tarball::TarKind;
use crate::write::digest;

/// The record of a package in `repodata.json`: all of its `index.json`, with `md5`, `sha256` and `size`; keys sorted.
///
/// # Errors
/// An archive that can't be read, or has no `index.json` that is an object.
pub fn repodata_record(path: &Path) -> Result<Map<String, Value>> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    let (size, sha256, md5) = digest(&file).map_err(|error| Error::io("read", path, error))?;
    let mut record = index_json(path)?;
    record.insert("md5".into(), md5.into());
    record.insert("sha256".into(), sha256.into());
    record.insert("size".into(), size.into());
    record.sort_keys();
    Ok(record)
}

/// `info/index.json` of a package.
///
/// # Errors
/// As [`repodata_record`].
pub fn index_json(path: &Path) -> Result<Map<String, Value>> {
    let mut files = read_info(path, &|name| name == "index.json", &Limits::default())?;
    let text = files.remove("index.json").ok_or_else(|| Error::malformed(path, "it has no `info/index.json`"))?;
    serde_json::from_slice(&text).map_err(|error| Error::malformed(path, format!("`info/index.json`: {error}")))
}

/// The regular files of `info/` that are wanted, by their path below it.
///
/// # Errors
/// An archive that can't be read, or files beyond [`Limits::text`].
pub fn read_info(path: &Path, want: &dyn Fn(&str) -> bool, limits: &Limits) -> Result<BTreeMap<String, Vec<u8>>> {
    let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
    let mut files = BTreeMap::new();
    walk(path, &file, &[Part::Info], limits, &mut |_, member, bytes| {
        let Some(name) = member.path.strip_prefix("info/").filter(|name| want(name)) else { return Ok(()) };
        if member.kind != TarKind::File {
            return Ok(());
        }
        if member.size > limits.text {
            return Err(Error::malformed(path, format!("`{}` is larger than {} bytes", member.path, limits.text)));
        }
        let mut content = Vec::new();
        bytes.read_to_end(&mut content).map_err(|error| Error::malformed(path, error.to_string()))?;
        files.insert(name.to_owned(), content);
        Ok(())
    })?;
    Ok(files)
}
