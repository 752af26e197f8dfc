//! The paths that a script sees.
//!
//! **These constants are part of the format of what gonda builds.** They end up in text files, debug data, cgo objects
//! and `-X` values, and the host prefix's length decides where a client pads a shorter path with zeros. Changing any
//! of them changes the bytes of every package.

use std::path::{Path, PathBuf};

use crate::{Error, Kind, Result};

/// The folder that holds everything of a job, where scripts see fixed paths.
pub const ROOT: &str = "/opt/gonda/b";
/// The build environment, below [`ROOT`].
pub const BUILD_ENV: &str = "build_env";
/// The host environment's name before padding, below [`ROOT`].
pub const HOST_ENV: &str = "host_env";
/// The source, below [`ROOT`].
pub const WORK: &str = "work";
/// HOME, below [`ROOT`].
pub const HOME: &str = "home";
/// TMPDIR, below [`ROOT`].
pub const TMP: &str = "tmp";
/// The copy of the recipe folder, below [`ROOT`].
pub const RECIPE: &str = "recipe";
/// GOCACHE, below [`ROOT`].
pub const GO_CACHE: &str = "gocache";
/// Programs that gonda itself puts on PATH, below [`ROOT`].
pub const TOOLS: &str = "tools";
/// gonda's own work in a job, below [`ROOT`]: its program, and what that records.
pub const OWN: &str = "own";
/// gonda's program, below [`OWN`].
pub const PROGRAM: &str = "gonda";
/// What a prefix is padded with, again and again, as in conda-build (`config.py`, `_get_prefix_placeholder`).
pub const PADDING: &str = "_placehold";
/// The length of a host prefix in bytes: conda-build's `prefix_length`, so that whatever prefix a client installs
/// into, up to that length, fits in its place.
pub const PREFIX_LENGTH: usize = 255;
/// A script's module cache, below the work folder.
pub const MODULE_CACHE: &str = "gopath/pkg/mod";

/// The host prefix where scripts see fixed paths: 255 bytes.
#[must_use]
pub fn host_prefix() -> PathBuf {
    let mut path = format!("{ROOT}/{HOST_ENV}");
    pad(&mut path);
    PathBuf::from(path)
}

/// The host prefix below a job's own folder, where scripts see real paths: 255 bytes on unix. On Windows, where
/// conda-build doesn't search binary files and paths must be short, it isn't padded.
///
/// # Errors
/// When the folder's path is too long, or no UTF-8.
pub fn host_prefix_below(folder: &Path) -> Result<PathBuf> {
    if cfg!(windows) {
        return Ok(folder.join("h_env"));
    }
    let Some(folder) = folder.to_str() else {
        let shown = folder.display();
        return Err(Error::new(Kind::Usage, format!("the work folder `{shown}` has a name that is not UTF-8"))
            .help("set another cache folder with `GONDA_CACHE_DIR`"));
    };
    let mut path = format!("{folder}/{HOST_ENV}");
    if path.len() > PREFIX_LENGTH {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "the work folder `{folder}` is too long: a host prefix of {PREFIX_LENGTH} bytes doesn't fit below it"
            ),
        )
        .help("set a cache folder with a shorter path with `GONDA_CACHE_DIR`"));
    }
    pad(&mut path);
    Ok(PathBuf::from(path))
}

fn pad(path: &mut String) {
    while path.len() < PREFIX_LENGTH {
        path.push_str(PADDING);
    }
    path.truncate(PREFIX_LENGTH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format() {
        let path = host_prefix().display().to_string();
        assert_eq!(path.len(), 255);
        assert!(path.starts_with("/opt/gonda/b/host_env_placehold_placehold_"));
        assert!(path.ends_with("_placehold_placehold_pla"), "{path}");
    }

    #[test]
    #[cfg(unix)]
    fn below_a_folder() {
        assert_eq!(host_prefix_below(Path::new("/x")).unwrap().as_os_str().len(), 255);
        let long = format!("/{}", "y".repeat(250));
        let error = host_prefix_below(Path::new(&long)).unwrap_err();
        assert!(error.to_string().contains("is too long"), "{error}");
    }
}
