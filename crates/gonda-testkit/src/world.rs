//! A closed world: its own home, cache, configuration and output folder, and an environment built from nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use tempfile::TempDir;

/// Longest time that one run may take; all samples for all targets take a tenth of it on a quiet machine.
const LONGEST_RUN: Duration = Duration::from_secs(1800);

/// A folder of its own and a cleared environment, in which the gonda binary is run. Dropped, it is gone.
///
/// | part | where |
/// |---|---|
/// | `HOME` | `<root>/home` |
/// | `GONDA_CACHE_DIR` | `<root>/cache`, or a shared one ([`World::share_cache`]) |
/// | `GONDA_CONFIG` | `<root>/config.toml`, empty |
/// | output folder | `<root>/output`; pass [`World::output`] as `--output-dir` |
/// | `TMPDIR` | `<root>/tmp` |
///
/// `PATH` holds the system's folders only, so no Go of the machine is found by accident.
#[derive(Debug)]
pub struct World {
    root: TempDir,
    gonda: PathBuf,
    env: BTreeMap<OsString, OsString>,
    cache: PathBuf,
}

impl World {
    /// A world for the gonda binary at `gonda`.
    pub fn new(gonda: impl Into<PathBuf>) -> Self {
        let root = tempfile::Builder::new().prefix("gonda-world-").tempdir().expect("a temporary folder");
        // Resolved, so that redaction finds the path that programs print (macOS: /var is a link).
        let path = root.path().canonicalize().expect("the folder exists");
        for folder in ["home", "tmp", "cache", "output", "xdg-config", "xdg-cache"] {
            fs_err::create_dir(path.join(folder)).expect("a folder of the world");
        }
        fs_err::write(path.join("config.toml"), "").expect("the configuration");
        let cache = path.join("cache");
        let mut env: BTreeMap<OsString, OsString> = [
            ("HOME", path.join("home")),
            ("XDG_CONFIG_HOME", path.join("xdg-config")),
            ("XDG_CACHE_HOME", path.join("xdg-cache")),
            ("TMPDIR", path.join("tmp")),
            ("GONDA_CACHE_DIR", cache.clone()),
            ("GONDA_CONFIG", path.join("config.toml")),
        ]
        .into_iter()
        .map(|(name, value)| (OsString::from(name), value.into_os_string()))
        .collect();
        env.insert("PATH".into(), system_path());
        env.insert("LANG".into(), "C.UTF-8".into());
        if cfg!(windows) {
            for name in ["SYSTEMROOT", "COMSPEC"] {
                if let Some(value) = std::env::var_os(name) {
                    env.insert(name.into(), value);
                }
            }
        }
        Self { root, gonda: gonda.into(), env, cache }
    }

    /// The world's folder.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.root.path().canonicalize().expect("the world still stands")
    }

    /// A path in the world's folder.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root().join(relative)
    }

    /// The output folder.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.path("output")
    }

    /// The cache root that gonda is told.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Writes a file below the world's folder, its parents too.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        fs_err::create_dir_all(path.parent().expect("a file has a folder")).expect("the file's folder");
        fs_err::write(&path, content).expect("the file");
        path
    }

    /// Sets a variable of the environment that gonda is started with.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Uses a cache root that other worlds use too, for tests whose subject is not the cache.
    pub fn share_cache(&mut self, folder: impl Into<PathBuf>) -> &mut Self {
        self.cache = folder.into();
        fs_err::create_dir_all(&self.cache).expect("the shared cache");
        let cache = self.cache.clone();
        self.env("GONDA_CACHE_DIR", cache)
    }

    /// Takes the compiled standard library from a folder that all worlds use, whatever their caches: gonda names what is
    /// in it by the toolchain's content and never changes what is there. Nothing happens where there are no links.
    pub fn share_go_std(&mut self, folder: impl AsRef<Path>) -> &mut Self {
        #[cfg(unix)]
        {
            fs_err::create_dir_all(folder.as_ref()).expect("the folder of the standard library");
            // A cache that several worlds share may have it already.
            let _ = std::os::unix::fs::symlink(folder.as_ref(), self.cache.join("gocache"));
        }
        #[cfg(not(unix))]
        let _ = folder;
        self
    }

    /// The command, not yet started: for tests that run several at once or kill one.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        self.command_of(&self.gonda, arguments)
    }

    /// Another program in the same environment.
    pub fn command_of<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.env).current_dir(self.root()).stdin(Stdio::null());
        command
    }

    /// Runs gonda and waits for its end.
    #[must_use = "a run may have failed"]
    pub fn gonda<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        self.run(self.command(arguments))
    }

    /// Runs a command and waits for its end.
    #[must_use = "a run may have failed"]
    pub fn run(&self, command: Command) -> Run {
        self.start(command).wait()
    }

    /// Starts a command; its output is gathered until [`Running::wait`].
    pub fn start(&self, mut command: Command) -> Running {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = gather(child.stdout.take());
        let stderr = gather(child.stderr.take());
        Running { child, stdout, stderr, shown, started: Instant::now(), root: self.root() }
    }

    /// All packages below the output folder, `<subdir>/<file>`, sorted; the subfolder of what is unfinished included.
    #[must_use]
    pub fn packages(&self) -> Vec<String> {
        files_below(&self.output())
            .into_iter()
            .filter(|name| [".conda", ".tar.bz2", ".part"].iter().any(|end| name.ends_with(end)))
            .collect()
    }

    /// The one package below the output folder.
    ///
    /// # Panics
    /// Where there are none or several.
    #[must_use]
    pub fn the_package(&self) -> PathBuf {
        let packages = self.packages();
        assert_eq!(packages.len(), 1, "expected one package, found {packages:?}");
        self.output().join(&packages[0])
    }
}

/// A started command.
#[derive(Debug)]
#[must_use]
pub struct Running {
    child: Child,
    stdout: std::thread::JoinHandle<Vec<u8>>,
    stderr: std::thread::JoinHandle<Vec<u8>>,
    shown: String,
    started: Instant,
    root: PathBuf,
}

impl Running {
    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("the state of a child").is_none()
    }

    /// Ends it at once, without a chance to clean up (`kill -9`).
    #[must_use = "a run may have failed"]
    pub fn kill(mut self) -> Run {
        // An error means that it ended by itself; the exit code tells.
        let _ = self.child.kill();
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After half an hour.
    #[must_use = "a run may have failed"]
    pub fn wait(mut self) -> Run {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                break status;
            }
            if self.started.elapsed() > LONGEST_RUN {
                let _ = self.child.kill();
                panic!("still running after {LONGEST_RUN:?}: {}", self.shown);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |bytes: std::thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.join().expect("a reader thread")).into_owned()
        };
        Run {
            code: status.code(),
            stdout: text(self.stdout),
            stderr: text(self.stderr),
            elapsed: self.started.elapsed(),
            shown: self.shown,
            root: self.root,
        }
    }
}

/// What a run left behind. A test must look at it, what makes one says so: at least [`Run::succeeds`] or
/// [`Run::fails_with`].
#[derive(Debug, Clone)]
pub struct Run {
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
    /// Wall time.
    pub elapsed: Duration,
    shown: String,
    root: PathBuf,
}

impl Run {
    /// Exit code 0.
    ///
    /// # Panics
    /// With all output where it isn't so; so do the other checks.
    pub fn succeeds(self) -> Self {
        self.ends_with(Some(0))
    }

    /// This exit code.
    pub fn fails_with(self, code: i32) -> Self {
        self.ends_with(Some(code))
    }

    fn ends_with(self, code: Option<i32>) -> Self {
        assert!(self.code == code, "expected exit code {code:?}, got {:?}\n{self}", self.code);
        self
    }

    /// A text on stderr.
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "expected `{text}` on stderr\n{self}");
        self
    }

    /// A text not on stderr.
    pub fn is_silent_about(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "did not expect `{text}` on stderr\n{self}");
        self
    }

    /// A text on stdout.
    pub fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "expected `{text}` on stdout\n{self}");
        self
    }

    /// stdout as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is not JSON: {error}\n{self}"))
    }

    /// stdout as JSON, one value a line.
    #[must_use]
    pub fn events(&self) -> Vec<serde_json::Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("`{line}` is not JSON: {error}\n{self}"));
        self.stdout.lines().map(parse).collect()
    }

    /// stderr with what changes from run to run replaced: the world's path, ports, times, digests, process ids.
    #[must_use]
    pub fn redacted(&self) -> String {
        redact(&self.stderr, &self.root)
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, shown, .. } = self;
        write!(f, "command: {shown}\nexit code: {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }
}

fn redact(text: &str, root: &Path) -> String {
    let mut text = text.replace(&*root.to_string_lossy(), "[WORLD]");
    for (pattern, name) in [
        (r"127\.0\.0\.1:[0-9]+", "[LOOPBACK]"),
        (r"\b[0-9a-f]{64}\b", "[SHA256]"),
        (r"\b[0-9a-f]{32}\b", "[MD5]"),
        (r"\b[0-9]+(\.[0-9]+)? ?(ms|s|min)\b", "[TIME]"),
    ] {
        let pattern = Regex::new(pattern).expect("a fixed pattern");
        text = pattern.replace_all(&text, name).into_owned();
    }
    text
}

/// Relative paths of all files below a folder, `/` between their parts, sorted. Empty where the folder is missing.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files: Vec<String> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_string_lossy().replace('\\', "/")))
        .collect();
    files.sort();
    files
}

fn gather(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What could be read until an error is what the test gets to see.
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn system_path() -> OsString {
    if cfg!(windows) {
        std::env::var_os("SYSTEMROOT").map_or_else(OsString::new, |root| Path::new(&root).join("System32").into())
    } else {
        "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_what_changes() {
        let check = |text: &str, expected: &str| assert_eq!(redact(text, Path::new("/w/x")), expected);
        check("in /w/x/cache", "in [WORLD]/cache");
        check("http://127.0.0.1:4711/a", "http://[LOOPBACK]/a");
        check("took 1.25 s, then 30ms", "took [TIME], then [TIME]");
        check(&format!("sha256 {}", "0f".repeat(32)), "sha256 [SHA256]");
        check("tally-1.2.0-hfff7b29_1", "tally-1.2.0-hfff7b29_1");
    }

    #[cfg(unix)]
    #[test]
    fn runs_with_nothing_of_the_caller() {
        let mut world = World::new("/usr/bin/env");
        world.env("SEEN", "yes");
        let run = world.gonda::<&str>([]).succeeds().prints("SEEN=yes");
        assert!(!run.stdout.contains("CARGO"), "{run}");
        let home = format!("HOME={}", world.path("home").display());
        run.prints(&home);
        assert_eq!(world.gonda(["sh", "-c", "echo no >&2; exit 3"]).fails_with(3).says("no").redacted(), "no\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_killed_run_has_no_code() {
        let world = World::new("/bin/sleep");
        let running = world.start(world.command(["60"]));
        assert_eq!(running.kill().code, None);
    }
}
