//! Go's own names and ways, for all who start a `go`.

mod closed_network;

use rattler_conda_types::{Arch, Subdir};

pub use closed_network::{Correction, correct_go};

/// The platforms that gonda builds for, in the order of reports: those that conda-forge has Go toolchain packages for.
pub const TARGETS: [Subdir; 7] = [
    Subdir::Linux64,
    Subdir::LinuxAarch64,
    Subdir::LinuxPpc64le,
    Subdir::Osx64,
    Subdir::OsxArm64,
    Subdir::Win64,
    Subdir::WinArm64,
];

/// `GOOS` and `GOARCH` of a platform; `None` for those that gonda doesn't build for.
#[must_use]
pub fn go_platform(platform: Subdir) -> Option<(&'static str, &'static str)> {
    let os = if platform.is_linux() {
        "linux"
    } else if platform.is_osx() {
        "darwin"
    } else if platform.is_windows() {
        "windows"
    } else {
        return None;
    };
    let arch = match platform.arch()? {
        Arch::X86 => "386",
        Arch::X86_64 => "amd64",
        Arch::Aarch64 | Arch::Arm64 => "arm64",
        Arch::Ppc64le => "ppc64le",
        Arch::S390X => "s390x",
        Arch::Riscv64 => "riscv64",
        Arch::LoongArch64 => "loong64",
        Arch::ArmV6l | Arch::ArmV7l => "arm",
        _ => return None,
    };
    Some((os, arch))
}
