//! What gonda is when a job starts it: the maker of a room, the interpreter of batch files, the `go` of a cross
//! build, the runner of foreign programs, Go's way to a shared build cache.
//!
//! gonda itself is seen in a room that asks for it ([`RoomSpec::own`](crate::isolation::RoomSpec)), and knows by its
//! name or its first argument what it was started for. There is one thread and one purpose then; nothing else may start
//! before.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::process::Relay;
use crate::{Kind, batch, crossing, go_cache, isolation};

/// The first argument of a gonda that starts a program with other variables: `NAME=VALUE` and `-NAME` follow, then `--` and
/// the program with its arguments.
pub(crate) const WITH: &str = "__with";

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
    if first == Some(OsStr::new(WITH)) {
        return Some(with(&args[1..]));
    }
    crossing::started_as(Path::new(name).file_stem()?.to_str()?, args)
}

/// Becomes a program with other variables.
fn with(args: &[OsString]) -> u8 {
    let mut relay = Relay::default();
    let mut args = args.iter();
    for arg in args.by_ref().take_while(|arg| *arg != "--") {
        let text = arg.to_string_lossy();
        match text.split_once('=') {
            Some((name, value)) => relay.set.push((name.to_owned(), value.into())),
            None => relay.unset.push(text.trim_start_matches('-').to_owned()),
        }
    }
    let Some(program) = args.next() else { return Kind::Usage.exit_code() };
    relay.program = program.into();
    relay.args = args.cloned().collect();
    relay.replace().unwrap_or(Kind::Machine.exit_code())
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
