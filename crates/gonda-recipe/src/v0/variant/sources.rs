//! What variants are made of: the sources, checked and merged, and the defaults below them all.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::iter::repeat_n;

use foldhash::fast::RandomState;
use serde_json::{Map, Value};

use super::{Merged, Source, Spec, VariantError, ensure_list, length, list_of_text, text_of, unique, zip_groups};

/// Checks one source (variants.py `validate_spec`).
pub(crate) fn validate(source: &Source) -> Vec<VariantError> {
    let mut errors = Vec::new();
    let mut error = |key: Option<&str>, message: String, help: &'static str| {
        errors.push(VariantError { source: source.name.clone(), key: key.map(str::to_owned), message, help });
    };
    for key in source.spec.keys().filter(|key| key.contains('-')) {
        error(Some(key), format!("the key `{key}` holds the invalid character `-`"), "write `_` in its place");
    }
    let Ok(groups) = zip_groups(source.spec.get("zip_keys")) else {
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

pub(super) const DEFAULT_EXTEND_KEYS: [&str; 4] =
    ["pin_run_as_build", "ignore_version", "ignore_build_only_deps", "extend_keys"];

/// Merges sources, the later winning (variants.py `combine_specs`).
pub(super) fn combine(sources: &[Source]) -> Result<Merged<'_>, VariantError> {
    let mut extend_keys: Vec<String> = DEFAULT_EXTEND_KEYS.iter().map(|key| (*key).to_owned()).collect();
    let mut groups: Vec<Vec<String>> = Vec::new();
    for source in sources {
        extend_keys.extend(source.spec.get("extend_keys").map(list_of_text).unwrap_or_default());
        for group in zip_groups(source.spec.get("zip_keys")).unwrap_or_default() {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    let most = sources.iter().map(|source| source.spec.len()).sum();
    let mut values = Merged::with_capacity_and_hasher(most, RandomState::default());
    for source in sources {
        for (key, value) in &source.spec {
            if key == "zip_keys" {
                continue;
            }
            if extend_keys.contains(key) {
                extend(&mut values, key, value);
            } else if value.is_object() {
                values.insert(key, Cow::Borrowed(value));
            } else {
                replace(&mut values, source, key, value, &groups)?;
            }
        }
    }
    if !groups.is_empty() {
        let groups = groups.into_iter().map(|group| group.into_iter().map(Value::String).collect()).collect();
        values.insert("zip_keys", Cow::Owned(Value::Array(groups)));
    }
    Ok(values)
}

/// Updates a mapping, or adds to a list what it lacks.
fn extend<'s>(values: &mut Merged<'s>, key: &'s str, value: &'s Value) {
    if let Value::Object(items) = value {
        match values.get_mut(key).map(Cow::to_mut) {
            Some(Value::Object(old)) => old.extend(items.clone()),
            _ => {
                values.insert(key, Cow::Borrowed(value));
            }
        }
        return;
    }
    let mut list = values.get(key).map(|value| ensure_list(value)).unwrap_or_default();
    list.extend(ensure_list(value));
    values.insert(key, Cow::Owned(Value::Array(unique(list))));
}

/// Replaces a key's values: a zipped key only together with its group, else the values select of what there is.
fn replace<'s>(
    values: &mut Merged<'s>,
    source: &'s Source,
    key: &'s String,
    value: &'s Value,
    groups: &[Vec<String>],
) -> Result<(), VariantError> {
    let Some(group) = groups.iter().find(|group| group.contains(key)) else {
        values.insert(key, Cow::Borrowed(value));
        return Ok(());
    };
    let count = length(value);
    if group.iter().all(|member| source.spec.contains_key(member)) {
        for (member, members) in group.iter().filter_map(|member| source.spec.get_key_value(member)) {
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
            values.insert(member, Cow::Borrowed(members));
        }
        return Ok(());
    }
    if !values.contains_key(key.as_str()) {
        return Ok(());
    }
    let fits = |of: Option<&Value>| of.is_none_or(|members| length(members) == count);
    if group.iter().all(|member| fits(source.spec.get(member)) && fits(values.get(member.as_str()).map(AsRef::as_ref)))
    {
        values.insert(key, Cow::Borrowed(value));
    }
    let known = values.get(key.as_str()).map(|value| ensure_list(value)).unwrap_or_default();
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
        key: Some(key.clone()),
        message: format!(
            "`{key}` is ambiguous: it is zipped with {}, which has no values here, and {} is not among its earlier values",
            absent.join(", "),
            missing.join(", ")
        ),
        help: "give all keys of the zip group, or only values that an earlier file has",
    })
}

/// conda-build's built-in variant, for the platform the build is configured for (variants.py `get_default_variant`).
pub(crate) fn defaults(platform: &str) -> Source {
    let os = platform.split('-').next().unwrap_or_default();
    let text = |text: &str| Value::String(text.to_owned());
    let texts = |texts: &[&str]| texts.iter().copied().map(text).collect::<Value>();
    let pin: Map<String, Value> =
        ["min_pin", "max_pin"].map(|bound| (bound.to_owned(), text("x.x"))).into_iter().collect();
    let mut spec = Spec::with_capacity(18);
    let mut set = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    // The Python that conda-build itself runs on; a recipe that cares brings its own. NumPy goes with it.
    set("python", text(DEFAULT_PYTHON));
    set("numpy", text("1.23"));
    set("perl", text("5.26.2"));
    set("lua", text("5"));
    // conda-build takes 3.4 where it runs on Windows itself; like Python's, the value is not of the platform built on.
    set("r_base", text("3.5"));
    set("cpu_optimization_target", text("nocona"));
    set("pin_run_as_build", ["python", "r-base"].map(str::to_owned).into_iter().zip(repeat_n(pin, 2)).collect());
    set("ignore_version", Value::Array(Vec::new()));
    set("ignore_build_only_deps", texts(&["python", "numpy"]));
    set("extend_keys", texts(&DEFAULT_EXTEND_KEYS));
    set("cran_mirror", text("https://cran.r-project.org"));
    set("target_platform", text(platform));
    for (language, key) in [("c", "c_compiler"), ("cxx", "cxx_compiler"), ("fortran", "fortran_compiler")] {
        if let Some(compiler) = native_compiler(language, os) {
            set(key, text(compiler));
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
