//! What keeps a script that has gone wild from taking the machine with it: the room's first process sets these limits, for
//! itself and all that it starts.

use std::path::Path;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::statvfs::statvfs;

/// How much more likely a script is to be ended than others when memory runs out, of 1000: before gonda itself, and
/// before what else the user runs.
const FIRST_TO_GO: &str = "500";
/// The first Linux in which a process namespace has a highest process number of its own. Before, writing that would
/// change the machine's.
const OWN_PID_MAX: (u32, u32) = (6, 14);
/// Low numbers, which the kernel gives out only once.
const RESERVED_PIDS: u32 = 300;
/// How often processes are asked for their memory, where it is limited.
const PERIOD: Duration = Duration::from_millis(500);
/// How much of a program's command line is told.
const LONGEST: usize = 120;

/// Limits processes, and sees to it that memory is taken from scripts first, as far as the system allows.
pub(super) fn limit(processes: u32) {
    for (resource, most) in [(Resource::RLIMIT_NPROC, u64::from(processes)), (Resource::RLIMIT_CORE, 0)] {
        if let Ok((_, hard)) = getrlimit(resource) {
            let most = most.min(hard);
            // Who can't be limited has lower limits already.
            let _ = setrlimit(resource, most, most);
        }
    }
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
}

/// Limits the processes of the room for root as well, whom RLIMIT_NPROC doesn't hold. Called while this process has its
/// powers over the new namespace, and its `/proc` is mounted.
pub(super) fn limit_pids(processes: u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if kernel_version(&release).is_some_and(|version| version >= OWN_PID_MAX) {
        // Where the kernel refuses, RLIMIT_NPROC stays.
        let _ = std::fs::write("/proc/sys/kernel/pid_max", processes.saturating_add(RESERVED_PIDS).to_string());
    }
}

/// Major and minor version: `6.14.0-rc1-x` is 6, 14.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..end)?.parse().ok()?))
}

/// Waits until the processes of this namespace have more memory than `most` bytes, and returns what is to be said of it.
/// Memory is what is a process's alone, and files that lie in memory; a cgroup would know it better, but only some users may
/// make one.
pub(super) fn more_memory_than(most: u64) -> String {
    loop {
        std::thread::sleep(PERIOD);
        let mut processes = processes(Path::new("/proc"));
        let files: u64 = ["/", "/dev/shm"].into_iter().map(in_memory).sum();
        let used = processes.iter().map(|(memory, _)| memory).sum::<u64>().saturating_add(files);
        if used > most {
            processes.sort();
            let largest = processes.pop().filter(|(memory, _)| *memory > files);
            let whose = largest.map_or_else(
                || format!("{} of it in files of `/dev/shm`", shown(files)),
                |(memory, command)| format!("{} of it by `{command}`", shown(memory)),
            );
            return format!("the script took {} of memory, {whose}, and may take {}", shown(used), shown(most));
        }
    }
}

/// The memory of processes, and how they were called.
fn processes(proc: &Path) -> Vec<(u64, String)> {
    let folders = std::fs::read_dir(proc).into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .filter_map(|folder| {
            let memory = anonymous(&std::fs::read_to_string(folder.join("status")).ok()?)?;
            let command = std::fs::read(folder.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let command = command.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
            Some((memory, command.take(LONGEST).collect()))
        })
        .collect()
}

/// Bytes of memory that are a process's alone, by its `status` (proc(5)).
fn anonymous(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// Bytes of files in a file system that lies in memory.
fn in_memory(folder: &str) -> u64 {
    let Ok(stat) = statvfs(folder) else { return 0 };
    stat.blocks().saturating_sub(stat.blocks_free()).saturating_mul(stat.fragment_size())
}

fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions() {
        let versions = ["6.18.5", "6.14.0-rc1", "5.4-generic", "6", "x.y"].map(kernel_version);
        assert_eq!(versions, [Some((6, 18)), Some((6, 14)), Some((5, 4)), None, None]);
    }

    #[test]
    fn memory_of_processes() {
        assert_eq!(anonymous("Name:\tx\nRssAnon:\t      84 kB\nRssFile:\t  3 kB\n"), Some(84 * 1024));
        assert_eq!(anonymous("Name:\tkthreadd\n"), None);
        let found = processes(Path::new("/proc"));
        assert!(found.iter().any(|(memory, command)| *memory > 0 && !command.is_empty()), "{found:?}");
    }
}
