//! Reads the plain part of YAML that most recipes keep to, quickly.
//!
//! That is: mappings and sequences in block style, scalars on one line, literal blocks, comments, in ASCII. Where a
//! document holds anything else – flow collections, anchors, tags, escapes, scalars on several lines, mistakes – this
//! reader says nothing, and the full parser reads it. What both can read they read alike, which [`super::read_alike`]
//! holds.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter};
use serde_json::{Map, Value};

use super::{Flavor, MAX_DEPTH, key_text, plain_scalar};

/// Most mappings have no more keys, and a table for so many is as small as one that has to grow.
const USUAL_KEYS: usize = 7;
/// A longer document might have more nodes than one may.
const MAX_BYTES: usize = 400_000;

/// The document, or nothing if the full parser must read it.
pub(super) fn read(text: &str, flavor: Flavor) -> Option<Value> {
    if text.len() > MAX_BYTES || !text.ends_with('\n') {
        return None;
    }
    // Without a way out before the end, many bytes are looked at together.
    let is_plain = |byte: u8| matches!(byte, b'\n' | b' '..=b'~');
    if !text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return None;
    }
    let mut reader = Reader { rest: text, line: None, flavor };
    reader.advance();
    let first = reader.line?;
    if first.indent > 0 || first.content.starts_with("---") {
        return None;
    }
    let value = reader.block(0)?;
    reader.line.is_none().then_some(value)
}

/// A line that says something.
#[derive(Clone, Copy)]
struct Line<'t> {
    indent: usize,
    /// Without blanks at either end.
    content: &'t str,
}

struct Reader<'t> {
    /// What follows the current line.
    rest: &'t str,
    /// The current line; there is none at the end.
    line: Option<Line<'t>>,
    flavor: Flavor,
}

impl<'t> Reader<'t> {
    fn next_line(&mut self) -> &'t str {
        let end = memchr(b'\n', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        line
    }

    /// Goes to the next line that is neither blank nor a comment.
    fn advance(&mut self) {
        self.line = None;
        while self.line.is_none() && !self.rest.is_empty() {
            let line = self.next_line();
            let content = without_blanks(line);
            if !content.is_empty() && !content.starts_with('#') {
                let indent = line.len() - content.len();
                self.line = Some(Line { indent, content: content.trim_end_matches(' ') });
            }
        }
    }

    /// The collection that the current line begins. What follows it stands further left.
    fn block(&mut self, depth: usize) -> Option<Value> {
        let first = self.line?;
        let value =
            if is_item(first.content) { self.sequence(first.indent, depth) } else { self.mapping(first.indent, depth) };
        if self.line.is_some_and(|line| line.indent >= first.indent) { None } else { value }
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            if line.indent > indent {
                return None;
            }
            if !is_item(line.content) {
                break;
            }
            let rest = without_blanks(&line.content[1..]);
            items.push(if is_item(rest) || split_key(rest).is_some() {
                // A collection that begins on the line of its item.
                self.line = Some(Line { indent: indent + line.content.len() - rest.len(), content: rest });
                (depth < MAX_DEPTH - 2).then(|| self.block(depth + 1)).flatten()?
            } else {
                self.value(rest, indent, false, depth)?
            });
        }
        Some(Value::Array(items))
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut map = Map::with_capacity(USUAL_KEYS);
        while let Some(line) = self.line.filter(|line| line.indent >= indent) {
            if line.indent > indent {
                return None;
            }
            if is_item(line.content) {
                break;
            }
            let (key, rest) = split_key(line.content)?;
            let key = key_text(plain_scalar(Cow::Borrowed(key), self.flavor));
            map.insert(key, self.value(rest, indent, true, depth)?);
        }
        Some(Value::Object(map))
    }

    /// What stands behind the key or dash of a collection at `indent`, and below it.
    fn value(&mut self, text: &str, indent: usize, in_mapping: bool, depth: usize) -> Option<Value> {
        if text.is_empty() || text.starts_with('#') {
            self.advance();
            return match self.line {
                _ if depth >= MAX_DEPTH - 2 => None,
                Some(next) if next.indent > indent => self.block(depth + 1),
                // A sequence may stand right below its key.
                Some(next) if next.indent == indent && in_mapping && is_item(next.content) => {
                    self.sequence(indent, depth + 1)
                }
                _ => Some(plain_scalar(Cow::Borrowed("~"), self.flavor)),
            };
        }
        if text.starts_with('|') {
            return self.literal(text, indent);
        }
        let value = self.scalar(text)?;
        self.advance();
        // A scalar that goes on in the next line is not for this reader.
        if self.line.is_some_and(|next| next.indent > indent) { None } else { Some(value) }
    }

    /// A literal block: its lines without their indentation, and no blank ones at its end.
    fn literal(&mut self, header: &str, indent: usize) -> Option<Value> {
        let strip = match header {
            "|" => false,
            "|-" => true,
            _ => return None,
        };
        let mut text = String::new();
        let mut width = 0;
        let mut blank = 0;
        while !self.rest.is_empty() {
            let before = self.rest;
            let line = self.next_line();
            let own = line.len() - without_blanks(line).len();
            if line.is_empty() {
                blank += 1;
                continue;
            }
            if own == line.len() {
                return None;
            }
            if own <= indent {
                self.rest = before;
                break;
            }
            if width == 0 {
                width = own;
            }
            if own < width {
                return None;
            }
            text.extend(std::iter::repeat_n('\n', std::mem::take(&mut blank)));
            text.push_str(&line[width..]);
            text.push('\n');
        }
        if width == 0 {
            return None;
        }
        if strip {
            text.pop();
        }
        self.advance();
        Some(Value::String(text))
    }

    /// A scalar that ends on its line.
    fn scalar(&self, text: &str) -> Option<Value> {
        let quoted = |content: String, after: &str| {
            let ends = after.is_empty() || (after.starts_with(' ') && without_blanks(after).starts_with('#'));
            ends.then_some(Value::String(content))
        };
        let first = *text.as_bytes().first()?;
        if first == b'"' {
            let end = text[1..].find(['"', '\\'])? + 1;
            return if text.as_bytes()[end] == b'"' { quoted(text[1..end].to_owned(), &text[end + 1..]) } else { None };
        }
        if first == b'\'' {
            let mut content = String::new();
            let mut rest = &text[1..];
            loop {
                let (part, after) = rest.split_once('\'')?;
                content.push_str(part);
                match after.strip_prefix('\'') {
                    Some(after) => rest = after,
                    None => return quoted(content, after),
                }
                content.push('\'');
            }
        }
        let dash = first == b'-' && text.as_bytes().get(1).is_some_and(|second| *second != b' ');
        if !dash && b"-?:,[]{}#&*!|>%@`".contains(&first) {
            return None;
        }
        let mut end = text.len();
        let bytes = text.as_bytes();
        for at in memchr2_iter(b'#', b':', bytes) {
            match bytes[at] {
                b'#' if bytes[..at].ends_with(b" ") => {
                    end = at;
                    break;
                }
                b':' if bytes.get(at + 1) == Some(&b' ') => return None,
                _ => {}
            }
        }
        let text = text[..end].trim_end_matches(' ');
        if text.ends_with(':') { None } else { Some(plain_scalar(Cow::Borrowed(text), self.flavor)) }
    }
}

fn without_blanks(text: &str) -> &str {
    &text[text.bytes().take_while(|byte| *byte == b' ').count()..]
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// A key of the simplest kind and what stands behind its colon.
fn split_key(content: &str) -> Option<(&str, &str)> {
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+');
    let end = content.bytes().position(|byte| !is_key(byte))?;
    let (key, rest) = (&content[..end], content[end..].strip_prefix(':')?);
    let begins = key.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
    (begins && end < 100 && (rest.is_empty() || rest.starts_with(' '))).then(|| (key, without_blanks(rest)))
}
