//! What can go wrong, classified by who must act. One type, so that the command line renders errors in one place.

use std::fmt;
use std::path::PathBuf;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act; each kind has an exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A script or a package's test failed: the recipe's author. Exit code 1.
    Build,
    /// Wrong use, or a recipe that can't be rendered. Exit code 2.
    Usage,
    /// Could not be solved or fetched: channel, network or recipe. Exit code 3.
    Unavailable,
    /// A check of the result failed: file list, hash, platform. Exit code 4.
    Verification,
    /// The machine refused: disk, permission, isolation. Exit code 5.
    Machine,
    /// A defect of gonda. Exit code 70.
    Bug,
    /// Cancelled by the user. Exit code 130.
    Interrupted,
}

impl Kind {
    /// The exit code of a process that ends with an error of this kind.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Build => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::Verification => 4,
            Self::Machine => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Where {
    /// The file.
    pub file: PathBuf,
    /// 1-based.
    pub line: Option<usize>,
    /// 1-based, in characters.
    pub column: Option<usize>,
    /// The line itself.
    pub text: Option<String>,
}

/// What was being done and to what; the cause is its source; help is data.
#[derive(Debug)]
pub struct Error {
    /// Who must act.
    pub kind: Kind,
    /// Lower case, no full stop, offending values in backticks.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Where, if the error belongs to a place in a file.
    pub place: Option<Where>,
    /// Further errors of the same kind found in the same go (recipe mistakes).
    pub others: Vec<Error>,
    /// The cause.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without help or cause; add them with [`Error::help`] and [`Error::because`].
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, place: None, others: Vec::new(), cause: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

/// An io error: the machine refused. A full disk gets its own help.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        let mut this = Self::new(Kind::Machine, error.to_string());
        if full {
            this = this.help("free some space, or set another cache or output folder");
        }
        this
    }
}

impl From<gonda_recipe::RecipeErrors> for Error {
    fn from(errors: gonda_recipe::RecipeErrors) -> Self {
        let mut all = errors.0.into_iter().map(|mistake| Self {
            kind: Kind::Usage,
            message: mistake.message,
            help: mistake.help,
            place: Some(Where { file: mistake.file, line: mistake.line, column: mistake.column, text: mistake.text }),
            others: Vec::new(),
            cause: None,
        });
        match all.next() {
            Some(mut first) => {
                first.others = all.collect();
                first
            }
            None => Self::new(Kind::Bug, "a recipe error without an error"),
        }
    }
}

/// Files that can't be read or written: the machine; what is no package, or not the one written: verification; what
/// can't be packed: the build.
impl From<gonda_packager::Error> for Error {
    fn from(error: gonda_packager::Error) -> Self {
        use gonda_packager::Error as Packager;
        let kind = match &error {
            Packager::Io { .. } => Kind::Machine,
            Packager::Unpackable { .. } => Kind::Build,
            Packager::Malformed { .. } | Packager::Verification { .. } => Kind::Verification,
        };
        let mut this = Self::new(kind, error.to_string());
        this.help = error.help().map(str::to_owned);
        match error {
            Packager::Io { source, .. } => this.cause = Some(Box::new(source)),
            Packager::Verification { problems, .. } => {
                let others = problems.iter().skip(1).map(|problem| Self::new(kind, problem.to_string()));
                this.others = others.collect();
            }
            Packager::Unpackable { .. } | Packager::Malformed { .. } => {}
        }
        this
    }
}
