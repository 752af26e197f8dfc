//! Each kind of recipe mistake with its message, place and help, in both formats. The recipes are those of
//! `mistakes/v0.txt` and `mistakes/v1.txt` and the `bad-` cases of the conformance set; what is said of them stands in
//! `mistakes/said.txt`, and `UPDATE_SNAPSHOTS=1` writes what is said now.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gonda_recipe::{
    ConfigPlatform, DiskWorld, Env, Finalize, MemoryWorld, Output, RecipeErrors, Rendering, Request, Resolved,
    VariantFiles, World, load,
};

#[test]
fn mistakes_are_told_with_place_and_help() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut said = String::new();
    for (format, file, variants) in
        [("v0", "meta.yaml", "conda_build_config.yaml"), ("v1", "recipe.yaml", "variants.yaml")]
    {
        for (name, recipe, config) in fixtures(&std::fs::read_to_string(here.join(format!("{format}.txt"))).unwrap()) {
            writeln!(said, "# {format} {name}").unwrap();
            let mut files = BTreeMap::from([(Path::new("recipe").join(file), recipe.into_bytes())]);
            if let Some(config) = config {
                files.insert(Path::new("recipe").join(variants), config.into_bytes());
            }
            let world = MemoryWorld { files, environ: BTreeMap::new() };
            let request = request(Path::new("recipe").join(file), None, Finalize::NoSolve);
            tell(&mut said, Path::new(""), render(&request, &world));
        }
        for case in bad_cases(format) {
            let info = std::fs::read_to_string(case.join("case.json")).unwrap_or_else(|_| "{}".to_owned());
            let info: serde_json::Value = serde_json::from_str(&info).unwrap();
            let finalize = match info["mode"].as_str() {
                Some("bypass") => Finalize::Bypass,
                Some("nosolve") => Finalize::NoSolve,
                _ => Finalize::No,
            };
            writeln!(said, "# {format} {}", case.file_name().unwrap().to_string_lossy()).unwrap();
            let variant = case.join("variant.yaml");
            let folder = if format == "v0" { case.join("recipe") } else { case.clone() };
            let request = request(folder.join(file), variant.is_file().then_some(variant), finalize);
            tell(&mut said, &case, render(&request, &DiskWorld::default()));
        }
    }
    let snapshot = here.join("said.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&snapshot, &said).unwrap();
    }
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default().replace("\r\n", "\n");
    assert!(said == expected, "what mistakes say has changed; UPDATE_SNAPSHOTS=1 takes it:\n{said}");
}

/// Name, recipe and variant file of each fixture: `=== name`, the recipe, and perhaps `--- variants` and these.
fn fixtures(text: &str) -> Vec<(String, String, Option<String>)> {
    let text = text.replace("\r\n", "\n");
    let fixture = |text: &str| {
        let (name, text) = text.split_once('\n').unwrap();
        let (recipe, config) = match text.split_once("--- variants\n") {
            Some((recipe, config)) => (recipe, Some(config.to_owned())),
            None => (text, None),
        };
        (name.to_owned(), recipe.to_owned(), config)
    };
    text.split("=== ").skip(1).map(fixture).collect()
}

fn bad_cases(format: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance").join(format);
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("bad-")).collect();
    cases.sort();
    cases
}

fn request(recipe: PathBuf, variant: Option<PathBuf>, finalize: Finalize) -> Request {
    Request {
        recipe,
        build_platform: "linux-64".parse().unwrap(),
        target_platform: "linux-64".parse().unwrap(),
        variants: VariantFiles { additional: variant.into_iter().collect(), ..VariantFiles::default() },
        config_platform: ConfigPlatform::Target,
        finalize,
        trim_skip: true,
    }
}

/// Renders, and where that works finalises with environments that hold nothing: v1 resolves its pins only there.
fn render(request: &Request, world: &dyn World) -> Result<Rendering, RecipeErrors> {
    let rendering = load(request, world)?;
    if request.recipe.ends_with("recipe.yaml") && !rendering.outputs.is_empty() {
        rendering.specs(0, Env::Host, &Resolved::default(), world)?;
        rendering.finalize(0, &Resolved::default(), world)?;
    }
    Ok(rendering)
}

fn tell(said: &mut String, folder: &Path, result: Result<Rendering, RecipeErrors>) {
    let errors = match result {
        Ok(rendering) => {
            let names: Vec<String> = rendering.outputs.iter().map(Output::filename).collect();
            writeln!(said, "renders: {}", names.join(" ")).unwrap();
            rendering.warnings
        }
        Err(errors) => errors.0,
    };
    for error in errors {
        let place = error.file.strip_prefix(folder).unwrap_or(&error.file).to_string_lossy().replace('\\', "/");
        let at = |number: Option<usize>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        writeln!(said, "{place}:{}:{}: {}", at(error.line), at(error.column), error.message).unwrap();
        if let Some(text) = &error.text {
            writeln!(said, "    | {text}").unwrap();
        }
        if let Some(help) = &error.help {
            writeln!(said, "    help: {help}").unwrap();
        }
    }
}
