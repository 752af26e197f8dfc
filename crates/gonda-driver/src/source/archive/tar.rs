//! Tar archives: ustar, GNU (long names, sparse files) and pax.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

use tar::EntryType;

use super::Trouble;
use super::writer::Writer;

/// What may stand between two members' contents: headers, long names, padding. The tar crate reads long names and
/// pax records into memory whole.
const HEADERS: u64 = 16 << 20;

pub(super) fn unpack(reader: impl Read, writer: &mut Writer) -> Result<(), Trouble> {
    let budget = Rc::new(Cell::new(HEADERS));
    let mut archive = tar::Archive::new(Budgeted { inner: reader, left: Rc::clone(&budget) });
    let mut entries = archive.entries()?;
    loop {
        budget.set(HEADERS);
        let Some(entry) = entries.next() else { return Ok(()) };
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let mode = entry.header().mode().unwrap_or(0o644);
        let mtime = mtime(&mut entry);
        let member = writer.member(&name, mode, mtime)?;
        budget.set(u64::MAX);
        match kind {
            // An old header writes a folder as a file whose name ends in a slash.
            EntryType::Regular if name.last() == Some(&b'/') => writer.folder(member)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => writer.file(&member, &mut entry)?,
            EntryType::Directory => writer.folder(member)?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                writer.symlink(member, &target)?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                writer.hard_link(member, &target)?;
            }
            EntryType::Char | EntryType::Block => return Err(member.trouble("it is a device")),
            EntryType::Fifo => return Err(member.trouble("it is a named pipe")),
            other => {
                return Err(member.trouble(format!("it is of the unknown kind `{}`", other.as_byte().escape_ascii())));
            }
        }
    }
}

fn mtime<R: Read>(entry: &mut tar::Entry<'_, R>) -> Option<i64> {
    let pax = entry.pax_extensions().ok().flatten().and_then(|extensions| {
        extensions
            .flatten()
            .find(|extension| extension.key_bytes() == b"mtime")
            .and_then(|extension| extension.value().ok()?.split('.').next()?.parse::<i64>().ok())
    });
    pax.or_else(|| entry.header().mtime().ok().and_then(|mtime| i64::try_from(mtime).ok()))
}

/// A reader that ends with an error where it should not go on.
struct Budgeted<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(std::io::Error::other(format!("more than {HEADERS} bytes of headers in one place")));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        if left != u64::MAX {
            self.left.set(left - read as u64);
        }
        Ok(read)
    }
}
