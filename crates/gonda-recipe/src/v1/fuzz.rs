//! What fuzzing drives: any bytes in, no panic, and an end in bounded time. See [`v0::fuzz`](crate::v0::fuzz).

use crate::{Finalize, fuzz};

fn render(recipe: &[u8], variants: &[u8]) {
    fuzz::render(("recipe/recipe.yaml", recipe), ("recipe/variants.yaml", variants), Finalize::No);
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
