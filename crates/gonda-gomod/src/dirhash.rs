//! The `h1:` hash of go.sum: of a module's files, or of its go.mod alone
//! (<https://go.dev/ref/mod#go-sum-files>): SHA-256 over one line a file, in the order of the names.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Gathers files in any order and gives their hash.
#[derive(Debug, Default)]
pub struct DirHash {
    files: Vec<(String, [u8; 32])>,
}

impl DirHash {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file with the SHA-256 of its content. In a module zip its name is the whole one, `path@version/file`.
    ///
    /// # Errors
    ///
    /// When the name contains a newline, which the format can't express.
    pub fn add(&mut self, name: impl Into<String>, sha256: [u8; 32]) -> io::Result<()> {
        let name = name.into();
        if name.contains('\n') {
            let message = "dirhash: filenames with newlines are not supported";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.files.push((name, sha256));
        Ok(())
    }

    /// `h1:` and the hash in base64.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.files.sort();
        let mut summary = Sha256::new();
        for (name, sha256) in &self.files {
            for byte in sha256 {
                summary.update([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            summary.update(b"  ");
            summary.update(name.as_bytes());
            summary.update(b"\n");
        }
        format!("h1:{}", STANDARD.encode(summary.finalize()))
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// The hash of files given with their content.
///
/// # Errors
///
/// When a reader fails or a name contains a newline.
pub fn hash1<R: Read>(files: impl IntoIterator<Item = (String, R)>) -> io::Result<String> {
    let mut hash = DirHash::new();
    for (name, mut content) in files {
        hash.add(name, hash_reader(&mut content)?)?;
    }
    Ok(hash.finish())
}

/// The SHA-256 of what a reader gives.
///
/// # Errors
///
/// When the reader fails.
pub fn hash_reader(content: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(digest.finalize().into()),
            Ok(length) => digest.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The hash of a go.mod file, as it stands in go.sum's `…/go.mod` lines.
#[must_use]
pub fn hash_go_mod(content: &[u8]) -> String {
    DirHash { files: vec![("go.mod".to_owned(), Sha256::digest(content).into())] }.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        // From Go's checksum database: the go.mod of rsc.io/quote v1.5.2, and an empty one.
        let quote = "module \"rsc.io/quote\"\n\nrequire \"rsc.io/sampler\" v1.3.0\n";
        assert_eq!(hash_go_mod(quote.as_bytes()), "h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=");
        assert_eq!(hash_go_mod(b""), "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=");
    }

    #[test]
    fn order_does_not_matter() {
        let files = |names: [&str; 2]| {
            hash1(
                names
                    .map(|name| (name.to_owned(), name.as_bytes().to_vec()))
                    .iter()
                    .map(|(n, c)| (n.clone(), c.as_slice())),
            )
            .unwrap()
        };
        assert_eq!(files(["a", "b"]), files(["b", "a"]));
        assert!(hash1([("a\nb".to_owned(), &b""[..])]).is_err());
    }
}
