//! Go modules: one store, a module proxy over it, and the sets of modules that jobs see.
//!
//! The *store*, `<cache>/gomod`, is a proxy tree as `GOMODCACHE/cache/download` is one, so it can be read with
//! `GOPROXY=file://…` too. No job ever sees it or learns its path: a job talks to a [`Proxy`] on loopback, which serves the
//! store and fills what is missing from the user's GOPROXY, verified.
//!
//! A *module set*, `<cache>/modsets/<key>`, is a module cache with the modules of one build, extracted: the lower layer of
//! a job's own `$SRC_DIR/gopath/pkg/mod`. Its files are hard links shared with other sets, so **a set must never be
//! writable for a script**: it may only be mounted as an overlay's lower layer, never copied by link into a job's folder.
//!
//! Everything here is made aside and renamed, safe to delete, and safe for parallel processes.

mod answers;
mod archive;
mod find;
mod record;
mod request;
mod server;
mod set;
mod store;
mod upstream;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

pub use answers::{recall_answers, remember_answers};
pub use find::{Found, MainModules, Vendoring, find_main_modules};
pub use record::{ProxyRecord, ServedModule};
pub(crate) use server::{Asked, Beside, STD};
pub use server::{Proxy, serve};
pub use set::{GoRunner, Known, ModuleSet, SetModule, SetSettings, known_set, module_set};
pub use store::{ModuleStore, ProxySettings};

use crate::Result;

/// Where the file that fences a job's module cache stands, below the work folder: with it, `gopath/pkg` is a module of its
/// own, and `./...`, `go mod tidy` and `go mod vendor` don't walk into it. (Directly in GOPATH, Go refuses it.)
pub const MODULE_CACHE_MARKER: &str = "gopath/pkg/go.mod";
/// What stands in [`MODULE_CACHE_MARKER`].
pub const MODULE_CACHE_MARKER_TEXT: &str = "module gonda.invalid/modcache\n";

/// The value of GOPROXY that a toolchain comes with: `$GOROOT/go.env`. `None` where it has none.
#[must_use]
pub fn upstream_default(goroot: &Path) -> Option<String> {
    go_env(goroot, "GOPROXY")
}

/// The value of GOSUMDB that a toolchain comes with: `$GOROOT/go.env`. `None` where it has none.
#[must_use]
pub fn sumdb_default(goroot: &Path) -> Option<String> {
    go_env(goroot, "GOSUMDB")
}

fn go_env(goroot: &Path, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(goroot.join("go.env")).ok()?;
    gonda_gomod::go_env_value(&text, key).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The least toolchain that a source's go.mod and go.work files allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// The highest `go` line: `1.22.1`.
    pub go: String,
    /// That line as a match spec.
    pub required: String,
    /// The match spec to try first: that of the highest `toolchain` line, where it is above.
    pub preferred: String,
    /// Which file has that `go` line, relative to the work folder.
    pub file: String,
}

/// What the go.mod and go.work files below a work folder ask of the toolchain. `None` where they ask for nothing; a
/// go.mod that can't be read doesn't, for Go itself will say what is wrong with it.
///
/// # Errors
///
/// When a folder can't be read.
pub fn toolchain_floor(work: &Path) -> Result<Option<Floor>> {
    let found = find_main_modules(work, work, &[])?;
    let floor = found.floor();
    let (Some(required), Some(preferred)) = (floor.required_spec("go"), floor.preferred_spec("go")) else {
        return Ok(None);
    };
    let Some(go) = floor.go else { return Ok(None) };
    let file = found.file_of(&go).map(|file| file.strip_prefix(work).map(Path::to_path_buf).unwrap_or(file));
    Ok(Some(Floor {
        go: go.to_string(),
        required,
        preferred,
        file: file.map_or_else(|| "go.mod".to_owned(), |file| file.display().to_string()),
    }))
}

/// Removes what processes that were killed left of things in the making: whatever there was not changed for a day.
fn sweep(parts: &Path) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let Ok(entries) = std::fs::read_dir(parts) else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let age = metadata.modified().ok().and_then(|changed| changed.elapsed().ok());
        if age.is_some_and(|age| age > DAY) {
            // Another process may be at it, too; what stays is swept the next time.
            let _ = match metadata.is_dir() {
                true => std::fs::remove_dir_all(entry.path()),
                false => std::fs::remove_file(entry.path()),
            };
        }
    }
}
