//! What the recipe crates reject, as [`RecipeError`]s: places, message and help in one form.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rattler_build_recipe::variant_render::RenderError;
use rattler_build_variant_config::{VariantConfigError, VariantExpandError};
use rattler_build_yaml_parser::ParseError;

use crate::{RecipeError, RecipeErrors, World};

/// A file that errors may point into.
pub(super) struct Place {
    /// The file.
    pub(super) file: PathBuf,
    /// All of its text.
    pub(super) text: String,
}

impl Place {
    /// Reads a file.
    ///
    /// # Errors
    /// It can't be read, or is no UTF-8.
    pub(super) fn read(file: &Path, world: &dyn World) -> Result<Self, RecipeErrors> {
        let empty = Self { file: file.to_owned(), text: String::new() };
        let bytes = world.read(file).map_err(|error| empty.error(format!("can't be read: {error}"), None))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file: file.to_owned(), text }),
            Err(error) => {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&byte| byte == b'\n').count();
                let mut error = empty.error("is not UTF-8 text".to_owned(), Some("save the file as UTF-8".to_owned()));
                error.line = Some(line);
                Err(error.into())
            }
        }
    }

    /// An error of the file as a whole.
    pub(super) fn error(&self, message: String, help: Option<String>) -> RecipeError {
        RecipeError { file: self.file.clone(), line: None, column: None, text: None, message, help }
    }

    /// An error at a place, both 1-based; columns count characters.
    pub(super) fn error_at(&self, line: usize, column: usize, message: String, help: Option<String>) -> RecipeError {
        let text = line.checked_sub(1).and_then(|index| self.text.lines().nth(index)).map(str::to_owned);
        RecipeError { line: Some(line), column: Some(column), text, ..self.error(message, help) }
    }

    /// An error at the first line that holds all of `words`, or of the file as a whole.
    pub(super) fn error_near(&self, words: &[&str], message: String, help: Option<String>) -> RecipeError {
        let hit = self.text.lines().enumerate().find_map(|(index, line)| {
            words.iter().all(|word| line.contains(word)).then(|| {
                let byte = words.first().and_then(|word| line.find(word)).unwrap_or(0);
                (index + 1, line[..byte].chars().count() + 1)
            })
        });
        match hit {
            Some((line, column)) => self.error_at(line, column, message, help),
            None => self.error(message, help),
        }
    }

    /// An error of the YAML parser or of evaluation.
    pub(super) fn parse_error(&self, error: &ParseError) -> RecipeErrors {
        let (message, suggestion) = match error {
            ParseError::Generic { message, suggestion, .. } => (message.to_string(), suggestion.as_deref()),
            ParseError::MissingField { field, .. } => (format!("the required field `{field}` is missing"), None),
            ParseError::TypeMismatch { expected, actual, .. } => (format!("expected {expected}, found {actual}"), None),
            ParseError::InvalidValue { field, reason, suggestion, .. } => {
                (format!("invalid value for `{field}`: {reason}"), suggestion.as_deref())
            }
            ParseError::JinjaError { message, .. } => (message.to_string(), None),
            ParseError::InvalidConditional { message, .. } => (format!("invalid condition: {message}"), None),
            ParseError::IoError { path, source } => {
                let place = Self { file: path.clone(), text: String::new() };
                return place.error(format!("can't be read: {source}"), None).into();
            }
        };
        let message = tidy(&message);
        let help = suggestion.map(tidy).or_else(|| help_for(&message).map(str::to_owned));
        match error.span().start() {
            Some(start) => self.error_at(start.line(), start.column(), message, help).into(),
            None => self.error(message, help).into(),
        }
    }

    /// An error of rendering with variants. `zip_keys` is the file that set them.
    pub(super) fn render_error(&self, error: &RenderError, zip_keys: Option<&Self>) -> RecipeErrors {
        match error {
            RenderError::Parse(error) => self.parse_error(error),
            RenderError::VariantExpand(error) => {
                let help = match error {
                    VariantExpandError::InvalidZipKeyLength(_) => {
                        Some("keys that are zipped need the same number of values".to_owned())
                    }
                    VariantExpandError::InvalidZipKeyStructure => {
                        Some("write `zip_keys` as a list of lists, for example `- [python, numpy]`".to_owned())
                    }
                    _ => None,
                };
                zip_keys.unwrap_or(self).error_near(&["zip_keys"], tidy(&error.to_string()), help).into()
            }
            RenderError::MissingOutput { package } => self
                .error_near(
                    &["pin_subpackage", package],
                    format!("`pin_subpackage` names `{package}`, which is no output of this recipe"),
                    Some("use `pin_compatible` for packages of other recipes".to_owned()),
                )
                .into(),
            RenderError::TopologicalSort(error) => self.error(tidy(&error.to_string()), None).into(),
            RenderError::ExperimentalRequired { message } => self.error(tidy(message), None).into(),
        }
    }

    /// An error of a variant file.
    pub(super) fn variant_error(&self, error: &VariantConfigError) -> RecipeErrors {
        match error {
            VariantConfigError::ParseError { source, .. } => self.parse_error(source),
            VariantConfigError::IoError(_, error) => self.error(format!("can't be read: {error}"), None).into(),
            VariantConfigError::InvalidConfig(message) => {
                let message = tidy(message);
                let help = help_for(&message).map(str::to_owned);
                // A line number in the message counts the lines that selectors left over; it is no place in the file.
                self.error(message, help).into()
            }
        }
    }
}

const UNDEFINED: &str = "define it in `context` or in a variant file; context values see only those above them";

/// What to do about mistakes that people coming from other templates make.
fn help_for(message: &str) -> Option<&'static str> {
    let helps = [
        ("has no method named split", "write `| split(…)`: in a recipe.yaml strings have filters, not methods"),
        ("has no method named", "in a recipe.yaml strings have filters, not methods: write `| lower`, `| replace(…)`"),
        ("undefined variable", UNDEFINED),
        (" is undefined", UNDEFINED),
        ("No stdlib found", "set `c_stdlib` in a variant file, as conda-forge's `.ci_support` files do"),
        ("Invalid SHA256 checksum", "a sha256 has 64 hexadecimal digits"),
        ("failed to parse SPDX license", "use an identifier of https://spdx.org/licenses, or `LicenseRef-NAME`"),
        ("expected sequence", "write it as a list, each item behind a dash: `- …`"),
        ("expected mapping", "write keys with values, indented below it, without dashes"),
        ("relative URL without a base", "a url begins with `https://`"),
        ("must be a list", "write the values as a list, also a single one"),
        ("provide the `--experimental` flag", "gonda supports no experimental recipe functions; write the value out"),
        ("Keys in mappings must be scalar", "write expressions as `${{ … }}`"),
        ("keys in mappings must be scalar", "write expressions as `${{ … }}`"),
    ];
    helps.iter().find(|(words, _)| message.contains(words)).map(|(_, help)| *help)
}

/// A message in this crate's form: one line, lower-case start, no full stop, and nothing about positions inside a
/// template, for the error has the line.
pub(super) fn tidy(message: &str) -> String {
    let mut text = String::new();
    for line in message.lines().map(|line| line.trim().trim_start_matches('^').trim()).filter(|line| !line.is_empty()) {
        text.push_str(if text.is_empty() || text.ends_with(':') { "" } else { ";" });
        text.push_str(if text.is_empty() { "" } else { " " });
        text.push_str(line);
    }
    for prefix in ["parse error: ", "Failed to parse YAML: ", "Jinja template error: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            text = rest.to_owned();
        }
    }
    if let Some((what, _)) = text.split_once("; See <https://spdx.org") {
        text = what.to_owned();
    }
    if let Some((template, _)) = text.rsplit_once(" (template: ") {
        text = template.to_owned();
    }
    for place in [" (in <expression>:1)", " (in <string>:1)", " (in template:1)"] {
        text = text.replace(place, "");
    }
    // `3:11: mapping values …`
    let mut parts = text.splitn(3, ':');
    if let (Some(line), Some(column), Some(rest)) = (parts.next(), parts.next(), parts.next())
        && line.parse::<usize>().is_ok()
        && column.parse::<usize>().is_ok()
    {
        text = rest.trim_start().to_owned();
    }
    if text.ends_with('.') && !text.ends_with(" .") {
        text.pop();
    }
    text = backticks(&text);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text,
    }
}

/// `'word'` as `` `word` ``, where the quotes stand around a value and not inside an expression.
fn backticks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('\'') {
        let (before, after) = (&rest[..open], &rest[open + 1..]);
        let opens = before.is_empty() || before.ends_with(' ');
        let close = after.find('\'').filter(|&close| {
            let next = after[close + 1..].chars().next();
            next.is_none_or(|next| " ,;:.)".contains(next))
        });
        match close {
            Some(close) if opens && !after[..close].contains('`') => {
                out.push_str(&format!("{before}`{}`", &after[..close]));
                rest = &after[close + 1..];
            }
            _ => {
                out.push_str(&rest[..=open]);
                rest = after;
            }
        }
    }
    out + rest
}

/// Runs a function of the recipe crates; should it panic, that is an error like any other.
pub(super) fn guarded<T>(place: &Place, run: impl FnOnce() -> Result<T, RecipeErrors>) -> Result<T, RecipeErrors> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let message = format!("the recipe reader gave up on this recipe: {}", tidy(text.unwrap_or("unknown cause")));
        Err(place.error(message, None).into())
    })
}
