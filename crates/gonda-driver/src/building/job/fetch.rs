//! `gonda fetch` and `gonda lock`: whatever a build takes from elsewhere is brought into the caches. Nothing is run but
//! `go mod download`, which executes nothing of what it brings.

use std::collections::BTreeMap;
use std::path::Path;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use gonda_recipe::Tests;
use rattler_conda_types::{RepoDataRecord, Subdir};
use serde_json::Value;

use super::Job;
use super::modules::{has_go, in_one_line};
use crate::building::Fetched;
use crate::building::checkout::Checkout;
use crate::channels::name_of;
use crate::isolation::paths;
use crate::lock::LockedOutput;
use crate::modules;
use crate::settings::TestMode;
use crate::solving::Solved;
use crate::{Phase, Result, environment};

/// How many packages are fetched at the same time.
const PARALLEL_PACKAGES: usize = 8;

impl Job {
    /// Brings packages and Go modules into the caches; the source is there.
    pub(super) async fn fetch(&self, checkout: &Checkout, solved: Solved) -> Result<Fetched> {
        self.phase(Phase::Fetch);
        let test = self.solve_tests().await?;
        let mut records: BTreeMap<String, RepoDataRecord> = BTreeMap::new();
        let mut add = |list: &[RepoDataRecord]| {
            records.extend(list.iter().map(|record| (record.url.to_string(), record.clone())));
        };
        for list in [&solved.build, &solved.host, &test] {
            add(list);
        }
        if let Some(top) = self.output.build.top_level.as_ref().filter(|top| self.has_script(&top.scripts)) {
            let top = self.solve_top_level(&checkout.facts, top).await?;
            add(&top.build);
            add(&top.host);
        }
        let packages = records.len();
        let fetching = records.into_values().map(|record| async move { self.common.channels.extracted(&record).await });
        stream::iter(fetching).buffer_unordered(PARALLEL_PACKAGES).try_for_each(|_| async { Ok(()) }).await?;
        let modules = self.fetch_modules(checkout, &solved).await?;
        let cache_root = &self.common.request.settings.cache_root;
        let (build_platform, target) = (self.output.build_platform, self.output.target_platform);
        let lock = LockedOutput {
            key: self.lock_key.clone(),
            build_string: self.output.build_string.clone(),
            environments: vec![
                ("build", build_platform.to_string(), solved.build),
                ("host", target.to_string(), solved.host),
                ("test", target.to_string(), test),
            ],
            sources: checkout.facts.identities.clone(),
            go_sums: checkout.facts.go_sums.clone(),
            answers: modules::recall_answers(cache_root, &self.common.request.located.recipe),
        };
        Ok(Fetched { packages, modules, lock, channels: self.common.channels.names() })
    }

    /// The modules of the source's main modules, into the store and into the set that jobs will see. How many there are.
    async fn fetch_modules(&self, checkout: &Checkout, solved: &Solved) -> Result<usize> {
        if !has_go(solved) {
            return Ok(0);
        }
        // The environment that a build would share, if it can; it is only run here.
        let seen = Path::new(paths::ROOT).join(paths::BUILD_ENV);
        let cache_root = &self.common.request.settings.cache_root;
        let platform = self.output.build_platform;
        let build_env = environment::shared(&self.common.channels, &solved.build, platform, &seen, cache_root).await?;
        match self.module_set(checkout, &build_env).await {
            Ok(set) => Ok(set.map_or(0, |set| set.modules.len())),
            // The script may do something about it: a patch, `go mod tidy`.
            Err(error) => {
                self.common
                    .events
                    .warn(&self.name, format!("not all modules could be fetched: {}", in_one_line(&error)));
                Ok(0)
            }
        }
    }

    /// What the output's tests need, where they would run.
    async fn solve_tests(&self) -> Result<Vec<RepoDataRecord>> {
        let target = self.output.target_platform;
        if self.common.request.settings.test == TestMode::Skip || Subdir::current() != Some(target) {
            return Ok(Vec::new());
        }
        let mut all: BTreeMap<String, RepoDataRecord> = BTreeMap::new();
        for requirements in test_requirements(&self.output.tests) {
            let mut specs = self.output.depends.clone();
            specs.extend(requirements);
            let specs = self.without_own_packages(&specs);
            let records = self.solve_one("test", &specs, Vec::new(), target).await?;
            all.extend(records.into_iter().map(|record| (record.url.to_string(), record)));
        }
        Ok(all.into_values().collect())
    }
}

/// What each test asks for beside the package itself.
fn test_requirements(tests: &Tests) -> Vec<Vec<String>> {
    match tests {
        Tests::Legacy(test) => {
            let mut specs = test.requires.clone();
            if !test.imports.is_empty() && !specs.iter().any(|spec| name_of(spec) == "python") {
                specs.push("python".to_owned());
            }
            vec![specs]
        }
        Tests::List(tests) => tests.iter().map(|test| of_listed(&test.spec)).collect(),
    }
}

/// The same for an entry of CEP 14's list.
fn of_listed(entry: &Value) -> Vec<String> {
    const LANGUAGES: [(&str, &str); 4] = [("python", "python"), ("perl", "perl"), ("r", "r-base"), ("ruby", "ruby")];
    let list = |pointer: &str| -> Vec<String> {
        let list = entry.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|spec| spec.as_str().map(str::to_owned)).collect()
    };
    let mut specs = list("/requirements/run");
    specs.extend(list("/requirements/build"));
    specs
        .extend(LANGUAGES.iter().filter(|(key, _)| entry.get(key).is_some()).map(|(_, package)| (*package).to_owned()));
    if entry.get("python").is_some_and(|python| python.get("pip_check") != Some(&Value::Bool(false))) {
        specs.push("pip".to_owned());
    }
    specs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listed_tests() {
        let check = |entry: Value, expected: &[&str]| assert_eq!(of_listed(&entry), expected, "{entry}");
        check(json!({"script": ["x"]}), &[]);
        check(json!({"script": ["x"], "requirements": {"run": ["a >=1"], "build": ["b"]}}), &["a >=1", "b"]);
        check(json!({"python": {"imports": ["x"]}}), &["python", "pip"]);
        check(json!({"python": {"imports": ["x"], "pip_check": false}}), &["python"]);
        check(json!({"package_contents": {"bin": ["x"]}}), &[]);
    }
}
