//! The two kinds of archives, read as one stream of members, with limits on what a hostile one can ask for.
//!
//! A `.conda` file (CEP 35) is a zip with `metadata.json`, `pkg-<stem>.tar.zst` and `info-<stem>.tar.zst`; a `.tar.bz2`
//! is one tar stream with `info/` and payload mixed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Serialize;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Problem, Result};
use crate::host::Cursor;
use crate::tarball::{TarMember, TarReader};

/// How an archive is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ArchiveFormat {
    /// `.conda`.
    #[serde(rename = "conda")]
    Conda,
    /// `.tar.bz2`.
    #[serde(rename = "tar.bz2")]
    TarBz2,
}

/// A half of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What is installed.
    Pkg,
    /// What is said about it.
    Info,
}

impl Part {
    pub(crate) fn of(path: &str) -> Self {
        if path == "info" || path.starts_with("info/") { Self::Info } else { Self::Pkg }
    }
}

/// What an archive may ask for; beyond it, reading ends with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Members in all.
    pub members: u64,
    /// Unpacked bytes in all.
    pub unpacked: u64,
    /// Unpacked bytes for each packed one, once [`Limits::ratio_from`] bytes are unpacked.
    pub ratio: u64,
    /// See [`Limits::ratio`].
    pub ratio_from: u64,
    /// Bytes of one file of `info/` that is parsed.
    pub text: u64,
}

/// Far above what channels hold: the largest real packages unpack to some 10 GB.
impl Default for Limits {
    fn default() -> Self {
        Self { members: 2_000_000, unpacked: 64 << 30, ratio: 1000, ratio_from: 1 << 30, text: 256 << 20 }
    }
}

/// What the archive around the members is like.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) format: ArchiveFormat,
    /// Names of the zip's members in their order; empty for `.tar.bz2`.
    pub(crate) outer: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

/// zstd's own default limit, so that no client has to be told to allow more.
const WINDOW_LOG_MAX: u32 = 27;

/// What is called for each member: which stream it stands in, its header, its bytes.
pub(crate) type Visit<'a> = dyn FnMut(Part, &TarMember, &mut dyn Read) -> Result<()> + 'a;

/// Reads all members of `parts` of an archive: those of `info` first, where the format allows a choice.
///
/// # Errors
/// What can't be read to its end, and what `visit` returns. What can be read but is not as it should be, is a problem
/// in the result.
pub(crate) fn walk(path: &Path, file: &File, parts: &[Part], limits: &Limits, visit: &mut Visit<'_>) -> Result<Container> {
    let mut magic = [0; 4];
    let n = read_up_to(&mut Cursor::new(file), &mut magic).map_err(|error| Error::io("read", path, error))?;
    if magic[..n].starts_with(b"PK\x03\x04") {
        walk_conda(path, file, parts, limits, visit)
    } else if magic[..n].starts_with(b"BZh") {
        walk_tar_bz2(path, file, parts, limits, visit)
    } else {
        Err(Error::malformed(path, "it is neither a zip nor a bzip2 file"))
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn walk_conda(path: &Path, file: &File, parts: &[Part], limits: &Limits, visit: &mut Visit<'_>) -> Result<Container> {
    let malformed = |error: &dyn std::fmt::Display| Error::malformed(path, error.to_string());
    let mut zip = ZipArchive::new(Cursor::new(file)).map_err(|error| malformed(&error))?;
    let mut container = Container { format: ArchiveFormat::Conda, outer: Vec::new(), problems: Vec::new() };
    let problems = &mut container.problems;
    let (mut metadata, mut pkg, mut info) = (None, None, None);
    for i in 0..zip.len() {
        let member = zip.by_index_raw(i).map_err(|error| malformed(&error))?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        if member.compression() != CompressionMethod::Stored {
            problems.push(Problem::warning(name.clone(), "compressed once more; members of a .conda file are stored"));
        }
        let place = match name.as_str() {
            "metadata.json" => &mut metadata,
            name if name.starts_with("pkg-") && name.ends_with(".tar.zst") => &mut pkg,
            name if name.starts_with("info-") && name.ends_with(".tar.zst") => &mut info,
            _ => {
                problems.push(Problem::warning(name.clone(), "not a member that a .conda file has"));
                container.outer.push(name);
                continue;
            }
        };
        if place.replace(i).is_some() {
            problems.push(Problem::error(name.clone(), "there are two members of this kind"));
        }
        container.outer.push(name);
    }
    if let Some(declared) = declared_members(file).map_err(|error| Error::io("read", path, error))?
        && declared != zip.len()
    {
        problems.push(Problem::error(None, format!("{declared} members, but {} names", zip.len())));
    }
    match metadata {
        None => problems.push(Problem::error("metadata.json".to_owned(), "missing")),
        Some(i) => {
            let member = zip.by_index(i).map_err(|error| malformed(&error))?;
            let mut text = Vec::new();
            member.take(1 << 16).read_to_end(&mut text).map_err(|error| malformed(&error))?;
            let value: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
            let version = value.as_ref().and_then(|value| value.get("conda_pkg_format_version"));
            if version != Some(&serde_json::json!(2)) {
                let message = "`conda_pkg_format_version` is not 2";
                problems.push(Problem::error("metadata.json".to_owned(), message));
            }
        }
    }
    let mut members = 0;
    for (part, i, prefix) in [(Part::Info, info, "info-"), (Part::Pkg, pkg, "pkg-")] {
        let Some(i) = i else {
            problems.push(Problem::error(None, format!("no member `{prefix}*.tar.zst`")));
            continue;
        };
        if !parts.contains(&part) {
            continue;
        }
        let member = zip.by_index(i).map_err(|error| malformed(&error))?;
        let packed = member.size();
        let mut decoder = zstd::stream::read::Decoder::new(member).map_err(|error| malformed(&error))?;
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(|error| malformed(&error))?;
        let mut stream = Limited { inner: decoder, packed, unpacked: 0, limits };
        walk_tar(path, &mut stream, limits, &mut members, &mut |member, bytes| visit(part, member, bytes), problems)?;
    }
    Ok(container)
}

/// How many members the zip's end record counts; `None` where it holds no such number (zip64).
///
/// The zip reader keeps members by name: of two with one name, it shows one. Clients may take the other.
fn declared_members(file: &File) -> io::Result<Option<usize>> {
    let length = file.metadata()?.len();
    let mut cursor = Cursor::new(file);
    cursor.seek(SeekFrom::Start(length.saturating_sub((1 << 16) + 22)))?;
    let mut tail = Vec::new();
    cursor.take((1 << 16) + 22).read_to_end(&mut tail)?;
    let Some(end) = memchr::memmem::rfind(&tail, b"PK\x05\x06") else { return Ok(None) };
    let count = tail.get(end + 10..end + 12).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    Ok(count.filter(|count| *count != u16::MAX).map(usize::from))
}

fn walk_tar_bz2(path: &Path, file: &File, parts: &[Part], limits: &Limits, visit: &mut Visit<'_>) -> Result<Container> {
    let mut container = Container { format: ArchiveFormat::TarBz2, outer: Vec::new(), problems: Vec::new() };
    let packed = file.metadata().map_err(|error| Error::io("read", path, error))?.len();
    let decoder = bzip2::bufread::MultiBzDecoder::new(io::BufReader::with_capacity(1 << 16, Cursor::new(file)));
    let mut stream = Limited { inner: decoder, packed, unpacked: 0, limits };
    let mut visit = |member: &TarMember, bytes: &mut dyn Read| {
        let part = Part::of(&member.path);
        if parts.contains(&part) { visit(part, member, bytes) } else { Ok(()) }
    };
    walk_tar(path, &mut stream, limits, &mut 0, &mut visit, &mut container.problems)?;
    Ok(container)
}

fn walk_tar(
    path: &Path,
    stream: &mut impl Read,
    limits: &Limits,
    members: &mut u64,
    visit: &mut dyn FnMut(&TarMember, &mut dyn Read) -> Result<()>,
    problems: &mut Vec<Problem>,
) -> Result<()> {
    let malformed = |error: io::Error| Error::malformed(path, error.to_string());
    let mut tar = TarReader::new(&mut *stream);
    while let Some(member) = tar.next().map_err(malformed)? {
        *members += 1;
        if *members > limits.members {
            return Err(Error::malformed(path, format!("it has more than {} members", limits.members)));
        }
        visit(&member, &mut tar)?;
    }
    // What stands after the end mark is seen by some readers and not by others.
    let mut buffer = vec![0; 1 << 16];
    let mut hidden = false;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hidden = hidden || buffer[..n].iter().any(|byte| *byte != 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(malformed(error)),
        }
    }
    if hidden {
        problems.push(Problem::error(None, "there is data after the end of a tar stream"));
    }
    Ok(())
}

/// Ends a stream that unpacks to too much.
struct Limited<'a, R> {
    inner: R,
    packed: u64,
    unpacked: u64,
    limits: &'a Limits,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.unpacked += n as u64;
        let limits = self.limits;
        if self.unpacked > limits.unpacked {
            return Err(io::Error::other(format!("it unpacks to more than {} bytes", limits.unpacked)));
        }
        if self.unpacked > limits.ratio_from && self.unpacked / limits.ratio > self.packed {
            return Err(io::Error::other(format!("it unpacks to more than {} times its size", limits.ratio)));
        }
        Ok(n)
    }
}
