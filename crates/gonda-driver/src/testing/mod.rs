//! The tests that a package carries, whoever built it: read into plans, then run.
//!
//! Two kinds exist. conda-build leaves scripts in `info/test/`, with what they need in `test_time_dependencies.json`
//! (`legacy`); rattler-build leaves a list in `info/tests/tests.yaml`, CEP 14 (`listed`). [`read`] turns either
//! into a [`Suite`]; nothing is started for that. [`run`] makes a fresh environment for each plan and runs its
//! scripts; environments and processes come from a [`Machine`], so that this module knows no channel and starts
//! nothing itself. A test that did not run is told as such, never as passed.

mod contents;
mod legacy;
mod listed;
mod run;
mod script;
#[cfg(test)]
mod unit_tests;

use std::io;
use std::path::{Path, PathBuf};

use gonda_recipe::Tests;
use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use serde_json::Value;

use crate::{Error, Kind, Result};

pub use contents::Contents;
pub use run::{
    EnvironmentRequest, InstalledPackage, Machine, Options, Outcome, Report, ScriptExit, ScriptRequest, run,
};
pub use script::ScriptKind;

/// Files of `info/` above this size are no test data that anyone wrote.
const LARGEST_FILE: u64 = 16 << 20;

/// What a package says of itself, as far as its tests need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string.
    pub build: String,
    /// Build number.
    pub build_number: u64,
    /// `linux-64`, `noarch` …
    pub subdir: Subdir,
    /// Whether its Python files serve every Python version, so that they lie in `site-packages/`.
    pub version_independent: bool,
}

impl Subject {
    /// `name ==version build`: this very package.
    #[must_use]
    pub fn spec(&self) -> String {
        format!("{} =={} {}", self.name, self.version, self.build)
    }
}

/// The tests of one package.
#[derive(Debug, Clone, PartialEq)]
pub struct Suite {
    /// The package.
    pub subject: Subject,
    /// Variables of the variant that the package was built for, for the tests' environments.
    pub variant: IndexMap<String, String>,
    /// The tests, in the package's order.
    pub tests: Vec<Test>,
}

impl Suite {
    /// Adds what a package doesn't carry and its recipe knows: checks of its content (CEP 14 `package_contents`, run
    /// where the package is built) and conda-build's `test/downstreams`.
    ///
    /// # Errors
    /// A check that can't be understood.
    pub fn add_recipe_tests(&mut self, tests: &Tests) -> Result<()> {
        match tests {
            Tests::Legacy(legacy) => self.tests.extend(
                legacy
                    .downstreams
                    .iter()
                    .map(|spec| Test::Downstream { name: format!("downstream {spec}"), spec: spec.clone() }),
            ),
            Tests::List(list) => {
                for contents in list.iter().filter_map(|test| test.spec.get("package_contents")) {
                    let contents = Contents::read(contents).map_err(|reason| Error::new(Kind::Usage, reason))?;
                    self.tests.push(Test::Contents { name: "package_contents".to_owned(), contents });
                }
            }
        }
        Ok(())
    }
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Scripts in an environment.
    Run(Box<TestPlan>),
    /// The tests of another package, in environments that hold this one too.
    Downstream {
        /// What the test is called.
        name: String,
        /// The other package, as a match spec.
        spec: String,
    },
    /// What files the package has.
    Contents {
        /// What the test is called.
        name: String,
        /// What must be there, and what not.
        contents: Contents,
    },
    /// A test that can't be understood, or not run at all.
    Unusable {
        /// What the test is called.
        name: String,
        /// Why.
        reason: String,
        /// Whether that is the package's fault: then the test has failed.
        broken: bool,
    },
}

/// An environment and what runs in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestPlan {
    /// What the test is called: `script 1`, `python imports (python 3.12)`.
    pub name: String,
    /// Specs of the test environment, the package itself among them.
    pub requirements: Vec<String>,
    /// The Python that the plan is for, as a spec; another package's own tests leave it out when they run as a
    /// downstream test, for there the package under test decides.
    pub python: Option<String>,
    /// Specs of an environment for the machine that runs the test; empty: none is made.
    pub build_requirements: Vec<String>,
    /// What runs, in order; what follows a failure doesn't run.
    pub steps: Vec<Step>,
    /// Variables of the test's own.
    pub env: IndexMap<String, String>,
    /// Names of variables to pass on from the caller, hidden in logs.
    pub secrets: Vec<String>,
    /// A folder whose content is copied into the work folder.
    pub files: Option<PathBuf>,
    /// Where scripts start, below the test environment's prefix; `None`: in the work folder.
    pub cwd: Option<PathBuf>,
    /// The package's recipe folder, where the test's format tells scripts of it (`RECIPE_DIR`).
    pub recipe_dir: Option<PathBuf>,
}

/// One script of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is called, beside the plan's name: `run_test.sh`, `pip check`; empty where a plan has one alone.
    pub name: String,
    /// What runs it.
    pub kind: ScriptKind,
    /// Its text, or the name of a file that is in the work folder already.
    pub text: StepText,
}

/// Where a step's text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepText {
    /// Here.
    Inline(String),
    /// In this file of the work folder.
    File(String),
}

/// Reads the tests of an extracted package. `machine` is the platform that they are to run on.
///
/// # Errors
/// The package has no `info/index.json`, or a file of `info/` can't be read or understood. A single test that can't be
/// understood is a [`Test::Unusable`].
pub fn read(package: &Path, machine: Subdir) -> Result<Suite> {
    let subject = subject(package)?;
    let platform = if subject.subdir == Subdir::NoArch { machine } else { subject.subdir };
    let mut tests = legacy::read(package, &subject, platform)?;
    tests.extend(listed::read(package, &subject, platform)?);
    Ok(Suite { variant: variant(package)?, subject, tests })
}

fn subject(package: &Path) -> Result<Subject> {
    let path = package.join("info/index.json");
    let index: Value = json(&path)?
        .ok_or_else(|| Error::new(Kind::Usage, format!("`{}` is not there", path.display())))
        .map_err(|error| error.help("give an extracted conda package"))?;
    let text = |key: &str| index.get(key).and_then(Value::as_str).map(str::to_owned);
    let needed = |key: &str| {
        text(key).ok_or_else(|| Error::new(Kind::Verification, format!("`{}` has no `{key}`", path.display())))
    };
    let subdir = needed("subdir")?;
    let subdir: Subdir = subdir.parse().map_err(|_| {
        Error::new(Kind::Verification, format!("`{}` names an unknown subdir, `{subdir}`", path.display()))
    })?;
    Ok(Subject {
        name: needed("name")?,
        version: needed("version")?,
        build: needed("build")?,
        build_number: index.get("build_number").and_then(Value::as_u64).unwrap_or(0),
        subdir,
        version_independent: index.get("noarch").is_some_and(|noarch| noarch == "python"),
    })
}

/// `info/hash_input.json`: the variant's keys that the package's hash is made of. Languages' own keys are left out:
/// scripts know those by other names.
fn variant(package: &Path) -> Result<IndexMap<String, String>> {
    const LANGUAGES: [&str; 8] = ["perl", "lua", "r", "r_base", "numpy", "python", "ruby", "nodejs"];
    let Some(Value::Object(map)) = json(&package.join("info/hash_input.json"))? else {
        return Ok(IndexMap::new());
    };
    let values = map.into_iter().filter_map(|(key, value)| {
        let usable = !key.is_empty() && key.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        let value = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        (usable && !LANGUAGES.contains(&key.to_ascii_lowercase().as_str())).then_some((key, value))
    });
    Ok(values.collect())
}

/// A JSON file, if it is there.
fn json(path: &Path) -> Result<Option<Value>> {
    let Some(text) = text(path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        Error::new(Kind::Verification, format!("`{}` is not valid JSON", path.display())).because(error)
    })
}

/// A text file, if it is there.
fn text(path: &Path) -> Result<Option<String>> {
    let length = match fs_err::metadata(path) {
        Ok(data) if data.is_file() => data.len(),
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if length > LARGEST_FILE {
        let message = format!("`{}` has {length} bytes, too many for test data", path.display());
        return Err(Error::new(Kind::Verification, message));
    }
    let bytes = fs_err::read(path)?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        Error::new(Kind::Verification, format!("`{}` is not UTF-8 text", path.display())).because(error)
    })
}
