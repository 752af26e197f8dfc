//! From template text to tokens: literal text, and the tokens inside `{{ }}` and `{% %}`.

use std::rc::Rc;

use crate::v0::expression::{Dialect, Lexer, SyntaxError, Token};

/// Most templates have no more tokens.
const USUAL_TOKENS: usize = 64;

/// The tokens of a template, each with its 0-based line.
pub(super) fn tokenize(source: &str) -> Result<Vec<(Token, usize)>, SyntaxError> {
    // A single newline at the very end is dropped (`keep_trailing_newline` is off).
    let source = source.strip_suffix('\n').unwrap_or(source);
    let mut template = Tokenizer { lexer: Lexer::new(source), tokens: Vec::with_capacity(USUAL_TOKENS) };
    template.run()?;
    template.tokens.push((Token::End, template.lexer.line()));
    Ok(template.tokens)
}

struct Tokenizer<'t> {
    lexer: Lexer<'t>,
    tokens: Vec<(Token, usize)>,
}

impl Tokenizer<'_> {
    fn run(&mut self) -> Result<(), SyntaxError> {
        // Whether blanks before the next text are left out, as `-%}` says.
        let mut strip_start = false;
        while !self.lexer.rest().is_empty() {
            let rest = self.lexer.rest();
            let Some((data, marker)) = next_marker(rest) else {
                self.data(rest, strip_start, false);
                break;
            };
            let sign = rest.as_bytes().get(data.len() + 2);
            let (strip_end, no_strip) = (sign == Some(&b'-'), sign == Some(&b'+'));
            self.data(data, strip_start, strip_end);
            let head = 2 + usize::from(strip_end || no_strip);
            strip_start = match marker {
                b'#' => self.comment()?,
                b'%' => match self.raw(head)? {
                    Some(strip) => strip,
                    None => self.inside(head, Token::StatementStart, Token::StatementEnd, "%}")?,
                },
                _ => self.inside(head, Token::OutputStart, Token::OutputEnd, "}}")?,
            };
        }
        Ok(())
    }

    /// Literal text.
    fn data(&mut self, data: &str, strip_start: bool, strip_end: bool) {
        let mut text = data;
        let mut line = self.lexer.line();
        if strip_start {
            text = text.trim_start();
            line += data[..data.len() - text.len()].matches('\n').count();
        }
        if strip_end {
            text = text.trim_end();
        }
        if !text.is_empty() {
            self.tokens.push((Token::Data(Rc::from(text)), line));
        }
        self.lexer.advance(data.len());
    }

    /// `{# … #}`; returns whether the text after it is stripped.
    fn comment(&mut self) -> Result<bool, SyntaxError> {
        let rest = self.lexer.rest();
        let Some(end) = rest[2..].find("#}").map(|end| end + 2) else {
            return self.lexer.fail("missing end of comment tag");
        };
        self.lexer.advance(end + 2);
        Ok(end > 2 && rest.as_bytes()[end - 1] == b'-')
    }

    /// `{% raw %}…{% endraw %}`; returns whether the text after it is stripped, or nothing if it is no raw block.
    fn raw(&mut self, head: usize) -> Result<Option<bool>, SyntaxError> {
        let rest = self.lexer.rest();
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
            let line = self.lexer.line() + rest[..start].matches('\n').count();
            self.tokens.push((Token::Data(Rc::from(text)), line));
            self.lexer.advance(rest.len() - tail.len());
            return Ok(Some(strip_after));
        }
        self.lexer.fail("missing end of raw directive")
    }

    /// Tokens from `start`, which is `head` bytes long, up to `close`; returns whether the text after it is stripped.
    fn inside(&mut self, head: usize, start: Token, end: Token, close: &str) -> Result<bool, SyntaxError> {
        self.tokens.push((start, self.lexer.line()));
        self.lexer.advance(head);
        let mut open: Vec<&'static str> = Vec::new();
        loop {
            self.lexer.skip_blanks();
            let rest = self.lexer.rest();
            if rest.is_empty() {
                return self.lexer.fail(format!("unexpected end of template, expected `{close}`"));
            }
            // The end counts only where no bracket is open: `{{ {'a': {}}}}`.
            if open.is_empty() {
                let sign = rest.chars().next().filter(|sign| matches!(sign, '-' | '+'));
                let signed = usize::from(sign.is_some() && rest[1..].starts_with(close));
                if signed == 1 || rest.starts_with(close) {
                    self.tokens.push((end, self.lexer.line()));
                    self.lexer.advance(signed + close.len());
                    return Ok(signed == 1 && sign == Some('-'));
                }
            }
            let line = self.lexer.line();
            let token = self.lexer.token(Dialect::Template)?;
            if let Token::Sign(sign) = token {
                bracket(&mut open, sign).map_err(|message| SyntaxError { line, message })?;
            }
            self.tokens.push((token, line));
        }
    }
}

/// The text before the next `{{`, `{%` or `{#`, and the marker's second character.
fn next_marker(text: &str) -> Option<(&str, u8)> {
    memchr::memchr_iter(b'{', text.as_bytes()).find_map(|at| match text.as_bytes().get(at + 1) {
        Some(marker @ (b'{' | b'%' | b'#')) => Some((&text[..at], *marker)),
        _ => None,
    })
}

/// Keeps account of the brackets that are open.
fn bracket(open: &mut Vec<&'static str>, sign: &'static str) -> Result<(), String> {
    match sign {
        "(" | "[" | "{" => open.push(sign),
        ")" | "]" | "}" => {
            let expected = match open.pop() {
                Some("(") => ")",
                Some("[") => "]",
                Some(_) => "}",
                None => return Err(format!("unexpected `{sign}`")),
            };
            if expected != sign {
                return Err(format!("unexpected `{sign}`, expected `{expected}`"));
            }
        }
        _ => {}
    }
    if open.len() > 40 { Err("brackets are nested too deeply".to_owned()) } else { Ok(()) }
}
