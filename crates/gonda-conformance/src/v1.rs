//! `recipe.yaml` recipes, held against rattler-build.

use anyhow::{Context, Result};
use gonda_recipe::{DiskWorld, Finalize, Output, RecipeErrors, load};
use serde_json::{Value, json};

use crate::Tree;
use crate::case::{Case, cases, on_all_cores, read_json};
use crate::compare::{Place, places, tell};
use crate::report::{Difference, Group, Verdict};

/// A difference that is meant to be: the recipe crates' present releases stand on a minijinja that writes booleans as
/// Jinja2 does (since its 2.22), the set's rattler-build had an older one; rattler-build's own next release does as
/// ours. It shows only where an expression's boolean is written out into text.
const BOOLEANS_IN_TEXT: &str =
    "booleans in text are `True` and `False`, as in Jinja2 and the recipe crates' present releases";

/// One group.
pub(crate) fn groups(tree: &Tree<'_>) -> Result<Vec<Group>> {
    let cases = cases(tree, "v1")?;
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Group::new("v1", on_all_cores(&cases, Case::title, verdict))])
}

fn verdict(case: &Case) -> Result<Verdict> {
    let rendered = render(case, false)?;
    let mut comparison = Comparison::default();
    match (case.expected["outputs"].as_array(), rendered) {
        (None, Err(errors)) => {
            comparison.total = 1;
            comparison.equal = 1;
            for error in &errors.0 {
                let ends_as_sentence = error.message.ends_with('.') && !error.message.ends_with(" .");
                if error.message.is_empty() || ends_as_sentence || error.line == Some(0) {
                    comparison.equal = 0;
                    comparison.text.push_str(&format!("an error against our style: {error:?}\n"));
                }
            }
        }
        (None, Ok(outputs)) => {
            comparison.total = 1;
            comparison.text = format!("{} outputs, expected {}\n", outputs.len(), case.expected["error"]["message"]);
        }
        (Some(theirs), Err(errors)) => {
            comparison.total = theirs.len().max(1);
            comparison.text = format!("fails: {errors}\n");
        }
        (Some(theirs), Ok(ours)) => {
            comparison.total = theirs.len().max(ours.len()).max(1);
            if theirs.is_empty() && ours.is_empty() {
                comparison.equal = 1;
            }
            if theirs.len() != ours.len() {
                comparison.text = format!("{} outputs, expected {}\n", ours.len(), theirs.len());
            }
            for (ours, theirs) in ours.iter().zip(theirs) {
                let ours = summary(ours)?;
                comparison.output(&in_our_words(theirs.clone(), &ours)?, &ours);
            }
        }
    }
    let not_skipped = case.folder.join("expected/not-skipped.json");
    if not_skipped.is_file() {
        comparison.not_skipped(case, &read_json(&not_skipped)?[&case.platform])?;
    }
    let Comparison { equal, total, text, only_booleans } = comparison;
    let difference = (equal < total).then(|| Difference {
        case: case.title(),
        excuse: (text.is_empty() && only_booleans).then_some(BOOLEANS_IN_TEXT),
        text,
    });
    Ok(Verdict { equal, total, difference })
}

/// The outputs of a case that were held against each other so far.
#[derive(Default)]
struct Comparison {
    equal: usize,
    total: usize,
    /// What differs and should not.
    text: String,
    /// Whether some output differs in how booleans are written alone.
    only_booleans: bool,
}

impl Comparison {
    fn output(&mut self, theirs: &Value, ours: &Value) {
        let mut places = places(theirs, ours);
        let before = places.len();
        places.retain(|place| !is_boolean_in_text(place));
        if before == 0 {
            self.equal += 1;
        } else if places.is_empty() {
            self.only_booleans = true;
        }
        let name = ours["name"].as_str().unwrap_or_default();
        for line in tell(&places).lines() {
            self.text.push_str(&format!("{name}{line}\n"));
        }
    }

    /// Which outputs remain once those that are skipped are left out.
    fn not_skipped(&mut self, case: &Case, theirs: &Value) -> Result<()> {
        self.total += 1;
        let mut ours: Vec<Value> = match render(case, true)? {
            Ok(outputs) => {
                outputs.iter().map(|output| json!([output.name, output.version, output.build_string])).collect()
            }
            Err(errors) => {
                self.text.push_str(&format!("fails: {errors}\n"));
                return Ok(());
            }
        };
        ours.sort_by_key(Value::to_string);
        let ours = Value::from(ours);
        let places = places(theirs, &ours);
        if places.is_empty() {
            self.equal += 1;
        }
        self.text.push_str(&tell(&places));
        Ok(())
    }
}

fn render(case: &Case, trim_skip: bool) -> Result<Result<Vec<Output>, RecipeErrors>> {
    let request = case.request("recipe.yaml", Finalize::No, trim_skip)?;
    Ok(load(&request, &DiskWorld::default()).map(|rendering| rendering.outputs))
}

fn is_boolean_in_text(place: &Place<'_>) -> bool {
    let (Some(Value::String(theirs)), Some(Value::String(ours))) = (place.expected, place.actual) else { return false };
    place.path.starts_with("/recipe/") && ours.replace("True", "true").replace("False", "false") == *theirs
}

/// What the set tells of an output, told of ours.
fn summary(output: &Output) -> Result<Value> {
    let rendered: Value = serde_yaml::from_str(&output.rendered_recipe)?;
    let mut recipe = rendered["recipe"].as_object().cloned().context("the rendered recipe is no mapping")?;
    recipe.shift_remove("schema_version");
    Ok(json!({
        "name": output.name,
        "version": output.version,
        "build_string": output.build_string,
        "build_number": output.build_number,
        "hash": output.hash,
        "prefix": rendered["build_configuration"]["hash"].get("prefix").cloned().unwrap_or_else(|| json!("")),
        "variant": output.hash_contents,
        "subpackages": rendered["build_configuration"]["subpackages"],
        "recipe": recipe,
    }))
}

/// The set's output in the same words.
fn in_our_words(mut output: Value, ours: &Value) -> Result<Value> {
    let map = output.as_object_mut().context("an output that is no mapping")?;
    for (key, default) in [("build_number", json!(0)), ("prefix", json!(""))] {
        if map.get(key).is_none_or(Value::is_null) {
            map.insert(key.to_owned(), default);
        }
    }
    // The set has exact pins alone; ours tells of all that are pinned, and of the output itself.
    let mut subpackages = ours["subpackages"].clone();
    if let Some(Value::Object(pins)) = map.shift_remove("pin_subpackages") {
        for (name, pin) in pins {
            // Without a build string it is a pin on the output itself.
            let own = map.get("build_string").cloned().unwrap_or_default();
            let build = if pin["build_string"].is_null() { own } else { pin["build_string"].clone() };
            subpackages[&name] = json!({"name": name, "version": pin["version"], "build_string": build});
        }
    }
    map.insert("subpackages".to_owned(), subpackages);
    Ok(output)
}
