//! What a compiled file says of itself: for which machine and system it is, what it needs there, whether its signature
//! holds. ELF, PE and Mach-O, from bytes alone.
//!
//! A file is read where its headers point, never as a whole: a program of a gigabyte takes no more memory than a small
//! one. [`window`] bounds what a hostile file can ask for.

mod elf;
mod macho;
mod pe;
mod signature;
mod window;

use std::fmt;
use std::io::{Cursor, Read, Seek};

use object::read::FileKind;
use object::{elf as elf_format, macho as macho_format, pe as pe_format};
use rattler_conda_types::{Arch, Subdir};
use serde::Serialize;

use signature::PageHashes;
use window::Stream;

/// The container formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Linux and most other systems.
    Elf,
    /// Windows.
    Pe,
    /// macOS.
    MachO,
}

/// The instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Machine {
    X86,
    #[serde(rename = "x86_64")]
    X86_64,
    Arm,
    Arm64,
    Ppc64,
    Ppc64le,
    S390x,
    Riscv64,
    Loong64,
    Other,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86 => "x86",
            Self::X86_64 => "x86_64",
            Self::Arm => "arm",
            Self::Arm64 => "arm64",
            Self::Ppc64 => "ppc64",
            Self::Ppc64le => "ppc64le",
            Self::S390x => "s390x",
            Self::Riscv64 => "riscv64",
            Self::Loong64 => "loong64",
            Self::Other => "another machine",
        })
    }
}

/// The operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Os {
    Linux,
    MacOs,
    Windows,
    FreeBsd,
    NetBsd,
    OpenBsd,
    Solaris,
    Other,
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux => "linux",
            Self::MacOs => "macos",
            Self::Windows => "windows",
            Self::FreeBsd => "freebsd",
            Self::NetBsd => "netbsd",
            Self::OpenBsd => "openbsd",
            Self::Solaris => "solaris",
            Self::Other => "another system",
        })
    }
}

/// What a compiled file is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It can be started.
    Program,
    /// Programs load it.
    Library,
    /// Linkers read it.
    Object,
}

/// A compiled file; of a universal Mach-O file, its first image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binary {
    /// Container.
    pub format: Format,
    /// Instruction set.
    pub machine: Machine,
    /// Operating system.
    pub os: Os,
    /// What it is there for. An ELF file of the shared kind is a program if it says so, has an interpreter, or has an
    /// entry point and no name as a library.
    pub role: Role,
    /// Whether it can be loaded at any address (ELF, programs only).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pie: bool,
    /// Whether it has a dynamic section (ELF): what a loader, or its own start code, relocates it by.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dynamic: bool,
    /// `PT_INTERP`, `LC_LOAD_DYLINKER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Libraries that it names, in their order.
    pub needed: Vec<String>,
    /// `DT_RPATH`, `DT_RUNPATH`, `LC_RPATH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rpaths: Vec<String>,
    /// The newest `GLIBC_x.y` among the symbol versions that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glibc: Option<String>,
    /// The oldest system it says it runs on: macOS `12.0`, Windows' subsystem version `6.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_os: Option<String>,
    /// Windows' subsystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<Subsystem>,
    /// Mach-O code signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// The other images of a universal Mach-O file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Binary>,
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.os, self.machine)?;
        for image in &self.images {
            write!(f, "+{}", image.machine)?;
        }
        f.write_str(match self.role {
            Role::Program => " program",
            Role::Library => " library",
            Role::Object => " object file",
        })
    }
}

/// Windows' subsystems, as far as programs differ by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subsystem {
    /// In a terminal.
    Console,
    /// With windows.
    Gui,
    /// Drivers and the like.
    Other,
}

/// A Mach-O code signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Made without an identity, as Go's linker does.
    pub adhoc: bool,
    /// Whether all page hashes are those of the file; `None` if they are of a kind that isn't recomputed.
    pub intact: Option<bool>,
}

/// No more names are taken from a file, and none longer.
const MOST_NAMES: usize = 4096;
const LONGEST_NAME: usize = 4096;
/// No more images of a universal file are looked at.
const MOST_IMAGES: usize = 16;

impl Binary {
    /// What a file is; `None` if it is no ELF, PE or Mach-O file.
    ///
    /// # Errors
    /// A file of these formats that is broken: what is wrong with it.
    pub fn read(file: &mut (impl Read + Seek)) -> Option<Result<Self, String>> {
        let (mut binary, directories) = {
            let stream = Stream::new(&mut *file);
            let window = stream.window()?;
            let head = window.head()?;
            if !could_be(head) {
                return None;
            }
            let parsed = match FileKind::parse(window) {
                Ok(FileKind::Elf32) => elf::parse::<elf_format::FileHeader32<object::Endianness>, _>(window),
                Ok(FileKind::Elf64) => elf::parse::<elf_format::FileHeader64<object::Endianness>, _>(window),
                Ok(FileKind::Pe32) => pe::parse::<pe_format::ImageNtHeaders32, _>(window),
                Ok(FileKind::Pe64) => pe::parse::<pe_format::ImageNtHeaders64, _>(window),
                Ok(FileKind::MachO32) => macho::parse::<macho_format::MachHeader32<object::Endianness>, _>(window),
                Ok(FileKind::MachO64) => macho::parse::<macho_format::MachHeader64<object::Endianness>, _>(window),
                // Java classes begin with the same bytes; their version stands where the count of images would.
                Ok(FileKind::MachOFat32) if head.get(4..8).is_some_and(|count| count > [0, 0, 0, 30].as_slice()) => {
                    return None;
                }
                Ok(FileKind::MachOFat32) => macho::parse_universal::<macho_format::FatArch32, _>(window),
                Ok(FileKind::MachOFat64) => macho::parse_universal::<macho_format::FatArch64, _>(window),
                _ => return None,
            };
            if stream.is_exhausted() {
                return Some(Err("its headers ask for more bytes than those of any real program".to_owned()));
            }
            match parsed {
                Ok(parsed) => parsed,
                Err(Broken(why)) => return Some(Err(why)),
            }
        };
        Some(match signature::check(&mut binary, &directories, file) {
            Ok(()) => Ok(binary),
            Err(error) => Err(format!("its signed pages can't be read: {error}")),
        })
    }

    /// [`Binary::read`] of bytes in memory.
    ///
    /// # Errors
    /// As [`Binary::read`].
    pub fn parse(data: &[u8]) -> Option<Result<Self, String>> {
        Self::read(&mut Cursor::new(data))
    }

    /// The image that is for a conda platform, if there is one.
    #[must_use]
    pub fn image_for(&self, subdir: Subdir) -> Option<&Self> {
        std::iter::once(self).chain(&self.images).find(|image| image.is_itself_for(subdir))
    }

    /// Whether it, or one of its images, is for a conda platform.
    #[must_use]
    pub fn is_for(&self, subdir: Subdir) -> bool {
        self.image_for(subdir).is_some()
    }

    fn is_itself_for(&self, subdir: Subdir) -> bool {
        let os = match self.os {
            Os::Linux => subdir.is_linux(),
            Os::MacOs => subdir.is_osx(),
            Os::Windows => subdir.is_windows(),
            _ => false,
        };
        let machine = match subdir.arch() {
            Some(Arch::X86) => Machine::X86,
            Some(Arch::X86_64) => Machine::X86_64,
            Some(Arch::Aarch64 | Arch::Arm64) => Machine::Arm64,
            Some(Arch::ArmV6l | Arch::ArmV7l) => Machine::Arm,
            Some(Arch::Ppc64le) => Machine::Ppc64le,
            Some(Arch::Ppc64) => Machine::Ppc64,
            Some(Arch::S390X) => Machine::S390x,
            Some(Arch::Riscv64) => Machine::Riscv64,
            Some(Arch::LoongArch64) => Machine::Loong64,
            _ => return false,
        };
        os && self.machine == machine
    }

    /// A file of which nothing is known but its container.
    fn unknown(format: Format) -> Self {
        Self {
            format,
            machine: Machine::Other,
            os: Os::Other,
            role: Role::Library,
            pie: false,
            dynamic: false,
            interpreter: None,
            needed: Vec::new(),
            rpaths: Vec::new(),
            glibc: None,
            min_os: None,
            subsystem: None,
            signature: None,
            images: Vec::new(),
        }
    }
}

/// Whether a file that begins with these bytes can be a binary; four are enough to tell.
#[must_use]
pub fn could_be(head: &[u8]) -> bool {
    let magics: [&[u8]; 8] = [
        b"\x7fELF",
        b"MZ",
        b"\xfe\xed\xfa\xce",
        b"\xce\xfa\xed\xfe",
        b"\xfe\xed\xfa\xcf",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"\xca\xfe\xba\xbf",
    ];
    magics.iter().any(|magic| head.starts_with(magic))
}

/// A file, and what its signatures say of its pages.
type Parsed<T = (Binary, Vec<PageHashes>)> = Result<T, Broken>;

/// What is wrong with a file.
#[derive(Debug)]
struct Broken(String);

impl From<object::read::Error> for Broken {
    fn from(error: object::read::Error) -> Self {
        Self(error.to_string())
    }
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_NAME)]).into_owned()
}

#[cfg(test)]
mod tests;
