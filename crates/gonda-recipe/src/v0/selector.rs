//! Line selectors: `- line  # [linux and py >= 310]`.
//!
//! A selector is a Python expression of a small grammar (conda-build lets `evalidate` check it against a list of
//! allowed nodes, metadata.py `evalidate_model`). conda-build's peculiarities are kept: any `[…]` at the end of a line
//! is a selector, with or without `#`; an unknown name is replaced by `False` *in the text*, so `vc<14` is true where
//! there is no `vc`; comment lines become empty.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::python::{Args, BinaryOp, CompareOp, ErrorKind, PyError, PyResult, Value};
use super::python::{binary, call_method, compare, get_attribute, negate, truth};
use super::text;

/// What names mean in a selector.
pub(crate) trait Names {
    /// The value of a name; `None` if it has none.
    fn lookup(&self, name: &str) -> Option<Value>;
}

/// A text cut into lines with their selectors; made once, selected from for each variant.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectableText {
    lines: Vec<Line>,
    length: usize,
}

#[derive(Debug, Clone)]
struct Line {
    selector: Option<String>,
    text: String,
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
    pub(crate) fn new(text: &str) -> Self {
        let lines: Vec<Line> = text::lines(text).map(split_line).collect();
        Self { lines, length: text.len() }
    }

    /// The lines whose selectors are true.
    pub(crate) fn select<N: Names>(&self, evaluator: &Evaluator<N>) -> Result<Selected, SelectorError> {
        let mut selected = Selected {
            text: String::with_capacity(self.length),
            origin: Vec::with_capacity(self.lines.len()),
            trimmed: OnceCell::new(),
        };
        for (number, line) in self.lines.iter().enumerate() {
            if let Some(selector) = &line.selector {
                let keep = evaluator.evaluate(selector).map_err(|failure| SelectorError {
                    line: number,
                    selector: selector.clone(),
                    failure,
                })?;
                if !keep {
                    continue;
                }
            }
            selected.text.push_str(&line.text);
            selected.text.push('\n');
            selected.origin.push(number);
        }
        if self.lines.is_empty() {
            selected.text.push('\n');
        }
        Ok(selected)
    }
}

fn split_line(line: &str) -> Line {
    let line = line.trim_end();
    if line.trim_start().starts_with('#') {
        return Line { selector: None, text: String::new() };
    }
    // Someone may have quoted the whole line to make it YAML.
    let quote = line.chars().next_back().filter(|c| matches!(c, '\'' | '"'));
    match find_selector(line) {
        Some((head, selector)) => {
            let mut text = head.to_owned();
            text.extend(quote);
            Line { selector: Some(selector.to_owned()), text: text.trim_end().to_owned() }
        }
        None => Line { selector: None, text: line.to_owned() },
    }
}

/// What stands before a line's selector, and the selector without its brackets. The rule is conda-build's `sel_pat`:
/// `(.+?)\s*(#.*)?\[([^\[\]]+)\](?(2)[^\(\)]*)$`.
fn find_selector(line: &str) -> Option<(&str, &str)> {
    if !(line.contains('[') && line.contains(']')) {
        return None;
    }
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
    for (at, c) in line.char_indices().skip(1) {
        let found = match c {
            '#' => {
                let (open, selector) = *commented.get_or_insert_with(after_comment).as_ref().unwrap_or(&(0, ""));
                (open > at).then_some(selector)
            }
            '[' => pair(at).filter(|(end, _)| *end == line.len()).map(|(_, selector)| selector),
            _ => None,
        };
        if let Some(selector) = found {
            // The head is as short as can be, but one character at least.
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
    known: RefCell<HashMap<String, bool>>,
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
        let expression = Parser::parse(text.trim_start())?;
        expression.validate()?;
        match expression.evaluate(names).and_then(|value| truth(&value)) {
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

/// An expression of Python, as far as a selector can hold one.
#[derive(Debug, Clone)]
enum Expression {
    Constant(Value),
    Name(String),
    Tuple(Vec<Expression>),
    Dict(Vec<(Expression, Expression)>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Bool {
        and: bool,
        parts: Vec<Expression>,
    },
    Compare {
        first: Box<Expression>,
        rest: Vec<(CompareOp, Expression)>,
    },
    Binary(BinaryOp, Box<Expression>, Box<Expression>),
    If {
        test: Box<Expression>,
        then: Box<Expression>,
        otherwise: Box<Expression>,
    },
    Attribute(Box<Expression>, String),
    Call {
        function: Box<Expression>,
        args: Vec<Expression>,
    },
    /// A node that no selector may hold; its name in Python's `ast`.
    Forbidden(&'static str),
}

const FUNCTIONS: &[&str] = &["int", "float", "len", "str", "list", "dict", "tuple"];
const ATTRIBUTES: &[&str] = &[
    "endswith",
    "index",
    "lower",
    "rsplit",
    "split",
    "startswith",
    "strip",
    "upper",
    "join",
    "replace",
    "get",
    "items",
    "keys",
    "values",
    "environ",
    "getenv",
    "pathsep",
    "sep",
];
/// Python's built-in names that someone may write for want of a variant key of that name: as functions they are true.
const BUILTINS: &[&str] = &[
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "bool",
    "breakpoint",
    "bytearray",
    "bytes",
    "callable",
    "chr",
    "classmethod",
    "compile",
    "complex",
    "copyright",
    "credits",
    "delattr",
    "dict",
    "dir",
    "divmod",
    "enumerate",
    "eval",
    "exec",
    "exit",
    "filter",
    "float",
    "format",
    "frozenset",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "help",
    "hex",
    "id",
    "input",
    "int",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "license",
    "list",
    "locals",
    "map",
    "max",
    "memoryview",
    "min",
    "next",
    "object",
    "oct",
    "open",
    "ord",
    "pow",
    "print",
    "property",
    "quit",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "setattr",
    "slice",
    "sorted",
    "staticmethod",
    "str",
    "sum",
    "super",
    "tuple",
    "type",
    "vars",
    "zip",
];

impl Expression {
    /// Checks the whole expression before any of it is evaluated.
    fn validate(&self) -> Result<(), Failure> {
        let all = |parts: &[Self]| parts.iter().try_for_each(Self::validate);
        match self {
            Self::Forbidden(node) => Err(Failure::NotAllowed(format!("{node} is not allowed in a selector"))),
            Self::Attribute(_, name) if !ATTRIBUTES.contains(&name.as_str()) => {
                Err(Failure::NotAllowed(format!("attribute `{name}` is not allowed in a selector")))
            }
            Self::Call { function, args } => {
                match &**function {
                    Self::Name(name) if !FUNCTIONS.contains(&name.as_str()) => {
                        return Err(Failure::NotAllowed(format!("calling `{name}()` is not allowed in a selector")));
                    }
                    Self::Name(_) | Self::Attribute(..) => {}
                    _ => return Err(Failure::NotAllowed("an indirect call is not allowed in a selector".to_owned())),
                }
                function.validate()?;
                all(args)
            }
            Self::Constant(_) | Self::Name(_) => Ok(()),
            Self::Tuple(parts) | Self::Bool { parts, .. } => all(parts),
            Self::Dict(items) => items.iter().try_for_each(|(key, value)| {
                key.validate()?;
                value.validate()
            }),
            Self::Not(inner) | Self::Negate(inner) | Self::Attribute(inner, _) => inner.validate(),
            Self::Compare { first, rest } => {
                first.validate()?;
                rest.iter().try_for_each(|(_, part)| part.validate())
            }
            Self::Binary(op, a, b) => {
                match op {
                    BinaryOp::Mul => return Self::Forbidden("multiplication").validate(),
                    BinaryOp::FloorDiv => return Self::Forbidden("`//`").validate(),
                    BinaryOp::Pow => return Self::Forbidden("`**`").validate(),
                    _ => {}
                }
                a.validate()?;
                b.validate()
            }
            Self::If { test, then, otherwise } => {
                test.validate()?;
                then.validate()?;
                otherwise.validate()
            }
        }
    }

    fn evaluate(&self, names: &dyn Names) -> PyResult {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Name(name) => names.lookup(name).map_or_else(
                || {
                    if BUILTINS.contains(&name.as_str()) {
                        Ok(Value::Bool(true))
                    } else {
                        Err(PyError::new(ErrorKind::Name, name.clone()))
                    }
                },
                Ok,
            ),
            Self::Tuple(parts) => {
                Ok(Value::tuple(parts.iter().map(|part| part.evaluate(names)).collect::<PyResult<_>>()?))
            }
            Self::Dict(items) => {
                let mut dict = super::python::Dict::new();
                for (key, value) in items {
                    dict.insert(super::python::Key::new(&key.evaluate(names)?)?, value.evaluate(names)?);
                }
                Ok(Value::from(dict))
            }
            Self::Not(inner) => truth(&inner.evaluate(names)?).map(|value| Value::Bool(!value)),
            Self::Negate(inner) => negate(&inner.evaluate(names)?, false),
            Self::Bool { and, parts } => {
                let mut value = Value::None;
                for part in parts {
                    value = part.evaluate(names)?;
                    if truth(&value)? != *and {
                        break;
                    }
                }
                Ok(value)
            }
            Self::Compare { first, rest } => {
                let mut left = first.evaluate(names)?;
                let mut result = Value::Bool(true);
                for (op, part) in rest {
                    let right = part.evaluate(names)?;
                    result = compare(*op, &left, &right)?;
                    if !truth(&result)? {
                        break;
                    }
                    left = right;
                }
                Ok(result)
            }
            Self::Binary(op, a, b) => binary(*op, &a.evaluate(names)?, &b.evaluate(names)?),
            Self::If { test, then, otherwise } => {
                if truth(&test.evaluate(names)?)? {
                    then.evaluate(names)
                } else {
                    otherwise.evaluate(names)
                }
            }
            Self::Attribute(value, name) => {
                let value = value.evaluate(names)?;
                get_attribute(&value, name)?.ok_or_else(|| no_attribute(&value, name))
            }
            Self::Call { function, args } => {
                let args = Args {
                    positional: args.iter().map(|arg| arg.evaluate(names)).collect::<PyResult<_>>()?,
                    named: Vec::new(),
                };
                match &**function {
                    Self::Attribute(value, name) => {
                        let value = value.evaluate(names)?;
                        match call_method(&value, name, &args) {
                            Some(result) => result,
                            None => match get_attribute(&value, name)? {
                                Some(Value::Object(object)) => object.call(&args),
                                Some(other) => Err(not_callable(&other)),
                                None => Err(no_attribute(&value, name)),
                            },
                        }
                    }
                    Self::Name(name) => match names.lookup(name) {
                        Some(Value::Object(object)) => object.call(&args),
                        Some(other) => Err(not_callable(&other)),
                        None => super::python::convert(name, &args),
                    },
                    _ => Err(not_callable(&Value::None)),
                }
            }
            Self::Forbidden(_) => Err(PyError::type_error("not allowed")),
        }
    }
}

fn no_attribute(value: &Value, name: &str) -> PyError {
    PyError::new(ErrorKind::Attribute, format!("'{}' object has no attribute '{name}'", value.type_name()))
}

fn not_callable(value: &Value) -> PyError {
    PyError::type_error(format!("'{}' object is not callable", value.type_name()))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Sign(&'static str),
    FormatString,
    End,
}

const SIGNS: &[&str] = &[
    "**", "//", "<<", ">>", "==", "!=", "<=", ">=", ":=", "(", ")", "{", "}", "[", "]", ",", ":", ".", "+", "-", "*",
    "/", "%", "<", ">", "=", "&", "|", "^", "~", ";", "@",
];

fn tokenize(text: &str) -> Result<Vec<Token>, Failure> {
    let syntax = |what: &str| Failure::Syntax(what.to_owned());
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(c) = rest.chars().next() else { break };
        if c == '#' {
            break;
        }
        if c == '_' || c.is_alphabetic() {
            let end = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let prefix = word.to_ascii_lowercase();
            if after.starts_with(['"', '\'']) && matches!(&*prefix, "r" | "u" | "b" | "f" | "rb" | "br" | "rf" | "fr") {
                let (value, after) =
                    string(after, prefix.contains('r')).ok_or_else(|| syntax("unterminated string"))?;
                tokens.push(if prefix.contains('f') { Token::FormatString } else { Token::Text(value) });
                rest = after;
                continue;
            }
            tokens.push(Token::Name(word.to_owned()));
            rest = after;
        } else if c == '"' || c == '\'' {
            let (value, after) = string(rest, false).ok_or_else(|| syntax("unterminated string"))?;
            tokens.push(Token::Text(value));
            rest = after;
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let (token, after) = number(rest).ok_or_else(|| syntax("invalid number"))?;
            tokens.push(token);
            rest = after;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            return Err(Failure::Syntax(format!("invalid character `{c}`")));
        }
        if tokens.len() > 10_000 {
            return Err(syntax("the expression is too long"));
        }
    }
    tokens.push(Token::End);
    Ok(tokens)
}

/// A string literal at the start of `text`; what is left after it.
fn string(text: &str, raw: bool) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let delimiter = if text.starts_with(&triple) { triple } else { quote.to_string() };
    let mut rest = &text[delimiter.len()..];
    let mut value = String::new();
    loop {
        if let Some(after) = rest.strip_prefix(&*delimiter) {
            return Some((value, after));
        }
        let mut chars = rest.chars();
        let c = chars.next()?;
        if c == '\\' {
            let escaped = chars.next()?;
            if raw {
                value.push(c);
                value.push(escaped);
            } else {
                match escaped {
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    '\\' | '\'' | '"' => value.push(escaped),
                    other => {
                        value.push('\\');
                        value.push(other);
                    }
                }
            }
        } else {
            value.push(c);
        }
        rest = chars.as_str();
    }
}

fn number(text: &str) -> Option<(Token, &str)> {
    let bytes = text.as_bytes();
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B')) {
        let radix = match bytes[1] | 0x20 {
            b'x' => 16,
            b'o' => 8,
            _ => 2,
        };
        let end = text[2..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(text.len(), |end| end + 2);
        let digits = text[2..end].replace('_', "");
        return i64::from_str_radix(&digits, radix).ok().map(|number| (Token::Int(number), &text[end..]));
    }
    let mut end = 0;
    let mut float = false;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'0'..=b'9' | b'_' => {}
            b'.' if !float => float = true,
            b'e' | b'E' if end > 0 => {
                float = true;
                if matches!(bytes.get(end + 1), Some(b'+' | b'-')) {
                    end += 1;
                }
            }
            _ => break,
        }
        end += 1;
    }
    let digits = text[..end].replace('_', "");
    // `3and` is a syntax error today, `1j` a complex number: neither is of use.
    if text[end..].starts_with(|c: char| c == '_' || c.is_alphabetic()) {
        return None;
    }
    let token = if float {
        Token::Float(digits.parse().ok()?)
    } else {
        // No leading zeros, but for zero itself.
        if digits.len() > 1 && digits.starts_with('0') && !digits.trim_matches('0').is_empty() {
            return None;
        }
        Token::Int(digits.parse().ok()?)
    };
    Some((token, &text[end..]))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Parsed = Result<Expression, Failure>;

const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield",
];

impl Parser {
    fn parse(text: &str) -> Parsed {
        let mut parser = Self { tokens: tokenize(text)?, at: 0, depth: 0 };
        let expression = parser.tuple()?;
        if *parser.peek() != Token::End {
            return Err(parser.unexpected());
        }
        Ok(expression)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(found) if found == word);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self) -> Failure {
        Failure::Syntax(match self.peek() {
            Token::Name(name) => format!("unexpected `{name}`"),
            Token::Text(text) => format!("unexpected `\"{text}\"`"),
            Token::Int(number) => format!("unexpected `{number}`"),
            Token::Float(number) => format!("unexpected `{number}`"),
            Token::Sign(sign) => format!("unexpected `{sign}`"),
            Token::FormatString => "unexpected f-string".to_owned(),
            Token::End => "the expression ends too early".to_owned(),
        })
    }

    /// Expressions with commas between them.
    fn tuple(&mut self) -> Parsed {
        let first = self.expression()?;
        if !matches!(self.peek(), Token::Sign(",")) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.sign(",") {
            if matches!(self.peek(), Token::End | Token::Sign(")")) {
                break;
            }
            parts.push(self.expression()?);
        }
        Ok(Expression::Tuple(parts))
    }

    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > 60 {
            return Err(Failure::Syntax("the expression is nested too deeply".to_owned()));
        }
        let result = self.conditional();
        self.depth -= 1;
        result
    }

    fn conditional(&mut self) -> Parsed {
        if self.word("lambda") {
            while !matches!(self.peek(), Token::Sign(":") | Token::End) {
                self.at += 1;
            }
            if !self.sign(":") {
                return Err(self.unexpected());
            }
            self.expression()?;
            return Ok(Expression::Forbidden("a lambda"));
        }
        let then = self.or()?;
        if self.word("if") {
            let test = self.or()?;
            if !self.word("else") {
                return Err(self.unexpected());
            }
            let otherwise = self.expression()?;
            return Ok(Expression::If { test: test.into(), then: then.into(), otherwise: otherwise.into() });
        }
        Ok(then)
    }

    fn or(&mut self) -> Parsed {
        self.boolean("or", Self::and)
    }

    fn and(&mut self) -> Parsed {
        self.boolean("and", Self::not)
    }

    fn boolean(&mut self, word: &str, part: fn(&mut Self) -> Parsed) -> Parsed {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        Ok(Expression::Bool { and: word == "and", parts })
    }

    fn not(&mut self) -> Parsed {
        let mut count = 0_usize;
        while self.word("not") {
            count += 1;
        }
        let mut inner = self.comparison()?;
        // Two `not`s leave the truth of one, and one is enough: a chain must not nest.
        if count > 0 {
            inner = Expression::Not(inner.into());
            if count.is_multiple_of(2) {
                inner = Expression::Not(inner.into());
            }
        }
        Ok(inner)
    }

    fn comparison(&mut self) -> Parsed {
        let first = self.bit_or()?;
        let mut rest = Vec::new();
        loop {
            let op = match self.peek() {
                Token::Sign("==") => CompareOp::Eq,
                Token::Sign("!=") => CompareOp::Ne,
                Token::Sign("<") => CompareOp::Lt,
                Token::Sign("<=") => CompareOp::Le,
                Token::Sign(">") => CompareOp::Gt,
                Token::Sign(">=") => CompareOp::Ge,
                Token::Name(name) if name == "in" => CompareOp::In,
                Token::Name(name) if name == "is" => CompareOp::Is,
                Token::Name(name)
                    if name == "not"
                        && matches!(self.tokens.get(self.at + 1), Some(Token::Name(name)) if name == "in") =>
                {
                    self.at += 1;
                    CompareOp::NotIn
                }
                _ => break,
            };
            self.at += 1;
            let op = if op == CompareOp::Is && self.word("not") { CompareOp::IsNot } else { op };
            rest.push((op, self.bit_or()?));
        }
        if rest.is_empty() { Ok(first) } else { Ok(Expression::Compare { first: first.into(), rest }) }
    }

    /// `|`, `^`, `&` and shifts: understood, to say that they are not allowed.
    fn bit_or(&mut self) -> Parsed {
        let first = self.sum()?;
        let mut forbidden = None;
        loop {
            let node = match self.peek() {
                Token::Sign("|") => "`|`",
                Token::Sign("^") => "`^`",
                Token::Sign("&") => "`&`",
                Token::Sign("<<" | ">>") => "a shift",
                _ => break,
            };
            self.at += 1;
            self.sum()?;
            forbidden = Some(node);
        }
        Ok(forbidden.map_or(first, Expression::Forbidden))
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        let mut count = 0;
        loop {
            let op = match self.peek() {
                Token::Sign("+") => BinaryOp::Add,
                Token::Sign("-") => BinaryOp::Sub,
                _ => return Ok(left),
            };
            self.at += 1;
            self.chain(&mut count)?;
            left = Expression::Binary(op, left.into(), self.product()?.into());
        }
    }

    /// A chain of operators nests to the left, and evaluating it does so too.
    fn chain(&self, count: &mut usize) -> Result<(), Failure> {
        *count += 1;
        if *count > 100 { Err(Failure::Syntax("the expression is too long".to_owned())) } else { Ok(()) }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        let mut count = 0;
        loop {
            let op = match self.peek() {
                Token::Sign("*") => BinaryOp::Mul,
                Token::Sign("/") => BinaryOp::Div,
                Token::Sign("//") => BinaryOp::FloorDiv,
                Token::Sign("%") => BinaryOp::Mod,
                Token::Sign("@") => {
                    self.at += 1;
                    self.unary()?;
                    left = Expression::Forbidden("`@`");
                    continue;
                }
                _ => return Ok(left),
            };
            self.at += 1;
            self.chain(&mut count)?;
            left = Expression::Binary(op, left.into(), self.unary()?.into());
        }
    }

    fn unary(&mut self) -> Parsed {
        let mut forbidden = None;
        let mut minus = 0_usize;
        loop {
            if self.sign("-") {
                minus += 1;
            } else if self.sign("+") {
                forbidden = Some("unary `+`");
            } else if self.sign("~") {
                forbidden = Some("`~`");
            } else {
                break;
            }
        }
        let operand = self.power()?;
        if let Some(node) = forbidden {
            return Ok(Expression::Forbidden(node));
        }
        Ok(match minus {
            0 => operand,
            odd if !odd.is_multiple_of(2) => Expression::Negate(operand.into()),
            _ => Expression::Negate(Expression::Negate(operand.into()).into()),
        })
    }

    fn power(&mut self) -> Parsed {
        let base = self.postfix()?;
        if self.sign("**") {
            self.depth += 1;
            if self.depth > 60 {
                return Err(Failure::Syntax("the expression is nested too deeply".to_owned()));
            }
            let exponent = self.unary()?;
            self.depth -= 1;
            return Ok(Expression::Binary(BinaryOp::Pow, base.into(), exponent.into()));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Parsed {
        let mut value = self.atom()?;
        let mut count = 0;
        loop {
            if self.sign(".") {
                match self.next() {
                    Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                        value = Expression::Attribute(value.into(), name);
                    }
                    _ => {
                        self.at -= 1;
                        return Err(self.unexpected());
                    }
                }
            } else if self.sign("(") {
                let mut args = Vec::new();
                while !self.sign(")") {
                    if self.sign("*") || self.sign("**") {
                        self.expression()?;
                        args.push(Expression::Forbidden("an unpacked argument"));
                    } else {
                        let arg = self.expression()?;
                        if self.sign("=") || self.sign(":=") {
                            self.expression()?;
                            args.push(Expression::Forbidden("a keyword argument"));
                        } else {
                            args.push(arg);
                        }
                        if self.comprehension()? {
                            args.push(Expression::Forbidden("a comprehension"));
                        }
                    }
                    if !self.sign(",") && !matches!(self.peek(), Token::Sign(")")) {
                        return Err(self.unexpected());
                    }
                }
                value = Expression::Call { function: value.into(), args };
            } else {
                return Ok(value);
            }
            self.chain(&mut count)?;
        }
    }

    /// Skips the `for … in …` of a comprehension.
    fn comprehension(&mut self) -> Result<bool, Failure> {
        if !self.word("for") {
            return Ok(false);
        }
        while !matches!(self.peek(), Token::Sign(")" | "}") | Token::End) {
            self.at += 1;
        }
        if *self.peek() == Token::End { Err(self.unexpected()) } else { Ok(true) }
    }

    fn atom(&mut self) -> Parsed {
        match self.next() {
            Token::Name(name) => match name.as_str() {
                "True" => Ok(Expression::Constant(Value::Bool(true))),
                "False" => Ok(Expression::Constant(Value::Bool(false))),
                "None" => Ok(Expression::Constant(Value::None)),
                keyword if KEYWORDS.contains(&keyword) => {
                    self.at -= 1;
                    Err(self.unexpected())
                }
                _ => Ok(Expression::Name(name)),
            },
            Token::Int(number) => Ok(Expression::Constant(Value::Int(number))),
            Token::Float(number) => Ok(Expression::Constant(Value::Float(number))),
            Token::FormatString => Ok(Expression::Forbidden("an f-string")),
            Token::Text(mut text) => {
                // Literals side by side are one.
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                if *self.peek() == Token::FormatString {
                    self.at += 1;
                    return Ok(Expression::Forbidden("an f-string"));
                }
                Ok(Expression::Constant(Value::from(text)))
            }
            Token::Sign("(") => {
                if self.sign(")") {
                    return Ok(Expression::Tuple(Vec::new()));
                }
                let mut inner = self.tuple()?;
                if self.comprehension()? {
                    inner = Expression::Forbidden("a comprehension");
                }
                if self.sign(":=") {
                    self.expression()?;
                    inner = Expression::Forbidden("`:=`");
                }
                if self.sign(")") { Ok(inner) } else { Err(self.unexpected()) }
            }
            Token::Sign("{") => self.braces(),
            _ => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn braces(&mut self) -> Parsed {
        let mut items = Vec::new();
        let mut set = false;
        while !self.sign("}") {
            let key = self.expression()?;
            if self.sign(":") {
                items.push((key, self.expression()?));
            } else {
                set = true;
            }
            if self.comprehension()? {
                set = true;
            }
            if !self.sign(",") && !matches!(self.peek(), Token::Sign("}")) {
                return Err(self.unexpected());
            }
        }
        if set { Ok(Expression::Forbidden("a set")) } else { Ok(Expression::Dict(items)) }
    }
}
