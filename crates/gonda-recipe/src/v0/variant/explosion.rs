//! From merged sources to variants, and to those of them that a recipe tells apart.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde_json::Value;

use super::sources::{DEFAULT_EXTEND_KEYS, combine};
use super::{Merged, Source, Variant, VariantError, ensure_list, list_of_text, zip_groups};
use crate::v0::version::compare_versions;

/// How many variants a recipe may explode into.
const MAX_VARIANTS: usize = 200_000;

/// Keys that vary together, and the rows of their values.
type Columns = (Vec<Arc<str>>, Vec<Vec<Value>>);

/// All variants of a merged spec: the product of the free keys and the zip groups (variants.py `explode_variants`).
fn explode(spec: &Merged<'_>) -> Result<Vec<Arc<Variant>>, VariantError> {
    let groups = zip_groups(spec.get("zip_keys").map(AsRef::as_ref)).unwrap_or_default();
    let zipped: HashSet<&str, RandomState> = groups.iter().flatten().map(String::as_str).collect();
    let mut passed: HashSet<&str, RandomState> =
        DEFAULT_EXTEND_KEYS.into_iter().chain(["zip_keys", "replacements"]).collect();
    let extended = spec.get("extend_keys").map(|keys| list_of_text(keys)).unwrap_or_default();
    passed.extend(extended.iter().map(String::as_str));

    let mut shared: Vec<(Arc<str>, Value)> = Vec::with_capacity(spec.len());
    // Keys that vary together, with their columns of values.
    let mut loops: Vec<Columns> = Vec::new();
    for (&key, value) in spec {
        if zipped.contains(key) {
            continue;
        }
        let passes = passed.contains(key);
        let list;
        let items = match &**value {
            Value::Object(items) if passes => {
                if !items.is_empty() {
                    shared.push((Arc::from(key), Value::Object(items.clone())));
                }
                continue;
            }
            Value::Array(items) => items.as_slice(),
            Value::Null => &[],
            Value::Object(_) => {
                list = ensure_list(value);
                list.as_slice()
            }
            scalar => std::slice::from_ref(scalar),
        };
        match items {
            [] => {}
            items if passes => shared.push((Arc::from(key), Value::Array(items.to_vec()))),
            [item] => shared.push((Arc::from(key), first_of(item))),
            several => loops.push((vec![Arc::from(key)], several.iter().map(|item| vec![first_of(item)]).collect())),
        }
    }
    for group in &groups {
        let columns: Vec<Vec<Value>> = group
            .iter()
            .map(|key| spec.get(key.as_str()).map(|value| ensure_list(value)).unwrap_or_default())
            .collect();
        let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
        match rows {
            0 => {}
            1 => {
                for (key, column) in group.iter().zip(columns) {
                    shared.extend(column.into_iter().take(1).map(|value| (Arc::from(key.as_str()), value)));
                }
            }
            _ => {
                let keys = group.iter().map(|key| Arc::from(key.as_str())).collect();
                let rows = (0..rows).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect();
                loops.push((keys, rows));
            }
        }
    }
    let total = loops.iter().fold(1_usize, |total, (_, rows)| total.saturating_mul(rows.len()));
    if total > MAX_VARIANTS {
        return Err(VariantError {
            source: String::new(),
            key: loops.first().and_then(|(keys, _)| keys.first()).map(|key| (**key).to_owned()),
            message: format!("the variant keys multiply to {total} variants"),
            help: "zip keys that belong together with `zip_keys`, or give fewer values",
        });
    }
    let shared: Variant = shared.into_iter().collect();
    let mut variants = Vec::with_capacity(total);
    for number in 0..total {
        // The last loop turns fastest, as in Python's `itertools.product`.
        let mut rest = number;
        let mut picks = vec![0; loops.len()];
        for (pick, (_, rows)) in picks.iter_mut().zip(&loops).rev() {
            *pick = rest % rows.len();
            rest /= rows.len();
        }
        let own = loops
            .iter()
            .zip(picks)
            .flat_map(|((keys, rows), pick)| keys.iter().cloned().zip(rows[pick].iter().cloned()))
            .collect();
        let sibling = variants.last().map_or(&shared, |variant: &Arc<Variant>| variant);
        variants.push(Arc::new(sibling.sibling(own)));
    }
    Ok(variants)
}

/// A list within a list stands for its first item.
fn first_of(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.first().cloned().unwrap_or(Value::Null),
        other => other.clone(),
    }
}

/// Whether a variant's value is among those that a source gives.
fn allows(values: &Value, value: &Value) -> bool {
    match (values, value) {
        (Value::Array(items), _) => items.contains(value),
        // Python's `in` looks for a part of the text.
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        _ => values == value,
    }
}

/// The variants whose value for `key` is among `values` (variants.py `filter_by_key_value`).
pub(crate) fn filter(variants: &[Arc<Variant>], key: &str, values: &Value) -> Vec<Arc<Variant>> {
    if values.is_object() {
        return variants.to_vec();
    }
    variants.iter().filter(|variant| variant.get(key).is_some_and(|value| allows(values, value))).cloned().collect()
}

/// The variants of some sources, the first of which are the defaults (variants.py `get_package_variants`).
pub(crate) fn variants_of(sources: &[Source]) -> Result<Vec<Arc<Variant>>, VariantError> {
    let combined = combine(sources)?;
    let mut variants = explode(&combined)?;
    if variants.len() < 2 {
        return Ok(variants);
    }
    let mut seen: HashSet<&str> = DEFAULT_EXTEND_KEYS.into_iter().chain(["zip_keys"]).collect();
    let extended = combined.get("extend_keys").map(|keys| list_of_text(keys)).unwrap_or_default();
    seen.extend(extended.iter().map(String::as_str));
    for source in sources.iter().skip(1).rev() {
        for (key, values) in &source.spec {
            if !seen.insert(key) || variants.len() < 2 {
                continue;
            }
            // A key that does not vary filters all or nothing, and nothing is ignored.
            if variants[0].shares(key) {
                continue;
            }
            let kept = filter(&variants, key, values);
            if !kept.is_empty() {
                variants = kept;
            }
        }
    }
    Ok(variants)
}

const NOT_LOOPS: [&str; 3] = ["pin_run_as_build", "zip_keys", "ignore_version"];

/// The keys, of some or of all, that differ between variants (variants.py `get_vars`).
pub(crate) fn loop_keys(variants: &[Arc<Variant>], subset: &BTreeSet<String>) -> BTreeSet<String> {
    let Some((first, others)) = variants.split_first() else { return BTreeSet::new() };
    let extended = first.list("extend_keys");
    subset
        .iter()
        .filter(|key| first.contains(key) && !NOT_LOOPS.contains(&key.as_str()) && !extended.contains(key))
        .filter(|key| {
            let value = first.get(key);
            others.iter().any(|other| other.get(key) != value)
        })
        .cloned()
        .collect()
}

/// The variants that differ in the used keys alone (metadata.py `get_reduced_variant_set`): the values of used keys are
/// collected and multiplied anew, unused keys keep their first value. A result that is one of the variants is that one.
pub(crate) fn reduce(variants: &[Arc<Variant>], used: &BTreeSet<String>) -> Vec<Arc<Variant>> {
    let Some(first) = variants.first() else { return Vec::new() };
    let groups = zip_groups(first.get("zip_keys")).unwrap_or_default();
    let extended = first.list("extend_keys");
    let mut loops: Vec<Columns> = Vec::new();
    let mut done: HashSet<Arc<str>> = HashSet::new();
    for (key, value) in first.own() {
        if done.contains(key) || value.is_object() || extended.iter().any(|extended| **extended == **key) {
            continue;
        }
        let group: Vec<Arc<str>> = match groups.iter().find(|group| group.iter().any(|member| **member == **key)) {
            Some(group) => group.iter().map(|member| Arc::from(member.as_str())).collect(),
            None => vec![key.clone()],
        };
        done.extend(group.iter().cloned());
        if !group.iter().any(|member| used.contains(&**member)) {
            continue;
        }
        let mut rows: Vec<Vec<Value>> = Vec::new();
        for variant in variants {
            let row: Vec<Value> = group.iter().map(|key| variant.get(key).cloned().unwrap_or(Value::Null)).collect();
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        if rows.len() > 1 {
            loops.push((group, rows));
        }
    }
    let mut reduced = vec![first.clone()];
    for (keys, rows) in loops {
        let mut more = Vec::with_capacity(reduced.len() * rows.len());
        for variant in &reduced {
            for row in &rows {
                let mut own = variant.own().to_vec();
                for (own, value) in &mut own {
                    if let Some(column) = keys.iter().position(|key| key == own) {
                        value.clone_from(&row[column]);
                    }
                }
                more.push(Arc::new(variant.sibling(own)));
            }
        }
        reduced = more;
        if reduced.len() > MAX_VARIANTS {
            break;
        }
    }
    for variant in &mut reduced {
        if let Some(known) = variants.iter().find(|other| other.is_same(variant)) {
            *variant = known.clone();
        }
    }
    reduced
}

/// The variants with the newest Python among them: what a `noarch` recipe keeps (render.py `distribute_variants`).
pub(crate) fn newest_python(variants: Vec<Arc<Variant>>) -> Vec<Arc<Variant>> {
    let bare = |version: &str| version.split(' ').next().unwrap_or_default().to_owned();
    let newest = variants
        .iter()
        .filter_map(|variant| variant.text("python"))
        .max_by(|a, b| compare_versions(&bare(a), &bare(b)))
        .map(|version| Value::String(version.to_owned()));
    match newest {
        Some(version) => variants
            .into_iter()
            .filter(|variant| variant.get("python").is_some_and(|value| allows(&version, value)))
            .collect(),
        None => variants,
    }
}
