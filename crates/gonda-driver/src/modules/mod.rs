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
pub use find::{Floor, Found, MainModules, Vendoring, find_main_modules};
pub use record::{ProxyRecord, ServedModule};
pub(crate) use server::{Asked, Beside, STD};
pub use server::{Proxy, serve};
pub use set::{GoRunner, Known, ModuleSet, SetModule, SetSettings, known_set, module_set};
pub use store::{ModuleStore, ProxySettings};

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
