//! The architecture as tests: who may depend on whom, and what each crate may not do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The whole workspace and its one-way arrows. A crate that isn't here fails the test.
const ARROWS: &[(&str, &[&str])] = &[
    ("gonda", &["gonda-driver", "gonda-packager", "gonda-recipe"]),
    ("gonda-driver", &["gonda-batch", "gonda-gomod", "gonda-packager", "gonda-recipe"]),
    ("gonda-recipe", &[]),
    ("gonda-packager", &[]),
    ("gonda-batch", &[]),
    ("gonda-gomod", &[]),
    ("gonda-testkit", &[]),
    ("gonda-conformance", &["gonda-batch", "gonda-recipe"]),
    ("xtask", &["gonda-testkit"]),
];

/// What the text of a crate's sources may not contain, and why.
const ABSENCES: &[(&str, &[&str], &str)] = &[
    ("gonda-recipe", &["std::process", "std::net", "reqwest", "tokio"], "rendering is pure"),
    ("gonda-gomod", &["std::process", "std::net", "std::fs", "fs_err", "reqwest"], "it reads texts, not files"),
    ("gonda-batch", &["std::process", "std::net", "std::fs", "fs_err"], "all it touches comes through `Host`"),
    ("gonda-packager", &["std::process", "std::net", "reqwest", "SystemTime::now"], "bytes in, bytes out"),
    ("gonda-driver", &["println!", "print!("], "it tells, it doesn't print"),
    ("gonda-recipe", &["println!", "print!("], "a library doesn't print"),
    ("gonda-packager", &["println!", "print!("], "a library doesn't print"),
];

#[test]
fn dependencies_point_one_way() {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".into()]).exec().unwrap();
    let mut seen = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let (_, allowed) = ARROWS
            .iter()
            .find(|(from, _)| *from == name)
            .unwrap_or_else(|| panic!("crate `{name}` is not on the map; add it here and in ARCHITECTURE.md"));
        seen.insert(name);
        for dependency in &package.dependencies {
            let is_own = dependency.path.is_some();
            if !is_own || dependency.kind == DependencyKind::Development {
                continue;
            }
            assert!(allowed.contains(&dependency.name.as_str()), "`{name}` may not depend on `{}`", dependency.name);
        }
    }
    assert_eq!(seen, ARROWS.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), "a crate of the map is gone");
}

#[test]
fn only_the_driver_has_network_and_async() {
    let metadata = MetadataCommand::new().no_deps().other_options(["--offline".into()]).exec().unwrap();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let may = ["gonda-driver", "gonda"].contains(&name);
        for dependency in &package.dependencies {
            let network = ["reqwest", "hyper", "tokio", "rattler_networking", "rattler_repodata_gateway", "rattler"]
                .contains(&dependency.name.as_str());
            assert!(
                may || !network || dependency.kind == DependencyKind::Development,
                "`{name}` may not use `{}`",
                dependency.name
            );
        }
    }
}

#[test]
fn crates_stay_within_their_means() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for (name, words, why) in ABSENCES {
        for path in super::support::walk(&root.join("crates").join(name).join("src")) {
            let file = path.file_name().unwrap().to_string_lossy();
            let of_tests = file.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
            if !file.ends_with(".rs") || of_tests || file == "testbed.rs" {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Unit tests stand at the end of a file and may do as they like.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let line = line.split("//").next().unwrap_or_default();
                for word in *words {
                    if line.contains(word) {
                        found.push(format!("{}:{}: `{word}`, but {why}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn architecture_names_every_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for (name, _) in ARROWS {
        assert!(text.contains(&format!("`{name}`")), "ARCHITECTURE.md does not name `{name}`");
    }
}

/// Crates whose modules – the files and folders beside `lib.rs` – use one another one way only.
const WITHOUT_CIRCLES: &[&str] = &["gonda", "gonda-driver", "gonda-gomod", "gonda-packager", "gonda-recipe"];

#[test]
fn modules_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in WITHOUT_CIRCLES {
        let mut uses = used_modules(&root.join("crates").join(name).join("src"));
        assert!(uses.len() > 3, "{name}: {uses:?}");
        // Who uses nobody goes; who is left at the end stands on a circle, or above one.
        while let Some(gone) = uses.iter().find(|(_, used)| used.is_empty()).map(|(module, _)| module.clone()) {
            uses.remove(&gone);
            for used in uses.values_mut() {
                used.remove(&gone);
            }
        }
        assert!(uses.is_empty(), "modules of `{name}` use one another in a circle: {uses:#?}");
    }
}

/// The modules of a crate, each with those that it names by their path from the crate's root.
fn used_modules(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let files: Vec<(String, String)> = super::support::walk(src)
        .into_iter()
        .filter_map(|path| {
            let within = path.strip_prefix(src).unwrap().to_owned();
            let first = within.iter().next().unwrap().to_str().unwrap();
            let module = first.strip_suffix(".rs").unwrap_or(first).to_owned();
            let of_tests = within.to_str().unwrap().contains("test") && !["testing", "testbed"].contains(&&*module);
            let is_code = within.extension().is_some_and(|end| end == "rs") && !of_tests && module != "lib";
            is_code.then(|| (module, std::fs::read_to_string(path).unwrap()))
        })
        .collect();
    let modules: BTreeSet<String> = files.iter().map(|(module, _)| module.clone()).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in &files {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        let named = code.split("crate::").skip(1).flat_map(|rest| {
            // `crate::{a::b, c::{d, e}}` names `a` and `c`.
            let list = rest.strip_prefix('{').map(|list| list.split(';').next().unwrap_or_default());
            let mut depth = 0_usize;
            let outer = |c: char| {
                depth = (depth + usize::from(c == '{')).saturating_sub(usize::from(c == '}'));
                c == ',' && depth == 0
            };
            let paths: Vec<&str> = list.map_or_else(|| vec![rest], |list| list.split(outer).collect());
            let name = |path: &str| {
                let path = path.trim_start();
                path[..path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len())].to_owned()
            };
            paths.into_iter().map(name).collect::<Vec<_>>()
        });
        let used = uses.entry(module.clone()).or_default();
        used.extend(named.filter(|name| name != module && modules.contains(name)));
    }
    uses
}
