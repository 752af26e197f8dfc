//! Which variant keys a recipe uses, by looking at its text (variants.py `find_used_variables_in_text` and its
//! neighbours). What counts is decided by regular expressions there; they are matched by hand here, because a pinning
//! file has hundreds of keys and each would need its own.

use std::collections::{BTreeSet, HashSet};

use foldhash::fast::RandomState;
use memchr::{memchr, memmem, memrchr};

/// The keys used in a recipe's text, in selectors alone or in everything but them.
pub(crate) fn in_text(keys: &[String], text: &str, selectors_only: bool) -> BTreeSet<String> {
    let text = lines_that_may_use(text, selectors_only);
    // A requirement may write `-` for the `_` of a key. The bytes stay where they are.
    let dashless: Vec<u8> = text.bytes().map(|byte| if byte == b'-' { b'_' } else { byte }).collect();
    let line_at = |at: usize| {
        let start = memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |end| end + 1);
        let end = memchr(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |end| at + end);
        &text[start..end]
    };
    let lines_with = |part: &str| memmem::find_iter(text.as_bytes(), part).map(&line_at).collect::<Vec<&str>>();
    let (compilers, stdlibs, cdts) = (lines_with("compiler("), lines_with("stdlib("), lines_with("cdt("));
    let words = Words::of(&text, &dashless);
    let mut used = BTreeSet::new();
    for key in keys {
        let function = function_of(key).filter(|_| !selectors_only);
        let called = match function {
            Some((language, kind)) => {
                let lines = if kind == "compiler" { &compilers } else { &stdlibs };
                lines.iter().any(|line| calls(line, kind, language))
            }
            // The pattern for `cdt(` is tried on selectors too.
            None => key.starts_with("cdt_") && cdts.iter().any(|line| calls_cdt(line)),
        };
        let found = called
            || words.may_hold(key) && {
                let mut last = "";
                memmem::find_iter(&dashless, key.as_bytes()).any(|at| {
                    let line = line_at(at);
                    // One look at a line is enough.
                    if std::ptr::eq(line, last) {
                        return false;
                    }
                    last = line;
                    used_on(line, key, selectors_only)
                })
            };
        if found {
            used.insert(key.clone());
            let brings_sysroot = matches!(key.as_str(), "c_stdlib" | "c_compiler" | "cxx_compiler");
            if brings_sysroot && keys.iter().any(|key| key == "CONDA_BUILD_SYSROOT") {
                used.insert("CONDA_BUILD_SYSROOT".to_owned());
            }
        }
    }
    used
}

/// The words of a text. A key is used as a word of its own, but in statements, where a part of one is enough.
struct Words<'t> {
    all: HashSet<&'t [u8], RandomState>,
    /// All statements' lines.
    statements: Vec<u8>,
}

impl<'t> Words<'t> {
    /// The text as it is, where `tensorflow-base` holds the word `tensorflow`, and without dashes, where it holds
    /// `tensorflow_base`.
    fn of(text: &'t str, dashless: &'t [u8]) -> Self {
        let text = text.as_bytes();
        let words = [text, dashless].into_iter().flat_map(|text| text.split(|byte| !is_word_byte(*byte)));
        let words = words.filter(|word| !word.is_empty());
        let statements = text.split(|byte| *byte == b'\n').filter(|line| memmem::find(line, b"{%").is_some());
        Self { all: words.collect(), statements: statements.collect::<Vec<&[u8]>>().join(&b'\n') }
    }

    /// Whether the text may hold the key; if not, it surely doesn't use it.
    fn may_hold(&self, key: &str) -> bool {
        let key = key.as_bytes();
        self.all.contains(key)
            || !key.iter().all(|byte| is_word_byte(*byte))
            || (!self.statements.is_empty() && memmem::find(&self.statements, key).is_some())
    }
}

/// The lines in which a use can stand at all: all others are left out, so that the search for hundreds of keys is short.
fn lines_that_may_use(text: &str, selectors_only: bool) -> String {
    let mut kept = String::with_capacity(text.len() / 2);
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let line = &rest[..end];
        let may = if selectors_only {
            memchr(b'[', line.as_bytes()).is_some() || line.contains("cdt(")
        } else {
            memchr(b'{', line.as_bytes()).is_some() || is_bare_item(line)
        };
        if may {
            kept.push_str(line);
            kept.push('\n');
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    kept
}

/// An item of an indented list that is one word, a comment or selector behind it left aside.
fn is_bare_item(line: &str) -> bool {
    let item = line.trim_start();
    item.len() < line.len()
        && item.strip_prefix('-').is_some_and(|item| {
            let name = item.trim_start();
            let after = name.find(char::is_whitespace).map_or("", |end| name[end..].trim_start());
            name.len() < item.len() && (after.is_empty() || after.starts_with(['[', '#']))
        })
}

/// For `c_compiler` and `c_compiler_version`: `c` and `compiler`. The same for `stdlib`.
fn function_of(key: &str) -> Option<(&str, &'static str)> {
    let bare = key.strip_suffix("_version").unwrap_or(key);
    // The language is as short as can be: `a_compiler_compiler` is of `a_compiler`, for the key must end there.
    [("_compiler", "compiler"), ("_stdlib", "stdlib")]
        .into_iter()
        .find_map(|(suffix, kind)| bare.strip_suffix(suffix).map(|language| (language, kind)))
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

/// `\{\s*kind\(['"]language["'][^{]*?\}`.
fn calls(line: &str, kind: &str, language: &str) -> bool {
    line.match_indices('{').any(|(at, _)| {
        let rest = line[at + 1..].trim_start();
        let Some(rest) = rest.strip_prefix(kind).and_then(|rest| rest.strip_prefix('(')) else { return false };
        let Some(rest) = rest.strip_prefix(['\'', '"']).and_then(|rest| rest.strip_prefix(language)) else {
            return false;
        };
        let Some(rest) = rest.strip_prefix(['\'', '"']) else { return false };
        rest.find(['{', '}']).is_some_and(|end| rest[end..].starts_with('}'))
    })
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
pub(crate) fn in_shell_script(keys: &[String], text: &str) -> BTreeSet<String> {
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
        if !text.contains(key.as_str()) {
            continue;
        }
        let found = dollars.iter().any(|at| {
            let rest = &text[at + 1..];
            let then_key = |rest: &str| {
                rest.trim_start().strip_prefix(key.as_str()).is_some_and(|rest| {
                    let after = rest.trim_start();
                    after.len() < rest.len() || after.starts_with(['|', '}'])
                })
            };
            then_key(rest) || rest.strip_prefix('{').is_some_and(then_key)
        });
        if found {
            used.insert(key.clone());
        }
    }
    used
}

/// The keys used in a batch file: `%KEY%`.
pub(crate) fn in_batch_script(keys: &[String], text: &str) -> BTreeSet<String> {
    keys.iter().filter(|key| text.contains(&format!("%{key}%"))).cloned().collect()
}
