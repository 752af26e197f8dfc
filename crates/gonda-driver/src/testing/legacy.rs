//! conda-build's tests: `info/test/run_test.{py,pl,lua,r,sh,bat}`, run in that order in one environment.

use std::path::Path;

use rattler_conda_types::Subdir;
use serde_json::Value;

use super::{ScriptKind, Step, StepText, Subject, Test, TestPlan, json};
use crate::{Error, Kind, Result};

/// conda-build's order; and what a script of a language adds to the environment.
const SCRIPTS: [(&str, ScriptKind, Option<&str>); 6] = [
    ("run_test.py", ScriptKind::Python, Some("python")),
    ("run_test.pl", ScriptKind::Perl, Some("perl")),
    ("run_test.lua", ScriptKind::Lua, Some("lua")),
    ("run_test.r", ScriptKind::R, Some("r-base")),
    ("run_test.sh", ScriptKind::Bash, None),
    ("run_test.bat", ScriptKind::Cmd, None),
];

/// The tests for programs of `platform`; packages without a platform carry the shell scripts of all.
///
/// # Errors
/// `test_time_dependencies.json` is not a list of texts.
pub(super) fn read(package: &Path, subject: &Subject, platform: Subdir) -> Result<Vec<Test>> {
    let folder = package.join("info/test");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let list = folder.join("test_time_dependencies.json");
    let asked: Vec<String> = match json(&list)? {
        None => Vec::new(),
        Some(value @ Value::Array(_)) => serde_json::from_value(value).map_err(|error| wrong(&list, error))?,
        Some(_) => return Err(wrong(&list, "it is no list")),
    };
    let there: Vec<_> = SCRIPTS.iter().filter(|(name, ..)| folder.join(name).is_file()).collect();
    let other_shell = if platform.is_windows() { ScriptKind::Bash } else { ScriptKind::Cmd };
    let usable: Vec<_> = there.iter().filter(|(_, kind, _)| *kind != other_shell).collect();
    if usable.is_empty() {
        let unusable = |name: &str| Test::Unusable {
            name: (*name).to_owned(),
            reason: format!("there is no shell for it on {platform}"),
            broken: false,
        };
        return Ok(there.iter().map(|(name, ..)| unusable(name)).collect());
    }

    let mut requirements = vec![subject.spec()];
    requirements.extend(asked);
    for language in usable.iter().filter_map(|(.., language)| *language) {
        let named = |spec: &String| spec.split([' ', '=', '<', '>', '!', '~']).next() == Some(language);
        if !requirements.iter().any(named) {
            requirements.push(language.to_owned());
        }
    }
    let recipe = package.join("info/recipe");
    Ok(vec![Test::Run(Box::new(TestPlan {
        name: "info/test".to_owned(),
        requirements,
        steps: usable
            .iter()
            .map(|(name, kind, _)| Step {
                name: (*name).to_owned(),
                kind: *kind,
                text: StepText::File((*name).to_owned()),
            })
            .collect(),
        files: Some(folder),
        recipe_dir: recipe.is_dir().then_some(recipe),
        ..TestPlan::default()
    }))])
}

fn wrong(file: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Verification, format!("`{}` is no list of requirements", file.display())).because(cause)
}
