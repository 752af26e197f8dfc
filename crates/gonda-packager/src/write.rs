//! Writes a `.conda` file, reads it back, and only then gives it its name.
//!
//! Each file is read once: hashed, put into the tar stream and compressed on its way. The bytes depend on entries,
//! `info/` files, compression and time alone: not on threads, umask, owner, clock or folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use md5::Md5;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::archive::{Limits, Part};
use crate::compression::Compression;
use crate::contents::{Contents, Hashed};
use crate::entry::{Content, Entry, InfoFile, Kind};
use crate::error::{Error, Problem, Result};
use crate::host::{self, Cursor};
use crate::member_path::path_problem;
use crate::paths::{self, EMPTY_SHA256, Sum};
use crate::tarball::TarKind;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// `<name>-<version>-<build>`.
    pub stem: &'a str,
    /// The payload, in any order.
    pub entries: &'a [Entry],
    /// `info/` without `paths.json`, `files`, `has_prefix`, `no_link`, in any order.
    pub info: &'a [InfoFile],
    /// Seconds since 1970: the time of every member.
    pub timestamp: i64,
    /// Effort.
    pub compression: Compression,
    /// Threads that compress; the bytes don't depend on it.
    pub threads: u32,
}

impl Package<'_> {
    fn encoder<W: Write>(&self, writer: W, total: u64) -> io::Result<zstd::Encoder<'static, W>> {
        self.compression.encoder(writer, total, self.threads)
    }
}

/// A package that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Hex.
    pub sha256: String,
    /// Hex.
    pub md5: String,
}

/// Writes `<folder>/<stem>.conda`. The folder is made if it isn't there.
///
/// The archive grows as `<stem>.conda.part`, is synced, read back and compared with what went in, and renamed. Two
/// writers of one package wait for one another. After an error nothing of it is left.
///
/// # Errors
/// What can't be packed, read or written; an archive that reads back as something else.
pub fn write(folder: &Path, package: &Package<'_>) -> Result<Artifact> {
    let (entries, info) = prepare(package)?;
    std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))?;
    let path = folder.join(format!("{}.conda", package.stem));
    let growing = Growing::create(folder.join(format!("{}.conda.part", package.stem)))?;
    let expected = fill(&growing, package, &entries, &info)?;
    growing.file.sync_all().map_err(|error| Error::io("write", &growing.path, error))?;
    let (same, sums) = rayon::join(|| read_back(&growing, &path, package.stem, &expected), || digest(&growing.file));
    same?;
    let (size, sha256, md5) = sums.map_err(|error| Error::io("read", &growing.path, error))?;
    growing.publish(&path)?;
    host::sync_folder(folder).map_err(|error| Error::io("sync", folder, error))?;
    Ok(Artifact { path, size, sha256, md5 })
}

/// Entries and `info/` files in their order, after all that can be known to be wrong was looked for.
fn prepare<'a>(package: &Package<'a>) -> Result<(Vec<Entry>, Vec<&'a InfoFile>)> {
    if package.stem.is_empty() || package.stem.contains(['/', '\\', '\0']) {
        return Err(Error::unpackable(format!("`{}` can't be a package's file name", package.stem)));
    }
    let mut entries = package.entries.to_vec();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let mut info: Vec<&InfoFile> = package.info.iter().collect();
    info.sort_by(|a, b| a.path.cmp(&b.path));
    let paths = entries.iter().map(|entry| entry.path.as_str()).chain(info.iter().map(|file| file.path.as_str()));
    for path in paths {
        if let Some(problem) = path_problem(path).or_else(|| path.ends_with('/').then_some("a folder's path")) {
            return Err(Error::unpackable(format!("`{path}` can't be packed: {problem}")));
        }
    }
    let twice = entries.windows(2).find(|pair| pair[0].path == pair[1].path).map(|pair| pair[0].path.clone());
    let twice = twice.or_else(|| {
        info.windows(2).find(|pair| pair[0].path == pair[1].path).map(|pair| format!("info/{}", pair[0].path))
    });
    if let Some(path) = twice {
        return Err(Error::unpackable(format!("`{path}` was to be packed twice")));
    }
    if let Some(entry) = entries.iter().find(|entry| Part::of(&entry.path) == Part::Info) {
        return Err(Error::Unpackable {
            message: format!("`{}` can't be packed: `info/` holds the package's metadata", entry.path),
            help: Some("let the script install it elsewhere, below `share/` for instance".to_owned()),
        });
    }
    let own = ["paths.json", "files", "has_prefix", "no_link"];
    if let Some(file) = info.iter().find(|file| own.contains(&file.path.as_str())) {
        return Err(Error::unpackable(format!("`info/{}` is made from the packed bytes", file.path)));
    }
    Ok((entries, info))
}

/// The file that grows beside its final place: locked while it does, removed unless published.
struct Growing {
    file: File,
    path: PathBuf,
    published: bool,
}

impl Growing {
    /// Takes over what a writer that was killed left behind; waits for one that still writes.
    fn create(path: PathBuf) -> Result<Self> {
        let failed = |error| Error::io("write", &path, error);
        loop {
            let file =
                File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            match file.lock() {
                Ok(()) => {}
                // File systems without locks: then nobody waits.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(error) => return Err(failed(error)),
            }
            // Whoever held the lock may have renamed or removed this very file.
            let opened = same_file::Handle::from_file(file.try_clone().map_err(failed)?).map_err(failed)?;
            if same_file::Handle::from_path(&path).is_ok_and(|named| named == opened) {
                file.set_len(0).map_err(failed)?;
                return Ok(Self { file, path, published: false });
            }
        }
    }

    fn publish(mut self, path: &Path) -> Result<()> {
        std::fs::rename(&self.path, path).map_err(|error| Error::io("write", path, error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.published {
            // Nothing to be done about a failure: the error that led here is the one to tell.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The first error is told, later ones are not: `ZipWriter` tries to complete its archive when it is dropped after an
/// error, and prints what goes wrong then.
struct Latch<'a> {
    file: &'a File,
    failed: bool,
}

impl Write for Latch<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Ok(buffer.len());
        }
        let written = self.file.write(buffer);
        self.failed = written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Latch<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A member as it must read back.
struct Expected {
    part: Part,
    path: String,
    kind: TarKind,
    size: u64,
    sha256: String,
    mode: u32,
}

fn fill(growing: &Growing, package: &Package<'_>, entries: &[Entry], info: &[&InfoFile]) -> Result<Vec<Expected>> {
    let failed = |error: io::Error| Error::io("write", &growing.path, error);
    let mut zip = ZipWriter::new(Latch { file: &growing.file, failed: false });
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .system(System::Unix)
        .unix_permissions(0o644)
        .last_modified_time(zip_time(package.timestamp));
    zip.start_file("metadata.json", options).map_err(|error| failed(error.into()))?;
    zip.write_all(br#"{"conda_pkg_format_version": 2}"#).map_err(failed)?;

    // Of files alone: the text of a link may be that of this very build.
    let files = entries.iter().filter(|entry| entry.kind == Kind::File);
    let sizes = files.map(|entry| entry.source.metadata().map(|metadata| metadata.len()).unwrap_or(0));
    let total = sizes.fold(0u64, u64::saturating_add);
    let name = format!("pkg-{}.tar.zst", package.stem);
    // zstd never adds more than a fraction of a percent: only beyond this are 64-bit sizes needed, which older zip
    // readers don't know.
    let large = total > 4_000_000_000;
    zip.start_file(name, options.large_file(large)).map_err(|error| failed(error.into()))?;
    let mut tar = tar::Builder::new(package.encoder(&mut zip, total).map_err(failed)?);
    let mut expected = Vec::with_capacity(entries.len() + info.len() + 4);
    for entry in entries {
        expected.push(append_entry(&mut tar, entry, package.timestamp, &growing.path)?);
    }
    tar.into_inner().and_then(zstd::Encoder::finish).map_err(failed)?;

    let own = own_files(entries, &expected);
    let mut files: Vec<&InfoFile> = info.iter().copied().chain(&own).collect();
    // Readers that want the index alone need not go far.
    files.sort_by_key(|file| (file.path != "index.json", &file.path));
    let size = |file: &&InfoFile| match &file.content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::File(path) => path.metadata().map(|metadata| metadata.len()).unwrap_or(0),
    };
    let total = files.iter().map(size).fold(0u64, u64::saturating_add);
    let name = format!("info-{}.tar.zst", package.stem);
    zip.start_file(name, options.large_file(total > 4_000_000_000)).map_err(|error| failed(error.into()))?;
    let mut tar = tar::Builder::new(package.encoder(&mut zip, total).map_err(failed)?);
    for file in files {
        expected.push(append_info(&mut tar, file, package.timestamp, &growing.path)?);
    }
    tar.into_inner().and_then(zstd::Encoder::finish).map_err(failed)?;
    zip.finish().map_err(|error| failed(error.into()))?;
    Ok(expected)
}

/// `paths.json`, `files`, `has_prefix`, `no_link`, from what was packed.
fn own_files(entries: &[Entry], packed: &[Expected]) -> Vec<InfoFile> {
    let by_path: BTreeMap<&str, &Expected> = packed.iter().map(|member| (member.path.as_str(), member)).collect();
    let sums: Vec<Sum> = entries
        .iter()
        .zip(packed)
        .map(|(entry, member)| match &entry.kind {
            Kind::File => Sum { size: member.size, sha256: member.sha256.clone() },
            Kind::Symlink { leads_to, .. } => link_sum(entry, leads_to.as_deref(), &by_path),
        })
        .collect();
    let files = [
        Some(InfoFile::bytes("paths.json", paths::paths_json(entries, &sums))),
        Some(InfoFile::bytes("files", paths::files(entries))),
        paths::has_prefix(entries).map(|text| InfoFile::bytes("has_prefix", text)),
        paths::no_link(entries).map(|text| InfoFile::bytes("no_link", text)),
    ];
    files.into_iter().flatten().collect()
}

/// Size and hash of the file that a link leads to: as packed, else as a dependency put it into the prefix.
fn link_sum(entry: &Entry, leads_to: Option<&str>, packed: &BTreeMap<&str, &Expected>) -> Sum {
    let nothing = Sum { size: 0, sha256: EMPTY_SHA256.to_owned() };
    let Some(leads_to) = leads_to else { return nothing };
    if let Some(member) = packed.get(leads_to) {
        return Sum { size: member.size, sha256: member.sha256.clone() };
    }
    let hash = || {
        let mut hashed = Hashed::new(File::open(entry.source.canonicalize()?)?);
        io::copy(&mut hashed, &mut io::sink())?;
        let (size, sha256) = hashed.finish();
        io::Result::Ok(Sum { size, sha256 })
    };
    hash().unwrap_or(nothing)
}

fn header(kind: EntryType, size: u64, mode: u32, timestamp: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(u64::try_from(timestamp).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append_entry<W: Write>(
    tar: &mut tar::Builder<W>,
    entry: &Entry,
    timestamp: i64,
    archive: &Path,
) -> Result<Expected> {
    match &entry.kind {
        Kind::Symlink { target, .. } => {
            let mut header = header(EntryType::Symlink, 0, 0o777, timestamp);
            tar.append_link(&mut header, &entry.path, target).map_err(|error| Error::io("write", archive, error))?;
            Ok(Expected {
                part: Part::Pkg,
                path: entry.path.clone(),
                kind: TarKind::Symlink(target.clone()),
                size: 0,
                sha256: EMPTY_SHA256.to_owned(),
                mode: 0o777,
            })
        }
        Kind::File => {
            let (file, size) = open(&entry.source)?;
            let member = Member { part: Part::Pkg, path: &entry.path, executable: entry.executable, size };
            match &entry.map {
                Some(map) => append_file(tar, &member, map.reader(file), &entry.source, timestamp, archive),
                None => append_file(tar, &member, file, &entry.source, timestamp, archive),
            }
        }
    }
}

fn append_info<W: Write>(
    tar: &mut tar::Builder<W>,
    file: &InfoFile,
    timestamp: i64,
    archive: &Path,
) -> Result<Expected> {
    let path = format!("info/{}", file.path);
    let mut member = Member { part: Part::Info, path: &path, executable: file.executable, size: 0 };
    match &file.content {
        Content::Bytes(bytes) => {
            member.size = bytes.len() as u64;
            append_file(tar, &member, bytes.as_slice(), archive, timestamp, archive)
        }
        Content::File(source) => {
            let (content, size) = open(source)?;
            member.size = size;
            append_file(tar, &member, content, source, timestamp, archive)
        }
    }
}

fn open(path: &Path) -> Result<(File, u64)> {
    let failed = |error| Error::io("read", path, error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::unpackable(format!("`{}` is not a regular file", path.display())));
    }
    Ok((file, metadata.len()))
}

struct Member<'a> {
    part: Part,
    path: &'a str,
    executable: bool,
    size: u64,
}

fn append_file<W: Write>(
    tar: &mut tar::Builder<W>,
    member: &Member<'_>,
    mut content: impl Read,
    source: &Path,
    timestamp: i64,
    archive: &Path,
) -> Result<Expected> {
    let mode = if member.executable { 0o755 } else { 0o644 };
    let mut header = header(EntryType::Regular, member.size, mode, timestamp);
    let mut hashed = Hashed::new((&mut content).take(member.size));
    let appended = tar.append_data(&mut header, member.path, &mut hashed);
    let failed = hashed.failed;
    appended.map_err(
        |error| {
            if failed { Error::io("read", source, error) } else { Error::io("write", archive, error) }
        },
    )?;
    let (size, sha256) = hashed.finish();
    let more = content.read(&mut [0]).map_err(|error| Error::io("read", source, error))?;
    if size != member.size || more > 0 {
        return Err(Error::Unpackable {
            message: format!("`{}` changed while it was packed", source.display()),
            help: Some("the script left a process behind that still writes".to_owned()),
        });
    }
    Ok(Expected { part: member.part, path: member.path.to_owned(), kind: TarKind::File, size, sha256, mode })
}

/// Whether the archive holds exactly what went in.
fn read_back(growing: &Growing, path: &Path, stem: &str, expected: &[Expected]) -> Result<()> {
    // Whatever was packed may come back: it is no stranger's.
    let limits =
        Limits { members: u64::MAX, unpacked: u64::MAX, ratio: u64::MAX, ratio_from: u64::MAX, text: u64::MAX };
    let contents = Contents::read(&growing.path, &growing.file, &limits, &mut |_, _| Ok(()))?;
    let mut problems: Vec<Problem> = contents.problems(Some(stem));
    problems.retain(|problem| problem.severity == crate::error::Severity::Error);
    let mut found: BTreeMap<(Part, &str), _> =
        contents.members.iter().map(|member| ((member.part, member.path.as_str()), member)).collect();
    for want in expected {
        let Some(have) = found.remove(&(want.part, want.path.as_str())) else {
            problems.push(Problem::error(want.path.clone(), "missing"));
            continue;
        };
        if have.kind != want.kind {
            problems.push(Problem::error(want.path.clone(), "not of the type that was packed"));
        }
        if (have.size, &have.sha256) != (want.size, &want.sha256) {
            let message = format!("has sha256 `{}`, `{}` was packed", have.sha256, want.sha256);
            problems.push(Problem::error(want.path.clone(), message));
        }
        if have.mode != want.mode || have.owned {
            problems.push(Problem::error(want.path.clone(), "not of the mode or owner that was packed"));
        }
    }
    problems.extend(found.keys().map(|(_, name)| Problem::error((*name).to_owned(), "was not packed")));
    if problems.is_empty() { Ok(()) } else { Err(Error::Verification { path: path.to_owned(), problems }) }
}

/// Size, sha256 and md5 of a file.
pub(crate) fn digest(file: &File) -> io::Result<(u64, String, String)> {
    fn hash<D: Digest>(file: &File) -> io::Result<(u64, Vec<u8>)> {
        let (mut hasher, mut size, mut cursor) = (D::new(), 0, Cursor::new(file));
        let mut buffer = vec![0; 1 << 18];
        loop {
            match cursor.read(&mut buffer) {
                Ok(0) => return Ok((size, hasher.finalize().to_vec())),
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    size += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
    let (sha256, md5) = rayon::join(|| hash::<Sha256>(file), || hash::<Md5>(file));
    let ((size, sha256), (_, md5)) = (sha256?, md5?);
    Ok((size, hex::encode(sha256), hex::encode(md5)))
}

/// The time in a zip's words: from 1980 to 2107, in steps of two seconds.
fn zip_time(timestamp: i64) -> DateTime {
    let days = timestamp.div_euclid(86_400);
    let second = timestamp.rem_euclid(86_400);
    // Days to a civil date in the Gregorian calendar, years counted from 0000-03-01.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let byte = |value: i64| u8::try_from(value).unwrap_or(0);
    let year = u16::try_from(year).unwrap_or(0);
    DateTime::from_date_and_time(
        year,
        byte(month),
        byte(day),
        byte(second / 3600),
        byte(second / 60 % 60),
        byte(second % 60 / 2 * 2),
    )
    .unwrap_or_default()
}

#[cfg(test)]
mod tests;
