//! What differs by the system that gonda itself runs on: process groups, the system part of PATH, shells, permissions.
//!
//! Everything else in this crate is written once for Linux, macOS and Windows and asks here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// The last part of a script's PATH: where the system keeps its own programs, and nothing that a user or another
/// package manager put there (`/usr/local`, `/opt`, `~/.local` are left out on purpose).
#[cfg(not(windows))]
const SYSTEM_PATH: &[&str] = &["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// What separates folders in PATH.
#[cfg(not(windows))]
pub(crate) const PATH_SEPARATOR: char = ':';
/// What separates folders in PATH.
#[cfg(windows)]
pub(crate) const PATH_SEPARATOR: char = ';';

/// How many bytes are free on the disk of a folder, for who isn't root. `None` where the system doesn't say.
pub(crate) fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = nix::sys::statvfs::statvfs(folder).ok()?;
        #[allow(clippy::useless_conversion, reason = "the types differ from system to system")]
        let (blocks, size) = (u64::from(disk.blocks_available()), u64::from(disk.fragment_size()));
        blocks.checked_mul(size)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// The folders of the system part of PATH.
pub(crate) fn system_path() -> Vec<PathBuf> {
    #[cfg(not(windows))]
    {
        SYSTEM_PATH.iter().map(PathBuf::from).collect()
    }
    #[cfg(windows)]
    {
        let root = windows_root();
        vec![
            root.join("System32"),
            root.clone(),
            root.join("System32").join("Wbem"),
            root.join("System32").join("WindowsPowerShell").join("v1.0"),
        ]
    }
}

/// Variables without which no program of the system starts, with their values. Empty on unix.
pub(crate) fn system_variables() -> Vec<(String, String)> {
    #[cfg(not(windows))]
    {
        Vec::new()
    }
    #[cfg(windows)]
    {
        let root = windows_root();
        let drive: String = root.to_string_lossy().chars().take(2).collect();
        let shell = root.join("System32").join("cmd.exe");
        vec![
            ("SystemRoot".to_owned(), root.to_string_lossy().into_owned()),
            ("windir".to_owned(), root.to_string_lossy().into_owned()),
            ("SystemDrive".to_owned(), drive),
            ("ComSpec".to_owned(), shell.to_string_lossy().into_owned()),
            ("PATHEXT".to_owned(), ".COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC".to_owned()),
        ]
    }
}

/// The Windows folder, found by the one place where every Windows keeps its shell.
#[cfg(windows)]
fn windows_root() -> PathBuf {
    ["C:\\Windows", "D:\\Windows", "E:\\Windows"]
        .iter()
        .map(PathBuf::from)
        .find(|root| root.join("System32").join("cmd.exe").is_file())
        .unwrap_or_else(|| PathBuf::from("C:\\Windows"))
}

/// Completes when the system asks this process politely to end (SIGTERM); never where there is no such request.
pub async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut requests) = signal(SignalKind::terminate()) {
            requests.recv().await;
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// The shell that runs generated scripts: bash on unix (from the system, as conda-build has it), cmd on Windows.
pub(crate) fn shell() -> PathBuf {
    #[cfg(not(windows))]
    {
        find_program("bash", &system_path()).unwrap_or_else(|| PathBuf::from("/bin/bash"))
    }
    #[cfg(windows)]
    {
        windows_root().join("System32").join("cmd.exe")
    }
}

/// The file that a shell would start for a bare name, looking through folders in order.
pub(crate) fn find_program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    // `/bin` comes first for bash where both exist, because `/bin/bash` is the name that everyone knows.
    let preferred = (name == "bash").then(|| PathBuf::from("/bin"));
    let suffixes: &[&str] = if cfg!(windows) { &[".exe", ".bat", ".cmd", ""] } else { &[""] };
    preferred
        .iter()
        .chain(folders)
        .flat_map(|folder| suffixes.iter().map(move |suffix| folder.join(format!("{name}{suffix}"))))
        .find(|path| is_executable(path))
}

/// Whether a path names a file that can be started.
pub(crate) fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    {
        path.is_file()
    }
}

/// Lets everybody start a file, where files have such modes.
pub(crate) fn make_executable(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Where Go looks for the user's configuration (`os.UserConfigDir`) when HOME is `home` and XDG variables are unset.
pub(crate) fn user_config_dir(home: &Path) -> PathBuf {
    if cfg!(windows) {
        home.join("AppData").join("Roaming")
    } else if cfg!(target_os = "macos") {
        home.join("Library").join("Application Support")
    } else {
        home.join(".config")
    }
}

/// Makes a process the leader of a group of its own, so that it can be ended with all that it started, and so that a
/// Ctrl-C at the terminal reaches gonda alone.
pub(crate) fn own_group(command: &mut tokio::process::Command) {
    #[cfg(unix)]
    {
        command.process_group(0);
    }
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    }
}

/// Ends a process that leads a group, and its group. Nothing happens where none is left.
pub(crate) fn end_group(leader: u32) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{Signal, killpg};
        if let Ok(leader) = i32::try_from(leader) {
            // The group may be gone already, and then there is nothing to end.
            let _ = killpg(nix::unistd::Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
    #[cfg(windows)]
    {
        // Windows ends a tree of processes by this program only, short of job objects, which need unsafe code.
        let _ = std::process::Command::new(windows_root().join("System32").join("taskkill.exe"))
            .args(["/T", "/F", "/PID", &leader.to_string()])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
    }
}

/// Gives a program another name, by which it is started too.
pub(crate) fn name_again(program: &Path, name: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        // Relative where they lie together, for the folder may be seen elsewhere.
        let target = match (program.parent(), name.parent()) {
            (Some(one), Some(other)) if one == other => PathBuf::from(program.file_name().unwrap_or_default()),
            (Some(one), Some(other)) if other.parent() == Some(one) => {
                Path::new("..").join(program.file_name().unwrap_or_default())
            }
            _ => program.to_owned(),
        };
        std::os::unix::fs::symlink(target, name)
    }
    #[cfg(not(unix))]
    {
        std::fs::hard_link(program, name).or_else(|_| std::fs::copy(program, name).map(drop))
    }
}

/// A link to a path, which may be relative to it.
pub(crate) fn symlink(target: &Path, link: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    return match link.parent().unwrap_or(link).join(target).is_dir() {
        true => std::os::windows::fs::symlink_dir(target, link),
        false => std::os::windows::fs::symlink_file(target, link),
    };
}

/// From here on passes requests to end this process (SIGTERM and its like) on to another one, for as long as this one
/// lives. To be called with no other thread, and once that process runs, for it would inherit what is held back here.
pub(crate) fn pass_requests_on(process: u32) {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal, kill};
        let mut held = SigSet::empty();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
            held.add(signal);
        }
        let Ok(process) = i32::try_from(process) else { return };
        // Where it fails, a request ends this process and not the other one.
        if held.thread_block().is_ok() {
            std::thread::spawn(move || {
                while let Ok(signal) = held.wait() {
                    let _ = kill(nix::unistd::Pid::from_raw(process), signal);
                }
            });
        }
    }
    #[cfg(not(unix))]
    let _ = process;
}

/// Whether [`on_loopback_alone`] does anything here.
pub(crate) const CLOSES_NETWORK: bool = cfg!(target_os = "macos");

/// A program and its arguments, so that it reaches loopback and no other network, where the system has a means to that without namespaces:
/// macOS' sandbox.
pub(crate) fn on_loopback_alone(program: OsString, args: Vec<OsString>) -> (OsString, Vec<OsString>) {
    if !CLOSES_NETWORK {
        return (program, args);
    }
    let mut inner = vec![OsString::from("-p"), LOOPBACK_PROFILE.into(), program];
    inner.extend(args);
    ("/usr/bin/sandbox-exec".into(), inner)
}

/// In the language of macOS' sandbox, in which the last rule that fits decides. Names are resolved by a service behind
/// a unix socket, which is closed too, so that a script fails where it asks for a host and not later.
const LOOPBACK_PROFILE: &str = "(version 1)\n\
    (allow default)\n\
    (deny network*)\n\
    (allow network* (local ip \"localhost:*\"))\n\
    (allow network* (remote ip \"localhost:*\"))\n\
    (allow network* (local unix-socket))\n\
    (allow network* (remote unix-socket))\n\
    (deny network-outbound (literal \"/private/var/run/mDNSResponder\"))\n";

/// The signal that ended a process.
pub(crate) fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    {
        std::os::unix::process::ExitStatusExt::signal(&status)
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

/// Whether a program could not be started because it is for another system or machine (ENOEXEC, ERROR_BAD_EXE_FORMAT).
pub(crate) fn is_foreign_program(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(if cfg!(windows) { 193 } else { 8 })
}

/// Lets the owner do everything with a file or folder; a symbolic link is left alone.
pub(crate) fn make_removable(path: &Path) -> std::io::Result<()> {
    let meta = path.symlink_metadata()?;
    if meta.is_symlink() {
        return Ok(());
    }
    let mut permissions = meta.permissions();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if permissions.mode() & 0o700 == 0o700 {
            return Ok(());
        }
        permissions.set_mode(permissions.mode() | 0o700);
    }
    #[cfg(not(unix))]
    {
        if !permissions.readonly() {
            return Ok(());
        }
        #[allow(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(false);
    }
    std::fs::set_permissions(path, permissions)
}

/// Whether a path is a device file: in an overlay's layer such a file stands for something that was removed.
pub(crate) fn is_device(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        path.symlink_metadata().is_ok_and(|meta| meta.file_type().is_char_device())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether a folder's name is one of those by which Go finds the repository that encloses a module
/// (`cmd/go/internal/vcs`, `vcsList`).
pub(crate) fn repository_mark(folder: &Path) -> Option<&'static str> {
    const MARKS: &[&str] = &[".git", ".hg", ".svn", ".bzr", "_FOSSIL_", ".fslckout"];
    MARKS.iter().copied().find(|mark| folder.join(OsStr::new(mark)).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_profile() {
        // Each rule is a list of its own, and closing the network comes before what is left open.
        assert_eq!(LOOPBACK_PROFILE.matches('(').count(), LOOPBACK_PROFILE.matches(')').count());
        let lines: Vec<&str> = LOOPBACK_PROFILE.lines().collect();
        assert_eq!(lines[..3], ["(version 1)", "(allow default)", "(deny network*)"]);
        let (program, args) = on_loopback_alone("/bin/bash".into(), vec!["x.sh".into()]);
        let shown: Vec<String> =
            std::iter::once(&program).chain(&args).map(|part| part.to_string_lossy().into_owned()).collect();
        let expected: &[&str] = if cfg!(target_os = "macos") {
            &["/usr/bin/sandbox-exec", "-p", LOOPBACK_PROFILE, "/bin/bash", "x.sh"]
        } else {
            &["/bin/bash", "x.sh"]
        };
        assert_eq!(shown, expected);
    }
}
