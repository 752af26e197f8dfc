//! The tests that travel with a package: `info/test/` (conda-build's create_test.py) and `info/tests/` (CEP 14).

use gonda_packager::Entry;
use gonda_recipe::{FileMatch, LegacyTest, Output, Tests};
use serde_json::{Value, json};

use super::files::{self, Found};
use super::{Facts, Tree, json as text};
use crate::stage::{Glob, Language, Matcher};
use crate::{Error, Kind, Result};

pub(super) fn add_v0(facts: &Facts<'_>, tree: &mut Tree) -> Result<()> {
    let Tests::Legacy(test) = &facts.output.tests else { return Ok(()) };
    if !test.requires.is_empty() {
        tree.bytes("test/test_time_dependencies.json", text::line(&json!(test.requires)));
    }
    test_files(facts, test, tree)?;
    source_files(facts, test, tree)?;
    for language in &LANGUAGES {
        if let Some(script) = language_script(facts, test, language)? {
            tree.bytes(format!("test/run_test{}", language.extension), script);
        }
    }
    let windows = facts.output.target_platform.is_windows();
    // noarch packages are tested anywhere.
    let shells = if facts.output.noarch.is_some() { vec![false, true] } else { vec![windows] };
    for windows in shells {
        if let Some(script) = shell_script(facts, test, windows)? {
            tree.bytes(if windows { "test/run_test.bat" } else { "test/run_test.sh" }, script);
        }
    }
    Ok(())
}

/// `test/files`: globs in the recipe folder, at any depth. One that matches nothing is none, as in conda-build.
fn test_files(facts: &Facts<'_>, test: &LegacyTest, tree: &mut Tree) -> Result<()> {
    if test.files.is_empty() {
        return Ok(());
    }
    let all = files::all(facts.recipe_dir)?;
    for pattern in &test.files {
        let pattern = pattern.trim_start_matches("./");
        for glob in [Glob::new(pattern, Language::Glob)?, Glob::new(&format!("**/{pattern}"), Language::Glob)?] {
            for file in files::matching(&all, &glob) {
                tree.copy(format!("test/{}", file.path), file);
            }
        }
    }
    Ok(())
}

/// `test/source_files`: globs in the source; each must match.
fn source_files(facts: &Facts<'_>, test: &LegacyTest, tree: &mut Tree) -> Result<()> {
    if test.source_files.is_empty() {
        return Ok(());
    }
    let all = files::all(facts.work_dir)?;
    for pattern in &test.source_files {
        let glob = Glob::new(pattern, Language::Glob)?;
        let mut matched = files::matching(&all, &glob).peekable();
        if matched.peek().is_none() {
            let message = format!(
                "`test/source_files` of `{}`: `{pattern}` matches nothing in the source",
                facts.output.name
            );
            return Err(Error::new(Kind::Usage, message).help("correct the glob, or remove it"));
        }
        for file in matched.filter(|file| !file.path.ends_with(".pyc") && !file.path.ends_with(".pyo")) {
            tree.copy(format!("test/{}", file.path), file);
        }
    }
    Ok(())
}

/// The recipe's own script with this extension: `run_test.*`; an output of several has only what `test/script` names.
fn own_script(facts: &Facts<'_>, test: &LegacyTest, extension: &str) -> Option<(String, Found)> {
    let name = if facts.output.parent.is_some() {
        test.script.as_ref().filter(|name| name.to_lowercase().ends_with(extension))?.clone()
    } else {
        format!("run_test{extension}")
    };
    let file = files::one(name.clone(), &facts.recipe_dir.join(&name))?;
    Some((name, file))
}

/// `run_test.sh` or `.bat`: the recipe's, and the commands after it.
fn shell_script(facts: &Facts<'_>, test: &LegacyTest, windows: bool) -> Result<Option<String>> {
    let own = own_script(facts, test, if windows { ".bat" } else { ".sh" });
    if own.is_none() && test.commands.is_empty() {
        return Ok(None);
    }
    let mut script = match own {
        Some((_, file)) => files::text(&file.source)?,
        None => String::new(),
    };
    if !test.commands.is_empty() {
        let mut lines = String::from("\n\n");
        lines.push_str(if windows { "@echo on" } else { "set -ex\n\n" });
        lines.push_str("\n\n");
        for command in &test.commands {
            lines.push_str(command);
            lines.push('\n');
            if windows {
                lines.push_str("IF %ERRORLEVEL% NEQ 0 exit /B 1\n");
            }
        }
        lines.push_str(if windows { "exit /B 0\n" } else { "exit 0\n" });
        // cmd.exe misreads labels in files with bare line feeds.
        script.push_str(&if windows { lines.replace('\n', "\r\n") } else { lines });
    }
    Ok(Some(script))
}

/// A language that conda-build writes test scripts for.
struct ScriptLanguage {
    extension: &'static str,
    /// Packages of this name's beginning have imports of this language.
    prefix: &'static str,
    /// The name in `imports: [{lang: …}]`.
    name: &'static str,
    /// One import.
    import: fn(&str) -> String,
}

const LANGUAGES: [ScriptLanguage; 4] = [
    ScriptLanguage {
        extension: ".py",
        prefix: "",
        name: "python",
        import: |name| format!("print(\"import: '{name}'\")\nimport {name}\n\n"),
    },
    ScriptLanguage {
        extension: ".pl",
        prefix: "perl-",
        name: "perl",
        import: |name| format!("print(\"import: {name}\\n\");\nuse {name};\n\n"),
    },
    ScriptLanguage {
        extension: ".r",
        prefix: "r-",
        name: "r",
        import: |name| format!("print(\"library('{name}')\")\nlibrary('{name}')\n\n"),
    },
    ScriptLanguage {
        extension: ".lua",
        prefix: "lua-",
        name: "lua",
        import: |name| format!("print(\"require \\\"{name}\\\"\\n\");\nrequire \"{name}\"\n"),
    },
];

/// `run_test.py` and its like: the recipe's between two lines that say what runs, then the imports.
fn language_script(facts: &Facts<'_>, test: &LegacyTest, language: &ScriptLanguage) -> Result<Option<String>> {
    let output = facts.output;
    let own = own_script(facts, test, language.extension);
    let imports = imports(output, test, language);
    if own.is_none() && imports.is_empty() {
        return Ok(None);
    }
    let mut script = String::new();
    if let Some((name, file)) = own {
        let package = format!("{}-{}-{}", output.name, output.version, output.build_string);
        script = format!(
            "#  tests for {package} (this is a generated file);\nprint('===== testing package: {package} =====');\n\
             print('running {name}');\n#  --- {name} (begin) ---\n{}#  --- {name} (end) ---\n\
             \nprint('===== {package} OK =====');\n",
            files::text(&file.source)?
        );
    }
    for name in imports {
        script.push_str(&(language.import)(&name));
    }
    Ok(Some(script))
}

/// Imports of a language: those marked with it; unmarked ones belong to the language in the package's name, else to
/// Python.
fn imports(output: &Output, test: &LegacyTest, language: &ScriptLanguage) -> Vec<String> {
    let by_name = LANGUAGES.iter().find(|other| !other.prefix.is_empty() && output.name.starts_with(other.prefix));
    let unmarked = by_name.map_or("python", |other| other.name);
    let marked = output.sections.test.get("imports").and_then(Value::as_array).into_iter().flatten();
    let marked = marked.filter(|item| item.get("lang").and_then(Value::as_str) == Some(language.name));
    let marked = marked.filter_map(|item| item.get("imports").and_then(Value::as_array)).flatten();
    let mut imports: Vec<String> = marked.filter_map(Value::as_str).map(str::to_owned).collect();
    if unmarked == language.name {
        imports.extend(test.imports.iter().cloned());
    }
    imports
}

/// `info/tests/tests.yaml`, always there, and the tests' files: below the folder that the test names as its `cwd`, as
/// payload, else in `info/tests/<number>/`.
pub(super) fn add_v1(facts: &Facts<'_>, tree: &mut Tree) -> Result<Vec<Entry>> {
    let Tests::List(tests) = &facts.output.tests else { return Ok(Vec::new()) };
    let mut payload = Vec::new();
    let mut specs = Vec::new();
    let mut folders: Option<(Vec<Found>, Vec<Found>)> = None;
    // What a package must contain is checked when it is made; clients have no use for it.
    for test in tests.iter().filter(|test| test.spec.get("package_contents").is_none()) {
        let index = specs.len();
        specs.push(test.spec.clone());
        if test.source_files == FileMatch::default() && test.recipe_files == FileMatch::default() {
            continue;
        }
        let (work, recipe) = match &mut folders {
            Some(folders) => folders,
            none => none.insert((files::all(facts.work_dir)?, files::all(facts.recipe_dir)?)),
        };
        let mut found = selected(facts, recipe, &test.recipe_files, "recipe")?;
        found.extend(selected(facts, work, &test.source_files, "source")?);
        let cwd = test.spec.pointer("/script/cwd").and_then(Value::as_str);
        for file in found {
            match cwd {
                Some(cwd) => {
                    payload.push(Entry::file(format!("{cwd}/{}", file.path), &file.source, file.executable));
                }
                None => tree.copy(format!("tests/{index}/{}", file.path), &file),
            }
        }
    }
    payload.sort_by(|a, b| a.path.cmp(&b.path));
    payload.dedup_by(|later, first| later.path == first.path);
    let yaml = serde_yaml::to_string(&specs)
        .map_err(|error| Error::new(Kind::Bug, "the tests can't be written as YAML").because(error))?;
    tree.bytes("tests/tests.yaml", facts.clean(&yaml));
    Ok(payload)
}

fn selected(facts: &Facts<'_>, all: &[Found], files: &FileMatch, folder: &str) -> Result<Vec<Found>> {
    let matcher = Matcher::new(files, Language::V1)?;
    if let Some(glob) = matcher.idle(all.iter().map(|file| file.path.as_str())).first() {
        let message = format!("`files` of a test of `{}`: `{glob}` matches nothing in the {folder}", facts.output.name);
        return Err(Error::new(Kind::Usage, message).help("correct the glob, or remove it"));
    }
    Ok(all.iter().filter(|file| matcher.matches(&file.path)).cloned().collect())
}
