//! The digests that a recipe gives, and those that a file has.

use std::io::Read;
use std::path::Path;

use sha2::Digest as _;

use crate::{Error, Kind, Result};

/// Digests of a file, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) sha256: String,
    pub(super) md5: String,
    pub(super) sha1: String,
}

/// What a recipe says of a file, in lower-case hex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) sha256: Option<String>,
    pub(super) md5: Option<String>,
    pub(super) sha1: Option<String>,
}

/// A digest that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) algorithm: &'static str,
    pub(super) expected: String,
    pub(super) got: String,
}

impl Mismatch {
    /// The error for a file that was described as `what` ("the file `x`").
    pub(super) fn error(&self, what: &str, sha256: &str) -> Error {
        let mut help = String::from(
            "the file changed after the recipe was written, or something stands between here and its server; \
             if the new file is trusted, put its digest into the recipe",
        );
        if self.algorithm != "sha256" {
            help.push_str(&format!(" (its sha256 is {sha256})"));
        }
        Error::new(
            Kind::Unavailable,
            format!("{what} has {} `{}`, but the recipe says `{}`", self.algorithm, self.got, self.expected),
        )
        .help(help)
    }
}

impl Expected {
    /// Checks that digests are hex of the right length.
    pub(super) fn new(sha256: Option<&str>, md5: Option<&str>, sha1: Option<&str>) -> Result<Self> {
        Ok(Self {
            sha256: normal("sha256", 64, sha256)?,
            md5: normal("md5", 32, md5)?,
            sha1: normal("sha1", 40, sha1)?,
        })
    }

    /// The first digest that differs.
    pub(super) fn mismatch(&self, got: &Digests) -> Option<Mismatch> {
        [("sha256", &self.sha256, &got.sha256), ("md5", &self.md5, &got.md5), ("sha1", &self.sha1, &got.sha1)]
            .into_iter()
            .find_map(|(algorithm, expected, got)| match expected {
                Some(expected) if expected != got => {
                    Some(Mismatch { algorithm, expected: expected.clone(), got: got.clone() })
                }
                _ => None,
            })
    }

    /// Whether the recipe gives any digest.
    pub(super) fn any(&self) -> bool {
        self.sha256.is_some() || self.md5.is_some() || self.sha1.is_some()
    }
}

fn normal(algorithm: &str, length: usize, text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text.map(str::trim) else { return Ok(None) };
    if text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Some(text.to_ascii_lowercase()));
    }
    Err(Error::new(Kind::Usage, format!("`{text}` is no {algorithm} digest"))
        .help(format!("a {algorithm} digest is {length} hexadecimal digits")))
}

/// Computes digests while bytes pass.
#[derive(Default)]
pub(super) struct Digester {
    sha256: sha2::Sha256,
    md5: md5::Md5,
    sha1: sha1::Sha1,
}

impl Digester {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.md5.update(bytes);
        self.sha1.update(bytes);
    }

    pub(super) fn finish(self) -> Digests {
        Digests {
            sha256: hex::encode(self.sha256.finalize()),
            md5: hex::encode(self.md5.finalize()),
            sha1: hex::encode(self.sha1.finalize()),
        }
    }
}

/// All digests of a file.
pub(super) fn of_file(path: &Path) -> Result<Digests> {
    let mut digester = Digester::default();
    pass(path, |bytes| digester.update(bytes))?;
    Ok(digester.finish())
}

/// The sha256 of a file, in lower-case hex.
pub(crate) fn sha256_of_file(path: &Path) -> Result<String> {
    let mut digester = sha2::Sha256::default();
    pass(path, |bytes| digester.update(bytes))?;
    Ok(hex::encode(digester.finalize()))
}

/// The sha256 of bytes, in lower-case hex.
pub(super) fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(bytes))
}

fn pass(path: &Path, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut file = fs_err::File::open(path)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        take(&buffer[..read]);
    }
}
