//! The Go toolchain that go.mod and go.work ask for, in the solve of a build environment.
//!
//! Their `go` line is a constraint: an older Go refuses to build, or, if it is older than that rule, builds something
//! else. Their `toolchain` line is tried first and dropped where it can't be had, for with `GOTOOLCHAIN=local` Go takes it
//! as a wish. Neither enters a requirement, a hash or metadata.

use rattler_conda_types::{MatchSpec, PackageNameMatcher, ParseMatchSpecOptions, RepoDataRecord, Version};

use super::Job;
use crate::building::facts::Facts;
use crate::modules::Floor;
use crate::{Error, Kind, Result, zig};

/// The package that holds the toolchain.
const GO: &str = "go";

impl Job {
    /// Chooses a build environment whose Go, if it has one, is as new as the source wants it.
    ///
    /// # Errors
    /// As [`crate::channels::Channels::solve`]; where the `go` line alone is in the way, the error says what keeps Go
    /// below it.
    pub(super) async fn solve_build(&self, facts: &Facts, specs: &[String]) -> Result<Vec<RepoDataRecord>> {
        let specs = &self.for_this_machine(specs).await?;
        match self.solve_with_floor(facts, specs).await {
            Err(error) if error.kind == Kind::Unavailable => Err(self.with_zig_named(error, specs).await),
            chosen => chosen,
        }
    }

    async fn solve_with_floor(&self, facts: &Facts, specs: &[String]) -> Result<Vec<RepoDataRecord>> {
        let platform = self.output.build_platform;
        let Some(floor) = facts.floor.as_ref().filter(|_| self.common.request.lock.is_none()) else {
            return self.solve_one("build", specs, Vec::new(), platform).await;
        };
        if floor.preferred != floor.required {
            match self.solve_one("build", specs, vec![floor.preferred.clone()], platform).await {
                Err(error) if error.kind == Kind::Unavailable => {}
                result => return result,
            }
        }
        match self.solve_one("build", specs, vec![floor.required.clone()], platform).await {
            Err(error) if error.kind == Kind::Unavailable => {
                let without = self.solve_one("build", specs, Vec::new(), platform).await?;
                Err(self.in_the_way(floor, specs, &without, error))
            }
            result => result,
        }
    }

    /// The way out where no channel has C compilers of this machine for the target.
    async fn with_zig_named(&self, error: Error, specs: &[String]) -> Error {
        let replaceable = zig::replaceable(&self.output, specs);
        let lacking = self.common.channels.lacking(&replaceable, self.output.build_platform).await;
        if !lacking.is_ok_and(|names| !names.is_empty()) {
            return error;
        }
        let way = format!("`--cgo-compiler zig` compiles C for {} without them", self.output.target_platform);
        let help = error.help.as_ref().map_or_else(|| way.clone(), |help| format!("{help}; {way}"));
        error.help(help)
    }

    /// Why there is no Go as new as `floor`, by the environment that there would be without it.
    fn in_the_way(&self, floor: &Floor, specs: &[String], without: &[RepoDataRecord], error: Error) -> Error {
        let mut holders: Vec<String> = specs
            .iter()
            .filter(|spec| holds_back(spec, &floor.go))
            .map(|spec| format!("the recipe asks for `{spec}`"))
            .collect();
        for record in without {
            let package = &record.package_record;
            let name = package.name.as_normalized();
            let held = package.depends.iter().filter(|spec| holds_back(spec, &floor.go));
            holders.extend(held.map(|spec| format!("`{name} {}` needs `{spec}`", package.version)));
        }
        let go = without.iter().find(|record| record.package_record.name.as_normalized() == GO);
        let would_be = go.map(|go| format!("; without that line it would have Go {}", go.package_record.version));
        let help = match holders.is_empty() {
            true => "no channel that was asked has such a Go: add one that does".to_owned(),
            false => format!("{}; ask for a newer one in the recipe or its variants", holders.join(", ")),
        };
        let message = format!(
            "`{}` asks for Go {} or newer, and the build environment of `{}` can't have it{}",
            floor.file,
            floor.go,
            self.output.name,
            would_be.unwrap_or_default()
        );
        Error { cause: error.cause, ..Error::new(Kind::Unavailable, message).help(help) }
    }
}

/// Whether a requirement is one on Go that the wanted version doesn't fulfil.
fn holds_back(spec: &str, wanted: &str) -> bool {
    let Ok(spec) = MatchSpec::from_str(spec, ParseMatchSpecOptions::lenient()) else { return false };
    let PackageNameMatcher::Exact(name) = &spec.name else { return false };
    let (Some(range), Ok(wanted)) = (&spec.version, wanted.parse::<Version>()) else { return false };
    name.as_normalized() == GO && !range.matches(&wanted)
}

#[cfg(test)]
mod tests {
    use super::holds_back;

    #[test]
    fn what_holds_back() {
        let check = |spec: &str, expected: bool| assert_eq!(holds_back(spec, "1.24.1"), expected, "{spec}");
        check("go 1.23.*", true);
        check("go 1.23.4 h1_0", true);
        check("go <1.24", true);
        check("go 1.24.*", false);
        check("go >=1.20", false);
        check("go", false);
        check("golang 1.2", false);
    }
}
