//! CEP 14's tests: the list in `info/tests/tests.yaml`, every kind of entry.

use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use serde_json::{Map, Value};

use super::{Contents, ScriptKind, Step, StepText, Subject, Test, TestPlan, text};
use crate::{Error, Kind, Result};

/// Reads the list. `platform` is that of the programs under test.
///
/// # Errors
/// The file is no YAML list.
pub(super) fn read(package: &Path, subject: &Subject, platform: Subdir) -> Result<Vec<Test>> {
    let path = package.join("info/tests/tests.yaml");
    let Some(yaml) = text(&path)? else { return Ok(Vec::new()) };
    let list: Option<Vec<Value>> = serde_yaml::from_str(&yaml).map_err(|error| {
        Error::new(Kind::Verification, format!("`{}` is no list of tests", path.display())).because(error)
    })?;
    let entries = list.unwrap_or_default();
    Ok(entries
        .iter()
        .enumerate()
        .flat_map(|(index, entry)| {
            let reader = Reader { package, subject, platform, index };
            reader.tests(entry).unwrap_or_else(|reason| {
                vec![Test::Unusable { name: format!("test {}", index + 1), reason, broken: true }]
            })
        })
        .collect())
}

/// Reads one entry; errors are texts that say what is wrong with it.
struct Reader<'a> {
    package: &'a Path,
    subject: &'a Subject,
    platform: Subdir,
    index: usize,
}

impl Reader<'_> {
    fn tests(&self, entry: &Value) -> Result<Vec<Test>, String> {
        let map = entry.as_object().ok_or("the entry is no mapping")?;
        if let Some(script) = map.get("script") {
            return self.script(script, map).map(|plan| vec![Test::Run(Box::new(plan))]);
        }
        if let Some(python) = map.get("python") {
            return self.python(python);
        }
        let (language, names, what, write): (_, _, _, fn(&str) -> String) = if let Some(perl) = map.get("perl") {
            ("perl", perl.get("uses"), ScriptKind::Perl, |name| format!("use {name};\n"))
        } else if let Some(r) = map.get("r") {
            ("r-base", r.get("libraries"), ScriptKind::R, |name| format!("library({name})\n"))
        } else if let Some(ruby) = map.get("ruby") {
            ("ruby", ruby.get("requires"), ScriptKind::Ruby, |name| format!("require '{name}'\n"))
        } else if let Some(spec) = map.get("downstream") {
            let spec = spec.as_str().ok_or("`downstream` is no text")?.to_owned();
            return Ok(vec![Test::Downstream { name: format!("downstream {spec}"), spec }]);
        } else if let Some(contents) = map.get("package_contents") {
            let contents = Contents::read(contents)?;
            return Ok(vec![Test::Contents { name: self.name("package_contents"), contents }]);
        } else {
            let keys: Vec<_> = map.keys().map(|key| format!("`{key}`")).collect();
            return Err(format!("no known kind of test has {}", keys.join(", ")));
        };
        let text: String = texts(names, language)?.iter().map(|name| write(name)).collect();
        Ok(vec![Test::Run(Box::new(TestPlan {
            name: self.name(what.programs()[0]),
            requirements: vec![language.to_owned(), self.subject.spec()],
            steps: vec![Step { name: String::new(), kind: what, text: StepText::Inline(text) }],
            ..TestPlan::default()
        }))])
    }

    fn name(&self, kind: &str) -> String {
        format!("test {} ({kind})", self.index + 1)
    }

    /// Imports, then `pip check`; one plan for each version of Python asked for.
    fn python(&self, python: &Value) -> Result<Vec<Test>, String> {
        let imports: String =
            texts(python.get("imports"), "imports")?.iter().map(|name| format!("import {name}\n")).collect();
        let pip_check = python.get("pip_check").and_then(Value::as_bool).unwrap_or(true);
        let versions = match python.get("python_version") {
            None | Some(Value::Null) => vec![None],
            Some(value) => texts(Some(value), "python_version")?.into_iter().map(Some).collect(),
        };
        let plan = |version: Option<String>| {
            let mut requirements = vec![self.subject.spec()];
            let mut steps = vec![Step {
                name: "imports".to_owned(),
                kind: ScriptKind::Python,
                text: StepText::Inline(imports.clone()),
            }];
            if pip_check {
                requirements.push("pip".to_owned());
                let shell = ScriptKind::shell(self.platform);
                steps.push(Step {
                    name: "pip check".to_owned(),
                    kind: shell,
                    text: StepText::Inline(shell.join(&["pip check".to_owned()])),
                });
            }
            let name = match &version {
                Some(version) => format!("python {version}"),
                None => "python".to_owned(),
            };
            let python = version.map(|version| format!("python {}", starting_with(&version)));
            let name = self.name(&name);
            Test::Run(Box::new(TestPlan { name, requirements, python, steps, ..TestPlan::default() }))
        };
        Ok(versions.into_iter().map(plan).collect())
    }

    fn script(&self, script: &Value, entry: &Map<String, Value>) -> Result<TestPlan, String> {
        let empty = Map::new();
        let map = script.as_object().unwrap_or(&empty);
        let requirements = entry.get("requirements");
        let list = |key: &str| texts(requirements.and_then(|map| map.get(key)), key);
        let mut run = list("run")?;
        run.push(self.subject.spec());

        let mut kind = match map.get("interpreter") {
            None | Some(Value::Null) => None,
            Some(name) => {
                let name = name.as_str().ok_or("`interpreter` is no text")?;
                Some(ScriptKind::by_interpreter(name).ok_or_else(|| format!("the interpreter `{name}` is unknown"))?)
            }
        };
        // A lone line may name a file of the package.
        let named = match (script, map.get("file")) {
            (Value::String(line), _) if !line.contains('\n') => self.find(line),
            (_, Some(Value::String(file))) => {
                Some(self.find(file).ok_or_else(|| format!("the script `{file}` is not in the package"))?)
            }
            _ => None,
        };
        let (content, kind) = if let Some(file) = named {
            let kind = kind.take().or_else(|| ScriptKind::by_extension(&file));
            let kind = kind.unwrap_or_else(|| ScriptKind::shell(self.platform));
            let content = text(&file).map_err(|error| error.to_string())?;
            (content.unwrap_or_default(), kind)
        } else {
            let kind = kind.unwrap_or_else(|| ScriptKind::shell(self.platform));
            let content = match (script, map.get("content")) {
                (Value::String(text), _) | (_, Some(Value::String(text))) => text.clone(),
                (Value::Array(_), _) => kind.join(&texts(Some(script), "script")?),
                (_, Some(list @ Value::Array(_))) => kind.join(&texts(Some(list), "content")?),
                (Value::Object(_), None | Some(Value::Null)) => String::new(),
                _ => return Err("`script` is neither text nor list nor mapping".to_owned()),
            };
            (content, kind)
        };

        let env = match map.get("env") {
            None | Some(Value::Null) => IndexMap::new(),
            Some(Value::Object(env)) => env
                .iter()
                .map(|(name, value)| Ok((name.clone(), plain(value).ok_or(format!("`env.{name}` is no text"))?)))
                .collect::<Result<_, String>>()?,
            Some(_) => return Err("`env` is no mapping".to_owned()),
        };
        let cwd = match map.get("cwd") {
            None | Some(Value::Null) => None,
            Some(path) => Some(inside(path.as_str().ok_or("`cwd` is no text")?)?),
        };
        let folder = self.package.join("info/tests").join(self.index.to_string());
        Ok(TestPlan {
            name: self.name("script"),
            requirements: run,
            python: None,
            build_requirements: list("build")?,
            steps: vec![Step { name: String::new(), kind, text: StepText::Inline(content) }],
            env,
            secrets: texts(map.get("secrets"), "secrets")?,
            files: folder.is_dir().then_some(folder),
            cwd,
            recipe_dir: None,
        })
    }

    /// A script file of the package: beside the test's files, in the recipe, or by its path in the package; without
    /// extension, the platform's.
    fn find(&self, name: &str) -> Option<PathBuf> {
        let name = inside(name).ok().filter(|name| name.file_name().is_some())?;
        let extensions: &[&str] = if self.platform.is_windows() { &["bat", "ps1"] } else { &["sh"] };
        let candidates: Vec<PathBuf> = if name.extension().is_some() {
            vec![name]
        } else {
            extensions.iter().map(|extension| name.with_extension(extension)).collect()
        };
        let folders = [format!("info/tests/{}", self.index), "info/recipe".to_owned(), String::new()];
        let folders = folders.iter().map(|folder| self.package.join(folder));
        folders.flat_map(|folder| candidates.iter().map(move |name| folder.join(name))).find(|file| file.is_file())
    }
}

/// A list of plain values, or one alone.
fn texts(value: Option<&Value>, what: &str) -> Result<Vec<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => {
            list.iter().map(|item| plain(item).ok_or_else(|| format!("`{what}` holds `{item}`, no text"))).collect()
        }
        Some(value) => plain(value).map(|text| vec![text]).ok_or_else(|| format!("`{what}` is no list")),
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// `3.12` means all of 3.12.
fn starting_with(version: &str) -> String {
    let plain = version.chars().all(|char| char.is_alphanumeric() || char == '.');
    if plain { format!("{version}.*") } else { version.to_owned() }
}

/// A path that stays below the folder it is joined to.
fn inside(path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    let fine = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if fine { Ok(path.to_owned()) } else { Err(format!("`{}` leads out of the package", path.display())) }
}
