//! What a call of `go` becomes while crossing: arguments and environment in, a decision out.
//!
//! GOOS and GOARCH are the target's in the whole script, and so Go would build for the target what must run now. A call
//! is left as it is when they are not the target's any more, for a script that changes them knows what it does. One
//! that sets GOARCH alone may know another build machine than this one, though (`GOARCH=amd64` for osx-arm64, which is
//! native on osx-64 only): with the target's GOOS it can still not run here.
//!
//! | call | what is done | why |
//! |---|---|---|
//! | `go run` | built for the build machine; the program sees the target's values | generators read GOOS and GOARCH |
//! | `go test` | built and run for the build machine | the target's can't run |
//! | `go tool NAME` of a module | built for the build machine, sees the target's values | as `go run`; Go's own tools are the build machine's anyway |
//! | `go generate` | as called | the commands that it starts come by here themselves |
//! | `go install PKG@VERSION`, `PKG` of another module | for the build machine into a folder on PATH, or where GOBIN says outside of the prefix | it is a tool, unless it is the recipe's own program |
//! | `go install PKG…` with GOBIN | installed for the target below a folder of its own, moved to GOBIN from there | Go refuses GOBIN while crossing (golang/go #57485) |
//! | `go build` | as called; what comes out is recorded | the script may want to run it |

use std::path::{Path, PathBuf};

use super::Crossing;
use super::flags::{Native, quoted};
use super::go_call::GoCall;

/// What is known of a call beside its arguments.
pub(super) struct Surroundings<'a> {
    /// The environment.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a tool is one of Go's own.
    pub(super) is_tool_of_go: &'a dyn Fn(&str) -> bool,
    /// A folder that this call alone may make.
    pub(super) scratch: &'a Path,
}

/// What a call becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// Go's arguments.
    pub(super) args: Vec<String>,
    /// Variables that change.
    pub(super) env: Changes,
    /// What is to be done with Go.
    pub(super) how: How,
    /// For the log.
    pub(super) said: Option<String>,
}

/// Variables that are set, or unset where there is no value.
pub(super) type Changes = Vec<(String, Option<String>)>;

/// What is to be done with Go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// It takes this process's place.
    Replace,
    /// It is waited for, and the programs that it made are recorded.
    Record,
    /// The same, and they are moved to where they belong.
    Move {
        /// Where Go puts them.
        from: PathBuf,
        /// GOBIN.
        to: PathBuf,
    },
    /// It prints the path of a program, which then takes this process's place, in the environment as it was.
    RunPrinted {
        /// The program's arguments.
        args: Vec<String>,
    },
}

/// Decides on a call; `None` leaves it as it is.
pub(super) fn decide(crossing: &Crossing, args: &[String], around: &Surroundings<'_>) -> Option<Decision> {
    let env = |name: &str| (around.env)(name).filter(|value| !value.is_empty());
    let (goos, goarch) = (env("GOOS")?, env("GOARCH")?);
    if goos != crossing.goos || (goos == crossing.build_goos && goarch == crossing.build_goarch) {
        return None;
    }
    let call = GoCall::parse(args)?;
    match call.verb {
        "install" if goarch != crossing.goarch => None,
        "run" => run(crossing, &call, around),
        "test" => test(crossing, args, around),
        "tool" => tool(crossing, &call, around),
        "install" => install(crossing, &call, around),
        "build" if !call.has("n") => {
            Some(Decision { args: args.to_vec(), env: Changes::new(), how: How::Record, said: None })
        }
        _ => None,
    }
}

fn run(crossing: &Crossing, call: &GoCall<'_>, around: &Surroundings<'_>) -> Option<Decision> {
    if call.has("exec") || call.rest.is_empty() {
        return None;
    }
    let changes = for_build_machine(crossing, around.env);
    let wrapper = restoring(crossing, &changes, around.env)?;
    let flags = ["-exec".to_owned(), wrapper].into_iter().chain(call.flags.iter().flat_map(|flag| flag.to_args()));
    let said = format!(
        "runs on the build machine, for which it is built ({}); it sees GOOS={} GOARCH={}",
        crossing.build_machine(),
        (around.env)("GOOS").unwrap_or_default(),
        (around.env)("GOARCH").unwrap_or_default()
    );
    Some(Decision {
        args: call.with_flags(flags),
        env: changes,
        how: How::Replace,
        said: Some(format!("{}: {said}", shown(call))),
    })
}

fn test(crossing: &Crossing, args: &[String], around: &Surroundings<'_>) -> Option<Decision> {
    let own = args.iter().take_while(|arg| *arg != "-args" && *arg != "--args");
    if own.map(|arg| arg.trim_start_matches('-')).any(|arg| arg == "exec" || arg.starts_with("exec=")) {
        return None;
    }
    Some(Decision {
        args: args.to_vec(),
        env: for_build_machine(crossing, around.env),
        how: How::Replace,
        said: Some(format!("`go {}`: built and run for the build machine ({})", brief(args), crossing.build_machine())),
    })
}

fn tool(crossing: &Crossing, call: &GoCall<'_>, around: &Surroundings<'_>) -> Option<Decision> {
    let (name, args) = call.rest.split_first()?;
    if (around.is_tool_of_go)(name) || call.has("n") {
        return None;
    }
    let named = GoCall { rest: std::slice::from_ref(name), ..call.clone() };
    let flags = call.flags.iter().flat_map(|flag| flag.to_args()).chain(["-n".to_owned()]);
    Some(Decision {
        args: named.with_flags(flags),
        env: for_build_machine(crossing, around.env),
        how: How::RunPrinted { args: args.to_vec() },
        said: Some(format!("{}: built for the build machine ({})", shown(&named), crossing.build_machine())),
    })
}

fn install(crossing: &Crossing, call: &GoCall<'_>, around: &Surroundings<'_>) -> Option<Decision> {
    if call.has("n") {
        return None;
    }
    let bin = (around.env)("GOBIN").filter(|bin| !bin.is_empty()).map(PathBuf::from);
    let args = call.with_flags(call.flags.iter().flat_map(|flag| flag.to_args()));
    let named: Vec<&str> = call.rest.iter().map(String::as_str).filter(|package| is_of_a_module(package)).collect();
    let own = named.iter().any(|package| is_own(crossing, package));
    if !named.is_empty() && !own {
        let mut env = for_build_machine(crossing, around.env);
        let packed = bin.as_ref().is_some_and(|bin| bin.starts_with(&crossing.prefix));
        let folder = if packed { Some(crossing.tools()) } else { bin };
        if let Some(folder) = folder.as_ref().filter(|_| packed) {
            env.push(("GOBIN".to_owned(), Some(folder.display().to_string())));
        }
        let place = folder.map_or_else(|| "GOPATH".to_owned(), |folder| format!("`{}`", folder.display()));
        let said = format!(
            "{}: a tool for the build machine ({}), into {place}, which is not packed",
            shown(call),
            crossing.build_machine()
        );
        return Some(Decision { args, env, how: How::Replace, said: Some(said) });
    }
    // Without GOBIN Go installs below GOPATH, in a folder of the target's.
    let Some(bin) = bin else {
        return Some(Decision { args, env: Changes::new(), how: How::Record, said: None });
    };
    let path = (around.env)("GOPATH").unwrap_or_default();
    let separator = crate::host::PATH_SEPARATOR;
    let mut env: Changes = vec![
        ("GOBIN".to_owned(), None),
        // conda-forge's Go takes `$PREFIX/bin` where GOBIN is unset, as long as this is set.
        ("CONDA_GO_COMPILER".to_owned(), None),
        ("GOPATH".to_owned(), Some(format!("{}{separator}{path}", around.scratch.display()))),
    ];
    if (around.env)("GOMODCACHE").is_none_or(|cache| cache.is_empty())
        && let Some(first) = path.split(separator).next().filter(|first| !first.is_empty())
    {
        let cache = Path::new(first).join("pkg").join("mod");
        env.push(("GOMODCACHE".to_owned(), Some(cache.display().to_string())));
    }
    let whose = if own { "the recipe's own program" } else { "of the source" };
    let said = format!("{}: {whose}, for {} into `{}`", shown(call), crossing.target, bin.display());
    let from = around.scratch.join("bin").join(format!("{}_{}", crossing.goos, crossing.goarch));
    Some(Decision { args, env, how: How::Move { from, to: bin }, said: Some(said) })
}

/// Whether a package is named with its module, as `example.org/tool@v1`, or without a version for the one that go.mod
/// asks for; not by its place in the source.
fn is_of_a_module(package: &str) -> bool {
    let first = package.split(['/', '\\']).next().unwrap_or_default();
    package.contains('@') || (package.contains('/') && first.contains('.') && !first.starts_with('.'))
}

/// Whether `PACKAGE[@VERSION]` is what the recipe is about: a package of the source's modules; any, where the source has no
/// module; or one with the conda package's name.
fn is_own(crossing: &Crossing, package: &str) -> bool {
    let path = package.split('@').next().unwrap_or_default();
    let below = |module: &String| {
        path.strip_prefix(module.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    crossing.modules.is_empty()
        || crossing.modules.iter().any(below)
        || program_name(path).is_some_and(|name| name.eq_ignore_ascii_case(&crossing.package))
}

/// The name of a package's program: the last element of its path that is no major version (`cmd/go`,
/// `DefaultExecName`).
fn program_name(path: &str) -> Option<&str> {
    let is_major = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    path.rsplit('/').find(|part| !is_major(part))
}

/// What Go must be told to build for the machine that builds. C compilers and their flags are the target's; conda's
/// activation names the others with `_FOR_BUILD`.
pub(super) fn for_build_machine(crossing: &Crossing, env: &dyn Fn(&str) -> Option<String>) -> Changes {
    const FLAGS: &[&str] = &["CGO_CFLAGS", "CGO_CPPFLAGS", "CGO_CXXFLAGS", "CGO_FFLAGS", "CGO_LDFLAGS"];
    let mut changes: Changes = vec![
        ("GOOS".to_owned(), Some(crossing.build_goos.clone())),
        ("GOARCH".to_owned(), Some(crossing.build_goarch.clone())),
    ];
    let compiler = env("CC_FOR_BUILD").filter(|compiler| !compiler.is_empty());
    let compiler = compiler.filter(|_| env("CGO_ENABLED").as_deref() == Some("1"));
    let native = Native { same_system: crossing.goos == crossing.build_goos, cgo: compiler.is_some() };
    if let Some(flags) = env("GOFLAGS").and_then(|flags| native.goflags(&flags)) {
        changes.push(("GOFLAGS".to_owned(), Some(flags)));
    }
    match compiler {
        None => changes.push(("CGO_ENABLED".to_owned(), Some("0".to_owned()))),
        Some(compiler) => {
            changes.push(("CC".to_owned(), Some(compiler)));
            if let Some(compiler) = env("CXX_FOR_BUILD") {
                changes.push(("CXX".to_owned(), Some(compiler)));
            }
            changes.extend(FLAGS.iter().filter(|name| env(name).is_some()).map(|name| ((*name).to_owned(), None)));
        }
    }
    changes
}

/// The value of `-exec` that gives a program the variables back: gonda itself, as a program that changes variables. `None`
/// where a word can't be written so that Go splits it off again (`cmd/internal/quoted`).
fn restoring(crossing: &Crossing, changes: &Changes, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut words = vec![crossing.program().display().to_string(), crate::process::WITH.to_owned()];
    for (name, _) in changes {
        words.push(env(name).map_or_else(|| format!("-{name}"), |value| format!("{name}={value}")));
    }
    words.push("--".to_owned());
    let quoted: Option<Vec<String>> = words.iter().map(|word| quoted(word)).collect();
    Some(quoted?.join(" "))
}

/// A call for the log.
fn shown(call: &GoCall<'_>) -> String {
    let words: Vec<String> = std::iter::once(call.verb.to_owned()).chain(call.rest.iter().cloned()).collect();
    format!("`go {}`", brief(&words))
}

/// Words in one line of bearable length.
fn brief(words: &[String]) -> String {
    const LONGEST: usize = 120;
    let line: String = words.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    format!("{} …", line.chars().take(LONGEST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call in an environment (`NAME=VALUE` words before `go`) on top of a cross build's; what it becomes.
    fn check(line: &str, expected: &str) {
        let crossing = Crossing {
            modules: vec!["example.org/own".to_owned()],
            package: "tool".to_owned(),
            ..super::super::tests::linux_aarch64()
        };
        let mut env: indexmap::IndexMap<String, String> = [
            ("GOOS", "linux"),
            ("GOARCH", "arm64"),
            ("CGO_ENABLED", "0"),
            ("GOBIN", "/p/bin"),
            ("GOPATH", "/w/gopath"),
            ("GOMODCACHE", "/w/gopath/pkg/mod"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let mut words = line.split(' ').map(str::to_owned);
        for word in words.by_ref().take_while(|word| word != "go") {
            match word.split_once('=') {
                Some((name, value)) => env.insert(name.to_owned(), value.to_owned()),
                None => env.shift_remove(&word[1..]),
            };
        }
        let args: Vec<String> = words.collect();
        let around = Surroundings {
            env: &|name| env.get(name).cloned(),
            is_tool_of_go: &|name| name == "compile",
            scratch: Path::new("/s"),
        };
        let found = decide(&crossing, &args, &around).map_or_else(
            || "as called".to_owned(),
            |decision| {
                let mut text = String::new();
                for (name, value) in decision.env {
                    text.push_str(&value.map_or_else(|| format!("-{name} "), |value| format!("{name}={value} ")));
                }
                text.push_str(&format!("go {} | {:?}", decision.args.join(" "), decision.how));
                text
            },
        );
        assert_eq!(found, expected, "{line}");
    }

    const BUILD: &str = "GOOS=linux GOARCH=amd64 CGO_ENABLED=0";

    #[test]
    fn what_runs_now_is_for_the_build_machine() {
        let restored = "-exec /o/gonda __with GOOS=linux GOARCH=arm64 CGO_ENABLED=0 --";
        check("go run ./gen -o x", &format!("{BUILD} go run {restored} ./gen -o x | Replace"));
        check("go run -C t -mod=mod ./g", &format!("{BUILD} go run -C t {restored} -mod=mod ./g | Replace"));
        check("go run a@v1.2.3 x", &format!("{BUILD} go run {restored} a@v1.2.3 x | Replace"));
        check("go run -exec qemu .", "as called");
        check("go test ./...", &format!("{BUILD} go test ./... | Replace"));
        check("go test -c -o x.test .", &format!("{BUILD} go test -c -o x.test . | Replace"));
        check("go test . -exec=x", "as called");
        check("go tool compile x.go", "as called");
        check("go tool", "as called");
        check(
            "go tool stringer -type=X",
            &format!("{BUILD} go tool -n stringer | RunPrinted {{ args: [\"-type=X\"] }}"),
        );
        check("go generate ./...", "as called");
    }

    #[test]
    fn flags_for_the_target_alone_are_left_out() {
        let goflags = "GOFLAGS=-ldflags=-linkmode=external";
        check(
            &format!("{goflags} go test ."),
            "GOOS=linux GOARCH=amd64 GOFLAGS=-ldflags= CGO_ENABLED=0 go test . | Replace",
        );
        check(&format!("{goflags} go build ."), "go build . | Record");
        check("GOFLAGS=-trimpath go test .", &format!("{BUILD} go test . | Replace"));
    }

    #[test]
    fn c_compilers_are_those_of_the_build_machine() {
        check(
            "CGO_ENABLED=1 CC=aarch64-cc CC_FOR_BUILD=cc CGO_CFLAGS=-march=armv8 go test .",
            "GOOS=linux GOARCH=amd64 CC=cc -CGO_CFLAGS go test . | Replace",
        );
        check("CGO_ENABLED=1 CC=aarch64-cc go test .", &format!("{BUILD} go test . | Replace"));
        check(
            "CGO_ENABLED=1 CC=aarch64-cc CC_FOR_BUILD=cc go run .",
            "GOOS=linux GOARCH=amd64 CC=cc go run -exec /o/gonda __with GOOS=linux GOARCH=arm64 CC=aarch64-cc -- . | Replace",
        );
    }

    #[test]
    fn other_values_are_the_scripts_own() {
        check("-GOOS -GOARCH go run .", "as called");
        check("GOOS=windows go run .", "as called");
        check("GOARCH=amd64 go install x@v1", "as called");
        check("GOARCH=ppc64le go install x@v1", "as called");
        check("GOARCH=ppc64le go build .", "go build . | Record");
        check("-GOARCH go install x@v1", "as called");
    }

    #[test]
    fn tools_by_version() {
        check(
            "go install other.org/x@latest",
            &format!("{BUILD} GOBIN=/o/tools go install other.org/x@latest | Replace"),
        );
        check("go install other.org/x", &format!("{BUILD} GOBIN=/o/tools go install other.org/x | Replace"));
        check("GOBIN=/w/b go install o.org/x@v1", &format!("{BUILD} go install o.org/x@v1 | Replace"));
        check("-GOBIN go install o.org/x@v1", &format!("{BUILD} go install o.org/x@v1 | Replace"));
    }

    #[test]
    fn programs_of_the_recipe() {
        let own = "-GOBIN -CONDA_GO_COMPILER GOPATH=/s:/w/gopath";
        let how = "| Move { from: \"/s/bin/linux_arm64\", to: \"/p/bin\" }";
        check("go install", &format!("{own} go install {how}"));
        check("go install -tags x ./cmd/... .", &format!("{own} go install -tags x ./cmd/... . {how}"));
        check("go install -v example.org/own/x", &format!("{own} go install -v example.org/own/x {how}"));
        check("go install ../x .\\y", &format!("{own} go install ../x .\\y {how}"));
        check("go install example.org/own/cmd/x@v1", &format!("{own} go install example.org/own/cmd/x@v1 {how}"));
        check("go install other.org/tool/v2@v2", &format!("{own} go install other.org/tool/v2@v2 {how}"));
        check("-GOMODCACHE go install .", &format!("{own} GOMODCACHE=/w/gopath/pkg/mod go install . {how}"));
        check("-GOBIN go install .", "go install . | Record");
        check("go install -n .", "as called");
        check("go build -o x .", "go build -o x . | Record");
        check("go build -n .", "as called");
        check("go env GOROOT", "as called");
        check("go version", "as called");
    }
}
