//! A variant: the values of the variant files that an output is rendered with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Keys to values.
type Values = IndexMap<Arc<str>, Value, RandomState>;

/// One variant: keys to values, in the order of the keys.
///
/// What variants of the same files share they hold once, and copies cost next to nothing: a full pinning file has five
/// hundred keys, of which a dozen differ between variants, and every output holds its variant.
#[derive(Clone, Default)]
pub struct Variant {
    shared: Arc<Values>,
    /// What is its own; wins over what is shared.
    own: Vec<(Arc<str>, Value)>,
    /// All keys, sorted once someone asks.
    keys: Arc<OnceLock<Vec<Arc<str>>>>,
}

impl Variant {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.own.iter().find(|(own, _)| &**own == key).map(|(_, value)| value).or_else(|| self.shared.get(key))
    }

    /// The value of a key, if it is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All keys, sorted.
    #[must_use]
    pub fn keys(&self) -> &[Arc<str>] {
        self.keys.get_or_init(|| {
            let mut keys: Vec<Arc<str>> = self.unsorted_keys().cloned().collect();
            keys.sort_unstable();
            keys
        })
    }

    /// All keys, in no order that means anything.
    pub(crate) fn unsorted_keys(&self) -> impl Iterator<Item = &Arc<str>> {
        let own = self.own.iter().map(|(key, _)| key).filter(|key| !self.shared.contains_key(*key));
        self.shared.keys().chain(own)
    }

    /// Keys and values, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.keys().iter().filter_map(|key| self.get(key).map(|value| (&**key, value)))
    }

    /// Gives a key another value.
    pub fn insert(&mut self, key: impl Into<Arc<str>>, value: Value) {
        let key = key.into();
        if !self.contains(&key) {
            self.keys = Arc::default();
        }
        match self.own.iter_mut().find(|(own, _)| *own == key) {
            Some((_, old)) => *old = value,
            None => self.own.push((key, value)),
        }
    }

    /// A key as the variant has it.
    pub(crate) fn key(&self, key: &str) -> Option<&str> {
        let own = self.own.iter().map(|(own, _)| &**own).find(|own| *own == key);
        own.or_else(|| self.shared.get_key_value(key).map(|(key, _)| &**key))
    }

    /// A variant with the same shared values and others of its own.
    pub(crate) fn sibling(&self, own: Vec<(Arc<str>, Value)>) -> Self {
        let same_keys = own.iter().map(|(key, _)| key).eq(self.own.iter().map(|(key, _)| key));
        let keys = if same_keys { self.keys.clone() } else { Arc::default() };
        Self { shared: self.shared.clone(), own, keys }
    }

    /// What its siblings have other values for.
    pub(crate) fn own(&self) -> &[(Arc<str>, Value)] {
        &self.own
    }

    /// Whether all siblings have the same value for a key.
    pub(crate) fn shares(&self, key: &str) -> bool {
        self.shared.contains_key(key)
    }

    /// Whether the values are those of another variant of the same files.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.own == other.own
    }
}

impl<K: Into<Arc<str>>> FromIterator<(K, Value)> for Variant {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(values: I) -> Self {
        let shared = values.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self { shared: Arc::new(shared), ..Self::default() }
    }
}

impl PartialEq for Variant {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.iter().eq(other.iter())
    }
}

impl Serialize for Variant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Variant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(values.into_iter().collect())
    }
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
