//! Variants: `conda_build_config.yaml` files, merged, exploded and filtered (conda-build's variants.py).
//!
//! A variant maps keys to text; a few keys keep their lists and mappings.

mod explosion;
mod sources;

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::{FixedState, RandomState};
use indexmap::IndexMap;
use serde_json::{Map, Value};

pub(crate) use self::explosion::{filter, loop_keys, newest_python, reduce, variants_of};
pub(crate) use self::sources::{DEFAULT_PYTHON, defaults, native_compiler, validate};
pub(crate) use crate::Variant;

/// What a source of variants says: keys to lists, text or mappings.
pub(crate) type Spec = Map<String, Value>;

/// What several sources say together.
type Merged<'s> = IndexMap<&'s str, Cow<'s, Value>, RandomState>;

impl Variant {
    /// A value of the list that `ignore_version` and its like are.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(list_of_text).unwrap_or_default()
    }

    /// The same for variants that are the same.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        for (key, value) in self.own() {
            key.hash(&mut hasher);
            match value {
                Value::String(text) => text.hash(&mut hasher),
                other => other.to_string().hash(&mut hasher),
            }
        }
        hasher.finish()
    }
}

/// Python's `ensure_list`, as text.
pub(crate) fn list_of_text(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(text_of).collect(),
        Value::Object(items) => items.keys().cloned().collect(),
        other => vec![text_of(other)],
    }
}

/// A scalar as text.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Value::Null => "None".to_owned(),
        other => other.to_string(),
    }
}

fn ensure_list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        Value::Object(items) => items.keys().map(|key| Value::String(key.clone())).collect(),
        other => vec![other.clone()],
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Array(items) => items.len(),
        Value::Object(items) => items.len(),
        _ => 1,
    }
}

/// A source of variants and its name, a path or a word.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) spec: Spec,
}

/// A mistake in variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VariantError {
    /// The source's name.
    pub(crate) source: String,
    /// The key to point at.
    pub(crate) key: Option<String>,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

/// A parsed variant file without what is empty (utils.py `trim_empty_keys`).
pub(crate) fn trim(mut spec: Spec) -> Spec {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    };
    for value in spec.values_mut() {
        if let Value::Object(items) = value {
            *items = trim(std::mem::take(items));
        }
    }
    spec.retain(|_, value| !empty(value));
    if spec.get("zip_keys").is_some_and(|groups| !ensure_list(groups).iter().any(|group| !empty(group))) {
        spec.shift_remove("zip_keys");
    }
    spec
}

/// The groups of `zip_keys`; the error says that it is neither a list nor a list of lists.
fn zip_groups(value: Option<&Value>) -> Result<Vec<Vec<String>>, ()> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Array(items) = value else { return if length(value) == 0 { Ok(Vec::new()) } else { Err(()) } };
    let texts = |items: &[Value]| -> Option<Vec<String>> {
        items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    if let Some(group) = texts(items) {
        return Ok(vec![unique(group)]);
    }
    let mut groups: Vec<Vec<String>> = Vec::new();
    for item in items {
        let Value::Array(group) = item else { return Err(()) };
        let group = unique(texts(group).ok_or(())?);
        let same = |other: &Vec<String>| other.len() == group.len() && group.iter().all(|key| other.contains(key));
        if !groups.iter().any(same) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// The items without those that came before.
fn unique<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut unique = Vec::with_capacity(items.len());
    for item in items {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}
