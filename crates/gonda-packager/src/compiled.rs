//! Compiled files in an archive: each is laid aside while its headers are read, in memory as long as it is small.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use crate::archive::Limits;
use crate::binary::{Binary, could_be};
use crate::contents::Contents;
use crate::error::{Error, Problem, Result};
use crate::tarball::TarKind;

/// Bytes that can be read at any place.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// What is called for each compiled file: its path, what it is, its bytes.
pub type LookAtBinary<'a> = dyn FnMut(&str, &Binary, &mut dyn ReadSeek) + 'a;

/// A larger file is laid aside on disk, in the system's folder for temporary files, under no name.
const IN_MEMORY: usize = 8 << 20;

/// Reads a whole archive: all that there is to know but the payload's bytes, and its compiled files by their paths. What
/// can't be parsed is among the problems.
pub(crate) fn read(
    path: &Path,
    file: &File,
    limits: &Limits,
    look: &mut LookAtBinary<'_>,
) -> Result<(Contents, BTreeMap<String, Binary>)> {
    let mut binaries = BTreeMap::new();
    let mut broken = Vec::new();
    let mut contents = Contents::read(path, file, limits, &mut |member, bytes| {
        let mut head = Vec::new();
        bytes.take(4).read_to_end(&mut head).map_err(|error| Error::malformed(path, error.to_string()))?;
        if !could_be(&head) {
            return Ok(());
        }
        let mut aside = Aside { spool: tempfile::spooled_tempfile(IN_MEMORY), failed: false };
        let copied = aside.write_all(&head).and_then(|()| io::copy(bytes, &mut aside));
        let copied = copied.and_then(|_| aside.spool.flush());
        copied.map_err(|error| match aside.failed {
            true => Error::io("lay aside a file of", path, error),
            false => Error::malformed(path, error.to_string()),
        })?;
        match Binary::read(&mut aside.spool) {
            Some(Ok(binary)) => {
                look(&member.path, &binary, &mut aside.spool);
                binaries.insert(member.path.clone(), binary);
            }
            Some(Err(why)) => broken.push(Problem::warning(member.path.clone(), format!("a broken binary: {why}"))),
            None => {}
        }
        Ok(())
    })?;
    for member in &contents.members {
        if let TarKind::Hardlink(target) = &member.kind
            && let Some(binary) = binaries.get(target).cloned()
        {
            binaries.insert(member.path.clone(), binary);
        }
    }
    contents.container.problems.extend(broken);
    Ok((contents, binaries))
}

/// Remembers whether an error was its own: else it was that of the archive.
struct Aside {
    spool: tempfile::SpooledTempFile,
    failed: bool,
}

impl Write for Aside {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.spool.write(buffer);
        self.failed |= written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}
