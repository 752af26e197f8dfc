//! Comparing JSON, and telling where it differs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// A place at which two values differ; `None` where one side has nothing.
pub(crate) struct Place<'v> {
    pub(crate) path: String,
    pub(crate) expected: Option<&'v Value>,
    pub(crate) actual: Option<&'v Value>,
}

/// Where two values differ. Order inside mappings has no meaning.
pub(crate) fn places<'v>(expected: &'v Value, actual: &'v Value) -> Vec<Place<'v>> {
    let mut places = Vec::new();
    collect(&mut places, String::new(), expected, actual);
    places
}

fn collect<'v>(places: &mut Vec<Place<'v>>, path: String, expected: &'v Value, actual: &'v Value) {
    match (expected, actual) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let path = format!("{path}/{key}");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => collect(places, path, a, b),
                    (expected, actual) => places.push(Place { path, expected, actual }),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                collect(places, format!("{path}/{index}"), a, b);
            }
        }
        _ if expected == actual => {}
        _ => places.push(Place { path, expected: Some(expected), actual: Some(actual) }),
    }
}

/// The places for people.
pub(crate) fn tell(places: &[Place<'_>]) -> String {
    let mut text = String::new();
    for place in places {
        let path = &place.path;
        let line = match (place.expected, place.actual) {
            (Some(expected), Some(actual)) => {
                writeln!(text, "{path}:\n  expected {expected}\n  actual   {actual}")
            }
            (Some(expected), None) => writeln!(text, "{path}: missing {expected}"),
            (None, Some(actual)) => writeln!(text, "{path}: unexpected {actual}"),
            (None, None) => Ok(()),
        };
        debug_assert!(line.is_ok(), "text can always be written to");
    }
    text
}

/// How many items two lists of outputs have in common, and what is left on each side, in its order.
pub(crate) fn in_common<'v>(expected: &'v [Value], actual: &'v [Value]) -> (usize, Vec<&'v Value>, Vec<&'v Value>) {
    let mut unmet: Vec<&Value> = actual.iter().collect();
    let mut missed = Vec::new();
    for item in expected {
        match unmet.iter().position(|other| *other == item) {
            Some(index) => drop(unmet.remove(index)),
            None => missed.push(item),
        }
    }
    (expected.len() - missed.len(), missed, unmet)
}
