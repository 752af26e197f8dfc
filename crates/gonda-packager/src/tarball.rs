//! Reads tar streams of unknown origin: ustar, GNU and pax headers, with a limit on everything that a header could ask
//! memory for. Header fields are parsed by the `tar` crate; the loop is here because that crate reads extension
//! records of any size into memory.

use std::io::{self, Read};

use tar::{EntryType, Header};

/// No path, link or pax record may be longer.
const EXTENSION_LIMIT: u64 = 1 << 20;
const BLOCK: u64 = 512;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TarKind {
    File,
    Symlink(String),
    /// The path of a former member, from the archive's root.
    Hardlink(String),
    Directory,
    /// A device, a fifo, a sparse file: the type byte.
    Other(u8),
}

/// The header of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TarMember {
    pub(crate) path: String,
    pub(crate) kind: TarKind,
    /// Bytes that follow.
    pub(crate) size: u64,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Whether owner or group stand in it.
    pub(crate) owned: bool,
}

/// Reads members one after the other.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Bytes of the current member not read yet, and padding after them.
    left: u64,
    padding: u64,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, left: 0, padding: 0 }
    }

    /// The next member; what the caller left of the current one is skipped. `None` at the end mark, or where the
    /// stream ends.
    pub(crate) fn next(&mut self) -> io::Result<Option<TarMember>> {
        let mut long_path = None;
        let mut long_link = None;
        let mut long_size = None;
        loop {
            self.skip()?;
            let mut block = [0; BLOCK as usize];
            if !self.read_block(&mut block)? || block.iter().all(|byte| *byte == 0) {
                if long_path.is_some() || long_link.is_some() || long_size.is_some() {
                    return Err(invalid("the tar stream ends after an extension header"));
                }
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header, &block)?;
            let declared = header.entry_size().map_err(|_| invalid("a tar header has no valid size"))?;
            let entry_type = header.entry_type();
            match entry_type {
                EntryType::GNULongName => long_path = Some(text(until_nul(self.extension(declared)?))?),
                EntryType::GNULongLink => long_link = Some(text(until_nul(self.extension(declared)?))?),
                EntryType::XGlobalHeader => drop(self.extension(declared)?),
                EntryType::XHeader => {
                    for (key, value) in pax_records(&self.extension(declared)?)? {
                        match key.as_str() {
                            "path" => long_path = Some(value),
                            "linkpath" => long_link = Some(value),
                            "size" => {
                                let size = value.parse::<u64>().map_err(|_| invalid("a pax header has no valid size"))?;
                                long_size = Some(size);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {
                    let path = match long_path {
                        Some(path) => path,
                        None => text(header.path_bytes().into_owned())?,
                    };
                    let link = match long_link {
                        Some(link) => link,
                        None => text(header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default())?,
                    };
                    let (kind, size) = match entry_type {
                        EntryType::Regular | EntryType::Continuous => (TarKind::File, long_size.unwrap_or(declared)),
                        EntryType::Symlink => (TarKind::Symlink(link), 0),
                        EntryType::Link => (TarKind::Hardlink(link), 0),
                        EntryType::Directory => (TarKind::Directory, declared),
                        other => (TarKind::Other(other.as_byte()), long_size.unwrap_or(declared)),
                    };
                    self.expect(size);
                    let owned = header.uid().unwrap_or(1) != 0
                        || header.gid().unwrap_or(1) != 0
                        || header.username_bytes().is_some_and(|name| !name.is_empty())
                        || header.groupname_bytes().is_some_and(|name| !name.is_empty());
                    let mode = header.mode().unwrap_or(0) & 0o7777;
                    return Ok(Some(TarMember { path, kind, size, mode, owned }));
                }
            }
        }
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    /// Reads a whole block; `false` where the stream has ended before it.
    fn read_block(&mut self, block: &mut [u8; BLOCK as usize]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < block.len() {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar stream is cut off")),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENSION_LIMIT {
            return Err(invalid("a tar extension header is longer than 1 MiB"));
        }
        self.expect(size);
        let mut content = Vec::new();
        self.read_to_end(&mut content)?;
        Ok(content)
    }

    fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink())?;
        let mut padding = [0; BLOCK as usize];
        self.inner.read_exact(&mut padding[..usize::try_from(self.padding).unwrap_or(0)])?;
        self.padding = 0;
        Ok(())
    }
}

/// The bytes of the current member.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if limit == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..limit])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar stream is cut off"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        invalid(&format!("a path is not UTF-8: `{}`", String::from_utf8_lossy(error.as_bytes()).escape_default()))
    })
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// The sum of all bytes, the checksum field itself taken as blanks.
fn check_sum(header: &Header, block: &[u8; BLOCK as usize]) -> io::Result<()> {
    let sum: u32 =
        block.iter().enumerate().map(|(i, byte)| if (148..156).contains(&i) { 32 } else { u32::from(*byte) }).sum();
    match header.cksum() {
        Ok(declared) if declared == sum => Ok(()),
        _ => Err(invalid("a tar header has a wrong checksum")),
    }
}

/// Records `<length> <key>=<value>\n`.
fn pax_records(mut bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
    let broken = || invalid("a pax header is broken");
    let mut records = Vec::new();
    while bytes.first().is_some_and(|byte| *byte != 0) {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let record = length.and_then(|length| bytes.get(space + 1..length)).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let key = String::from_utf8_lossy(&record[..equals]).into_owned();
        // Only what is used must be UTF-8: other records (SCHILY.xattr …) hold anything.
        if matches!(key.as_str(), "path" | "linkpath" | "size") {
            records.push((key, text(record[equals + 1..].to_vec())?));
        }
        bytes = bytes.get(length.unwrap_or(bytes.len())..).unwrap_or_default();
    }
    Ok(records)
}
