//! The build information that Go's linker leaves in a binary: toolchain, modules and build settings, as
//! `go version -m` shows them.

use std::io::{Cursor, Read, Seek};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::exe::{Exe, Source, Span};
use crate::quote::{quoted_prefix, unquote};

/// What a Go binary says of its build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// The toolchain, such as `go1.22.3` or `devel go1.23-…`.
    pub go_version: String,
    /// The import path of the main package; empty where the binary was built without modules.
    pub path: String,
    /// The main package's module.
    pub main: Option<BuildModule>,
    /// The modules of all other packages.
    pub deps: Vec<BuildModule>,
    /// Settings such as `GOOS`, `CGO_ENABLED`, `-trimpath` and `vcs.revision`, in the file's order.
    pub settings: Vec<(String, String)>,
    /// The information is there, but `go version -m` says `not a Go executable`: patchelf has sorted segments of size 0
    /// before those that hold it, and Go's reader takes the first of them for a match.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden_from_go: bool,
}

/// A module in a binary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildModule {
    /// The module path.
    pub path: String,
    /// The version, or `(devel)`.
    pub version: String,
    /// `h1:…`; empty where it is not known: the main module, a vendored or a replaced one.
    pub sum: String,
    /// What stands in for it.
    pub replace: Option<Box<BuildModule>>,
}

impl BuildInfo {
    /// The value of a setting.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Why there is no build information.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildInfoError {
    /// Neither ELF, PE nor Mach-O, or malformed.
    #[error("unrecognized file format")]
    Format,
    /// An executable, but not one of Go's (or one older than Go 1.13).
    #[error("not a Go executable")]
    NotGo,
    /// A program of Go's whose build information is gone.
    #[error("a Go executable without readable build information")]
    Lost,
    /// The file can't be read.
    #[error("the file can't be read: {0}")]
    Read(std::io::ErrorKind),
    /// The text is malformed.
    #[error("could not parse Go build info: line {line}: {reason}")]
    Text {
        /// 1-based.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Reads the build information of an ELF, PE or Mach-O file, in today's format and in that of Go before 1.18.
///
/// # Errors
///
/// When the file is none of these, no Go program, or its information is malformed.
pub fn read_build_info(file: &[u8]) -> Result<BuildInfo, BuildInfoError> {
    read_build_info_from(&mut Cursor::new(file))
}

/// As [`read_build_info`], of what is read only where the information is.
///
/// # Errors
///
/// As [`read_build_info`]; what the reader says.
pub fn read_build_info_from(file: &mut (impl Read + Seek)) -> Result<BuildInfo, BuildInfoError> {
    let source = Source::new(file).map_err(|error| BuildInfoError::Read(error.kind()))?;
    let read = || {
        let exe = Exe::parse(&source).ok_or(BuildInfoError::Format)?;
        let header = find_header(&exe);
        let found = header.and_then(|header| raw(&exe, header));
        let (Some(header), Some((go_version, modules))) = (header, found) else {
            return Err(if exe.marked { BuildInfoError::Lost } else { BuildInfoError::NotGo });
        };
        Ok(BuildInfo { go_version, hidden_from_go: exe.hides_from_go(header), ..parse(&modules)? })
    };
    let read = read();
    match source.failed() {
        Some(kind) => Err(BuildInfoError::Read(kind)),
        None => read,
    }
}

const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGN: u64 = 16;
const HEADER: usize = 32;
/// No text is longer. That of a program of a thousand modules has some 100 kB.
const LONGEST: u64 = 16 << 20;

/// The version and the text about modules.
fn raw(exe: &Exe<'_, '_>, header: u64) -> Option<(String, String)> {
    let blob = exe.at(header)?;
    let start = blob.bytes(0, HEADER)?;
    let flags = start[15];
    const INLINE: u8 = 2;
    let (version, modules) = if flags & INLINE == INLINE {
        let (version, end) = counted(blob, HEADER as u64)?;
        (version, counted(blob, end)?.0)
    } else {
        let pointers = Pointers { exe, size: usize::from(start[14]), big: flags & 1 == 1 };
        let version = pointers.string(pointers.read(&start[16..])?)?;
        let modules = pointers.read(start.get(16 + pointers.size..)?)?;
        (version, pointers.string(modules).unwrap_or_default())
    };
    if version.is_empty() {
        return None;
    }
    // The text stands between two marks of 16 bytes.
    let framed = modules.len() >= 33 && modules[modules.len() - 17] == b'\n';
    let modules = if framed { &modules[16..modules.len() - 16] } else { &[] };
    Some((String::from_utf8_lossy(&version).into_owned(), String::from_utf8_lossy(modules).into_owned()))
}

/// The address of the header: the first aligned place of the magic.
fn find_header(exe: &Exe<'_, '_>) -> Option<u64> {
    let (start, size) = exe.data;
    let aligned = start.checked_next_multiple_of(ALIGN)?;
    let data = exe.at(aligned)?;
    let size = start.checked_add(size)?.checked_sub(aligned)?.min(data.size());
    let mut buffer = vec![0; 1 << 16];
    let mut offset = 0;
    while offset < size {
        let wanted = usize::try_from(size - offset).unwrap_or(usize::MAX).min(buffer.len());
        let filled = data.fill(offset, &mut buffer[..wanted]);
        if let Some(index) = buffer[..filled].chunks(16).position(|chunk| chunk.starts_with(MAGIC)) {
            return aligned.checked_add(offset)?.checked_add(u64::try_from(index).ok()? * ALIGN);
        }
        if filled < wanted {
            break;
        }
        offset += filled as u64;
    }
    None
}

/// A string with its length before it, as a varint; and where it ends.
fn counted(blob: Span<'_, '_>, offset: u64) -> Option<(Vec<u8>, u64)> {
    let mut length: u64 = 0;
    let mut varint = [0; 10];
    let filled = blob.fill(offset, &mut varint);
    for (index, byte) in (0_u32..).zip(&varint[..filled]) {
        let bits = u64::from(byte & 0x7f);
        length |= bits.checked_shl(7 * index)?;
        if byte & 0x80 == 0 {
            let start = offset.checked_add(u64::from(index) + 1)?;
            let text = blob.bytes(start, usize::try_from(length).ok().filter(|_| length <= LONGEST)?)?;
            return Some((text, start.checked_add(length)?));
        }
    }
    None
}

/// Go strings by address: the format before 1.18.
struct Pointers<'e, 's, 'a> {
    exe: &'e Exe<'s, 'a>,
    size: usize,
    big: bool,
}

impl Pointers<'_, '_, '_> {
    fn read(&self, bytes: &[u8]) -> Option<u64> {
        if self.size != 4 && self.size != 8 {
            return None;
        }
        let bytes = bytes.get(..self.size)?;
        let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) })
    }

    fn string(&self, address: u64) -> Option<Vec<u8>> {
        let header = self.exe.at(address)?.bytes(0, 2 * self.size)?;
        let length = self.read(header.get(self.size..)?).filter(|length| *length <= LONGEST)?;
        self.exe.at(self.read(&header)?)?.bytes(0, usize::try_from(length).ok()?)
    }
}

/// Reads the text about modules.
fn parse(text: &str) -> Result<BuildInfo, BuildInfoError> {
    let mut info = BuildInfo::default();
    let mut last: Option<Last> = None;
    for (index, line) in text.lines().enumerate() {
        let fail = |reason| BuildInfoError::Text { line: index + 1, reason };
        let Some((word, rest)) = line.split_once('\t') else { continue };
        match word {
            "path" => info.path = rest.to_owned(),
            "mod" => {
                info.main = Some(module(rest).map_err(fail)?);
                last = Some(Last::Main);
            }
            "dep" => {
                info.deps.push(module(rest).map_err(fail)?);
                last = Some(Last::Dep);
            }
            "=>" => {
                let columns: Vec<&str> = rest.split('\t').collect();
                let [path, version, sum] = columns.as_slice() else {
                    return Err(fail("expected 3 columns for replacement"));
                };
                let replaced = match last.take() {
                    Some(Last::Main) => info.main.as_mut(),
                    Some(Last::Dep) => info.deps.last_mut(),
                    None => None,
                };
                let replaced = replaced.ok_or_else(|| fail("replacement with no module on previous line"))?;
                let new = BuildModule {
                    path: (*path).to_owned(),
                    version: (*version).to_owned(),
                    sum: (*sum).to_owned(),
                    replace: None,
                };
                replaced.replace = Some(Box::new(new));
            }
            "build" => info.settings.push(setting(rest).map_err(fail)?),
            _ => {}
        }
    }
    Ok(info)
}

enum Last {
    Main,
    Dep,
}

fn module(columns: &str) -> Result<BuildModule, &'static str> {
    let columns: Vec<&str> = columns.split('\t').collect();
    let (path, version, sum) = match columns.as_slice() {
        [path, version] => (*path, *version, ""),
        [path, version, sum] => (*path, *version, *sum),
        _ => return Err("expected 2 or 3 columns"),
    };
    Ok(BuildModule { path: path.to_owned(), version: version.to_owned(), sum: sum.to_owned(), replace: None })
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = if text.starts_with(['"', '`']) {
        let (key, rest) = quoted_prefix(text).ok_or("invalid quoted key in build line")?;
        (key, rest.strip_prefix('=').ok_or("build line missing '=' after quoted key")?)
    } else {
        let (key, value) = text.split_once('=').ok_or("build line missing '='")?;
        if key.is_empty() {
            return Err("build line with missing key");
        }
        (key.to_owned(), value)
    };
    let value = if value.starts_with(['"', '`']) {
        unquote(value).ok_or("invalid quoted value in build line")?
    } else {
        value.to_owned()
    };
    Ok((key, value))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const TEXT: &str = "path\ta.b/m/cmd\nmod\ta.b/m\t(devel)\t\ndep\tc.d/x\tv1.0.0\th1:x=\ndep\tc.d/y\tv1.0.0\n=>\t./y\t(devel)\t\nbuild\t-ldflags=\"-X \\\"a b\\\"\"\nbuild\tGOOS=linux\n";

    /// A blob in today's format.
    pub(crate) fn blob(version: &str, text: &str) -> Vec<u8> {
        let mut blob = MAGIC.to_vec();
        blob.extend([8, 2]);
        blob.resize(HEADER, 0);
        for text in [version.to_owned(), format!("{0}{text}{0}", "0123456789abcdef")] {
            let mut length = text.len();
            while length >= 0x80 {
                blob.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            blob.push(u8::try_from(length).unwrap());
            blob.extend(text.as_bytes());
        }
        blob
    }

    /// A 64-bit ELF file without sections, with one writable segment at 0x400000.
    pub(crate) fn elf(data: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 128];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        let length = u64::try_from(data.len()).unwrap();
        let mut header = Vec::new();
        header.extend(1_u32.to_le_bytes());
        header.extend(6_u32.to_le_bytes());
        for word in [128, 0x40_0000, 0x40_0000, length, length, 16_u64] {
            header.extend(word.to_le_bytes());
        }
        file[64..120].copy_from_slice(&header);
        file.extend(data);
        file
    }

    #[test]
    fn inline() {
        let mut data = vec![0xff; 48];
        // Not aligned, so not it.
        data[3..17].copy_from_slice(MAGIC);
        data.extend(blob("go1.22.3", TEXT));
        let info = read_build_info(&elf(&data)).unwrap();
        assert_eq!((info.go_version.as_str(), info.path.as_str()), ("go1.22.3", "a.b/m/cmd"));
        assert_eq!(info.main.as_ref().unwrap().version, "(devel)");
        assert_eq!(info.deps[0].sum, "h1:x=");
        assert_eq!(info.deps[1].replace.as_ref().unwrap().path, "./y");
        assert_eq!(info.setting("-ldflags"), Some("-X \"a b\""));
        assert_eq!(info.setting("GOOS"), Some("linux"));
    }

    #[test]
    fn by_pointers() {
        let base = 0x40_0000_u64;
        let mut data = MAGIC.to_vec();
        data.extend([8, 0]);
        data.extend((base + 32).to_le_bytes());
        data.extend((base + 48).to_le_bytes());
        let text = format!("{0}path\tx.y\n{0}", "0123456789abcdef");
        for (offset, length) in [(64, 8), (72, text.len())] {
            data.extend((base + offset).to_le_bytes());
            data.extend(u64::try_from(length).unwrap().to_le_bytes());
        }
        data.extend(b"go1.17.1");
        data.extend(text.as_bytes());
        let info = read_build_info(&elf(&data)).unwrap();
        assert_eq!((info.go_version.as_str(), info.path.as_str()), ("go1.17.1", "x.y"));
    }

    #[test]
    fn none() {
        assert_eq!(read_build_info(b"#!/bin/sh\n"), Err(BuildInfoError::Format));
        assert_eq!(read_build_info(&elf(&[0; 64])), Err(BuildInfoError::NotGo));
        assert_eq!(read_build_info(&elf(&blob("go1.22", TEXT)[..40])), Err(BuildInfoError::NotGo));
        let error = read_build_info(&elf(&blob("go1.22", "=>\ta\tb\tc\n"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not parse Go build info: line 1: replacement with no module on previous line"
        );
    }
}
