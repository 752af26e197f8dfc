//! What the machine gave for isolation, kept from one run to the next, for trying it takes longer than an unchanged build.
//!
//! An answer holds for one boot, user, file system and set of namespaces (a container may share its host's cache), and
//! for one version of gonda. Only what can be had is kept, so that a machine that was set right is noticed; what doesn't
//! hold any more is forgotten when a room can't be made.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Mode;
use crate::files::write_whole;

/// Its name in the folder that it is about.
const FILE: &str = ".isolation.json";

/// The folders whose answers this process relies on.
static RELIED_ON: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

#[derive(Serialize, Deserialize)]
struct Answer {
    /// For whom.
    circumstances: Vec<String>,
    mode: Mode,
}

/// The answer for rooms below `work_root`, if there is one that holds here and now.
pub(super) fn recall(work_root: &Path) -> Option<Mode> {
    let text = std::fs::read(work_root.join(FILE)).ok()?;
    let answer: Answer = serde_json::from_slice(&text).ok()?;
    if answer.circumstances != circumstances(work_root)? {
        return None;
    }
    rely_on(work_root);
    Some(answer.mode)
}

/// Keeps an answer. Where that can't be done, it is found out again the next time.
pub(super) fn remember(work_root: &Path, mode: Mode) {
    let write = || {
        let answer = Answer { circumstances: circumstances(work_root)?, mode };
        write_whole(&work_root.join(FILE), &serde_json::to_vec(&answer).ok()?).ok()
    };
    if write().is_some() {
        rely_on(work_root);
    }
}

/// Forgets the answers that this process has relied on: a room could not be made.
pub(super) fn forget() {
    for work_root in RELIED_ON.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // One that stays fails as this run did.
        let _ = std::fs::remove_file(work_root.join(FILE));
    }
}

fn rely_on(work_root: &Path) {
    RELIED_ON.lock().unwrap_or_else(PoisonError::into_inner).push(work_root.to_owned());
}

/// What an answer depends on; `None` where that can't be found out.
#[cfg(target_os = "linux")]
fn circumstances(work_root: &Path) -> Option<Vec<String>> {
    use std::os::unix::fs::MetadataExt as _;

    let mut found = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned(),
        format!("{}:{}", nix::unistd::Uid::effective(), nix::unistd::Gid::effective()),
        work_root.metadata().ok()?.dev().to_string(),
        // A security module's profile can be about programs at some paths.
        std::fs::read_to_string("/proc/self/attr/current")
            .unwrap_or_default()
            .trim_end_matches(['\0', '\n'])
            .to_owned(),
        std::env::current_exe().ok()?.to_str()?.to_owned(),
    ];
    for namespace in ["user", "mnt", "pid", "net"] {
        found.push(std::fs::read_link(format!("/proc/self/ns/{namespace}")).ok()?.to_str()?.to_owned());
    }
    Some(found)
}

/// Elsewhere there is nothing to remember.
#[cfg(not(target_os = "linux"))]
fn circumstances(_work_root: &Path) -> Option<Vec<String>> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::Upper;
    use super::*;

    #[test]
    fn an_answer_holds_until_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let mode = Mode::Mounts { upper: Upper::Disk };
        assert_eq!(recall(folder.path()), None);
        remember(folder.path(), mode);
        assert_eq!(recall(folder.path()), Some(mode));
        let file = folder.path().join(FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("user:[", "user:[1")).unwrap();
        assert_eq!(recall(folder.path()), None, "another container");
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(recall(folder.path()), None, "half a file");
        std::fs::write(&file, text).unwrap();
        forget();
        assert_eq!(recall(folder.path()), None);
    }
}
