//! Mistakes in Go's files, with their place.

use std::fmt;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where it begins.
    pub place: Place,
    /// The line itself.
    pub text: String,
    /// What is wrong, in Go's words.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.line, self.place.column, self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// All mistakes found in one go; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxErrors(pub Vec<SyntaxError>);

impl SyntaxErrors {
    /// Mistakes given by their place and message; their lines are looked up in the text.
    pub(crate) fn new(text: &str, mistakes: Vec<(Place, String)>) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let line = |place: &Place| {
            let line = place.line.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or_default();
            // A line may be megabytes long; what is shown of it need not be.
            line.chars().take(240).collect()
        };
        Self(mistakes.into_iter().map(|(place, message)| SyntaxError { text: line(&place), place, message }).collect())
    }
}

impl fmt::Display for SyntaxErrors {
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

impl std::error::Error for SyntaxErrors {}
