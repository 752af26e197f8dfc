//! The hash of a build string: seven digits of the SHA-1 of Python's JSON.

use serde_json::Value;
use sha1::{Digest, Sha1};

/// JSON as Python's `json.dumps(value, sort_keys=True)` writes it: `", "` and `": "`, sorted keys, ASCII only.
pub(crate) fn python_json(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&super::python::float_repr(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(items) => {
            let mut keys: Vec<&String> = items.keys().collect();
            // Python sorts by code point, which in UTF-8 is the order of the bytes.
            keys.sort();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                write_text(out, key);
                out.push_str(": ");
                write(out, &items[key]);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// `h` and seven digits, or nothing for empty contents (conda-build's metadata.py `_hash_dependencies`).
#[must_use]
pub fn hash(contents: &std::collections::BTreeMap<String, Value>) -> Option<String> {
    if contents.is_empty() {
        return None;
    }
    let contents = Value::Object(contents.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    let digest = hex::encode(Sha1::digest(python_json(&contents).as_bytes()));
    Some(format!("h{}", &digest[..7]))
}
