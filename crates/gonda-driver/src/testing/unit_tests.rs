//! Packages made on the spot, run on a machine that only takes notes.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rattler_conda_types::Subdir;

use super::{
    Contents, EnvironmentRequest, InstalledPackage, Machine, Options, Outcome, ScriptExit, ScriptRequest, Test, read,
    run,
};
use crate::{Error, Events, Kind, Result};

/// Writes files below a folder.
fn lay(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn index(name: &str, subdir: &str) -> String {
    format!(r#"{{"name": "{name}", "version": "1.2", "build": "h1234567_0", "build_number": 0, "subdir": "{subdir}"}}"#)
}

/// Notes what it is asked; fails scripts that say so, and specs that can't be had.
struct Notes {
    root: PathBuf,
    log: Mutex<String>,
}

impl Notes {
    fn note(&self, text: &str) {
        let text = text.replace(&self.root.display().to_string(), "ROOT").replace('\\', "/");
        self.log.lock().unwrap().push_str(&text);
    }
}

impl Machine for Notes {
    fn refusal(&self, platform: Subdir) -> Option<String> {
        (platform != Subdir::Linux64).then(|| format!("programs for {platform} don't run here"))
    }

    async fn make_environment(&self, request: EnvironmentRequest) -> Result<Vec<InstalledPackage>> {
        self.note(&format!(
            "environment {} {}: {}\n",
            request.prefix.display(),
            request.platform,
            request.specs.join(" | ")
        ));
        if request.specs.iter().any(|spec| spec.contains("unsolvable")) {
            return Err(Error::new(Kind::Unavailable, "nothing provides it"));
        }
        std::fs::create_dir_all(request.prefix.join("etc/conda/test-files/tool/0")).unwrap();
        let package = |spec: &String| {
            let name = spec.split(' ').next().unwrap_or_default().to_owned();
            InstalledPackage { name, version: "1".to_owned(), build: "0".to_owned(), url: String::new() }
        };
        Ok(request.specs.iter().map(package).collect())
    }

    async fn run_script(&self, request: ScriptRequest) -> Result<ScriptExit> {
        let text = std::fs::read_to_string(&request.script).unwrap();
        let prefixes: Vec<_> = request.prefixes.iter().map(|prefix| prefix.display().to_string()).collect();
        self.note(&format!(
            "{:?} {} in {} with {}\n",
            request.kind,
            request.script.display(),
            request.cwd.display(),
            prefixes.join(" ")
        ));
        for line in text.lines() {
            self.note(&format!("  > {line}\n"));
        }
        for (name, value) in request.env.iter().filter(|(name, _)| matches!(name.as_str(), "K" | "BUILD_PREFIX")) {
            self.note(&format!("  {name}={value}\n"));
        }
        let failing = text.contains("false");
        Ok(ScriptExit { code: Some(i32::from(failing)), last_lines: vec!["the end".to_owned()] })
    }

    async fn extracted(&self, package: &InstalledPackage) -> Result<PathBuf> {
        Ok(self.root.join("downstreams").join(&package.name))
    }
}

fn machine(root: &Path) -> (Notes, Options) {
    let options = Options { root: root.join("run"), logs: root.join("logs"), machine: Subdir::Linux64, cpu_count: 2 };
    (Notes { root: root.to_owned(), log: Mutex::new(String::new()) }, options)
}

/// What is asked of the machine, and what is reported.
fn check(files: &[(&str, &str)], expected: &str) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    lay(root, files);
    let package = root.join("pkg");
    let (notes, options) = machine(root);
    let suite = read(&package, Subdir::Linux64).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let events = Events::silent();
    let result = runtime.block_on(run(&package, &suite, &notes, &options, &events, "job"));
    match result {
        Ok(reports) => {
            for report in reports {
                let told = match report.outcome {
                    Outcome::Passed => "passed".to_owned(),
                    Outcome::Failed { message, exit_code, last_lines, log } => {
                        let log = log.map(|log| log.display().to_string()).unwrap_or_default();
                        format!("FAILED {message} {exit_code:?} {last_lines:?} {log}")
                    }
                    Outcome::NotRun { reason } => format!("not run: {reason}"),
                };
                notes.note(&format!("{}: {told}\n", report.test));
            }
        }
        Err(error) => notes.note(&format!("error {:?}: {error}\n", error.kind)),
    }
    assert_eq!(notes.log.into_inner().unwrap(), expected);
}

#[test]
fn conda_builds_scripts_share_an_environment() {
    check(
        &[
            ("pkg/info/index.json", &index("tool", "linux-64")),
            ("pkg/info/test/test_time_dependencies.json", r#"["jq", "python >=3"]"#),
            ("pkg/info/test/run_test.sh", "set -ex\nfalse\n"),
            ("pkg/info/test/run_test.py", "import x\n"),
            ("pkg/info/test/run_test.bat", "exit 1\n"),
            ("pkg/info/test/data/a.txt", "a"),
            ("pkg/info/recipe/meta.yaml", "a"),
        ],
        r#"environment ROOT/run/1/test_env linux-64: tool ==1.2 h1234567_0 | jq | python >=3
Python ROOT/run/1/test_tmp/run_test.py in ROOT/run/1/test_tmp with ROOT/run/1/test_env
  > import x
Bash ROOT/run/1/test_tmp/run_test.sh in ROOT/run/1/test_tmp with ROOT/run/1/test_env
  > set -ex
  > false
info/test: run_test.py: passed
info/test: run_test.sh: FAILED exit code 1 Some(1) ["the end"] ROOT/logs/test-1-info-test-run-test-sh.log
"#,
    );
}

#[test]
fn batch_files_alone_do_not_pass_elsewhere() {
    check(
        &[("pkg/info/index.json", &index("tool", "noarch")), ("pkg/info/test/run_test.bat", "exit 1\n")],
        r#"run_test.bat: not run: there is no shell for it on linux-64
"#,
    );
}

#[test]
fn programs_of_other_platforms_do_not_pass() {
    let tests = "- script: [tool]\n- package_contents: {bin: [tool], strict: true}\n- downstream: other\n";
    let paths = r#"{"paths": [{"_path": "Library/bin/tool.exe"}, {"_path": "extra"}]}"#;
    check(
        &[
            ("pkg/info/index.json", &index("tool", "win-64")),
            ("pkg/info/tests/tests.yaml", tests),
            ("pkg/info/paths.json", paths),
        ],
        r#"test 1 (script): not run: programs for win-64 don't run here
test 2 (package_contents): FAILED strict: 1 files are matched by no glob: `extra` None [] 
downstream other: not run: programs for win-64 don't run here
"#,
    );
}

const LIST: &str = "
- script:
    content: [a, b]
    env: {K: v}
    cwd: etc/conda/test-files/tool/0
  requirements: {run: [jq], build: [make]}
  files: {recipe: [data/]}
- script: just --this
- script: {interpreter: nu, content: \"print 1\\n\"}
- script: {file: smoke}
- script: {file: gone.sh}
- script: {interpreter: brainfuck, content: +}
- python: {imports: [x.y], python_version: ['3.11', 3.12]}
- python: {imports: [x], pip_check: false}
- perl: {uses: [X::Y]}
- r: {libraries: [x]}
- ruby: {requires: [x]}
- package_contents: {files: [bin/*]}
- mystery: 1
- script: {content: x, cwd: ../..}
- script: {content: []}
- {script: x, requirements: {run: [[a]]}}
- just text
";

#[test]
fn every_kind_of_listed_test() {
    check(
        &[
            ("pkg/info/index.json", &index("tool", "linux-64")),
            ("pkg/info/hash_input.json", r#"{"K": "variant", "python": "3.11", "n": 1}"#),
            ("pkg/info/tests/tests.yaml", LIST),
            ("pkg/info/tests/3/smoke.sh", "smoke\n"),
            ("pkg/info/paths.json", r#"{"paths": [{"_path": "bin/tool"}]}"#),
        ],
        r#"environment ROOT/run/1/build_env linux-64: make
environment ROOT/run/1/test_env linux-64: jq | tool ==1.2 h1234567_0
Bash ROOT/run/1/test_tmp/conda_test.sh in ROOT/run/1/test_env/etc/conda/test-files/tool/0 with ROOT/run/1/test_env ROOT/run/1/build_env
  > a
  > b
  K=v
  BUILD_PREFIX=ROOT/run/1/build_env
environment ROOT/run/2/test_env linux-64: tool ==1.2 h1234567_0
Bash ROOT/run/2/test_tmp/conda_test.sh in ROOT/run/2/test_tmp with ROOT/run/2/test_env
  > just --this
  K=variant
environment ROOT/run/3/test_env linux-64: tool ==1.2 h1234567_0
Nushell ROOT/run/3/test_tmp/conda_test.nu in ROOT/run/3/test_tmp with ROOT/run/3/test_env
  > print 1
  K=variant
environment ROOT/run/4/test_env linux-64: tool ==1.2 h1234567_0
Bash ROOT/run/4/test_tmp/conda_test.sh in ROOT/run/4/test_tmp with ROOT/run/4/test_env
  > smoke
  K=variant
environment ROOT/run/5/test_env linux-64: tool ==1.2 h1234567_0 | pip | python 3.11.*
Python ROOT/run/5/test_tmp/conda_test.py in ROOT/run/5/test_tmp with ROOT/run/5/test_env
  > import x.y
  K=variant
Bash ROOT/run/5/test_tmp/conda_test.sh in ROOT/run/5/test_tmp with ROOT/run/5/test_env
  > pip check
  K=variant
environment ROOT/run/6/test_env linux-64: tool ==1.2 h1234567_0 | pip | python 3.12.*
Python ROOT/run/6/test_tmp/conda_test.py in ROOT/run/6/test_tmp with ROOT/run/6/test_env
  > import x.y
  K=variant
Bash ROOT/run/6/test_tmp/conda_test.sh in ROOT/run/6/test_tmp with ROOT/run/6/test_env
  > pip check
  K=variant
environment ROOT/run/7/test_env linux-64: tool ==1.2 h1234567_0
Python ROOT/run/7/test_tmp/conda_test.py in ROOT/run/7/test_tmp with ROOT/run/7/test_env
  > import x
  K=variant
environment ROOT/run/8/test_env linux-64: perl | tool ==1.2 h1234567_0
Perl ROOT/run/8/test_tmp/conda_test.pl in ROOT/run/8/test_tmp with ROOT/run/8/test_env
  > use X::Y;
  K=variant
environment ROOT/run/9/test_env linux-64: r-base | tool ==1.2 h1234567_0
R ROOT/run/9/test_tmp/conda_test.R in ROOT/run/9/test_tmp with ROOT/run/9/test_env
  > library(x)
  K=variant
environment ROOT/run/10/test_env linux-64: ruby | tool ==1.2 h1234567_0
Ruby ROOT/run/10/test_tmp/conda_test.rb in ROOT/run/10/test_tmp with ROOT/run/10/test_env
  > require 'x'
  K=variant
environment ROOT/run/11/test_env linux-64: tool ==1.2 h1234567_0
test 1 (script): passed
test 2 (script): passed
test 3 (script): passed
test 4 (script): passed
test 5: FAILED the script `gone.sh` is not in the package None [] 
test 6: FAILED the interpreter `brainfuck` is unknown None [] 
test 7 (python 3.11): imports: passed
test 7 (python 3.11): pip check: passed
test 7 (python 3.12): imports: passed
test 7 (python 3.12): pip check: passed
test 8 (python): imports: passed
test 9 (perl): passed
test 10 (Rscript): passed
test 11 (ruby): passed
test 12 (package_contents): passed
test 13: FAILED no known kind of test has `mystery` None [] 
test 14: FAILED `../..` leads out of the package None [] 
test 15 (script): not run: it has no commands
test 16: FAILED `run` holds `["a"]`, no text None [] 
test 17: FAILED the entry is no mapping None [] 
"#,
    );
}

#[test]
fn downstream_tests_run_with_both_packages() {
    check(
        &[
            ("pkg/info/index.json", &index("tool", "linux-64")),
            ("pkg/info/tests/tests.yaml", "- downstream: user >=1\n- downstream: unsolvable\n- downstream: silent\n"),
            ("downstreams/user/info/index.json", &index("user", "linux-64")),
            (
                "downstreams/user/info/tests/tests.yaml",
                "- python: {imports: [u], pip_check: false, python_version: ['3.11', '3.12']}\n- downstream: third\n- script: [false]\n",
            ),
            ("downstreams/silent/info/index.json", &index("silent", "linux-64")),
        ],
        r#"environment ROOT/run/1/env linux-64: user >=1 | tool ==1.2 h1234567_0
environment ROOT/run/2/test_env linux-64: user ==1.2 h1234567_0 | tool ==1.2 h1234567_0
Python ROOT/run/2/test_tmp/conda_test.py in ROOT/run/2/test_tmp with ROOT/run/2/test_env
  > import u
environment ROOT/run/3/test_env linux-64: user ==1.2 h1234567_0 | tool ==1.2 h1234567_0
Bash ROOT/run/3/test_tmp/conda_test.sh in ROOT/run/3/test_tmp with ROOT/run/3/test_env
  > false
environment ROOT/run/4/env linux-64: unsolvable | tool ==1.2 h1234567_0
environment ROOT/run/5/env linux-64: silent | tool ==1.2 h1234567_0
downstream user >=1: test 1 (python 3.11): imports: passed
downstream user >=1: test 3 (script): FAILED exit code 1 Some(1) ["the end"] ROOT/logs/test-3-downstream-user-1-test-3-script.log
downstream unsolvable: not run: no environment holds both packages: nothing provides it
downstream silent: not run: `silent-1-0` has no tests of its own
"#,
    );
}

#[test]
fn an_environment_that_cannot_be_made_is_an_error() {
    check(
        &[
            ("pkg/info/index.json", &index("tool", "linux-64")),
            ("pkg/info/tests/tests.yaml", "- script: x\n  requirements: {run: [unsolvable]}\n"),
        ],
        r#"environment ROOT/run/1/test_env linux-64: unsolvable | tool ==1.2 h1234567_0
error Unavailable: the environment of `test 1 (script)` can't be made
"#,
    );
}

#[test]
fn a_package_without_tests_reports_none() {
    check(&[("pkg/info/index.json", &index("tool", "linux-64"))], "");
}

#[test]
fn what_only_the_recipe_knows() {
    let temp = tempfile::tempdir().unwrap();
    lay(temp.path(), &[("info/index.json", &index("tool", "linux-64"))]);
    let mut suite = read(temp.path(), Subdir::Linux64).unwrap();
    let entry = |json: &str| gonda_recipe::PackageTest {
        spec: serde_json::from_str(json).unwrap(),
        source_files: gonda_recipe::FileMatch::default(),
        recipe_files: gonda_recipe::FileMatch::default(),
    };
    let list = vec![entry(r#"{"script": "x"}"#), entry(r#"{"package_contents": {"bin": ["tool"]}}"#)];
    suite.add_recipe_tests(&gonda_recipe::Tests::List(list)).unwrap();
    let legacy = gonda_recipe::LegacyTest { downstreams: vec!["user".to_owned()], ..Default::default() };
    suite.add_recipe_tests(&gonda_recipe::Tests::Legacy(legacy)).unwrap();
    assert!(matches!(&suite.tests[..], [Test::Contents { .. }, Test::Downstream { .. }]), "{:?}", suite.tests);
    let broken = vec![entry(r#"{"package_contents": {"bins": []}}"#)];
    assert!(suite.add_recipe_tests(&gonda_recipe::Tests::List(broken)).is_err());
}

/// What a contents test finds.
fn check_contents(yaml: &str, platform: Subdir, paths: &[&str], expected: &[&str]) {
    let value = serde_yaml::from_str(yaml).unwrap();
    let found = match Contents::read(&value) {
        Ok(contents) => contents.check(paths, platform, false).unwrap_or_else(|error| vec![error]),
        Err(error) => vec![error],
    };
    assert_eq!(found, expected, "{yaml} on {platform}");
}

#[test]
fn contents_on_each_platform() {
    let all = "{bin: [tool], lib: [z], include: [z.h], site_packages: [a.b], files: ['share/**/*.txt'], strict: true}";
    let unix = ["bin/tool", "include/z.h", "lib/python3.11/site-packages/a/b.py", "share/x/y.txt"];
    check_contents(all, Subdir::Linux64, &[&unix[..], &["lib/libz.so", "lib/libz.so.1"]].concat(), &[]);
    check_contents(all, Subdir::OsxArm64, &[&unix[..], &["lib/libz.1.dylib"]].concat(), &[]);
    let windows = [
        "Library/bin/tool.exe",
        "Library/bin/z.dll",
        "Library/lib/z.lib",
        "Library/include/z.h",
        "Lib/site-packages/a/b/__init__.py",
        "share/t.txt",
    ];
    check_contents(all, Subdir::Win64, &windows, &[]);
    check_contents(
        all,
        Subdir::Win64,
        &["Scripts/tool.bat", "other"],
        &[
            "include: no file matches `Library/include/z.h`",
            "lib: no file matches `Library/bin/z.dll`",
            "lib: no file matches `Library/lib/z.lib`",
            "site_packages: no file matches `Lib/site-packages/a/b.py` or `Lib/site-packages/a/b/__init__.py`",
            "files: no file matches `share/**/*.txt`",
            "strict: 1 files are matched by no glob: `other`",
        ],
    );
    check_contents(
        "{bin: {exists: [a], not_exists: ['b*']}}",
        Subdir::Linux64,
        &["bin/a", "bin/bc"],
        &["bin: `bin/b*` must match no file, but does: `bin/bc`"],
    );
    check_contents(
        "{files: ['[']}",
        Subdir::Linux64,
        &["a"],
        &["`[` is no glob: unclosed character class; missing ']'"],
    );
    check_contents("{bins: [a]}", Subdir::Linux64, &["a"], &["`package_contents` has no section `bins`"]);
    check_contents("{files: {exist: [a]}}", Subdir::Linux64, &["a"], &["`files` has no `exist`"]);
    check_contents(
        "{lib: [libz.a, libz.so.1, 'libfoo.*.so']}",
        Subdir::Linux64,
        &["lib/libz.a", "lib/libz.so.1"],
        &["lib: no file matches `lib/libfoo.*.so`"],
    );
}

#[test]
fn scripts_get_an_environment_from_nothing() {
    let temp = tempfile::tempdir().unwrap();
    lay(
        temp.path(),
        &[("pkg/info/index.json", &index("tool", "linux-64")), ("pkg/info/tests/tests.yaml", "- script: x\n")],
    );
    let suite = read(&temp.path().join("pkg"), Subdir::Linux64).unwrap();
    assert!(matches!(&suite.tests[..], [Test::Run(_)]));

    struct Variables(Mutex<Vec<String>>);
    impl Machine for Variables {
        fn refusal(&self, _platform: Subdir) -> Option<String> {
            None
        }
        async fn make_environment(&self, _request: EnvironmentRequest) -> Result<Vec<InstalledPackage>> {
            Ok(Vec::new())
        }
        async fn run_script(&self, request: ScriptRequest) -> Result<ScriptExit> {
            self.0.lock().unwrap().extend(request.env.keys().cloned());
            Ok(ScriptExit::default())
        }
        async fn extracted(&self, _package: &InstalledPackage) -> Result<PathBuf> {
            Err(Error::new(Kind::Bug, "not asked for"))
        }
    }
    let machine = Variables(Mutex::new(Vec::new()));
    let options = Options {
        root: temp.path().join("run"),
        logs: temp.path().join("logs"),
        machine: Subdir::Linux64,
        cpu_count: 2,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let events = Events::silent();
    let package = temp.path().join("pkg");
    let running = run(&package, &suite, &machine, &options, &events, "job");
    let reports = runtime.block_on(running).unwrap();
    // A signal ended it: that is no pass.
    assert!(reports[0].outcome.failed());
    let mut names = machine.0.into_inner().unwrap();
    names.sort();
    assert_eq!(
        names.join(" "),
        r#"ARCH CONDA_BUILD CONDA_BUILD_CROSS_COMPILATION CONDA_BUILD_STATE CONDA_DEFAULT_ENV CPU_COUNT HOME LANG PKG_BUILDNUM PKG_BUILD_NUMBER PKG_BUILD_STRING PKG_HASH PKG_NAME PKG_VERSION PREFIX PYTHONNOUSERSITE SHLIB_EXT SRC_DIR SUBDIR TMPDIR build_platform host_platform target_platform"#
    );
}
