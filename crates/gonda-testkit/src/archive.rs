//! Source archives with fixed bytes: the same entries give the same sha256 on any machine at any time.

use std::io::{Read, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The formats that recipes name as their sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// `.tar.gz`
    TarGz,
    /// `.tar.zst`
    TarZst,
    /// `.zip`
    Zip,
}

/// A file of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `/` between its parts.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it has its x bits.
    pub executable: bool,
}

impl Entry {
    /// A plain file.
    pub fn file(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: content.into(), executable: false }
    }
}

/// All files of a folder as entries below `top`, sorted by path. Links are left out.
#[must_use]
pub fn source_entries(folder: &Path, top: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("a folder that can be read"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let relative =
                entry.path().strip_prefix(folder).expect("below the folder").to_string_lossy().replace('\\', "/");
            let path = if top.is_empty() { relative } else { format!("{top}/{relative}") };
            Entry {
                path,
                content: fs_err::read(entry.path()).expect("a file"),
                executable: is_executable(entry.path()),
            }
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// The bytes of an archive of these entries, in their order.
#[must_use]
pub fn source_archive(kind: ArchiveKind, entries: &[Entry]) -> Vec<u8> {
    match kind {
        ArchiveKind::TarGz => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&tar(entries)).expect("memory");
            encoder.finish().expect("memory")
        }
        ArchiveKind::TarZst => zstd::encode_all(&*tar(entries), 3).expect("memory"),
        ArchiveKind::Zip => zip(entries, zip::CompressionMethod::Deflated),
    }
}

/// All members of both parts of a `.conda` archive, read without gonda. Links have their target as content.
#[must_use]
pub fn conda_members(bytes: &[u8]) -> Vec<Entry> {
    let mut members = Vec::new();
    for part in zip_members(bytes).into_iter().filter(|part| part.path.ends_with(".tar.zst")) {
        let part = zstd::decode_all(&*part.content).expect("zstd");
        for entry in tar::Archive::new(&*part).entries().expect("a tar archive") {
            let mut entry = entry.expect("a member");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("memory");
            if let Some(target) = entry.link_name().expect("a link's target") {
                content = target.to_string_lossy().into_owned().into_bytes();
            }
            members.push(Entry {
                path: entry.path().expect("a path").to_string_lossy().into_owned(),
                content,
                executable: entry.header().mode().expect("a mode") & 0o100 != 0,
            });
        }
    }
    members
}

/// A `.conda` archive with the files of one package and the `info/` of another, for lists that don't match.
#[must_use]
pub fn swap_info(files: &[u8], info: &[u8]) -> Vec<u8> {
    let info = zip_members(info).into_iter().find(|part| part.path.starts_with("info-")).expect("an info part");
    let mut whole = zip_members(files);
    for part in &mut whole {
        if part.path == info.path {
            part.content.clone_from(&info.content);
        }
    }
    zip(&whole, zip::CompressionMethod::Stored)
}

fn zip_members(bytes: &[u8]) -> Vec<Entry> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("a zip archive");
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).expect("a member");
            let path = member.name().expect("a name in UTF-8").into_owned();
            let mut content = Vec::new();
            member.read_to_end(&mut content).expect("memory");
            Entry::file(path, content)
        })
        .collect()
}

/// Hex digest.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An uncompressed tar archive; time and owner are zero.
pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(entry.content.len() as u64);
        header.set_mode(if entry.executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        builder.append_data(&mut header, &entry.path, &*entry.content).expect("memory");
    }
    builder.into_inner().expect("memory")
}

/// A member of a tar archive as it is told, however hostile.
#[derive(Debug, Clone, Copy)]
pub struct RawMember<'a> {
    /// At most 100 bytes.
    pub name: &'a str,
    /// The type byte: `0` file, `1` hard link, `2` symbolic link, `3` device, `5` folder, `6` pipe.
    pub kind: u8,
    /// Where a link leads; at most 100 bytes.
    pub link: &'a str,
    /// Its bytes.
    pub content: &'a [u8],
}

/// An uncompressed tar archive of members whose names and links nobody has looked at.
#[must_use]
pub fn raw_tar(members: &[RawMember<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut header = tar::Header::new_ustar();
        let fields = header.as_old_mut();
        fields.name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        fields.linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
        fields.linkflag = [member.kind];
        header.set_size(member.content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(member.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A zip archive with the format's first time, 1980-01-01.
pub(crate) fn zip(entries: &[Entry], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for entry in entries {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(if entry.executable { 0o755 } else { 0o644 });
        writer.start_file(entry.path.as_str(), options).expect("a name that zip can hold");
        writer.write_all(&entry.content).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_entries_same_bytes() {
        let entries =
            [Entry::file("top/a", "one"), Entry { executable: true, ..Entry::file("top/run", "#!/bin/sh\n") }];
        for kind in [ArchiveKind::TarGz, ArchiveKind::TarZst, ArchiveKind::Zip] {
            assert_eq!(sha256(&source_archive(kind, &entries)), sha256(&source_archive(kind, &entries)), "{kind:?}");
        }
    }
}
