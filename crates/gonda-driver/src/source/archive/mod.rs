//! Archives, unpacked with care: hostile input.
//!
//! Names must stay below the archive's root; links are made last, so that nothing is written through one; devices,
//! pipes and names that collide are refused; size, number of members and the memory of decoders are limited.
//! Modes keep their execute bits and become writable for their owner, whatever the umask; times are kept.

mod tar;
mod writer;
mod zip;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use gonda_recipe::RecipeFormat;

use crate::{Error, Kind, Result};

/// How large a source may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a download, and of all that an archive unpacks to.
    pub size: u64,
    /// How many times its own size an archive may unpack to…
    pub ratio: u64,
    /// …unless all of it is at most this many bytes.
    pub free: u64,
    /// Members of an archive.
    pub members: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 32 << 30, ratio: 400, free: 512 << 20, members: 4_000_000 }
    }
}

impl Limits {
    /// What an archive of this size may unpack to.
    fn unpacked(&self, packed: u64) -> u64 {
        self.size.min(self.free.max(packed.saturating_mul(self.ratio)))
    }
}

/// What unpacking found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The newest member's time, in seconds since 1970.
    pub newest: Option<i64>,
    /// How many members there were.
    pub members: u64,
    /// Bytes of all files.
    pub size: u64,
    /// Remarks, such as links that lead out of the archive.
    pub remarks: Vec<String>,
}

/// What is done with a file of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// It is no archive: copied.
    No,
    /// It is unpacked.
    Yes,
    /// It is unpacked, and kept beside its content (wheels, in conda-build).
    Both,
}

impl Archive {
    /// Decides by the name, as conda-build (`utils.py`, `decompressible_exts`) and rattler-build (`is_archive`) do.
    /// `named`: the recipe gave the name; in v1, such a file stays packed.
    #[must_use]
    pub fn of_name(name: &str, format: RecipeFormat, named: bool) -> Self {
        const V0: [&str; 12] = [
            ".7z",
            ".tar",
            ".tar.bz2",
            ".tar.gz",
            ".tar.lzma",
            ".tar.xz",
            ".tar.z",
            ".tar.zst",
            ".tgz",
            ".zip",
            ".rpm",
            ".deb",
        ];
        const V1: [&str; 21] = [
            ".tar.gz",
            ".tgz",
            ".taz",
            ".tar.bz2",
            ".tbz",
            ".tbz2",
            ".tz2",
            ".tar.lzma",
            ".tlz",
            ".tar.xz",
            ".txz",
            ".tar.zst",
            ".tzst",
            ".tar.Z",
            ".taZ",
            ".tar.lz",
            ".tar.lzo",
            ".tar",
            ".zip",
            ".7z",
            ".tar.lzip",
        ];
        match format {
            RecipeFormat::V0 => {
                let name = name.to_lowercase();
                if name.ends_with(".whl") {
                    Self::Both
                } else if V0.iter().any(|end| name.ends_with(end)) {
                    Self::Yes
                } else {
                    Self::No
                }
            }
            RecipeFormat::V1 if !named && V1.iter().any(|end| name.ends_with(end)) => Self::Yes,
            RecipeFormat::V1 => Self::No,
        }
    }
}

/// How an archive is packed, by its first bytes: names lie (conda-build's libarchive looks at the bytes too).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Tar,
    Gzip,
    Bzip2,
    Xz,
    Lzma,
    Zstd,
    Zip,
    Unsupported(&'static str),
    WebPage,
}

fn packing(head: &[u8], name: &str) -> Packing {
    let name = name.to_lowercase();
    match head {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [b'B', b'Z', b'h', ..] => Packing::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Packing::Zip,
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Packing::Unsupported("7z"),
        [0xed, 0xab, 0xee, 0xdb, ..] => Packing::Unsupported("rpm"),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => Packing::Unsupported("deb"),
        [0x1f, 0x9d, ..] => Packing::Unsupported("compress (.Z)"),
        [b'L', b'Z', b'I', b'P', ..] => Packing::Unsupported("lzip"),
        [0x89, b'L', b'Z', b'O', ..] => Packing::Unsupported("lzop"),
        [0x5d, 0, 0, ..] if name.ends_with("lzma") || name.ends_with(".tlz") => Packing::Lzma,
        head if is_web_page(head) => Packing::WebPage,
        // A zip may begin with anything (a self-extracting one with a program): its list stands at the end.
        _ if name.ends_with(".zip") || name.ends_with(".whl") => Packing::Zip,
        _ => Packing::Tar,
    }
}

/// Whether a file begins as a web page, which is what servers send in place of a file that is gone.
pub(super) fn is_web_page(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&head[..head.len().min(512)]).trim_start().to_lowercase();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

/// Unpacks an archive into a folder that is new and empty.
///
/// # Errors
/// `Kind::Unavailable` for an archive that is damaged, hostile, too large or of a kind that gonda can't read; its
/// message names the member. What was unpacked until then stays in the folder.
pub(super) fn unpack(archive: &Path, name: &str, into: &Path, limits: &Limits) -> Result<Unpacked> {
    let file = fs_err::File::open(archive)?;
    let packed = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(128 * 1024, file);
    let head = reader.fill_buf()?;
    if head.is_empty() {
        return Err(damaged(name, "it is empty"));
    }
    let mut head = head.to_vec();
    head.truncate(512);
    let packing = packing(&head, name);
    let cap = limits.unpacked(packed);
    let mut writer = writer::Writer::new(into, cap, limits.members);
    let result = match packing {
        Packing::Zip => zip::unpack(reader, &mut writer),
        Packing::Unsupported(kind) => {
            return Err(Error::new(
                Kind::Unavailable,
                format!("`{name}` is a {kind} archive, which gonda can't unpack"),
            )
            .help("use an archive of kind tar (gz, bz2, xz, zst) or zip"));
        }
        Packing::WebPage => {
            return Err(Error::new(Kind::Unavailable, format!("`{name}` is a web page, not an archive"))
                .help("the url is not that of a file any more; correct the url and the digest"));
        }
        packing => open_tar(reader, packing).and_then(|reader| tar::unpack(reader, &mut writer)),
    };
    result.map_err(|why| explain(name, why))?;
    writer.finish().map_err(|why| explain(name, why))
}

/// Why an archive can't be unpacked.
#[derive(Debug)]
enum Trouble {
    /// Its bytes are not what they should be, or it is hostile.
    Archive(String),
    /// One of its members is.
    Member { name: String, why: String },
    /// The machine refused.
    Machine(Error),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Archive(error.to_string())
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Machine(error)
    }
}

fn explain(name: &str, trouble: Trouble) -> Error {
    match trouble {
        Trouble::Archive(why) => damaged(name, &why),
        Trouble::Member { name: member, why } => damaged(name, &format!("member `{member}`: {why}")),
        Trouble::Machine(error) => error,
    }
}

fn damaged(name: &str, why: &str) -> Error {
    Error::new(Kind::Unavailable, format!("the archive `{name}` can't be unpacked: {why}"))
        .help("nothing was written outside the work folder; look at the archive before you trust it")
}

fn open_tar(reader: impl BufRead + 'static, packing: Packing) -> Result<Box<dyn Read>, Trouble> {
    // What decoders may use: xz -9 takes 65 MB, zstd --ultra --long=30 one GB.
    const XZ_MEMORY: u64 = 1 << 30;
    const ZSTD_WINDOW: u32 = 30;
    Ok(match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
        Packing::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(|error| Trouble::Archive(error.to_string()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
        }
        Packing::Lzma => {
            let stream = liblzma::stream::Stream::new_lzma_decoder(XZ_MEMORY)
                .map_err(|error| Trouble::Archive(error.to_string()))?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
        }
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        _ => Box::new(reader),
    })
}

/// The body of a fuzz test: unpacks any bytes into a fresh folder and holds what must always hold: an error or a
/// result, limits kept, nothing beside the folder, each file below it a file, folder or link.
///
/// # Errors
/// As unpacking: that is not a finding. A finding is an error of kind [`Kind::Bug`].
pub fn check_archive(bytes: &[u8], name: &str, limits: &Limits) -> Result<Unpacked> {
    let outer = tempfile::tempdir()?;
    let archive = outer.path().join("archive");
    let into = outer.path().join("into");
    fs_err::write(&archive, bytes)?;
    fs_err::create_dir(&into)?;
    let result = unpack(&archive, name, &into, limits);
    let finding = |text: String| Err(Error::new(Kind::Bug, text));
    let beside = fs_err::read_dir(outer.path())?.count();
    if beside != 2 {
        return finding(format!("{beside} entries beside the folder"));
    }
    let mut size = 0;
    for entry in walkdir::WalkDir::new(&into) {
        let entry = entry.map_err(|error| Error::new(Kind::Bug, format!("unreadable: {error}")))?;
        let kind = entry.file_type();
        if kind.is_file() {
            size += entry.metadata().map_or(0, |metadata| metadata.len());
        } else if !kind.is_dir() && !kind.is_symlink() {
            return finding(format!("`{}` is no file, folder or link", entry.path().display()));
        }
    }
    let links = result.as_ref().map_or(limits.members, |unpacked| unpacked.members);
    if size > limits.unpacked(bytes.len() as u64).saturating_mul(links.max(1)) {
        return finding(format!("{size} bytes were unpacked from {}", bytes.len()));
    }
    result
}

#[cfg(test)]
mod tests;
