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

/// How many operators an expression may have: those that nest and those that stand in a row are read by recursion.
const MAX_OPERATORS: usize = 200;
/// How long the text of a context variable may become.
const MAX_CONTEXT: usize = 1_000_000;

/// Looks at the shape of a file. What is no YAML is left to the reader, which knows what to say of it.
///
/// # Errors
/// Collections nested too deeply; too many values; an expression of too many operators; a context that would grow
/// without end.
pub(super) fn shape(place: &Place) -> Result<(), RecipeErrors> {
    let mut open: Vec<Collection> = Vec::new();
    let mut context: Vec<(String, usize)> = Vec::new();
    let mut nodes = 0_usize;
    for event in Parser::new_from_str(&place.text) {
        let Ok((event, span)) = event else { return Ok(()) };
        nodes += 1;
        let mut message = (nodes > MAX_NODES).then(|| format!("the file has more than {MAX_NODES} values"));
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                open.push(Collection { is_mapping: matches!(event, Event::MappingStart(..)), key: None });
                if open.len() > MAX_DEPTH {
                    message = Some(format!("collections are nested more than {MAX_DEPTH} levels deep"));
                }
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                value_ends(&mut open);
            }
            Event::Alias(_) => value_ends(&mut open),
            Event::Scalar(text, ..) => match open.last_mut() {
                Some(Collection { is_mapping: true, key: key @ None }) => *key = Some(text.into_owned()),
                _ => {
                    let key = open.iter().rev().find(|collection| collection.is_mapping);
                    let key = key.and_then(|collection| collection.key.clone()).unwrap_or_default();
                    if has_long_expression(&text, matches!(key.as_str(), "if" | "skip")) {
                        message = Some(format!("an expression has more than {MAX_OPERATORS} operators"));
                    }
                    if open.len() == 2 && open[0].key.as_deref() == Some("context") {
                        let length = expanded_length(&text, &context);
                        if length > MAX_CONTEXT {
                            message = Some(format!("`{key}` may grow to more than {MAX_CONTEXT} characters"));
                        }
                        context.push((key, length));
                    }
                    value_ends(&mut open);
                }
            },
            _ => {}
        }
        if let Some(message) = message {
            return Err(place.error_at(span.start.line(), span.start.col() + 1, message, None).into());
        }
    }
    Ok(())
}

/// A collection that is being read.
struct Collection {
    is_mapping: bool,
    /// Of a mapping, the key whose value comes next.
    key: Option<String>,
}

fn value_ends(open: &mut [Collection]) {
    if let Some(collection) = open.last_mut() {
        collection.key = None;
    }
}

fn has_long_expression(text: &str, is_condition: bool) -> bool {
    let is_long = |expression: &str| {
        let signs = expression.bytes().filter(|byte| b"+-*/%~|.[(<>=!".contains(byte)).count();
        let words =
            expression.split_whitespace().filter(|word| matches!(*word, "and" | "or" | "not" | "if" | "is" | "in"));
        signs + words.count() > MAX_OPERATORS
    };
    let templates = text.split("${{").skip(1).map(|rest| rest.split("}}").next().unwrap_or(rest));
    (is_condition && is_long(text)) || templates.into_iter().any(is_long)
}

/// How long a context variable may become at most, those before it put in wherever they are named.
fn expanded_length(text: &str, before: &[(String, usize)]) -> usize {
    let words = text.split(|c: char| !(c == '_' || c.is_alphanumeric()));
    let named: Vec<usize> =
        words.filter_map(|word| before.iter().rev().find(|(key, _)| key == word)).map(|(_, length)| *length).collect();
    let sum = named.iter().fold(text.len(), |sum, length| sum.saturating_add(*length));
    // A filter may put one text in at every place of another.
    let filters = text.matches("replace").count() + text.matches("join").count();
    (0..filters).fold(sum, |length, _| length.saturating_mul(sum))
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
