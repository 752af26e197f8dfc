//! YAML as it stands in a package's `info/recipe/meta.yaml`: block style, the keys in conda-build's order.

use serde_json::{Map, Value};

use super::yaml;

/// A section of a recipe in block style. Lists of text are sorted, but for those whose order matters.
pub(crate) fn section(out: &mut String, name: &str, value: &Value) {
    entry(out, name, value, 0, None);
}

/// A section that is a mapping, with other values for some keys; it has one key at least.
pub(crate) fn section_with(out: &mut String, name: &str, map: Option<&Map<String, Value>>, given: &[(&str, Value)]) {
    scalar(out, name);
    out.push_str(":\n");
    let known = map.into_iter().flatten().map(|(key, value)| {
        let given = given.iter().find(|(given, _)| given == key);
        (key.as_str(), given.map_or(value, |(_, value)| value))
    });
    let is_new = |key: &str| map.is_none_or(|map| !map.contains_key(key));
    let new = given.iter().filter(|(key, _)| is_new(key)).map(|(key, value)| (*key, value));
    for (key, value) in known.chain(new) {
        indent(out, 1);
        entry(out, key, value, 1, Some(name));
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn mapping(out: &mut String, map: &Map<String, Value>, depth: usize, section: Option<&str>) {
    for (key, value) in map {
        indent(out, depth);
        entry(out, key, value, depth, section);
    }
}

/// A key and its value; `section` is the recipe's section that the key stands in, for keys directly in one.
fn entry(out: &mut String, key: &str, value: &Value, depth: usize, section: Option<&str>) {
    scalar(out, key);
    out.push(':');
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, depth + 1, (depth == 0).then_some(key));
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            let ordered = matches!((section, key), (Some("build"), "script") | (Some("test"), "commands"));
            if ordered || !items.iter().all(Value::is_string) {
                sequence(out, items.iter(), depth + 1);
            } else {
                let mut sorted: Vec<&Value> = items.iter().collect();
                sorted.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                sequence(out, sorted.into_iter(), depth + 1);
            }
        }
        other => {
            out.push(' ');
            leaf(out, other);
        }
    }
}

fn sequence<'v>(out: &mut String, items: impl Iterator<Item = &'v Value>, depth: usize) {
    for item in items {
        indent(out, depth);
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => {
                for (position, (key, value)) in map.iter().enumerate() {
                    if position > 0 {
                        indent(out, depth + 1);
                    }
                    entry(out, key, value, depth + 1, None);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items.iter(), depth + 1);
            }
            other => leaf(out, other),
        }
    }
}

fn leaf(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => scalar(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
}

/// Text, quoted where it would be read as something else.
fn scalar(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else if !text.contains(is_unprintable) {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        out.push('"');
        let is_escaped = |c: char| matches!(c, '"' | '\\') || is_unprintable(c);
        for part in text.split_inclusive(is_escaped) {
            let escaped = part.chars().next_back().filter(|c| is_escaped(*c));
            out.push_str(&part[..part.len() - escaped.map_or(0, char::len_utf8)]);
            match escaped {
                None => {}
                Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
                Some('\n') => out.push_str("\\n"),
                Some('\t') => out.push_str("\\t"),
                Some('\r') => out.push_str("\\r"),
                Some(c) if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
                Some(c) => out.push_str(&format!("\\u{:04x}", c as u32)),
            }
        }
        out.push('"');
    }
}

/// What stands in quoted text as an escape alone.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// The bytes that may mean something in plain text.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        special[byte] = byte < 0x20 || byte >= 0x7f;
        byte += 1;
    }
    let mut signs: &[u8] = b",[]{}:#";
    while let [sign, rest @ ..] = signs {
        special[*sign as usize] = true;
        signs = rest;
    }
    special
};
/// What no plain text may begin with.
const INDICATORS: &[u8] = b"-?:,[]{}#&*!|>'\"%@`~=< ";

fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if (!first.is_ascii_alphanumeric() && INDICATORS.contains(first)) || matches!(last, b' ' | b':') {
        return false;
    }
    if bytes.iter().any(|byte| SPECIAL[usize::from(*byte)]) {
        // What any reader would take for a number to the base of 60 keeps its quotes.
        let base60 = |byte: &u8| byte.is_ascii_digit() || b":.+-_".contains(byte);
        let is_number = bytes.contains(&b':') && bytes.iter().all(base60);
        if is_number || !specials_are_plain(bytes) || (!text.is_ascii() && text.contains(char::is_control)) {
            return false;
        }
    }
    // And so does what is taken for another number, a date or a truth value.
    yaml::is_text(text) && !looks_numeric(text)
}

/// Whether text with special characters means nothing but itself: a colon or a `#` inside of a word.
fn specials_are_plain(text: &[u8]) -> bool {
    let mut before = 0;
    for byte in text {
        match byte {
            b',' | b'[' | b']' | b'{' | b'}' | 0..0x20 | 0x7f => return false,
            b' ' if before == b':' => return false,
            b'#' if before == b' ' => return false,
            _ => before = *byte,
        }
    }
    true
}

fn looks_numeric(text: &str) -> bool {
    let may_be = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'i' | 'I' | 'n' | 'N'));
    may_be && text.parse::<f64>().is_ok() || matches!(text, "y" | "n" | "Y" | "N")
}
