//! From an output to the script that builds it: its environment, built from nothing, and its text.
//!
//! Nothing here starts a process or touches the work folder, except [`Prepared::write`]. v0 scripts run as conda-build
//! runs them ([`conda_build`]), v1 scripts as rattler-build does ([`rattler_build`]); both get Go's variables from
//! [`golang`] and activation as text from [`activation`].
//!
//! Order of the environment, the later wins: gonda's defaults, the documented variables, the recipe's `script_env`,
//! activation; then what gonda must add for Go.

mod activation;
mod attempts;
mod conda_build;
mod golang;
mod interpreter;
mod rattler_build;
mod system;
mod toolchain;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gonda_recipe::{Output, RecipeFormat};
use indexmap::IndexMap;

use crate::isolation::SeenPaths;
use crate::process::Command;
use crate::zig::Zig;
use crate::{Error, Kind, Result, host};

pub use activation::{ActivatedEnv, activate_bat, activate_sh, path_entries};
pub use attempts::{Attempt, Attempts};
pub use golang::Outside;
pub use system::{SystemProgram, passed_files, programs_of_the_system};
pub use toolchain::contradiction;

/// Renders a piece of a v1 script against a script's environment: `gonda_recipe::Rendering::render_script`.
pub type Render<'a> = dyn Fn(&str, &BTreeMap<String, String>) -> Result<String> + Sync + 'a;

/// A script to be prepared.
pub struct Job<'a> {
    /// What is built.
    pub output: &'a Output,
    /// Where the script sees its folders.
    pub paths: &'a SeenPaths,
    /// The recipe folder, where it can be read now.
    pub recipe_dir: &'a Path,
    /// The host environment, if there is one, then the build environment.
    pub activated: &'a [ActivatedEnv],
    /// What neither the recipe nor the folders say.
    pub settings: &'a Settings,
    /// For v1 scripts.
    pub render: &'a Render<'a>,
}

/// What neither the recipe nor the folders say about a script's environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `CPU_COUNT`.
    pub cpu_count: usize,
    /// `SOURCE_DATE_EPOCH`, in seconds.
    pub source_date_epoch: i64,
    /// `GOPROXY`.
    pub go_proxy: Option<String>,
    /// GOCACHEPROG; `None` where Go has its GOCACHE alone.
    pub go_cache_program: Option<String>,
    /// More for Go: GOSUMDB, GONOSUMDB, GOPRIVATE, GOFLAGS … from settings of gonda.
    pub go_environment: IndexMap<String, String>,
    /// The version of the solved `go`, if it is known.
    pub go_version: Option<(u64, u64)>,
    /// Zig as the C compiler; whether there is a host environment to link with.
    pub(crate) zig: Option<(Zig, bool)>,
    /// Whether the solved toolchain is the one with cgo; `None` where no package, or more than one, says so.
    pub cgo: Option<bool>,
    /// What Go would find above the source: [`Outside::look`], once the source is in place.
    pub outside: Outside,
    /// Folders of git sources, as seen; git is told that they may be trusted.
    pub git_folders: Vec<PathBuf>,
    /// `GIT_DESCRIBE_TAG` and the like, of the first git source.
    pub source_variables: IndexMap<String, String>,
    /// The caller's variables. Only those that a rule names are passed on.
    pub caller: IndexMap<String, String>,
    /// Scripts reach the network: proxies and certificates are passed on. Else Go asks `go_proxy` and nobody else.
    pub open_network: bool,
    /// gonda itself, as the script sees it: it runs the batch files of Windows targets where there is no cmd.exe.
    pub batch: PathBuf,
    /// gonda stands in for conda-build: what that passes on is passed on (its HOME excepted, which stays the job's).
    pub conda_build: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu_count: 1,
            source_date_epoch: 315_532_800,
            go_proxy: None,
            go_cache_program: None,
            go_environment: IndexMap::new(),
            go_version: None,
            zig: None,
            cgo: None,
            outside: Outside::default(),
            git_folders: Vec::new(),
            source_variables: IndexMap::new(),
            caller: IndexMap::new(),
            open_network: true,
            batch: PathBuf::from("gonda"),
            conda_build: false,
        }
    }
}

/// A script's environment before activation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// In the order in which they are set.
    pub variables: IndexMap<String, String>,
    /// For the log: what was asked for and isn't there.
    pub notes: Vec<String>,
    /// Values of secrets.
    pub hidden: Vec<String>,
}

/// A script, ready to be written into the work folder and run there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Files by their names in the work folder.
    pub files: Vec<(String, String)>,
    /// The shell.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// What the shell itself starts with; the script's environment stands in one of the files.
    pub env: IndexMap<String, String>,
    /// The script's environment before activation, for the plan and the log.
    pub environment: Environment,
}

impl Prepared {
    /// Writes the files into the work folder, replacing what the source may have there.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, src_dir: &Path) -> Result<()> {
        for (name, text) in &self.files {
            let path = src_dir.join(name);
            let failed = |error: std::io::Error| {
                let mut this = Error::from(error);
                this.message = format!("can't write `{}`: {}", path.display(), this.message);
                this
            };
            // A link of the source's must not lead the script somewhere else.
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => std::fs::write(&path, text).map_err(failed)?,
            }
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                // The environment may hold secrets.
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// The command that runs it, for [`crate::isolation::Room::run`].
    #[must_use]
    pub fn command(&self, paths: &SeenPaths) -> Command {
        let mut command = Command::new(&self.program, &paths.src_dir).args(&self.args);
        command.env = self.env.clone();
        command.hidden = self.environment.hidden.clone();
        command
    }
}

/// Whether an output's scripts are those for Windows: batch files, and what stands beside them. Where the build machine
/// has no cmd.exe they are run by [`crate::batch`], and what is around them stays a POSIX shell's.
fn for_windows(output: &Output) -> bool {
    output.build_platform.is_windows() || output.target_platform.is_windows()
}

/// The command that runs a batch file where there is no cmd.exe.
fn batch_command(settings: &Settings) -> Vec<String> {
    vec![settings.batch.display().to_string(), crate::batch::INTERPRETER.to_owned()]
}

/// The environment of an output's script, before activation.
///
/// # Errors
/// [`Kind::Usage`] when the activation contradicts the target platform.
pub fn environment(job: &Job<'_>) -> Result<Environment> {
    golang::check_activation(job.activated, job.output.target_platform)?;
    Ok(match job.output.format {
        RecipeFormat::V0 => variables::conda_build(job),
        RecipeFormat::V1 => variables::rattler_build(job),
    })
}

/// Prepares an output's scripts. Each is written and run before the next is written. Without a script there is none.
///
/// # Errors
/// [`Kind::Usage`] when a script can't be found, read or rendered, or has an interpreter that isn't known.
pub fn prepare(job: &Job<'_>) -> Result<Vec<Prepared>> {
    let environment = environment(job)?;
    match job.output.format {
        RecipeFormat::V0 => conda_build::prepare(job, &environment),
        RecipeFormat::V1 => rattler_build::prepare(job, environment),
    }
}

/// Prepares a command of gonda's own, in the environment of an output's scripts.
///
/// # Errors
/// As [`environment`].
pub fn own(job: &Job<'_>, text: &str) -> Result<Prepared> {
    let environment = environment(job)?;
    Ok(conda_build::shell_script(job, text, environment))
}

/// What the shell itself starts with: enough to find programs before the script's own environment is set.
fn shell_environment(environment: &Environment) -> IndexMap<String, String> {
    const NAMES: &[&str] = &["PATH", "HOME", "TMPDIR", "TMP", "TEMP", "LANG", "USERPROFILE"];
    let mut env: IndexMap<String, String> = host::system_variables().into_iter().collect();
    for name in NAMES {
        if let Some(value) = environment.variables.get(*name) {
            env.insert((*name).to_owned(), value.clone());
        }
    }
    env
}

/// A script file of the recipe folder; `None` if it isn't there. Line ends become the host system's.
fn read_script(recipe_dir: &Path, name: &Path) -> Result<Option<String>> {
    let path = recipe_dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| {
                Error::new(Kind::Usage, format!("script `{}` is not UTF-8", path.display()))
                    .help("save the file as UTF-8")
            })?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
            Ok(Some(text))
        }
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::IsADirectory) => {
            Ok(None)
        }
        Err(error) => {
            let mut this = Error::from(error);
            this.message = format!("can't read `{}`: {}", path.display(), this.message);
            Err(this)
        }
    }
}

fn missing_script(recipe_dir: &Path, name: &Path) -> Error {
    Error::new(
        Kind::Usage,
        format!("script `{}` is not in the recipe folder `{}`", name.display(), recipe_dir.display()),
    )
    .help("write the file's name relative to the recipe folder")
}

/// Text for cmd.exe, whose labels are only found in files with its own line ends.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

#[cfg(all(test, unix))]
mod tests;
