//! Native twins: the program that a recorded build would have made for the machine that builds, made when the script runs
//! the target's.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::builds::{Build, Found};
use super::decide::{Changes, for_build_machine};
use super::flags::Native;
use super::go_call::{Flag, GoCall};
use super::{Crossing, go_caches, journal};
use crate::process::Relay;
use crate::{Error, Kind, Result};

/// The twin of a program, made once for each build.
///
/// # Errors
/// [`Kind::Build`] when it can't be built; Go has said why on stderr.
pub(super) fn twin(crossing: &Crossing, found: &Found) -> Result<PathBuf> {
    let folder = crossing.twins().join(&found.name);
    let lock = fs_err::File::create(crossing.twins().join(format!("{}.lock", found.name)))?.into_parts().0;
    // Held until the twin is there, for a script may run several programs at once.
    lock.lock()?;
    if !folder.is_dir() {
        let aside = crossing.twins().join(format!("{}.part", found.name));
        fs_err::create_dir_all(&aside)?;
        let (args, env) = call(crossing, &found.build, found.index, &aside);
        let mut relay = Relay {
            program: crossing.go.clone(),
            args: args.iter().map(OsString::from).collect(),
            clear: true,
            cwd: Some(found.build.cwd.clone()),
            ..Relay::default()
        };
        relay.set = found.build.env.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        for (name, value) in env {
            relay.set.retain(|(present, _)| *present != name);
            relay.set.extend(value.map(|value| (name, value.into())));
        }
        let verb = args.first().map(String::as_str).unwrap_or_default();
        go_caches::give(crossing, verb, &mut relay);
        journal::say(crossing, &format!("a twin for {} is built: `go {}`", crossing.build_machine(), args.join(" ")));
        // What Go prints is no output of the program that the script runs.
        let (printed, code) = relay.output()?;
        if code != 0 {
            let message =
                format!("its twin for the build machine can't be built: `go {}` ended with {code}", args.join(" "));
            let said = String::from_utf8_lossy(&printed).trim().to_owned();
            let error = Error::new(Kind::Build, message);
            return Err(if said.is_empty() { error } else { error.because(std::io::Error::other(said)) });
        }
        fs_err::rename(&aside, &folder)?;
    }
    in_folder(&folder, &found.build.programs[found.index].path)
}

/// The program in a twin's folder: the one of this name, or the only one.
fn in_folder(folder: &Path, program: &Path) -> Result<PathBuf> {
    let stem = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
    };
    let mut files: Vec<PathBuf> = fs_err::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let named = files.iter().find(|file| stem(file) == stem(program));
    match (named, files.as_slice()) {
        (Some(file), _) | (None, [file]) => Ok(file.clone()),
        _ => Err(Error::new(Kind::Build, format!("its twin's build made no `{}`", stem(program)))),
    }
}

/// Go's arguments and the changes of environment that make a build's programs for the build machine, in a folder.
fn call(crossing: &Crossing, build: &Build, index: usize, folder: &Path) -> (Vec<String>, Changes) {
    let mut env = for_build_machine(crossing, &|name| build.env.get(name).cloned());
    let cgo = !env.iter().any(|(name, value)| name == "CGO_ENABLED" && value.as_deref() == Some("0"));
    let native = Native { same_system: crossing.goos == crossing.build_goos, cgo };
    let Some(parsed) = GoCall::parse(&build.args) else { return (build.args.clone(), env) };
    let mut flags = Vec::new();
    if parsed.verb == "install" {
        env.push(("GOBIN".to_owned(), Some(folder.display().to_string())));
    } else {
        let named = parsed.value("o").is_some() && build.programs.len() == 1;
        let name = build.programs.get(index).and_then(|program| program.path.file_name()).filter(|_| named);
        // A folder, where it ends so.
        let output = folder.join(name.unwrap_or_default()).display().to_string();
        flags.extend(["-o".to_owned(), output]);
    }
    for flag in parsed.flags.iter().filter(|flag| flag.name != "o") {
        flags.extend(self::native(*flag, native));
    }
    (parsed.with_flags(flags), env)
}

/// A flag as it is for the build machine.
fn native(flag: Flag<'_>, native: Native) -> Vec<String> {
    match flag.value.filter(|_| flag.name == "ldflags") {
        Some(value) => vec![format!("-ldflags={}", native.ldflags(value))],
        None if native.takes(flag.name, flag.value) => flag.to_args().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::builds::Program;
    use super::*;

    fn check(goos: &str, args: &[&str], made: &[&str], expected: &str) {
        let crossing = Crossing { goos: goos.to_owned(), ..super::super::tests::linux_aarch64() };
        let programs = made.iter().map(|path| Program { path: path.into(), identity: String::new() }).collect();
        let env = [("GOOS", goos), ("GOBIN", "/p/bin"), ("CGO_ENABLED", "0")];
        let build = Build {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            cwd: "/w".into(),
            env: env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            programs,
        };
        let (args, env) = call(&crossing, &build, 0, Path::new("/t"));
        let bin = env.iter().find(|(name, _)| name == "GOBIN").and_then(|(_, value)| value.clone());
        assert!(env.contains(&("GOOS".to_owned(), Some("linux".to_owned()))));
        let bin = bin.map(|bin| format!("GOBIN={bin} ")).unwrap_or_default();
        assert_eq!(format!("{bin}go {}", args.join(" ")), expected);
    }

    #[test]
    fn calls() {
        check("linux", &["build", "-v", "-o", "/p/bin/x", "."], &["/p/bin/x"], "go build -o /t/x -v .");
        check("linux", &["build", "-o=/p/bin/", "./..."], &["/p/bin/a", "/p/bin/b"], "go build -o /t/ ./...");
        check("linux", &["build", "-C", "c"], &["/w/c/x"], "go build -C c -o /t/");
        check("linux", &["install", "-tags", "a", "./x"], &["/p/bin/x"], "GOBIN=/t go install -tags a ./x");
    }

    #[test]
    fn what_the_linker_is_told() {
        let check = |goos: &str, flags: &str, expected: &str| {
            let expected = format!("go build -o /t/x -ldflags={expected} .");
            super::tests::check(goos, &["build", "-o", "x", "-ldflags", flags, "."], &["/w/x"], &expected);
        };
        check("linux", "-s -w -X main.v=1", "-s -w -X main.v=1");
        check("windows", "-H=windowsgui -s", "-s");
        check("windows", "-H windowsgui -X 'main.a=b c'", "-X 'main.a=b c'");
        check("linux", "-linkmode external '-extldflags=-static -lm' -s", "-s");
        check("linux", "-X=main.H=x -extldflags \"-static\"", "-X=main.H=x");
        check("darwin", "all=-s -w", "all=-s -w");
    }

    #[test]
    fn the_program_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let find =
            |name: &str| in_folder(folder.path(), Path::new(name)).map(|path| path.file_name().unwrap().to_owned());
        assert!(find("/p/bin/x").is_err());
        std::fs::write(folder.path().join("main"), "").unwrap();
        assert_eq!(find("/p/bin/x").unwrap(), "main");
        std::fs::write(folder.path().join("x"), "").unwrap();
        assert_eq!(find("/p/bin/x.exe").unwrap(), "x");
        assert!(find("/p/bin/y").is_err());
    }
}
