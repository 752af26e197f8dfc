//! Mach-O code signatures (Apple's `cs_blobs.h`): a code directory holds a hash of each page of the file, and macOS on
//! arm64 ends a program whose page has another one. The hashes are recomputed here; what a certificate would say is not
//! looked at.

use std::io::{self, Read, Seek, SeekFrom};

use object::{BigEndian, Endian, ReadRef, macho};
use sha2::{Digest, Sha256};

use super::window::Window;
use super::{Binary, Parsed};

/// The code directories of an image that are looked at, and the most of a file that is hashed for all of them: a second
/// time for each, and what overlaps in a universal file.
const MOST_BLOBS: usize = 16;
const MOST_PASSES: u64 = 4;

/// What a code directory says of its image's pages.
#[derive(Debug)]
pub(super) struct PageHashes {
    /// 0 for the first image of the file.
    image: usize,
    /// Where the image begins in the file.
    start: u64,
    /// Bytes of the image that are signed.
    limit: u64,
    page_size: u64,
    /// SHA-256 of each page, one after the other.
    hashes: Vec<u8>,
    /// Whether there are as many hashes as pages.
    complete: bool,
}

impl PageHashes {
    /// The same for an image that is not the first.
    pub(super) fn of_image(self, image: usize) -> Self {
        Self { image, ..self }
    }
}

const DIGEST: usize = 32;

/// Whether the signature was made without an identity, and its code directories with SHA-256, which is what systems of
/// this decade look at. Others may stand beside them.
pub(super) fn read<'a, E: Endian, R: Read + Seek>(
    place: &macho::LinkeditDataCommand<E>,
    endian: E,
    data: Window<'a, R>,
) -> Parsed<(bool, Vec<PageHashes>)> {
    let signature = place.code_signature(endian, data)?;
    let (mut adhoc, mut found) = (false, Vec::new());
    // Twice what the smallest pages need: directories that overlap in a file made for it count one by one.
    let mut left = data.len().unwrap_or(0) / 64 + 4096;
    let mut blobs = signature.blobs();
    for _ in 0..MOST_BLOBS {
        let Some(blob) = blobs.next()? else { break };
        let Some(directory) = blob.code_directory()? else { continue };
        let header = directory.header();
        adhoc = header.flags.get(BigEndian).0 & macho::CS_ADHOC.0 != 0;
        if header.hash_type != macho::CS_HASHTYPE_SHA256 || !(12..=24).contains(&header.page_size) {
            continue;
        }
        let (limit, page_size) = (directory.code_limit(), 1_u64 << header.page_size);
        let slots = header.n_code_slots.get(BigEndian);
        let mut hashes = Vec::new();
        let needed = u64::from(slots) * DIGEST as u64;
        let affordable = left.checked_sub(needed);
        left = affordable.unwrap_or(left);
        for slot in 0..affordable.map_or(0, |_| slots) {
            hashes.extend(directory.code_hash(slot)?);
        }
        let complete = hashes.len() as u64 == needed
            && limit.div_ceil(page_size) == u64::from(slots)
            && limit <= u64::from(place.dataoff.get(endian));
        found.push(PageHashes { image: 0, start: data.start(), limit, page_size, hashes, complete });
    }
    Ok((adhoc, found))
}

/// Recomputes the hashes and enters the result with each image.
pub(super) fn check(binary: &mut Binary, all: &[PageHashes], file: &mut (impl Read + Seek)) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut left = length.saturating_mul(MOST_PASSES);
    for one in all {
        let image = match one.image.checked_sub(1) {
            None => Some(&mut *binary),
            Some(further) => binary.images.get_mut(further),
        };
        let Some(signature) = image.and_then(|image| image.signature.as_mut()) else { continue };
        let inside = one.start.checked_add(one.limit).is_some_and(|end| end <= length);
        let affordable = left.checked_sub(one.limit);
        let intact = match affordable {
            Some(rest) if inside && one.complete => {
                left = rest;
                pages_match(one, file)?
            }
            _ => false,
        };
        signature.intact = Some(intact && signature.intact != Some(false));
    }
    Ok(())
}

fn pages_match(one: &PageHashes, file: &mut (impl Read + Seek)) -> io::Result<bool> {
    file.seek(SeekFrom::Start(one.start))?;
    let mut rest = file.take(one.limit);
    let mut buffer = vec![0; 1 << 16];
    for expected in one.hashes.chunks(DIGEST) {
        let mut page = (&mut rest).take(one.page_size);
        let mut hasher = Sha256::new();
        loop {
            match page.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hasher.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if hasher.finalize().as_slice() != expected {
            return Ok(false);
        }
    }
    Ok(true)
}
