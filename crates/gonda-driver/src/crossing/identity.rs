//! By what a program is known again after it was copied, moved or stripped: the build ID that Go's linker writes, else
//! its bytes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Result;

/// Go's own reader looks no further for a build ID (`cmd/internal/buildid`, `readSize`).
const START: u64 = 32 * 1024;

/// `go:<build ID>` of a Go program, else `sha256:<hex>`.
pub(super) fn identity(program: &Path) -> Result<String> {
    let mut file = fs_err::File::open(program)?.into_parts().0;
    let mut start = Vec::new();
    file.by_ref().take(START).read_to_end(&mut start)?;
    if let Some(id) = go_build_id(&start) {
        return Ok(format!("go:{id}"));
    }
    let mut hash = Sha256::new();
    hash.update(&start);
    copy(&mut file, &mut hash)?;
    Ok(format!("sha256:{}", hex::encode(hash.finalize())))
}

fn copy(file: &mut File, hash: &mut Sha256) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// The build ID in the first bytes of a program: a note in ELF files, a marked text at the start of the code elsewhere
/// (`cmd/internal/buildid`, `ReadFile`). `None` too where the linker was told to leave it empty.
pub(super) fn go_build_id(start: &[u8]) -> Option<String> {
    let found = if start.starts_with(b"\x7fELF") { note(start) } else { marked(start) };
    let id = std::str::from_utf8(found?).ok()?;
    let id = id.trim_end_matches('\0');
    (!id.is_empty() && id.chars().all(|c| c.is_ascii_graphic())).then(|| id.to_owned())
}

/// The content of the note `Go`, 4.
fn note(start: &[u8]) -> Option<&[u8]> {
    let little = start.get(5) == Some(&1);
    let number = |at: usize| -> Option<u32> {
        let bytes: [u8; 4] = start.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let name = b"Go\0\0";
    start.windows(name.len()).enumerate().filter(|(_, bytes)| bytes == name).find_map(|(at, _)| {
        let head = at.checked_sub(12)?;
        let (name_size, size, kind) = (number(head)?, number(head + 4)?, number(head + 8)?);
        let from = at + name.len();
        let to = from.checked_add(usize::try_from(size).ok()?)?;
        (name_size == 4 && kind == 4).then(|| start.get(from..to)).flatten()
    })
}

fn marked(start: &[u8]) -> Option<&[u8]> {
    let (before, after) = (b"\xff Go build ID: \"", b"\"\n \xff");
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let from = find(start, before)? + before.len();
    let length = find(&start[from..], after)?;
    start.get(from..from + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids() {
        let elf = |little: bool, id: &str| {
            let number = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
            let size = u32::try_from(id.len()).unwrap();
            let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, if little { 1 } else { 2 }, 1, 0];
            bytes.extend([number(4), number(3), number(9)].concat());
            bytes.extend(b"Go\0\0");
            bytes.extend([number(4), number(size), number(4)].concat());
            bytes.extend(b"Go\0\0");
            bytes.extend(id.as_bytes());
            bytes
        };
        let check = |bytes: &[u8], expected: Option<&str>| assert_eq!(go_build_id(bytes).as_deref(), expected);
        check(&elf(true, "a/b/c"), Some("a/b/c"));
        check(&elf(false, "a/b/c"), Some("a/b/c"));
        check(&elf(true, ""), None);
        check(&elf(true, "a/b/c")[..44], None);
        check(b"MZ...\xff Go build ID: \"x/y\"\n \xffcode", Some("x/y"));
        check(b"MZ...\xff Go build ID: \"x/y", None);
        check(b"", None);
    }

    #[test]
    fn other_programs_are_known_by_their_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            identity(&path).unwrap()
        };
        let long = vec![7; 100_000];
        assert_eq!(write("a", &long), write("b", &long));
        assert_ne!(write("a", &long), write("b", &long[1..]));
        assert_eq!(write("e", b""), format!("sha256:{}", hex::encode(Sha256::digest(b""))));
    }
}
