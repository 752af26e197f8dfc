//! Zig as the C compiler of cgo: one `zig` package of the build machine compiles C and C++ for every target that it has a
//! C library for, in place of a compiler, a C library and their runtime packages for each.
//!
//! What a recipe asks for stays what it says: its requirements, its variant and with them the hash are as if the channel's
//! compilers were used. Only the solved build environment differs, and what C compilers would have brought to run: their
//! support libraries are linked statically by zig, and the C library that `stdlib('c')` asks for still says which glibc a
//! program needs, for that is the one zig links for.

use std::path::Path;

use gonda_recipe::{Output, ResolvedPackage};
use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use rattler_conda_types::package::RunExportsJson;
use serde::{Deserialize, Serialize};

use crate::channels::name_of;
use crate::isolation::SeenPaths;
use crate::{Error, Kind, Result};

/// Which C compiler cgo gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgoCompiler {
    /// The channel's, as the recipe asks for it.
    Conda,
    /// Zig.
    Zig,
}

impl CgoCompiler {
    /// The compiler of a name, as `--cgo-compiler` and `extra.gonda.cgo` have it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "conda" => Some(Self::Conda),
            "zig" => Some(Self::Zig),
            _ => None,
        }
    }
}

/// The package.
pub(crate) const PACKAGE: &str = "zig";
/// The glibc that programs are linked for where the recipe doesn't ask for another: what the toolchain with cgo says of
/// its programs, and the oldest that zig knows.
const OLDEST_GLIBC: &str = "2.17";

/// Lines of a compiler's script: what is added where it links.
const LINKING: &str =
    "case \" $* \" in\n    *' -c '* | *' -E '* | *' -S '*) ;;\n    *) set -- -Wl,-S \"$@\" ;;\nesac\n";

/// A target that zig can be the C compiler for.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    platform: Subdir,
    /// What zig calls it.
    zig: &'static str,
    /// What the names of its cross compilers begin with elsewhere.
    triplet: &'static str,
}

const TARGETS: &[Target] = &[
    Target { platform: Subdir::Linux64, zig: "x86_64-linux-gnu", triplet: "x86_64-conda-linux-gnu" },
    Target { platform: Subdir::LinuxAarch64, zig: "aarch64-linux-gnu", triplet: "aarch64-conda-linux-gnu" },
    Target { platform: Subdir::Win64, zig: "x86_64-windows-gnu", triplet: "x86_64-w64-mingw32" },
    Target { platform: Subdir::WinArm64, zig: "aarch64-windows-gnu", triplet: "aarch64-w64-mingw32" },
];

/// A platform as zig's target, or why it can't be one.
fn target(platform: Subdir) -> Result<&'static Target, &'static str> {
    TARGETS.iter().find(|known| known.platform == platform).ok_or(if platform.is_osx() {
        "it comes without a macOS SDK, so programs with package `net` or with frameworks can't be linked"
    } else if platform == Subdir::LinuxPpc64le {
        "it can't link programs with its C library for that machine (`__fprintfieee128` is missing)"
    } else {
        "gonda knows no target of zig's for it"
    })
}

/// Zig in place of the C compilers that an output asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zig {
    target: &'static Target,
    /// The glibc that `stdlib('c')` asks for.
    glibc: Option<String>,
}

impl Zig {
    /// Zig, if it was chosen – `chosen` by the user, else by the recipe's `extra.gonda.cgo` – and the build requirements
    /// have something for it to do.
    ///
    /// # Errors
    /// [`Kind::Usage`]: zig can't compile for the target, not for that glibc, or not that language; a choice that isn't
    /// known.
    pub(crate) fn of(output: &Output, chosen: Option<CgoCompiler>, specs: &[String]) -> Result<Option<Self>> {
        let platform = output.target_platform;
        let go = format!("go-cgo_{platform}");
        let is_needed = specs.iter().map(|spec| name_of(spec)).any(|name| name == go || is_of_c(name, platform));
        let chosen = match chosen {
            Some(chosen) => chosen,
            None => of_recipe(output)?.unwrap_or(CgoCompiler::Conda),
        };
        if chosen == CgoCompiler::Conda || !is_needed {
            return Ok(None);
        }
        let refused = |why: &str, help: &str| {
            let message = format!("zig can't be the C compiler of `{}` for `{platform}`: {why}", output.name);
            Err(Error::new(Kind::Usage, message).help(format!(
                "{help}; or build this target with the channel's compilers (`--cgo-compiler conda`), or without cgo \
                 (`{{{{ compiler('go') }}}}` for `{{{{ compiler('cgo') }}}}`)"
            )))
        };
        let target = match target(platform) {
            Ok(target) => target,
            Err(why) => return refused(why, "leave the target out"),
        };
        let fortran = format!("gfortran_{platform}");
        if specs.iter().any(|spec| name_of(spec) == fortran) {
            return refused("it compiles no Fortran", "take `{{ compiler('fortran') }}` out of the recipe");
        }
        let glibc = specs.iter().find(|spec| name_of(spec) == format!("sysroot_{platform}")).map(|spec| glibc_of(spec));
        if let Some(glibc) = &glibc
            && numbers(glibc) < numbers(OLDEST_GLIBC)
        {
            return refused(
                &format!("`c_stdlib_version` asks for glibc {glibc}, and zig links for {OLDEST_GLIBC} and newer"),
                "pin a newer `c_stdlib_version`",
            );
        }
        Ok(Some(Self { target, glibc }))
    }

    /// The build requirements with zig in the place of C compilers and C libraries.
    pub(crate) fn instead(&self, specs: &[String]) -> Vec<String> {
        let others = specs.iter().filter(|spec| !is_of_c(name_of(spec), self.target.platform));
        others.cloned().chain([PACKAGE.to_owned()]).collect()
    }

    /// What is done, for whoever watches.
    pub(crate) fn describe(&self, specs: &[String]) -> String {
        let replaced = specs.iter().filter(|spec| is_of_c(name_of(spec), self.target.platform));
        let replaced: Vec<String> = replaced.map(|spec| format!("`{spec}`")).collect();
        let stead = if replaced.is_empty() { String::new() } else { format!(" in place of {}", replaced.join(", ")) };
        format!("zig compiles C for `{}`{stead}", self.triple())
    }

    /// Packages that are not installed and have their say all the same: the C library that programs are linked for.
    pub(crate) fn stand_ins(&self) -> Vec<ResolvedPackage> {
        let of_glibc = self.glibc.iter().map(|glibc| ResolvedPackage {
            name: format!("sysroot_{}", self.target.platform),
            version: glibc.clone(),
            build: "zig".to_owned(),
            direct: true,
            // As conda-forge's sysroots have it.
            run_exports: RunExportsJson { strong: vec![format!("__glibc >={glibc},<3.0.a0")], ..Default::default() },
        });
        of_glibc.collect()
    }

    /// The target as zig is told, with the glibc.
    pub(crate) fn triple(&self) -> String {
        let zig = self.target.zig;
        if self.target.platform.is_linux() {
            format!("{zig}.{}", self.glibc.as_deref().unwrap_or(OLDEST_GLIBC))
        } else {
            zig.to_owned()
        }
    }

    /// What zig is told whatever it is called for. It compiles as a debug build would, with checks that end the program,
    /// wherever it isn't told to optimise; a C compiler doesn't. And it tells Windows objects the path of a temporary
    /// file, which is another one each time.
    fn arguments(&self) -> String {
        let no_paths = " -gno-codeview-command-line -Xclang -object-file-name=cgo.obj";
        let more = if self.target.platform.is_windows() { no_paths } else { "" };
        format!("-target {} -fno-sanitize=undefined{more}", self.triple())
    }

    /// Programs of gonda's own for a POSIX shell: the compilers by the names that build systems know. Where they link for
    /// Windows they write no debug database, for the program would hold a digest of that, and it the path of a temporary
    /// folder; the linker's time is then `SOURCE_DATE_EPOCH`.
    ///
    /// # Errors
    /// When they can't be written.
    pub(crate) fn write_tools(&self, folder: &Path, build_prefix: &Path) -> Result<()> {
        fs_err::create_dir_all(folder)?;
        let zig = crate::shell::sh(&build_prefix.join("bin").join(PACKAGE).display().to_string());
        let target = self.arguments();
        for (names, command) in [
            (["cc", "gcc"].as_slice(), format!("cc {target}")),
            (&["c++", "g++"], format!("c++ {target}")),
            (&["ar"], "ar".to_owned()),
            (&["ranlib"], "ranlib".to_owned()),
        ] {
            for name in names {
                let path = folder.join(format!("{}-{name}", self.target.triplet));
                let linking = if self.target.platform.is_windows() && command.starts_with('c') { LINKING } else { "" };
                fs_err::write(&path, format!("#!/bin/sh\n{linking}exec {zig} {command} \"$@\"\n"))?;
                crate::host::make_executable(&path)?;
            }
        }
        Ok(())
    }

    /// What the activation of C compilers would set. `tools` are those of [`Zig::write_tools`], as the script sees them;
    /// without them, zig is called by its own name. `host`: there is a host environment to link with.
    pub(crate) fn environment(&self, paths: &SeenPaths, host: bool) -> IndexMap<String, String> {
        let program = |name: &str| match &paths.tools {
            Some(tools) => tools.join(format!("{}-{name}", self.target.triplet)).display().to_string(),
            None if name.starts_with('c') => format!("zig {name} {}", self.arguments()),
            None => format!("zig {name}"),
        };
        let mut variables = IndexMap::new();
        let mut set = |name: &str, value: String| {
            variables.insert(name.to_owned(), value);
        };
        for (variable, name) in [("CC", "cc"), ("CXX", "c++"), ("AR", "ar"), ("RANLIB", "ranlib")] {
            set(variable, program(name));
        }
        set("HOST", self.target.triplet.to_owned());
        let library =
            if self.target.platform.is_windows() { paths.prefix.join("Library") } else { paths.prefix.clone() };
        let (include, lib) = (library.join("include"), library.join("lib"));
        let (mut compile, mut link) = ("-O2".to_owned(), String::new());
        if host {
            set("CPPFLAGS", format!("-isystem {}", include.display()));
            compile = format!("{compile} -isystem {}", include.display());
            link = format!("-L{}", lib.display());
            if !self.target.platform.is_windows() {
                link = format!("{link} -Wl,-rpath,{}", lib.display());
            }
        }
        for name in ["CFLAGS", "CXXFLAGS", "CGO_CFLAGS", "CGO_CXXFLAGS"] {
            set(name, compile.clone());
        }
        if !link.is_empty() {
            set("CGO_LDFLAGS", link.clone());
            set("LDFLAGS", link);
        }
        // What zig makes of its own sources, the C library above all, takes it longer than most programs take: it goes with
        // the standard library that gonda compiles beforehand.
        set("ZIG_GLOBAL_CACHE_DIR", paths.go_cache.join(PACKAGE).display().to_string());
        set("ZIG_LOCAL_CACHE_DIR", paths.tmp.join(PACKAGE).display().to_string());
        variables
    }
}

/// C compilers and C libraries among build requirements, by name, that zig would take the place of.
pub(crate) fn replaceable<'a>(output: &Output, specs: &'a [String]) -> Vec<&'a str> {
    match Zig::of(output, Some(CgoCompiler::Zig), specs) {
        Ok(Some(zig)) => {
            specs.iter().map(|spec| name_of(spec)).filter(|name| is_of_c(name, zig.target.platform)).collect()
        }
        _ => Vec::new(),
    }
}

/// `extra.gonda.cgo` of a recipe.
fn of_recipe(output: &Output) -> Result<Option<CgoCompiler>> {
    let value = &output.sections.extra["gonda"]["cgo"];
    if value.is_null() {
        return Ok(None);
    }
    match value.as_str().and_then(CgoCompiler::named) {
        Some(compiler) => Ok(Some(compiler)),
        None => Err(Error::new(Kind::Usage, format!("`extra.gonda.cgo` of `{}` is `{value}`", output.name))
            .help("write `zig` or `conda`")),
    }
}

/// Whether a package is there to compile or link C for a target: what `compiler('c')`, `compiler('cxx')`, `stdlib('c')`
/// and their relatives for MinGW ask for.
fn is_of_c(name: &str, target: Subdir) -> bool {
    if target.is_windows() && (name.starts_with("m2w64-") || is_of_visual_studio(name)) {
        return true;
    }
    let base = name.strip_suffix(target.as_str()).and_then(|base| base.strip_suffix('_'));
    base.is_some_and(|base| matches!(base, "gcc" | "gxx" | "clang" | "clangxx" | "clang-cl" | "sysroot"))
}

/// `vs2022_win-64`, `vs_win-64` (the C library that it stands for), `vc`, `vc14_runtime`.
pub(crate) fn is_of_visual_studio(name: &str) -> bool {
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let compiler = name.split_once("_win-").is_some_and(|(vs, _)| vs.strip_prefix("vs").is_some_and(digits));
    compiler || name.strip_prefix("vc").is_some_and(|rest| digits(rest.strip_suffix("_runtime").unwrap_or(rest)))
}

/// The version that a requirement on a sysroot asks for: `sysroot_linux-64 2.28.*`.
fn glibc_of(spec: &str) -> String {
    let version = spec.split_once(char::is_whitespace).map_or("", |(_, version)| version.trim());
    let version = version.trim_start_matches(['=', '>', '~', ' ']);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let version = version[..end].trim_end_matches('.');
    if version.is_empty() { OLDEST_GLIBC.to_owned() } else { version.to_owned() }
}

fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use gonda_recipe::RecipeFormat;
    use serde_json::json;

    use super::*;
    use crate::sample_outputs;

    fn output(target: Subdir) -> Output {
        Output {
            target_platform: target,
            ..sample_outputs::output(RecipeFormat::V0, vec![sample_outputs::lines(&["true"])])
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split(", ").filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// What becomes of build requirements, with the target as zig has it; or why nothing does.
    fn check(target: &str, specs: &str, expected: &str) {
        let output = output(target.parse().unwrap());
        let found = match Zig::of(&output, Some(CgoCompiler::Zig), &words(specs)) {
            Ok(Some(zig)) => format!("{}: {}", zig.triple(), zig.instead(&words(specs)).join(", ")),
            Ok(None) => "-".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{target}: {specs}");
    }

    #[test]
    fn requirements() {
        check("linux-64", "go-nocgo_linux-64, make", "-");
        check("linux-64", "go-cgo_linux-64", "x86_64-linux-gnu.2.17: go-cgo_linux-64, zig");
        check(
            "linux-aarch64",
            "gcc_linux-aarch64 14.*, gxx_linux-aarch64, sysroot_linux-aarch64 2.28.*, go-cgo_linux-aarch64, make",
            "aarch64-linux-gnu.2.28: go-cgo_linux-aarch64, make, zig",
        );
        // The build machine's own compiler, for a program that the script runs.
        check(
            "linux-aarch64",
            "gcc_linux-64, gcc_linux-aarch64, go-cgo_linux-aarch64",
            "aarch64-linux-gnu.2.17: gcc_linux-64, go-cgo_linux-aarch64, zig",
        );
        check("win-64", "vs2022_win-64, vs_win-64, go-cgo_win-64", "x86_64-windows-gnu: go-cgo_win-64, zig");
        check("win-64", "m2w64-sysroot_win-64, vc14_runtime, m2-make", "x86_64-windows-gnu: m2-make, zig");
        check("win-arm64", "vs2022_win-arm64, vcpkg", "aarch64-windows-gnu: vcpkg, zig");
    }

    #[test]
    fn what_can_not_work() {
        check("linux-ppc64le", "go-nocgo_linux-ppc64le", "-");
        check(
            "linux-ppc64le",
            "go-cgo_linux-ppc64le",
            "zig can't be the C compiler of `hello` for `linux-ppc64le`: it can't link programs with its C library for \
             that machine (`__fprintfieee128` is missing)",
        );
        check(
            "osx-arm64",
            "clang_osx-arm64 19.*, go-cgo_osx-arm64",
            "zig can't be the C compiler of `hello` for `osx-arm64`: it comes without a macOS SDK, so programs with \
             package `net` or with frameworks can't be linked",
        );
        check(
            "linux-64",
            "gfortran_linux-64, gcc_linux-64",
            "zig can't be the C compiler of `hello` for `linux-64`: it compiles no Fortran",
        );
        check(
            "linux-64",
            "gcc_linux-64, sysroot_linux-64 2.12.*",
            "zig can't be the C compiler of `hello` for `linux-64`: `c_stdlib_version` asks for glibc 2.12, and zig links \
             for 2.17 and newer",
        );
    }

    #[test]
    fn the_recipe_may_choose() {
        let specs = words("gcc_linux-64, go-cgo_linux-64");
        let mut output = output(Subdir::Linux64);
        assert_eq!(Zig::of(&output, None, &specs).unwrap(), None);
        output.sections.extra = json!({"gonda": {"cgo": "zig"}});
        assert!(Zig::of(&output, None, &specs).unwrap().is_some());
        assert_eq!(Zig::of(&output, Some(CgoCompiler::Conda), &specs).unwrap(), None);
        output.sections.extra = json!({"gonda": {"cgo": "tcc"}});
        let error = Zig::of(&output, None, &specs).unwrap_err();
        assert_eq!(error.to_string(), "`extra.gonda.cgo` of `hello` is `\"tcc\"`");
    }

    #[test]
    fn the_c_library_has_its_say() {
        let glibc = |specs: &str| {
            let zig = Zig::of(&output(Subdir::Linux64), Some(CgoCompiler::Zig), &words(specs)).unwrap().unwrap();
            zig.stand_ins().into_iter().flat_map(|package| package.run_exports.strong).collect::<Vec<_>>()
        };
        assert_eq!(glibc("gcc_linux-64, sysroot_linux-64 >=2.28"), ["__glibc >=2.28,<3.0.a0"]);
        assert_eq!(glibc("gcc_linux-64, sysroot_linux-64"), ["__glibc >=2.17,<3.0.a0"]);
        assert!(glibc("gcc_linux-64").is_empty());
    }
}
