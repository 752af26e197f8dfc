//! What an environment may count on without a package: the virtual packages of a machine, or of a target.

use rattler_conda_types::{GenericVirtualPackage, Subdir, Version};
use rattler_virtual_packages::{
    Archspec, DetectVirtualPackageError, EnvOverride as _, LibC, Linux, Osx, VirtualPackages, Windows,
};

use crate::{Error, Kind, Result};

/// The virtual packages (CEP 30) that an environment for `platform` may count on. `native`: those of this machine's
/// system, as found; otherwise what a target is assumed to offer:
///
/// | target | |
/// |---|---|
/// | `linux-*` | `__unix`, `__linux 4.18`, `__glibc 2.28` (RHEL 8, the oldest system that conda-forge supports) |
/// | `osx-*` | `__unix`, `__osx 13.0` |
/// | `win-*` | `__win 10.0` |
///
/// and everywhere `__archspec` with the platform's base architecture. No target is assumed to have a GPU, and this
/// machine's decides nothing: looking for it starts programs of its driver, and a build must not depend on it.
///
/// # Errors
/// [`Kind::Machine`]: this machine can't be asked.
pub fn virtual_packages(platform: Subdir, native: bool) -> Result<Vec<GenericVirtualPackage>> {
    let found = if native && Subdir::current() == Some(platform) {
        of_this_system(platform)
            .map_err(|error| Error::new(Kind::Machine, "could not find out what this machine offers").because(error))?
    } else {
        let mut assumed = VirtualPackages::default();
        assumed.unix = platform.is_unix();
        if platform.is_linux() {
            assumed.linux = Some(Linux { version: version([4, 18]) });
            assumed.libc = Some(LibC { family: "glibc".to_owned(), version: version([2, 28]) });
        }
        if platform.is_osx() {
            assumed.osx = Some(Osx { version: version([13, 0]) });
        }
        if platform.is_windows() {
            assumed.win = Some(Windows { version: Some(version([10, 0])) });
        }
        assumed.archspec = Archspec::from_platform(platform);
        assumed
    };
    Ok(found.into_generic_virtual_packages().collect())
}

/// Without overrides: no environment variable is read.
fn of_this_system(platform: Subdir) -> std::result::Result<VirtualPackages, DetectVirtualPackageError> {
    let mut found = VirtualPackages::default();
    found.unix = platform.is_unix();
    found.win = Windows::detect(None)?;
    found.linux = Linux::detect(None)?;
    found.osx = Osx::detect(None)?;
    found.libc = LibC::detect(None)?;
    found.archspec = Archspec::detect(None)?;
    Ok(found)
}

/// `major.minor`.
fn version([major, minor]: [u64; 2]) -> Version {
    // Two numbers with a dot are always a version.
    format!("{major}.{minor}").parse().unwrap_or_else(|_| Version::major(major))
}
