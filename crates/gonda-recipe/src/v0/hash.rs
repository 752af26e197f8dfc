//! The hash of a build string: seven digits of the SHA-1 of Python's JSON.

use serde_json::Value;
use sha1::{Digest, Sha1};

/// JSON as Python's `json.dumps(value, sort_keys=True)` writes it: `", "` and `": "`, sorted keys, ASCII only. With an
/// indent, items stand on lines of their own, with so many blanks a level.
pub(crate) fn python_json(value: &Value, indent: usize) -> String {
    let mut out = String::new();
    write(&mut out, value, indent, 0);
    out
}

/// Ends an item of a collection: a comma if another follows, and a new line if there is an indent.
fn separate(out: &mut String, comma: bool, indent: usize, depth: usize) {
    out.push_str(match (comma, indent) {
        (true, 0) => ", ",
        (true, _) => ",",
        (false, _) => "",
    });
    if indent > 0 {
        out.push('\n');
        out.push_str(&" ".repeat(indent * depth));
    }
}

fn write(out: &mut String, value: &Value, indent: usize, depth: usize) {
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
                separate(out, i > 0, indent, depth + 1);
                write(out, item, indent, depth + 1);
            }
            if !items.is_empty() {
                separate(out, false, indent, depth);
            }
            out.push(']');
        }
        Value::Object(items) => {
            let mut items: Vec<(&String, &Value)> = items.iter().collect();
            // Python sorts by code point, which in UTF-8 is the order of the bytes.
            items.sort_by_key(|(key, _)| *key);
            write_mapping(out, items.into_iter(), indent, depth);
        }
    }
}

fn write_mapping<'v>(
    out: &mut String,
    items: impl ExactSizeIterator<Item = (&'v String, &'v Value)>,
    indent: usize,
    depth: usize,
) {
    let is_empty = items.len() == 0;
    out.push('{');
    for (i, (key, value)) in items.enumerate() {
        separate(out, i > 0, indent, depth + 1);
        write_text(out, key);
        out.push_str(": ");
        write(out, value, indent, depth + 1);
    }
    if !is_empty {
        separate(out, false, indent, depth);
    }
    out.push('}');
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
    let mut json = String::new();
    write_mapping(&mut json, contents.iter(), 0, 0);
    let digest = Sha1::digest(json.as_bytes());
    let mut hash = format!("h{}", hex::encode(&digest[..4]));
    hash.truncate(8);
    Some(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// The keys of each object as the text has them, in order.
    fn keys_are_sorted(value: &Value) -> bool {
        match value {
            Value::Object(items) => items.keys().is_sorted() && items.values().all(keys_are_sorted),
            Value::Array(items) => items.iter().all(keys_are_sorted),
            _ => true,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// `json.dumps` with `sort_keys`: ASCII, keys in order, and any reader gets the value back.
        #[test]
        fn json_is_pythons(value in value()) {
            let text = python_json(&value, 0);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert!(keys_are_sorted(&read), "{text}");
        }

        /// Order of insertion and nothing else is without meaning.
        #[test]
        fn a_hash_has_seven_digits(contents in proptest::collection::btree_map(any::<String>(), value(), 1..5)) {
            let digits = hash(&contents).unwrap();
            prop_assert!(digits.len() == 8 && digits.starts_with('h'), "{digits}");
            prop_assert!(digits[1..].bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
        }
    }

    #[test]
    fn separators_have_blanks() {
        let value = serde_json::json!({"b": [1, "\u{e9}\u{1f600}\u{7f}"], "a": {"x": null, "c": true}});
        assert_eq!(python_json(&value, 0), r#"{"a": {"c": true, "x": null}, "b": [1, "\u00e9\ud83d\ude00\u007f"]}"#);
    }
}
