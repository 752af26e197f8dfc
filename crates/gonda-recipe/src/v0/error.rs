//! From what went wrong deep inside to a mistake in a recipe with its place.

use std::path::Path;
use std::rc::Rc;

use super::jinja::{Cause, Rendered, TemplateError};
use super::python::{ErrorKind, PyError};
use super::selector::{Failure, Selected, SelectorError};
use super::session::Session;
use super::variant::VariantError;
use super::yaml::{self, Flavor, YamlError};
use crate::{RecipeError, RecipeErrors};

/// How a failure passes: conda-build goes on after some of its own errors and dies of all others.
#[derive(Debug, Clone)]
pub(crate) enum Fail {
    /// `CondaBuildUserError` and `SystemExit`: at some points rendering goes on with what it has.
    User(Box<RecipeErrors>),
    /// Anything else.
    Fatal(Box<RecipeErrors>),
}

impl Fail {
    pub(crate) fn into_errors(self) -> RecipeErrors {
        match self {
            Self::User(errors) | Self::Fatal(errors) => *errors,
        }
    }

    pub(crate) fn fatal(error: RecipeError) -> Self {
        Self::Fatal(Box::new(RecipeErrors(vec![error])))
    }

    pub(crate) fn user(error: RecipeError) -> Self {
        Self::User(Box::new(RecipeErrors(vec![error])))
    }

    /// `Ok` without failures, else [`Fail::several`].
    pub(crate) fn all(failures: Vec<Self>) -> Result<(), Self> {
        if failures.is_empty() { Ok(()) } else { Err(Self::several(failures)) }
    }

    /// Several failures as one, which is fatal if one of them is. What is said twice is said once.
    pub(crate) fn several(failures: Vec<Self>) -> Self {
        let fatal = failures.iter().any(|failure| matches!(failure, Self::Fatal(_)));
        let mut errors: Vec<RecipeError> = Vec::new();
        for error in failures.into_iter().flat_map(|failure| failure.into_errors().0) {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        let errors = Box::new(RecipeErrors(errors));
        if fatal { Self::Fatal(errors) } else { Self::User(errors) }
    }

    /// A selector that can't be evaluated, in the recipe.
    pub(crate) fn selector(session: &Session<'_>, offset: usize, error: &SelectorError) -> Self {
        Self::user(selector_error(&session.file, &session.text, offset, error))
    }

    /// A mistake in a template. Python's own exceptions pass as such, jinja2's as the user's mistakes.
    pub(crate) fn template(session: &Session<'_>, map: &SourceMap, error: &TemplateError) -> Self {
        let line = map.template_origin(error.line);
        let (message, help, fatal) = match &error.cause {
            Cause::Syntax(message) => (format!("the template can't be parsed: {message}"), syntax_help(message), false),
            Cause::Runtime(error) => {
                let fatal = !matches!(error.kind, ErrorKind::Undefined | ErrorKind::Template);
                (runtime_message(error), runtime_help(error), fatal)
            }
        };
        let error = at_line(&session.file, &session.text, line, None, message, help);
        if fatal { Self::fatal(error) } else { Self::user(error) }
    }
}

/// The name, if a mistake is that a name is undefined.
pub(crate) fn undefined_name(error: &TemplateError) -> Option<&str> {
    match &error.cause {
        Cause::Runtime(error) if error.kind == ErrorKind::Undefined => {
            error.message.strip_suffix("' is undefined").and_then(|name| name.strip_prefix('\''))
        }
        _ => None,
    }
}

fn syntax_help(message: &str) -> Option<&'static str> {
    if message.starts_with("unexpected end of template:") {
        return Some("close it with the statement named");
    }
    if message.starts_with("unexpected end of template") || message.starts_with("unexpected char") {
        return Some("expressions stand between `{{` and `}}`, statements between `{%` and `%}`, text between quotes");
    }
    if message == "unexpected `}`" {
        return Some("an expression ends with two braces: `{{ … }}`");
    }
    if message.contains("unknown tag `do`") {
        return Some("conda-build enables no extension of jinja2; write `{% set _ = … %}`");
    }
    if message.contains("unknown tag `break`") || message.contains("unknown tag `continue`") {
        return Some("conda-build enables no extension of jinja2; choose the items with `{% for … in … if … %}`");
    }
    if message.contains("unknown tag `end") {
        return Some("take it out, or open what it closes before it");
    }
    if message.starts_with("no filter") || message.starts_with("no test") {
        return Some("jinja2's built-in filters and tests can be used; Python's string methods are another way");
    }
    None
}

fn runtime_message(error: &PyError) -> String {
    let message = &error.message;
    match error.kind {
        ErrorKind::Undefined => match message.strip_suffix("' is undefined").and_then(|name| name.strip_prefix('\'')) {
            Some(name) => format!("`{name}` is undefined"),
            None => format!("an undefined value is used: {message}"),
        },
        ErrorKind::Limit | ErrorKind::Template | ErrorKind::Runtime => lower_first(message),
        kind => format!("the template fails: {message} ({})", kind.python_name()),
    }
}

fn runtime_help(error: &PyError) -> Option<&'static str> {
    match error.kind {
        ErrorKind::Undefined => {
            Some("set it with `{% set … %}`, give it a value in a variant file, or use the filter `default`")
        }
        ErrorKind::Type if error.message == "'NoneType' object is not callable" => {
            Some("a method is called on an undefined name; check its spelling and that it is set before")
        }
        ErrorKind::Type if error.message.contains("concatenate") => {
            Some("turn numbers into text with the filter `string`, or join with `~`")
        }
        ErrorKind::Runtime if error.message.contains("among the host requirements") => {
            Some("add it to the host requirements, or pin it with `pin_subpackage` if it is an output of this recipe")
        }
        ErrorKind::Runtime if error.message.contains("not there to be loaded") => {
            Some("files are looked for in the source, or with `from_recipe_dir=True` beside the recipe")
        }
        ErrorKind::Template if error.message.ends_with("not found") => {
            Some("templates are files of the recipe folder, named relative to it")
        }
        ErrorKind::Limit => Some("templates are limited so that no recipe can use up time or memory"),
        _ => None,
    }
}

pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        // An acronym or a name stays as it is.
        Some(first) if chars.as_str().starts_with(char::is_lowercase) => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// A selector's mistake in any file.
pub(crate) fn selector_error(file: &Path, text: &str, offset: usize, error: &SelectorError) -> RecipeError {
    let (reason, help) = match &error.failure {
        Failure::Syntax(reason) => (
            format!("the selector `[{}]` is no expression: {reason}", error.selector),
            Some(
                "brackets at the end of a line are a selector; write a Python expression such as `linux and not aarch64`, or put something behind the brackets",
            ),
        ),
        Failure::NotAllowed(reason) => (
            format!("the selector `[{}]` can't be used: {reason}", error.selector),
            Some("selectors may compare, combine with `and`, `or`, `not`, and call methods of text"),
        ),
        Failure::Evaluation(failure) => (
            format!("the selector `[{}]` fails: {} ({})", error.selector, failure.message, failure.kind.python_name()),
            match failure.kind {
                ErrorKind::Type => Some(
                    "a variant's value is a number only if it is a whole number; compare text with text: `x == \"1.10\"`",
                ),
                ErrorKind::Attribute => Some("an unknown name is `False` in a selector, and has no methods"),
                _ => None,
            },
        ),
    };
    let line = offset + error.line;
    let column = text.split('\n').nth(line).and_then(|content| {
        let at = content.rfind(&format!("[{}]", error.selector))?;
        Some(content[..at].chars().count())
    });
    at_line(file, text, line, column, reason, help)
}

/// A mistake at a 0-based line (and column) of a file.
pub(crate) fn at_line(
    file: &Path,
    text: &str,
    line: usize,
    column: Option<usize>,
    message: impl Into<String>,
    help: Option<&str>,
) -> RecipeError {
    let content = text.split('\n').nth(line).map(|content| content.trim_end_matches('\r').to_owned());
    let column = match (&content, column) {
        (Some(content), None) => Some(content.chars().take_while(|c| c.is_whitespace()).count()),
        (_, column) => column,
    };
    RecipeError {
        file: file.to_path_buf(),
        line: content.as_ref().map(|_| line + 1),
        column: content.as_ref().and(column).map(|column| column + 1),
        text: content,
        message: message.into(),
        help: help.map(str::to_owned),
    }
}

/// A mistake that belongs to no line.
pub(crate) fn in_file(file: &Path, message: impl Into<String>, help: Option<&str>) -> RecipeError {
    RecipeError {
        file: file.to_path_buf(),
        line: None,
        column: None,
        text: None,
        message: message.into(),
        help: help.map(str::to_owned),
    }
}

/// What a YAML mistake means and what helps.
pub(crate) fn yaml_message(error: &YamlError, line: Option<&str>) -> (String, Option<&'static str>) {
    let message = format!("the YAML can't be read: {}", lower_first(&error.message));
    let line = line.unwrap_or_default();
    // `key: value` where a value goes on: the colon that is too many is the first one of the line.
    let key = line.trim_start().split(':').next().unwrap_or_default();
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    let help = if line.contains('\t') && line.trim_start_matches(' ').starts_with('\t') {
        Some("YAML may not be indented with tabs; use blanks")
    } else if error.message.contains("mapping values are not allowed")
        && is_key
        && error.column == line.chars().take_while(|c| c.is_whitespace()).count() + key.chars().count()
    {
        Some("this line is indented deeper than the one above, which has a value already")
    } else if error.message.contains("mapping values are not allowed") {
        Some("quote text that holds a colon followed by a blank")
    } else if line.contains("{{") || line.contains("{%") || line.contains('{') {
        Some("quote text that begins with a brace; a template's braces come in pairs")
    } else if error.message.contains("did not find expected") || error.message.contains("block") {
        Some("check the indentation of this line and those around it")
    } else {
        None
    };
    (message, help)
}

/// A mistake in variants, with its place in the file it names.
pub(crate) fn variant_error(error: &VariantError, text: Option<&str>, fallback: &Path) -> RecipeError {
    let file = if error.source.is_empty() { fallback } else { Path::new(&error.source) };
    let line = error.key.as_ref().zip(text).and_then(|(key, text)| {
        text.split('\n')
            .position(|line| line.strip_prefix(key.as_str()).is_some_and(|rest| rest.trim_start().starts_with(':')))
    });
    match (line, text) {
        (Some(line), Some(text)) => at_line(file, text, line, None, error.message.clone(), Some(error.help)),
        _ => in_file(file, error.message.clone(), Some(error.help)),
    }
}

/// Which line of the recipe a line of its rendered text comes from: through the selectors after rendering, the
/// rendering, and the selectors before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceMap {
    /// The selection before rendering.
    pub(crate) first: Option<Rc<Selected>>,
    /// Where the text that was selected from begins in the recipe, in lines.
    pub(crate) offset: usize,
    pub(crate) rendered: Option<Rc<Rendered>>,
    /// The selection after rendering; its text is what is read as YAML.
    pub(crate) second: Option<Rc<Selected>>,
    /// The text that is read as YAML, where there is no second selection.
    pub(crate) yaml: Option<Rc<str>>,
}

impl SourceMap {
    /// The recipe's line for a line of the template.
    pub(crate) fn template_origin(&self, line: usize) -> usize {
        let origin = match &self.first {
            Some(first) => first.origin.get(line).or(first.origin.last()).copied().unwrap_or(line),
            None => line,
        };
        self.offset + origin
    }

    /// The recipe's line for a line of the YAML text.
    pub(crate) fn origin(&self, line: usize) -> usize {
        let line = match &self.second {
            Some(second) => second.origin.get(line).or(second.origin.last()).copied().unwrap_or(line),
            None => line,
        };
        let line = self.rendered.as_ref().map_or(line, |rendered| rendered.template_line(line));
        self.template_origin(line)
    }

    /// The recipe's line for a value of the parsed recipe.
    pub(crate) fn locate(&self, path: &[&str]) -> Option<usize> {
        let text = self.second.as_ref().map(|second| &*second.text).or(self.yaml.as_deref())?;
        yaml::locate(text, Flavor::Recipe, path).map(|(line, _)| self.origin(line))
    }
}
