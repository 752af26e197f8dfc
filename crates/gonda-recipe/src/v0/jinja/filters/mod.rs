//! jinja2's built-in filters and tests, as far as they make sense in a recipe.

mod sequences;

use std::rc::Rc;

use self::sequences::{batch, join, map, ordered, select};

use crate::v0::python::{
    Args, BinaryOp, CompareOp, Dict, ErrorKind, Key, MAX_LENGTH, PyError, PyResult, Value, binary, call_method,
    compare, contains, equal, get_attribute, iterate, length, order, parse_int, percent_format, to_float, to_int,
    to_json, truth,
};

const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "random",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

const TESTS: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

pub(crate) fn is_filter(name: &str) -> bool {
    FILTERS.contains(&name)
}

pub(crate) fn is_test(name: &str) -> bool {
    TESTS.contains(&name)
}

/// Filters a value; `undefined` makes an undefined value with a message.
pub(super) fn apply_filter(name: &str, value: &Value, args: &Args, undefined: &dyn Fn(&str) -> Value) -> PyResult {
    let text = || value.to_text();
    let method = |name: &str| {
        let text = Value::Str(value.to_text()?);
        call_method(&text, name, args).unwrap_or(Ok(Value::None))
    };
    match name {
        "lower" | "upper" | "capitalize" => method(name),
        "title" => Ok(Value::from(title(&text()?))),
        "random" => {
            Ok(iterate(value)?.first().cloned().unwrap_or_else(|| undefined("no random item, the sequence was empty")))
        }
        "xmlattr" => xml_attributes(value, args.bool(0, "autospace", true)?),
        "trim" => method("strip"),
        "string" | "safe" => text().map(Value::Str),
        "default" | "d" => {
            let replace = value.is_undefined() || (args.bool(1, "boolean", false)? && !truth(value)?);
            let default = || args.get(0, "default_value").cloned().unwrap_or_else(|| Value::from(""));
            Ok(if replace { default() } else { value.clone() })
        }
        "int" => {
            let default = args.get(0, "default").cloned().unwrap_or(Value::Int(0));
            let base = args.int(1, "base", 10)?;
            Ok(match value {
                Value::Str(text) => match parse_int(text, base) {
                    Some(number) => Value::Int(number),
                    // jinja2 tries `int(float(text))` next.
                    None => to_float(value).and_then(|number| to_int(&Value::Float(number), 10)).unwrap_or(default),
                },
                other => to_int(other, base)
                    .or_else(|error| if error.kind == ErrorKind::Undefined { Err(error) } else { Ok(default) })?,
            })
        }
        "float" => {
            let default = args.get(0, "default").cloned().unwrap_or(Value::Float(0.0));
            match to_float(value) {
                Ok(number) => Ok(Value::Float(number)),
                Err(error) if error.kind == ErrorKind::Undefined => Err(error),
                Err(_) => Ok(default),
            }
        }
        "abs" => match value {
            Value::Int(number) => Ok(Value::Int(number.saturating_abs())),
            Value::Bool(flag) => Ok(Value::Int(i64::from(*flag))),
            Value::Float(number) => Ok(Value::Float(number.abs())),
            other => Err(PyError::type_error(format!("bad operand type for abs(): '{}'", other.type_name()))),
        },
        "round" => round(value, args),
        "length" | "count" => length(value).map(Value::from),
        "list" => iterate(value).map(Value::from),
        "items" => match value {
            Value::Dict(_) => call_method(value, "items", &Args::default()).unwrap_or(Ok(Value::None)),
            Value::Undefined(_) => Ok(Value::from(Vec::new())),
            _ => Err(PyError::type_error("Can only get item pairs from a mapping.")),
        },
        "first" | "last" => {
            let items = iterate(value)?;
            let found = if name == "first" { items.first() } else { items.last() };
            Ok(found.cloned().unwrap_or_else(|| undefined("no such item, the sequence was empty")))
        }
        "join" => join(value, args, undefined),
        "replace" => {
            let (old, new) = match (args.get(0, "old"), args.get(1, "new")) {
                (Some(old), Some(new)) => (old.to_text()?, new.to_text()?),
                _ => return Err(PyError::type_error("do_replace() missing required arguments: 'old' and 'new'")),
            };
            let mut positional = vec![Value::Str(old), Value::Str(new)];
            positional.extend(args.get_some(2, "count").cloned());
            let text = Value::Str(text()?);
            call_method(&text, "replace", &Args { positional, named: Vec::new() }).unwrap_or(Ok(Value::None))
        }
        "reverse" => match value {
            Value::Str(text) => Ok(Value::from(text.chars().rev().collect::<String>())),
            other => {
                let mut items = iterate(other)?;
                items.reverse();
                Ok(Value::from(items))
            }
        },
        "sort" | "unique" | "min" | "max" | "groupby" | "sum" | "dictsort" => ordered(name, value, args, undefined),
        "map" => map(value, args, undefined),
        "select" | "reject" => select(value, args, name == "select", false, undefined),
        "selectattr" | "rejectattr" => select(value, args, name == "selectattr", true, undefined),
        "attr" => {
            let name = args.str(0, "name", "attr")?;
            Ok(get_attribute(value, &name)?.unwrap_or_else(|| undefined(&format!("no attribute `{name}`"))))
        }
        "format" => {
            let values = if args.named.is_empty() {
                Value::tuple(args.positional.clone())
            } else {
                Value::from(args.named.iter().map(|(key, value)| (Key::text(key), value.clone())).collect::<Dict>())
            };
            percent_format(&text()?, &values).map(Value::from)
        }
        "batch" | "slice" => batch(name, value, args),
        "center" => {
            let width = args.int(0, "width", 80)?;
            let text = Value::Str(text()?);
            let args = Args { positional: vec![Value::Int(width)], named: Vec::new() };
            call_method(&text, "center", &args).unwrap_or(Ok(Value::None))
        }
        "indent" => indent(&only_text(value, name)?, args).map(Value::from),
        "truncate" => {
            if matches!(value, Value::List(_) | Value::Tuple(_) | Value::Dict(_)) && length(value)? < 5 {
                return Ok(value.clone());
            }
            let text = only_text(value, name)?;
            let size = usize::try_from(args.int(0, "length", 255)?).unwrap_or(0);
            let kill_words = args.bool(1, "killwords", false)?;
            let end = args.get(2, "end").map_or_else(|| Ok(Rc::from("...")), Value::to_text)?;
            let leeway = usize::try_from(args.int(3, "leeway", 5)?).unwrap_or(0);
            if text.chars().count() <= size.saturating_add(leeway) {
                return Ok(Value::Str(text));
            }
            let cut: String = text.chars().take(size.saturating_sub(end.chars().count())).collect();
            let cut =
                if kill_words { cut } else { cut.rsplit_once(' ').map_or(cut.clone(), |(head, _)| head.to_owned()) };
            Ok(Value::from(format!("{cut}{end}")))
        }
        "wordcount" => Ok(Value::from(
            text()?.split(|c: char| !(c == '_' || c.is_alphanumeric())).filter(|word| !word.is_empty()).count(),
        )),
        "wordwrap" => wordwrap(&only_text(value, name)?, args).map(Value::from),
        "e" | "escape" | "forceescape" => Ok(Value::from(escape(&text()?))),
        "striptags" => {
            let text = text()?;
            let mut out = String::new();
            let mut rest = &*text;
            while let Some((before, tag)) = rest.split_once('<')
                && let Some((_, after)) = tag.split_once('>')
            {
                out.push_str(before);
                rest = after;
            }
            out.push_str(rest);
            Ok(Value::from(out.split_whitespace().collect::<Vec<_>>().join(" ")))
        }
        "tojson" => {
            let indent = usize::try_from(args.int(0, "indent", 0)?.clamp(0, 100)).unwrap_or_default();
            to_json(value).map(|json| Value::from(html_safe_json(&json, indent)))
        }
        "urlencode" => url_encode(value).map(Value::from),
        "filesizeformat" => {
            let bytes = to_float(value)?;
            let base: f64 = if args.bool(0, "binary", false)? { 1024.0 } else { 1000.0 };
            let units = if base > 1000.0 {
                ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
            } else {
                ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
            };
            if bytes < base {
                let unit = if bytes.to_bits() == 1.0_f64.to_bits() { "Byte" } else { "Bytes" };
                return Ok(Value::from(format!("{:.0} {unit}", bytes.trunc())));
            }
            let mut size = bytes / base;
            let mut unit = 0;
            while size >= base && unit < units.len() - 1 {
                size /= base;
                unit += 1;
            }
            Ok(Value::from(format!("{size:.1} {}", units[unit])))
        }
        "pprint" => Ok(Value::from(sorted_keys(value, 0)?.repr())),
        other => Err(PyError::new(ErrorKind::Template, format!("no filter named `{other}`"))),
    }
}

/// What jinja2 hands to a method of text: only text has it.
fn only_text(value: &Value, filter: &str) -> PyResult<Rc<str>> {
    match value {
        Value::Str(_) | Value::Undefined(_) => value.to_text(),
        other => Err(PyError::type_error(format!("`{filter}` takes text, not {}", other.type_name()))),
    }
}

/// jinja2's own `title`: words begin after blanks, hyphens and opening brackets alone.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut starts = true;
    for c in text.chars() {
        let between = c.is_whitespace() || "-({[<".contains(c);
        if starts && !between {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        starts = between;
    }
    out
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&#34;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The pairs of a mapping, as its method `items` has them.
fn pairs(value: &Value) -> PyResult<Vec<(Value, Value)>> {
    match value {
        Value::Dict(items) => Ok(items.borrow().iter().map(|(key, value)| (key.0.clone(), value.clone())).collect()),
        other => {
            Err(PyError::new(ErrorKind::Attribute, format!("'{}' object has no attribute 'items'", other.type_name())))
        }
    }
}

fn xml_attributes(value: &Value, space: bool) -> PyResult {
    let mut attributes = Vec::new();
    for (key, value) in pairs(value)? {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let key = key.to_text()?;
        if key.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            return Err(PyError::value_error(format!("Invalid character in attribute name: {key:?}")));
        }
        attributes.push(format!("{}=\"{}\"", escape(&key), escape(&value.to_text()?)));
    }
    let text = attributes.join(" ");
    Ok(Value::from(if space && !text.is_empty() { format!(" {text}") } else { text }))
}

/// Text for a path; a mapping or pairs for a query.
fn url_encode(value: &Value) -> PyResult<String> {
    let quote = |text: &str, query: bool| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'/' if !query => out.push('/'),
                b' ' if query => out.push('+'),
                b'_' | b'.' | b'-' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(char::from(byte)),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    };
    let pairs = match value {
        Value::Dict(_) => pairs(value)?,
        Value::List(_) | Value::Tuple(_) => {
            let pair = |item: &Value| match iterate(item)?.as_slice() {
                [key, value] => Ok((key.clone(), value.clone())),
                _ => Err(PyError::value_error("`urlencode` takes text, a mapping, or pairs")),
            };
            iterate(value)?.iter().map(pair).collect::<PyResult<_>>()?
        }
        other => return Ok(quote(&other.to_text()?, false)),
    };
    let parts: Vec<String> = pairs
        .iter()
        .map(|(key, value)| Ok(format!("{}={}", quote(&key.to_text()?, true), quote(&value.to_text()?, true))))
        .collect::<PyResult<_>>()?;
    Ok(parts.join("&"))
}

/// The value with the keys of its mappings in order, as `pprint` shows it.
fn sorted_keys(value: &Value, depth: usize) -> PyResult {
    if depth > 50 {
        return Err(PyError::limit("a value is nested too deeply"));
    }
    let all = |items: &[Value]| items.iter().map(|item| sorted_keys(item, depth + 1)).collect::<PyResult<Vec<_>>>();
    Ok(match value {
        Value::List(items) => Value::from(all(&items.borrow())?),
        Value::Tuple(items) => Value::tuple(all(items)?),
        Value::Dict(items) => {
            let mut sorted = Vec::new();
            for (key, value) in items.borrow().iter() {
                sorted.push((key.clone(), sorted_keys(value, depth + 1)?));
            }
            sorted.sort_by(|(a, _), (b, _)| order(&a.0, &b.0, "<").unwrap_or(std::cmp::Ordering::Equal));
            Value::from(sorted.into_iter().collect::<Dict>())
        }
        other => other.clone(),
    })
}

/// jinja2 sorts keys and escapes what HTML would trip over.
fn html_safe_json(json: &serde_json::Value, indent: usize) -> String {
    crate::v0::hash::python_json(json, indent)
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027")
}

fn round(value: &Value, args: &Args) -> PyResult {
    let precision = args.int(0, "precision", 0)?;
    let method = args.get(1, "method").map_or_else(|| Ok(Rc::from("common")), Value::to_text)?;
    if &*method == "common" && !matches!(value, Value::Int(_) | Value::Bool(_) | Value::Float(_) | Value::Undefined(_))
    {
        return Err(PyError::type_error(format!("type {} doesn't define __round__ method", value.type_name())));
    }
    let number = to_float(value)?;
    let precision = i32::try_from(precision.clamp(-300, 300)).unwrap_or(0);
    let factor = 10_f64.powi(precision);
    let rounded = match &*method {
        "ceil" => (number * factor).ceil() / factor,
        "floor" => (number * factor).floor() / factor,
        // The shortest decimal decides, and half goes to even, as in Python.
        "common" => match usize::try_from(precision) {
            Ok(places) => format!("{number:.places$}").parse().unwrap_or(number),
            Err(_) => (number * factor).round_ties_even() / factor,
        },
        _ => return Err(PyError::new(ErrorKind::Template, "method must be common, ceil or floor")),
    };
    Ok(match value {
        #[allow(clippy::cast_possible_truncation)]
        Value::Int(_) | Value::Bool(_) if &*method == "common" => Value::Int(rounded as i64),
        _ => Value::Float(rounded),
    })
}

fn indent(text: &str, args: &Args) -> PyResult<String> {
    let prefix = match args.get(0, "width") {
        Some(Value::Str(prefix)) => prefix.to_string(),
        _ => " ".repeat(usize::try_from(args.int(0, "width", 4)?).unwrap_or(0).min(1000)),
    };
    let first = args.bool(1, "first", false)?;
    let blank = args.bool(2, "blank", false)?;
    let mut out = String::new();
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i > 0 || first) && (blank || !line.is_empty()) {
            out.push_str(&prefix);
        }
        out.push_str(line);
        if out.len() > MAX_LENGTH {
            return Err(PyError::limit("an indented text is too long"));
        }
    }
    Ok(out)
}

fn wordwrap(text: &str, args: &Args) -> PyResult<String> {
    let width = usize::try_from(args.int(0, "width", 79)?).unwrap_or(0).max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    Ok(lines.join("\n"))
}

/// `value is name(args)`.
pub(super) fn apply_test(name: &str, value: &Value, args: &Args) -> PyResult<bool> {
    let argument = || args.positional.first().cloned().unwrap_or(Value::None);
    let compared = |op: CompareOp| compare(op, value, &argument()).and_then(|value| truth(&value));
    let remainder = |by: i64| binary(BinaryOp::Mod, value, &Value::Int(by));
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
        "string" => matches!(value, Value::Str(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => {
            matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_) | Value::Undefined(_))
        }
        "iterable" => iterate(value).is_ok(),
        "callable" => match value {
            Value::Object(object) => object.is_callable(),
            Value::Undefined(undefined) => undefined.recorder.is_some(),
            _ => false,
        },
        "lower" | "upper" => {
            let text = value.to_text()?;
            let has = |case: fn(char) -> bool| text.chars().any(case);
            if name == "lower" {
                has(char::is_lowercase) && !has(char::is_uppercase)
            } else {
                has(char::is_uppercase) && !has(char::is_lowercase)
            }
        }
        "even" => equal(&remainder(2)?, &Value::Int(0))?,
        "odd" => equal(&remainder(2)?, &Value::Int(1))?,
        "divisibleby" => equal(&binary(BinaryOp::Mod, value, &argument())?, &Value::Int(0))?,
        "eq" | "==" | "equalto" => compared(CompareOp::Eq)?,
        "ne" | "!=" => compared(CompareOp::Ne)?,
        "lt" | "<" | "lessthan" => compared(CompareOp::Lt)?,
        "le" | "<=" => compared(CompareOp::Le)?,
        "gt" | ">" | "greaterthan" => compared(CompareOp::Gt)?,
        "ge" | ">=" => compared(CompareOp::Ge)?,
        "sameas" => compared(CompareOp::Is)?,
        "in" => contains(&argument(), value)?,
        "filter" => value.as_str().is_some_and(is_filter),
        "test" => value.as_str().is_some_and(is_test),
        "escaped" => false,
        other => return Err(PyError::new(ErrorKind::Template, format!("no test named `{other}`"))),
    })
}
