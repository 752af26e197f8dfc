//! What fuzzing drives: any bytes in, no panic, and an end in bounded time. See [`v0::fuzz`](crate::v0::fuzz).

use std::collections::BTreeMap;
use std::path::PathBuf;

use rattler_conda_types::Subdir;

use crate::{ConfigPlatform, Env, Finalize, MemoryWorld, Request, Resolved, VariantFiles, load};

fn render(recipe: &[u8], variants: &[u8]) {
    let file = PathBuf::from("recipe/recipe.yaml");
    let world = MemoryWorld {
        files: BTreeMap::from([
            (file.clone(), recipe.to_vec()),
            (PathBuf::from("recipe/variants.yaml"), variants.to_vec()),
        ]),
        environ: BTreeMap::new(),
    };
    let request = Request {
        recipe: file,
        build_platform: Subdir::Linux64,
        target_platform: Subdir::Linux64,
        variants: VariantFiles::default(),
        config_platform: ConfigPlatform::Target,
        finalize: Finalize::No,
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

/// A `recipe.yaml`.
pub fn recipe(data: &[u8]) {
    render(data, b"foo:\n  - 1\n  - 2\n");
}

/// A `variants.yaml` beside a recipe that uses some keys.
pub fn variant_file(data: &[u8]) {
    let recipe = b"package:\n  name: x\n  version: '1'\nrequirements:\n  build:\n    - ${{ compiler('c') }}\n  host:\n    - foo\n    - python\n  run:\n    - python\n";
    render(recipe, data);
}
