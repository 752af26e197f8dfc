//! Where a package's tests run: environments from channels that hold the package, scripts in a room of their own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gonda_packager::{Extent, Limits};
use gonda_recipe::Tests;
use rattler_conda_types::{RepoDataRecord, Subdir};
use serde::Serialize;

use crate::channels::{self, Channels, LocalChannel, SolveRequest};
use crate::crossing::{self, Emulator};
use crate::environment::{self, Share};
use crate::isolation::{self, Bind, Mode, Reach, Room, RoomSpec, paths};
use crate::lock::Locked;
use crate::process::{Command, Exit};
use crate::script::{self, ActivatedEnv, activate_bat, activate_sh};
use crate::settings::{Network, Settings, TestMode};
use crate::testing::{
    self, EnvironmentRequest, InstalledPackage, Machine, Options, Outcome, Report, ScriptExit, ScriptRequest,
};
use crate::workspace::Workspace;
use crate::{Error, Events, Kind, Result, host};

/// What became of a package's tests.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TestSummary {
    /// How many ran and succeeded.
    pub passed: usize,
    /// How many ran and failed.
    pub failed: usize,
    /// What did not run: name and reason.
    pub not_run: Vec<(String, String)>,
    /// What failed: name, message, the end of its output, the log.
    pub failures: Vec<Failure>,
}

/// A test that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Its name.
    pub test: String,
    /// What happened.
    pub message: String,
    /// The end of its output.
    pub last_lines: Vec<String>,
    /// All of its output.
    pub log: Option<PathBuf>,
}

impl TestSummary {
    /// No test ran, for a reason.
    #[must_use]
    pub fn not_run(reason: impl Into<String>) -> Self {
        Self { not_run: vec![("all".to_owned(), reason.into())], ..Self::default() }
    }

    /// Whether the package must be rejected.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.failed > 0
    }

    fn of(reports: Vec<Report>) -> Self {
        let mut this = Self::default();
        for Report { test, outcome, .. } in reports {
            match outcome {
                Outcome::Passed => this.passed += 1,
                Outcome::NotRun { reason } => this.not_run.push((test, reason)),
                Outcome::Failed { message, last_lines, log, .. } => {
                    this.failed += 1;
                    this.failures.push(Failure { test, message, last_lines, log });
                }
            }
        }
        this
    }
}

impl std::fmt::Display for TestSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.failed > 0 {
            parts.push(format!("{} failed", self.failed));
        }
        if self.passed > 0 {
            parts.push(format!("{} passed", self.passed));
        }
        if let Some((_, reason)) = self.not_run.first() {
            parts.push(format!("{} not run: {reason}", self.not_run.len()));
        }
        f.write_str(if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }.as_str())
    }
}

/// Where a package's tests run.
pub struct Testbed<'a> {
    /// Everything the user chose.
    pub settings: &'a Settings,
    /// Processors that a test may use.
    pub cpu_count: usize,
    /// How scripts are kept apart.
    pub mode: Mode,
    /// What the environments are made of.
    pub channels: &'a Arc<Channels>,
    /// A folder of packages that goes before the channels: it holds the package under test.
    pub packages: &'a LocalChannel,
    /// Where logs go.
    pub logs: &'a Path,
    /// What holds the environments of tests, where a lock does.
    pub locked: Option<Locked<'a>>,
}

impl Testbed<'_> {
    /// Runs the tests of a package.
    ///
    /// # Errors
    /// An environment that can't be made, a script that can't be started, a package that can't be read. A failing test
    /// is none: it stands in the summary.
    ///
    /// `recipe` adds what a recipe says and a package doesn't carry: v1's `package_contents`, v0's downstreams.
    pub async fn test(
        &self,
        package: &Path,
        recipe: Option<&Tests>,
        events: &Events,
        job: &str,
    ) -> Result<TestSummary> {
        let workspace = Workspace::create(&self.settings.cache_root)?;
        let extracted = workspace.path().join("package");
        let (from, to) = (package.to_path_buf(), extracted.clone());
        crate::files::blocking(move || {
            gonda_packager::extract(&from, &to, Extent::Info, &Limits::default())?;
            Ok(())
        })
        .await?;
        let mut suite = testing::read(&extracted, self.settings.build_platform)?;
        if let Some(tests) = recipe {
            suite.add_recipe_tests(tests)?;
        }
        let root = workspace.path().join("t");
        fs_err::create_dir_all(&root)?;
        let bench = Bench {
            bed: self,
            root: root.clone(),
            room: workspace.path().join("room"),
            events: events.clone(),
            solved: Mutex::default(),
            emulates: self.settings.test == TestMode::NativeAndEmulated
                && isolation::has_formats(self.mode, &self.settings.cache_root.join("work")).await?,
        };
        let options = Options {
            root,
            logs: self.logs.to_path_buf(),
            machine: self.settings.build_platform,
            cpu_count: self.cpu_count,
        };
        let reports = testing::run(&extracted, &suite, &bench, &options, events, job).await?;
        Ok(TestSummary::of(reports))
    }
}

/// One package's run.
struct Bench<'a> {
    bed: &'a Testbed<'a>,
    root: PathBuf,
    room: PathBuf,
    events: Events,
    /// By url: what environments were made of.
    solved: Mutex<HashMap<String, RepoDataRecord>>,
    /// The kernel can be told to hand programs of other platforms to an emulator.
    emulates: bool,
}

impl Machine for Bench<'_> {
    fn refusal(&self, platform: Subdir) -> Option<String> {
        if is_native(platform) {
            return None;
        }
        if self.bed.settings.test != TestMode::NativeAndEmulated {
            return Some(format!("this machine can't run programs for `{platform}`"));
        }
        match Emulator::find(platform, None) {
            Ok(_) if self.emulates => None,
            Ok(_) => Some(format!(
                "no emulator: the kernel can't be told to run programs for `{platform}` by one (Linux 6.7 or later, with \
                 namespaces, can)"
            )),
            Err(reason) => Some(reason),
        }
    }

    fn lacking(&self, prefix: &Path, platform: Subdir) -> Option<String> {
        if is_native(platform) {
            return None;
        }
        let emulator = Emulator::find(platform, None).ok()?;
        crossing::lacking(&emulator, prefix).map(|reason| format!("no emulator: {reason}"))
    }

    async fn make_environment(&self, request: EnvironmentRequest) -> Result<Vec<InstalledPackage>> {
        let native = Subdir::current() == Some(request.platform);
        let locked = self.bed.locked.and_then(|locked| Some((locked, locked.test_constraints()?)));
        let solved = self
            .bed
            .channels
            .solve(&SolveRequest {
                what: request.what,
                specs: request.specs,
                constraints: locked.as_ref().map(|(_, constraints)| constraints.clone()).unwrap_or_default(),
                platform: request.platform,
                virtual_packages: channels::virtual_packages(request.platform, native)?,
                local: Some(self.bed.packages.clone()),
            })
            .await;
        let records = match &locked {
            None => solved?,
            Some((locked, _)) => {
                let records = solved.map_err(|error| locked.unsolvable("test", error))?;
                // The recipe's own packages are built, not locked.
                let others: Vec<&RepoDataRecord> =
                    records.iter().filter(|record| !self.bed.packages.holds(record)).collect();
                locked.check_members(&others)?;
                records
            }
        };
        let prefix = &request.prefix;
        environment::install(self.bed.channels, &records, request.platform, prefix, prefix, Share::Private).await?;
        let mut solved = self.solved.lock().unwrap_or_else(PoisonError::into_inner);
        solved.extend(records.iter().map(|record| (record.url.to_string(), record.clone())));
        Ok(records.iter().map(installed).collect())
    }

    async fn run_script(&self, request: ScriptRequest) -> Result<ScriptExit> {
        let mut envs = Vec::new();
        let mut path: Vec<PathBuf> = Vec::new();
        for prefix in &request.prefixes {
            let activation = environment::activation(prefix, prefix)?;
            // What the machine's own layout lacks.
            let foreign = request.platform.is_windows() && !cfg!(windows) && prefix.ends_with("test_env");
            path.splice(0..0, if foreign { script::path_entries(prefix, true) } else { activation.path_entries });
            envs.push(ActivatedEnv {
                prefix: prefix.clone(),
                variables: activation.variables,
                scripts: if cfg!(windows) { activation.bat } else { activation.sh },
            });
        }
        path.extend(host::system_path());
        let mut env = request.env.clone();
        let joined: Vec<String> = path.iter().map(|folder| folder.display().to_string()).collect();
        env.insert("PATH".to_owned(), joined.join(&host::PATH_SEPARATOR.to_string()));
        env.extend(host::system_variables());
        let mut hidden = Vec::new();
        for name in &request.secrets {
            if let Some(value) = self.bed.settings.caller_environment.get(name) {
                env.insert(name.clone(), value.clone());
                hidden.push(value.clone());
            }
        }
        let batch = request.kind == testing::ScriptKind::Cmd && !cfg!(windows);
        let names = if batch { &["bash"] } else { request.kind.programs() };
        let program = names.iter().find_map(|name| host::find_program(name, &path)).ok_or_else(|| {
            Error::new(Kind::Build, format!("no `{}` to run a test with", names.join("` or `")))
                .help("add it to the test's requirements")
        })?;

        let wrapper = wrapper(&request, &program, &envs)?;
        let mut command = Command::new(host::shell(), &request.cwd);
        command = if cfg!(windows) {
            command.args(["/d".into(), "/c".into(), wrapper.into_os_string()])
        } else {
            command.args([wrapper.into_os_string()])
        };
        command.env = env;
        command.hidden = hidden;
        let exit = self.run_in_room(command, request.platform, &request.log).await?;
        Ok(ScriptExit { code: exit.code, last_lines: exit.last_lines })
    }

    async fn extracted(&self, package: &InstalledPackage) -> Result<PathBuf> {
        let solved = self.solved.lock().unwrap_or_else(PoisonError::into_inner).get(&package.url).cloned();
        match solved {
            Some(record) => self.bed.channels.extracted(&record).await,
            None => Err(Error::new(Kind::Bug, format!("`{}` was never solved for", package.url))),
        }
    }
}

impl Bench<'_> {
    /// The test's folders are seen where they are: a test environment has its real prefix.
    async fn run_in_room(&self, command: Command, platform: Subdir, log: &Path) -> Result<Exit> {
        let mut spec = RoomSpec::new(&self.room);
        spec.limits = self.bed.settings.limits;
        spec.binds.push(Bind { disk: self.root.clone(), seen: self.root.clone(), writable: true });
        let machine = self.bed.settings.build_platform;
        let crossing = crossing::Facts {
            own_go_cache: false,
            target: platform,
            build: machine,
            package: "",
            go: false,
            modules: Vec::new(),
            closed: false,
        };
        if !is_native(platform) {
            crossing::equip(&mut spec, self.bed.mode, &crossing);
        }
        let room = Room::prepare(spec, self.bed.mode)?;
        crossing::furnish(&room, &crossing)?;
        // As in conda-build, tests reach the network, unless the user closed it for all.
        let reach = match self.bed.settings.network {
            Network::On | Network::Modules => Reach::Everything,
            Network::Off => Reach::Loopback(None),
        };
        let exit = room.run(command, &reach, |_| {}, Some(log)).await?;
        for line in crossing::journal(&room).iter_mut().flat_map(crossing::Journal::news) {
            self.events.note("", line);
        }
        if let Err(error) = room.close() {
            self.events.warn("", error.to_string());
        }
        Ok(exit)
    }
}

/// Whether this machine runs a platform's programs without help.
fn is_native(platform: Subdir) -> bool {
    Subdir::current() == Some(platform) || platform == Subdir::NoArch
}

fn installed(record: &RepoDataRecord) -> InstalledPackage {
    InstalledPackage {
        name: record.package_record.name.as_normalized().to_owned(),
        version: record.package_record.version.to_string(),
        build: record.package_record.build.to_string(),
        url: record.url.to_string(),
    }
}

/// A script beside the test's own that activates the environments and starts the interpreter.
fn wrapper(request: &ScriptRequest, program: &Path, envs: &[ActivatedEnv]) -> Result<PathBuf> {
    let folder = request.script.parent().unwrap_or(&request.cwd);
    let arguments = request.kind.arguments();
    let (name, text) = if cfg!(windows) {
        let line = format!("\"{}\" {} \"{}\"", program.display(), arguments.join(" "), request.script.display());
        ("gonda_test.bat", format!("@echo off\r\n{}{line}\r\nexit /b %errorlevel%\r\n", activate_bat(envs)))
    } else {
        let quote = |text: String| format!("'{}'", text.replace('\'', "'\\''"));
        let script = quote(request.script.display().to_string());
        let line = if request.kind == testing::ScriptKind::Cmd {
            let gonda = Path::new(paths::ROOT).join(paths::OWN).join(paths::PROGRAM);
            format!("exec {} {} {script}", quote(gonda.display().to_string()), crate::batch::INTERPRETER)
        } else {
            format!("exec {} {} {script}", quote(program.display().to_string()), arguments.join(" "))
        };
        ("gonda_test.sh", format!("{}{line}\n", activate_sh(envs)))
    };
    let path = folder.join(name);
    fs_err::write(&path, text)?;
    Ok(path)
}
