//! What a recipe may ask for at most: the recipe crates read whatever they are given, to any depth and any number of
//! variants, so both are looked at before they are.

use rattler_build_types::NormalizedKey;
use rattler_build_variant_config::VariantConfig;
use saphyr_parser::{Event, Parser};

use super::errors::Place;
use crate::RecipeErrors;

/// How deep collections may nest: a list of lists of lists is one character a level, and reading it recurses.
const MAX_DEPTH: usize = 64;
/// How many keys and values a file may have.
const MAX_NODES: usize = 500_000;
/// How many variants the keys that a recipe names may multiply to.
const MAX_VARIANTS: usize = 200_000;

/// Looks at the shape of a file. What is no YAML is left to the reader, which knows what to say of it.
///
/// # Errors
/// Collections nested too deeply; too many values.
pub(super) fn shape(place: &Place) -> Result<(), RecipeErrors> {
    let (mut depth, mut nodes) = (0_usize, 0_usize);
    for event in Parser::new_from_str(&place.text) {
        let Ok((event, span)) = event else { return Ok(()) };
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => depth += 1,
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        nodes += 1;
        let message = if depth > MAX_DEPTH {
            format!("collections are nested more than {MAX_DEPTH} levels deep")
        } else if nodes > MAX_NODES {
            format!("the file has more than {MAX_NODES} values")
        } else {
            continue;
        };
        let (line, column) = (span.start.line(), span.start.col() + 1);
        return Err(place.error_at(line, column, message, None).into());
    }
    Ok(())
}

/// Looks at how many variants a recipe may have: the values of all keys that its text names, multiplied. Zipped keys
/// vary together.
///
/// # Errors
/// Too many variants.
pub(super) fn variants(recipe: &Place, config: &VariantConfig) -> Result<(), RecipeErrors> {
    let text = recipe.text.replace(['-', '.'], "_");
    let groups = config.zip_keys.as_deref().unwrap_or_default();
    // A compiler's key is not written out: its language is.
    let named = |key: &NormalizedKey| {
        let key = key.normalize();
        let bare = key.strip_suffix("_version").unwrap_or(&key);
        text.contains(&*key) || bare.ends_with("_compiler") || bare.ends_with("_stdlib")
    };
    let leads =
        |key: &NormalizedKey| groups.iter().find(|group| group.contains(key)).is_none_or(|group| group[0] == *key);
    let used = |key: &NormalizedKey| {
        let group = groups.iter().find(|group| group.contains(key));
        group.map_or_else(|| named(key), |group| group.iter().any(named))
    };
    let counts =
        config.variants.iter().filter(|(key, _)| leads(key) && used(key)).map(|(_, values)| values.len().max(1));
    let total = counts.fold(1_usize, usize::saturating_mul);
    if total > MAX_VARIANTS {
        let help = "zip keys that belong together with `zip_keys`, or give fewer values".to_owned();
        return Err(recipe
            .error(format!("the variant keys multiply to more than {MAX_VARIANTS} variants"), Some(help))
            .into());
    }
    Ok(())
}
