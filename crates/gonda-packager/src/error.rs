//! What can go wrong with packages, and what can be wrong in them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a package could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused. `action` is a verb: `read`, `write`, `rename` …
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What is to be packed can't be: a socket, a name that is not UTF-8, a prefix that was declared and isn't there.
    #[error("{message}")]
    Unpackable {
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// A file is not the archive that it should be, or goes beyond the limits.
    #[error("`{}` is not a readable package: {message}", path.display())]
    Malformed {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// An archive that was just written is not what was to be written.
    #[error("`{}` failed verification after it was written: {}", path.display(), summary(problems))]
    Verification {
        /// The archive that was to be.
        path: PathBuf,
        /// What is wrong; never empty.
        problems: Vec<Problem>,
    },
}

impl Error {
    /// What to do about it, if there is something to say.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Io { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Some("free some space, or choose another output folder")
            }
            Self::Unpackable { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn unpackable(message: impl Into<String>) -> Self {
        Self::Unpackable { message: message.into(), help: None }
    }

    pub(crate) fn malformed(path: &Path, message: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), message: message.into() }
    }
}

fn summary(problems: &[Problem]) -> String {
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    match problems.len() {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Clients cope, but the package is not as the standards have it.
    Warning,
    /// The package is broken or lies.
    Error,
}

/// Something wrong in a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The member that it is about, as named in the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl Problem {
    pub(crate) fn error(path: impl Into<Option<String>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: path.into(), message: message.into() }
    }

    pub(crate) fn warning(path: impl Into<Option<String>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "`{path}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
