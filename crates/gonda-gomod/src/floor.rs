//! The least Go toolchain that go.mod and go.work allow, as a constraint on conda's package.
//!
//! Go orders `1.21 < 1.21rc1 < 1.21.0`, conda `1.21rc1 < 1.21 == 1.21.0`. A floor of `1.N` thus admits release candidates
//! in Go and not in conda, which is what one wants of a build.

use crate::go_mod::{Directive, GoMod};
use crate::go_version::GoVersion;
use crate::go_work::GoWork;

/// What go.mod and go.work ask of the toolchain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolchainFloor {
    /// The highest `go` line: an older toolchain refuses to build (`go.mod requires go >= …`).
    pub go: Option<GoVersion>,
    /// The highest `toolchain` line above [`Self::go`]: a suggestion. With `GOTOOLCHAIN=local` an older toolchain builds.
    pub toolchain: Option<GoVersion>,
}

impl ToolchainFloor {
    /// The floor of a build's main modules and their workspace.
    pub fn new<'a>(mains: impl IntoIterator<Item = &'a GoMod>, work: Option<&GoWork>) -> Self {
        let mut this = Self::default();
        for main in mains {
            this.raise(main.go.as_ref(), main.toolchain.as_ref());
        }
        if let Some(work) = work {
            this.raise(work.go.as_ref(), work.toolchain.as_ref());
        }
        if this.toolchain <= this.go {
            this.toolchain = None;
        }
        this
    }

    fn raise(&mut self, go: Option<&Directive<GoVersion>>, toolchain: Option<&Directive<String>>) {
        let highest = |slot: &mut Option<GoVersion>, version: Option<GoVersion>| {
            if version > *slot {
                *slot = version;
            }
        };
        highest(&mut self.go, go.map(|go| go.value.clone()));
        highest(&mut self.toolchain, toolchain.and_then(|name| GoVersion::from_toolchain(&name.value)));
    }

    /// The match spec that must hold, such as `go >=1.22.1`; `package` is the toolchain's package name. `None` where
    /// nothing is asked.
    #[must_use]
    pub fn required_spec(&self, package: &str) -> Option<String> {
        self.go.as_ref().map(|version| format!("{package} >={version}"))
    }

    /// The match spec to try first: with the suggested toolchain, where that is above the `go` line. Where it can't be
    /// solved, [`Self::required_spec`] is what counts.
    #[must_use]
    pub fn preferred_spec(&self, package: &str) -> Option<String> {
        self.toolchain.as_ref().or(self.go.as_ref()).map(|version| format!("{package} >={version}"))
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use rattler_conda_types::{MatchSpec, ParseMatchSpecOptions, Version};

    use super::*;

    fn check(go_mod: &str, work: &str, expected: &str) {
        let go_mod = GoMod::parse(go_mod).unwrap();
        let work = (!work.is_empty()).then(|| GoWork::parse(work).unwrap());
        let floor = ToolchainFloor::new([&go_mod], work.as_ref());
        let show = |spec: Option<String>| spec.unwrap_or_else(|| "-".to_owned());
        assert_eq!(format!("{}, {}", show(floor.required_spec("go")), show(floor.preferred_spec("go"))), expected);
    }

    #[test]
    fn floors() {
        check("module a.b", "", "-, -");
        check("go 1.21", "", "go >=1.21, go >=1.21");
        check("go 1.22.3\ntoolchain go1.23.4", "", "go >=1.22.3, go >=1.23.4");
        check("go 1.22.3\ntoolchain go1.22.3-custom", "", "go >=1.22.3, go >=1.22.3");
        check("go 1.22.3\ntoolchain default", "", "go >=1.22.3, go >=1.22.3");
        check("go 1.22.3", "go 1.24.0", "go >=1.24.0, go >=1.24.0");
        check("go 1.22rc1", "", "go >=1.22rc1, go >=1.22rc1");
    }

    #[test]
    fn conda_reads_them() {
        let spec = MatchSpec::from_str("go >=1.22", ParseMatchSpecOptions::strict()).unwrap();
        let range = spec.version.unwrap();
        for (version, fits) in
            [("1.22.0", true), ("1.22", true), ("1.21.9", false), ("1.22rc1", false), ("1.27.3", true)]
        {
            assert_eq!(range.matches(&Version::from_str(version).unwrap()), fits, "{version}");
        }
    }
}
