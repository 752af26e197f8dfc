//! Which variant keys a recipe uses, by looking at its text (variants.py `find_used_variables_in_text` and its
//! neighbours). What counts is decided by regular expressions there; they are matched by hand here, because a pinning
//! file has hundreds of keys and each would need its own.

use std::collections::BTreeSet;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memmem, memrchr};

use super::variant::Variant;

/// The keys that are looked for: a variant's.
pub(crate) struct Keys {
    variant: Arc<Variant>,
    /// Those that are no words. They are rare, and looked for wherever one may stand.
    odd: Vec<Arc<str>>,
}

impl Keys {
    pub(crate) fn new(variant: Arc<Variant>) -> Self {
        let odd = variant.unsorted_keys().filter(|key| !key.bytes().all(is_word_byte)).cloned().collect();
        Self { variant, odd }
    }

    fn get(&self, word: &str) -> Option<&str> {
        self.variant.key(word)
    }

    /// The keys used in a recipe's text, in selectors alone or in everything but them.
    pub(crate) fn used_in(&self, text: &str, selectors_only: bool) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for (line, part) in lines_with(text, if selectors_only { b'[' } else { b'{' }) {
            let mut look_for = |key: &str| {
                if !used.contains(key) && used_on(line, key, selectors_only) {
                    used.insert(key.to_owned());
                }
            };
            self.odd.iter().for_each(|key| look_for(key));
            if selectors_only || !takes_parts_of_words(part) {
                words(part).filter_map(|word| self.get(word)).for_each(look_for);
            } else {
                let keys = self.variant.keys().iter().map(AsRef::as_ref);
                keys.filter(|key| part.contains(key)).for_each(look_for);
            }
            if !selectors_only {
                used.extend(called(part).filter_map(|key| self.get(&key).map(str::to_owned)));
            }
        }
        if !selectors_only {
            // A requirement may write `-` for the `_` of a key.
            for (line, name) in items(text).filter_map(|line| Some((line, bare_item(line)?))) {
                let name = name.replace('-', "_");
                let keys = self.odd.iter().map(AsRef::as_ref).chain(self.get(&name));
                used.extend(keys.filter(|key| is_requirement(line, key)).map(str::to_owned));
            }
        }
        // The pattern for `cdt(` is tried on selectors too.
        if memmem::find_iter(text.as_bytes(), "cdt(").any(|at| calls_cdt(&text[line_around(text, at)])) {
            used.extend(self.variant.keys().iter().filter(|key| key.starts_with("cdt_")).map(|key| key.to_string()));
        }
        let brings_sysroot = ["c_stdlib", "c_compiler", "cxx_compiler"].iter().any(|key| used.contains(*key));
        if brings_sysroot {
            used.extend(self.get("CONDA_BUILD_SYSROOT").map(str::to_owned));
        }
        used
    }
}

/// The keys that calls on a line use: of `compiler("c")`, `c_compiler` and `c_compiler_version`, and so of `stdlib`. The
/// pattern is `\{\s*compiler\(['"]c["'][^{]*?\}`.
fn called(line: &str) -> impl Iterator<Item = String> {
    let calls = line.match_indices('{').filter_map(|(at, _)| {
        let call = line[at + 1..].trim_start();
        let kind = ["compiler", "stdlib"].into_iter().find(|kind| call.starts_with(kind))?;
        let argument = call[kind.len()..].strip_prefix('(')?.strip_prefix(['\'', '"'])?;
        let (language, rest) = argument.split_once(['\'', '"'])?;
        let closes = rest.find(['{', '}']).is_some_and(|end| rest[end..].starts_with('}'));
        closes.then_some((language, kind))
    });
    calls.flat_map(|(language, kind)| ["", "_version"].map(|suffix| [language, "_", kind, suffix].concat()))
}

/// The lines that may be items of an indented list: a dash stands behind a blank. A line can come more than once.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii_graphic());
    let bytes = text.as_bytes();
    let dashes = memchr_iter(b'-', bytes)
        .filter(move |at| *at > 0 && is_blank(bytes.get(at - 1)) && is_blank(bytes.get(at + 1)));
    dashes.map(|at| &text[line_around(text, at)])
}

/// The lines that hold a character, and what of them begins with it.
fn lines_with(text: &str, character: u8) -> impl Iterator<Item = (&str, &str)> {
    let mut from = 0;
    iter::from_fn(move || {
        let at = from + memchr(character, &text.as_bytes()[from..])?;
        let line = line_around(text, at);
        from = line.end;
        Some((&text[line], &text[at..from]))
    })
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |end| end + 1);
    start..memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |end| at + end)
}

/// The words of a line. A key is used as one, but for those statements in which a part of one is enough.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    iter::from_fn(move || {
        let word = &rest[rest.bytes().position(is_word_byte)?..];
        let end = word.bytes().position(|byte| !is_word_byte(byte)).unwrap_or(word.len());
        rest = &word[end..];
        Some(&word[..end])
    })
}

/// Whether a statement on the line may use a key that is a part of a word; see [`in_statement`].
fn takes_parts_of_words(line: &str) -> bool {
    memchr_iter(b'{', line.as_bytes()).any(|at| {
        let statement = line[at + 1..].strip_prefix('%').map_or("", str::trim_start);
        ["if", "elif", "for"].iter().any(|tag| statement.starts_with(tag))
    })
}

/// The item of an indented list, if it is one word, a comment or selector behind it left aside.
fn bare_item(line: &str) -> Option<&str> {
    let item = line.trim_start();
    let rest = item.strip_prefix('-').filter(|_| item.len() < line.len())?;
    let name = rest.trim_start();
    let (name, after) = name.split_at(name.find(char::is_whitespace).unwrap_or(name.len()));
    let after = after.trim_start();
    (rest.starts_with(char::is_whitespace) && (after.is_empty() || after.starts_with(['[', '#']))).then_some(name)
}

fn used_on(line: &str, key: &str, selectors_only: bool) -> bool {
    if selectors_only { in_selector(line, key) } else { uses(line, key) }
}

fn uses(line: &str, key: &str) -> bool {
    in_expression(line, key) || is_requirement(line, key) || in_statement(line, key)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn is_word_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// `\{{\s*cdt\(`, whose braces were meant to be two: `\{{` is one brace, then another.
fn calls_cdt(line: &str) -> bool {
    line.match_indices("{{").any(|(at, _)| line[at + 2..].trim_start().starts_with("cdt("))
}

/// `\{\s*(?:pin_[a-z]+\(\s*?['"])?KEY(?:[^_0-9a-zA-Z].*?)?\}\}`.
fn in_expression(line: &str, key: &str) -> bool {
    let then_key = |rest: &str| {
        rest.strip_prefix(key).is_some_and(|rest| {
            rest.starts_with("}}")
                || (rest.chars().next().is_some_and(|c| !is_word(c)) && {
                    let first = rest.chars().next().map_or(0, char::len_utf8);
                    rest[first..].contains("}}")
                })
        })
    };
    line.match_indices('{').any(|(at, _)| {
        let rest = line[at + 1..].trim_start();
        if then_key(rest) {
            return true;
        }
        let Some(pin) = rest.strip_prefix("pin_") else { return false };
        let name = pin.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(pin.len());
        if name == 0 {
            return false;
        }
        pin[name..].strip_prefix('(').and_then(|rest| rest.trim_start().strip_prefix(['\'', '"'])).is_some_and(then_key)
    })
}

/// `^\s+\-\s+KEY\s*(?:\s[\[#]|$)`, with `_` of the key standing for `-` too.
fn is_requirement(line: &str, key: &str) -> bool {
    let item = line.trim_start();
    if item.len() == line.len() {
        return false;
    }
    let Some(item) = item.strip_prefix('-') else { return false };
    let name = item.trim_start();
    if name.len() == item.len() || name.len() < key.len() || !name.is_char_boundary(key.len()) {
        return false;
    }
    let (name, rest) = name.split_at(key.len());
    let same = name.bytes().zip(key.bytes()).all(|(a, b)| a == b || (b == b'_' && a == b'-'));
    if !same {
        return false;
    }
    let after = rest.trim_start();
    after.is_empty() || (after.len() < rest.len() && after.starts_with(['[', '#']))
}

/// `{% if … KEY … %}`, `{% for … in KEY … %}`, `{% set … = … KEY … %}`.
fn in_statement(line: &str, key: &str) -> bool {
    line.match_indices("{%").any(|(at, _)| {
        // Each pattern wants something else than a brace before, or the start of the line.
        if line[..at].ends_with('{') {
            return false;
        }
        let rest = &line[at + 2..];
        let statement = rest.trim_start();
        if let Some(body) = statement.strip_prefix("if").or_else(|| statement.strip_prefix("elif")) {
            return find_before_end(body, key, |_, _| true);
        }
        if let Some(body) = statement.strip_prefix("for") {
            return find_before_end(body, key, |before, after| {
                before.trim_end().ends_with("in") && !after.starts_with(is_word)
            });
        }
        if let Some(body) = statement.strip_prefix("set") {
            return find_before_end(body, key, |before, after| {
                before.contains('=') && !before.ends_with(is_word) && !after.starts_with(is_word)
            });
        }
        false
    })
}

/// The key somewhere, with a fit surrounding, and `%}` after it without a `%` between.
fn find_before_end(text: &str, key: &str, fits: impl Fn(&str, &str) -> bool) -> bool {
    text.match_indices(key).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + key.len()..]);
        fits(before, after) && after.find('%').is_some_and(|end| after[end..].starts_with("%}"))
    })
}

/// `^[^#\[]*?\#?\s\[[^\]]*?(?<![_\w\d])KEY[=\s<>!\]]`.
fn in_selector(line: &str, key: &str) -> bool {
    let Some(stop) = line.find(['#', '[']) else { return false };
    // What stands before the bracket: neither `#` nor `[`, then perhaps one `#`, then a blank.
    let open = if line[stop..].starts_with('#') {
        let rest = &line[stop + 1..];
        let Some(first) = rest.chars().next().filter(|c| c.is_whitespace()) else { return false };
        if !rest[first.len_utf8()..].starts_with('[') {
            return false;
        }
        stop + 1 + first.len_utf8()
    } else {
        if !line[..stop].ends_with(char::is_whitespace) {
            return false;
        }
        stop
    };
    let content = &line[open + 1..];
    let end = content.find(']').unwrap_or(content.len());
    content.match_indices(key).any(|(at, _)| {
        let after = &content[at + key.len()..];
        at + key.len() <= end
            && !content[..at].ends_with(|c: char| c == '_' || c.is_alphanumeric())
            && after.chars().next().is_some_and(|c| c.is_whitespace() || "=<>!]".contains(c))
    })
}

/// The keys used in a shell script: `(^[^$]*?\$\{?\s*KEY\s*[\s|\}])` over the whole text, so the key must follow the
/// first dollar sign after some line start.
pub(crate) fn in_shell_script(keys: &[Arc<str>], text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    // From any line start, the pattern reaches the next dollar sign: the first on each line, for `[^$]` crosses lines.
    let mut dollars = Vec::new();
    let mut fresh = true;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => fresh = true,
            '$' if fresh => {
                dollars.push(at);
                fresh = false;
            }
            _ => {}
        }
    }
    for key in keys {
        if !text.contains(&**key) {
            continue;
        }
        let found = dollars.iter().any(|at| {
            let rest = &text[at + 1..];
            let then_key = |rest: &str| {
                rest.trim_start().strip_prefix(&**key).is_some_and(|rest| {
                    let after = rest.trim_start();
                    after.len() < rest.len() || after.starts_with(['|', '}'])
                })
            };
            then_key(rest) || rest.strip_prefix('{').is_some_and(then_key)
        });
        if found {
            used.insert(key.to_string());
        }
    }
    used
}

/// The keys used in a batch file: `%KEY%`.
pub(crate) fn in_batch_script(keys: &[Arc<str>], text: &str) -> BTreeSet<String> {
    keys.iter().filter(|key| text.contains(&format!("%{key}%"))).map(|key| key.to_string()).collect()
}
