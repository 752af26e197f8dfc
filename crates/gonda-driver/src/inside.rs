//! What gonda is when a job starts it: the maker of a room, the `go` of a cross build, the loader of foreign programs.
//!
//! gonda itself is seen in a room that asks for it ([`RoomSpec::own`](crate::isolation::RoomSpec)), and knows by its
//! name or its first argument what it was started for. There is one thread and one purpose then; nothing else may start
//! before.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::isolation;

/// Does what this process was started for inside a job, and returns its exit code; `None` for a gonda that a user
/// started. Must be called before any thread is started, with `std::env::args_os()`.
#[must_use]
pub fn started_inside(args: impl IntoIterator<Item = OsString>) -> Option<u8> {
    let args: Vec<OsString> = args.into_iter().collect();
    let first = args.get(1).map(OsString::as_os_str);
    if first == Some(OsStr::new(isolation::TRAMPOLINE)) {
        return Some(isolation::trampoline(args.get(2).map(OsString::as_os_str)));
    }
    let _name = Path::new(args.first()?).file_name()?.to_str()?;
    None
}
