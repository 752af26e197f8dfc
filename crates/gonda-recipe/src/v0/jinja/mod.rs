//! The template language of recipes: jinja2 3.1 with Python's values.
//!
//! This is an interpreter of our own rather than a general template engine, because rendering decides names and hashes
//! and conda-build leans on what is Python about jinja2: an attribute of an undefined name prints `None`, arithmetic
//! with one is undefined again (`UndefinedNeverFail`), `%` formats, strings have methods, `1.10` is no number.
//!
//! Templates come from others: steps, output, nesting and ranges are limited, and nothing here reads files but through
//! [`Context::load`].

mod ast;
mod eval;
mod filters;
mod lexer;
mod parser;

use std::rc::Rc;

pub(crate) use ast::Template;
use eval::Evaluator;
pub(crate) use eval::Function;
pub(crate) use filters::{is_filter, is_test};

use super::expression::SyntaxError;
use super::python::{Args, Object, PyError, PyResult, Recorder, Value};

/// What a template gets to see.
pub(crate) trait Context {
    /// A global name; `None` if it is undefined.
    fn lookup(&self, name: &str) -> Option<Value>;

    /// The source of another template, as `{% include %}` and `{% import %}` ask for it; `None` if there is none.
    fn load(&self, name: &str) -> Option<Result<String, TemplateError>>;

    /// Calls one of the context's own functions, which a lookup gave as [`ContextFunction`].
    fn call(&self, function: &'static str, args: &Args) -> PyResult;
}

/// A function that the context carries out.
pub(crate) struct ContextFunction(pub(crate) &'static str);

impl Object for ContextFunction {
    fn type_name(&self) -> &str {
        "functools.partial"
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn repr(&self) -> String {
        format!("functools.partial(<function {} at 0x0>)", self.0)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateError {
    /// 0-based line of the template.
    pub(crate) line: usize,
    pub(crate) cause: Cause,
}

/// The kinds of mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The template can't be parsed.
    Syntax(String),
    /// It failed while rendering.
    Runtime(PyError),
}

impl From<SyntaxError> for TemplateError {
    fn from(error: SyntaxError) -> Self {
        Self { line: error.line, cause: Cause::Syntax(error.message) }
    }
}

/// Where a piece of rendered text comes from: its offset, the 0-based line of the template, and whether it is literal
/// text of it.
type Mark = (usize, usize, bool);

/// A rendered template.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Undefined names that were used. Only when lenient; strict rendering fails at the first.
    pub(crate) undefined: Vec<String>,
    /// Whether something undefined was passed over without a note, where strict rendering fails.
    pub(crate) passed: bool,
    /// Where pieces of the text come from.
    marks: Vec<Mark>,
}

impl Rendered {
    /// The 0-based template line that a 0-based line of the text comes from.
    pub(crate) fn template_line(&self, line: usize) -> usize {
        let start = match line {
            0 => 0,
            _ => self.text.match_indices('\n').nth(line - 1).map_or(self.text.len(), |(at, _)| at + 1),
        };
        // A line that begins in a piece that made only blanks before belongs to what follows on it.
        let index = self.marks.partition_point(|(offset, ..)| *offset <= start);
        let Some((offset, origin, literal)) = index.checked_sub(1).map(|index| self.marks[index]) else { return 0 };
        if literal { origin + self.text[offset..start].matches('\n').count() } else { origin }
    }
}

impl Template {
    /// Parses a template. `\r\n` and `\r` must have become `\n`.
    pub(crate) fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(parser::parse(source)?)
    }

    /// Renders the template; `strict` as jinja2's `StrictUndefined`, else as conda-build's `UndefinedNeverFail`.
    pub(crate) fn render(&self, context: &dyn Context, strict: bool) -> Result<Rendered, TemplateError> {
        let recorder = (!strict).then(|| Rc::new(Recorder::default()));
        let mut evaluator = Evaluator::new(context, recorder.clone());
        let (text, marks) = evaluator.run(self)?;
        let passed = recorder.as_ref().is_some_and(|recorder| recorder.passed.get());
        let undefined = recorder.map(|recorder| recorder.names.take()).unwrap_or_default();
        Ok(Rendered { text, undefined, passed, marks })
    }
}

/// Renders a template in which these names are known, and none of conda-build's functions: what a table of templates is
/// held against. `strict` as [`Finalize::Bypass`](crate::Finalize::Bypass) is.
///
/// # Errors
/// Python's name of the exception and its message, as gonda has it; `TemplateSyntaxError` for what can't be parsed.
pub fn render_template(
    source: &str,
    names: &serde_json::Map<String, serde_json::Value>,
    strict: bool,
) -> Result<String, (&'static str, String)> {
    struct Names<'n>(&'n serde_json::Map<String, serde_json::Value>);

    impl Context for Names<'_> {
        fn lookup(&self, name: &str) -> Option<Value> {
            self.0.get(name).map(super::python::from_json)
        }

        fn load(&self, _name: &str) -> Option<Result<String, TemplateError>> {
            None
        }

        fn call(&self, function: &'static str, _args: &Args) -> PyResult {
            Err(PyError::type_error(format!("`{function}` is no function here")))
        }
    }

    let told = |error: TemplateError| match error.cause {
        Cause::Syntax(message) => ("TemplateSyntaxError", message),
        Cause::Runtime(error) => (error.kind.python_name(), error.message),
    };
    let template = Template::parse(source).map_err(told)?;
    template.render(&Names(names), strict).map(|rendered| rendered.text).map_err(told)
}

#[cfg(test)]
mod tests;
