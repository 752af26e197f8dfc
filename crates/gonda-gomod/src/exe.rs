//! As much of ELF, PE and Mach-O as it takes to find Go's build information by address.
//!
//! The blob must be looked for in the data that the linker put it into, not anywhere in the file: programs that read build
//! information have the magic among their own constants.

/// A piece of the file that is mapped at an address.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    address: u64,
    offset: u64,
    /// Bytes in the file.
    size: u64,
}

/// An executable's mappings and where its build information lies.
#[derive(Debug)]
pub(crate) struct Exe<'a> {
    file: &'a [u8],
    mappings: Vec<Mapping>,
    /// Address and size of the section, or segment, that holds the build information.
    pub(crate) data: (u64, u64),
}

impl<'a> Exe<'a> {
    /// `None` where the file is of no known format or malformed. A file without data gives an empty range.
    pub(crate) fn parse(file: &'a [u8]) -> Option<Self> {
        match file.get(..4)? {
            b"\x7fELF" => elf(file),
            [b'M', b'Z', ..] => pe(file),
            b"\xfe\xed\xfa\xce" | b"\xfe\xed\xfa\xcf" | b"\xce\xfa\xed\xfe" | b"\xcf\xfa\xed\xfe" => mach_o(file),
            b"\xca\xfe\xba\xbe" => {
                // A universal binary: the first of its architectures.
                let fat = Reader { bytes: file, little: false };
                let (offset, size) = (fat.u32(16)?, fat.u32(20)?);
                mach_o(slice(file, u64::from(offset), u64::from(size))?)
            }
            b"\xca\xfe\xba\xbf" => {
                let fat = Reader { bytes: file, little: false };
                mach_o(slice(file, fat.u64(16)?, fat.u64(24)?)?)
            }
            _ => None,
        }
    }

    /// The bytes from an address to the end of what is mapped there.
    pub(crate) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let mapping = self
            .mappings
            .iter()
            .find(|mapping| address >= mapping.address && address - mapping.address < mapping.size)?;
        let skip = address - mapping.address;
        slice(self.file, mapping.offset.checked_add(skip)?, mapping.size - skip)
    }
}

/// A part of the file, cut where the file ends.
fn slice(file: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok().filter(|start| *start <= file.len())?;
    let rest = &file[start..];
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
    Some(&rest[..size])
}

struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Reader<'_> {
    fn array<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let start = usize::try_from(offset).ok()?;
        let mut bytes: [u8; N] = self.bytes.get(start..start.checked_add(N)?)?.try_into().ok()?;
        if !self.little {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, offset: u64) -> Option<u16> {
        self.array(offset).map(u16::from_le_bytes)
    }

    fn u32(&self, offset: u64) -> Option<u32> {
        self.array(offset).map(u32::from_le_bytes)
    }

    fn u64(&self, offset: u64) -> Option<u64> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// A word of 4 or 8 bytes.
    fn word(&self, offset: u64, wide: bool) -> Option<u64> {
        if wide { self.u64(offset) } else { self.u32(offset).map(u64::from) }
    }
}

/// More headers than this are no executable's.
const MAX_HEADERS: u64 = 65_536;

fn elf(file: &[u8]) -> Option<Exe<'_>> {
    let wide = match file.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let read = Reader { bytes: file, little: file.get(5)? == &1 };
    // Offsets of e_phoff, e_shoff, e_phentsize and what follows.
    let (program, section, sizes) = if wide { (32, 40, 54) } else { (28, 32, 42) };
    let program_headers = read.word(program, wide)?;
    let section_headers = read.word(section, wide)?;
    let program_size = u64::from(read.u16(sizes)?);
    let program_count = u64::from(read.u16(sizes + 2)?);
    let section_size = u64::from(read.u16(sizes + 4)?);
    let section_count = u64::from(read.u16(sizes + 6)?);
    let names_index = u64::from(read.u16(sizes + 8)?);

    let mut mappings = Vec::new();
    let mut writable = None;
    for index in 0..program_count {
        let at = program_headers.checked_add(index * program_size)?;
        let Some(kind) = read.u32(at) else { break };
        // p_flags, p_offset, p_vaddr, p_filesz, p_memsz
        let fields = if wide { (4, 8, 16, 32, 40) } else { (24, 4, 8, 16, 20) };
        let (flags, offset, address, size, memory) = (
            read.u32(at + fields.0)?,
            read.word(at + fields.1, wide)?,
            read.word(at + fields.2, wide)?,
            read.word(at + fields.3, wide)?,
            read.word(at + fields.4, wide)?,
        );
        mappings.push(Mapping { address, offset, size });
        const PT_LOAD: u32 = 1;
        const EXECUTABLE: u32 = 1;
        const WRITABLE: u32 = 2;
        if kind == PT_LOAD && flags & (EXECUTABLE | WRITABLE) == WRITABLE && writable.is_none() {
            writable = Some((address, memory));
        }
    }

    let field = |index: u64, narrow: u64, broad: u64| {
        let at = section_headers.checked_add(index * section_size)?;
        read.word(at.checked_add(if wide { broad } else { narrow })?, wide)
    };
    // Address, offset and size of a section.
    let section = |index: u64| Some((field(index, 12, 16)?, field(index, 16, 24)?, field(index, 20, 32)?));
    let named = || {
        let (_, names, names_size) = section(names_index)?;
        let names = slice(file, names, names_size)?;
        (0..section_count).find_map(|index| {
            let name = read.u32(section_headers.checked_add(index * section_size)?)?;
            let name = names.get(usize::try_from(name).ok()?..)?;
            name.starts_with(b".go.buildinfo\0").then(|| section(index)).flatten()
        })
    };
    let data = named().map(|(address, _, size)| (address, size)).or(writable).unwrap_or_default();
    Some(Exe { file, mappings, data })
}

fn pe(file: &[u8]) -> Option<Exe<'_>> {
    let read = Reader { bytes: file, little: true };
    let header = u64::from(read.u32(0x3c)?);
    let start = usize::try_from(header).ok()?;
    if file.get(start..start.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let count = u64::from(read.u16(header + 6)?);
    let optional_size = u64::from(read.u16(header + 20)?);
    let optional = header + 24;
    let base = match read.u16(optional)? {
        0x10b => u64::from(read.u32(optional + 28)?),
        0x20b => read.u64(optional + 24)?,
        _ => return None,
    };
    let mut mappings = Vec::new();
    let mut data = None;
    for index in 0..count {
        let at = optional + optional_size + index * 40;
        let Some(memory) = read.u32(at + 8) else { break };
        let (virtual_address, size, offset, flags) =
            (read.u32(at + 12)?, read.u32(at + 16)?, read.u32(at + 20)?, read.u32(at + 36)?);
        let address = base.checked_add(u64::from(virtual_address))?;
        mappings.push(Mapping { address, offset: u64::from(offset), size: u64::from(size) });
        const ALIGN_32_BYTES: u32 = 0x60_0000;
        const INITIALIZED_READ_WRITE: u32 = 0xc000_0040;
        let plain = flags & !ALIGN_32_BYTES == INITIALIZED_READ_WRITE;
        if plain && virtual_address != 0 && size != 0 && data.is_none() {
            data = Some((address, u64::from(memory)));
        }
    }
    Some(Exe { file, mappings, data: data.unwrap_or_default() })
}

fn mach_o(file: &[u8]) -> Option<Exe<'_>> {
    let (wide, little) = match file.get(..4)? {
        b"\xfe\xed\xfa\xce" => (false, false),
        b"\xfe\xed\xfa\xcf" => (true, false),
        b"\xce\xfa\xed\xfe" => (false, true),
        b"\xcf\xfa\xed\xfe" => (true, true),
        _ => return None,
    };
    let read = Reader { bytes: file, little };
    let commands = u64::from(read.u32(16)?).min(MAX_HEADERS);
    let mut at: u64 = if wide { 32 } else { 28 };
    let mut mappings = Vec::new();
    let (mut named, mut writable) = (None, None);
    for _ in 0..commands {
        let (Some(command), Some(length)) = (read.u32(at), read.u32(at + 4)) else { break };
        if length < 8 {
            break;
        }
        // LC_SEGMENT and LC_SEGMENT_64
        if command == if wide { 0x19 } else { 0x1 } {
            let step: u64 = if wide { 8 } else { 4 };
            let name = slice(file, at + 8, 16)?;
            let (address, memory) = (read.word(at + 24, wide)?, read.word(at + 24 + step, wide)?);
            let (offset, size) = (read.word(at + 24 + 2 * step, wide)?, read.word(at + 24 + 3 * step, wide)?);
            let rest = at + 24 + 4 * step;
            let (most, now, sections) = (read.u32(rest)?, read.u32(rest + 4)?, u64::from(read.u32(rest + 8)?));
            if !name.starts_with(b"__PAGEZERO\0") {
                mappings.push(Mapping { address, offset, size });
            }
            const READ_WRITE: u32 = 3;
            if writable.is_none() && address != 0 && size != 0 && most == READ_WRITE && now == READ_WRITE {
                writable = Some((address, memory));
            }
            let section_size = if wide { 80 } else { 68 };
            for index in 0..sections.min(MAX_HEADERS) {
                let section = rest + 16 + index * section_size;
                let Some(name) = slice(file, section, 16).filter(|name| name.len() == 16) else { break };
                if name.starts_with(b"__go_buildinfo\0") {
                    named = Some((read.word(section + 32, wide)?, read.word(section + 32 + step, wide)?));
                }
            }
        }
        at += u64::from(length);
    }
    Some(Exe { file, mappings, data: named.or(writable).unwrap_or_default() })
}
