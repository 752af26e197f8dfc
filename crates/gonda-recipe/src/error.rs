//! Mistakes in recipes, as data: where they are, what is wrong, what to do.

use std::fmt;
use std::path::PathBuf;

/// One mistake. Rendering it for people is the command line's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeError {
    /// The file that holds the mistake.
    pub file: PathBuf,
    /// 1-based; `None` where the mistake belongs to no line.
    pub line: Option<usize>,
    /// 1-based, in characters.
    pub column: Option<usize>,
    /// The line itself, as written.
    pub text: Option<String>,
    /// What is wrong: lower case, no full stop, the offending value in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RecipeError {}

/// All mistakes found in one go; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeErrors(pub Vec<RecipeError>);

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RecipeErrors {}

impl From<RecipeError> for RecipeErrors {
    fn from(error: RecipeError) -> Self {
        Self(vec![error])
    }
}
