//! A job's room: the folders that a script sees, and what keeps it from reaching others.
//!
//! On Linux, where the kernel allows it, a script runs in namespaces of its own: a fresh root in which only the
//! system's programs, its own folders and nothing else of the disk exist, at paths that are the same in every build
//! ([`paths`]). It writes into a layer of its own over the shared build environment and the shared modules. Elsewhere
//! it runs in real folders below the cache's work folder, all of them its own.
//!
//! A program that uses this module must call [`crate::started_inside`] first thing in `main`: gonda starts itself again
//! to set the namespaces up.

pub(crate) mod go_cache;
#[cfg(target_os = "linux")]
mod held;
mod known;
mod limits;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod network;
pub mod paths;
mod reach;
mod room;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{Error, Events, Kind, Result};

pub use limits::Limits;
pub use reach::{Reach, SERVICE, Serve};
pub(crate) use room::has_formats;
pub use room::{Bind, BuildEnv, DiskPaths, Format, GoCache, Link, Modules, Room, RoomSpec, SeenPaths};

/// What the user asked for with `--isolation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces where the machine allows them, else a clean environment, with one warning.
    #[default]
    Auto,
    /// Namespaces, or no build.
    Strict,
    /// A clean environment only.
    Env,
}

/// What the machine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Namespaces with fixed paths. Environments are installed for [`paths`], the build environment is shared.
    Mounts {
        /// Where a job's own layer over shared folders is kept.
        upper: Upper,
    },
    /// Real paths; nothing is shared but the package cache.
    Plain,
}

/// Where a job's own layer over shared folders is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upper {
    /// In the job's own folder.
    Disk,
    /// In memory, because the disk's file system can't be the upper layer of an overlay (a container's own root is an
    /// overlay already). The module cache isn't shared then, for `chmod -R` would copy it into memory; and what a
    /// command changes in the build environment is gone with it.
    Memory,
}

impl Mode {
    /// Whether a job can be given modules of a shared folder ([`Modules::Shared`]).
    #[must_use]
    pub fn shares_modules(self) -> bool {
        self == Self::Mounts { upper: Upper::Disk }
    }

    /// Whether scripts see fixed paths, and the build environment can be shared ([`BuildEnv::Shared`]).
    #[must_use]
    pub fn has_fixed_paths(self) -> bool {
        matches!(self, Self::Mounts { .. })
    }

    /// Whether [`Reach::Loopback`] holds: in namespaces, and on macOS by a profile of its sandbox. Elsewhere only the
    /// environment keeps Go from the network.
    #[must_use]
    pub fn closes_network(self) -> bool {
        self.has_fixed_paths() || crate::host::CLOSES_NETWORK
    }
}

impl Isolation {
    /// Finds out what the machine gives, by trying it in a folder below `work_root`; what can be had is remembered there.
    ///
    /// # Errors
    /// With [`Isolation::Strict`], when there are no namespaces; and when the folder can't be written.
    pub async fn resolve(self, work_root: &Path, events: &Events) -> Result<Mode> {
        if self == Self::Env {
            return Ok(Mode::Plain);
        }
        if let Some(mode) = known::recall(work_root) {
            return Ok(mode);
        }
        match (probe(work_root).await?, self) {
            (Ok(mode), _) => {
                known::remember(work_root, mode);
                Ok(mode)
            }
            (Err(reason), Self::Strict) => {
                Err(Error::new(Kind::Machine, format!("scripts can't be isolated on this machine: {reason}"))
                    .help("allow unprivileged user namespaces, or build with `--isolation=auto`"))
            }
            (Err(reason), _) => {
                warn_once(&reason, events);
                Ok(Mode::Plain)
            }
        }
    }
}

/// Why there are no namespaces: the step that failed and the system's word for it.
pub type Reason = String;

/// Tries namespaces, mounts and overlays for real, once for each folder.
///
/// # Errors
/// When the folder can't be written. That there are no namespaces is no error, but the inner result.
pub async fn probe(work_root: &Path) -> Result<Result<Mode, Reason>> {
    static KNOWN: Mutex<Option<HashMap<PathBuf, Result<Mode, Reason>>>> = Mutex::new(None);
    let known = |new: Option<&Result<Mode, Reason>>| {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(HashMap::new);
        if let Some(new) = new {
            known.insert(work_root.to_owned(), new.clone());
        }
        known.get(work_root).cloned()
    };
    if let Some(answer) = known(None) {
        return Ok(answer);
    }
    let answer = room::probe(work_root).await?;
    known(Some(&answer));
    Ok(answer)
}

fn warn_once(reason: &str, events: &Events) {
    static SAID: Mutex<bool> = Mutex::new(false);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if !std::mem::replace(&mut *said, true) {
        let seen = if crate::host::CLOSES_NETWORK { "files" } else { "files and network" };
        events.warn(
            "",
            format!(
                "scripts run without isolation, because {reason}; they get a clean environment, see the machine's {seen}, \
                 and compiled files that hold a path of the build won't be the same in another folder"
            ),
        );
    }
}

/// The first argument by which gonda knows that it was started to set up a room.
pub(crate) const TRAMPOLINE: &str = "__room";

/// The inside of a room: what this process does when [`TRAMPOLINE`] is its first argument, and `stage` its second.
/// Returns its exit code.
pub(crate) fn trampoline(stage: Option<&OsStr>) -> u8 {
    #[cfg(target_os = "linux")]
    {
        mounts::enter(stage)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stage;
        Kind::Bug.exit_code()
    }
}
