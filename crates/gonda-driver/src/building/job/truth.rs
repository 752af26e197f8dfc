//! What compiled files say of themselves, held against the target platform, the plan and the metadata before they are
//! packed: a package can't lie about what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gonda_packager::truth::{self, Claims, Finding, Provider, Rule};
use gonda_packager::{Binary, Entry, Severity};
use gonda_recipe::Output;
use rattler_conda_types::{PrefixRecord, RepoDataRecord};

use crate::truth::golang::{self, GoPlan};
use crate::truth::{Known, compiled};
use crate::{Error, Kind, Result, environment};

/// What the files of a package are held against.
pub(super) struct Check<'a> {
    /// As finalised.
    pub(super) output: &'a Output,
    /// Packages of the build environment.
    pub(super) build: &'a [RepoDataRecord],
    /// Where the host environment is installed.
    pub(super) prefix: &'a Path,
    /// What the source came with.
    pub(super) known: &'a Known,
    /// Missing metadata are an error, not a warning.
    pub(super) strict: bool,
}

impl Check<'_> {
    /// Looks at every compiled file that is to be packed; the answer is what to warn of.
    ///
    /// # Errors
    /// [`Kind::Verification`] with everything that is wrong; files that can't be read.
    pub(super) fn run(&self, entries: &[Entry]) -> Result<Vec<Finding>> {
        let mut files = Vec::new();
        for entry in entries.iter().filter(|entry| matches!(entry.kind, gonda_packager::Kind::File)) {
            let Some(mut file) = compiled(&entry.source)? else { continue };
            // What is too damaged to be read is a fixture, or a finding of `gonda verify`.
            let Some(Ok(binary)) = Binary::read(&mut file) else { continue };
            let go = golang::read(&entry.path, &binary, &mut file);
            let of_source = self.known.has(&mut file, &entry.source)?;
            files.push((entry.path.clone(), binary, go, of_source));
        }
        let claims = self.claims(entries, files.iter().any(|(_, binary, ..)| !binary.needed.is_empty()))?;
        let plan = self.plan();
        let mut findings = Vec::new();
        for (path, binary, go, of_source) in &files {
            let mut of_file = truth::check(path, binary, &claims);
            of_file.extend(go.iter().flat_map(|go| golang::check(go, claims.subdir, Some(&plan))));
            findings.extend(of_file.into_iter().filter_map(|finding| self.judge(finding, *of_source)));
        }
        let (errors, warnings): (Vec<Finding>, Vec<Finding>) =
            findings.into_iter().partition(|finding| finding.severity == Severity::Error);
        match as_error(errors) {
            Some(error) => Err(error),
            None => Ok(warnings),
        }
    }

    /// What follows from a finding in a build.
    fn judge(&self, finding: Finding, of_source: bool) -> Option<Finding> {
        if of_source {
            // Others built it: how is not this build's concern.
            let own = matches!(finding.rule, Rule::BuildInfo | Rule::Toolchain | Rule::Modules);
            let message = format!("{}; the source has it as it is", finding.message);
            return (!own).then_some(Finding { severity: Severity::Warning, message, help: None, ..finding });
        }
        let strict = self.strict && finding.rule.is_of_metadata();
        Some(Finding { severity: if strict { Severity::Error } else { finding.severity }, ..finding })
    }

    fn claims(&self, entries: &[Entry], with_environment: bool) -> Result<Claims> {
        let claims = Claims {
            subdir: self.output.noarch.is_none().then_some(self.output.target_platform),
            depends: self.output.depends.clone(),
            constrains: self.output.constrains.clone(),
            environment: if with_environment { Some(self.environment()?) } else { None },
            ..Claims::default()
        };
        Ok(claims.with_files(entries.iter().map(|entry| entry.path.as_str())))
    }

    /// The files of the host environment by name, and whether their packages are there when the program runs.
    fn environment(&self) -> Result<BTreeMap<String, Provider>> {
        let records: Vec<PrefixRecord> = PrefixRecord::collect_from_prefix(self.prefix)?;
        let mut at_run_time: BTreeSet<&str> = self.output.depends.iter().map(|spec| name_of(spec)).collect();
        loop {
            let before = at_run_time.len();
            for record in &records {
                let package = &record.repodata_record.package_record;
                if at_run_time.contains(package.name.as_normalized()) {
                    at_run_time.extend(package.depends.iter().map(|spec| name_of(spec)));
                }
            }
            if at_run_time.len() == before {
                break;
            }
        }
        let mut providers = BTreeMap::new();
        for record in &records {
            let package = record.repodata_record.package_record.name.as_normalized();
            let provider = Provider { package: package.to_owned(), at_run_time: at_run_time.contains(package) };
            for file in record.files.iter().filter_map(|file| file.file_name()?.to_str()) {
                providers.insert(file.to_owned(), provider.clone());
            }
        }
        Ok(providers)
    }

    fn plan(&self) -> GoPlan {
        let go = environment::go_of(self.build);
        let mut plan =
            GoPlan { toolchain: go.map(|record| record.package_record.version.version().clone()), ..GoPlan::default() };
        for go_sum in self.known.go_sums() {
            plan.add_sums(go_sum);
        }
        plan
    }
}

/// The package name that a match spec begins with.
fn name_of(spec: &str) -> &str {
    let spec = spec.rsplit_once("::").map_or(spec, |(_, rest)| rest).trim_start();
    spec.split(|c: char| c.is_whitespace() || "<>=!~[;,".contains(c)).next().unwrap_or(spec)
}

/// A finding as text for who watches the build.
pub(super) fn as_warning(finding: &Finding) -> String {
    let help = finding.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("`{}` {}{help}", finding.path, finding.message)
}

/// The first error, with the others beside it.
fn as_error(errors: Vec<Finding>) -> Option<Error> {
    let mut errors = errors.into_iter().map(|finding| {
        let mut error = Error::new(Kind::Verification, format!("`{}` {}", finding.path, finding.message));
        error.help = finding.help;
        error
    });
    let mut first = errors.next()?;
    first.others = errors.collect();
    Some(first)
}

#[cfg(test)]
mod tests;
