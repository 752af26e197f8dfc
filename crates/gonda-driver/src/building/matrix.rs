//! The plan of a run: recipes × variants × targets as one list of *groups*, each with the groups that it needs.
//!
//! A group is what is built in one work folder: the outputs of a v0 recipe for one variant, as in conda-build, or one
//! output of a v1 recipe, as in rattler-build. It needs the groups whose packages its environments or tests ask for: build
//! requirements for the build platform, all others for the target.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use gonda_recipe::{Output, RecipeFormat, Tests};
use rattler_conda_types::Subdir;
use serde_json::Value;

use super::{Request, sources};
use crate::channels::name_of;
use crate::planning::Selection;
use crate::{Error, Kind, Result};

/// All groups of a run, in the order of recipes, targets and variants.
pub(super) struct Matrix {
    pub(super) groups: Vec<Group>,
}

/// Outputs that are built in one work folder, one after the other.
pub(super) struct Group {
    pub(super) request: Arc<Request>,
    pub(super) selection: Arc<Selection>,
    pub(super) outputs: Vec<Planned>,
    /// The groups that must have been built before.
    pub(super) needs: BTreeSet<usize>,
    /// Groups with the same key are built from the same source tree.
    pub(super) source_key: String,
}

/// An output in its group.
#[derive(Debug)]
pub(super) struct Planned {
    /// Which of the rendering's outputs.
    pub(super) index: usize,
    /// What events call it, unique in the matrix.
    pub(super) name: String,
    /// Why there is nothing to do.
    pub(super) skipped: Option<String>,
}

/// A package that something needs: its name, and the platform it must be for.
type Need = (String, Subdir);

impl Matrix {
    /// Orders what was selected.
    ///
    /// # Errors
    /// [`Kind::Usage`] for recipes that need each other, and for outputs for a platform that conda doesn't know.
    pub(super) fn new(selected: Vec<(Arc<Request>, Vec<Arc<Selection>>)>) -> Result<Self> {
        let mut groups = Vec::new();
        let mut names = Names::default();
        let mut noarch = BTreeMap::new();
        for (request, selections) in selected {
            for selection in selections {
                selection.refuse_unknown_platforms()?;
                let outputs = &selection.rendering.outputs;
                for indices in by_work_folder(outputs) {
                    let planned = indices.iter().map(|&index| {
                        let output = &outputs[index];
                        let skipped = skip_reason(&selection, output).or_else(|| repeated(output, &mut noarch));
                        Planned { index, name: names.name(output), skipped }
                    });
                    groups.push(Group {
                        request: Arc::clone(&request),
                        outputs: planned.collect(),
                        needs: BTreeSet::new(),
                        source_key: indices
                            .first()
                            .map(|&index| sources::key(&request, &outputs[index]))
                            .unwrap_or_default(),
                        selection: Arc::clone(&selection),
                    });
                }
            }
        }
        let again = groups.iter().find_map(|group: &Group| group.request.settings.record.clone());
        let mut this = Self { groups };
        this.find_needs();
        if let Some(record) = again {
            this.only(&record.output);
        }
        this.refuse_cycles()?;
        Ok(this)
    }

    /// Leaves out what an output is built without: what comes later in its group, and groups that this doesn't need.
    fn only(&mut self, output: &str) {
        let without = || Some(format!("`{output}` is built without it"));
        let mut kept: BTreeSet<usize> = BTreeSet::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            let outputs = &group.selection.rendering.outputs;
            let last = group.outputs.iter().rposition(|planned| outputs[planned.index].name == output);
            for planned in group.outputs.iter_mut().skip(last.map_or(usize::MAX, |last| last + 1)) {
                planned.skipped = without();
            }
            kept.extend(last.map(|_| index));
        }
        self.find_needs();
        let mut open: Vec<usize> = kept.iter().copied().collect();
        while let Some(index) = open.pop() {
            open.extend(self.groups[index].needs.iter().copied().filter(|needed| kept.insert(*needed)));
        }
        let groups = self.groups.iter_mut().enumerate().filter(|(index, _)| !kept.contains(index));
        groups.flat_map(|(_, group)| &mut group.outputs).for_each(|planned| planned.skipped = without());
        self.find_needs();
    }

    fn find_needs(&mut self) {
        let needs: Vec<BTreeSet<usize>> = (0..self.groups.len()).map(|index| needs(&self.groups, index)).collect();
        for (group, needs) in self.groups.iter_mut().zip(needs) {
            group.needs = needs;
        }
    }

    /// Subdir and name of all packages that the run makes.
    pub(super) fn made(&self) -> BTreeSet<(String, String)> {
        let outputs = self.groups.iter().flat_map(Group::packages);
        outputs.map(|output| (output.subdir().to_string(), output.name.to_lowercase())).collect()
    }

    fn refuse_cycles(&self) -> Result<()> {
        let mut done: HashSet<usize> = HashSet::new();
        loop {
            let ready = |index: &usize| {
                !done.contains(index) && self.groups[*index].needs.iter().all(|needed| done.contains(needed))
            };
            let ready: Vec<usize> = (0..self.groups.len()).filter(ready).collect();
            if ready.is_empty() {
                break;
            }
            done.extend(ready);
        }
        let stuck: BTreeSet<&str> = (0..self.groups.len())
            .filter(|index| !done.contains(index))
            .filter_map(|index| self.groups[index].packages().next())
            .map(|output| output.name.as_str())
            .collect();
        if stuck.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = stuck.into_iter().map(|name| format!("`{name}`")).collect();
        Err(Error::new(Kind::Usage, format!("the recipes of {} need each other", names.join(", ")))
            .help("build one of them alone first, against a package of the other from a channel"))
    }
}

impl Group {
    /// The outputs that are really built.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Output> {
        let outputs = &self.selection.rendering.outputs;
        self.outputs.iter().filter(|planned| planned.skipped.is_none()).map(|planned| &outputs[planned.index])
    }
}

/// The outputs of a rendering by variant: those of one v0 recipe with the same variant share their work folder. Each
/// output of a v1 recipe has one of its own, as in rattler-build.
fn by_work_folder(outputs: &[Output]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let belongs = |group: &&mut Vec<usize>| {
            let first = &outputs[group[0]];
            output.format == RecipeFormat::V0
                && recipe_of(first) == recipe_of(output)
                && first.variant == output.variant
        };
        match groups.iter_mut().find(belongs) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Name and version of an output's recipe, which may be its own.
fn recipe_of(output: &Output) -> (&str, &str) {
    match &output.parent {
        Some(parent) => (&parent.name, &parent.version),
        None => (&output.name, &output.version),
    }
}

fn skip_reason(selection: &Selection, output: &Output) -> Option<String> {
    if output.skip {
        return Some("by the recipe".to_owned());
    }
    selection.left_out.clone()
}

/// A `noarch` package is the same for all targets, and built for the first of them.
fn repeated(output: &Output, seen: &mut BTreeMap<String, Subdir>) -> Option<String> {
    output.noarch?;
    let contents: Vec<_> = output.hash_contents.iter().filter(|(key, _)| *key != "target_platform").collect();
    let key = format!("{} {} {} {contents:?}", output.name, output.version, output.build_number);
    let first = *seen.entry(key).or_insert(output.target_platform);
    (first != output.target_platform).then(|| format!("noarch, built with {first}"))
}

/// Names of jobs, each given once.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn name(&mut self, output: &Output) -> String {
        let name = format!("{}-{} {}", output.name, output.version, output.subdir());
        let numbered = (2..).map(|number| format!("{name} #{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !self.0.contains(name));
        let free = free.unwrap_or(name);
        self.0.insert(free.clone());
        free
    }
}

/// The groups that one of them needs.
fn needs(groups: &[Group], this: usize) -> BTreeSet<usize> {
    let group = &groups[this];
    let own: Vec<&str> = group.packages().map(|output| output.name.as_str()).collect();
    let mut found = BTreeSet::new();
    for output in group.packages() {
        for (name, platform) in needs_of(output) {
            let for_target = platform == output.target_platform;
            if for_target && own.contains(&name.as_str()) {
                continue;
            }
            let candidates: Vec<(usize, &Output)> = (0..groups.len())
                .filter(|&other| may_come_from(groups, this, other))
                .filter_map(|other| {
                    let provides = |output: &&Output| {
                        output.name == name && (output.noarch.is_some() || output.target_platform == platform)
                    };
                    groups[other].packages().find(provides).map(|output| (other, output))
                })
                .collect();
            // Of several variants, the one that is like ours, if any is.
            let alike: BTreeSet<usize> =
                candidates.iter().filter(|(_, provider)| agree(provider, output)).map(|(other, _)| *other).collect();
            if alike.is_empty() {
                found.extend(candidates.iter().map(|(other, _)| *other));
            } else {
                found.extend(alike);
            }
        }
    }
    found
}

/// Whether a group may need another at all: one of the same rendering comes later if it stands later, and another
/// rendering of the same recipe for the same target has nothing to do with it.
fn may_come_from(groups: &[Group], this: usize, other: usize) -> bool {
    let (a, b) = (&groups[this], &groups[other]);
    if this == other {
        false
    } else if Arc::ptr_eq(&a.selection, &b.selection) {
        other < this
    } else {
        !Arc::ptr_eq(&a.request, &b.request) || a.selection.target != b.selection.target
    }
}

/// Whether the variant keys that a provider uses have the same values here. What differs by platform doesn't count.
fn agree(provider: &Output, user: &Output) -> bool {
    let same_target = provider.target_platform == user.target_platform;
    provider.used_vars.iter().all(|key| match (provider.variant.get(key), user.variant.get(key)) {
        (Some(theirs), Some(ours)) => theirs == ours || !same_target,
        _ => true,
    })
}

/// What an output's environments and tests ask for by name.
fn needs_of(output: &Output) -> Vec<Need> {
    let requirements = &output.requirements;
    let (build, target) = (output.build_platform, output.target_platform);
    let mut needs: Vec<Need> = Vec::new();
    let mut add = |texts: &[String], platform: Subdir| {
        needs.extend(texts.iter().map(|text| (package_name(text), platform)));
    };
    add(&requirements.build, build);
    add(&requirements.host, target);
    add(&requirements.run, target);
    if let Some(top) = &output.build.top_level {
        add(&top.build, build);
        add(&top.host, target);
    }
    match &output.tests {
        Tests::Legacy(test) => {
            add(&test.requires, target);
            add(&test.downstreams, target);
        }
        Tests::List(tests) => {
            for test in tests {
                let texts = |value: &Value| -> Vec<String> {
                    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
                };
                add(&texts(&test.spec["requirements"]["run"]), target);
                add(&texts(&test.spec["requirements"]["build"]), build);
                if let Some(name) = test.spec["downstream"].as_str() {
                    add(&[name.to_owned()], target);
                }
            }
        }
    }
    needs
}

/// The package name of a requirement: a match spec, or a v1 pin in its symbolic form.
fn package_name(requirement: &str) -> String {
    let symbolic = serde_json::from_str::<Value>(requirement).ok();
    let pinned = symbolic.as_ref().and_then(Value::as_object).and_then(|pin| pin.values().next());
    let name = pinned.and_then(|pin| pin.as_str().or_else(|| pin["name"].as_str()));
    name_of(name.unwrap_or(requirement)).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_requirements() {
        let check = |text: &str, expected: &str| assert_eq!(package_name(text), expected, "{text}");
        check("Go-licenses >=1.6", "go-licenses");
        check("conda-forge::zlib=1.2", "zlib");
        check(r#"{"pin_subpackage": {"name": "libfoo", "exact": true}}"#, "libfoo");
        check(r#"{"pin_compatible": "zlib"}"#, "zlib");
    }
}
