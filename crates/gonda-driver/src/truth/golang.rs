//! What a Go binary says of its build, held against the platform, the plan's toolchain and the source's go.sum.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use gonda_gomod::{BuildInfo, BuildInfoError, BuildModule, GoSum, read_build_info_from};
use gonda_packager::Binary;
use gonda_packager::binary::{Format, Role};
use gonda_packager::truth::{Finding, Rule};
use rattler_conda_types::{Subdir, Version};

use crate::golang::go_platform;

/// A compiled file that Go's linker made.
#[derive(Debug)]
pub(crate) struct GoFile {
    pub(crate) path: String,
    pub(crate) info: Result<BuildInfo, BuildInfoError>,
    /// Position-independent, and nothing relocates it: no loader, no dynamic section that its start code could use.
    stranded: bool,
}

/// What the plan knows of the Go programs that a build makes.
#[derive(Debug, Default)]
pub(crate) struct GoPlan {
    /// The version of the `go` in the build environment.
    pub(crate) toolchain: Option<Version>,
    /// `h1:…` of modules, by path and version, as the source's go.sum files have them.
    pub(crate) sums: BTreeMap<(String, String), BTreeSet<String>>,
}

impl GoPlan {
    /// Adds a go.sum of the source. One that can't be parsed says nothing; Go itself complains of it.
    pub(crate) fn add_sums(&mut self, go_sum: &str) {
        let Ok(go_sum) = GoSum::parse(go_sum) else { return };
        for (module, sums) in go_sum.zips() {
            let key = (module.path.clone(), module.version.clone());
            self.sums.entry(key).or_default().extend(sums.into_iter().map(str::to_owned));
        }
    }
}

/// Reads the build information; `None` for what isn't Go's.
pub(crate) fn read(path: &str, binary: &Binary, mut bytes: &mut (impl Read + Seek + ?Sized)) -> Option<GoFile> {
    if binary.role == Role::Object {
        return None;
    }
    let info = read_build_info_from(&mut bytes);
    if matches!(info, Err(BuildInfoError::NotGo | BuildInfoError::Format)) {
        return None;
    }
    let stranded = binary.format == Format::Elf && binary.pie && binary.interpreter.is_none() && !binary.dynamic;
    Some(GoFile { path: path.to_owned(), info, stranded })
}

/// All that is wrong. `plan` is known for files that were just built.
pub(crate) fn check(file: &GoFile, subdir: Option<Subdir>, plan: Option<&GoPlan>) -> Vec<Finding> {
    let path = file.path.as_str();
    let info = match &file.info {
        Ok(info) => info,
        Err(error) => {
            let message = format!("is a Go program whose build information can't be read: {error}");
            return vec![Finding::error(path, Rule::BuildInfo, message)];
        }
    };
    let mut findings = Vec::new();
    if info.hidden_from_go {
        let message = "is a Go program that `go version -m` calls none: segments of size 0 stand first, as patchelf \
                       leaves them";
        findings.push(
            Finding::error(path, Rule::BuildInfo, message)
                .help("switch off what rewrites binaries: `build: binary_relocation: false`"),
        );
    }
    findings.extend(subdir.and_then(|subdir| platform(path, info, subdir)));
    if file.stranded && info.setting("-buildmode") == Some("pie") {
        findings.push(
            Finding::error(path, Rule::Interpreter, "is position-independent without a loader, so it crashes at start")
                .help("leave out `-ldflags -d`, or add `-buildmode=exe`"),
        );
    }
    if let Some(plan) = plan {
        findings.extend(plan.toolchain.as_ref().and_then(|planned| toolchain(path, info, planned)));
        findings.extend(modules(path, info, plan));
    }
    findings
}

fn platform(path: &str, info: &BuildInfo, subdir: Subdir) -> Option<Finding> {
    let (goos, goarch) = go_platform(subdir)?;
    let (os, arch) = (info.setting("GOOS")?, info.setting("GOARCH")?);
    ((os, arch) != (goos, goarch)).then(|| {
        let message = format!("says that it was built for {os}/{arch}, and the package is for {goos}/{goarch}");
        Finding::error(path, Rule::BuildInfo, message)
    })
}

/// The toolchain is compared as conda orders versions: `1.21` is `1.21.0`.
fn toolchain(path: &str, info: &BuildInfo, planned: &Version) -> Option<Finding> {
    // `go1.26.8 X:someexperiment`, `devel go1.28-0123abc …`.
    let word = info.go_version.split_whitespace().find_map(|word| word.strip_prefix("go"))?;
    let version = word.split(['-', '+']).next()?;
    let built: Version = version.parse().ok()?;
    let development = info.go_version.starts_with("devel");
    (built != *planned && !development).then(|| {
        let message = format!("was built by go{version}, and the build environment has go {planned}");
        Finding::error(path, Rule::Toolchain, message)
            .help("the script used another Go than the one on PATH, or packs a program that was built elsewhere")
    })
}

fn modules(path: &str, info: &BuildInfo, plan: &GoPlan) -> Option<Finding> {
    let used = |module: &BuildModule| match &module.replace {
        Some(other) => (other.path.clone(), other.version.clone(), other.sum.clone()),
        None => (module.path.clone(), module.version.clone(), module.sum.clone()),
    };
    let wrong: Vec<String> = info
        .deps
        .iter()
        .map(used)
        .filter_map(|(module, version, sum)| {
            let key = (module, version);
            let listed = plan.sums.get(&key)?;
            (!sum.is_empty() && !listed.contains(&sum)).then(|| format!("`{}@{}` with {sum}", key.0, key.1))
        })
        .collect();
    let first = wrong.first()?;
    let more = if wrong.len() > 1 { format!(" and {} more", wrong.len() - 1) } else { String::new() };
    let message = format!("has the module {first}{more}, which is not what the source's go.sum says");
    Some(
        Finding::error(path, Rule::Modules, message)
            .help("the script must not change go.sum or switch GOFLAGS=-mod=mod on"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str, settings: &[(&str, &str)]) -> BuildInfo {
        BuildInfo {
            go_version: version.to_owned(),
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ..BuildInfo::default()
        }
    }

    fn check_one(info: BuildInfo, stranded: bool, plan: &GoPlan) -> String {
        let file = GoFile { path: "bin/x".to_owned(), info: Ok(info), stranded };
        let findings = check(&file, Some(Subdir::Linux64), Some(plan));
        findings.iter().map(|finding| format!("{}\n", finding.message)).collect()
    }

    #[test]
    fn toolchain_and_platform() {
        let plan = GoPlan { toolchain: Some("1.21".parse().unwrap()), ..GoPlan::default() };
        let linux = [("GOOS", "linux"), ("GOARCH", "amd64")];
        for version in ["go1.21.0", "go1.21.0 X:nocoverageredesign", "devel go1.22-abc"] {
            assert_eq!(check_one(info(version, &linux), false, &plan), "", "{version}");
        }
        assert_eq!(
            check_one(info("go1.22.1", &[("GOOS", "linux"), ("GOARCH", "arm64")]), false, &plan),
            "says that it was built for linux/arm64, and the package is for linux/amd64\n\
             was built by go1.22.1, and the build environment has go 1.21\n"
        );
    }

    #[test]
    fn what_go_cannot_read_and_what_cannot_start() {
        let plan = GoPlan::default();
        let hidden = BuildInfo { hidden_from_go: true, ..info("go1.26.8", &[]) };
        assert!(check_one(hidden, false, &plan).contains("`go version -m` calls none"));
        assert!(check_one(info("go1.26.8", &[("-buildmode", "pie")]), true, &plan).contains("crashes at start"));
        assert_eq!(check_one(info("go1.26.8", &[("-buildmode", "exe")]), true, &plan), "");
        let lost = GoFile { path: "bin/x".to_owned(), info: Err(BuildInfoError::Lost), stranded: false };
        assert_eq!(check(&lost, None, None)[0].rule, Rule::BuildInfo);
    }

    #[test]
    fn modules_are_those_of_go_sum() {
        let mut plan = GoPlan::default();
        plan.add_sums("a.b/c v1.0.0 h1:AAAA\na.b/c v1.0.0/go.mod h1:BBBB\n");
        let with = |version: &str, sum: &str| {
            let module = BuildModule {
                path: "a.b/c".to_owned(),
                version: version.to_owned(),
                sum: sum.to_owned(),
                replace: None,
            };
            BuildInfo { deps: vec![module], ..info("go1.26.8", &[]) }
        };
        // A version that go.sum doesn't know, or a vendored module without a sum, is not compared.
        for (version, sum) in [("v1.0.0", "h1:AAAA"), ("v1.0.0", ""), ("v1.1.0", "h1:CCCC")] {
            assert_eq!(check_one(with(version, sum), false, &plan), "");
        }
        assert!(check_one(with("v1.0.0", "h1:BBBB"), false, &plan).contains("`a.b/c@v1.0.0` with h1:BBBB"));
    }
}
