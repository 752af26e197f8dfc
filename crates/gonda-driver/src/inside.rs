//! What gonda is when a job starts it: the maker of a room, the interpreter of batch files, the `go` of a cross
//! build, the runner of foreign programs, Go's way to a shared build cache.
//!
//! gonda itself is seen in a room that asks for it ([`RoomSpec::own`](crate::isolation::RoomSpec)), and knows by its
//! name or its first argument what it was started for. There is one thread and one purpose then; nothing else may start
//! before.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::{batch, crossing, go_cache, isolation, process};

/// Does what this process was started for inside a job, and returns its exit code; `None` for a gonda that a user
/// started. Must be called before any thread is started, with `std::env::args_os()`.
#[must_use]
pub fn started_inside(args: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let args: Vec<OsString> = args.into_iter().collect();
    let (name, args) = args.split_first()?;
    let first = args.first().map(OsString::as_os_str);
    if first == Some(OsStr::new(isolation::TRAMPOLINE)) {
        return Some(isolation::trampoline(args.get(1).map(OsString::as_os_str)));
    }
    if first == Some(OsStr::new(batch::INTERPRETER)) {
        return Some(batch::interpret(args.iter().skip(1).cloned(), std::env::vars_os()));
    }
    if first == Some(OsStr::new(go_cache::HELPER)) {
        return Some(go_cache::help(args.get(1).map(OsString::as_os_str), std::env::var_os("GOCACHE").as_deref()));
    }
    if first == Some(OsStr::new(process::WITH)) {
        return Some(process::with(&args[1..]));
    }
    crossing::started_as(Path::new(name).file_stem()?.to_str()?, args)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_users_gonda_is_its_own() {
        let started = |line: &str| started_inside(line.split(' ').map(OsString::from));
        assert_eq!(started("gonda build x"), None);
        assert_eq!(started("/usr/bin/gonda"), None);
        assert_eq!(started("conda-build __with"), Some(2));
        assert_eq!(started("go version"), Some(70));
    }
}
