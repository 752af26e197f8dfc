//! PE: Windows.

use std::io::{Read, Seek};

use object::read::pe::{ImageNtHeaders, ImageOptionalHeader};
use object::{LittleEndian as Le, ReadRef, pe};

use super::window::Window;
use super::{Binary, Format, MOST_NAMES, Machine, Os, Parsed, Role, Subsystem, name};

pub(super) fn parse<'a, Pe: ImageNtHeaders, R: Read + Seek>(data: Window<'a, R>) -> Parsed {
    let dos = pe::ImageDosHeader::parse(data)?;
    let mut offset = u64::from(dos.nt_headers_offset());
    let (header, directories) = Pe::parse(data, &mut offset)?;
    let sections = header.sections(data, offset)?;
    let mut binary = Binary { os: Os::Windows, ..Binary::unknown(Format::Pe) };
    binary.machine = match header.file_header().machine.get(Le) {
        pe::IMAGE_FILE_MACHINE_I386 => Machine::X86,
        pe::IMAGE_FILE_MACHINE_AMD64 => Machine::X86_64,
        pe::IMAGE_FILE_MACHINE_ARMNT => Machine::Arm,
        pe::IMAGE_FILE_MACHINE_ARM64 => Machine::Arm64,
        _ => Machine::Other,
    };
    // Windows' loader takes no more sections either.
    let at = |address: u32| {
        let (offset, size) = sections.iter().take(96).find_map(|section| section.pe_file_range_at(address))?;
        Some((u64::from(offset), u64::from(offset) + u64::from(size)))
    };
    if let Some(directory) = directories.get(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) {
        let table = directory.virtual_address.get(Le);
        let (mut offset, end) = at(table).unwrap_or_default();
        while offset < end && binary.needed.len() < MOST_NAMES {
            let Ok(descriptor) = data.read::<pe::ImageImportDescriptor>(&mut offset) else { break };
            if descriptor.is_null() {
                break;
            }
            let Some((from, to)) = at(descriptor.name.get(Le)) else { break };
            let Ok(text) = data.read_bytes_at_until(from..to.min(from + 4096), 0) else { break };
            binary.needed.push(name(text));
        }
    }
    let optional = header.optional_header();
    let characteristics = header.file_header().characteristics.get(Le);
    binary.role = if characteristics.0 & pe::IMAGE_FILE_DLL.0 == 0 { Role::Program } else { Role::Library };
    binary.min_os = Some(format!("{}.{}", optional.major_subsystem_version(), optional.minor_subsystem_version()));
    binary.subsystem = Some(match optional.subsystem() {
        pe::IMAGE_SUBSYSTEM_WINDOWS_CUI => Subsystem::Console,
        pe::IMAGE_SUBSYSTEM_WINDOWS_GUI => Subsystem::Gui,
        _ => Subsystem::Other,
    });
    Ok((binary, Vec::new()))
}
