//! `tests` as entries of `info/tests/tests.yaml` (CEP 14), the way rattler-build writes them: the text of script
//! files put in, `${{ }}` rendered, pins resolved, and `cwd` naming the folder that the test's files are packed in.

use std::path::PathBuf;

use rattler_build_recipe::stage1::TestType;
use rattler_build_recipe::stage1::requirements::Dependency;
use rattler_build_recipe::stage1::tests::CommandsTest;
use rattler_build_recipe::variant_render::RenderedVariant;
use rattler_build_script::{Script, ScriptContent, determine_interpreter_from_path};
use rattler_conda_types::{MatchSpec, PackageNameMatcher};

use super::errors::{Place, tidy};
use super::{Rendered, convert, dependencies, find_script};
use crate::{FileMatch, PackageTest, RecipeErrors, Resolved, World};

/// The entries as the recipe has them.
///
/// # Errors
/// None that a recipe can cause.
pub(super) fn as_rendered(state: &Rendered, variant: &RenderedVariant) -> Result<Vec<PackageTest>, RecipeErrors> {
    variant.recipe.tests.iter().map(|test| entry(state, test)).collect()
}

/// The entries as they are packed. A script test that comes down to nothing is left out.
///
/// # Errors
/// A script file that is not there, or text that can't be rendered.
pub(super) fn resolved(
    state: &Rendered,
    variant: &RenderedVariant,
    resolved: &Resolved,
    world: &dyn World,
) -> Result<Vec<PackageTest>, RecipeErrors> {
    let name = variant.recipe.package.name.as_normalized();
    let mut entries = Vec::new();
    // Content checks are not packed and don't count for the folders' numbers.
    let mut index = 0;
    for test in &variant.recipe.tests {
        let mut test = test.clone();
        if let TestType::Commands(commands) = &mut test {
            for list in [&mut commands.requirements.run, &mut commands.requirements.build] {
                for dependency in list {
                    *dependency = concrete(state, variant, dependency, resolved);
                }
            }
            commands.script.content = content(state, variant, &mut commands.script, world)?;
            if !commands.files.is_empty() {
                commands.script.cwd = Some(PathBuf::from(format!("etc/conda/test-files/{name}/{index}")));
            }
            if says_nothing(commands) {
                index += 1;
                continue;
            }
        }
        if !matches!(test, TestType::PackageContents { .. }) {
            index += 1;
        }
        entries.push(entry(state, &test)?);
    }
    Ok(entries)
}

fn entry(state: &Rendered, test: &TestType) -> Result<PackageTest, RecipeErrors> {
    let files = |pick: fn(&CommandsTest) -> FileMatch| match test {
        TestType::Commands(commands) => pick(commands),
        _ => FileMatch::default(),
    };
    Ok(PackageTest {
        spec: convert::json(state, test)?,
        source_files: files(|commands| convert::file_match(&commands.files.source)),
        recipe_files: files(|commands| convert::file_match(&commands.files.recipe)),
    })
}

/// A test's requirement; a pin that can't be resolved here becomes the bare name.
fn concrete(state: &Rendered, variant: &RenderedVariant, dependency: &Dependency, resolved: &Resolved) -> Dependency {
    let spec = match (dependency, dependency.name()) {
        (Dependency::PinSubpackage(_), Some(name)) => dependencies::resolve(state, variant, dependency, resolved, &[])
            .map_or_else(|_| bare(name), |info| info.spec),
        (Dependency::PinCompatible(_), Some(name)) => bare(name),
        _ => return dependency.clone(),
    };
    Dependency::Spec(Box::new(spec))
}

fn bare(name: &rattler_conda_types::PackageName) -> MatchSpec {
    MatchSpec { name: PackageNameMatcher::Exact(name.clone()), ..MatchSpec::default() }
}

/// The text of a script. Files go in as they are, and choose the interpreter where none is named; inline text is
/// rendered, each command for itself.
fn content(
    state: &Rendered,
    variant: &RenderedVariant,
    script: &mut Script,
    world: &dyn World,
) -> Result<ScriptContent, RecipeErrors> {
    let folder = state.recipe_dir();
    let platform = state.target_platform(variant);
    let find = |name: &std::path::Path| find_script(folder, name, platform, world);
    let jinja = state.script_jinja(variant);
    let render = |text: &str| -> Result<String, RecipeErrors> {
        jinja.render_str(text).map_err(|error| {
            let message = format!("the test script `{text}` can't be rendered: {}", tidy(&error.to_string()));
            let line = text.lines().next().unwrap_or_default();
            state.place.error_near(&[line], message, None).into()
        })
    };
    let file = match &script.content {
        ScriptContent::Commands(lines) => {
            return Ok(ScriptContent::Commands(lines.iter().map(|line| render(line)).collect::<Result<_, _>>()?));
        }
        ScriptContent::Command(text) => return Ok(ScriptContent::Command(render(text)?)),
        ScriptContent::CommandOrPath(text) => {
            let file = if text.contains('\n') { None } else { find(text.as_ref()) };
            match file {
                Some(file) => file,
                None => return Ok(ScriptContent::Command(render(text)?)),
            }
        }
        ScriptContent::Path(path) => find(path).ok_or_else(|| {
            let name = path.display().to_string();
            let message = format!("the test script `{name}` is not in the recipe folder");
            state.place.error_near(&[&name], message, None)
        })?,
        ScriptContent::Default => match find("build".as_ref()) {
            Some(file) => file,
            None => return Ok(ScriptContent::Command(String::new())),
        },
    };
    if script.interpreter.is_none() {
        script.interpreter = determine_interpreter_from_path(&file);
    }
    Ok(ScriptContent::Command(Place::read(&folder.join(&file), world)?.text))
}

/// No text, no requirements, no files: all of it was left out by conditions.
fn says_nothing(test: &CommandsTest) -> bool {
    let empty = match &test.script.content {
        ScriptContent::Command(text) => text.is_empty(),
        ScriptContent::Commands(lines) => lines.is_empty(),
        _ => false,
    };
    empty && test.requirements.is_empty() && test.files.is_empty()
}
