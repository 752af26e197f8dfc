//! What fuzzing drives: any bytes in, no panic, and an end in bounded time. The suite runs these over seeds; a fuzzer
//! drives the same functions for longer.

use std::sync::Arc;

use rattler_conda_types::Subdir;

use super::python::{Dict, Value};
use super::selector::{self, Evaluator};
use super::session::SelectorNames;
use crate::{Finalize, fuzz};

fn render(recipe: &[u8], variants: &[u8], finalize: Finalize) {
    fuzz::render(("recipe/meta.yaml", recipe), ("recipe/conda_build_config.yaml", variants), finalize);
}

/// A `meta.yaml` in all modes.
pub fn recipe(data: &[u8]) {
    for finalize in [Finalize::No, Finalize::Bypass, Finalize::NoSolve] {
        render(data, b"foo:\n  - 1\n  - 2\n", finalize);
    }
}

/// A `conda_build_config.yaml` under a recipe that uses some keys.
pub fn variant_file(data: &[u8]) {
    let recipe = b"package:\n  name: x\n  version: '1'\nrequirements:\n  build:\n    - {{ compiler('c') }}\n  host:\n    - foo\n    - python\n  run:\n    - python\n";
    render(recipe, data, Finalize::NoSolve);
}

/// Any YAML: the quick reader reads it as the full one does, or not at all.
///
/// # Panics
///
/// When they differ.
pub fn yaml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(super::yaml::read_alike(&text), "two readers read this YAML differently:\n{text}");
}

/// A line's selector.
pub fn selector(data: &[u8]) {
    let line = format!("keep  # [{}]\n", String::from_utf8_lossy(data).replace('\n', " "));
    let platform = Subdir::Linux64.to_string();
    let names = SelectorNames::new(platform.clone(), platform, Value::from(Dict::default()), Arc::default());
    drop(selector::select(&line, &Evaluator::new(names)));
}
