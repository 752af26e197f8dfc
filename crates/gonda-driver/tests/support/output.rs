//! An output to change in a test.

use gonda_recipe::{
    About, Build, LegacyTest, Output, RecipeFormat, Requirements, Script, ScriptContent, Sections, Tests,
};
use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use rattler_conda_types::package::RunExportsJson;

/// `hello 1.0` for linux-64, built on linux-64.
pub(crate) fn output(format: RecipeFormat, scripts: Vec<Script>) -> Output {
    Output {
        format,
        name: "hello".to_owned(),
        version: "1.0".to_owned(),
        build_string: "h1111111_0".to_owned(),
        build_number: 0,
        noarch: None,
        skip: false,
        target_platform: Subdir::Linux64,
        unknown_platform: None,
        build_platform: Subdir::Linux64,
        requirements: Requirements::default(),
        depends: Vec::new(),
        constrains: Vec::new(),
        run_exports: RunExportsJson::default(),
        sources: Vec::new(),
        build: Build { scripts, ..Build::default() },
        tests: Tests::Legacy(LegacyTest::default()),
        about: About::default(),
        sections: Sections::default(),
        variant: [("target_platform".to_owned(), "linux-64".into())].into_iter().collect(),
        used_vars: std::collections::BTreeSet::default(),
        hash_contents: std::collections::BTreeMap::default(),
        hash: Some("h1111111".to_owned()),
        parent: None,
        rendered_recipe: String::new(),
    }
}

/// A script without anything special.
pub(crate) fn script(content: ScriptContent) -> Script {
    Script { content, interpreter: None, env: IndexMap::new(), secrets: Vec::new(), cwd: None }
}

/// Inline lines.
pub(crate) fn lines(lines: &[&str]) -> Script {
    script(ScriptContent::Lines(lines.iter().map(|line| (*line).to_owned()).collect()))
}
