//! Variants: `conda_build_config.yaml` files, merged, exploded and filtered (conda-build's variants.py).
//!
//! A variant maps keys to text (a few keys keep their lists and mappings). The values that all variants share are kept
//! once: a full pinning file has five hundred keys, of which a dozen differ between variants.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::version::compare_versions;

/// What a source of variants says: keys to lists, text or mappings.
pub(crate) type Spec = IndexMap<String, Value, RandomState>;

/// How many variants a recipe may explode into.
const MAX_VARIANTS: usize = 200_000;

/// Keys that vary together, and the rows of their values.
type Columns = (Vec<Arc<str>>, Vec<Vec<Value>>);

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
fn zip_groups(spec: &Spec) -> Result<Vec<Vec<String>>, ()> {
    let Some(value) = spec.get("zip_keys") else { return Ok(Vec::new()) };
    let Value::Array(items) = value else { return if length(value) == 0 { Ok(Vec::new()) } else { Err(()) } };
    let texts = |items: &[Value]| -> Option<Vec<String>> {
        items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
    };
    if let Some(group) = texts(items) {
        let mut unique: Vec<String> = Vec::new();
        for key in group {
            if !unique.contains(&key) {
                unique.push(key);
            }
        }
        return Ok(vec![unique]);
    }
    let mut groups: Vec<Vec<String>> = Vec::new();
    for item in items {
        let Value::Array(group) = item else { return Err(()) };
        let mut unique: Vec<String> = Vec::new();
        for key in texts(group).ok_or(())? {
            if !unique.contains(&key) {
                unique.push(key);
            }
        }
        let same = |other: &Vec<String>| other.len() == unique.len() && unique.iter().all(|key| other.contains(key));
        if !groups.iter().any(same) {
            groups.push(unique);
        }
    }
    Ok(groups)
}

/// Checks one source (variants.py `validate_spec`).
pub(crate) fn validate(source: &Source) -> Vec<VariantError> {
    let mut errors = Vec::new();
    let mut error = |key: Option<&str>, message: String, help: &'static str| {
        errors.push(VariantError { source: source.name.clone(), key: key.map(str::to_owned), message, help });
    };
    for key in source.spec.keys().filter(|key| key.contains('-')) {
        error(Some(key), format!("the key `{key}` holds the invalid character `-`"), "write `_` in its place");
    }
    let Ok(groups) = zip_groups(&source.spec) else {
        error(
            Some("zip_keys"),
            "`zip_keys` is neither a list of keys nor a list of lists of keys".to_owned(),
            "write a list of groups, each a list of keys",
        );
        return errors;
    };
    let mut seen = HashSet::new();
    for group in &groups {
        for key in group {
            if !source.spec.contains_key(key) {
                error(
                    Some("zip_keys"),
                    format!("`{key}` is zipped, but has no values"),
                    "give it as many values as the others of its group, or take it out of `zip_keys`",
                );
            }
            if !seen.insert(key.clone()) {
                error(
                    Some("zip_keys"),
                    format!("`{key}` stands in more than one group of `zip_keys`"),
                    "a key can be in one group only",
                );
            }
        }
        let lengths: BTreeSet<usize> = group.iter().filter_map(|key| source.spec.get(key)).map(length).collect();
        if lengths.len() > 1 {
            let counts: Vec<String> = group
                .iter()
                .filter_map(|key| source.spec.get(key).map(|value| format!("`{key}` has {}", length(value))))
                .collect();
            error(
                group.first().map(String::as_str),
                format!("zipped keys differ in their number of values: {}", counts.join(", ")),
                "keys that are zipped need the same number of values on every platform; check their selectors",
            );
        }
    }
    errors
}

const DEFAULT_EXTEND_KEYS: [&str; 4] = ["pin_run_as_build", "ignore_version", "ignore_build_only_deps", "extend_keys"];

/// Merges sources, the later winning (variants.py `combine_specs`).
pub(crate) fn combine(sources: &[Source]) -> Result<Spec, VariantError> {
    let mut extend_keys: Vec<String> = DEFAULT_EXTEND_KEYS.iter().map(|key| (*key).to_owned()).collect();
    let mut groups: Vec<Vec<String>> = Vec::new();
    for source in sources {
        extend_keys.extend(source.spec.get("extend_keys").map(list_of_text).unwrap_or_default());
        for group in zip_groups(&source.spec).unwrap_or_default() {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    let mut values = Spec::default();
    for source in sources {
        for (key, value) in &source.spec {
            if key == "zip_keys" {
                continue;
            }
            if extend_keys.contains(key) {
                extend(&mut values, key, value);
            } else if value.is_object() {
                values.insert(key.clone(), value.clone());
            } else {
                replace(&mut values, source, key, value, &groups)?;
            }
        }
    }
    if !groups.is_empty() {
        let groups = groups.into_iter().map(|group| group.into_iter().map(Value::String).collect()).collect();
        values.insert("zip_keys".to_owned(), Value::Array(groups));
    }
    Ok(values)
}

/// Updates a mapping, or adds to a list what it lacks.
fn extend(values: &mut Spec, key: &str, value: &Value) {
    if let Value::Object(items) = value {
        match values.get_mut(key) {
            Some(Value::Object(old)) => old.extend(items.clone()),
            _ => {
                values.insert(key.to_owned(), value.clone());
            }
        }
        return;
    }
    let mut list = values.get(key).map(ensure_list).unwrap_or_default();
    list.extend(ensure_list(value));
    let mut unique = Vec::with_capacity(list.len());
    for item in list {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    values.insert(key.to_owned(), Value::Array(unique));
}

/// Replaces a key's values: a zipped key only together with its group, else the values select of what there is.
fn replace(
    values: &mut Spec,
    source: &Source,
    key: &str,
    value: &Value,
    groups: &[Vec<String>],
) -> Result<(), VariantError> {
    let alone = vec![key.to_owned()];
    let group = groups.iter().find(|group| group.iter().any(|member| member == key)).unwrap_or(&alone);
    let count = length(value);
    if group.iter().all(|member| source.spec.contains_key(member)) {
        for member in group {
            let members = &source.spec[member];
            if length(members) != count {
                return Err(VariantError {
                    source: source.name.clone(),
                    key: Some(member.clone()),
                    message: format!(
                        "zipped keys differ in their number of values: `{key}` has {count}, `{member}` has {}",
                        length(members)
                    ),
                    help: "keys that are zipped need the same number of values on every platform; check their selectors",
                });
            }
            values.insert(member.clone(), Value::Array(ensure_list(members)));
        }
        return Ok(());
    }
    if !values.contains_key(key) {
        return Ok(());
    }
    let fits = |of: Option<&Value>| of.is_none_or(|members| length(members) == count);
    if group.iter().all(|member| fits(source.spec.get(member)) && fits(values.get(member))) {
        values.insert(key.to_owned(), value.clone());
    }
    let known = values.get(key).map(ensure_list).unwrap_or_default();
    let missing: Vec<String> = ensure_list(value)
        .iter()
        .filter(|item| !known.contains(item))
        .map(|item| format!("`{}`", text_of(item)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let absent: Vec<String> =
        group.iter().filter(|member| !source.spec.contains_key(*member)).map(|member| format!("`{member}`")).collect();
    Err(VariantError {
        source: source.name.clone(),
        key: Some(key.to_owned()),
        message: format!(
            "`{key}` is ambiguous: it is zipped with {}, which has no values here, and {} is not among its earlier values",
            absent.join(", "),
            missing.join(", ")
        ),
        help: "give all keys of the zip group, or only values that an earlier file has",
    })
}

/// All variants of a merged spec: the product of the free keys and the zip groups (variants.py `explode_variants`).
pub(crate) fn explode(spec: &Spec) -> Result<Vec<Arc<Variant>>, VariantError> {
    let groups = zip_groups(spec).unwrap_or_default();
    let zipped: HashSet<&str, RandomState> = groups.iter().flatten().map(String::as_str).collect();
    let mut passed: HashSet<&str, RandomState> =
        DEFAULT_EXTEND_KEYS.into_iter().chain(["zip_keys", "replacements"]).collect();
    let extended = spec.get("extend_keys").map(list_of_text).unwrap_or_default();
    passed.extend(extended.iter().map(String::as_str));

    let mut shared = Spec::with_capacity_and_hasher(spec.len(), RandomState::default());
    // Keys that vary together, with their columns of values.
    let mut loops: Vec<Columns> = Vec::new();
    for (key, value) in spec {
        if zipped.contains(key.as_str()) {
            continue;
        }
        if passed.contains(key.as_str()) {
            let empty = match value {
                Value::Array(items) => items.is_empty(),
                Value::Object(items) => items.is_empty(),
                _ => false,
            };
            if !empty {
                shared.insert(key.clone(), value.clone());
            }
            continue;
        }
        let values: Vec<Value> = ensure_list(value).into_iter().map(first_of).collect();
        match values.len() {
            0 => {}
            1 => {
                shared.extend(values.into_iter().map(|value| (key.clone(), value)));
            }
            _ => loops.push((vec![Arc::from(key.as_str())], values.into_iter().map(|value| vec![value]).collect())),
        }
    }
    for group in &groups {
        let columns: Vec<Vec<Value>> =
            group.iter().map(|key| spec.get(key).map(ensure_list).unwrap_or_default()).collect();
        let rows = columns.iter().map(Vec::len).min().unwrap_or(0);
        match rows {
            0 => {}
            1 => {
                for (key, column) in group.iter().zip(columns) {
                    shared.extend(column.into_iter().take(1).map(|value| (key.clone(), value)));
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
    let mut keys: Vec<String> = shared.keys().cloned().collect();
    keys.extend(loops.iter().flat_map(|(keys, _)| keys.iter().map(|key| (**key).to_owned())));
    keys.sort();
    keys.dedup();
    let (shared, keys) = (Arc::new(shared), Arc::new(keys));
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
        variants.push(Arc::new(Variant { shared: shared.clone(), own, keys: keys.clone() }));
    }
    Ok(variants)
}

/// A list within a list stands for its first item.
fn first_of(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().next().unwrap_or(Value::Null),
        other => other,
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
    let extended = combined.get("extend_keys").map(list_of_text).unwrap_or_default();
    seen.extend(extended.iter().map(String::as_str));
    for source in sources.iter().skip(1).rev() {
        for (key, values) in &source.spec {
            if !seen.insert(key) || variants.len() < 2 {
                continue;
            }
            // A key that does not vary filters all or nothing, and nothing is ignored.
            if variants[0].shared.contains_key(key)
                && Arc::ptr_eq(&variants[0].shared, &variants[variants.len() - 1].shared)
            {
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
    let spec_of_groups: Spec =
        first.get("zip_keys").map(|groups| ("zip_keys".to_owned(), groups.clone())).into_iter().collect();
    let groups = zip_groups(&spec_of_groups).unwrap_or_default();
    let extended = first.list("extend_keys");
    let mut loops: Vec<Columns> = Vec::new();
    let mut done: HashSet<Arc<str>> = HashSet::new();
    for (key, value) in &first.own {
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
                let mut variant = Variant::clone(variant);
                for (own, value) in &mut variant.own {
                    if let Some(column) = keys.iter().position(|key| key == own) {
                        value.clone_from(&row[column]);
                    }
                }
                more.push(Arc::new(variant));
            }
        }
        reduced = more;
        if reduced.len() > MAX_VARIANTS {
            break;
        }
    }
    for variant in &mut reduced {
        let same = |other: &&Arc<Variant>| Arc::ptr_eq(&other.shared, &variant.shared) && other.own == variant.own;
        if let Some(known) = variants.iter().find(same) {
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

/// conda-build's built-in variant, for the platform the build is configured for (variants.py `get_default_variant`).
pub(crate) fn defaults(platform: &str) -> Source {
    let os = platform.split('-').next().unwrap_or_default();
    let text = |text: &str| Value::String(text.to_owned());
    let pin = serde_json::json!({"min_pin": "x.x", "max_pin": "x.x"});
    let mut spec = Spec::default();
    let mut set = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    // The Python that conda-build itself runs on; a recipe that cares brings its own. NumPy goes with it.
    set("python", text(DEFAULT_PYTHON));
    set("numpy", text("1.23"));
    set("perl", text("5.26.2"));
    set("lua", text("5"));
    // conda-build takes 3.4 where it runs on Windows itself; like Python's, the value is not of the platform built on.
    set("r_base", text("3.5"));
    set("cpu_optimization_target", text("nocona"));
    set("pin_run_as_build", serde_json::json!({"python": pin, "r-base": pin}));
    set("ignore_version", Value::Array(Vec::new()));
    set("ignore_build_only_deps", serde_json::json!(["python", "numpy"]));
    set("extend_keys", serde_json::json!(DEFAULT_EXTEND_KEYS));
    set("cran_mirror", text("https://cran.r-project.org"));
    set("target_platform", text(platform));
    for language in ["c", "cxx", "fortran"] {
        if let Some(compiler) = native_compiler(language, os) {
            set(&format!("{language}_compiler"), text(compiler));
        }
    }
    if os == "win" {
        set("vc", text("14"));
    }
    Source { name: "conda-build's defaults".to_owned(), spec }
}

/// The Python of the built-in variant.
pub(crate) const DEFAULT_PYTHON: &str = "3.11";

/// The compiler package of a language where no variant names one (variants.py `DEFAULT_COMPILERS`).
pub(crate) fn native_compiler(language: &str, os: &str) -> Option<&'static str> {
    Some(match (os, language) {
        ("linux", "c") => "gcc",
        ("linux", "cxx") => "gxx",
        ("osx", "c") => "clang",
        ("osx", "cxx") => "clangxx",
        ("win", "c" | "cxx") => "vs2017",
        ("linux" | "osx" | "win", "fortran") => "gfortran",
        _ => return None,
    })
}
