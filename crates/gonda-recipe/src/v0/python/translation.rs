//! `str.maketrans` and `str.translate`.

use super::MAX_LENGTH;
use super::ops::get_item;
use super::value::{Args, Dict, Key, PyError, PyResult, Value};

/// `str.maketrans`: a mapping of characters to characters, text or nothing.
pub(super) fn make_translation(args: &Args) -> PyResult {
    let mut table = Dict::default();
    let code = |c: char| Key(Value::Int(i64::from(u32::from(c))));
    if let [Value::Dict(items)] = args.positional.as_slice() {
        for (key, value) in items.borrow().iter() {
            let key = match &key.0 {
                Value::Str(text) => {
                    let mut chars = text.chars();
                    let (Some(only), None) = (chars.next(), chars.next()) else {
                        return Err(PyError::value_error("string keys in translate table must be of length 1"));
                    };
                    code(only)
                }
                _ => key.clone(),
            };
            table.insert(key, value.clone());
        }
        return Ok(Value::from(table));
    }
    let (from, to) = (args.str(0, "x", "maketrans")?, args.str(1, "y", "maketrans")?);
    if from.chars().count() != to.chars().count() {
        return Err(PyError::value_error("the first two maketrans arguments must have equal length"));
    }
    table.extend(from.chars().zip(to.chars()).map(|(from, to)| (code(from), Value::Int(i64::from(u32::from(to))))));
    if args.get_some(2, "z").is_some() {
        table.extend(args.str(2, "z", "maketrans")?.chars().map(|gone| (code(gone), Value::None)));
    }
    Ok(Value::from(table))
}

/// `text.translate(table)`; characters that the table doesn't know stay.
pub(super) fn translate(text: &str, args: &Args) -> PyResult {
    let Some(table) = args.positional.first() else {
        return Err(PyError::type_error("translate() takes exactly one argument (0 given)"));
    };
    let mut out = String::new();
    if !matches!(table, Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Str(_) | Value::Undefined(_)) {
        return Err(PyError::type_error(format!("'{}' object is not subscriptable", table.type_name())));
    }
    for c in text.chars() {
        match get_item(table, &Value::Int(i64::from(u32::from(c))))? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Str(text)) => out.push_str(&text),
            Some(Value::Int(code)) => {
                let found = u32::try_from(code).ok().and_then(char::from_u32);
                out.push(found.ok_or_else(|| PyError::value_error("character mapping must be in range(0x110000)"))?);
            }
            Some(_) => return Err(PyError::type_error("character mapping must return integer, None or str")),
        }
        if out.len() > MAX_LENGTH {
            return Err(PyError::limit("`translate` makes too long a text"));
        }
    }
    Ok(Value::from(out))
}
