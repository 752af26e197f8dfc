//! What fuzzing drives: any bytes in, no panic, and an end in bounded time. The suite runs these over seeds; a fuzzer
//! drives the same functions for longer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rattler_conda_types::Subdir;

use super::python::{Dict, Value};
use super::selector::{Evaluator, SelectableText};
use super::session::SelectorNames;
use super::variant::Variant;
use crate::{ConfigPlatform, Env, Finalize, MemoryWorld, Request, Resolved, VariantFiles, load};

fn render(recipe: &[u8], variants: &[u8], finalize: Finalize) {
    let file = PathBuf::from("recipe/meta.yaml");
    let world = MemoryWorld {
        files: BTreeMap::from([
            (file.clone(), recipe.to_vec()),
            (PathBuf::from("recipe/conda_build_config.yaml"), variants.to_vec()),
        ]),
        environ: BTreeMap::new(),
    };
    let request = Request {
        recipe: file,
        build_platform: Subdir::Linux64,
        target_platform: Subdir::Linux64,
        variants: VariantFiles::default(),
        config_platform: ConfigPlatform::Target,
        finalize,
        trim_skip: false,
    };
    if let Ok(rendering) = load(&request, &world) {
        let resolved = Resolved::default();
        for index in 0..rendering.outputs.len().min(1) {
            for env in [Env::Build, Env::Host] {
                drop(rendering.specs(index, env, &resolved, &world));
            }
            drop(rendering.finalize(index, &resolved, &world));
        }
    }
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

/// A line's selector.
pub fn selector(data: &[u8]) {
    let line = format!("keep  # [{}]\n", String::from_utf8_lossy(data).replace('\n', " "));
    let platform = Subdir::Linux64.to_string();
    let names = SelectorNames::new(platform.clone(), platform, Value::from(Dict::new()), Arc::new(Variant::empty()));
    drop(SelectableText::new(&line).select(&Evaluator::new(names)));
}
