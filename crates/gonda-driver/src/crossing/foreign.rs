//! Runs a program of the target while crossing: under an emulator where the machine has one, else its native twin.
//!
//! The kernel hands such programs to gonda (`binfmt_misc`, see [`crate::isolation::Format`]); so does Go, which looks for
//! `go_<os>_<arch>_exec` on PATH.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::Path;

use super::builds::Builds;
use super::emulator::{EmulatorKind, loader};
use super::twin::twin;
use super::{Crossing, journal};
use crate::process::Relay;
use crate::{Error, Kind, Result};

/// What a shell says of a program that can't be run.
const CANNOT_RUN: u8 = 126;
/// A program's headers are among its first bytes.
const START: u64 = 64 * 1024;

/// Runs a program that the kernel handed over: its path, the name that it was called by, its arguments.
pub(super) fn run(crossing: &Crossing, program: &OsStr, name: &OsStr, args: &[OsString]) -> u8 {
    match relay(crossing, Path::new(program), name, args).and_then(|relay| relay.replace()) {
        Ok(code) => code,
        Err(error) => {
            super::complain(&error);
            CANNOT_RUN
        }
    }
}

/// What to start in place of a program.
fn relay(crossing: &Crossing, program: &Path, name: &OsStr, args: &[OsString]) -> Result<Relay> {
    let shown = program.display();
    let mut why = crossing.no_emulator.clone().unwrap_or_default();
    let head = start(program)?;
    // There are programs for other machines of the same system, too.
    if let Some(emulator) = crossing.emulator.as_ref().filter(|_| super::begins_as(crossing.target, &head)) {
        match emulator.arguments(program, &name.to_string_lossy(), loader(&head).as_deref()) {
            Ok(arguments) => {
                journal::say(
                    crossing,
                    &format!("`{shown}` is for {}: runs under `{}`", crossing.target, emulator.program.display()),
                );
                let mut relay = Relay { program: emulator.program.clone(), ..Relay::default() };
                relay.args = arguments.into_iter().map(OsString::from).chain(args.iter().cloned()).collect();
                if emulator.kind == EmulatorKind::Wine && std::env::var_os("WINEPREFIX").is_none() {
                    relay.set.push(("WINEPREFIX".to_owned(), crossing.own.join("wine").into()));
                    relay.set.push(("WINEDEBUG".to_owned(), "-all".into()));
                }
                return Ok(relay);
            }
            Err(reason) => why = reason,
        }
    }
    let refused = |cause: &str| {
        let message = format!(
            "`{shown}` is a program for {} and can't run on {}: {cause}",
            crossing.target,
            crossing.build_machine()
        );
        Error::new(Kind::Build, message).help(
            "install an emulator (qemu's user mode, wine), build the program with `go build` in the same script, or leave \
             the step out where `build_platform` is not `target_platform`",
        )
    };
    let Some(found) = Builds::new(crossing.builds()).find(program)? else {
        return Err(refused(&format!("{why}, and no `go build` of this job made it")));
    };
    let twin = twin(crossing, &found).map_err(|error| {
        let help = refused("").help.unwrap_or_default();
        let mut this = refused(&error.message).help(help);
        this.cause = error.cause;
        this
    })?;
    journal::say(crossing, &format!("`{shown}` is for {}: its native twin runs, for {why}", crossing.target));
    Ok(Relay { program: twin, arg0: Some(name.to_owned()), args: args.to_vec(), ..Relay::default() })
}

/// The first bytes of a program, its headers among them.
pub(super) fn start(program: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(program)?.take(START).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a file is a program of the target.
pub(super) fn is_foreign(crossing: &Crossing, program: &Path) -> bool {
    !crossing.is_native() && start(program).is_ok_and(|start| super::begins_as(crossing.target, &start))
}
