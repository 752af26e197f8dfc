//! The sample feedstocks for all seven targets: one run that starts with nothing but channel and sources, looked at from
//! several sides. `build.rs` reads what is in its packages, `reproducible.rs` holds other builds against it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gonda_testkit::{GO_LICENSES, Run, World, copy_tree, sha256, skipped, system_cc};
use serde_json::Value;

use crate::support::{Lab, SEVEN, files, here, on_linux_64, scratch};

/// A package of a sample, and the files that it has outside `info/`: the program first.
struct Package {
    feedstock: &'static str,
    name: &'static str,
    unix: &'static [&'static str],
    windows: &'static [&'static str],
}

const PACKAGES: [Package; 9] = [
    package("tally", "tally", &["bin/tally"], &["Library/bin/tally.exe"]),
    package("epochal", "epochal", &["bin/epochal"], &["Library/bin/epochal.exe"]),
    package("hexpair", "hexpair-encode", &["bin/tohex"], &["Library/bin/tohex.exe"]),
    package("hexpair", "hexpair-decode", &["bin/fromhex"], &["Library/bin/fromhex.exe"]),
    package("orrery", "orrery", &["bin/orrery"], &["bin/orrery.exe"]),
    package("glossary", "glossary", &["bin/glossary"], &["Library/bin/glossary.exe"]),
    package("slugify", "slugify", &["bin/slugify", "share/man/man1/slugify.1"], &["Library/bin/slugify.exe"]),
    package(
        "lumen",
        "lumen",
        &[
            "bin/lumen",
            "share/bash-completion/completions/lumen",
            "share/fish/vendor_completions.d/lumen.fish",
            "share/zsh/site-functions/_lumen",
        ],
        &[
            "Library/bin/lumen.exe",
            "Library/share/bash-completion/completions/lumen",
            "Library/share/fish/vendor_completions.d/lumen.fish",
        ],
    ),
    // Through cgo; the machine's C compiler makes programs for the machine alone.
    package("adlersum", "adlersum", &["bin/adlersum"], &[]),
];

const fn package(
    feedstock: &'static str,
    name: &'static str,
    unix: &'static [&'static str],
    windows: &'static [&'static str],
) -> Package {
    Package { feedstock, name, unix, windows }
}

/// The run, and what it left.
pub struct Samples {
    /// Its output folder.
    output: PathBuf,
    cache: PathBuf,
    run: Run,
    /// Samples that can't be built here, and why.
    left_out: Vec<(&'static str, String)>,
    /// Nobody else's run takes its folders away.
    _lock: File,
}

impl Samples {
    /// Makes the run, for the first that asks; `None` says that the test is skipped.
    pub fn built(test: &str) -> Option<&'static Self> {
        static BUILT: OnceLock<Option<Samples>> = OnceLock::new();
        if !on_linux_64(test) {
            return None;
        }
        // A lab that can't be had is skipped in each test's own name.
        Lab::real(test)?;
        BUILT.get_or_init(|| Lab::real(test).map(Self::build)).as_ref()
    }

    /// The same for a test about one sample.
    pub fn with(sample: &str, test: &str) -> Option<&'static Self> {
        let this = Self::built(test)?;
        if let Some((_, reason)) = this.left_out.iter().find(|(name, _)| *name == sample) {
            skipped(test, reason);
            return None;
        }
        Some(this)
    }

    fn build(mut lab: Lab) -> Self {
        let lock = File::create(scratch().join("samples.lock")).unwrap();
        lock.lock().unwrap();
        let folder = scratch().join("samples");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        let (output, cache) = (folder.join("output"), folder.join("cache"));
        // Cold: not even the standard library is compiled.
        lab.world.share_cache(&cache);
        lab.with_sample_modules();

        let mut left_out = Vec::new();
        if std::env::var_os(GO_LICENSES).is_none() {
            let reason =
                "no source of go-licenses: `cargo xtask test` fetches it where a Go module proxy can be reached";
            left_out.push(("lumen", reason.to_owned()));
        }
        if let Err(reason) = system_cc() {
            left_out.push(("adlersum", reason));
        }
        let mut feedstocks: Vec<&str> = PACKAGES.iter().map(|package| package.feedstock).collect();
        feedstocks.dedup();
        feedstocks.retain(|feedstock| left_out.iter().all(|(name, _)| name != feedstock));
        let recipes: Vec<String> =
            feedstocks.iter().map(|name| lab.sample(name).to_str().unwrap().to_owned()).collect();
        let flags = ["--all-targets", "--jobs", "2", "--test", "native-and-emulated", "--format", "json"];
        let more: Vec<&str> = recipes[1..].iter().map(String::as_str).chain(flags).collect();
        let variant = c_variant();
        let more = [&more[..], &["--variants", &variant]].concat();
        let run = lab.build(Path::new(&recipes[0]), &more);
        copy_tree(&lab.world.output(), &output);
        Self { output, cache, run, left_out, _lock: lock }
    }

    /// A world and a channel for one more build, with the caches as the run left them.
    pub fn lab(&self, test: &str) -> Option<Lab> {
        let mut lab = Lab::real(test)?;
        lab.world.share_cache(&self.cache);
        lab.with_sample_modules();
        Some(lab)
    }

    /// The standard library as the run compiled it.
    pub fn go_std(&self) -> PathBuf {
        self.cache.join("gocache")
    }

    /// The package of that name for a target.
    pub fn package(&self, name: &str, target: &str) -> PathBuf {
        let begins = |file: &str| file.strip_prefix(name).is_some_and(|rest| rest[1..].starts_with(char::is_numeric));
        let packages: Vec<PathBuf> = std::fs::read_dir(self.output.join(target))
            .unwrap_or_else(|error| panic!("no package for {target}: {error}\n{}", self.run))
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "conda"))
            .filter(|path| begins(path.file_name().unwrap().to_str().unwrap()))
            .collect();
        assert_eq!(packages.len(), 1, "`{name}` for {target}: {packages:?}\n{}", self.run);
        packages[0].clone()
    }

    /// The log of a package's build.
    pub fn log(&self, name: &str, target: &str) -> String {
        let package = self.package(name, target);
        let stem = package.file_stem().unwrap().to_str().unwrap();
        let log = self.output.join(format!("logs/{stem}_{target}.log"));
        String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
    }

    /// The digests of a sample's packages, by target and file name.
    pub fn digests(&self, sample: &str) -> BTreeMap<String, String> {
        let packages = PACKAGES.iter().filter(|package| package.feedstock == sample);
        let built = packages.flat_map(|package| {
            let targets = SEVEN.iter().filter(|target| package.is_for(target));
            targets.map(|target| (*target, self.package(package.name, target)))
        });
        built.map(|(target, path)| (named(target, &path), digest(&path))).collect()
    }

    fn jobs(&self) -> Vec<Value> {
        crate::matrix::jobs(&self.run)
    }

    /// What became of the job for a package.
    fn job(&self, name: &str, target: &str) -> Value {
        let jobs = self.jobs().into_iter();
        let mut found = jobs.filter(|job| job["name"] == name && job["target_platform"] == target);
        found.next().unwrap_or_else(|| panic!("no job for `{name}` on {target}\n{}", self.run))
    }

    /// Packages whose feedstocks could be built at all.
    fn packages(&self) -> impl Iterator<Item = &'static Package> {
        PACKAGES.iter().filter(|package| self.left_out.iter().all(|(name, _)| *name != package.feedstock))
    }
}

impl Package {
    fn is_for(&self, target: &str) -> bool {
        self.feedstock != "adlersum" || target == "linux-64"
    }

    fn files(&self, target: &str) -> &'static [&'static str] {
        if target.starts_with("win") { self.windows } else { self.unix }
    }
}

/// The digests of all packages in a world's output folder.
pub fn digests(world: &World) -> BTreeMap<String, String> {
    let packages = world.packages().into_iter();
    packages.map(|name| (name.clone(), digest(&world.output().join(name)))).collect()
}

/// The variant that asks for the machine's C compiler: the feedstock pins conda-forge's version.
pub fn c_variant() -> String {
    format!("{{c_compiler_version: '{}'}}", system_cc().map_or_else(|_| "0".to_owned(), |(_, version)| version))
}

fn named(target: &str, package: &Path) -> String {
    format!("{target}/{}", package.file_name().unwrap().to_str().unwrap())
}

fn digest(package: &Path) -> String {
    sha256(&std::fs::read(package).unwrap())
}

#[test]
fn every_sample_is_built_for_every_target() {
    let Some(samples) = Samples::built(here!()) else { return };
    let run = samples.run.clone().succeeds();
    for (sample, reason) in &samples.left_out {
        skipped(&format!("{} ({sample})", here!()), reason);
    }
    let statuses = |feedstock_name: &str| -> Vec<String> {
        SEVEN.iter().map(|target| samples.job(feedstock_name, target)["status"].as_str().unwrap().to_owned()).collect()
    };
    for package in samples.packages() {
        let expected = match package.feedstock {
            // A compiler for no other target; the recipe has nothing for Windows.
            "adlersum" => {
                let none = "no-toolchain";
                ["built", none, none, none, none, "skipped", "skipped"]
            }
            _ => ["built"; 7],
        };
        assert_eq!(statuses(package.name), expected, "{}\n{run}", package.name);
    }
    if let Some(adlersum) = samples.packages().find(|package| package.feedstock == "adlersum") {
        let job = samples.job(adlersum.name, "linux-aarch64");
        assert!(job["reason"].as_str().unwrap().starts_with("no gcc_linux-aarch64"), "{job}");
        assert_eq!(samples.job(adlersum.name, "win-64")["reason"], "by the recipe");
    }
}

#[test]
fn every_package_holds_what_its_target_needs() {
    let Some(samples) = Samples::built(here!()) else { return };
    let mut verify = vec!["verify".to_owned()];
    for target in SEVEN {
        for package in samples.packages().filter(|package| package.is_for(target)) {
            let path = samples.package(package.name, target);
            let expected = package.files(target);
            let mut sorted = expected.to_vec();
            sorted.sort_unstable();
            assert_eq!(files(&path), sorted, "{}", path.display());
            let members = gonda_testkit::conda_members(&std::fs::read(&path).unwrap());
            let program = members.into_iter().find(|member| member.path == expected[0]).unwrap();
            assert_eq!(machine(&program.content), Some(target), "{}", path.display());
            verify.push(path.to_str().unwrap().to_owned());
        }
    }
    // gonda's own look agrees with the one above.
    let Some(lab) = samples.lab(here!()) else { return };
    lab.world.gonda(verify).succeeds();
}

/// The platform of a compiled program, by the first words of its header (elf(5), mach-o/loader.h, the PE format).
fn machine(program: &[u8]) -> Option<&'static str> {
    let number = |at: usize| Some(u16::from_le_bytes(program.get(at..at + 2)?.try_into().ok()?));
    match program.get(..4)? {
        b"\x7fELF" => match number(18)? {
            62 => Some("linux-64"),
            183 => Some("linux-aarch64"),
            21 => Some("linux-ppc64le"),
            _ => None,
        },
        b"\xcf\xfa\xed\xfe" => match program.get(4..8)? {
            b"\x07\0\0\x01" => Some("osx-64"),
            b"\x0c\0\0\x01" => Some("osx-arm64"),
            _ => None,
        },
        [b'M', b'Z', ..] => match number(usize::from(number(0x3c)?) + 4)? {
            0x8664 => Some("win-64"),
            0xaa64 => Some("win-arm64"),
            _ => None,
        },
        _ => None,
    }
}

/// How many tests of a package ran and passed, and why the others did not run.
fn tests(job: &Value) -> (u64, Vec<String>) {
    let not_run = job["tests"]["not_run"].as_array().unwrap_or_else(|| panic!("no tests in {job}"));
    let reasons = not_run.iter().map(|test| test[1].as_str().unwrap().to_owned()).collect();
    (job["tests"]["passed"].as_u64().unwrap(), reasons)
}

#[test]
fn programs_of_this_machine_and_of_emulators_run() {
    let Some(samples) = Samples::built(here!()) else { return };
    for target in ["linux-aarch64", "linux-ppc64le"] {
        for package in samples.packages().filter(|package| package.is_for(target)) {
            let (native, not_run) = tests(&samples.job(package.name, "linux-64"));
            assert!(native > 0 && not_run.is_empty(), "{}: {native} {not_run:?}", package.name);
            let (emulated, not_run) = tests(&samples.job(package.name, target));
            if let Some(reason) = not_run.first() {
                assert!(reason.contains("no emulator"), "{}: {reason}", package.name);
                skipped(&format!("{} ({target})", here!()), reason);
                break;
            }
            assert_eq!(emulated, native, "{} for {target}", package.name);
        }
    }
}

#[test]
fn programs_that_nothing_runs_are_not_said_to_have_passed() {
    let Some(samples) = Samples::built(here!()) else { return };
    for package in samples.packages().filter(|package| package.feedstock != "adlersum") {
        for target in ["osx-64", "osx-arm64", "win-arm64"] {
            let (passed, not_run) = tests(&samples.job(package.name, target));
            let ran = passed - u64::from(package.name == "slugify");
            assert_eq!(ran, 0, "{} for {target}: only what is looked at can pass", package.name);
            let expected = format!("no emulator runs programs for `{target}` here");
            assert!(!not_run.is_empty() && not_run.iter().all(|reason| *reason == expected), "{not_run:?}");
        }
    }
}
