//! What a Windows target needs on a machine that isn't Windows.

use gonda_recipe::Output;

use super::Job;
use crate::channels::name_of;
use crate::zig::is_of_visual_studio;
use crate::{Result, host};

/// What stands in place of a build requirement that exists for Windows build machines alone.
#[derive(Debug, PartialEq, Eq)]
enum Stead<'a> {
    /// It is needed here as it is.
    Itself,
    /// These packages of the build platform.
    Packages(Vec<&'a str>),
    /// Nothing: it is of use only where C is compiled.
    Nothing,
}

/// Programs among the `m2w64-` packages; the others are parts of a C compiler.
const MINGW_PROGRAMS: [&str; 7] = ["cmake", "jq", "make", "nasm", "ninja", "pkg-config", "yasm"];

/// The table, as the guide on targets shows it.
fn stead(name: &str, with_c: bool) -> Stead<'_> {
    match name {
        "m2-bash" | "m2-base" | "posix" => Stead::Packages(vec!["bash", "coreutils"]),
        "m2-conda-epoch" | "m2-msys2-runtime" | "m2-filesystem" => Stead::Nothing,
        "winflexbison" => Stead::Packages(vec!["flex", "bison"]),
        "7zip" => Stead::Packages(vec!["p7zip"]),
        _ if name.strip_prefix("m2w64-").is_some_and(|program| MINGW_PROGRAMS.contains(&program)) => {
            Stead::Packages(vec![&name["m2w64-".len()..]])
        }
        _ if name.starts_with("m2w64-") || is_of_visual_studio(name) => {
            if with_c {
                Stead::Itself
            } else {
                Stead::Nothing
            }
        }
        _ => name.strip_prefix("m2-").map_or(Stead::Itself, |other| Stead::Packages(vec![other])),
    }
}

/// The program by which one knows that a package's programs are there.
fn program_of(package: &str) -> &str {
    match package {
        "coreutils" => "cp",
        "findutils" => "find",
        "diffutils" => "diff",
        "p7zip" => "7z",
        _ => package,
    }
}

impl Job {
    /// Build requirements as this machine has them; what was replaced or left out is told.
    pub(super) async fn for_this_machine(&self, specs: &[String]) -> Result<Vec<String>> {
        if !self.output.target_platform.is_windows() || self.output.build_platform.is_windows() {
            return Ok(specs.to_vec());
        }
        let with_c = specs.iter().any(|spec| name_of(spec).starts_with("go-cgo_"));
        let steads: Vec<(&String, Stead<'_>)> = specs.iter().map(|spec| (spec, stead(name_of(spec), with_c))).collect();
        let wanted: Vec<&str> = steads
            .iter()
            .flat_map(|(_, stead)| match stead {
                Stead::Packages(packages) => packages.clone(),
                _ => Vec::new(),
            })
            .collect();
        let lacking = self.common.channels.lacking(&wanted, self.output.build_platform).await?;
        let mut found: Vec<String> = Vec::new();
        for (spec, stead) in steads {
            let packages = match stead {
                Stead::Itself => {
                    found.push(spec.clone());
                    continue;
                }
                Stead::Nothing => {
                    self.common
                        .events
                        .note(&self.name, format!("`{spec}` is left out: it is for Windows build machines"));
                    continue;
                }
                Stead::Packages(packages) => packages,
            };
            for package in packages {
                let program = host::find_program(program_of(package), &host::system_path());
                let said = match program {
                    Some(program) if lacking.iter().any(|name| name == package) => {
                        format!(
                            "`{spec}` is left out: no channel has `{package}`, scripts get the machine's `{}`",
                            program.display()
                        )
                    }
                    // Where neither is there, the solver says what is missing.
                    _ => {
                        if !found.iter().any(|spec| name_of(spec) == package) {
                            found.push(package.to_owned());
                        }
                        format!("`{package}` stands in for `{spec}`, which is for Windows build machines")
                    }
                };
                self.common.events.note(&self.name, said);
            }
        }
        Ok(found)
    }
}

/// The prefix as a batch file sees it, which its files may hold.
pub(super) fn also_seen(output: &Output, prefix: &str) -> Vec<String> {
    let by_batch = output.target_platform.is_windows() && !output.build_platform.is_windows();
    by_batch.then(|| gonda_batch::translate::to_windows(prefix)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let check = |name: &str, expected: Stead<'_>| assert_eq!(stead(name, false), expected, "{name}");
        check("m2-make", Stead::Packages(vec!["make"]));
        check("m2-base", Stead::Packages(vec!["bash", "coreutils"]));
        check("posix", Stead::Packages(vec!["bash", "coreutils"]));
        check("m2-patch", Stead::Packages(vec!["patch"]));
        check("m2w64-jq", Stead::Packages(vec!["jq"]));
        check("winflexbison", Stead::Packages(vec!["flex", "bison"]));
        check("m2-filesystem", Stead::Nothing);
        for name in ["vs2022_win-64", "vs_win-64", "vs2019_win-arm64", "vc", "vc14_runtime", "m2w64-gcc"] {
            check(name, Stead::Nothing);
            assert_eq!(stead(name, true), Stead::Itself, "{name}");
        }
        for name in ["go-nocgo_win-64", "go-licenses", "make", "vcpkg", "vsts_win-64", "gcc_win-64"] {
            check(name, Stead::Itself);
        }
    }
}
