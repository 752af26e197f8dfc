//! Variants: `conda_build_config.yaml` files, merged, exploded and filtered (conda-build's variants.py).
//!
//! A variant maps keys to text (a few keys keep their lists and mappings). The values that all variants share are kept
//! once: a full pinning file has five hundred keys, of which a dozen differ between variants.

mod explosion;
mod sources;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde_json::{Map, Value};

pub(crate) use self::explosion::{filter, loop_keys, newest_python, reduce, variants_of};
pub(crate) use self::sources::{DEFAULT_PYTHON, defaults, native_compiler, validate};

/// What a source of variants says: keys to lists, text or mappings.
pub(crate) type Spec = IndexMap<String, Value, RandomState>;

/// What several sources say together.
type Merged<'s> = IndexMap<&'s str, Cow<'s, Value>, RandomState>;

/// One variant.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    /// What it shares with its siblings.
    shared: Arc<Spec>,
    /// What is its own; wins over what is shared.
    own: Vec<(Arc<str>, Value)>,
    /// All keys, sorted.
    keys: Arc<Vec<String>>,
}

impl Variant {
    pub(crate) fn empty() -> Self {
        Self { shared: Arc::default(), own: Vec::new(), keys: Arc::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.own.iter().find(|(own, _)| &**own == key).map(|(_, value)| value).or_else(|| self.shared.get(key))
    }

    /// A key as the variant has it.
    pub(crate) fn key(&self, key: &str) -> Option<&str> {
        let own = self.own.iter().find(|(own, _)| &**own == key).map(|(own, _)| &**own);
        own.or_else(|| self.shared.get_key_value(key).map(|(key, _)| key.as_str()))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All keys, sorted.
    pub(crate) fn keys(&self) -> &Arc<Vec<String>> {
        &self.keys
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.keys.iter().filter_map(|key| self.get(key).map(|value| (key.as_str(), value)))
    }

    /// A value of the list that `ignore_version` and its like are.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(list_of_text).unwrap_or_default()
    }

    /// Whether the values are those of another variant of the same files.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.own == other.own
    }

    /// The same for variants that are the same.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (key, value) in &self.own {
            key.hash(&mut hasher);
            match value {
                Value::String(text) => text.hash(&mut hasher),
                other => other.to_string().hash(&mut hasher),
            }
        }
        hasher.finish()
    }

    /// The variant with another value for a key.
    pub(crate) fn with(&self, key: &str, value: Value) -> Self {
        let mut variant = self.clone();
        match variant.own.iter_mut().find(|(own, _)| &**own == key) {
            Some((_, old)) => *old = value,
            None => variant.own.push((Arc::from(key), value)),
        }
        if let Err(at) = variant.keys.binary_search_by(|probe| probe.as_str().cmp(key)) {
            Arc::make_mut(&mut variant.keys).insert(at, key.to_owned());
        }
        variant
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
pub(crate) fn trim(map: Map<String, Value>) -> Spec {
    let mut spec: Spec = map.into_iter().collect();
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    };
    for value in spec.values_mut() {
        if let Value::Object(items) = value {
            *items = trim(std::mem::take(items)).into_iter().collect();
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
