//! What comes of a run: for each group of cases how much is equal, and what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How many differences of a group are shown in full.
const SHOWN: usize = 5;

/// The results of a tree.
#[derive(Debug, Clone)]
pub struct Report {
    /// In the tree's order.
    pub groups: Vec<Group>,
}

/// The cases that are counted together.
#[derive(Debug, Clone)]
pub struct Group {
    /// What the group is, such as `v0 nosolve`.
    pub name: String,
    /// Compared outputs (rows, of a table) that are equal.
    pub equal: usize,
    /// All that were compared.
    pub total: usize,
    /// What is not equal, one for each case and platform.
    pub differences: Vec<Difference>,
}

/// A case that is not as its reference tool has it.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The case, and the platform where it has several.
    pub case: String,
    /// What differs, a line or two a place.
    pub text: String,
    /// Why it is right as it is, for differences that are meant to be.
    pub excuse: Option<&'static str>,
}

/// The result of one case on one platform.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) equal: usize,
    pub(crate) total: usize,
    pub(crate) difference: Option<Difference>,
}

impl Group {
    pub(crate) fn new(name: impl Into<String>, verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut group = Self { name: name.into(), equal: 0, total: 0, differences: Vec::new() };
        for verdict in verdicts {
            group.equal += verdict.equal;
            group.total += verdict.total;
            group.differences.extend(verdict.difference);
        }
        group
    }

    /// The excuses, each with the cases (without their platforms) that need it.
    fn excuses(&self) -> BTreeMap<&'static str, BTreeSet<&str>> {
        let mut excuses: BTreeMap<&'static str, BTreeSet<&str>> = BTreeMap::new();
        for difference in &self.differences {
            if let Some(excuse) = difference.excuse {
                let case = difference.case.split(' ').next().unwrap_or_default();
                excuses.entry(excuse).or_default().insert(case);
            }
        }
        excuses
    }

    /// The differences that nothing excuses.
    pub fn unexcused(&self) -> impl Iterator<Item = &Difference> {
        self.differences.iter().filter(|difference| difference.excuse.is_none())
    }
}

impl Report {
    /// The differences that nothing excuses.
    pub fn unexcused(&self) -> impl Iterator<Item = &Difference> {
        self.groups.iter().flat_map(Group::unexcused)
    }

    /// The differences that are meant to be.
    pub fn excused(&self) -> impl Iterator<Item = &Difference> {
        self.groups.iter().flat_map(|group| &group.differences).filter(|difference| difference.excuse.is_some())
    }
}

/// One line a group, what differs below it, and the total on the last line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut equal, mut total) = (0, 0);
        for group in &self.groups {
            writeln!(f, "{}: {} of {} outputs equal", group.name, group.equal, group.total)?;
            for (excuse, cases) in group.excuses() {
                let names: Vec<&str> = cases.into_iter().collect();
                writeln!(f, "  on purpose: {}: {excuse}", names.join(", "))?;
            }
            let unexcused = group.unexcused().count();
            for Difference { case, text, .. } in group.unexcused().take(SHOWN) {
                writeln!(f, "--- {case}\n{}", text.trim_end())?;
            }
            if unexcused > SHOWN {
                let rest: Vec<&str> =
                    group.unexcused().skip(SHOWN).map(|difference| difference.case.as_str()).collect();
                writeln!(f, "--- and {} more: {}", rest.len(), rest.join(", "))?;
            }
            equal += group.equal;
            total += group.total;
        }
        writeln!(f, "total: {equal} of {total} outputs equal")
    }
}
