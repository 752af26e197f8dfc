//! From template text to tokens: literal text, and the tokens inside `{{ }}` and `{% %}`.

use std::rc::Rc;

use super::TemplateError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Literal text.
    Data(Rc<str>),
    OutputStart,
    OutputEnd,
    StatementStart,
    StatementEnd,
    Name(Rc<str>),
    Text(String),
    Int(i64),
    Float(f64),
    Sign(&'static str),
    End,
}

impl Token {
    /// As jinja2 names it in messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Data(_) => "template data / text".to_owned(),
            Self::OutputStart => "begin of print statement".to_owned(),
            Self::OutputEnd => "end of print statement".to_owned(),
            Self::StatementStart => "begin of statement block".to_owned(),
            Self::StatementEnd => "end of statement block".to_owned(),
            Self::Name(name) => name.to_string(),
            Self::Text(text) => text.clone(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Sign(sign) => (*sign).to_owned(),
            Self::End => "end of template".to_owned(),
        }
    }
}

const SIGNS: &[&str] = &[
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// The tokens of a template, each with its 0-based line.
pub(super) fn tokenize(source: &str) -> Result<Vec<(Token, usize)>, TemplateError> {
    // A single newline at the very end is dropped (`keep_trailing_newline` is off).
    let source = source.strip_suffix('\n').unwrap_or(source);
    let mut lexer = Lexer { source, at: 0, line: 0, tokens: Vec::new() };
    lexer.run()?;
    let line = lexer.line;
    lexer.tokens.push((Token::End, line));
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<(Token, usize)>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn advance(&mut self, length: usize) {
        self.line += self.source[self.at..self.at + length].matches('\n').count();
        self.at += length;
    }

    fn run(&mut self) -> Result<(), TemplateError> {
        let mut strip_start = false;
        while self.at < self.source.len() {
            let rest = &self.source[self.at..];
            let begin = rest
                .match_indices('{')
                .map(|(at, _)| at)
                .find(|at| matches!(rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')));
            let (data, opened) = match begin {
                Some(at) => (&rest[..at], true),
                None => (rest, false),
            };
            let marker = if opened { rest.as_bytes()[data.len() + 1] } else { 0 };
            let strip_end = opened && rest.as_bytes().get(data.len() + 2) == Some(&b'-');
            let no_strip = opened && rest.as_bytes().get(data.len() + 2) == Some(&b'+');
            let mut text = data;
            let mut skipped = 0;
            if strip_start {
                let trimmed = text.trim_start();
                skipped = text.len() - trimmed.len();
                text = trimmed;
            }
            if strip_end {
                text = text.trim_end();
            }
            let data_line = self.line + data[..skipped].matches('\n').count();
            if !text.is_empty() {
                self.tokens.push((Token::Data(Rc::from(text)), data_line));
            }
            let length = data.len();
            self.advance(length);
            if !opened {
                break;
            }
            let head = 2 + usize::from(strip_end || no_strip);
            match marker {
                b'#' => {
                    let line = self.line;
                    let end = self.rest()[2..]
                        .find("#}")
                        .map(|end| end + 2)
                        .ok_or_else(|| TemplateError::syntax(line, "missing end of comment tag"))?;
                    strip_start = self.rest().as_bytes()[end - 1] == b'-' && end > 2;
                    self.advance(end + 2);
                }
                b'%' => {
                    if let Some(end) = self.raw(head)? {
                        strip_start = end;
                        continue;
                    }
                    self.tokens.push((Token::StatementStart, self.line));
                    self.advance(head);
                    strip_start = self.inside("%}", Token::StatementEnd)?;
                }
                _ => {
                    self.tokens.push((Token::OutputStart, self.line));
                    self.advance(head);
                    strip_start = self.inside("}}", Token::OutputEnd)?;
                }
            }
        }
        Ok(())
    }

    /// `{% raw %}…{% endraw %}`; returns whether the text after it is stripped, or nothing if it is no raw block.
    fn raw(&mut self, head: usize) -> Result<Option<bool>, TemplateError> {
        let rest = self.rest();
        let Some(after) = rest[head..].trim_start().strip_prefix("raw") else { return Ok(None) };
        let after = after.trim_start();
        let (strip_first, body) = match (after.strip_prefix("-%}"), after.strip_prefix("%}")) {
            (Some(body), _) => (true, body),
            (None, Some(body)) => (false, body),
            _ => return Ok(None),
        };
        let start = rest.len() - body.len();
        for (at, _) in body.match_indices("{%") {
            let tag = &body[at + 2..];
            let strip_last = tag.starts_with('-');
            let tag = tag.strip_prefix(['-', '+']).unwrap_or(tag);
            let Some(tail) = tag.trim_start().strip_prefix("endraw") else { continue };
            let tail = tail.trim_start();
            let (strip_after, tail) =
                match (tail.strip_prefix("-%}"), tail.strip_prefix("%}"), tail.strip_prefix("+%}")) {
                    (Some(tail), ..) => (true, tail),
                    (_, Some(tail), _) | (_, _, Some(tail)) => (false, tail),
                    _ => continue,
                };
            let mut text = &body[..at];
            if strip_first {
                text = text.trim_start();
            }
            if strip_last {
                text = text.trim_end();
            }
            let line = self.line + rest[..start].matches('\n').count();
            let token = Token::Data(Rc::from(text));
            let length = rest.len() - tail.len();
            self.tokens.push((token, line));
            self.advance(length);
            return Ok(Some(strip_after));
        }
        Err(TemplateError::syntax(self.line, "missing end of raw directive"))
    }

    /// Tokens up to `close`; returns whether the text after it is stripped.
    fn inside(&mut self, close: &'static str, end: Token) -> Result<bool, TemplateError> {
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            let blanks = self.rest().len() - self.rest().trim_start().len();
            self.advance(blanks);
            let rest = &self.source[self.at..];
            let Some(c) = rest.chars().next() else {
                return Err(TemplateError::syntax(
                    self.line,
                    format!("unexpected end of template, expected `{close}`"),
                ));
            };
            // The end counts only where no bracket is open: `{{ {'a': {}}}}`.
            if open.is_empty() {
                let strip = rest.starts_with('-') && rest[1..].starts_with(close);
                let no_strip = rest.starts_with('+') && rest[1..].starts_with(close);
                if strip || no_strip || rest.starts_with(close) {
                    self.tokens.push((end, self.line));
                    self.advance(close.len() + usize::from(strip || no_strip));
                    return Ok(strip);
                }
            }
            let line = self.line;
            if c == '_' || c.is_alphabetic() {
                let length = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
                self.tokens.push((Token::Name(Rc::from(&rest[..length])), line));
                self.advance(length);
            } else if c == '"' || c == '\'' {
                let (text, length) =
                    string(rest).ok_or_else(|| TemplateError::syntax(line, format!("unexpected char `{c}`")))?;
                self.tokens.push((Token::Text(text), line));
                self.advance(length);
            } else if c.is_ascii_digit() {
                let (token, length) =
                    number(rest).ok_or_else(|| TemplateError::syntax(line, "a number is too large or malformed"))?;
                self.tokens.push((token, line));
                self.advance(length);
            } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                match *sign {
                    "(" | "[" | "{" => open.push(sign),
                    ")" | "]" | "}" => {
                        let expected = open.pop().map(|open| match open {
                            "(" => ")",
                            "[" => "]",
                            _ => "}",
                        });
                        match expected {
                            Some(expected) if expected == *sign => {}
                            Some(expected) => {
                                return Err(TemplateError::syntax(
                                    line,
                                    format!("unexpected `{sign}`, expected `{expected}`"),
                                ));
                            }
                            None => return Err(TemplateError::syntax(line, format!("unexpected `{sign}`"))),
                        }
                    }
                    _ => {}
                }
                if open.len() > 40 {
                    return Err(TemplateError::syntax(line, "brackets are nested too deeply"));
                }
                self.tokens.push((Token::Sign(sign), line));
                self.advance(sign.len());
            } else {
                return Err(TemplateError::syntax(line, format!("unexpected char `{c}`")));
            }
        }
    }
}

/// A string literal at the start of `text` and its length.
fn string(text: &str) -> Option<(String, usize)> {
    let quote = text.chars().next()?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((value, at + 1));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let (_, escaped) = chars.next()?;
        let mut code = |digits: usize| -> Option<char> {
            let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
            u32::from_str_radix(&code, 16).ok().and_then(char::from_u32)
        };
        match escaped {
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
            '\\' | '\'' | '"' => value.push(escaped),
            other => {
                value.push('\\');
                value.push(other);
            }
        }
    }
    None
}

fn number(text: &str) -> Option<(Token, usize)> {
    let bytes = text.as_bytes();
    let radix = match bytes.get(1) {
        Some(b'x' | b'X') if bytes[0] == b'0' => 16,
        Some(b'o' | b'O') if bytes[0] == b'0' => 8,
        Some(b'b' | b'B') if bytes[0] == b'0' => 2,
        _ => 10,
    };
    if radix != 10 {
        let length = text[2..].find(|c: char| !(c == '_' || c.is_digit(radix))).map_or(text.len(), |at| at + 2);
        let number = i64::from_str_radix(&text[2..length].replace('_', ""), radix).ok()?;
        return Some((Token::Int(number), length));
    }
    let digits = |from: usize| {
        bytes[from..]
            .iter()
            .position(|byte| !(byte.is_ascii_digit() || *byte == b'_'))
            .map_or(bytes.len(), |at| from + at)
    };
    let whole = digits(0);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
            end = digits(end + 1 + sign);
        }
    }
    let literal = text[..end].replace('_', "");
    if end == whole {
        // `007` is no number to jinja2, which then sees three; to reject it is kinder.
        return literal.parse().ok().map(|number| (Token::Int(number), end));
    }
    literal.parse().ok().map(|number| (Token::Float(number), end))
}
