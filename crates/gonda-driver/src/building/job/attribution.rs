//! Why a script failed, as far as its output tells: the words of Go and of compilers for what is no fault of the source's
//! text, each with its cause and its cure. Packages that need cgo are named with the help of `go list`.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::Job;
use super::modules::has_go;
use super::without_cgo;
use crate::Result;
use crate::building::checkout::Checkout;
use crate::golang::go_platform;
use crate::modules::GoRunner as _;
use crate::solving::Solved;

/// What a line of a script's output shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Nothing but the text that goes with it.
    Plain,
    /// Files for cgo are missing: which packages they belong to is worth a question.
    Cgo,
}

/// A line that holds all of the words, in any case, means this. The first that applies is the cause, so what is more
/// telling stands first.
const TABLE: &[(&[&str], Sign, &str)] = &[
    (
        &["no space left on device"],
        Sign::Plain,
        "the disk is full: free some space, or set another cache folder with `GONDA_CACHE_DIR`",
    ),
    (
        &["cannot fork"],
        Sign::Plain,
        "the script has as many processes and threads as it may, or the machine has: `--max-processes` raises the limit",
    ),
    (
        &["resource temporarily unavailable"],
        Sign::Plain,
        "the script has as many processes and threads as it may, or the machine has: `--max-processes` raises the limit",
    ),
    (
        &["signal: killed"],
        Sign::Plain,
        "the kernel ended a process of the script, as it does when memory runs out: run fewer at once with `--jobs`",
    ),
    (
        &["gopath/go.mod exists but should not"],
        Sign::Plain,
        "an ancient Go was chosen, because no newer one could be installed: write `{{ compiler('go') }} >=1.N` to see why",
    ),
    (
        &["go.mod requires go >="],
        Sign::Plain,
        "the toolchain is older than the source's go.mod asks for, and it may not download another: the channel has no newer \
         one, or the recipe pins it",
    ),
    (
        &["checksum mismatch"],
        Sign::Plain,
        "a module is not what go.sum or the checksum database says: don't work around it; find out who changed the module",
    ),
    (
        &["reading http://127.0.0.1", "502 bad gateway"],
        Sign::Plain,
        "the Go module proxy that gonda asks refused a module, or can't be reached: what it said follows `server response` in \
         the log; `GONDA_GOPROXY` names another",
    ),
    (
        &["missing go.sum entry"],
        Sign::Plain,
        "go.sum lacks a module that the source imports: patch go.mod and go.sum as `go mod tidy` writes them, or run it in \
         the script",
    ),
    (
        &["updates to go.mod needed"],
        Sign::Plain,
        "go.mod is not as `go mod tidy` would write it: run that in the script, or patch go.mod and go.sum",
    ),
    (
        &["inconsistent vendoring"],
        Sign::Plain,
        "`vendor/modules.txt` and go.mod disagree: run `go mod vendor` in the script, or build with `-mod=mod`",
    ),
    (
        &["module lookup disabled by goproxy=off"],
        Sign::Plain,
        "a module is needed that nobody may be asked for: leave GOPROXY alone in the script, and `--offline` away",
    ),
    (
        &["build constraints exclude all go files"],
        Sign::Cgo,
        "a package has no file for this target and these settings; with CGO_ENABLED=0 that is one which has only files for cgo",
    ),
    (
        &["gcc_", "error: no such instruction"],
        Sign::Plain,
        "cgo got the build machine's C compiler for another machine: ask for `{{ compiler('c') }}`, or build without cgo",
    ),
    (
        &["unable to find dynamic system library"],
        Sign::Plain,
        "the C compiler has no libraries of the target: ask for `{{ stdlib('c') }}` beside `{{ compiler('c') }}`",
    ),
    (
        &["'stdlib.h' file not found"],
        Sign::Plain,
        "the C compiler has no headers of the target: ask for `{{ stdlib('c') }}` beside `{{ compiler('c') }}`",
    ),
    (
        &["stdlib.h: no such file or directory"],
        Sign::Plain,
        "the C compiler has no headers of the target: ask for `{{ stdlib('c') }}` beside `{{ compiler('c') }}`",
    ),
    (
        &["c compiler", "not found"],
        Sign::Plain,
        "cgo is switched on, but there is no C compiler: ask for `{{ compiler('c') }}` beside `{{ compiler('cgo') }}`",
    ),
    (
        &["-b gobuildid requires a go build id"],
        Sign::Plain,
        "`-ldflags -buildid=` takes away what `-B gobuildid` is made of: leave it out, builds are reproducible without it",
    ),
    (
        &["unknown goexperiment"],
        Sign::Plain,
        "GOEXPERIMENT names an experiment that this Go doesn't have: leave it unset",
    ),
    (
        &["error obtaining vcs status"],
        Sign::Plain,
        "Go can't ask the source's repository for its commit: add `-buildvcs=false`, or ask for `git`",
    ),
    (
        &["case-insensitive import collision"],
        Sign::Plain,
        "two imports differ in case only, which a case-insensitive file system can't tell apart: patch one of them",
    ),
    (
        &["cannot find main module"],
        Sign::Plain,
        "`go` runs in a folder without go.mod: change into the source's folder first, or run `go mod init`",
    ),
    (
        &["cannot install cross-compiled binaries when gobin is set"],
        Sign::Plain,
        "`go install` refuses GOBIN for another target: write `go build -o \"$PREFIX/bin/\"`",
    ),
    (
        &["fork/exec", "permission denied"],
        Sign::Plain,
        "programs in the folder for temporary files can't be started (it is mounted with `noexec`): set another cache folder \
         with `GONDA_CACHE_DIR`",
    ),
    // A mistake of the source's, or a symbol from a file that only cgo compiles.
    (&[".go:", "undefined: "], Sign::Cgo, ""),
];

/// Reads a script's output for the cause of its failure.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// The index of the most telling line so far.
    found: Option<usize>,
}

impl Causes {
    /// Looks at a line.
    pub(super) fn read(&mut self, line: &str) {
        let reach = self.found.unwrap_or(TABLE.len());
        let line = line.to_lowercase();
        let hit = TABLE[..reach].iter().position(|(words, ..)| words.iter().all(|word| line.contains(word)));
        self.found = hit.or(self.found);
    }

    /// The cause and its cure.
    fn text(&self) -> Option<&'static str> {
        self.found.and_then(|index| TABLE.get(index)).map(|(.., text)| *text).filter(|text| !text.is_empty())
    }

    fn may_be_cgo(&self) -> bool {
        self.found.and_then(|index| TABLE.get(index)).is_some_and(|(_, sign, _)| *sign == Sign::Cgo)
    }
}

/// `go list` answers in a second or two; nobody waits longer for an explanation.
const LONGEST: Duration = Duration::from_secs(60);

impl Job {
    /// Why the script failed, if its output told.
    pub(super) async fn attribute(
        &self,
        causes: &Causes,
        checkout: &Checkout,
        solved: &Solved,
        (work, build_env): (&Path, &Path),
    ) -> Option<String> {
        if causes.may_be_cgo() && has_go(solved) && !self.asks_for_cgo() {
            let asked = tokio::time::timeout(LONGEST, self.packages_with_cgo(checkout, work, build_env)).await;
            let packages = asked.ok().and_then(Result::ok).unwrap_or_default();
            if let Some(cure) = name_packages(&packages) {
                return Some(cure);
            }
        }
        causes.text().map(str::to_owned)
    }

    /// Whether the recipe asks for the toolchain with cgo.
    fn asks_for_cgo(&self) -> bool {
        self.output.requirements.build.iter().any(|spec| spec.starts_with("go-cgo"))
    }

    /// Packages that the source's programs are made of, with files that only cgo compiles.
    async fn packages_with_cgo(&self, checkout: &Checkout, work: &Path, build_env: &Path) -> Result<Vec<Listed>> {
        let Some(runner) = self.go_runner(checkout, build_env)? else { return Ok(Vec::new()) };
        let found = crate::modules::find_main_modules(work, work, &[])?;
        let proxy = self.module_store(build_env, self.common.request.settings.offline)?.serve().await?;
        let mod_cache = checkout.workspace.path().join("go-home").join("mod");
        let (goos, goarch) = go_platform(self.output.target_platform).unwrap_or_default();
        let env = [
            // With it, `go list` tells apart what it leaves out without it.
            ("CGO_ENABLED", "1".to_owned()),
            ("GOOS", goos.to_owned()),
            ("GOARCH", goarch.to_owned()),
            ("GOFLAGS", "-buildvcs=false -modcacherw".to_owned()),
            ("GOPROXY", proxy.goproxy(false)),
            ("GOMODCACHE", mod_cache.display().to_string()),
        ];
        let mut packages = Vec::new();
        for module in found.modules.iter().take(4) {
            let args = ["list", "-e", "-deps", "-json=ImportPath,Standard,GoFiles,CgoFiles", "./..."];
            let answer = runner.go(&args, &module.folder, &env).await?;
            packages.extend(parse(&answer.stdout));
        }
        Ok(packages)
    }
}

/// A package as `go list -json` shows it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    import_path: String,
    standard: bool,
    go_files: Vec<String>,
    cgo_files: Vec<String>,
}

/// The packages of others that need cgo.
fn parse(json: &[u8]) -> Vec<Listed> {
    let stream = serde_json::Deserializer::from_slice(json).into_iter::<Listed>();
    stream.map_while(Result::ok).filter(|package| !package.standard && !package.cgo_files.is_empty()).collect()
}

/// The cure, naming packages that have only files for cgo, else those that have some.
fn name_packages(packages: &[Listed]) -> Option<String> {
    let only: Vec<&Listed> = packages.iter().filter(|package| package.go_files.is_empty()).collect();
    let (named, have) = match only.as_slice() {
        [] => (packages.iter().collect(), "files for cgo, which are left out without it"),
        _ => (only, "only files for cgo"),
    };
    let names: Vec<&str> = named.iter().map(|package| package.import_path.as_str()).collect();
    without_cgo::name(&names, have)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, expected: &str) {
        let mut causes = Causes::default();
        output.lines().for_each(|line| causes.read(line));
        let text = causes.text().unwrap_or_default();
        assert!(text.starts_with(expected) && text.is_empty() == expected.is_empty(), "{output}: {text}");
    }

    #[test]
    fn causes_of_failures() {
        check("hello\nexit status 1", "");
        check("go: go.mod requires go >= 1.99 (running go 1.27.3; GOTOOLCHAIN=local)", "the toolchain is older");
        check("main.go:4:2: missing go.sum entry for module providing package a.b/c (imported by x)", "go.sum lacks");
        check(
            "missing go.sum entry for a.b/d\na.b/c: reading http://127.0.0.1:7080/a.b/c/@v/list: 502 Bad Gateway",
            "the Go module proxy that gonda asks refused",
        );
        check("go: inconsistent vendoring in /opt/gonda/b/work:", "`vendor/modules.txt` and go.mod disagree");
        check("go: a.b/c@v1.0.0: module lookup disabled by GOPROXY=off", "a module is needed that nobody");
        check(
            "package x\n\timports a.b/c: build constraints exclude all Go files in /m/a.b/c@v1",
            "a package has no file",
        );
        check(
            "gcc_arm64.S: Assembler messages:\ngcc_arm64.S:30: Error: no such instruction: `ldp x1'",
            "cgo got the build",
        );
        check("gcc_arm64.S: Error: no such instruction: `ldp x1'", "cgo got the build machine's C compiler");
        check("cgo: C compiler \"gcc\" not found: exec: \"gcc\": not found", "cgo is switched on, but there is no C");
        check("$GOPATH/go.mod exists but should not", "an ancient Go was chosen");
        check("# x\n./main.go:5:2: undefined: Foo", "");
        // The more telling line counts, wherever it stands.
        check("write /tmp/x: no space left on device\ngo: updates to go.mod needed", "the disk is full");
        check("go: updates to go.mod needed\nwrite /tmp/x: no space left on device", "the disk is full");
    }

    #[test]
    fn packages_are_named() {
        let json = br#"{"ImportPath":"net","Standard":true,"CgoFiles":["cgo_linux.go"],"GoFiles":["a.go"]}
            {"ImportPath":"a.b/sqlite","CgoFiles":["s.go"]} {"ImportPath":"a.b/mixed","CgoFiles":["m.go"],"GoFiles":["n.go"]}
            {"ImportPath":"a.b/plain","GoFiles":["p.go"]}"#;
        let text = name_packages(&parse(json)).unwrap();
        assert!(
            text.starts_with("package `a.b/sqlite` has only files for cgo, and cgo is switched off: write"),
            "{text}"
        );
        let mixed = br#"{"ImportPath":"a.b/mixed","CgoFiles":["m.go"],"GoFiles":["n.go"]}"#;
        let text = name_packages(&parse(mixed)).unwrap();
        assert!(text.starts_with("package `a.b/mixed` has files for cgo, which are left out"), "{text}");
        assert_eq!(name_packages(&parse(b"not json")), None);
    }
}
