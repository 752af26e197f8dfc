//! Python's conversions: `int(x)`, `float(x)`, `str(x)`, `list(x)` and their like.

use super::ops::{iterate, length};
use super::value::{Args, Dict, Key, PyError, PyResult, Value};

/// Calls one of the conversions that selectors may call.
pub(crate) fn convert(name: &str, args: &Args) -> PyResult {
    let first = args.positional.first();
    match (name, first) {
        ("int", None) => Ok(Value::Int(0)),
        ("int", Some(value)) => {
            let base = args.int(1, "base", 10)?;
            to_int(value, base)
        }
        ("float", None) => Ok(Value::Float(0.0)),
        ("float", Some(value)) => to_float(value).map(Value::Float),
        ("str", None) => Ok(Value::from("")),
        ("str", Some(value)) => value.to_text().map(Value::Str),
        ("len", Some(value)) => length(value).map(Value::from),
        ("list", None) => Ok(Value::from(Vec::new())),
        ("list", Some(value)) => iterate(value).map(Value::from),
        ("tuple", None) => Ok(Value::tuple(Vec::new())),
        ("tuple", Some(value)) => iterate(value).map(Value::tuple),
        ("dict", first) => {
            let mut dict = Dict::default();
            match first {
                Some(Value::Dict(items)) => dict.clone_from(&items.borrow()),
                Some(pairs) => {
                    for pair in iterate(pairs)? {
                        match iterate(&pair)?.as_slice() {
                            [key, value] => dict.insert(Key::new(key)?, value.clone()),
                            _ => return Err(PyError::value_error("dictionary update sequence element is no pair")),
                        };
                    }
                }
                None => {}
            }
            dict.extend(args.named.iter().map(|(key, value)| (Key(Value::Str(key.clone())), value.clone())));
            Ok(Value::from(dict))
        }
        _ => Err(PyError::type_error(format!("{name}() takes exactly one argument (0 given)"))),
    }
}

/// Python's `int(x, base)`.
pub(crate) fn to_int(value: &Value, base: i64) -> PyResult {
    #[allow(clippy::cast_possible_truncation)]
    match value {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Bool(flag) => Ok(Value::Int(i64::from(*flag))),
        Value::Float(number) if number.is_finite() && number.abs() < 9e18 => Ok(Value::Int(number.trunc() as i64)),
        Value::Float(_) => Err(PyError::value_error("cannot convert float to integer")),
        Value::Undefined(undefined) => undefined.used().map(|()| Value::Int(0)),
        Value::Str(text) => parse_int(text, base).map(Value::Int).ok_or_else(|| {
            PyError::value_error(format!("invalid literal for int() with base {base}: {}", value.repr()))
        }),
        other => Err(PyError::type_error(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            other.type_name()
        ))),
    }
}

/// An integer as Python's `int(text)` reads it: blanks around, a sign, underscores between digits.
pub(crate) fn parse_int(text: &str, base: i64) -> Option<i64> {
    let text = text.trim();
    // Most numbers are a few digits.
    if base == 10 && (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = match (base, lower.get(..2)) {
        (0 | 16, Some("0x")) => (&lower[2..], 16),
        (0 | 8, Some("0o")) => (&lower[2..], 8),
        (0 | 2, Some("0b")) => (&lower[2..], 2),
        (0, _) => (&*lower, 10),
        (base, _) => (&*lower, u32::try_from(base).ok().filter(|base| (2..=36).contains(base))?),
    };
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let digits = digits.replace('_', "");
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

/// Python's `float(x)`.
pub(crate) fn to_float(value: &Value) -> PyResult<f64> {
    #[allow(clippy::cast_precision_loss)]
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Float(number) => Ok(*number),
        Value::Undefined(undefined) => undefined.used().map(|()| 0.0),
        Value::Str(text) => text
            .trim()
            .replace('_', "")
            .parse()
            .map_err(|_| PyError::value_error(format!("could not convert string to float: {}", value.repr()))),
        other => Err(PyError::type_error(format!(
            "float() argument must be a string or a real number, not '{}'",
            other.type_name()
        ))),
    }
}
