//! A variant for a target that a feedstock has none for, made from that of a sibling: the same choices, as far as they
//! don't depend on the platform.
//!
//! | key | same system | another system |
//! |---|---|---|
//! | `target_platform`, `target_goos`, `target_goarch`, `target_goexe`, `target_gobin` | recomputed | recomputed |
//! | `docker_image`, `MACOSX_*`, `macos_*`, `macos_machine`, `cdt_*`, `VERBOSE_*` | dropped | dropped |
//! | `c_stdlib_version` | kept on Linux, dropped elsewhere | dropped |
//! | `c_stdlib` | kept | the system's: `sysroot`, `macosx_deployment_target`, `vs` |
//! | `c_compiler`, `cxx_compiler`, `fortran_compiler`, `m2w64_*` and their `*_version` | kept | dropped |
//! | all others | kept | kept |

use std::path::{Path, PathBuf};

use rattler_conda_types::Subdir;
use serde_yaml::{Mapping, Value};

use crate::golang::go_platform;
use crate::{Error, Kind, Result};

/// The sibling that a target's variant is made from: the first of the same system, else linux-64, else the first.
pub(super) fn nearest(known: &[Subdir], target: Subdir) -> Option<Subdir> {
    let same = known.iter().find(|sibling| same_system(**sibling, target));
    let linux = || known.iter().find(|sibling| **sibling == Subdir::Linux64);
    same.or_else(linux).or_else(|| known.first()).copied()
}

/// The text of a variant file for `target`, made from the one of `sibling`.
///
/// # Errors
/// The file can't be read, or is no mapping.
pub(super) fn variant(file: &Path, sibling: Subdir, target: Subdir) -> Result<String> {
    let text = fs_err::read_to_string(file)?;
    let wrong = |error: serde_yaml::Error| {
        Error::new(Kind::Usage, format!("`{}` is not a variant file", file.display())).because(error)
    };
    let mapping: Mapping = serde_yaml::from_str(&text).map_err(wrong)?;
    serde_yaml::to_string(&derive(mapping, sibling, target)).map_err(wrong)
}

/// What a file made from another is named, in errors.
pub(super) fn file_name(file: &Path, target: Subdir) -> PathBuf {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    PathBuf::from(format!("{target}_from_{stem}.yaml"))
}

fn derive(variant: Mapping, sibling: Subdir, target: Subdir) -> Mapping {
    let same = same_system(sibling, target);
    let mut derived = Mapping::new();
    let mut dropped = Vec::new();
    for (key, value) in variant {
        let name = key.as_str().unwrap_or_default().to_owned();
        match value_for(&name, same, target) {
            Keep::Yes => {
                derived.insert(key, value);
            }
            Keep::As(text) => {
                let of_all = value.as_sequence().map_or(1, Vec::len).max(1);
                derived.insert(key, Value::Sequence(vec![Value::String(text); of_all]));
            }
            Keep::No => dropped.push(name),
        }
    }
    // A group of keys that go together can't hold one that isn't there any more.
    if let Some(Value::Sequence(groups)) = derived.get_mut("zip_keys") {
        let gone = |key: &Value| key.as_str().is_some_and(|key| dropped.iter().any(|name| name == key));
        groups.retain(|group| !gone(group));
        for group in groups.iter_mut().filter_map(Value::as_sequence_mut) {
            group.retain(|key| !gone(key));
        }
        groups.retain(|group| group.as_sequence().is_none_or(|keys| keys.len() > 1));
        if groups.is_empty() {
            derived.remove("zip_keys");
        }
    }
    derived
}

enum Keep {
    Yes,
    No,
    As(String),
}

fn value_for(key: &str, same_system: bool, target: Subdir) -> Keep {
    let (os, arch) = go_platform(target).unwrap_or_default();
    let windows = target.is_windows();
    let recomputed = match key {
        "target_platform" => Some(target.as_str()),
        "target_goos" => Some(os),
        "target_goarch" => Some(arch),
        "target_goexe" => Some(if windows { ".exe" } else { "" }),
        "target_gobin" => Some(if windows { r"%PREFIX%\bin\" } else { "${PREFIX}/bin/" }),
        "c_stdlib" if !same_system => Some(match os {
            "darwin" => "macosx_deployment_target",
            "windows" => "vs",
            _ => "sysroot",
        }),
        _ => None,
    };
    if let Some(value) = recomputed {
        return Keep::As(value.to_owned());
    }
    const OF_PLATFORM: &[&str] = &["docker_image", "MACOSX_", "macos_", "cdt_", "VERBOSE_"];
    const COMPILERS: &[&str] = &["c_compiler", "cxx_compiler", "fortran_compiler", "m2w64_"];
    let begins = |names: &[&str]| names.iter().any(|name| key.starts_with(name));
    let of_platform = begins(OF_PLATFORM)
        || (key == "c_stdlib_version" && !(same_system && target.is_linux()))
        || (begins(COMPILERS) && !same_system);
    if of_platform { Keep::No } else { Keep::Yes }
}

fn same_system(a: Subdir, b: Subdir) -> bool {
    let system = |platform: Subdir| (platform.is_linux(), platform.is_osx(), platform.is_windows());
    system(a) == system(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: Subdir, to: Subdir, text: &str, expected: &str) {
        let derived = derive(serde_yaml::from_str(text).unwrap(), from, to);
        assert_eq!(serde_yaml::to_string(&derived).unwrap(), expected);
    }

    #[test]
    fn the_nearest_sibling() {
        let check = |known: &[Subdir], target, expected| assert_eq!(nearest(known, target), expected);
        check(&[Subdir::Linux64, Subdir::Win64], Subdir::WinArm64, Some(Subdir::Win64));
        check(&[Subdir::Linux64, Subdir::OsxArm64], Subdir::Osx64, Some(Subdir::OsxArm64));
        check(&[Subdir::Osx64, Subdir::Linux64], Subdir::WinArm64, Some(Subdir::Linux64));
        check(&[Subdir::Osx64], Subdir::Win64, Some(Subdir::Osx64));
        check(&[], Subdir::Win64, None);
    }

    #[test]
    fn for_the_same_system() {
        check(
            Subdir::Osx64,
            Subdir::OsxArm64,
            "MACOSX_DEPLOYMENT_TARGET: ['12.0']\nc_stdlib: [macosx_deployment_target]\nc_stdlib_version: ['10.13']\n\
             c_compiler: [clang]\ngo_compiler: [go-nocgo]\nmacos_machine: [x86_64-apple-darwin13.4.0]\n\
             target_platform: [osx-64]\n",
            "c_stdlib:\n- macosx_deployment_target\nc_compiler:\n- clang\ngo_compiler:\n- go-nocgo\n\
             target_platform:\n- osx-arm64\n",
        );
    }

    #[test]
    fn for_another_system() {
        check(
            Subdir::Linux64,
            Subdir::WinArm64,
            "c_compiler: [gcc]\nc_compiler_version: ['14']\nc_stdlib: [sysroot]\nc_stdlib_version: ['2.17']\n\
             channel_targets: [conda-forge main]\ndocker_image: [x]\ntarget_goarch: [amd64]\ntarget_goexe: ['']\n\
             target_platform: [linux-64]\nzip_keys:\n- - docker_image\n  - c_stdlib_version\n  - c_stdlib\n- - a\n  - b\n",
            "c_stdlib:\n- vs\nchannel_targets:\n- conda-forge main\ntarget_goarch:\n- arm64\ntarget_goexe:\n- .exe\n\
             target_platform:\n- win-arm64\nzip_keys:\n- - a\n  - b\n",
        );
    }
}
