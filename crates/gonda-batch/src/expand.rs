//! Expansion: `%` while a line is read, `for` variables and `!` when a command is reached.

use crate::host::Entry;
use crate::{arithmetic, command, paths};

/// What expansion may ask for.
pub(crate) trait Names {
    fn variable(&self, name: &str) -> Option<String>;
    /// `%0` … `%9` as typed.
    fn argument(&self, index: usize) -> String;
    /// `%*`.
    fn arguments(&self) -> String;
    /// For `%~f0` and the like: the script's own path, whatever `%0` says.
    fn script(&self) -> String;
    fn folder(&self) -> String;
    /// What lies at a path.
    fn entry(&self, path: &str) -> Option<Entry>;
}

/// `%X%`, `%X:a=b%`, `%X:~n,m%`, and in a script `%1`, `%~dp0`, `%*`, `%%`. On a command line – that of `cmd /c` or of
/// `for /f` – what means no variable stays as it is.
pub(crate) fn percent(line: &str, names: &dyn Names, in_script: bool) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at] != '%' {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let rest = &chars[at + 1..];
        if !in_script {
            let (text, used) = defined_variable(rest, names).unwrap_or_else(|| ("%".to_owned(), 0));
            out.push_str(&text);
            at += 1 + used;
            continue;
        }
        match rest.first() {
            Some('%') => {
                out.push('%');
                at += 2;
            }
            Some('*') => {
                out.push_str(&names.arguments());
                at += 2;
            }
            Some(digit) if digit.is_ascii_digit() => {
                out.push_str(&names.argument(digit.to_digit(10).unwrap_or(0) as usize));
                at += 2;
            }
            _ => {
                if rest.first() == Some(&'~')
                    && let Some((text, used)) = modified_argument(rest, names)
                {
                    out.push_str(&text);
                    at += 1 + used;
                } else {
                    let (text, used) = variable(rest, names);
                    out.push_str(&text);
                    at += 1 + used;
                }
            }
        }
    }
    out
}

/// After a `%`: what stands for it and how many characters it takes.
fn variable(rest: &[char], names: &dyn Names) -> (String, usize) {
    let Some(end) = rest.iter().position(|c| *c == '%') else {
        // A lone one vanishes; an undefined name before a colon goes with it.
        return colon_only(rest, rest.len(), names);
    };
    let inner: String = rest[..end].iter().collect();
    if inner.is_empty() {
        return (String::new(), 0);
    }
    if let Some(value) = names.variable(&inner) {
        return (value, end + 1);
    }
    let Some((name, modifier)) = inner.split_once(':') else { return (String::new(), end + 1) };
    match names.variable(name) {
        Some(value) if modifier.is_empty() => (value, end),
        // A range that is none makes the whole text.
        Some(value) => modify(&value, modifier).map_or((String::new(), 0), |value| (value, end + 1)),
        None => colon_only(rest, end, names),
    }
}

/// The same for a variable that there is.
fn defined_variable(rest: &[char], names: &dyn Names) -> Option<(String, usize)> {
    let end = rest.iter().position(|c| *c == '%').filter(|end| *end > 0)?;
    let inner: String = rest[..end].iter().collect();
    let value = names.variable(&inner).or_else(|| {
        let (name, modifier) = inner.split_once(':')?;
        modify(&names.variable(name)?, modifier)
    });
    value.map(|value| (value, end + 1))
}

fn colon_only(rest: &[char], end: usize, names: &dyn Names) -> (String, usize) {
    match rest[..end].iter().position(|c| *c == ':') {
        Some(colon) if colon > 0 && end < rest.len() => {
            let name: String = rest[..colon].iter().collect();
            if names.variable(&name).is_none() { (String::new(), colon + 1) } else { (String::new(), 0) }
        }
        _ => (String::new(), 0),
    }
}

/// `a=b`, `*a=b`, `~n,m`; `None` for a range that is none.
fn modify(value: &str, modifier: &str) -> Option<String> {
    if let Some(range) = modifier.strip_prefix('~') {
        let chars: Vec<char> = value.chars().collect();
        let length = i64::try_from(chars.len()).unwrap_or(i64::MAX);
        let number = |text: &str| match text.trim() {
            "" => Some(0),
            text => arithmetic::number(text).map(i64::from),
        };
        let (start, count) = match range.split_once(',') {
            Some((start, count)) => (number(start)?, Some(number(count)?)),
            None => (number(range)?, None),
        };
        let start = if start < 0 { (length + start).max(0) } else { start.min(length) };
        let end = match count {
            None => length,
            Some(count) if count < 0 => (length + count).max(start),
            Some(count) => (start + count).min(length),
        };
        let index = |number: i64| usize::try_from(number).unwrap_or(0);
        return Some(chars[index(start)..index(end.max(start))].iter().collect());
    }
    let Some((from, to)) = modifier.get(1..).and_then(|rest| rest.find('=')).map(|at| modifier.split_at(at + 1)) else {
        return Some(value.to_owned());
    };
    let to = &to[1..];
    if let Some(from) = from.strip_prefix('*').filter(|from| !from.is_empty()) {
        return Some(match find_folded(value, from) {
            Some((_, end)) => format!("{to}{}", &value[end..]),
            None => value.to_owned(),
        });
    }
    let (mut out, mut rest) = (String::new(), value);
    while let Some((start, end)) = find_folded(rest, from) {
        out.push_str(&rest[..start]);
        out.push_str(to);
        rest = &rest[end..];
    }
    Some(out + rest)
}

/// Where a text stands in another, whatever the case.
fn find_folded(text: &str, wanted: &str) -> Option<(usize, usize)> {
    text.char_indices().map(|(start, _)| start).find_map(|start| {
        let end = start + wanted.len();
        text.get(start..end).filter(|part| part.to_lowercase() == wanted.to_lowercase()).map(|_| (start, end))
    })
}

/// `~dp1`, after the `%`.
fn modified_argument(rest: &[char], names: &dyn Names) -> Option<(String, usize)> {
    let (modifiers, search, used) = modifiers(rest)?;
    let digit = rest.get(used).filter(|c| c.is_ascii_digit())?.to_digit(10)?;
    let value = names.argument(digit as usize);
    let value = if digit == 0 && modifiers.chars().any(|c| c != 's') { names.script() } else { value };
    Some((apply_modifiers(&value, &modifiers, search.as_deref(), names), used + 1))
}

/// `~`, letters, `$NAME:`; how many characters they take.
fn modifiers(rest: &[char]) -> Option<(String, Option<String>, usize)> {
    let mut at = 1;
    let mut text = String::new();
    while let Some(c) = rest.get(at).map(char::to_ascii_lowercase).filter(|c| "fdpnxsatz".contains(*c)) {
        text.push(c);
        at += 1;
    }
    let mut search = None;
    if rest.get(at) == Some(&'$') {
        let end = rest[at..].iter().position(|c| *c == ':')?;
        search = Some(rest[at + 1..at + end].iter().collect());
        at += end + 1;
    }
    Some((text, search, at))
}

fn apply_modifiers(value: &str, modifiers: &str, search: Option<&str>, names: &dyn Names) -> String {
    let bare = unquote(value);
    if bare.is_empty() || (modifiers.is_empty() && search.is_none()) {
        return bare;
    }
    let mut full = paths::absolute(&bare, &names.folder());
    if let Some(search) = search {
        let folders = names.variable(search).unwrap_or_default();
        let folders = command::path_folders(&folders).into_iter();
        let mut found = folders.map(|folder| paths::join(&paths::absolute(&folder, &names.folder()), &bare));
        match found.find(|path| names.entry(path).is_some()) {
            Some(path) => full = path,
            None => return String::new(),
        }
    }
    let has = |c: char| modifiers.contains(c);
    let (folder, name) = paths::split(&full);
    let (drive, folder) = folder.split_at(folder.find(':').map_or(0, |at| at + 1));
    let (stem, extension) = paths::split_extension(name);
    // Attributes, time and size stand before the path, with a blank between them.
    let entry = names.entry(&full);
    let mut facts = Vec::new();
    if let Some(entry) = &entry {
        if has('a') {
            facts.push(if entry.folder { "d--------" } else { "--a------" }.to_owned());
        }
        if has('t') {
            // No clock: the same script gives the same result.
            facts.push("01/01/1980 12:00 AM".to_owned());
        }
        if has('z') {
            facts.push(entry.size.to_string());
        }
    }
    let mut out = facts.join(" ");
    let parts = has('d') || has('p') || has('n') || has('x');
    let asks = has('a') || has('t') || has('z');
    let whole = has('f') || (search.is_some() && !parts && !asks) || (has('s') && !parts && !asks);
    if (whole || parts) && !out.is_empty() {
        out.push(' ');
    }
    if whole {
        return out + &full;
    }
    for (wanted, text) in [('d', drive), ('p', folder), ('n', stem), ('x', extension)] {
        if has(wanted) {
            out.push_str(text);
        }
    }
    out
}

/// Without the quotes at both ends.
pub(crate) fn unquote(text: &str) -> String {
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text).to_owned()
}

/// `%i` and `%~nxi` for the variables of the loops around.
pub(crate) fn loops(text: &str, variables: &[(char, String)], names: &dyn Names) -> String {
    if variables.is_empty() || !text.contains('%') {
        return text.to_owned();
    }
    let value = |name: char| variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value);
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at] == '%' {
            let rest = &chars[at + 1..];
            if let Some(value) = rest.first().and_then(|name| value(*name)) {
                out.push_str(value);
                at += 2;
                continue;
            }
            if rest.first() == Some(&'~') {
                // Letters may be modifiers or the variable's name: as many modifiers as leave a name.
                let found = modifiers(rest).and_then(|(letters, search, used)| {
                    let direct = rest.get(used).and_then(|name| value(*name)).map(|v| (v, letters.clone(), used + 1));
                    direct
                        .or_else(|| {
                            let name = rest.get(used - 1)?;
                            let fewer = letters.get(..letters.len().checked_sub(1)?)?.to_owned();
                            value(*name).map(|v| (v, fewer, used))
                        })
                        .map(|(v, letters, used)| (apply_modifiers(v, &letters, search.as_deref(), names), used))
                });
                if let Some((text, used)) = found {
                    out.push_str(&text);
                    at += 1 + used;
                    continue;
                }
            }
        }
        out.push(chars[at]);
        at += 1;
    }
    out
}

/// `!X!`; carets are read again where there is a `!`.
pub(crate) fn delayed(text: &str, names: &dyn Names) -> String {
    if !text.contains('!') {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '^' => {
                at += 1;
                out.extend(chars.get(at));
                at += 1;
            }
            '!' => {
                let rest = &chars[at + 1..];
                match rest.iter().position(|c| *c == '!') {
                    Some(end) => {
                        let inner: String = rest[..end].iter().collect();
                        let whole = names.variable(&inner);
                        let value = whole.or_else(|| {
                            let (name, modifier) = inner.split_once(':')?;
                            names.variable(name).and_then(|value| modify(&value, modifier))
                        });
                        out.push_str(&value.unwrap_or_default());
                        at += end + 2;
                    }
                    None => at += 1,
                }
            }
            c => {
                out.push(c);
                at += 1;
            }
        }
    }
    out
}
