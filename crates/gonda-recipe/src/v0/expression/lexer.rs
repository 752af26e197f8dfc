//! The tokens of expressions.

use std::rc::Rc;

use super::{Dialect, SyntaxError};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Name(Rc<str>),
    Text(String),
    Int(i64),
    Float(f64),
    Sign(&'static str),
    /// Python's `f"…"`, which no selector may hold.
    FormatString,
    End,
    /// A template's text outside of its braces.
    Data(Rc<str>),
    OutputStart,
    OutputEnd,
    StatementStart,
    StatementEnd,
}

impl Token {
    /// As messages name it; for templates, in jinja2's words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Sign(sign) => (*sign).to_owned(),
            Self::FormatString => "f-string".to_owned(),
            Self::End => "end of template".to_owned(),
            Self::Data(_) => "template data / text".to_owned(),
            Self::OutputStart => "begin of print statement".to_owned(),
            Self::OutputEnd => "end of print statement".to_owned(),
            Self::StatementStart => "begin of statement block".to_owned(),
            Self::StatementEnd => "end of statement block".to_owned(),
        }
    }
}

/// The longest first where one begins another.
const SIGNS: &[&str] = &[
    "**", "//", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ",", ":", ".", "+", "-", "*", "/", "%", "<", ">",
    "=", "|", "~", ";",
];
/// Signs that only Python knows. No selector may hold them.
const PYTHON_SIGNS: &[&str] = &["<<", ">>", ":=", "&", "^", "@"];

/// A text that is read token by token, and where in it the next one begins.
pub(crate) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 0 }
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The 0-based line of the next character.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    pub(crate) fn advance(&mut self, length: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.text.as_bytes()[self.at..self.at + length]).count();
        self.at += length;
    }

    pub(crate) fn skip_blanks(&mut self) {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start().len();
        if length > 0 {
            self.advance(length);
        }
    }

    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, message: message.into() })
    }

    /// All tokens of a selector, with an end.
    pub(super) fn all(mut self, dialect: Dialect) -> Result<Vec<(Token, usize)>, SyntaxError> {
        let mut tokens = Vec::new();
        loop {
            self.skip_blanks();
            if self.rest().is_empty() || self.rest().starts_with('#') {
                tokens.push((Token::End, self.line));
                return Ok(tokens);
            }
            let line = self.line;
            tokens.push((self.token(dialect)?, line));
            if tokens.len() > 10_000 {
                return self.fail("the expression is too long");
            }
        }
    }

    /// The token that begins here; there is one.
    pub(crate) fn token(&mut self, dialect: Dialect) -> Result<Token, SyntaxError> {
        let rest = self.rest();
        let python = dialect == Dialect::Selector;
        let Some(c) = rest.chars().next() else { return Ok(Token::End) };
        let (token, length) = if c == '_' || c.is_alphabetic() {
            let length = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length);
            if python && after.starts_with(['"', '\'']) && is_string_prefix(word) {
                let raw = word.contains(['r', 'R']);
                let Some((text, quoted)) = string(after, raw, python) else { return self.fail("unterminated string") };
                let formats = word.contains(['f', 'F']);
                (if formats { Token::FormatString } else { Token::Text(text) }, length + quoted)
            } else {
                (Token::Name(Rc::from(word)), length)
            }
        } else if c == '"' || c == '\'' {
            match string(rest, false, python) {
                Some((text, length)) => (Token::Text(text), length),
                None if python => return self.fail("unterminated string"),
                None => return self.fail(format!("unexpected char `{c}`")),
            }
        } else if c.is_ascii_digit() || (python && c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            match number(rest, python) {
                Some(found) => found,
                None => return self.fail("a number is too large or malformed"),
            }
        } else {
            let own: &[&str] = if python { PYTHON_SIGNS } else { &[] };
            let begins = |sign: &&&str| sign.as_bytes()[0] == rest.as_bytes()[0] && rest.starts_with(**sign);
            match own.iter().chain(SIGNS).find(begins) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return self.fail(format!("unexpected char `{c}`")),
            }
        };
        // Only strings can go on in the next line.
        match token {
            Token::Text(_) | Token::FormatString => self.advance(length),
            _ => self.at += length,
        }
        Ok(token)
    }
}

fn is_string_prefix(word: &str) -> bool {
    ["r", "u", "b", "f", "rb", "br", "rf", "fr"].iter().any(|prefix| word.eq_ignore_ascii_case(prefix))
}

/// A string literal at the start of `text`, and its length.
fn string(text: &str, raw: bool, python: bool) -> Option<(String, usize)> {
    let quote = text.chars().next()?;
    let tripled = if quote == '"' { "\"\"\"" } else { "'''" };
    let end = if python && text.starts_with(tripled) { tripled } else { &tripled[..1] };
    let mut value = String::new();
    let mut rest = &text[end.len()..];
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Some((value, text.len() - after.len()));
        }
        let mut chars = rest.chars();
        match chars.next()? {
            '\\' if raw => value.extend(['\\', chars.next()?]),
            '\\' => escaped(&mut value, &mut chars)?,
            c => value.push(c),
        }
        rest = chars.as_str();
    }
}

/// What stands behind a backslash.
fn escaped(value: &mut String, chars: &mut std::str::Chars<'_>) -> Option<()> {
    let escape = chars.next()?;
    let mut code = |digits: usize| -> Option<char> {
        let code: String = chars.by_ref().take(digits).collect();
        u32::from_str_radix(&code, 16).ok().and_then(char::from_u32)
    };
    match escape {
        '\n' => {}
        'n' => value.push('\n'),
        't' => value.push('\t'),
        'r' => value.push('\r'),
        'a' => value.push('\x07'),
        'b' => value.push('\x08'),
        'f' => value.push('\x0c'),
        'v' => value.push('\x0b'),
        '0' => value.push('\0'),
        'x' => value.push(code(2)?),
        'u' => value.push(code(4)?),
        'U' => value.push(code(8)?),
        c @ ('\\' | '\'' | '"') => value.push(c),
        other => value.extend(['\\', other]),
    }
    Some(())
}

/// A number at the start of `text`, and its length.
fn number(text: &str, python: bool) -> Option<(Token, usize)> {
    let bytes = text.as_bytes();
    let found = if let (b'0', Some(radix)) = (bytes[0], bytes.get(1).and_then(|letter| radix_of(*letter))) {
        let length = text[2..].find(|c: char| !(c == '_' || c.is_digit(radix))).map_or(text.len(), |at| at + 2);
        (Token::Int(i64::from_str_radix(&text[2..length].replace('_', ""), radix).ok()?), length)
    } else {
        decimal(text, python)?
    };
    // `3and` is a mistake in Python, and `1j` a number that no selector needs.
    let runs_on = text[found.1..].starts_with(|c: char| c == '_' || c.is_alphabetic());
    (!(python && runs_on)).then_some(found)
}

fn radix_of(letter: u8) -> Option<u32> {
    match letter.to_ascii_lowercase() {
        b'x' => Some(16),
        b'o' => Some(8),
        b'b' => Some(2),
        _ => None,
    }
}

fn decimal(text: &str, python: bool) -> Option<(Token, usize)> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let digits_end = |from: usize| {
        let length = bytes[from..].iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'_'));
        length.map_or(bytes.len(), |length| from + length)
    };
    let whole = digits_end(0);
    let mut end = whole;
    // Python takes `1.` and `.5` as well.
    if bytes.get(end) == Some(&b'.') && (python || is_digit(end + 1)) {
        end = digits_end(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if is_digit(end + 1 + sign) {
            end = digits_end(end + 1 + sign);
        }
    }
    let literal = text[..end].replace('_', "");
    if end > whole {
        return literal.parse().ok().map(|number| (Token::Float(number), end));
    }
    // Python has no leading zeros, but for zero itself.
    let leading = literal.starts_with('0') && literal.bytes().any(|digit| digit != b'0');
    if python && leading { None } else { literal.parse().ok().map(|number| (Token::Int(number), end)) }
}
