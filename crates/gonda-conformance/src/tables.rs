//! The tables beside the v0 recipes: line selectors, pin expressions, hashes and templates.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use gonda_recipe::{ConfigPlatform, Finalize, MemoryWorld, Output, RecipeErrors, Request, VariantFiles, load, v0};
use serde_json::{Map, Value, json};

use crate::Tree;
use crate::case::{Table, on_all_cores, single_values, table};
use crate::report::{Group, Verdict};

/// What the comment of `selectors.tsv` says that the variant holds.
const SELECTOR_VARIANT: &[(&str, &str)] = &[
    ("foo", "1.10"),
    ("num", "3"),
    ("zero", "0"),
    ("flag", "true"),
    ("flagno", "False"),
    ("word", "cuda"),
    ("empty", ""),
    ("go_compiler", "go-nocgo"),
    ("go_compiler_version", "1.25"),
    ("cuda_compiler_version", "None"),
    ("c_stdlib_version", "2.17"),
    ("channel_targets", "example main"),
];

/// One group for each table that is there.
pub(crate) fn groups(tree: &Tree<'_>) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    if !["selectors", "pins", "hashes", "templates"].iter().any(|name| tree.wants(name)) {
        return Ok(groups);
    }
    let folder = tree.folder.join("v0");
    if let Some(Table { head, rows }) = table(&folder.join("selectors.tsv"))?.filter(|_| tree.wants("selectors")) {
        let platforms: Vec<String> = head.into_iter().skip(2).collect();
        let cells: Vec<Selector> = rows.iter().flat_map(|row| selectors(row, &platforms)).collect();
        groups.push(Group::new("v0 selectors", on_all_cores(&cells, Selector::title, Selector::verdict)));
    }
    if let Some(Table { rows, .. }) = table(&folder.join("pins.tsv"))?.filter(|_| tree.wants("pins")) {
        let title = |row: &Vec<String>| format!("pin {}", row.join(" "));
        groups.push(Group::new("v0 pins", on_all_cores(&rows, title, |row| pin(row))));
    }
    if let Some(Table { rows, .. }) = table(&folder.join("hashes.tsv"))?.filter(|_| tree.wants("hashes")) {
        let title = |row: &Vec<String>| format!("hash {}", row.join(" "));
        groups.push(Group::new("v0 hashes", on_all_cores(&rows, title, |row| hash(row))));
    }
    if let Some(Table { rows, .. }) = table(&folder.join("templates.tsv"))?.filter(|_| tree.wants("templates")) {
        let cells: Vec<Template> = rows.iter().flat_map(|row| templates(row)).collect();
        groups.push(Group::new("v0 templates", on_all_cores(&cells, Template::title, Template::verdict)));
    }
    Ok(groups)
}

/// One selector on one platform.
struct Selector<'r> {
    expression: &'r str,
    build_platform: &'r str,
    platform: &'r str,
    expected: &'r str,
}

fn selectors<'r>(row: &'r [String], platforms: &'r [String]) -> impl Iterator<Item = Selector<'r>> {
    let cell = |index: usize| row.get(index).map_or("", String::as_str);
    platforms.iter().enumerate().map(move |(index, platform)| Selector {
        expression: cell(0),
        build_platform: if cell(1) == "native" { platform } else { cell(1) },
        platform,
        expected: cell(index + 2),
    })
}

impl Selector<'_> {
    fn title(&self) -> String {
        format!("selector `{}` {}", self.expression, self.platform)
    }

    fn verdict(&self) -> Result<Verdict> {
        let recipe = format!(
            "package:\n  name: x\n  version: \"1\"\nabout:\n  summary: drop\n  summary: keep  # [{}]\n",
            self.expression
        );
        let variant = single_values(SELECTOR_VARIANT);
        let actual = match render(&recipe, self.build_platform, self.platform, Finalize::No, variant)? {
            Ok(outputs) => {
                let summary = outputs.first().and_then(|output| output.sections.about.get("summary"));
                if summary == Some(&json!("keep")) { "True".to_owned() } else { "False".to_owned() }
            }
            Err(errors) => format!("ERROR {}", exception(&errors)),
        };
        Ok(Verdict::of(self.title(), &json!(self.expected), &json!(actual)))
    }
}

/// Which of conda-build's exceptions an error about a selector stands for.
fn exception(errors: &RecipeErrors) -> String {
    let message = errors.0.first().map_or("", |error| error.message.as_str());
    if message.contains("is no expression") {
        "CompilationException".to_owned()
    } else if message.contains("can't be used") {
        "ValidationException".to_owned()
    } else {
        message.rsplit_once('(').map_or(message, |(_, name)| name.trim_end_matches(')')).to_owned()
    }
}

/// One template, with one kind of undefined names.
struct Template<'r> {
    source: &'r str,
    strict: bool,
    expected: &'r str,
}

fn templates(row: &[String]) -> impl Iterator<Item = Template<'_>> {
    let cell = |index: usize| row.get(index).map_or("", String::as_str);
    [(true, cell(1)), (false, cell(2))]
        .map(|(strict, expected)| Template { source: cell(0), strict, expected })
        .into_iter()
}

impl Template<'_> {
    fn title(&self) -> String {
        format!("template `{}` {}", self.source, if self.strict { "strict" } else { "lenient" })
    }

    fn verdict(&self) -> Result<Verdict> {
        let Value::Object(names) = template_names() else { bail!("the names of templates are no mapping") };
        let actual = match v0::render_template(self.source, &names, self.strict) {
            Ok(text) => json!(text),
            // Of a failure only that it is one.
            Err(_) if self.expected.starts_with("ERROR") => json!(self.expected),
            Err((kind, message)) => json!(format!("ERROR {kind}: {message}")),
        };
        let expected = if self.expected.starts_with("ERROR") {
            json!(self.expected)
        } else {
            serde_json::from_str(self.expected)?
        };
        Ok(Verdict::of(self.title(), &expected, &actual))
    }
}

/// What the comment of `templates.tsv` says that templates may name.
fn template_names() -> Value {
    json!({
        "version": "1.10.2", "one": 1, "f": 2.5, "neg": -7, "empty": "", "tags": ["b", "A", "c"], "nums": [3, 1, 2, 10],
        "d": {"a": 1, "B": [1, 2], "c": "x"},
        "recs": [{"name": "n1", "v": 2}, {"name": "N0", "v": 1}, {"name": "n1", "v": 3}],
    })
}

fn pin(row: &[String]) -> Result<Verdict> {
    let [version, min_pin, max_pin, lower, upper, expected] = row else { bail!("{} columns, not 6", row.len()) };
    let actual = if lower.is_empty() && upper.is_empty() {
        let pin = |text: &str, default: &str| match text {
            "-" => Some(default.to_owned()),
            "None" => None,
            text => Some(text.to_owned()),
        };
        let (min_pin, max_pin) = (pin(min_pin, "x.x.x.x.x.x.x"), pin(max_pin, "x"));
        v0::apply_pin(version, min_pin.as_deref(), max_pin.as_deref()).ok()
    } else {
        bounded_pin(
            version,
            &[("lower_bound", lower), ("upper_bound", upper), ("min_pin", min_pin), ("max_pin", max_pin)],
        )?
    };
    let actual = match actual {
        // Of a failure only that it is one.
        None if expected.starts_with("ERROR") => expected.clone(),
        None => "ERROR".to_owned(),
        Some(pin) => pin,
    };
    Ok(Verdict::of(format!("pin {version} {min_pin} {max_pin} {lower} {upper}"), &json!(expected), &json!(actual)))
}

/// What `pin_compatible` with bounds makes of a host requirement of this version; `None` if it fails.
fn bounded_pin(version: &str, arguments: &[(&str, &String)]) -> Result<Option<String>> {
    let mut call = String::from("\"pkg\"");
    for (key, value) in arguments {
        match value.as_str() {
            "-" | "" => {}
            "None" => write!(call, ", {key}=None")?,
            value => write!(call, ", {key}=\"{value}\"")?,
        }
    }
    let recipe = format!(
        "package:\n  name: x\n  version: \"1\"\nrequirements:\n  host:\n    - pkg {version} build\n  run:\n    - {{{{ pin_compatible({call}) }}}}\n"
    );
    let outputs = render(&recipe, "linux-64", "linux-64", Finalize::NoSolve, Map::new())?.ok();
    let run = outputs.and_then(|outputs| outputs.into_iter().next()?.requirements.run.into_iter().next());
    Ok(run.map(|pin| pin.trim_start_matches("pkg").trim().to_owned()))
}

fn hash(row: &[String]) -> Result<Verdict> {
    let contents = row.first().map_or("", String::as_str);
    let expected = row.get(1).map_or("", String::as_str);
    let map: BTreeMap<String, Value> = serde_json::from_str(contents)?;
    let actual = v0::hash(&map).unwrap_or_default();
    Ok(Verdict::of(format!("hash {contents}"), &json!(expected), &json!(actual)))
}

/// Renders a recipe that is given as text, all its skipped outputs too.
fn render(
    recipe: &str,
    build_platform: &str,
    target_platform: &str,
    finalize: Finalize,
    variant: Map<String, Value>,
) -> Result<Result<Vec<Output>, RecipeErrors>> {
    let (recipe_file, variant_file) = (PathBuf::from("recipe/meta.yaml"), PathBuf::from("variant.yaml"));
    let mut environ = crate::v0::environ(build_platform);
    environ.retain(|name, _| !["PATH", "HOME", "CONDA_BLD_PATH"].contains(&name.as_str()));
    let world = MemoryWorld {
        files: BTreeMap::from([
            (recipe_file.clone(), recipe.as_bytes().to_vec()),
            (variant_file.clone(), Value::Object(variant).to_string().into_bytes()),
        ]),
        environ,
    };
    let request = Request {
        recipe: recipe_file,
        build_platform: build_platform.parse()?,
        target_platform: target_platform.parse()?,
        variants: VariantFiles { additional: vec![variant_file], ..VariantFiles::default() },
        config_platform: ConfigPlatform::Build,
        finalize,
        trim_skip: false,
    };
    Ok(load(&request, &world).map(|rendering| rendering.outputs))
}
