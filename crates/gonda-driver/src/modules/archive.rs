//! Checks of what a proxy gives, before the store takes it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use gonda_gomod::{DirHash, GoMod, MAX_GO_MOD, ModuleVersion, Semver, check_module_zip, hash_reader};
use zip::ZipArchive;

/// Reads a module zip through and gives its h1 sum. It must be well formed, as `golang.org/x/mod/zip` has it, and hold
/// what its list declares.
///
/// # Errors
///
/// Says what is wrong with the archive.
pub(super) fn hash_module_zip(file: &Path, module: &ModuleVersion) -> Result<String, String> {
    let open = |error: std::io::Error| format!("could not read `{}`: {error}", file.display());
    let handle = File::open(file).map_err(open)?;
    let size = handle.metadata().map_err(open)?.len();
    let mut archive = ZipArchive::new(BufReader::new(handle)).map_err(|error| error.to_string())?;
    if archive.has_duplicate_names() {
        return Err("multiple entries for one file".to_owned());
    }
    let mut entries = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        let name = std::str::from_utf8(entry.name_raw()).map_err(|_| "a file name is not UTF-8".to_owned())?;
        entries.push((name.to_owned(), entry.size()));
    }
    check_module_zip(module, size, entries.iter().map(|(name, size)| (name.as_str(), *size)))
        .map_err(|problem| problem.to_string())?;

    let mut hash = DirHash::new();
    for (index, (name, size)) in entries.into_iter().enumerate() {
        let entry = archive.by_index(index).map_err(|error| format!("{name}: {error}"))?;
        // Never more than declared, whatever the compressed data says.
        let mut content = entry.take(size + 1);
        let sha256 = hash_reader(&mut content).map_err(|error| format!("{name}: {error}"))?;
        if content.limit() != 1 {
            return Err(format!("{name}: its content is not of the declared size"));
        }
        hash.add(name, sha256).map_err(|error| error.to_string())?;
    }
    Ok(hash.finish())
}

/// The version that an `.info` names.
///
/// # Errors
///
/// When it is no JSON object with a semantic version.
pub(super) fn info_version(bytes: &[u8]) -> Result<String, String> {
    let info: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let version = info.get("Version").and_then(serde_json::Value::as_str).ok_or("there is no `Version`")?;
    if Semver::parse(version).is_none() {
        return Err(format!("`{version}` is no version"));
    }
    Ok(version.to_owned())
}

/// Checks a dependency's go.mod.
///
/// # Errors
///
/// When Go could not read it.
pub(super) fn check_go_mod(bytes: &[u8]) -> Result<(), String> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_GO_MOD {
        return Err(format!("go.mod file too large (max size is {MAX_GO_MOD} bytes)"));
    }
    GoMod::parse_lax(&String::from_utf8_lossy(bytes)).map(drop).map_err(|errors| errors.to_string())
}
