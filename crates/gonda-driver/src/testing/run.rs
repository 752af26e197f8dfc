//! Runs a suite: for each plan a fresh environment, a work folder with the test's files, and its scripts.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rattler_conda_types::{MatchSpec, ParseStrictness, Subdir};

use super::{ScriptKind, Step, StepText, Subject, Suite, Test, TestPlan, json, read};
use crate::{Error, Events, Kind, Result};

/// What running tests asks of the machine: environments and processes.
pub trait Machine: Sync {
    /// Why programs of a platform can't run here; `None` if they can.
    fn refusal(&self, platform: Subdir) -> Option<String>;

    /// Why programs of an environment can't run here after all, though their platform's can; `None` if they can.
    fn lacking(&self, _prefix: &Path, _platform: Subdir) -> Option<String> {
        None
    }

    /// Makes an environment.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where the specs can't be solved or fetched.
    fn make_environment(
        &self,
        request: EnvironmentRequest,
    ) -> impl Future<Output = Result<Vec<InstalledPackage>>> + Send;

    /// Runs a script in activated environments. A script that fails is no error.
    ///
    /// # Errors
    /// The program can't be found or started, or the log can't be written.
    fn run_script(&self, request: ScriptRequest) -> impl Future<Output = Result<ScriptExit>> + Send;

    /// The folder with a package's extracted content, `info/` included.
    ///
    /// # Errors
    /// It can't be fetched or extracted.
    fn extracted(&self, package: &InstalledPackage) -> impl Future<Output = Result<PathBuf>> + Send;
}

/// An environment to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRequest {
    /// What it is for, for error messages: `test 1 (script)`.
    pub what: String,
    /// Match specs.
    pub specs: Vec<String>,
    /// Its platform.
    pub platform: Subdir,
    /// Where; the folder is not there yet.
    pub prefix: PathBuf,
}

/// A package of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string.
    pub build: String,
    /// Where it came from.
    pub url: String,
}

/// A script to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptRequest {
    /// What runs it: one of `kind.programs()` on the activated PATH, `kind.arguments()`, then `script`.
    pub kind: ScriptKind,
    /// The script's file.
    pub script: PathBuf,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Environments to activate, in this order; the last one's programs come first.
    pub prefixes: Vec<PathBuf>,
    /// The platform of the programs under test.
    pub platform: Subdir,
    /// The whole environment, but for PATH and what activation adds: nothing else comes from the caller.
    pub env: IndexMap<String, String>,
    /// Names of variables that the caller passes on; their values are hidden in the log.
    pub secrets: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// How a script ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptExit {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// The end of its output.
    pub last_lines: Vec<String>,
}

/// How to run tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// An empty folder of the run's own; the caller removes it.
    pub root: PathBuf,
    /// Where logs go, a file for each step.
    pub logs: PathBuf,
    /// The machine's platform.
    pub machine: Subdir,
    /// `CPU_COUNT`.
    pub cpu_count: usize,
}

/// What became of one step of a test, or of a test that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The test's name, with the step's where there are several.
    pub test: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Wall time of the script or check alone.
    pub elapsed: Duration,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and succeeded.
    Passed,
    /// It ran and failed, or is broken.
    Failed {
        /// What happened, for an error message.
        message: String,
        /// The script's exit code, if one ended by itself.
        exit_code: Option<i32>,
        /// The end of its output.
        last_lines: Vec<String>,
        /// All of its output.
        log: Option<PathBuf>,
    },
    /// It did not run.
    NotRun {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// Whether the package must be rejected.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    fn failure(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), exit_code: None, last_lines: Vec::new(), log: None }
    }

    fn not_run(reason: impl Into<String>) -> Self {
        Self::NotRun { reason: reason.into() }
    }
}

/// Runs all tests of a suite, also when some fail; reports stand in the suite's order. `package` is the extracted
/// package that the suite was read from.
///
/// # Errors
/// An environment that can't be made, a script that can't be started, or the disk. A failing test is none.
pub async fn run<M: Machine>(
    package: &Path,
    suite: &Suite,
    machine: &M,
    options: &Options,
    events: &Events,
    job: &str,
) -> Result<Vec<Report>> {
    let mut run = Run { machine, options, events, job, number: 0, reports: Vec::new() };
    let paths = paths(package)?;
    for test in &suite.tests {
        match test {
            Test::Downstream { name, spec } => run.downstream(name, spec, suite).await?,
            other => run.own(other, suite, &paths, None).await?,
        }
    }
    Ok(run.reports)
}

/// The package's files by `info/paths.json`, else by `info/files`.
fn paths(package: &Path) -> Result<Vec<String>> {
    if let Some(paths) = json(&package.join("info/paths.json"))? {
        let list = paths.get("paths").and_then(|paths| paths.as_array()).map(Vec::as_slice).unwrap_or_default();
        let paths = list.iter().filter_map(|entry| entry.get("_path")?.as_str().map(str::to_owned));
        return Ok(paths.collect());
    }
    let files = super::text(&package.join("info/files"))?.unwrap_or_default();
    Ok(files.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

struct Run<'a, M> {
    machine: &'a M,
    options: &'a Options,
    events: &'a Events,
    job: &'a str,
    /// Counts work folders and logs.
    number: usize,
    reports: Vec<Report>,
}

impl<M: Machine> Run<'_, M> {
    /// Any test but a downstream one. `upstream` is the package whose downstream test this is part of.
    async fn own(&mut self, test: &Test, suite: &Suite, paths: &[String], upstream: Option<&Subject>) -> Result<()> {
        match test {
            Test::Run(plan) => self.plan(plan, suite, upstream).await?,
            Test::Contents { name, contents } => {
                let started = Instant::now();
                let subject = &suite.subject;
                let outcome = match contents.check(paths, subject.subdir, subject.version_independent) {
                    Ok(issues) if issues.is_empty() => Outcome::Passed,
                    Ok(issues) => Outcome::failure(issues.join("; ")),
                    Err(reason) => Outcome::failure(reason),
                };
                self.report(name, outcome, started.elapsed());
            }
            Test::Unusable { name, reason, broken: true } => {
                self.report(name, Outcome::failure(reason), Duration::ZERO);
            }
            Test::Unusable { name, reason, broken: false } => {
                self.report(name, Outcome::not_run(reason), Duration::ZERO);
            }
            Test::Downstream { name, .. } => {
                self.report(name, Outcome::not_run("it is a downstream's downstream test"), Duration::ZERO);
            }
        }
        Ok(())
    }

    fn report(&mut self, test: &str, outcome: Outcome, elapsed: Duration) {
        let told = match &outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed { message, .. } => format!("failed: {message}"),
            Outcome::NotRun { reason } => format!("not run: {reason}"),
        };
        self.events.note(self.job, format!("{test}: {told}"));
        self.reports.push(Report { test: test.to_owned(), outcome, elapsed });
    }

    fn folder(&mut self) -> Result<PathBuf> {
        self.number += 1;
        let folder = self.options.root.join(self.number.to_string());
        fs_err::create_dir_all(&folder)?;
        Ok(folder)
    }

    async fn plan(&mut self, plan: &TestPlan, suite: &Suite, upstream: Option<&Subject>) -> Result<()> {
        let subdir = suite.subject.subdir;
        let platform = if subdir == Subdir::NoArch { self.options.machine } else { subdir };
        if let Some(reason) = self.machine.refusal(platform) {
            for step in &plan.steps {
                self.report(&full_name(plan, step), Outcome::not_run(&reason), Duration::ZERO);
            }
            return Ok(());
        }

        let folder = self.folder()?;
        let dirs = Dirs::make(&folder)?;
        let mut build_prefix = None;
        if !plan.build_requirements.is_empty() {
            let prefix = folder.join("build_env");
            self.environment(plan, &plan.build_requirements, self.options.machine, &prefix).await?;
            build_prefix = Some(prefix);
        }
        let mut specs = plan.requirements.clone();
        match upstream {
            Some(upstream) => specs.push(upstream.spec()),
            None => specs.extend(plan.python.clone()),
        }
        self.environment(plan, &specs, platform, &dirs.prefix).await?;
        if let Some(reason) = self.machine.lacking(&dirs.prefix, platform) {
            for step in &plan.steps {
                self.report(&full_name(plan, step), Outcome::not_run(&reason), Duration::ZERO);
            }
            return Ok(());
        }
        if let Some(files) = &plan.files {
            copy_files(files, &dirs.work)?;
        }
        if let Some(recipe) = &plan.recipe_dir {
            // A copy: the package's own files may be in a cache, and a script may write.
            copy_files(recipe, &dirs.recipe)?;
        }
        let variables = variables(suite, plan, &dirs, build_prefix.as_deref(), platform, self.options);
        // Tools of the build environment come first, as in a build.
        let prefixes: Vec<PathBuf> = std::iter::once(dirs.prefix.clone()).chain(build_prefix).collect();

        let mut earlier = None;
        for step in &plan.steps {
            let name = full_name(plan, step);
            if let Some(earlier) = &earlier {
                let reason = format!("`{earlier}` failed before it");
                self.report(&name, Outcome::not_run(reason), Duration::ZERO);
                continue;
            }
            if matches!(&step.text, StepText::Inline(text) if text.trim().is_empty()) {
                self.report(&name, Outcome::not_run("it has no commands"), Duration::ZERO);
                continue;
            }
            let started = Instant::now();
            let outcome = self.step(plan, step, &dirs, &prefixes, platform, &variables).await?;
            if outcome.failed() {
                earlier = Some(name.clone());
            }
            self.report(&name, outcome, started.elapsed());
        }
        Ok(())
    }

    async fn environment(
        &self,
        plan: &TestPlan,
        specs: &[String],
        platform: Subdir,
        prefix: &Path,
    ) -> Result<Vec<InstalledPackage>> {
        let request =
            EnvironmentRequest { what: plan.name.clone(), specs: specs.to_vec(), platform, prefix: prefix.to_owned() };
        self.machine.make_environment(request).await.map_err(|error| {
            let kind = error.kind;
            Error::new(kind, format!("the environment of `{}` can't be made", plan.name)).because(error)
        })
    }

    async fn step(
        &self,
        plan: &TestPlan,
        step: &Step,
        dirs: &Dirs,
        prefixes: &[PathBuf],
        platform: Subdir,
        variables: &IndexMap<String, String>,
    ) -> Result<Outcome> {
        let script = match &step.text {
            StepText::File(name) => dirs.work.join(name),
            StepText::Inline(text) => write_script(&dirs.work, step.kind, text)?,
        };
        let cwd = plan.cwd.as_ref().map_or_else(|| dirs.work.clone(), |cwd| dirs.prefix.join(cwd));
        if !cwd.is_dir() {
            return Ok(Outcome::failure(format!("its folder, `{}`, is not in the environment", display(&plan.cwd))));
        }
        fs_err::create_dir_all(&self.options.logs)?;
        let log = self.options.logs.join(log_name(self.number, &full_name(plan, step)));
        let exit = self
            .machine
            .run_script(ScriptRequest {
                kind: step.kind,
                script,
                cwd,
                prefixes: prefixes.to_vec(),
                platform,
                env: variables.clone(),
                secrets: plan.secrets.clone(),
                log: log.clone(),
            })
            .await?;
        Ok(match exit.code {
            Some(0) => Outcome::Passed,
            code => Outcome::Failed {
                message: code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}")),
                exit_code: code,
                last_lines: exit.last_lines,
                log: Some(log),
            },
        })
    }

    /// Finds the newest build of the downstream package that goes with this package, and runs its tests with both. A
    /// downstream that can't be installed with it is told, but fails nothing.
    async fn downstream(&mut self, name: &str, spec: &str, suite: &Suite) -> Result<()> {
        let subject = &suite.subject;
        let platform = if subject.subdir == Subdir::NoArch { self.options.machine } else { subject.subdir };
        if let Some(reason) = self.machine.refusal(platform) {
            self.report(name, Outcome::not_run(reason), Duration::ZERO);
            return Ok(());
        }
        let parsed = MatchSpec::from_str(spec, ParseStrictness::Lenient);
        let wanted = parsed.ok().and_then(|spec| spec.name.as_exact().map(|name| name.as_normalized().to_owned()));
        let Some(wanted) = wanted else {
            self.report(name, Outcome::failure(format!("`{spec}` names no package")), Duration::ZERO);
            return Ok(());
        };
        let request = EnvironmentRequest {
            what: name.to_owned(),
            specs: vec![spec.to_owned(), subject.spec()],
            platform,
            prefix: self.folder()?.join("env"),
        };
        let installed = match self.machine.make_environment(request).await {
            Ok(installed) => installed,
            Err(error) if error.kind == Kind::Unavailable => {
                let reason = format!("no environment holds both packages: {}", chain(&error));
                self.report(name, Outcome::not_run(reason), Duration::ZERO);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(found) = installed.iter().find(|package| package.name == wanted) else {
            self.report(name, Outcome::failure(format!("`{wanted}` is not in its environment")), Duration::ZERO);
            return Ok(());
        };
        let package = self.machine.extracted(found).await?;
        let mut theirs = read(&package, self.options.machine)?;
        // Without their Python versions, the plans of a matrix are one.
        let mut tests: Vec<Test> = Vec::new();
        for test in theirs.tests.drain(..) {
            let test = match test {
                Test::Run(mut plan) => {
                    plan.name = format!("{name}: {}", plan.name);
                    Test::Run(plan)
                }
                other => other,
            };
            let same = |other: &Test| match (other, &test) {
                (Test::Run(a), Test::Run(b)) => {
                    b.python.is_some() && a.python.is_some() && a.steps == b.steps && a.requirements == b.requirements
                }
                _ => false,
            };
            if matches!(test, Test::Run(_) | Test::Unusable { .. }) && !tests.iter().any(same) {
                tests.push(test);
            }
        }
        if tests.is_empty() {
            let reason = format!("`{}-{}-{}` has no tests of its own", found.name, found.version, found.build);
            self.report(name, Outcome::not_run(reason), Duration::ZERO);
        }
        for test in &tests {
            self.own(test, &theirs, &[], Some(subject)).await?;
        }
        Ok(())
    }
}

/// The folders of one test.
struct Dirs {
    prefix: PathBuf,
    work: PathBuf,
    home: PathBuf,
    temp: PathBuf,
    recipe: PathBuf,
}

impl Dirs {
    /// Makes all but the prefix and the recipe's copy.
    fn make(folder: &Path) -> Result<Self> {
        let dirs = Self {
            prefix: folder.join("test_env"),
            work: folder.join("test_tmp"),
            home: folder.join("home"),
            temp: folder.join("tmp"),
            recipe: folder.join("recipe"),
        };
        for dir in [&dirs.work, &dirs.home, &dirs.temp] {
            fs_err::create_dir_all(dir)?;
        }
        Ok(dirs)
    }
}

/// The environment of a test's scripts, from nothing: the variant's keys, then what conda-build and rattler-build both
/// tell tests, then the test's own.
fn variables(
    suite: &Suite,
    plan: &TestPlan,
    dirs: &Dirs,
    build_prefix: Option<&Path>,
    platform: Subdir,
    options: &Options,
) -> IndexMap<String, String> {
    let subject = &suite.subject;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut all = suite.variant.clone();
    let mut set = |name: &str, value: String| {
        all.insert(name.to_owned(), value);
    };
    let subdir = subject.subdir.to_string();
    set("CONDA_BUILD", "1".to_owned());
    set("CONDA_BUILD_STATE", "TEST".to_owned());
    let crossing = subject.subdir != Subdir::NoArch && subject.subdir != options.machine;
    set("CONDA_BUILD_CROSS_COMPILATION", if crossing { "1" } else { "0" }.to_owned());
    set("CONDA_DEFAULT_ENV", path(&dirs.prefix));
    set("PREFIX", path(&dirs.prefix));
    if let Some(prefix) = build_prefix {
        set("BUILD_PREFIX", path(prefix));
    }
    set("SRC_DIR", path(&dirs.work));
    if plan.recipe_dir.is_some() {
        set("RECIPE_DIR", path(&dirs.recipe));
    }
    set("PKG_NAME", subject.name.clone());
    set("PKG_VERSION", subject.version.clone());
    set("PKG_BUILD_STRING", subject.build.clone());
    set("PKG_BUILDNUM", subject.build_number.to_string());
    set("PKG_BUILD_NUMBER", subject.build_number.to_string());
    if let Some(hash) = hash(&subject.build) {
        set("PKG_HASH", hash.to_owned());
    }
    if let Some((_, arch)) = platform.as_str().rsplit_once('-') {
        set("ARCH", arch.to_owned());
    }
    set("SUBDIR", subdir.clone());
    set("target_platform", subdir);
    set("build_platform", options.machine.to_string());
    set("host_platform", platform.to_string());
    set("CPU_COUNT", options.cpu_count.to_string());
    set("LANG", "C.UTF-8".to_owned());
    set("PYTHONNOUSERSITE", "1".to_owned());
    let home = path(&dirs.home);
    let temp = path(&dirs.temp);
    if platform.is_windows() {
        let library = dirs.prefix.join("Library");
        set("SHLIB_EXT", ".dll".to_owned());
        set("SCRIPTS", path(&dirs.prefix.join("Scripts")));
        set("LIBRARY_BIN", path(&library.join("bin")));
        set("LIBRARY_INC", path(&library.join("include")));
        set("LIBRARY_LIB", path(&library.join("lib")));
        set("LIBRARY_PREFIX", path(&library));
        set("USERPROFILE", home.clone());
        set("TEMP", temp.clone());
        set("TMP", temp.clone());
    } else {
        set("SHLIB_EXT", if platform.is_osx() { ".dylib" } else { ".so" }.to_owned());
    }
    set("HOME", home);
    set("TMPDIR", temp);
    all.extend(plan.env.clone());
    all
}

/// `h` and seven hexadecimal digits, in a build string such as `py311h82375c7_0`.
fn hash(build: &str) -> Option<&str> {
    build.char_indices().filter(|(_, char)| *char == 'h').find_map(|(at, _)| {
        let digits = build.get(at + 1..at + 8)?;
        let ends = build.get(at + 8..).is_none_or(|rest| rest.is_empty() || rest.starts_with('_'));
        (ends && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| &build[at..at + 8])
    })
}

fn full_name(plan: &TestPlan, step: &Step) -> String {
    if step.name.is_empty() { plan.name.clone() } else { format!("{}: {}", plan.name, step.name) }
}

fn log_name(number: usize, name: &str) -> String {
    let plain: String = name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let mut words = plain.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    words.truncate(80);
    format!("test-{number}-{words}.log")
}

fn display(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

/// An error with its causes, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Writes a step's script beside the test's files, under a name that none of them has.
fn write_script(work: &Path, kind: ScriptKind, text: &str) -> Result<PathBuf> {
    let names = (0_usize..).map(|number| match number {
        0 => format!("conda_test.{}", kind.extension()),
        number => format!("conda_test_{number}.{}", kind.extension()),
    });
    let mut free = names.map(|name| work.join(name)).filter(|path| fs_err::symlink_metadata(path).is_err());
    let path = free.next().ok_or_else(|| Error::new(Kind::Bug, "no free name for a script"))?;
    fs_err::write(&path, kind.file_text(text))?;
    Ok(path)
}

/// Copies a folder's files; links that lead to a file or folder inside it become copies, others are left out.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let root = fs_err::canonicalize(from)?;
    for entry in walkdir::WalkDir::new(&root).follow_links(true).sort_by_file_name() {
        let Ok(entry) = entry else { continue };
        let Ok(relative) = entry.path().strip_prefix(&root) else { continue };
        let real = fs_err::canonicalize(entry.path())?;
        if !real.starts_with(&root) {
            continue;
        }
        let target = to.join(relative);
        if entry.file_type().is_dir() {
            fs_err::create_dir_all(&target)?;
        } else if entry.file_type().is_file() {
            if let Some(parent) = target.parent() {
                fs_err::create_dir_all(parent)?;
            }
            fs_err::copy(&real, &target)?;
        }
    }
    Ok(())
}
