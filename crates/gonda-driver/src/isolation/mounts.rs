//! Namespaces on Linux: what a room is made of, and the process that makes it.
//!
//! A process with threads can't enter a user namespace, so gonda starts itself again (`__room`), twice over. The first
//! process makes the namespaces and waits; the second is the first process of the new process namespace, makes the
//! mounts, gives up its powers over them in a further user namespace, starts the command, and reaps whatever becomes
//! its child. When it ends, the kernel ends everything that the command left running; and it ends when the first
//! process does, or when gonda, which holds the other end of its standard input, is gone.
//!
//! Only safe calls of the `nix` crate are used.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use indexmap::IndexMap;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Uid, pivot_root, sethostname, setsid};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

use super::reach::SERVICE;
use super::room::{Bind, Format, Link, io_error};
use super::{Reach, TRAMPOLINE, held, network, paths};
use crate::process::{self, Command, Exit};
use crate::{Error, Kind, Result};

/// The first process's argument, after [`TRAMPOLINE`], where the room has a network of its own.
const CLOSED: &str = "closed";
/// The second process's argument, after [`TRAMPOLINE`].
const INIT: &str = "init";
/// gonda's own program, whatever its name and even if the file was replaced meanwhile.
const SELF: &str = "/proc/self/exe";
/// The user that scripts are: not root, whose `tar` restores owners and fails, and the same on every machine.
const USER: u32 = 1000;
/// Where things are put aside while the root is made.
const ASIDE: &str = "/.gonda";
/// Further folders of the system that exist on some distributions and hold what `/usr` and `/etc` link to.
const SYSTEM_FOLDERS: &[&str] = &["/nix", "/gnu", "/var/lib/ca-certificates"];
/// What the script sees in place of the machine's lists of users and groups, so that `whoami` says the same everywhere.
const ACCOUNTS: &[(&str, &str)] = &[
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\ngonda:x:1000:1000:gonda:/opt/gonda/b/home:/bin/sh\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("group", "root:x:0:\ngonda:x:1000:\nnogroup:x:65534:\n"),
];
/// The name of the machine, as the script sees it.
const HOST_NAME: &str = "gonda";

/// All that the second process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// The job's folder.
    dir: PathBuf,
    /// A file in it for what became of the command.
    report: PathBuf,
    binds: Vec<(PathBuf, PathBuf, bool)>,
    overlays: Vec<Overlay>,
    pub(super) links: Vec<Link>,
    pub(super) formats: Vec<Format>,
    pub(super) processes: u32,
    pub(super) memory: Option<u64>,
    network: Network,
    program: String,
    args: Vec<String>,
    cwd: PathBuf,
    env: IndexMap<String, String>,
}

/// Whose network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Network {
    /// The machine's.
    Machine,
    /// The room's own, with nothing but loopback.
    Own {
        /// Where a listener is bound for gonda.
        service: Option<SocketAddr>,
    },
}

/// A layer of the job's own over a shared folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Overlay {
    /// The shared folder, which is only read.
    pub(super) lower: PathBuf,
    /// The job's layer: a name in the job's folder.
    pub(super) upper: String,
    /// Where the script sees the two as one.
    pub(super) seen: PathBuf,
    /// The layer is in memory, not in the job's folder.
    pub(super) memory: bool,
}

/// Bytes reserved for a report; what is longer needs free space.
const REPORT_SIZE: usize = 4096;

/// What became of the command.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
enum Report {
    /// The room could not be made: what was being done, and the system's word.
    Failed(String),
    /// The command could not be started.
    NotStarted(String),
    /// It ended with an exit code.
    Exited(i32),
    /// A signal ended it.
    Signaled(i32),
    /// It was ended, for it took more memory than it may: how much, and which program.
    TookMemory(String),
}

impl Setup {
    pub(super) fn new(
        dir: &Path,
        binds: Vec<Bind>,
        overlays: Vec<Overlay>,
        reach: &Reach,
        command: &Command,
    ) -> Result<Self> {
        let text = |text: &OsStr| {
            let shown = text.to_string_lossy();
            text.to_str()
                .map(ToOwned::to_owned)
                .ok_or_else(|| Error::new(Kind::Usage, format!("the argument `{shown}` of a command is not UTF-8")))
        };
        let dir = std::path::absolute(dir).map_err(|error| io_error("find", dir, error))?;
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| io_error("find", path, error));
        Ok(Self {
            report: dir.join("report.json"),
            binds: binds
                .into_iter()
                .map(|bind| Ok((absolute(&bind.disk)?, bind.seen, bind.writable)))
                .collect::<Result<_>>()?,
            overlays: overlays
                .into_iter()
                .map(|overlay| Ok(Overlay { lower: absolute(&overlay.lower)?, ..overlay }))
                .collect::<Result<_>>()?,
            links: Vec::new(),
            formats: Vec::new(),
            processes: 0,
            memory: None,
            network: match reach {
                Reach::Everything => Network::Machine,
                Reach::Loopback(serve) => Network::Own { service: serve.is_some().then_some(SERVICE) },
            },
            program: text(&command.program)?,
            args: command.args.iter().map(|arg| text(arg)).collect::<Result<_>>()?,
            cwd: command.cwd.clone(),
            env: command.env.clone(),
            dir,
        })
    }
}

/// Makes the room and runs the command in it.
pub(super) async fn run(
    setup: Setup,
    reach: &Reach,
    hidden: Vec<String>,
    on_line: impl FnMut(&str) + Send,
    log: Option<&Path>,
) -> Result<Exit> {
    for folder in ["root", "overlay"] {
        let folder = setup.dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(|error| io_error("make", &folder, error))?;
    }
    for (name, text) in ACCOUNTS {
        let file = setup.dir.join(name);
        std::fs::write(&file, text).map_err(|error| io_error("write", &file, error))?;
    }
    // What a former run in the same room said must not be taken for this one's word; and the place for it is taken
    // beforehand, for the script may fill the disk.
    std::fs::write(&setup.report, [b' '; REPORT_SIZE]).map_err(|error| io_error("write", &setup.report, error))?;
    let text = serde_json::to_vec(&setup).map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
    let mut feed = format!("{}\n", text.len()).into_bytes();
    feed.extend_from_slice(&text);
    let closed = (setup.network != Network::Machine).then_some(CLOSED);
    let mut command = Command::new(SELF, &setup.dir).args([TRAMPOLINE]).args(closed);
    let unlinked = |error: std::io::Error| Error::new(Kind::Machine, "can't talk to a room").because(error);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(unlinked)?;
    command.stdin = Some(Arc::new(File::from(OwnedFd::from(theirs))));
    command.hidden = hidden;
    ours.set_nonblocking(true).map_err(unlinked)?;
    let ours = UnixStream::from_std(ours).map_err(unlinked)?;
    let exit = tokio::select! {
        exit = process::run(command, on_line, log) => exit?,
        Err(error) = converse(ours, &feed, reach) => return Err(error),
    };

    let report = match std::fs::read(&setup.report) {
        Ok(text) => serde_json::Deserializer::from_slice(&text).into_iter::<Report>().next().and_then(Result::ok),
        Err(_) => None,
    };
    let machine = |message: String| Error::new(Kind::Machine, message);
    match report {
        Some(Report::Exited(code)) => Ok(Exit { code: Some(code), signal: None, ..exit }),
        Some(Report::Signaled(signal)) => Ok(Exit { code: None, signal: Some(signal), ..exit }),
        Some(Report::NotStarted(reason)) => {
            Err(machine(format!("`{}` can't be started in `{}`: {reason}", setup.program, setup.cwd.display())))
        }
        Some(Report::Failed(reason)) => Err(machine(reason)),
        Some(Report::TookMemory(how)) => Err(machine(format!("{how}: it was ended")).help(
            "`--max-memory` raises the limit; a smaller `--jobs` lets fewer jobs, compilers and linkers run at a time",
        )),
        // Ended from outside.
        None if exit.signal.is_some() => Ok(exit),
        // It failed before it knew where to report.
        None if exit.code == Some(i32::from(Kind::Machine.exit_code())) => Err(machine(exit.last_lines.join("; "))),
        None => {
            let said = exit.last_lines.join("; ");
            Err(machine(format!("the process that isolates scripts ended with {}: {said}", exit.describe())))
        }
    }
}

/// gonda's side of a room's standard input: tells what to make, takes the listener, and holds the line, whose end is
/// the room's. Completes only when it fails.
async fn converse(mut line: UnixStream, feed: &[u8], reach: &Reach) -> Result<Infallible> {
    // A process that ended early leaves a broken pipe; how it ended tells more than that.
    if line.write_all(feed).await.is_ok()
        && let Reach::Loopback(Some(serve)) = reach
    {
        let failed =
            |error: std::io::Error| Error::new(Kind::Machine, "could not take over a room's network").because(error);
        let received = line.async_io(Interest::READABLE, || network::receive(&line)).await.map_err(failed)?;
        if let Some(listener) = received {
            serve(listener)?;
        }
    }
    std::future::pending().await
}

/// The trampoline: what this process does when it was started as `__room`.
pub(super) fn enter(stage: Option<&OsStr>) -> u8 {
    let result = match stage {
        None => outside(CloneFlags::empty()),
        Some(stage) if stage == CLOSED => outside(CloneFlags::CLONE_NEWNET),
        Some(stage) if stage == INIT => inside(),
        Some(_) => Err("started in an unknown way".to_owned()),
    };
    match result {
        Ok(code) => code,
        Err(reason) => {
            // This is the output of a process of gonda's own, read by gonda.
            let _ = writeln!(std::io::stderr(), "{reason}");
            Kind::Machine.exit_code()
        }
    }
}

type Step<T> = std::result::Result<T, String>;

/// Names the step that failed.
fn step<T, E: std::fmt::Display>(what: impl std::fmt::Display, result: std::result::Result<T, E>) -> Step<T> {
    result.map_err(|error| format!("{what} failed: {error}"))
}

/// The first process: makes namespaces, `more` of them beside those that every room has, starts the second, waits.
fn outside(more: CloneFlags) -> Step<u8> {
    let (user, group) = (Uid::effective().as_raw(), Gid::effective().as_raw());
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | more;
    unshare(flags).map_err(|error| match error {
        // So says `user_namespaces(7)` of the limit `user.max_user_namespaces`, which some systems set to 0.
        Errno::ENOSPC | Errno::EUSERS => "user namespaces are switched off (`user.max_user_namespaces`)".to_owned(),
        error => format!("making a user namespace failed: {error}"),
    })?;
    map_user(0, user, group)?;
    let mut init = std::process::Command::new(SELF);
    // Ended with this process, for its standard input may outlive it for a moment.
    let status = step("starting in the namespace", init.args([TRAMPOLINE, INIT]).env_clear().status())?;
    Ok(u8::try_from(status.code().unwrap_or(255)).unwrap_or(255))
}

/// Makes this process's user and group appear under another number in the user namespace that it just entered.
fn map_user(inside: u32, user: u32, group: u32) -> Step<()> {
    let write = |file: &str, text: &str| step(format!("writing `{file}`"), std::fs::write(file, text));
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{inside} {user} 1\n"))?;
    write("/proc/self/gid_map", &format!("{inside} {group} 1\n"))
}

/// The second process: the first of its process namespace.
fn inside() -> Step<u8> {
    let setup = read_setup()?;
    let mut report = step("opening the report", File::options().write(true).open(&setup.report))?;
    let report_too = report.try_clone();
    let mut tell = |word: &Report| {
        let text = serde_json::to_vec(word).unwrap_or_default();
        // Without a report gonda says that this process ended without one.
        let _ = report.write_all(&text);
    };
    let network = match setup.network {
        Network::Machine => Ok(()),
        Network::Own { service } => step("making a network", network::set_up(service, std::io::stdin())),
    };
    if let Err(reason) = network.and_then(|()| make_room(&setup)) {
        tell(&Report::Failed(reason.clone()));
        return Err(reason);
    }
    // Ends with gonda: only it holds the other end.
    std::thread::spawn(|| {
        let mut buffer = [0; 64];
        while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
        #[allow(clippy::disallowed_methods, reason = "a thread that ends the room's first process, and so the room")]
        std::process::exit(i32::from(Kind::Interrupted.exit_code()));
    });

    held::limit(setup.processes);
    if let Some(most) = setup.memory {
        let mut report = step("opening the report", report_too)?;
        std::thread::spawn(move || {
            let word = Report::TookMemory(held::more_memory_than(most));
            let _ = report.write_all(&serde_json::to_vec(&word).unwrap_or_default());
            #[allow(
                clippy::disallowed_methods,
                reason = "a thread that ends the room's first process, and so the room"
            )]
            std::process::exit(i32::from(Kind::Machine.exit_code()));
        });
    }
    let mut command = std::process::Command::new(&setup.program);
    command.args(&setup.args).current_dir(&setup.cwd).env_clear().envs(&setup.env).stdin(Stdio::null());
    let child = match command.spawn() {
        Ok(child) => i32::try_from(child.id()).unwrap_or(i32::MAX),
        Err(error) => {
            let reason = format!("`{}`: {error}", setup.program);
            tell(&Report::NotStarted(error.to_string()));
            return Err(reason);
        }
    };
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == child => {
                tell(&Report::Exited(code));
                return Ok(u8::try_from(code & 0xff).unwrap_or(255));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == child => {
                tell(&Report::Signaled(signal as i32));
                return Ok(128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(127)));
            }
            // An orphan, reaped, or an interruption.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(format!("waiting failed: {error}")),
        }
    }
}

fn read_setup() -> Step<Setup> {
    let mut input = std::io::stdin().lock();
    let mut length = String::new();
    step("reading the set-up", input.read_line(&mut length))?;
    let length: usize = step("reading the set-up", length.trim().parse())?;
    let mut text = vec![0; length];
    step("reading the set-up", input.read_exact(&mut text))?;
    step("reading the set-up", serde_json::from_slice(&text))
}

/// Makes the new root and moves into it.
fn make_room(setup: &Setup) -> Step<()> {
    const NONE: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    step("making mounts private", mount(NONE, "/", NONE, private, NONE))?;
    let root = setup.dir.join("root");
    let in_root = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    // Layers in memory are as large as they get; else there is nothing in it but mount points.
    let size = if setup.overlays.iter().any(|overlay| overlay.memory) { "50%" } else { "5%" };
    let options = format!("mode=0755,size={size}");
    let mounted = mount(Some("root"), &root, Some("tmpfs"), MsFlags::MS_NODEV, Some(options.as_str()));
    step("mounting a root", mounted)?;

    // The system.
    for folder in ["/usr", "/etc"].iter().chain(SYSTEM_FOLDERS).map(Path::new) {
        if folder.is_dir() {
            bind(folder, &in_root(folder), false)?;
        }
    }
    if let Some(folder) = resolver_folder() {
        bind(&folder, &in_root(&folder), false)?;
    }
    for (name, _) in ACCOUNTS {
        let file = in_root(&Path::new("/etc").join(name));
        if file.is_file() {
            bind(&setup.dir.join(name), &file, false)?;
        }
    }
    bind(Path::new("/dev"), &in_root(Path::new("/dev")), true)?;
    for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"].map(Path::new) {
        let here = in_root(name);
        match name.read_link() {
            Ok(target) => step(format!("linking `{}`", name.display()), std::os::unix::fs::symlink(target, here))?,
            Err(_) if name.is_dir() => bind(name, &here, false)?,
            Err(_) => {}
        }
    }
    let shared_memory = in_root(Path::new("/dev/shm"));
    if shared_memory.is_dir() {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        step(
            "mounting `/dev/shm`",
            mount(Some("shm"), &shared_memory, Some("tmpfs"), flags, Some("mode=1777,size=25%")),
        )?;
    }
    let processes = in_root(Path::new("/proc"));
    make_folder(&processes)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step("mounting `/proc`", mount(Some("proc"), &processes, Some("proc"), flags, NONE))?;
    for folder in ["/run", "/var", paths::ROOT].map(Path::new) {
        make_folder(&in_root(folder))?;
    }
    step("linking `/var/tmp`", std::os::unix::fs::symlink("/tmp", in_root(Path::new("/var/tmp"))))?;

    // What is the job's own.
    for (disk, seen, writable) in &setup.binds {
        bind(disk, &in_root(seen), *writable)?;
    }
    // What goes into overlays, at short plain paths, for an overlay's options are one line with commas and colons.
    let aside = in_root(Path::new(ASIDE));
    bind(&setup.dir, &aside.join("job"), true)?;
    for (index, overlay) in setup.overlays.iter().enumerate() {
        bind(&overlay.lower, &aside.join(format!("lower{index}")), true)?;
        make_folder(&in_root(&overlay.seen))?;
        if overlay.memory {
            make_folder(&aside.join(format!("memory{index}/upper")))?;
        }
    }

    let old = aside.join("old");
    make_folder(&old)?;
    step("moving into the new root", pivot_root(&root, &old))?;
    step("moving into the new root", std::env::set_current_dir("/"))?;
    for (index, overlay) in setup.overlays.iter().enumerate() {
        let (upper, work) = if overlay.memory {
            (format!("{ASIDE}/memory{index}/upper"), format!("{ASIDE}/memory{index}/work"))
        } else {
            (format!("{ASIDE}/job/{}", overlay.upper), format!("{ASIDE}/job/overlay/{index}"))
        };
        make_folder(Path::new(&work))?;
        let options = format!("lowerdir={ASIDE}/lower{index},upperdir={upper},workdir={work},userxattr");
        let what = format!("mounting an overlay at `{}`", overlay.seen.display());
        step(what, mount(Some("overlay"), &overlay.seen, Some("overlay"), MsFlags::empty(), Some(options.as_str())))?;
    }
    for link in &setup.links {
        replace_by_link(link)?;
    }
    held::limit_pids(setup.processes);
    register_formats(&setup.formats)?;
    for (index, _) in setup.overlays.iter().enumerate() {
        let lower = format!("{ASIDE}/lower{index}");
        step("putting a layer away", umount2(lower.as_str(), MntFlags::MNT_DETACH))?;
    }
    for folder in ["job", "old"] {
        let folder = format!("{ASIDE}/{folder}");
        step(format!("leaving `{folder}`"), umount2(folder.as_str(), MntFlags::MNT_DETACH))?;
    }
    // A layer in memory stays where it is; its files are reached through the overlay only.
    step("hiding layers", std::fs::set_permissions(ASIDE, std::os::unix::fs::PermissionsExt::from_mode(0o000)))?;

    step("naming the machine", sethostname(HOST_NAME))?;
    step("entering a session", setsid())?;
    step("entering the script's user namespace", unshare(CloneFlags::CLONE_NEWUSER))?;
    map_user(USER, 0, 0)?;
    step("giving up privileges", nix::sys::prctl::set_no_new_privs())?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    step("tying this process to its parent", nix::sys::prctl::set_pdeathsig(Signal::SIGKILL))
}

/// Puts a link where a file of a shared folder is. A room's second command finds it there already.
fn replace_by_link(link: &Link) -> Step<()> {
    let Link { seen, target } = link;
    let what = || format!("linking `{}`", seen.display());
    if seen.read_link().is_ok_and(|present| present == *target) {
        return Ok(());
    }
    match std::fs::remove_file(seen) {
        // A script may have removed it, with the folder that it was in.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        removed => step(what(), removed)?,
    }
    step(what(), std::os::unix::fs::symlink(target, seen))
}

/// Tells the kernel what runs programs of other platforms, for this user namespace and those in it alone. Where it can't
/// be told, such programs don't run, as anywhere.
fn register_formats(formats: &[Format]) -> Step<()> {
    const NONE: Option<&str> = None;
    if formats.is_empty() {
        return Ok(());
    }
    // The formats are forgotten with the mount, so it stays, out of sight.
    let folder = Path::new(ASIDE).join("binfmt");
    make_folder(&folder)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if mount(Some("binfmt_misc"), &folder, Some("binfmt_misc"), flags, NONE).is_err() {
        return Ok(());
    }
    for format in formats {
        let what = format!("registering programs as `{}`", format.name);
        step(what, std::fs::write(folder.join("register"), registration(format)))?;
    }
    Ok(())
}

/// A line for `binfmt_misc/register` (the kernel's `binfmt-misc.rst`). `F`: the interpreter is opened now; `P`: it gets
/// the program's first argument too. Each byte is written as `\xNN`, for a NUL would end the text.
fn registration(format: &Format) -> String {
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let Format { name, magic, mask, interpreter } = format;
    format!(":{name}:M:0:{}:{}:{}:FP", bytes(magic), bytes(mask), interpreter.display())
}

fn make_folder(folder: &Path) -> Step<()> {
    step(format!("making `{}`", folder.display()), std::fs::create_dir_all(folder))
}

/// Makes a file or folder, with what is mounted in it, appear at another path.
fn bind(from: &Path, to: &Path, writable: bool) -> Step<()> {
    const NONE: Option<&str> = None;
    let what = || format!("mounting `{}`", from.display());
    let meta = step(what(), from.metadata())?;
    if meta.is_dir() {
        make_folder(to)?;
    } else {
        if let Some(parent) = to.parent() {
            make_folder(parent)?;
        }
        if !to.exists() {
            step(what(), File::create(to))?;
        }
    }
    step(what(), mount(Some(from), to, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE))?;
    if writable {
        return Ok(());
    }
    protect(to).map_err(|error| format!("{} read-only failed: {error}", what()))?;
    for inner in mounts_below(to) {
        // What is mounted inside may be hidden by another mount, or be a kind that can't be protected.
        let _ = protect(&inner);
    }
    Ok(())
}

/// Makes a mount read-only. In a user namespace the flags it has can't be taken away, so they are named again.
fn protect(folder: &Path) -> nix::Result<()> {
    use nix::sys::statvfs::{FsFlags, statvfs};
    const KEPT: &[(FsFlags, MsFlags)] = &[
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
    ];
    let has = statvfs(folder)?.flags();
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    for (seen, kept) in KEPT {
        if has.contains(*seen) {
            flags |= *kept;
        }
    }
    mount(None::<&str>, folder, None::<&str>, flags, None::<&str>)
}

/// The mounts below a folder, by the kernel's list, in which blanks and backslashes stand as octal numbers.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let list = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    list.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(unescape(path)))
        .filter(|path| path != folder && path.starts_with(folder))
        .collect()
}

fn unescape(path: &str) -> String {
    let mut out = Vec::new();
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = path.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        if let Some(number) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(number);
            at += 4;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The folder outside `/etc` and `/usr` in which the resolver's configuration really lies, if it does.
fn resolver_folder() -> Option<PathBuf> {
    let real = Path::new("/etc/resolv.conf").canonicalize().ok()?;
    let folder = real.parent()?;
    let known = ["/", "/etc", "/usr", "/run", "/var", "/dev", "/proc"].map(Path::new);
    let inside = ["/etc", "/usr", "/dev", "/proc"].iter().any(|root| folder.starts_with(root));
    (!inside && !known.contains(&folder)).then(|| folder.to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_format_is_one_line() {
        let format = super::Format {
            name: "foreign-pe".to_owned(),
            magic: b"MZ\0".to_vec(),
            mask: vec![0xff, 0xff, 0],
            interpreter: "/opt/x".into(),
        };
        assert_eq!(super::registration(&format), r":foreign-pe:M:0:\x4d\x5a\x00:\xff\xff\x00:/opt/x:FP");
    }

    #[test]
    fn mount_paths() {
        assert_eq!(super::unescape(r"/a\040b\134c"), r"/a b\c");
        assert_eq!(super::unescape(r"/a\"), r"/a\");
    }
}
