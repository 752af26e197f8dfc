//! jinja2's built-in filters and tests, as far as they make sense in a recipe.

mod sequences;

use std::rc::Rc;

use self::sequences::{batch, join, map, ordered, select};

use crate::v0::python::{
    Args, BinaryOp, CompareOp, Dict, ErrorKind, Key, MAX_LENGTH, PyError, PyResult, Value, binary, call_method,
    compare, contains, equal, get_attribute, iterate, length, parse_int, percent_format, title, to_float, to_int,
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
        "join" => join(value, args),
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
        "indent" => indent(&text()?, args).map(Value::from),
        "truncate" => {
            let text = text()?;
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
        "wordwrap" => wordwrap(&text()?, args).map(Value::from),
        "e" | "escape" | "forceescape" => {
            let mut escaped = String::new();
            for c in text()?.chars() {
                match c {
                    '&' => escaped.push_str("&amp;"),
                    '<' => escaped.push_str("&lt;"),
                    '>' => escaped.push_str("&gt;"),
                    '\'' => escaped.push_str("&#39;"),
                    '"' => escaped.push_str("&#34;"),
                    c => escaped.push(c),
                }
            }
            Ok(Value::from(escaped))
        }
        "striptags" => {
            let text = text()?;
            let mut out = String::new();
            let mut tag = false;
            for c in text.chars() {
                match c {
                    '<' => tag = true,
                    '>' if tag => tag = false,
                    c if !tag => out.push(c),
                    _ => {}
                }
            }
            Ok(Value::from(out.split_whitespace().collect::<Vec<_>>().join(" ")))
        }
        "tojson" => {
            let indent = usize::try_from(args.int(0, "indent", 0)?.clamp(0, 100)).unwrap_or_default();
            to_json(value).map(|json| Value::from(html_safe_json(&json, indent)))
        }
        "urlencode" => {
            let mut out = String::new();
            for byte in text()?.bytes() {
                if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            Ok(Value::from(out))
        }
        "filesizeformat" => {
            let bytes = to_float(value)?;
            let base: f64 = if args.bool(0, "binary", false)? { 1024.0 } else { 1000.0 };
            let units = if base > 1000.0 { ["KiB", "MiB", "GiB", "TiB"] } else { ["kB", "MB", "GB", "TB"] };
            if bytes < base {
                return Ok(Value::from(format!("{bytes:.0} Bytes")));
            }
            let mut size = bytes / base;
            let mut unit = 0;
            while size >= base && unit < 3 {
                size /= base;
                unit += 1;
            }
            Ok(Value::from(format!("{size:.1} {}", units[unit])))
        }
        "pprint" => Ok(Value::from(value.repr())),
        other => Err(PyError::new(ErrorKind::Template, format!("no filter named `{other}`"))),
    }
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
        Value::Int(_) if &*method == "common" => Value::Int(rounded as i64),
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
