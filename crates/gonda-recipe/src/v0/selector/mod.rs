//! Line selectors: `- line  # [linux and py >= 310]`.
//!
//! A selector is a Python expression of a small grammar. conda-build's peculiarities are kept: any `[…]` at the end of a line
//! is a selector, with or without `#`; an unknown name is replaced by `False` *in the text*, so `vc<14` is true where
//! there is no `vc`; comment lines become empty.

mod rules;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use foldhash::fast::RandomState;
use memchr::{memchr, memchr_iter, memchr2, memchr2_iter};

use self::rules::{SelectorScope, validate};
use crate::v0::expression::{self, Expr};
use crate::v0::python::{ErrorKind, PyError, Value, truth};
use crate::v0::text;

/// What names mean in a selector.
pub(crate) trait Names {
    /// The value of a name; `None` if it has none.
    fn lookup(&self, name: &str) -> Option<Value>;
}

/// A text cut into lines with their selectors; made once, and selected from for each variant. See also [`select`].
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectableText {
    text: Rc<str>,
    lines: Vec<Line>,
}

/// A line, as ranges of the whole text's bytes.
#[derive(Debug, Clone, Default)]
struct Line {
    start: usize,
    kept: Range<usize>,
    /// What closes a line that is quoted as a whole.
    quote: Option<char>,
    selector: Option<Range<usize>>,
}

/// What is left of a text, and where each line of it came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selected {
    pub(crate) text: String,
    /// For each line that is left, its 0-based number in the original.
    pub(crate) origin: Vec<usize>,
    trimmed: OnceCell<Rc<str>>,
}

impl Selected {
    /// The text without blanks at its end.
    pub(crate) fn trimmed(&self) -> Rc<str> {
        self.trimmed.get_or_init(|| Rc::from(self.text.trim_end())).clone()
    }
}

/// A selection from a text, line by line.
struct Selection<'t> {
    text: &'t str,
    selected: Selected,
    /// Lines that are kept as they are and stand together in the text; they are copied together.
    run: Range<usize>,
}

impl<'t> Selection<'t> {
    fn new(text: &'t str, length: usize, lines: usize) -> Self {
        let (kept, origin) = (String::with_capacity(length + 1), Vec::with_capacity(lines));
        Self { text, selected: Selected { text: kept, origin, trimmed: OnceCell::new() }, run: 0..0 }
    }

    /// Takes a line over, if its selector is true.
    fn take<N: Names>(&mut self, number: usize, line: &Line, evaluator: &Evaluator<N>) -> Result<(), SelectorError> {
        if let Some(selector) = &line.selector {
            let selector = &self.text[selector.clone()];
            let failed = |failure| SelectorError { line: number, selector: selector.to_owned(), failure };
            if !evaluator.evaluate(selector).map_err(failed)? {
                return Ok(());
            }
        }
        self.selected.origin.push(number);
        let Range { start, end } = line.kept;
        let is_whole = line.quote.is_none() && self.text.as_bytes().get(end) == Some(&b'\n');
        if !is_whole || self.run.end != start {
            self.copy_run();
        }
        if is_whole {
            self.run = if self.run.is_empty() { start..end + 1 } else { self.run.start..end + 1 };
            return Ok(());
        }
        self.selected.text.push_str(&self.text[start..end]);
        self.selected.text.extend(line.quote);
        self.selected.text.push('\n');
        Ok(())
    }

    fn copy_run(&mut self) {
        self.selected.text.push_str(&self.text[std::mem::take(&mut self.run)]);
    }

    /// What was taken; where there is no line at all, an empty one.
    fn finish(mut self, is_empty: bool) -> Selected {
        self.copy_run();
        if is_empty {
            self.selected.text.push('\n');
        }
        self.selected
    }
}

/// A selector that can't be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SelectorError {
    /// 0-based line of the text.
    pub(crate) line: usize,
    pub(crate) selector: String,
    pub(crate) failure: Failure,
}

/// Why a selector can't be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Not a Python expression.
    Syntax(String),
    /// An expression, but not one that a selector may be.
    NotAllowed(String),
    /// Failed when evaluated.
    Evaluation(PyError),
}

impl SelectableText {
    pub(crate) fn new(text: Rc<str>) -> Self {
        let mut lines = Vec::with_capacity(count_lines(&text));
        lines.extend(cut(&text));
        Self { text, lines }
    }

    /// The lines of a part of the text whose selectors are true. The part is whole lines, and alone the text that lines
    /// are counted in.
    pub(crate) fn select<N: Names>(
        &self,
        part: Range<usize>,
        evaluator: &Evaluator<N>,
    ) -> Result<Selected, SelectorError> {
        let line_at = |at: usize| self.lines.partition_point(|line| line.start < at);
        let lines = &self.lines[line_at(part.start)..line_at(part.end)];
        let mut selection = Selection::new(&self.text, part.len(), lines.len());
        for (number, line) in lines.iter().enumerate() {
            selection.take(number, line, evaluator)?;
        }
        Ok(selection.finish(lines.is_empty()))
    }
}

/// The lines of a text whose selectors are true; for a text that is selected from once.
pub(crate) fn select<N: Names>(text: &str, evaluator: &Evaluator<N>) -> Result<Selected, SelectorError> {
    let mut selection = Selection::new(text, text.len(), count_lines(text));
    for (number, line) in cut(text).enumerate() {
        selection.take(number, &line, evaluator)?;
    }
    Ok(selection.finish(text.is_empty()))
}

/// How many lines a text has, at most but for the unusual ends of lines.
fn count_lines(text: &str) -> usize {
    memchr_iter(b'\n', text.as_bytes()).count() + 1
}

/// The lines of a text, taken apart.
fn cut(text: &str) -> impl Iterator<Item = Line> {
    // Most lines have neither a comment nor a selector; so the next sign of either is looked for in all lines at once.
    let sign_from = |from: usize| memchr2(b'#', b'[', &text.as_bytes()[from..]).map_or(text.len(), |at| from + at);
    let mut sign = sign_from(0);
    text::lines(text).map(move |line| {
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        let end = start + line.len();
        if sign < end {
            sign = sign_from(end);
            return split_line(text, start, line);
        }
        Line { start, kept: start..start + line.trim_end().len(), quote: None, selector: None }
    })
}

/// A line of a text, which begins at `start`.
fn split_line(text: &str, start: usize, line: &str) -> Line {
    let line = line.trim_end();
    if line.trim_start().starts_with('#') {
        return Line { start, ..Line::default() };
    }
    let range = |part: &str| {
        let start = part.as_ptr() as usize - text.as_ptr() as usize;
        start..start + part.len()
    };
    match find_selector(line) {
        Some((head, selector)) => {
            // Someone may have quoted the whole line to make it YAML.
            let quote = line.chars().next_back().filter(|c| matches!(c, '\'' | '"'));
            let head = if quote.is_none() { head.trim_end() } else { head };
            Line { start, kept: range(head), quote, selector: Some(range(selector)) }
        }
        None => Line { start, kept: range(line), quote: None, selector: None },
    }
}

/// What stands before a line's selector, and the selector without its brackets. The rule is conda-build's `sel_pat`:
/// `(.+?)\s*(#.*)?\[([^\[\]]+)\](?(2)[^\(\)]*)$`.
fn find_selector(line: &str) -> Option<(&str, &str)> {
    memchr(b'[', line.as_bytes())?;
    // A bracket pair without brackets in it; `tail` says what may follow it.
    let pair = |open: usize| -> Option<(usize, &str)> {
        let content = &line[open + 1..];
        let end = content.find(['[', ']'])?;
        (end > 0 && content.as_bytes()[end] == b']').then(|| (open + 1 + end + 1, &content[..end]))
    };
    let after_comment = || {
        line.rmatch_indices('[').find_map(|(open, _)| {
            let (end, selector) = pair(open)?;
            (!line[end..].contains(['(', ')'])).then_some((open, selector))
        })
    };
    let mut commented = None;
    // The head is one character at least.
    for at in memchr2_iter(b'#', b'[', line.as_bytes()).skip_while(|at| *at == 0) {
        let found = if line[at..].starts_with('#') {
            let (open, selector) = *commented.get_or_insert_with(after_comment).as_ref().unwrap_or(&(0, ""));
            (open > at).then_some(selector)
        } else {
            pair(at).filter(|(end, _)| *end == line.len()).map(|(_, selector)| selector)
        };
        if let Some(selector) = found {
            // It is as short as can be.
            let head = line[..at].trim_end();
            let head = if head.is_empty() { &line[..line.chars().next().map_or(0, char::len_utf8)] } else { head };
            return Some((head, selector));
        }
    }
    None
}

/// Evaluates selectors, each text once.
pub(crate) struct Evaluator<N> {
    names: N,
    known: RefCell<HashMap<String, bool, RandomState>>,
}

impl<N: Names> Evaluator<N> {
    pub(crate) fn new(names: N) -> Self {
        Self { names, known: RefCell::default() }
    }

    pub(crate) fn names(&self) -> &N {
        &self.names
    }

    /// Whether the selector keeps its line.
    pub(crate) fn evaluate(&self, selector: &str) -> Result<bool, Failure> {
        if let Some(value) = self.known.borrow().get(selector) {
            return Ok(*value);
        }
        let value = evaluate(selector, &self.names)?;
        self.known.borrow_mut().insert(selector.to_owned(), value);
        Ok(value)
    }
}

/// Replaces unknown names by `False` until none is left.
fn evaluate(selector: &str, names: &dyn Names) -> Result<bool, Failure> {
    let mut text = selector.to_owned();
    for _ in 0..100 {
        let expression = Expr::selector(&text).map_err(|error| Failure::Syntax(error.message))?;
        validate(&expression)?;
        let value = expression::evaluate(&expression, &mut SelectorScope(names));
        match value.and_then(|value| truth(&value)) {
            Ok(value) => return Ok(value),
            Err(error) if error.kind == ErrorKind::Name => {
                text = text.replace(&error.message, "False");
                if text.len() > 100_000 {
                    break;
                }
            }
            Err(error) => return Err(Failure::Evaluation(error)),
        }
    }
    Err(Failure::Evaluation(PyError::limit("too many unknown names")))
}
