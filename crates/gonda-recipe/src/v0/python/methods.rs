//! The methods of Python's `str`, `list`, `dict` and `tuple`.

use std::cell::RefCell;
use std::rc::Rc;

use super::ops::{equal, iterate, order};
use super::translation::{make_translation, translate};
use super::value::{Args, Dict, ErrorKind, Key, PyError, PyResult, Value};
use super::{MAX_LENGTH, format_method};

const STR: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
const DICT: &[&str] = &["clear", "copy", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

/// Whether the type of `value` has the method.
pub(crate) fn has_method(value: &Value, name: &str) -> bool {
    match value {
        Value::Str(_) => STR.contains(&name),
        Value::List(_) => LIST.contains(&name),
        Value::Tuple(_) => name == "count" || name == "index",
        Value::Dict(_) => DICT.contains(&name),
        _ => false,
    }
}

/// Calls a method; `None` if the type has none of that name.
pub(crate) fn call_method(value: &Value, name: &str, args: &Args) -> Option<PyResult> {
    match value {
        Value::Object(object) => object.call_method(name, args),
        _ if !has_method(value, name) => None,
        Value::Str(text) => Some(str_method(text, name, args)),
        Value::List(items) => Some(list_method(items, name, args)),
        Value::Tuple(items) => Some(sequence_method(items, name, args)),
        Value::Dict(items) => Some(dict_method(items, name, args)),
        _ => None,
    }
}

fn str_method(text: &Rc<str>, name: &str, args: &Args) -> PyResult {
    let optional_text = |index: usize, key: &str| match args.get_some(index, key) {
        None => Ok(None),
        Some(value) => text_of(value).map(Some),
    };
    let character = |c: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(c));
    Ok(match name {
        "lower" => Value::from(text.to_lowercase()),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "upper" => Value::from(text.to_uppercase()),
        "title" => Value::from(title(text)),
        "capitalize" => {
            let mut chars = text.chars();
            let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
            Value::from(first + &chars.as_str().to_lowercase())
        }
        "swapcase" => Value::from(
            text.chars()
                .flat_map(|c| {
                    if c.is_uppercase() { c.to_lowercase().collect::<Vec<_>>() } else { c.to_uppercase().collect() }
                })
                .collect::<String>(),
        ),
        "strip" | "lstrip" | "rstrip" => {
            let chars = optional_text(0, "chars")?;
            let strip = |c: char| chars.as_ref().map_or_else(|| is_space(c), |set| set.contains(c));
            let mut rest: &str = text;
            if name != "rstrip" {
                rest = rest.trim_start_matches(strip);
            }
            if name != "lstrip" {
                rest = rest.trim_end_matches(strip);
            }
            Value::from(rest)
        }
        "split" | "rsplit" => {
            let separator = optional_text(0, "sep")?;
            let limit = args.int(1, "maxsplit", -1)?;
            split(text, separator.as_deref(), limit, name == "rsplit")?
        }
        "splitlines" => {
            let keep = args.bool(0, "keepends", false)?;
            Value::from(
                crate::v0::text::lines_with_ends(text)
                    .map(|(line, end)| if keep { Value::from(format!("{line}{end}")) } else { Value::from(line) })
                    .collect::<Vec<_>>(),
            )
        }
        "replace" => {
            let (old, new) = (args.str(0, "old", "replace")?, args.str(1, "new", "replace")?);
            let count = args.int(2, "count", -1)?;
            let matches = text.matches(&*old).count();
            if text.len().saturating_add(matches.saturating_mul(new.len())) > MAX_LENGTH {
                return Err(PyError::limit("`replace` makes too long a text"));
            }
            Value::from(match usize::try_from(count) {
                Ok(count) => text.replacen(&*old, &new, count),
                Err(_) => text.replace(&*old, &new),
            })
        }
        "startswith" | "endswith" => {
            let searched = part_of(text, args)?.map(|(part, _)| part);
            let test = |part: &str| {
                searched.is_some_and(
                    |text| if name == "startswith" { text.starts_with(part) } else { text.ends_with(part) },
                )
            };
            let found = match args.get(0, "prefix") {
                Some(Value::Tuple(parts)) => {
                    parts.iter().map(text_of).collect::<PyResult<Vec<_>>>()?.iter().any(|part| test(part))
                }
                Some(part @ (Value::Str(_) | Value::Undefined(_))) => test(&text_of(part)?),
                Some(other) => {
                    return Err(PyError::type_error(format!(
                        "{name} first arg must be str or a tuple of str, not {}",
                        other.type_name()
                    )));
                }
                None => return Err(PyError::type_error(format!("{name}() takes at least 1 argument (0 given)"))),
            };
            Value::Bool(found)
        }
        "find" | "rfind" | "index" | "rindex" => {
            let part = args.str(0, "sub", name)?;
            let found = part_of(text, args)?.and_then(|(rest, offset)| {
                let found = if name.starts_with('r') { rest.rfind(&*part) } else { rest.find(&*part) };
                found.map(|position| offset + position)
            });
            match found {
                Some(position) => Value::from(text[..position].chars().count()),
                None if name.ends_with("find") => Value::Int(-1),
                None => return Err(PyError::value_error("substring not found")),
            }
        }
        "count" => {
            let part = args.str(0, "sub", name)?;
            Value::from(part_of(text, args)?.map_or(0, |(text, _)| text.matches(&*part).count()))
        }
        "join" => {
            let items = args.get(0, "iterable").map(iterate).transpose()?.unwrap_or_default();
            let mut joined = String::new();
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    joined.push_str(text);
                }
                match item {
                    Value::Str(part) => joined.push_str(part),
                    other => {
                        return Err(PyError::type_error(format!(
                            "sequence item {i}: expected str instance, {} found",
                            other.type_name()
                        )));
                    }
                }
                if joined.len() > MAX_LENGTH {
                    return Err(PyError::limit("`join` makes too long a text"));
                }
            }
            Value::from(joined)
        }
        "format" => Value::from(format_method(text, args)?),
        "format_map" => {
            let mut named = Vec::new();
            if let Some(Value::Dict(items)) = args.positional.first() {
                for (key, value) in items.borrow().iter() {
                    named.push((key.0.to_text()?, value.clone()));
                }
            }
            Value::from(format_method(text, &Args { positional: Vec::new(), named })?)
        }
        "zfill" | "ljust" | "rjust" | "center" => {
            let width = usize::try_from(args.int(0, "width", 0)?).unwrap_or(0);
            let fill = optional_text(1, "fillchar")?.unwrap_or_else(|| Rc::from(" "));
            let mut fill = fill.chars();
            let (Some(fill), None) = (fill.next(), fill.next()) else {
                return Err(PyError::type_error("The fill character must be exactly one character long"));
            };
            Value::from(pad(text, name, width, fill)?)
        }
        "partition" | "rpartition" => {
            let separator = args.str(0, "sep", name)?;
            if separator.is_empty() {
                return Err(PyError::value_error("empty separator"));
            }
            let position = if name == "partition" { text.find(&*separator) } else { text.rfind(&*separator) };
            let (a, b, c) = match position {
                Some(at) => (&text[..at], &*separator, &text[at + separator.len()..]),
                None if name == "partition" => (&**text, "", ""),
                None => ("", "", &**text),
            };
            Value::tuple(vec![Value::from(a), Value::from(b), Value::from(c)])
        }
        "removeprefix" => Value::from(text.strip_prefix(&*args.str(0, "prefix", name)?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(&*args.str(0, "suffix", name)?).unwrap_or(text)),
        "expandtabs" => {
            let size = usize::try_from(args.int(0, "tabsize", 8)?).unwrap_or(0).min(64);
            let mut out = String::new();
            let mut column = 0;
            for c in text.chars() {
                match c {
                    '\t' => {
                        let fill = if size == 0 { 0 } else { size - column % size };
                        out.extend(std::iter::repeat_n(' ', fill));
                        column += fill;
                    }
                    '\n' | '\r' => {
                        out.push(c);
                        column = 0;
                    }
                    c => {
                        out.push(c);
                        column += 1;
                    }
                }
            }
            Value::from(out)
        }
        "isdigit" | "isdecimal" | "isnumeric" => character(char::is_numeric),
        "isalpha" => character(char::is_alphabetic),
        "isalnum" => character(char::is_alphanumeric),
        "isspace" => character(is_space),
        "isprintable" => Value::Bool(text.chars().all(is_printable)),
        "maketrans" => make_translation(args)?,
        "translate" => translate(text, args)?,
        "isascii" => Value::Bool(text.is_ascii()),
        "islower" => Value::Bool(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        "isupper" => Value::Bool(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "istitle" => Value::Bool(text.chars().any(char::is_alphabetic) && title(text) == **text),
        "isidentifier" => Value::Bool(
            text.chars().next().is_some_and(|c| c == '_' || c.is_alphabetic())
                && text.chars().all(|c| c == '_' || c.is_alphanumeric()),
        ),
        // Bytes have no type of their own here; text stands for them.
        "encode" => Value::Str(text.clone()),
        _ => return Err(PyError::new(ErrorKind::Attribute, format!("'str' object has no attribute '{name}'"))),
    })
}

/// Whether Python's `repr` shows a character as it is: no control, format or separating character but the blank.
pub(super) fn is_printable(c: char) -> bool {
    c == ' ' || !(c.is_control() || c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}'))
}

/// What `start` and `end`, the second and third argument of a search, leave of a text, and the byte that it begins at;
/// nothing, not even an empty text, if it would begin behind its end.
fn part_of<'t>(text: &'t str, args: &Args) -> PyResult<Option<(&'t str, usize)>> {
    if args.positional.len() < 2 {
        return Ok(Some((text, 0)));
    }
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let byte = |index: i64| {
        let index = if index < 0 { index.saturating_add(length).max(0) } else { index };
        let at = usize::try_from(index).ok().and_then(|index| text.char_indices().nth(index));
        at.map_or(text.len(), |(byte, _)| byte)
    };
    let bound = |index: usize, default: i64| match args.positional.get(index) {
        None | Some(Value::None) => Ok(default),
        Some(_) => args.int(index, "", default),
    };
    let from = bound(1, 0)?;
    let (start, end) = (byte(from), byte(bound(2, length)?));
    Ok(text.get(start..end).filter(|_| from <= length).map(|part| (part, start)))
}

fn text_of(value: &Value) -> PyResult<Rc<str>> {
    match value {
        Value::Str(_) | Value::Undefined(_) => value.to_text(),
        other => Err(PyError::type_error(format!("must be str or None, not {}", other.type_name()))),
    }
}

/// Python's idea of white space, a bit wider than Unicode's.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_alphabetic();
    }
    out
}

pub(super) fn pad(text: &str, method: &str, width: usize, fill: char) -> PyResult<String> {
    if width > MAX_LENGTH {
        return Err(PyError::limit(format!("a width of {width} is too large")));
    }
    let missing = width.saturating_sub(text.chars().count());
    let filling = |count: usize| std::iter::repeat_n(fill, count).collect::<String>();
    Ok(match method {
        "zfill" => {
            let (sign, digits) = if text.starts_with(['+', '-']) { text.split_at(1) } else { ("", text) };
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        "ljust" => format!("{text}{}", filling(missing)),
        "rjust" => format!("{}{text}", filling(missing)),
        _ => {
            // CPython's rounding: the odd place goes left if the width is odd.
            let left = missing / 2 + (missing & width & 1);
            format!("{}{text}{}", filling(left), filling(missing - left))
        }
    })
}

fn split(text: &str, separator: Option<&str>, limit: i64, from_right: bool) -> PyResult {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = match (separator, from_right) {
        (Some(""), _) => return Err(PyError::value_error("empty separator")),
        (Some(separator), false) => text.splitn(limit.saturating_add(1), separator).collect(),
        (Some(separator), true) => text.rsplitn(limit.saturating_add(1), separator).collect(),
        (None, false) => {
            let mut parts = Vec::new();
            let mut rest = text.trim_start_matches(is_space);
            while !rest.is_empty() {
                if parts.len() == limit {
                    // What is left keeps its trailing blanks.
                    parts.push(rest);
                    break;
                }
                let end = rest.find(is_space).unwrap_or(rest.len());
                parts.push(&rest[..end]);
                rest = rest[end..].trim_start_matches(is_space);
            }
            parts
        }
        (None, true) => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end_matches(is_space);
            while !rest.is_empty() {
                if parts.len() == limit {
                    parts.push(rest);
                    break;
                }
                let start =
                    rest.char_indices().rev().find(|(_, c)| is_space(*c)).map_or(0, |(at, c)| at + c.len_utf8());
                parts.push(&rest[start..]);
                rest = rest[..start].trim_end_matches(is_space);
            }
            parts
        }
    };
    if from_right {
        parts.reverse();
    }
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
}

fn sequence_method(items: &[Value], name: &str, args: &Args) -> PyResult {
    let wanted = args.positional.first().cloned().unwrap_or(Value::None);
    let mut count = 0_usize;
    for (i, item) in items.iter().enumerate() {
        if equal(item, &wanted)? {
            if name == "index" {
                return Ok(Value::from(i));
            }
            count += 1;
        }
    }
    if name == "index" {
        return Err(PyError::value_error(format!("{} is not in list", wanted.repr())));
    }
    Ok(Value::from(count))
}

fn list_method(items: &Rc<RefCell<Vec<Value>>>, name: &str, args: &Args) -> PyResult {
    let first = || {
        args.positional
            .first()
            .cloned()
            .ok_or_else(|| PyError::type_error(format!("list.{name}() takes exactly one argument (0 given)")))
    };
    match name {
        "append" => {
            let value = first()?;
            if items.borrow().len() >= MAX_LENGTH {
                return Err(PyError::limit("a list is too long"));
            }
            items.borrow_mut().push(value);
        }
        "extend" => {
            let more = iterate(&first()?)?;
            if items.borrow().len() + more.len() > MAX_LENGTH {
                return Err(PyError::limit("a list is too long"));
            }
            items.borrow_mut().extend(more);
        }
        "insert" => {
            let index = args.int(0, "index", 0)?;
            let value = args.positional.get(1).cloned().unwrap_or(Value::None);
            let mut items = items.borrow_mut();
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let index = if index < 0 { index.saturating_add(length).max(0) } else { index.min(length) };
            items.insert(usize::try_from(index).unwrap_or(0), value);
        }
        "pop" => {
            let index = args.int(0, "index", -1)?;
            let mut items = items.borrow_mut();
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let index = if index < 0 { index.saturating_add(length) } else { index };
            return match usize::try_from(index).ok().filter(|index| *index < items.len()) {
                Some(index) => Ok(items.remove(index)),
                None => Err(PyError::new(ErrorKind::Lookup, "pop index out of range")),
            };
        }
        "remove" => {
            let index = sequence_method(&items.borrow(), "index", args)?;
            if let Value::Int(index) = index {
                items.borrow_mut().remove(usize::try_from(index).unwrap_or(0));
            }
        }
        "clear" => items.borrow_mut().clear(),
        "reverse" => items.borrow_mut().reverse(),
        "sort" => {
            let sorted = sort(items.borrow().clone(), args.bool(1, "reverse", false)?)?;
            *items.borrow_mut() = sorted;
        }
        "copy" => return Ok(Value::from(items.borrow().clone())),
        _ => return sequence_method(&items.borrow(), name, args),
    }
    Ok(Value::None)
}

/// Python's `sorted`.
pub(crate) fn sort(mut items: Vec<Value>, reverse: bool) -> PyResult<Vec<Value>> {
    let mut failure = None;
    items.sort_by(|a, b| {
        order(a, b, "<").map(|order| if reverse { order.reverse() } else { order }).unwrap_or_else(|error| {
            failure = Some(error);
            std::cmp::Ordering::Equal
        })
    });
    failure.map_or(Ok(items), Err)
}

fn dict_method(items: &Rc<RefCell<Dict>>, name: &str, args: &Args) -> PyResult {
    let key = || Key::new(args.positional.first().unwrap_or(&Value::None));
    let default = || args.positional.get(1).cloned().unwrap_or(Value::None);
    Ok(match name {
        "get" => items.borrow().get(&key()?).cloned().unwrap_or_else(default),
        "keys" => Value::from(items.borrow().keys().map(|key| key.0.clone()).collect::<Vec<_>>()),
        "values" => Value::from(items.borrow().values().cloned().collect::<Vec<_>>()),
        "items" => Value::from(
            items
                .borrow()
                .iter()
                .map(|(key, value)| Value::tuple(vec![key.0.clone(), value.clone()]))
                .collect::<Vec<_>>(),
        ),
        "copy" => Value::from(items.borrow().clone()),
        "clear" => {
            items.borrow_mut().clear();
            Value::None
        }
        "pop" => {
            let key = key()?;
            match items.borrow_mut().shift_remove(&key) {
                Some(value) => value,
                None if args.positional.len() > 1 => default(),
                None => return Err(PyError::new(ErrorKind::Lookup, key.0.repr())),
            }
        }
        "popitem" => match items.borrow_mut().pop() {
            Some((key, value)) => Value::tuple(vec![key.0, value]),
            None => return Err(PyError::new(ErrorKind::Lookup, "popitem(): dictionary is empty")),
        },
        "setdefault" => {
            let key = key()?;
            let found = items.borrow().get(&key).cloned();
            found.unwrap_or_else(|| {
                items.borrow_mut().insert(key, default());
                default()
            })
        }
        "update" => {
            let mut added = Vec::new();
            match args.positional.first() {
                Some(Value::Dict(other)) => {
                    added.extend(other.borrow().iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                Some(other) => {
                    for pair in iterate(other)? {
                        match iterate(&pair)?.as_slice() {
                            [key, value] => added.push((Key::new(key)?, value.clone())),
                            other => {
                                let message = format!("a dictionary is updated by pairs, not by {} items", other.len());
                                return Err(PyError::value_error(message));
                            }
                        }
                    }
                }
                None => {}
            }
            added.extend(args.named.iter().map(|(key, value)| (Key(Value::Str(key.clone())), value.clone())));
            items.borrow_mut().extend(added);
            Value::None
        }
        _ => return Err(PyError::new(ErrorKind::Attribute, format!("'dict' object has no attribute '{name}'"))),
    })
}
