//! Which packages a job's environments have: solved, held by a lock, or those that a package records of its first build.

use std::collections::BTreeSet;

use gonda_recipe::{Env, PinnedOutput};
use rattler_conda_types::{RepoDataRecord, Subdir};

use super::Job;
use crate::building::Goal;
use crate::building::facts::Facts;
use crate::channels::{self, Channels, SolveRequest, name_of};
use crate::record::LockedPackage;
use crate::settings::CgoCompiler;
use crate::solving::{self, Choose, Solved};
use crate::{Error, Kind, Result};

impl Job {
    /// Chooses the packages of both environments and finalises the output with them.
    pub(super) async fn solve(&mut self, facts: &Facts, finished: &[PinnedOutput]) -> Result<Solved> {
        let chooser = ForBuild { job: self, facts };
        let environ = &self.common.request.settings.caller_environment;
        let rendering = &self.common.selection.rendering;
        let (output, solved) = solving::finalize(rendering, self.index, finished, environ, &chooser).await?;
        if let Some(zig) = &solved.zig {
            self.common.events.note(&self.name, zig.describe(&self.output.requirements.build));
        }
        self.output = output;
        Ok(solved)
    }

    /// The packages of an environment as the package that is built again records them.
    fn recorded(&self, env: Env) -> Option<&[LockedPackage]> {
        let record = self.common.request.settings.record.as_ref().filter(|record| record.output == self.output.name)?;
        Some(match env {
            Env::Build => &record.environments.build,
            Env::Host => &record.environments.host,
        })
    }

    /// Exactly these packages.
    async fn exactly(&self, which: &str, packages: &[LockedPackage], platform: Subdir) -> Result<Vec<RepoDataRecord>> {
        let exact: Vec<String> = packages.iter().filter_map(LockedPackage::exact_spec).collect();
        let records = self.solve_one(which, &exact, Vec::new(), platform).await?;
        for package in packages {
            let same = |record: &&RepoDataRecord| record.identifier.to_string() == package.filename;
            let found = records.iter().find(same).and_then(|record| record.package_record.sha256);
            if found.map(|digest| hex::encode(&digest[..])) != package.sha256 {
                if records.iter().any(|record| same(&record) && self.is_own(record)) {
                    let message = format!("`{}`, which it was built with, is not reproduced", package.filename);
                    return Err(Error::new(Kind::Verification, message)
                        .help("build that package again, for what differs in it and why"));
                }
                let message = format!("`{}` is not the package that was used the first time", package.filename);
                return Err(Error::new(Kind::Unavailable, message)
                    .help(format!("it came from the channel `{}`: give that channel with `-c`", package.channel)));
            }
        }
        Ok(records)
    }

    /// Whether a package is the recipe's own: it is built, not locked.
    fn is_own(&self, record: &RepoDataRecord) -> bool {
        let name = record.package_record.name.as_normalized();
        self.common.selection.rendering.outputs.iter().any(|output| output.name.eq_ignore_ascii_case(name))
    }

    /// One environment, which errors and locks call `which`; a lock that holds the output takes the place of
    /// `constraints`. For outputs before the one that is built again, of which no package tells, it is as near to that
    /// one's as it can be.
    pub(super) async fn solve_one(
        &self,
        which: &str,
        specs: &[String],
        constraints: Vec<String>,
        platform: Subdir,
    ) -> Result<Vec<RepoDataRecord>> {
        let record = self.common.request.settings.record.as_ref().filter(|record| record.output != self.output.name);
        if let Some(record) = record {
            let environments = &record.environments;
            let packages = if which == Env::Build.name() { &environments.build } else { &environments.host };
            let as_recorded = packages.iter().filter_map(LockedPackage::exact_spec);
            let near = constraints.iter().cloned().chain(as_recorded).collect();
            match self.solve_within(which, specs, near, platform).await {
                Err(error) if error.kind == Kind::Unavailable => {}
                solved => return solved,
            }
        }
        self.solve_within(which, specs, constraints, platform).await
    }

    async fn solve_within(
        &self,
        which: &str,
        specs: &[String],
        mut constraints: Vec<String>,
        platform: Subdir,
    ) -> Result<Vec<RepoDataRecord>> {
        let settings = &self.common.request.settings;
        let native = platform == settings.build_platform;
        let locked = self.locked()?;
        if let Some(locked) = &locked {
            constraints = locked.constraints(which);
        }
        let solved = self
            .common
            .channels
            .solve(&SolveRequest {
                what: format!("{which} environment of `{}`", self.output.name),
                specs: specs.to_vec(),
                constraints,
                platform,
                virtual_packages: channels::virtual_packages(platform, native)?,
                local: Some(self.common.local.clone()),
            })
            .await;
        let Some(locked) = locked else { return solved };
        let solved = solved.map_err(|error| locked.unsolvable(which, error))?;
        let others: Vec<RepoDataRecord> = solved.iter().filter(|record| !self.is_own(record)).cloned().collect();
        locked.check_environment(which, &others)?;
        Ok(solved)
    }

    /// Requirements without the recipe's own packages, which are not built yet; in their place stands what they require.
    pub(super) fn without_own_packages(&self, specs: &[String]) -> Vec<String> {
        let outputs = &self.common.selection.rendering.outputs;
        let mut open = specs.to_vec();
        let mut own_seen = BTreeSet::new();
        let mut found = Vec::new();
        while let Some(spec) = open.pop() {
            // A pin of a v1 recipe in its symbolic form names a package of the recipe, or repeats one that is there.
            if spec.starts_with('{') {
                continue;
            }
            let name = name_of(&spec);
            match outputs.iter().find(|output| !output.skip && output.name.eq_ignore_ascii_case(name)) {
                Some(own) if own_seen.insert(own.name.clone()) => open.extend(own.requirements.run.clone()),
                Some(_) => {}
                None => found.push(spec),
            }
        }
        found.reverse();
        found
    }
}

/// A job's way to choose.
struct ForBuild<'a> {
    job: &'a Job,
    facts: &'a Facts,
}

impl Choose for ForBuild<'_> {
    fn channels(&self) -> &Channels {
        &self.job.common.channels
    }

    fn cgo_compiler(&self) -> Option<CgoCompiler> {
        self.job.common.request.settings.cgo_compiler
    }

    async fn choose(&self, env: Env, specs: &[String], platform: Subdir) -> Result<Vec<RepoDataRecord>> {
        let job = self.job;
        let which = env.name();
        if let Some(packages) = job.recorded(env) {
            return job.exactly(which, packages, platform).await;
        }
        // Only a build finds the recipe's own packages beside the channels.
        let reduced;
        let specs = if job.common.request.goal == Goal::Build {
            specs
        } else {
            reduced = job.without_own_packages(specs);
            &reduced
        };
        match env {
            Env::Build => job.solve_build(self.facts, specs).await,
            Env::Host => job.solve_one(which, specs, Vec::new(), platform).await,
        }
    }
}
