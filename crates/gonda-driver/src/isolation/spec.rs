//! What a room is made of, as data: told by whoever asks for one, read by those that make it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Limits;

/// What a room is made of.
#[derive(Debug, Clone)]
pub struct RoomSpec {
    /// The job's own folder, below the cache's work folder. It must not exist yet; its parent is made where missing.
    pub dir: PathBuf,
    /// Where the build environment comes from.
    pub build_env: BuildEnv,
    /// Build and host environment are one: `BUILD_PREFIX` is `PREFIX`.
    pub merged: bool,
    /// The module cache.
    pub modules: Modules,
    /// GOCACHE.
    pub go_cache: GoCache,
    /// A folder of programs that gonda itself puts on PATH.
    pub tools: Option<PathBuf>,
    /// Further folders that the script sees. Without namespaces they are seen where they are.
    pub binds: Vec<Bind>,
    /// gonda itself is seen by the script, as `gonda` in [`SeenPaths::own`](super::SeenPaths::own).
    pub own: bool,
    /// Files of a [`BuildEnv::Shared`] that are links in this room.
    pub links: Vec<Link>,
    /// What a command may take of the machine.
    pub limits: Limits,
    /// Programs of other platforms that something in the room runs. Without namespaces, or where the kernel doesn't
    /// let a namespace have its own (before Linux 6.7), they are left out.
    pub formats: Vec<Format>,
}

impl RoomSpec {
    /// A room without environments, modules and shared caches.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            build_env: BuildEnv::Own,
            merged: false,
            modules: Modules::None,
            go_cache: GoCache::Own,
            tools: None,
            binds: Vec::new(),
            own: false,
            links: Vec::new(),
            limits: Limits::default(),
            formats: Vec::new(),
        }
    }
}

/// Where a job's build environment comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEnv {
    /// The job's own; the caller installs it into [`DiskPaths::build_prefix`](super::DiskPaths::build_prefix) for
    /// [`SeenPaths::build_prefix`](super::SeenPaths::build_prefix).
    Own,
    /// Shared, installed for `paths::ROOT/build_env`; the job writes into a layer of its own. Only with
    /// [`Mode::Mounts`](super::Mode::Mounts).
    Shared(PathBuf),
}

/// What a job's `$SRC_DIR/gopath/pkg/mod` starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// No Go is involved; there is no such folder.
    None,
    /// Empty. A marker `gopath/pkg/go.mod` keeps `./...`, `go mod tidy` and `go mod vendor` from walking into it.
    Empty,
    /// This build's modules: a folder that holds `gopath/pkg/mod/…`. It is laid under the whole work folder, so that
    /// the script can even remove its GOPATH, which it couldn't if that were a mount point. Only where
    /// [`Mode::shares_modules`](super::Mode::shares_modules). Its folders should be writable by their owner, as with
    /// `-modcacherw`, so that `rm -rf` does what it does there.
    Shared(PathBuf),
}

/// What a job's GOCACHE starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoCache {
    /// The job's own, empty.
    Own,
    /// This folder, which is only read: what the job adds or changes is its own. It is laid under a layer of the job's
    /// where that is kept on disk, and copied elsewhere.
    Layer(PathBuf),
    /// This folder itself.
    Shared(PathBuf),
}

/// A folder or file that a script sees in addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where it is.
    pub disk: PathBuf,
    /// Where the script sees it; absolute.
    pub seen: PathBuf,
    /// Whether the script can write to it.
    pub writable: bool,
}

/// A link that takes the place of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where the script sees it; absolute.
    pub seen: PathBuf,
    /// What it leads to, as the script sees it.
    pub target: PathBuf,
}

/// Programs that the kernel hands to another program (`binfmt_misc`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// What it is registered as: letters, digits and `-`.
    pub name: String,
    /// The first bytes of such programs.
    pub magic: Vec<u8>,
    /// Which bits of them count; as long as `magic`.
    pub mask: Vec<u8>,
    /// What gets the program's path, its first argument as it was called, and its arguments; as the script sees it.
    pub interpreter: PathBuf,
}
