//! What a Windows target needs on a machine that isn't Windows.

use std::path::{Path, PathBuf};

use gonda_recipe::Output;

use crate::isolation::{Bind, Mode, paths};
use crate::{Error, Kind, Result};

/// gonda itself, for its scripts to be run by.
pub(super) fn bind(output: &Output, mode: Mode) -> Result<Option<Bind>> {
    if !output.target_platform.is_windows() || output.build_platform.is_windows() || !mode.has_fixed_paths() {
        return Ok(None);
    }
    Ok(Some(Bind { disk: own_program()?, seen: program(mode)?, writable: false }))
}

/// gonda itself, as a script sees it.
pub(super) fn program(mode: Mode) -> Result<PathBuf> {
    if mode.has_fixed_paths() { Ok(Path::new(paths::ROOT).join("gonda")) } else { own_program() }
}

fn own_program() -> Result<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Error::new(Kind::Machine, "gonda can't find its own program").because(error))
}
