//! Cuts sections out of a recipe's *text*, as conda-build does with regular expressions (metadata.py
//! `extract_outputs_text` and its neighbours): what an output uses is decided on the text before Jinja, where there is
//! no structure yet.

use std::ops::Range;

use memchr::{memchr_iter, memmem};

/// Byte offsets of line starts from `from` on, `from` itself only if a line starts there.
fn line_starts(text: &str, from: usize) -> impl Iterator<Item = usize> + '_ {
    let first = (from == 0 || text.as_bytes().get(from - 1) == Some(&b'\n')).then_some(from);
    let rest = &text.as_bytes()[from.min(text.len())..];
    first.into_iter().chain(memchr_iter(b'\n', rest).map(move |at| from + at + 1))
}

/// Where the text's first line begins that begins with `head`.
fn first_head(text: &str, head: &str) -> Option<usize> {
    let begins_line = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
    memmem::find_iter(text.as_bytes(), head).find(begins_line)
}

/// The first line start at or after `from` where one of `heads` stands, which are lower case.
fn next_head(text: &str, from: usize, heads: &[&str]) -> Option<usize> {
    let may_be_head = |at: &usize| text.as_bytes().get(*at).is_some_and(u8::is_ascii_lowercase);
    line_starts(text, from).filter(may_be_head).find(|at| heads.iter().any(|head| text[*at..].starts_with(head)))
}

/// The text from a head at a line's start to the next of `ends`, or to the end; empty if there is no such head.
fn section(text: &str, head: &str, ends: &[&str]) -> Range<usize> {
    let Some(start) = first_head(text, head) else { return 0..0 };
    start..next_head(text, start + head.len(), ends).unwrap_or(text.len())
}

/// `(^outputs:.*?)(?=^test:|^extra:|^about:|\Z)`.
pub(crate) fn outputs(text: &str) -> Range<usize> {
    section(text, "outputs:", &["test:", "extra:", "about:"])
}

/// `(^.*?)(?=^requirements:|^test:|^extra:|^about:|^outputs:|\Z)`.
pub(crate) fn package_and_build(text: &str) -> &str {
    let end = next_head(text, 0, &["requirements:", "test:", "extra:", "about:", "outputs:"]).unwrap_or(text.len());
    &text[..end]
}

/// The top-level requirements.
pub(crate) fn top_requirements(text: &str) -> &str {
    &text[section(text, "requirements:", &["test:", "extra:", "about:", "outputs:"])]
}

/// The requirements of an output's text, which are indented.
pub(crate) fn output_requirements(text: &str) -> &str {
    let indented = |at: usize, heads: &[&str]| {
        let rest = text[at..].trim_start_matches([' ', '\t']);
        heads.iter().any(|head| rest.starts_with(head))
    };
    let Some(start) = line_starts(text, 0).find(|at| indented(*at, &["requirements:"])) else { return "" };
    let ends = |at: &usize| {
        let rest = text[*at..].trim_start_matches([' ', '\t']);
        let named = rest.strip_prefix('-').is_some_and(|rest| {
            let name = rest.trim_start();
            name.len() < rest.len() && name.starts_with("name:")
        });
        named || indented(*at, &["test:", "extra:", "about:"]) || text[*at..].starts_with("outputs:")
    };
    let end = line_starts(text, start + 1).find(ends).unwrap_or(text.len());
    &text[start..end]
}

/// The blocks of outputs, in order: `output_re`, metadata.py:118. A list that is not indented has none.
pub(crate) fn output_blocks(text: &str) -> Vec<&str> {
    let begins = |at: usize| {
        let rest = text[at..].trim_start_matches(' ');
        if rest.len() == text[at..].len() {
            return false;
        }
        let Some(rest) = rest.strip_prefix('-') else { return false };
        let key = rest.trim_start_matches(' ');
        key.len() < rest.len() && (key.starts_with("name:") || key.starts_with("type:"))
    };
    let word = |at: usize| text[at..].starts_with(|c: char| c == '_' || c.is_alphanumeric());
    let mut blocks = Vec::new();
    let mut open = None;
    for at in line_starts(text, 0) {
        if begins(at) || word(at) {
            if let Some(start) = open.take() {
                blocks.push(&text[start..at]);
            }
            if begins(at) {
                open = Some(at);
            }
        }
    }
    if let Some(start) = open {
        blocks.push(&text[start..]);
    }
    blocks
}

/// The part of a text in which a use counts as one in requirements: `requirements:.+?(?=^\w|\Z|^\s+-\s(?=name|type))`.
pub(crate) fn requirements_part(text: &str) -> &str {
    let Some(start) = memmem::find(text.as_bytes(), b"requirements:") else { return "" };
    let ends = |at: &usize| {
        let rest = &text[*at..];
        if rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
            return true;
        }
        let item = rest.trim_start();
        item.len() < rest.len()
            && item.strip_prefix('-').is_some_and(|item| {
                let mut chars = item.chars();
                chars.next().is_some_and(char::is_whitespace)
                    && (chars.as_str().starts_with("name") || chars.as_str().starts_with("type"))
            })
    };
    let from = start + "requirements:".len() + 1;
    if from > text.len() {
        return "";
    }
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let end = line_starts(text, from).find(ends).unwrap_or(text.len());
    &text[start..end]
}
