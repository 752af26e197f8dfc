//! What the fuzz bodies of both formats share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rattler_conda_types::Subdir;

use crate::{ConfigPlatform, Env, Finalize, MemoryWorld, Request, Resolved, VariantFiles, load};

/// Renders a recipe with a variant file beside it, each given as path and content, as far as that goes without a solver.
pub(crate) fn render(recipe: (&str, &[u8]), variants: (&str, &[u8]), finalize: Finalize) {
    let world = MemoryWorld {
        files: BTreeMap::from([recipe, variants].map(|(path, content)| (PathBuf::from(path), content.to_vec()))),
        environ: BTreeMap::new(),
    };
    let request = Request {
        recipe: PathBuf::from(recipe.0),
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
