//! Programs of the machine that run other platforms' programs: qemu's user mode, wine.

use std::path::{Path, PathBuf};

use rattler_conda_types::Subdir;
use serde::{Deserialize, Serialize};

use crate::golang::go_platform;
use crate::host;

/// The library that Go's runtime asks Windows for random numbers; wine has it since version 9.
const RANDOM: &str = "bcryptprimitives.dll";

/// What runs programs of another platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Emulator {
    /// The program.
    pub(crate) program: PathBuf,
    /// How it is called.
    pub(crate) kind: EmulatorKind,
    /// Folders that may hold the target's loader and C library, as its root folder would.
    pub(crate) roots: Vec<PathBuf>,
}

/// How an emulator is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EmulatorKind {
    /// `qemu-ARCH -0 NAME [-L ROOT] PROGRAM ARGUMENTS`.
    Qemu,
    /// `wine PROGRAM ARGUMENTS`.
    Wine,
}

impl Emulator {
    /// The emulator for a platform among the programs of the machine that a room shows. `env` is a build environment
    /// that may hold the platform's system libraries.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn find(platform: Subdir, env: Option<&Path>) -> Result<Self, String> {
        if platform.is_windows() {
            return wine(platform);
        }
        let Some((arch, triplet, conda)) = names(platform).filter(|_| platform.is_linux() && cfg!(target_os = "linux"))
        else {
            return Err(format!("no emulator runs programs for `{platform}` here"));
        };
        let wanted = [format!("qemu-{arch}-static"), format!("qemu-{arch}")];
        let Some(program) = wanted.iter().find_map(|name| host::find_program(name, &host::system_path())) else {
            return Err(format!("no emulator: neither `{}` nor `{}` is installed", wanted[0], wanted[1]));
        };
        let mut roots = vec![PathBuf::from("/")];
        roots.extend(env.map(|env| env.join(conda).join("sysroot")));
        roots.extend([PathBuf::from("/usr").join(triplet), PathBuf::from("/etc/qemu-binfmt").join(arch)]);
        Ok(Self { program, kind: EmulatorKind::Qemu, roots })
    }

    /// The arguments, for the emulator's own file, that run a program; `name` is what the program is told as its name.
    ///
    /// # Errors
    /// Why this emulator can't run the program: it needs a loader that is nowhere.
    pub(crate) fn arguments(&self, program: &Path, name: &str, loader: Option<&str>) -> Result<Vec<String>, String> {
        let path = program.display().to_string();
        if self.kind == EmulatorKind::Wine {
            return Ok(vec![path]);
        }
        let mut arguments = vec!["-0".to_owned(), name.to_owned()];
        if let Some(loader) = loader {
            let has = |root: &&PathBuf| root.join(loader.trim_start_matches('/')).exists();
            let root = self.roots.iter().find(has).ok_or_else(|| {
                format!(
                    "`{}` is installed, but not the loader `{loader}` that the program needs",
                    self.program.display()
                )
            })?;
            if root != Path::new("/") {
                arguments.extend(["-L".to_owned(), root.display().to_string()]);
            }
        }
        arguments.push(path);
        Ok(arguments)
    }
}

/// qemu's, Debian's and conda's names for the machine of a Linux platform.
fn names(platform: Subdir) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match platform {
        Subdir::Linux64 => ("x86_64", "x86_64-linux-gnu", "x86_64-conda-linux-gnu"),
        Subdir::LinuxAarch64 => ("aarch64", "aarch64-linux-gnu", "aarch64-conda-linux-gnu"),
        Subdir::LinuxPpc64le => ("ppc64le", "powerpc64le-linux-gnu", "powerpc64le-conda-linux-gnu"),
        Subdir::LinuxS390X => ("s390x", "s390x-linux-gnu", "s390x-conda-linux-gnu"),
        Subdir::LinuxRiscv64 => ("riscv64", "riscv64-linux-gnu", "riscv64-conda-linux-gnu"),
        _ => return None,
    })
}

fn wine(platform: Subdir) -> Result<Emulator, String> {
    let machine = go_platform(platform).map(|(_, arch)| arch);
    if machine != Some("amd64") || cfg!(windows) || cfg!(not(target_arch = "x86_64")) {
        return Err(format!("no emulator runs programs for `{platform}` here"));
    }
    let path = host::system_path();
    let Some(program) = ["wine64", "wine"].iter().find_map(|name| host::find_program(name, &path)) else {
        return Err("no emulator: `wine` is not installed".to_owned());
    };
    let places = [
        "/usr/lib/x86_64-linux-gnu/wine",
        "/usr/lib64/wine",
        "/usr/lib/wine",
        "/usr/lib32/wine",
        "/opt/wine-stable/lib64/wine",
    ];
    if !places.iter().any(|place| Path::new(place).join("x86_64-windows").join(RANDOM).is_file()) {
        return Err(format!(
            "`{}` has no `{RANDOM}`, without which no program of Go 1.21 or later starts; wine 9 and later have it",
            program.display()
        ));
    }
    Ok(Emulator { program, kind: EmulatorKind::Wine, roots: Vec::new() })
}

/// The loader that an ELF program names (`PT_INTERP`), from its first bytes; `None` where it names none.
pub(crate) fn loader(start: &[u8]) -> Option<String> {
    let is_64 = match (start.get(..4)?, start.get(4)?) {
        (b"\x7fELF", 2) => true,
        (b"\x7fELF", 1) => false,
        _ => return None,
    };
    let little = start.get(5) == Some(&1);
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = start.get(at..at.checked_add(size)?)?;
        let fold = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        let value = if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) };
        usize::try_from(value).ok()
    };
    // Offsets in the file's header and in a program header, by the class of the file (elf(5)).
    let (table, size, count) = if is_64 { (number(32, 8)?, 54, 56) } else { (number(28, 4)?, 42, 44) };
    let (size, count) = (number(size, 2)?, number(count, 2)?);
    for index in 0..count {
        let header = table.checked_add(index.checked_mul(size)?)?;
        if number(header, 4)? != 3 {
            continue;
        }
        let (from, length) = if is_64 {
            (number(header + 8, 8)?, number(header + 32, 8)?)
        } else {
            (number(header + 4, 4)?, number(header + 16, 4)?)
        };
        let text = std::str::from_utf8(start.get(from..from.checked_add(length)?)?).ok()?;
        return Some(text.trim_end_matches('\0').to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders() {
        let mut elf = vec![0; 64 + 2 * 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 2;
        elf[64] = 1;
        elf[120] = 3;
        elf[128] = 176;
        elf[152] = 9;
        elf.extend(b"/lib/ld.1\0");
        assert_eq!(loader(&elf).as_deref(), Some("/lib/ld.1"));
        elf[120] = 6;
        assert_eq!(loader(&elf), None);
        elf[120] = 3;
        elf[128] = 255;
        assert_eq!(loader(&elf), None);
        assert_eq!(loader(b"MZ"), None);
        assert_eq!(loader(&elf[..70]), None);
    }

    #[test]
    fn how_qemu_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("lib")).unwrap();
        std::fs::write(root.join("lib/ld.1"), "").unwrap();
        let qemu = Emulator {
            program: "/usr/bin/qemu".into(),
            kind: EmulatorKind::Qemu,
            roots: vec!["/".into(), "/nowhere".into(), root.clone()],
        };
        let check = |loader: Option<&str>, expected: &str| {
            let said = qemu.arguments(Path::new("/p/x"), "x", loader);
            assert_eq!(said.map_or_else(|reason| reason, |arguments| arguments.join(" ")), expected);
        };
        check(None, "-0 x /p/x");
        check(Some("/lib/ld.1"), &format!("-0 x -L {} /p/x", root.display()));
        check(Some("/lib/ld.2"), "`/usr/bin/qemu` is installed, but not the loader `/lib/ld.2` that the program needs");
        let wine = Emulator { kind: EmulatorKind::Wine, ..qemu.clone() };
        assert_eq!(wine.arguments(Path::new("/p/x.exe"), "x", None).unwrap(), ["/p/x.exe"]);
    }
}
