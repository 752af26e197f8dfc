//! What fuzzing drives, as ordinary functions: whatever the bytes are, reading them ends within its limits, nothing
//! panics, and nothing is written beside the folder that was named. The suite runs them over seeds and mutations of
//! them; a fuzzer drives the same functions for longer.

// A promise that isn't kept is to end the run.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use rattler_conda_types::Subdir;

use crate::binary::Binary;
use crate::tarball::TarReader;
use crate::{Extent, Limits, extract, inspect, repodata_record, truth, verify};

/// Every reader of archives on any bytes, under the names of both formats.
pub fn read_any_archive(bytes: &[u8]) {
    let limits = Limits { members: 1000, unpacked: 1 << 24, ..Limits::default() };
    for name in ["t-1-0.conda", "t-1-0.tar.bz2"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let _ = verify(&path, &limits);
        let _ = inspect(&path, &limits);
        let _ = repodata_record(&path);
        let to = folder.path().join("to");
        let _ = extract(&path, &to, Extent::All, &limits);
        assert_eq!(names(folder.path(), &to), [name.to_owned()]);
    }
}

/// What lies in a folder, `but` left out.
fn names(folder: &Path, but: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let others = entries.filter(|entry| entry.path() != but);
    others.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The reader of tar streams, without the layers above it, whose checksums would hide most changes from it.
pub fn read_any_tar(bytes: &[u8]) {
    let mut reader = TarReader::new(bytes);
    while let Ok(Some(_)) = reader.next() {}
}

/// The reader of compiled files, and what is held against metadata.
pub fn read_any_binary(bytes: &[u8]) {
    if let Some(Ok(binary)) = Binary::parse(bytes) {
        let claims = truth::Claims { subdir: Some(Subdir::OsxArm64), ..truth::Claims::default() };
        let _ = truth::check("bin/x", &binary, &claims);
    }
}
