//! As much of ELF, PE and Mach-O as it takes to find Go's build information by address.
//!
//! The blob must be looked for in the data that the linker put it into, not anywhere in the file: programs that read build
//! information have the magic among their own constants.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Seek, SeekFrom};

/// What can be read at any place.
trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// A file, read in blocks where it is asked: a program's size is no measure of the memory this takes.
pub(crate) struct Source<'a> {
    block: RefCell<Block<'a>>,
    length: u64,
    /// The first error of the reader. What can't be read is as if it weren't there.
    failed: Cell<Option<io::ErrorKind>>,
}

struct Block<'a> {
    reader: &'a mut dyn ReadSeek,
    start: u64,
    bytes: Vec<u8>,
}

const BLOCK: usize = 1 << 16;

impl<'a> Source<'a> {
    pub(crate) fn new(reader: &'a mut (impl Read + Seek)) -> io::Result<Self> {
        let length = reader.seek(SeekFrom::End(0))?;
        let block = RefCell::new(Block { reader, start: 0, bytes: Vec::new() });
        Ok(Self { block, length, failed: Cell::new(None) })
    }

    pub(crate) fn failed(&self) -> Option<io::ErrorKind> {
        self.failed.get()
    }

    /// Fills a buffer from an offset on, as far as there is something.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut block = self.block.borrow_mut();
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.saturating_add(filled as u64);
            let inside = at.checked_sub(block.start).and_then(|inside| usize::try_from(inside).ok());
            match inside.and_then(|inside| block.bytes.get(inside..)).filter(|rest| !rest.is_empty()) {
                Some(rest) => {
                    let n = rest.len().min(buffer.len() - filled);
                    buffer[filled..filled + n].copy_from_slice(&rest[..n]);
                    filled += n;
                }
                None if at >= self.length => break,
                None => {
                    if let Err(error) = block.load(at) {
                        self.failed.set(self.failed.get().or(Some(error.kind())));
                        break;
                    }
                    if block.bytes.is_empty() {
                        break;
                    }
                }
            }
        }
        filled
    }
}

impl Block<'_> {
    fn load(&mut self, offset: u64) -> io::Result<()> {
        self.bytes.clear();
        self.start = offset - offset % BLOCK as u64;
        self.reader.seek(SeekFrom::Start(self.start))?;
        (&mut self.reader).take(BLOCK as u64).read_to_end(&mut self.bytes)?;
        if offset - self.start >= self.bytes.len() as u64 {
            self.bytes.clear();
        }
        Ok(())
    }
}

/// A range of a file, cut where the file ends.
#[derive(Clone, Copy)]
pub(crate) struct Span<'s, 'a> {
    source: &'s Source<'a>,
    offset: u64,
    size: u64,
}

impl<'s, 'a> Span<'s, 'a> {
    fn whole(source: &'s Source<'a>) -> Self {
        Self { source, offset: 0, size: source.length }
    }

    fn part(self, offset: u64, size: u64) -> Option<Self> {
        let rest = self.size.checked_sub(offset)?;
        Some(Self { offset: self.offset + offset, size: size.min(rest), ..self })
    }

    pub(crate) fn size(self) -> u64 {
        self.size
    }

    /// Fills a buffer from an offset on, as far as the range goes.
    pub(crate) fn fill(self, offset: u64, buffer: &mut [u8]) -> usize {
        let Some(rest) = self.size.checked_sub(offset) else { return 0 };
        let n = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        self.source.fill(self.offset + offset, &mut buffer[..n])
    }

    /// The bytes of a range; `None` where they aren't all there.
    pub(crate) fn bytes(self, offset: u64, size: usize) -> Option<Vec<u8>> {
        let end = offset.checked_add(size as u64)?;
        if end > self.size {
            return None;
        }
        let mut bytes = vec![0; size];
        (self.fill(offset, &mut bytes) == size).then_some(bytes)
    }

    fn starts_with(self, offset: u64, text: &[u8]) -> bool {
        self.bytes(offset, text.len()).is_some_and(|bytes| bytes == text)
    }
}

/// A piece of the file that is mapped at an address.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    address: u64,
    offset: u64,
    /// Bytes in the file.
    size: u64,
}

/// An executable's mappings and where its build information lies.
pub(crate) struct Exe<'s, 'a> {
    file: Span<'s, 'a>,
    mappings: Vec<Mapping>,
    /// Address and size of the section, or segment, that holds the build information.
    pub(crate) data: (u64, u64),
    /// Whether its sections are named as Go's linker names them.
    pub(crate) marked: bool,
    elf: bool,
}

impl<'s, 'a> Exe<'s, 'a> {
    /// `None` where the file is of no known format or malformed. A file without data gives an empty range.
    pub(crate) fn parse(source: &'s Source<'a>) -> Option<Self> {
        let file = Span::whole(source);
        match file.bytes(0, 4)?.as_slice() {
            b"\x7fELF" => elf(file),
            [b'M', b'Z', ..] => pe(file),
            b"\xfe\xed\xfa\xce" | b"\xfe\xed\xfa\xcf" | b"\xce\xfa\xed\xfe" | b"\xcf\xfa\xed\xfe" => mach_o(file),
            // A universal binary: the first of its architectures.
            b"\xca\xfe\xba\xbe" => {
                let fat = Reader { bytes: file, little: false };
                let (offset, size) = (fat.u32(16)?, fat.u32(20)?);
                mach_o(file.part(u64::from(offset), u64::from(size))?)
            }
            b"\xca\xfe\xba\xbf" => {
                let fat = Reader { bytes: file, little: false };
                mach_o(file.part(fat.u64(16)?, fat.u64(24)?)?)
            }
            _ => None,
        }
    }

    /// The bytes from an address to the end of what is mapped there.
    pub(crate) fn at(&self, address: u64) -> Option<Span<'s, 'a>> {
        let mapping = self
            .mappings
            .iter()
            .find(|mapping| address >= mapping.address && address - mapping.address < mapping.size)?;
        let skip = address - mapping.address;
        self.file.part(mapping.offset.checked_add(skip)?, mapping.size - skip)
    }

    /// Whether Go's own reader (`debug/buildinfo`) looks for an address in the wrong place: for it, an ELF segment of
    /// size 0 at address 0 holds every address, because the address of its last byte wraps around. patchelf sorts
    /// such segments first.
    pub(crate) fn hides_from_go(&self, address: u64) -> bool {
        let mut mappings = self.mappings.iter();
        let first = mappings.find(|mapping| {
            mapping.address <= address && address <= mapping.address.wrapping_add(mapping.size).wrapping_sub(1)
        });
        self.elf && first.is_none_or(|mapping| mapping.size == 0)
    }
}

struct Reader<'s, 'a> {
    bytes: Span<'s, 'a>,
    little: bool,
}

impl Reader<'_, '_> {
    fn array<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        if self.bytes.fill(offset, &mut bytes) < N {
            return None;
        }
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

fn elf<'s, 'a>(file: Span<'s, 'a>) -> Option<Exe<'s, 'a>> {
    let ident = file.bytes(4, 2)?;
    let wide = match ident[0] {
        1 => false,
        2 => true,
        _ => return None,
    };
    let read = Reader { bytes: file, little: ident[1] == 1 };
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
    let mut marked = false;
    let mut named = None;
    if let Some((_, names, names_size)) = section(names_index) {
        let names = file.part(names, names_size)?;
        for index in 0..section_count {
            let Some(name) = section_headers.checked_add(index * section_size).and_then(|at| read.u32(at)) else {
                break;
            };
            let is = |text: &[u8]| names.starts_with(u64::from(name), text);
            if named.is_none() && is(b".go.buildinfo\0") {
                named = section(index).map(|(address, _, size)| (address, size));
                marked = true;
            }
            marked = marked || is(b".gopclntab\0") || is(b".note.go.buildid\0");
        }
    }
    Some(Exe { file, mappings, data: named.or(writable).unwrap_or_default(), marked, elf: true })
}

fn pe<'s, 'a>(file: Span<'s, 'a>) -> Option<Exe<'s, 'a>> {
    let read = Reader { bytes: file, little: true };
    let header = u64::from(read.u32(0x3c)?);
    if !file.starts_with(header, b"PE\0\0") {
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
    Some(Exe { file, mappings, data: data.unwrap_or_default(), marked: false, elf: false })
}

fn mach_o<'s, 'a>(file: Span<'s, 'a>) -> Option<Exe<'s, 'a>> {
    let (wide, little) = match file.bytes(0, 4)?.as_slice() {
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
    let (mut named, mut writable, mut marked) = (None, None, false);
    for _ in 0..commands {
        let (Some(command), Some(length)) = (read.u32(at), read.u32(at + 4)) else { break };
        if length < 8 {
            break;
        }
        // LC_SEGMENT and LC_SEGMENT_64
        if command == if wide { 0x19 } else { 0x1 } {
            let step: u64 = if wide { 8 } else { 4 };
            let name = file.bytes(at + 8, 16)?;
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
                let Some(name) = file.bytes(section, 16) else { break };
                marked = marked || name.starts_with(b"__gopclntab\0") || name.starts_with(b"__go_buildinfo\0");
                if name.starts_with(b"__go_buildinfo\0") {
                    named = Some((read.word(section + 32, wide)?, read.word(section + 32 + step, wide)?));
                }
            }
        }
        at += u64::from(length);
    }
    Some(Exe { file, mappings, data: named.or(writable).unwrap_or_default(), marked, elf: false })
}
