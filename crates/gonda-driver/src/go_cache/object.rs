//! What a store keeps for an action: a line of text that says what it is, then the content, compressed.
//!
//! ```text
//! gonda go cache v1 <sha256 of the content> <its size>
//! ```

use std::io::{Read, Write};

use sha2::{Digest, Sha256};

/// Part of a store's keys and of each object; another one when either changes.
pub(super) const VERSION: &str = "v1";
/// The largest object, as stored, that is sent or taken. Go's own library has none of a tenth of it.
pub(super) const LARGEST: usize = 64 << 20;
/// The largest content.
const LARGEST_CONTENT: u64 = 512 << 20;
const MARK: &str = "gonda go cache v1 ";
/// The longest first line.
const LINE: usize = 128;
/// Compression costs as little as a fast disk.
const LEVEL: i32 = 1;

/// What an object says of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// SHA-256 of the content, in hexadecimal digits: Go's output id.
    pub(super) output: String,
    /// Its size in bytes.
    pub(super) size: u64,
}

/// The object of a content; `None` where it is too large to be shared.
pub(super) fn encode(content: &[u8]) -> Option<Vec<u8>> {
    if content.len() as u64 > LARGEST_CONTENT {
        return None;
    }
    let mut object = format!("{MARK}{} {}\n", hex::encode(Sha256::digest(content)), content.len()).into_bytes();
    object.extend(zstd::bulk::compress(content, LEVEL).ok()?);
    (object.len() <= LARGEST).then_some(object)
}

/// Reads an object, its content into `out`, and holds it to what it says of itself.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(object: &[u8], out: &mut impl Write) -> Result<Head, String> {
    if object.len() > LARGEST {
        return Err(format!("it has {} bytes, more than any object", object.len()));
    }
    let (head, mut packed) = split(object).ok_or("it is no object of a Go build cache")?;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(&mut packed).map_err(|error| error.to_string())?;
    let (mut digest, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = decoder.read(&mut buffer).map_err(|error| format!("its content is damaged: {error}"))?;
        let part = buffer.get(..length).unwrap_or_default();
        size += length as u64;
        if size > head.size {
            return Err(format!("its content is longer than the {} bytes that it says", head.size));
        }
        if part.is_empty() {
            break;
        }
        digest.update(part);
        out.write_all(part).map_err(|error| error.to_string())?;
    }
    if size < head.size {
        return Err(format!("its content is shorter than the {} bytes that it says", head.size));
    }
    if hex::encode(digest.finalize()) != head.output {
        return Err("its content is not the one that it says".to_owned());
    }
    Ok(head)
}

/// Whether an object is what it says of itself.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(object: &[u8]) -> Result<Head, String> {
    decode(object, &mut std::io::sink())
}

fn split(object: &[u8]) -> Option<(Head, &[u8])> {
    let end = object.iter().take(LINE).position(|byte| *byte == b'\n')?;
    let (line, packed) = object.split_at_checked(end)?;
    let mut words = std::str::from_utf8(line).ok()?.strip_prefix(MARK)?.split(' ');
    let (output, size) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let known = output.len() == 64 && words.next().is_none() && size <= LARGEST_CONTENT;
    known.then_some((Head { output, size }, packed.get(1..)?))
}
