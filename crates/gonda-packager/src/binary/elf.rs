//! ELF: Linux, and the systems that share it.

use std::io::{Read, Seek};

use object::read::StringTable;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, ReadRef, elf};

use super::window::Window;
use super::{Binary, Format, MOST_NAMES, Machine, Os, Parsed, Role, name};

pub(super) fn parse<'a, Elf, R>(data: Window<'a, R>) -> Parsed
where
    Elf: FileHeader<Endian = Endianness>,
    R: Read + Seek,
{
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut binary = Binary { machine: machine(header, endian), os: os(header), ..Binary::unknown(Format::Elf) };
    let (mut own_name, mut says_pie, mut strings) = (false, false, None);
    for segment in segments {
        // Files with debug information alone keep the headers of what they belong to, without the bytes.
        if let Ok(Some(path)) = segment.interpreter(endian, data) {
            binary.interpreter = Some(name(path));
        }
        if let Ok(Some(mut notes)) = segment.notes(endian, data) {
            // Systems that share ABI 0 with Linux mark their programs.
            for _ in 0..MOST_NAMES {
                let Ok(Some(note)) = notes.next() else { break };
                binary.os = match note.name() {
                    b"FreeBSD" => Os::FreeBsd,
                    b"NetBSD" => Os::NetBsd,
                    b"OpenBSD" => Os::OpenBsd,
                    _ => binary.os,
                };
            }
        }
        let Ok(Some(dynamic)) = segment.dynamic(endian, data) else { continue };
        binary.dynamic = true;
        let entries = || dynamic.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL);
        let value = |tag| entries().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
        says_pie |= value(elf::DT_FLAGS_1).is_some_and(|flags| flags & elf::DF_1_PIE.0 != 0);
        let Some(offset) = value(elf::DT_STRTAB).and_then(|address| offset_of::<Elf>(segments, endian, address)) else {
            continue;
        };
        let length = data.len().unwrap_or(0);
        let end = offset.saturating_add(value(elf::DT_STRSZ).unwrap_or(0)).min(length);
        let table = StringTable::new(data, offset, end);
        strings = Some(table);
        for entry in entries().take(MOST_NAMES) {
            let list = match entry.tag(endian) {
                elf::DT_NEEDED => &mut binary.needed,
                elf::DT_RPATH | elf::DT_RUNPATH => &mut binary.rpaths,
                elf::DT_SONAME => {
                    own_name = true;
                    continue;
                }
                _ => continue,
            };
            list.extend(entry.string(endian, table).ok().map(name));
        }
    }
    binary.glibc = strings.and_then(|strings| newest_glibc(header, endian, data, strings));
    let entry: u64 = header.e_entry(endian).into();
    let shared = header.e_type(endian) == elf::ET_DYN;
    binary.role = match header.e_type(endian) {
        elf::ET_EXEC => Role::Program,
        elf::ET_DYN if says_pie || binary.interpreter.is_some() || (!own_name && entry != 0) => Role::Program,
        elf::ET_REL => Role::Object,
        _ => Role::Library,
    };
    binary.pie = shared && binary.role == Role::Program;
    Ok((binary, Vec::new()))
}

fn machine<Elf: FileHeader<Endian = Endianness>>(header: &Elf, endian: Endianness) -> Machine {
    let little = header.is_little_endian();
    match header.e_machine(endian) {
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
    }
}

fn os<Elf: FileHeader>(header: &Elf) -> Os {
    match header.e_ident().os_abi {
        elf::ELFOSABI_NONE | elf::ELFOSABI_LINUX => Os::Linux,
        elf::ELFOSABI_FREEBSD => Os::FreeBsd,
        elf::ELFOSABI_NETBSD => Os::NetBsd,
        elf::ELFOSABI_OPENBSD => Os::OpenBsd,
        elf::ELFOSABI_SOLARIS => Os::Solaris,
        _ => Os::Other,
    }
}

/// Where in the file an address of memory is loaded from.
fn offset_of<Elf: FileHeader<Endian = Endianness>>(
    segments: &[Elf::ProgramHeader],
    endian: Endianness,
    address: u64,
) -> Option<u64> {
    segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
        let start: u64 = segment.p_vaddr(endian).into();
        let (offset, size) = segment.file_range(endian);
        let inside = address.checked_sub(start).filter(|inside| *inside < size)?;
        offset.checked_add(inside)
    })
}

/// The newest version of glibc's symbols that a file asks for.
fn newest_glibc<'a, Elf: FileHeader, R: Read + Seek>(
    header: &Elf,
    endian: Elf::Endian,
    data: Window<'a, R>,
    strings: StringTable<'a, Window<'a, R>>,
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
