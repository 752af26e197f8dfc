//! What a compiled file says of itself: for which machine and system it is, what it needs there, whether its signature
//! holds. ELF, PE and Mach-O, from bytes alone.

use std::collections::BTreeSet;
use std::fmt;

use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::read::macho::{FatArch, MachHeader, MachOFatFile32, MachOFatFile64};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile};
use object::read::{FileKind, StringTable};
use object::{BigEndian, Endian, elf, macho, pe};
use rattler_conda_types::{Arch, Subdir};
use serde::Serialize;
use sha2::{Digest, Sha256};

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

/// A compiled file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binary {
    /// Container.
    pub format: Format,
    /// Instruction set; of a universal Mach-O file, the first.
    pub machine: Machine,
    /// The other instruction sets of a universal Mach-O file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Machine>,
    /// Operating system.
    pub os: Os,
    /// Whether it can be started: a program, not a library or object file. For ELF: it has an interpreter, or is not
    /// shared, or has no name of its own and an entry point.
    pub executable: bool,
    /// `PT_INTERP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Libraries that it names, in their order.
    pub needed: Vec<String>,
    /// `DT_RPATH`, `DT_RUNPATH`, `LC_RPATH`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rpaths: Vec<String>,
    /// The newest `GLIBC_x.y` among its symbol versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glibc: Option<String>,
    /// The oldest system it says it runs on: macOS `12.0`, Windows' subsystem version `6.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_os: Option<String>,
    /// Windows' subsystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<Subsystem>,
    /// Mach-O code signature; of a universal file, that of the first part that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl std::fmt::Display for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.os, self.machine)?;
        for machine in &self.also {
            write!(f, "+{machine}")?;
        }
        f.write_str(if self.executable { " program" } else { " library or object" })?;
        if let Some(interpreter) = &self.interpreter {
            write!(f, ", interpreter {interpreter}")?;
        }
        if !self.needed.is_empty() {
            write!(f, ", needs {}", self.needed.join(" "))?;
        }
        if let Some(glibc) = &self.glibc {
            write!(f, ", glibc {glibc}")?;
        }
        if let Some(min_os) = &self.min_os {
            write!(f, ", from {} {min_os}", self.os)?;
        }
        Ok(())
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

impl Binary {
    /// What the bytes are; `None` if they are no ELF, PE or Mach-O file.
    ///
    /// # Errors
    /// A file of these formats that is broken: what is wrong with it.
    pub fn parse(data: &[u8]) -> Option<Result<Self, String>> {
        if !could_be(data) {
            return None;
        }
        let parsed = match FileKind::parse(data) {
            Ok(FileKind::Elf32) => parse_elf::<elf::FileHeader32<object::Endianness>>(data),
            Ok(FileKind::Elf64) => parse_elf::<elf::FileHeader64<object::Endianness>>(data),
            Ok(FileKind::Pe32) => parse_pe::<pe::ImageNtHeaders32>(data),
            Ok(FileKind::Pe64) => parse_pe::<pe::ImageNtHeaders64>(data),
            Ok(FileKind::MachO32) => parse_macho::<macho::MachHeader32<object::Endianness>>(data),
            Ok(FileKind::MachO64) => parse_macho::<macho::MachHeader64<object::Endianness>>(data),
            Ok(FileKind::MachOFat32) => {
                // Java classes begin with the same bytes; their version stands where the count of parts would.
                if data.get(4..8).is_some_and(|count| u32::from_be_bytes([count[0], count[1], count[2], count[3]]) > 30)
                {
                    return None;
                }
                MachOFatFile32::parse(data).and_then(|fat| parse_fat(data, fat.arches()))
            }
            Ok(FileKind::MachOFat64) => MachOFatFile64::parse(data).and_then(|fat| parse_fat(data, fat.arches())),
            _ => return None,
        };
        Some(parsed.map_err(|error| error.to_string()))
    }

    /// Whether it is for a conda platform.
    #[must_use]
    pub fn is_for(&self, subdir: Subdir) -> bool {
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
        os && (self.machine == machine || self.also.contains(&machine))
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

type Parsed<T = Binary> = object::read::Result<T>;

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_NAME)]).into_owned()
}

fn parse_elf<Elf: FileHeader<Endian = object::Endianness>>(data: &[u8]) -> Parsed {
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let little = header.is_little_endian();
    let machine = match header.e_machine(endian) {
        elf::EM_386 => Machine::X86,
        elf::EM_X86_64 => Machine::X86_64,
        elf::EM_ARM => Machine::Arm,
        elf::EM_AARCH64 => Machine::Arm64,
        elf::EM_PPC64 if little => Machine::Ppc64le,
        elf::EM_PPC64 => Machine::Ppc64,
        elf::EM_S390 => Machine::S390x,
        elf::EM_RISCV if header.is_class_64() => Machine::Riscv64,
        elf::EM_LOONGARCH if header.is_class_64() => Machine::Loong64,
        _ => Machine::Other,
    };
    let mut os = match header.e_ident().os_abi {
        elf::ELFOSABI_NONE | elf::ELFOSABI_LINUX => Os::Linux,
        elf::ELFOSABI_FREEBSD => Os::FreeBsd,
        elf::ELFOSABI_NETBSD => Os::NetBsd,
        elf::ELFOSABI_OPENBSD => Os::OpenBsd,
        elf::ELFOSABI_SOLARIS => Os::Solaris,
        _ => Os::Other,
    };
    let mut interpreter = None;
    let mut strings = None;
    let (mut needed, mut rpaths, mut own_name) = (Vec::new(), Vec::new(), false);
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(name(path));
        }
        if let Ok(Some(mut notes)) = segment.notes(endian, data) {
            // Systems that share ABI 0 with Linux mark their programs.
            for _ in 0..MOST_NAMES {
                let Ok(Some(note)) = notes.next() else { break };
                os = match note.name() {
                    b"FreeBSD" => Os::FreeBsd,
                    b"NetBSD" => Os::NetBsd,
                    b"OpenBSD" => Os::OpenBsd,
                    _ => os,
                };
            }
        }
        let Some(dynamic) = segment.dynamic(endian, data)? else { continue };
        let dynamic = || dynamic.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL);
        let value = |tag| dynamic().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
        // The table is given by its address in memory.
        let offset = value(elf::DT_STRTAB).and_then(|address| {
            segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
                let start: u64 = segment.p_vaddr(endian).into();
                let (offset, size) = segment.file_range(endian);
                let inside = address.checked_sub(start).filter(|inside| *inside < size)?;
                offset.checked_add(inside)
            })
        });
        let Some(offset) = offset else { continue };
        let end = offset.saturating_add(value(elf::DT_STRSZ).unwrap_or(0)).min(data.len() as u64);
        let table = StringTable::new(data, offset, end);
        strings = Some(table);
        for entry in dynamic().take(MOST_NAMES) {
            let list = match entry.tag(endian) {
                elf::DT_NEEDED => &mut needed,
                elf::DT_RPATH | elf::DT_RUNPATH => &mut rpaths,
                elf::DT_SONAME => {
                    own_name = true;
                    continue;
                }
                _ => continue,
            };
            list.push(name(entry.string(endian, table)?));
        }
    }
    let glibc = strings.and_then(|strings| newest_glibc(header, endian, data, strings));
    let entry: u64 = header.e_entry(endian).into();
    let executable = match header.e_type(endian) {
        elf::ET_EXEC => true,
        elf::ET_DYN => interpreter.is_some() || (!own_name && entry != 0),
        _ => false,
    };
    Ok(Binary {
        format: Format::Elf,
        machine,
        also: Vec::new(),
        os,
        executable,
        interpreter,
        needed,
        rpaths,
        glibc,
        min_os: None,
        subsystem: None,
        signature: None,
    })
}

/// The newest version of glibc's symbols that a file asks for.
fn newest_glibc<Elf: FileHeader>(
    header: &Elf,
    endian: Elf::Endian,
    data: &[u8],
    strings: StringTable<'_>,
) -> Option<String> {
    let sections = header.sections(endian, data).ok()?;
    let (mut needs, _) = sections.gnu_verneed(endian, data).ok()??;
    let mut newest: Option<Vec<u64>> = None;
    // Versions may be counted again and again in a file made for it.
    let mut left = 1 << 16;
    while let Ok(Some((_, mut versions))) = needs.next() {
        while let Ok(Some(version)) = versions.next() {
            left -= 1;
            if left == 0 {
                return None;
            }
            let Ok(text) = version.name(endian, strings) else { continue };
            let Some(text) = std::str::from_utf8(text).ok().and_then(|text| text.strip_prefix("GLIBC_")) else {
                continue;
            };
            // `GLIBC_PRIVATE` and its like are no versions.
            let numbers: Option<Vec<u64>> = text.split('.').map(|number| number.parse().ok()).collect();
            newest = newest.max(numbers);
        }
    }
    newest.map(|numbers| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

fn parse_pe<Pe: ImageNtHeaders>(data: &[u8]) -> Parsed {
    let file = PeFile::<Pe>::parse(data)?;
    let header = file.nt_headers();
    let machine = match header.file_header().machine.get(object::LittleEndian) {
        pe::IMAGE_FILE_MACHINE_I386 => Machine::X86,
        pe::IMAGE_FILE_MACHINE_AMD64 => Machine::X86_64,
        pe::IMAGE_FILE_MACHINE_ARMNT => Machine::Arm,
        pe::IMAGE_FILE_MACHINE_ARM64 => Machine::Arm64,
        _ => Machine::Other,
    };
    let mut needed = Vec::new();
    if let Some(table) = file.import_table()? {
        let mut descriptors = table.descriptors()?;
        while let Some(descriptor) = descriptors.next()? {
            if needed.len() == MOST_NAMES {
                break;
            }
            needed.push(name(table.name(descriptor.name.get(object::LittleEndian))?));
        }
    }
    let optional = header.optional_header();
    let library = header.file_header().characteristics.get(object::LittleEndian).0 & pe::IMAGE_FILE_DLL.0 != 0;
    Ok(Binary {
        format: Format::Pe,
        machine,
        also: Vec::new(),
        os: Os::Windows,
        executable: !library,
        interpreter: None,
        needed,
        rpaths: Vec::new(),
        glibc: None,
        min_os: Some(format!("{}.{}", optional.major_subsystem_version(), optional.minor_subsystem_version())),
        subsystem: Some(match optional.subsystem() {
            pe::IMAGE_SUBSYSTEM_WINDOWS_CUI => Subsystem::Console,
            pe::IMAGE_SUBSYSTEM_WINDOWS_GUI => Subsystem::Gui,
            _ => Subsystem::Other,
        }),
        signature: None,
    })
}

fn parse_fat(data: &[u8], arches: &[impl FatArch]) -> Parsed {
    let mut whole: Option<Binary> = None;
    for arch in arches.iter().take(16) {
        let part = arch.data(data)?;
        let part = match FileKind::parse(part)? {
            FileKind::MachO32 => parse_macho::<macho::MachHeader32<object::Endianness>>(part)?,
            FileKind::MachO64 => parse_macho::<macho::MachHeader64<object::Endianness>>(part)?,
            // A universal file of static libraries.
            _ => continue,
        };
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => {
                whole.also.push(part.machine);
                whole.signature = whole.signature.or(part.signature);
                let known: BTreeSet<String> = whole.needed.iter().cloned().collect();
                whole.needed.extend(part.needed.into_iter().filter(|name| !known.contains(name)));
            }
        }
    }
    whole.map_or_else(|| MachOFatFile32::parse(&[][..]).map(|_| unknown()), Ok)
}

/// What is said of a file of which nothing is known.
fn unknown() -> Binary {
    Binary {
        format: Format::MachO,
        machine: Machine::Other,
        also: Vec::new(),
        os: Os::Other,
        executable: false,
        interpreter: None,
        needed: Vec::new(),
        rpaths: Vec::new(),
        glibc: None,
        min_os: None,
        subsystem: None,
        signature: None,
    }
}

fn parse_macho<Mach: MachHeader<Endian = object::Endianness>>(data: &[u8]) -> Parsed {
    let header = Mach::parse(data, 0)?;
    let endian = header.endian()?;
    let mut binary = unknown();
    binary.machine = match header.cputype(endian) {
        macho::CPU_TYPE_X86 => Machine::X86,
        macho::CPU_TYPE_X86_64 => Machine::X86_64,
        macho::CPU_TYPE_ARM => Machine::Arm,
        macho::CPU_TYPE_ARM64 => Machine::Arm64,
        macho::CPU_TYPE_POWERPC64 => Machine::Ppc64,
        _ => Machine::Other,
    };
    binary.executable = header.filetype(endian) == macho::MH_EXECUTE;
    // Files without any word on it are macOS's: only it has ever gone without.
    binary.os = Os::MacOs;
    let version = |version: macho::Version| format!("{}.{}", version.major(), version.minor());
    let mut commands = header.load_commands(endian, data, 0)?;
    while let Some(command) = commands.next()? {
        if binary.needed.len() + binary.rpaths.len() == MOST_NAMES {
            break;
        }
        if let Some(library) = command.dylib()? {
            binary.needed.push(name(command.string(endian, library.dylib.name)?));
        } else if let Some((build, _)) = command.build_version(endian)? {
            if build.platform.get(endian) != macho::PLATFORM_MACOS {
                binary.os = Os::Other;
            }
            binary.min_os = Some(version(build.minos.get(endian)));
        } else {
            match command.cmd() {
                macho::LC_VERSION_MIN_MACOSX => {
                    let least: &macho::VersionMinCommand<_> = command.data()?;
                    binary.min_os = Some(version(least.version.get(endian)));
                }
                macho::LC_VERSION_MIN_IPHONEOS | macho::LC_VERSION_MIN_TVOS | macho::LC_VERSION_MIN_WATCHOS => {
                    binary.os = Os::Other;
                }
                macho::LC_RPATH => {
                    let rpath: &macho::RpathCommand<_> = command.data()?;
                    binary.rpaths.push(name(command.string(endian, rpath.path)?));
                }
                macho::LC_LOAD_DYLINKER => {
                    let linker: &macho::DylinkerCommand<_> = command.data()?;
                    binary.interpreter = Some(name(command.string(endian, linker.name)?));
                }
                macho::LC_CODE_SIGNATURE => {
                    let place: &macho::LinkeditDataCommand<_> = command.data()?;
                    binary.signature =
                        Some(signature(place, endian, data).unwrap_or(Signature { adhoc: false, intact: Some(false) }));
                }
                _ => {}
            }
        }
    }
    Ok(binary)
}

/// Recomputes the page hashes of a signature (Apple's `cs_blobs.h`): macOS on arm64 refuses a program where one is
/// wrong.
fn signature<E: Endian>(place: &macho::LinkeditDataCommand<E>, endian: E, data: &[u8]) -> Parsed<Signature> {
    let signature = place.code_signature(endian, data)?;
    let mut result = Signature { adhoc: false, intact: None };
    let mut blobs = signature.blobs();
    for _ in 0..16 {
        let Some(blob) = blobs.next()? else { break };
        let Some(directory) = blob.code_directory()? else { continue };
        let header = directory.header();
        result.adhoc = header.flags.get(BigEndian).0 & macho::CS_ADHOC.0 != 0;
        // sha256 is what systems of this decade look at; others may stand beside it.
        if header.hash_type != macho::CS_HASHTYPE_SHA256 || !(12..=24).contains(&header.page_size) {
            continue;
        }
        let limit = usize::try_from(directory.code_limit()).unwrap_or(usize::MAX);
        let pages = data.get(..limit).map(|code| code.chunks(1 << header.page_size));
        let declared = usize::try_from(header.n_code_slots.get(BigEndian)).unwrap_or(usize::MAX);
        let intact = pages.is_some_and(|pages| {
            pages.len() == declared
                && pages.zip(0u32..).all(|(page, slot)| {
                    directory.code_hash(slot).is_ok_and(|hash| hash == Sha256::digest(page).as_slice())
                })
        });
        result.intact = Some(intact && result.intact != Some(false));
    }
    Ok(result)
}

#[cfg(test)]
mod tests;
