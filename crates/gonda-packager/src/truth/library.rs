//! Where the libraries come from that a file names: the package itself, what it depends on, or the system.

use rattler_conda_types::Subdir;

use super::{Claims, Finding, Rule};
use crate::binary::{Binary, Os};

pub(super) fn check(path: &str, image: &Binary, subdir: Subdir, claims: &Claims) -> Vec<Finding> {
    image.needed.iter().filter_map(|library| one(path, library, image.os, subdir, claims)).collect()
}

fn one(path: &str, library: &str, os: Os, subdir: Subdir, claims: &Claims) -> Option<Finding> {
    if library.is_empty() || is_of_the_system(library, os) {
        return None;
    }
    let name = library.rsplit(['/', '\\']).next().unwrap_or(library);
    let same = |other: &str| if os == Os::Windows { other.eq_ignore_ascii_case(name) } else { other == name };
    if claims.file_names.contains(&claims.folded(name)) {
        return None;
    }
    // An absolute path that clients don't rewrite leads to the machine that linked the file.
    if library.starts_with('/') && !library.contains("_placehold") && !library.starts_with("/opt/gonda/b/") {
        let message = format!("names the library `{library}`, which is not one of `{subdir}`'s own");
        return Some(
            Finding::warning(path, Rule::Library, message).help("link it by a name that starts with `@rpath/`"),
        );
    }
    let Some(environment) = &claims.environment else {
        // Nothing is known of what the dependencies have; without any, there is nothing.
        let alone = claims.depends.iter().all(|spec| spec.starts_with("__"));
        return alone.then(|| {
            let message = format!("needs `{library}`, but the package depends on nothing that could have it");
            Finding::warning(path, Rule::Library, message)
        });
    };
    match environment.iter().find(|(file, _)| same(file)) {
        Some((_, provider)) if provider.at_run_time => None,
        Some((_, provider)) => {
            let message = format!("needs `{library}` of `{}`, on which the package doesn't depend", provider.package);
            let help = format!("add this line to the recipe's run requirements: `- {}`", provider.package);
            Some(Finding::warning(path, Rule::Library, message).help(help))
        }
        None => {
            let message =
                format!("needs `{library}`, which neither the package, its host environment nor `{subdir}` has");
            Some(
                Finding::warning(path, Rule::Library, message)
                    .help("add the package that has it to host and run requirements"),
            )
        }
    }
}

/// glibc's own: everything else on Linux comes from packages.
const LINUX: &[&str] = &[
    "libBrokenLocale.so.1",
    "libanl.so.1",
    "libc.so.6",
    "libc_malloc_debug.so.0",
    "libcrypt.so.1",
    "libdl.so.2",
    "libm.so.6",
    "libmvec.so.1",
    "libnsl.so.1",
    "libnss_compat.so.2",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libthread_db.so.1",
    "libutil.so.1",
];

/// What every Windows of the last ten years has in System32, without `.dll`. The C++ runtime (`vcruntime140`, `msvcp140`)
/// is not among it: a package brings that.
const WINDOWS: &[&str] = &[
    "advapi32",
    "authz",
    "avicap32",
    "avrt",
    "bcrypt",
    "bcryptprimitives",
    "cabinet",
    "cfgmgr32",
    "combase",
    "comctl32",
    "comdlg32",
    "credui",
    "crypt32",
    "cryptbase",
    "cryptnet",
    "cryptsp",
    "cryptui",
    "d2d1",
    "d3d11",
    "d3d12",
    "d3d9",
    "d3dcompiler_47",
    "dbgeng",
    "dbghelp",
    "dcomp",
    "dhcpcsvc",
    "dnsapi",
    "dsound",
    "dwmapi",
    "dwrite",
    "dxgi",
    "fltlib",
    "fwpuclnt",
    "gdi32",
    "gdi32full",
    "gdiplus",
    "glu32",
    "hid",
    "httpapi",
    "imagehlp",
    "imm32",
    "iphlpapi",
    "kernel32",
    "kernelbase",
    "ktmw32",
    "mf",
    "mfplat",
    "mfreadwrite",
    "mpr",
    "msacm32",
    "mscoree",
    "msctf",
    "msdmo",
    "msimg32",
    "mswsock",
    "msvcrt",
    "msvfw32",
    "ncrypt",
    "netapi32",
    "netutils",
    "normaliz",
    "ntdll",
    "ntdsapi",
    "ole32",
    "oleacc",
    "oleaut32",
    "opengl32",
    "pathcch",
    "pdh",
    "powrprof",
    "propsys",
    "psapi",
    "rasapi32",
    "rpcrt4",
    "sechost",
    "secur32",
    "setupapi",
    "shcore",
    "shell32",
    "shlwapi",
    "srvcli",
    "sspicli",
    "tdh",
    "ucrtbase",
    "urlmon",
    "user32",
    "userenv",
    "usp10",
    "uxtheme",
    "version",
    "virtdisk",
    "wer",
    "wevtapi",
    "wimgapi",
    "win32u",
    "winhttp",
    "wininet",
    "winmm",
    "winscard",
    "winspool.drv",
    "wintrust",
    "winusb",
    "wkscli",
    "wlanapi",
    "wldap32",
    "ws2_32",
    "wsock32",
    "wtsapi32",
    "xinput1_4",
    "xmllite",
];

/// Whether the operating system has the library, as conda-build's lists for its linking check say: glibc's on Linux,
/// `/usr/lib` and frameworks on macOS, System32 on Windows.
fn is_of_the_system(library: &str, os: Os) -> bool {
    match os {
        Os::Linux => {
            let loader =
                library.starts_with("ld-linux") || library.starts_with("ld64.so") || library.starts_with("ld-musl");
            loader || LINUX.contains(&library) || library.starts_with("libc.musl-")
        }
        Os::MacOs => library.starts_with("/usr/lib/") || library.starts_with("/System/Library/"),
        Os::Windows => {
            let lower = library.to_ascii_lowercase();
            let name = lower.strip_suffix(".dll").unwrap_or(&lower);
            // API sets are names that the loader knows.
            name.starts_with("api-ms-win-") || name.starts_with("ext-ms-") || WINDOWS.contains(&name)
        }
        _ => true,
    }
}
