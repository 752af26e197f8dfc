//! Scripts and environments as text.

use std::collections::BTreeMap;
use std::path::Path;

use gonda_recipe::{Output, PinnedOutput, RecipeFormat, ScriptContent, ScriptVariable};
use rattler_conda_types::Subdir;

use super::*;

use crate::sample_outputs::{lines, output, script};

fn paths() -> SeenPaths {
    SeenPaths {
        build_prefix: "/b/build_env".into(),
        prefix: "/b/host".into(),
        src_dir: "/b/work".into(),
        home: "/b/home".into(),
        tmp: "/b/tmp".into(),
        recipe_dir: "/b/recipe".into(),
        go_cache: "/b/gocache".into(),
        tools: None,
        own: None,
        fixed: true,
    }
}

/// `${{ NAME }}` and nothing else, as the recipe crate would render it.
fn render(text: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("${{{{ {name} }}}}"), value);
    }
    Ok(text)
}

struct Case {
    output: Output,
    settings: Settings,
    recipe: tempfile::TempDir,
    activated: Vec<ActivatedEnv>,
}

fn case(output: Output) -> Case {
    Case { output, settings: Settings::default(), recipe: tempfile::tempdir().unwrap(), activated: Vec::new() }
}

impl Case {
    fn with<T>(&self, f: impl FnOnce(&Job<'_>) -> T) -> T {
        let job = Job {
            output: &self.output,
            paths: &paths(),
            recipe_dir: self.recipe.path(),
            activated: &self.activated,
            settings: &self.settings,
            render: &render,
        };
        f(&job)
    }

    /// The whole environment, a line each.
    fn environment(&self) -> String {
        let environment = self.with(environment).unwrap();
        environment.variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    fn check_value(&self, name: &str, expected: Option<&str>) {
        let environment = self.with(environment).unwrap();
        assert_eq!(environment.variables.get(name).map(String::as_str), expected, "{name}");
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.recipe.path().join(name), text).unwrap();
    }

    /// The generated file of this name, of the only script.
    fn generated(&self, name: &str) -> String {
        let prepared = self.with(prepare).unwrap();
        assert_eq!(prepared.len(), 1);
        let file = prepared[0].files.iter().find(|(file, _)| file == name);
        file.map(|(_, text)| text.clone()).unwrap_or_else(|| panic!("no `{name}`"))
    }
}

/// What a script of a real feedstock may count on: names, values, order of the sections.
#[test]
fn the_whole_environment_of_v0() {
    let mut case = case(output(RecipeFormat::V0, vec![lines(&["true"])]));
    case.settings.go_proxy = Some("http://127.0.0.1:1/".to_owned());
    case.settings.cpu_count = 2;
    let expected = "\
GOPATH=/b/work/gopath
GOBIN=/b/host/bin
GOCACHE=/b/gocache
GOTMPDIR=/b/tmp
GOMAXPROCS=2
GOTOOLCHAIN=local
GOENV=off
GOPROXY=http://127.0.0.1:1/
GOAMD64=v1
GOARM64=v8.0
GOPPC64=power8
LANG=C.UTF-8
TZ=UTC
CPU_COUNT=2
SOURCE_DATE_EPOCH=315532800
HOME=/b/home
TMPDIR=/b/tmp
PATH=/b/build_env/bin:/b/host/bin:/usr/bin:/bin:/usr/sbin:/sbin
GIT_TERMINAL_PROMPT=0
GIT_CONFIG_NOSYSTEM=1
GIT_CEILING_DIRECTORIES=/b
CONDA_BUILD=1
PYTHONNOUSERSITE=1
CONDA_DEFAULT_ENV=/b/host
ARCH=64
PREFIX=/b/host
BUILD_PREFIX=/b/build_env
SYS_PREFIX=/b/build_env
SYS_PYTHON=/b/build_env/bin/python
ROOT=/b/build_env
SUBDIR=linux-64
build_platform=linux-64
SRC_DIR=/b/work
PKG_NAME=hello
PKG_VERSION=1.0
PKG_BUILDNUM=0
PKG_BUILD_STRING=placeholder
PKG_HASH=1234567
RECIPE_DIR=/b/recipe
SHLIB_EXT=.so
PKG_CONFIG_PATH=/b/host/lib/pkgconfig
CMAKE_GENERATOR=Unix Makefiles
LD_RUN_PATH=/b/host/lib
BUILD=x86_64-conda_cos6-linux-gnu
CONDA_BUILD_STATE=BUILD
PIP_NO_BUILD_ISOLATION=False
PIP_NO_DEPENDENCIES=True
PIP_IGNORE_INSTALLED=True
PIP_CACHE_DIR=/b/pip_cache
PIP_NO_INDEX=True
target_platform=linux-64
";
    assert_eq!(case.environment(), expected);
}

#[test]
fn variant_keys_as_conda_build_exports_them() {
    let mut case = case(output(RecipeFormat::V0, vec![]));
    let variant = serde_json::json!({
        "go_compiler": "go-nocgo", "python": "3.11.* *_cpython", "numpy": "1.26", "perl": "5.26.2", "r_base": "4.3.1",
        "MACOSX_DEPLOYMENT_TARGET": "11.3", "path": "x", "ignore_version": ["python", "it's"],
        "pin_run_as_build": {"python": {"max_pin": "x.x"}}, "empty": "", "cdt_name": "cos7",
    });
    case.output.variant = variant.as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    case.check_value("go_compiler", Some("go-nocgo"));
    case.check_value("python", None);
    case.check_value("path", None);
    case.check_value("empty", None);
    case.check_value("PY_VER", Some("3.11"));
    case.check_value("CONDA_PY", Some("311"));
    case.check_value("SP_DIR", Some("/b/host/lib/python3.11/site-packages"));
    case.check_value("PYTHON", None);
    case.check_value("PERL_VER", Some("5.26"));
    case.check_value("CONDA_R", Some("4.3.1"));
    case.check_value("ignore_version", Some("['python', \"it's\"]"));
    case.check_value("pin_run_as_build", Some("OrderedDict({'python': OrderedDict({'max_pin': 'x.x'})})"));
    case.check_value("BUILD", Some("x86_64-conda_cos7-linux-gnu"));
    case.output.requirements.host = vec!["python 3.11.*".to_owned()];
    case.check_value("PYTHON", Some("/b/host/bin/python"));
    case.output.target_platform = Subdir::OsxArm64;
    case.check_value("MACOSX_DEPLOYMENT_TARGET", Some("11.3"));
    case.check_value("OSX_ARCH", Some("arm64"));
    case.check_value("SHLIB_EXT", Some(".dylib"));
    case.check_value("LD_RUN_PATH", None);
    case.check_value("CONDA_BUILD_CROSS_COMPILATION", Some("1"));
    case.output.target_platform = Subdir::Win64;
    case.check_value("LIBRARY_BIN", Some("/b/host/Library/bin"));
    case.check_value("SHLIB_EXT", Some(".dll"));
}

#[test]
fn script_env_and_what_is_passed_on() {
    let mut case = case(output(RecipeFormat::V0, vec![]));
    let set = |name: &str, value: &str| ScriptVariable::Set(name.to_owned(), value.to_owned());
    case.output.build.script_env = vec![
        set("GOFLAGS", "-mod=vendor"),
        set("CGO_CFLAGS", "-I$PREFIX/include ${NONE}x"),
        set("GOBIN", "/elsewhere"),
        set("PATH", "/evil"),
        ScriptVariable::Pass("TOKEN".to_owned()),
        ScriptVariable::Pass("UNSET".to_owned()),
    ];
    let caller = [("TOKEN", "t"), ("HTTPS_PROXY", "http://p"), ("CFLAGS", "-O0"), ("SECRET", "s"), ("LANG", "de_DE")];
    case.settings.caller = caller.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    case.check_value("GOFLAGS", Some("-mod=vendor"));
    case.check_value("CGO_CFLAGS", Some("-I/b/host/include x"));
    case.check_value("GOBIN", Some("/elsewhere"));
    case.check_value("PATH", Some("/b/build_env/bin:/b/host/bin:/usr/bin:/bin:/usr/sbin:/sbin"));
    case.check_value("TOKEN", Some("t"));
    case.check_value("HTTPS_PROXY", Some("http://p"));
    case.check_value("CFLAGS", None);
    case.check_value("SECRET", None);
    case.check_value("LANG", Some("C.UTF-8"));
    let notes = case.with(environment).unwrap().notes;
    assert_eq!(
        notes,
        [
            "`script_env` can't set `PATH`",
            "`TOKEN` is passed to the script, because `script_env` lists it",
            "`script_env` lists `UNSET`, which is not set"
        ]
    );
    case.settings.open_network = false;
    case.check_value("HTTPS_PROXY", None);
    case.settings.conda_build = true;
    case.check_value("HTTPS_PROXY", Some("http://p"));
    case.check_value("CFLAGS", Some("-O0"));
    case.check_value("LANG", Some("de_DE"));
    case.check_value("SECRET", None);
}

#[test]
fn an_output_of_several_knows_its_build_string() {
    let mut case = case(output(RecipeFormat::V0, vec![]));
    case.output.parent =
        Some(PinnedOutput { name: "top".to_owned(), version: "2".to_owned(), build_string: String::new() });
    case.check_value("PKG_HASH", Some("h1111111"));
    case.check_value("PKG_BUILD_STRING", Some("h1111111_0"));
    case.check_value("TOP_PKG_NAME", Some("hello"));
}

#[test]
fn git_sources_are_trusted() {
    let mut case = case(output(RecipeFormat::V0, vec![]));
    case.settings.git_folders = vec!["/b/work".into()];
    case.check_value("GIT_CONFIG_COUNT", Some("2"));
    case.check_value("GIT_CONFIG_KEY_0", Some("safe.directory"));
    case.check_value("GIT_CONFIG_VALUE_0", Some("/b/work"));
    case.check_value("GIT_CONFIG_VALUE_1", Some("/b/work/*"));
}

#[test]
fn what_is_outside_the_source_is_not_found() {
    let mut case = case(output(RecipeFormat::V0, vec![lines(&["true"])]));
    case.check_value("GOWORK", None);
    assert!(!case.generated("build_env_setup.sh").contains("buildvcs"));
    case.settings.outside = Outside { workspace: true, repository: true };
    case.check_value("GOWORK", Some("off"));
    assert!(
        case.generated("build_env_setup.sh").ends_with("export GOFLAGS=\"${GOFLAGS:+$GOFLAGS }-buildvcs=false\"\n")
    );
    case.settings.go_version = Some((1, 13));
    let setup = case.generated("build_env_setup.sh");
    assert!(setup.contains("then export GOFLAGS=-trimpath; fi\n") && !setup.contains("buildvcs"), "{setup}");
}

#[test]
fn v0_scripts() {
    // build.sh
    let inline = case(output(RecipeFormat::V0, vec![lines(&["echo a", "echo b"])]));
    let main = "if [ -z ${CONDA_BUILD+x} ]; then\n    source /b/work/build_env_setup.sh\nfi\necho a\necho b\n";
    assert_eq!(inline.generated("conda_build.sh"), main);
    let prepared = inline.with(prepare).unwrap();
    assert_eq!(prepared[0].args, ["-o", "errexit", "/b/work/conda_build.sh"]);
    assert_eq!(
        prepared[0].env.keys().collect::<Vec<_>>(),
        ["PATH", "HOME", "TMPDIR", "LANG"],
        "CONDA_BUILD must not be set, else the script doesn't set its environment"
    );
    // Both is an error, as in conda-build.
    inline.file("build.sh", "true\n");
    let error = inline.with(prepare).unwrap_err();
    assert_eq!(error.to_string(), "the recipe has a `build.sh` and a `build/script` in `meta.yaml`");

    let file = case(output(RecipeFormat::V0, vec![script(ScriptContent::Default)]));
    assert!(file.with(prepare).unwrap().is_empty(), "no script, nothing to run");
    file.file("build.sh", "#!/bin/bash\r\nset -ex\r\ngo build");
    assert!(file.generated("conda_build.sh").ends_with("fi\n#!/bin/bash\nset -ex\ngo build\n"));

    let mut python = case(output(RecipeFormat::V0, vec![script(ScriptContent::File("a/make it.py".into()))]));
    let error = python.with(prepare).unwrap_err();
    assert!(error.to_string().starts_with("script `a/make it.py` is not in the recipe folder"), "{error}");
    std::fs::create_dir(python.recipe.path().join("a")).unwrap();
    python.file("a/make it.py", "print(1)\n");
    assert!(python.generated("conda_build.sh").ends_with("\nfi\npython '/b/work/make it.py'\n"));
    assert_eq!(python.generated("make it.py"), "print(1)\n");
    python.output.build.scripts[0].interpreter = Some("perl -w".to_owned());
    assert!(python.generated("conda_build.sh").ends_with("\nfi\nperl -w '/b/work/make it.py'\n"));
}

#[test]
fn activation_comes_after_the_exports_and_before_go() {
    let mut case = case(output(RecipeFormat::V0, vec![lines(&["true"])]));
    case.activated = vec![
        ActivatedEnv { prefix: "/b/host".into(), ..ActivatedEnv::default() },
        ActivatedEnv {
            prefix: "/b/build_env".into(),
            variables: [("GOOS".to_owned(), "linux".to_owned())].into_iter().collect(),
            scripts: vec!["etc/conda/activate.d/z61.sh".to_owned()],
        },
    ];
    let setup = case.generated("build_env_setup.sh");
    let order = [
        "export PREFIX=/b/host\n",
        "export target_platform=linux-64\n",
        "umask 022\n",
        "export CONDA_PREFIX=/b/host\n",
        "export CONDA_PREFIX=/b/build_env\n",
        "export GOOS=linux\n",
        ". /b/build_env/etc/conda/activate.d/z61.sh\n",
        "export GOOS=\"${GOOS:-linux}\" GOARCH=\"${GOARCH:-amd64}\"\n",
        "if [ -z \"${GOFLAGS-}\" ]; then export GOFLAGS='-modcacherw -buildmode=pie -trimpath'; fi\n",
    ];
    let places: Vec<usize> =
        order.iter().map(|text| setup.find(text).unwrap_or_else(|| panic!("{text}\n{setup}"))).collect();
    assert!(places.is_sorted(), "{places:?}\n{setup}");
}

#[test]
fn the_whole_environment_of_v1() {
    let mut case = case(output(RecipeFormat::V1, vec![lines(&["true"])]));
    case.output.hash = Some("1111111".to_owned());
    case.output.variant.insert("c_stdlib-version".to_owned(), 2.17.into());
    case.output.variant.insert("python".to_owned(), "3.12".into());
    let text = case.environment();
    let (_, documented) = text.split_once("PYTHONNOUSERSITE").unwrap();
    let expected = "=1
ARCH=64
CONDA_DEFAULT_ENV=/b/host
PREFIX=/b/host
BUILD_PREFIX=/b/build_env
RECIPE_DIR=/b/recipe
SRC_DIR=/b/work
BUILD_DIR=/b
PIP_NO_BUILD_ISOLATION=False
PIP_NO_DEPENDENCIES=True
PIP_IGNORE_INSTALLED=True
PIP_CACHE_DIR=/b/pip_cache
PIP_NO_INDEX=True
PKG_NAME=hello
PKG_VERSION=1.0
PKG_BUILDNUM=0
PKG_BUILD_STRING=h1111111_0
PKG_HASH=h1111111
CONDA_BUILD_CROSS_COMPILATION=0
SUBDIR=linux-64
build_platform=linux-64
target_platform=linux-64
host_platform=linux-64
CONDA_BUILD_STATE=BUILD
CONDA_BUILD=1
PYTHON=/b/host/bin/python
PY3K=1
PY_VER=3.12
STDLIB_DIR=/b/host/lib/python3.12
SP_DIR=/b/host/lib/python3.12/site-packages
SHLIB_EXT=.so
PKG_CONFIG_PATH=/b/host/lib/pkgconfig
CMAKE_GENERATOR=Unix Makefiles
LD_RUN_PATH=/b/host/lib
BUILD=x86_64-conda_cos6-linux-gnu
LC_ALL=C.UTF-8
USER=gonda
SHELL=/bin/bash
EDITOR=/bin/false
TERM=xterm-256color
c_stdlib_version=2.17
";
    assert_eq!(documented, expected);
}

#[test]
fn v1_scripts() {
    let mut case = case(output(RecipeFormat::V1, vec![lines(&["echo ${{ PREFIX }}", "", "echo ${{ A }}"])]));
    case.output.build.scripts[0].env.insert("A".to_owned(), "x y".to_owned());
    let expected = "set -e
if [ -z ${CONDA_BUILD+x} ]; then
    source /b/work/build_env.sh
fi
set -x
(
echo /b/host

echo x y
)
";
    assert_eq!(case.generated("conda_build.sh"), expected);
    assert!(case.generated("build_env.sh").contains("export A='x y'\n"));

    // A folder, an interpreter, a file.
    case.output.build.scripts[0].cwd = Some("share".into());
    case.output.build.scripts[0].interpreter = Some("nu".to_owned());
    let text = case.generated("conda_build.sh");
    assert!(text.ends_with("(\ncd /b/host/share\ncommand -v nu > /dev/null || { echo 'gonda: the interpreter `nu` is not in the build environment; add it to the build requirements' >&2; exit 127; }\nnu /b/work/conda_build_script.nu\n)\n"), "{text}");
    assert_eq!(case.generated("conda_build_script.nu"), "echo /b/host\n\necho x y");

    case.output.build.scripts = vec![script(ScriptContent::File("make".into()))];
    let error = case.with(prepare).unwrap_err();
    assert!(error.to_string().starts_with("script `make` is not in the recipe folder"), "{error}");
    case.file("make.sh", "echo ${{ PREFIX }}\n");
    assert!(case.generated("conda_build.sh").ends_with("(\necho ${{ PREFIX }}\n)\n"), "files are not rendered");

    case.output.build.scripts = vec![script(ScriptContent::Default)];
    assert!(case.with(prepare).unwrap().is_empty());
    case.output.build.scripts[0].interpreter = Some("nosuch".to_owned());
    case.file("build.sh", "true\n");
    assert!(case.with(prepare).is_err());
}

#[test]
fn v1_steps_have_scopes_of_their_own() {
    let mut case = case(output(RecipeFormat::V1, vec![lines(&["echo $A"]), lines(&["${{ A }}"]), lines(&[])]));
    case.output.build.scripts[0].env.insert("A".to_owned(), "1".to_owned());
    let text = case.generated("conda_build.sh");
    assert!(text.ends_with("set -x\n# step 0\n(\nexport A=1\necho $A\n)\n# step 1\n(\n${{ A }}\n)\n"), "{text}");
    assert!(!case.generated("build_env.sh").contains("export A="));
}

#[test]
fn secrets_are_not_written_down() {
    let mut case = case(output(RecipeFormat::V1, vec![lines(&["true"])]));
    case.output.build.scripts[0].secrets = vec!["TOKEN".to_owned(), "NONE".to_owned()];
    case.settings.caller.insert("TOKEN".to_owned(), "s3cret".to_owned());
    let prepared = case.with(prepare).unwrap().remove(0);
    assert!(prepared.files.iter().all(|(_, text)| !text.contains("s3cret")));
    assert_eq!(prepared.env["TOKEN"], "s3cret");
    let command = prepared.command(&paths());
    assert_eq!(command.hidden, ["s3cret"]);
    assert_eq!(prepared.environment.notes, ["the secret `NONE` that the script asks for is not set"]);
}

/// Text for cmd.exe: not run here, but looked at.
#[test]
fn batch_files() {
    let mut v0 = case(output(RecipeFormat::V0, vec![script(ScriptContent::Default)]));
    v0.output.build_platform = Subdir::Win64;
    v0.output.target_platform = Subdir::Win64;
    v0.file("bld.bat", "go build -o %LIBRARY_BIN%\\x.exe\nif errorlevel 1 exit 1\n");
    let main = "IF \"%CONDA_BUILD%\" == \"\" (\r\n    call \"/b/work/build_env_setup.bat\"\r\n)\r\n\
                IF %ERRORLEVEL% NEQ 0 exit /B 1\r\n\
                go build -o %LIBRARY_BIN%\\x.exe\r\nif errorlevel 1 exit 1\r\n\r\n";
    assert_eq!(v0.generated("conda_build.bat"), main);
    let setup = v0.generated("build_env_setup.bat");
    assert!(setup.starts_with("@echo on\r\nset \"GOPATH=/b/work/gopath\"\r\n"), "{setup}");
    assert!(setup.contains("set \"INCLUDE=%LIBRARY_INC%;%INCLUDE%\"\r\n"));
    assert!(setup.contains("if \"%GOOS%\" == \"\" set \"GOOS=windows\"\r\n"));
    assert!(!setup.replace("\r\n", "").contains('\n'));

    let mut v1 = case(output(RecipeFormat::V1, vec![lines(&["go build", "dir"])]));
    v1.output.build_platform = Subdir::Win64;
    v1.output.target_platform = Subdir::Win64;
    let expected = "go build\r\nif %errorlevel% neq 0 exit /b %errorlevel%\r\n\
                    dir\r\nif %errorlevel% neq 0 exit /b %errorlevel%\r\n";
    assert_eq!(v1.generated("conda_build_script.bat"), expected);
    let main = v1.generated("conda_build.bat");
    let expected = "setlocal\r\npushd \".\" || exit /b 1\r\n\
                    \"%ComSpec%\" /d /c call \"/b/work/conda_build_script.bat\"\r\n\
                    set \"GONDA_SECTION=%errorlevel%\"\r\npopd\r\n\
                    endlocal & if %GONDA_SECTION% neq 0 exit /b %GONDA_SECTION%\r\n";
    assert!(main.ends_with(expected), "{main}");
}

#[test]
fn programs_of_the_machine_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let disk = crate::isolation::DiskPaths {
        dir: folder.path().to_owned(),
        build_prefix: folder.path().join("build_env"),
        prefix: folder.path().join("host"),
        src_dir: folder.path().join("work"),
        home: folder.path().join("home"),
        tmp: folder.path().join("tmp"),
        recipe_dir: folder.path().join("recipe"),
        go_cache: folder.path().join("gocache"),
        own: folder.path().join("gonda"),
    };
    std::fs::create_dir_all(disk.build_prefix.join("bin")).unwrap();
    for name in ["git", "cc", "gcc", "clang", "c++", "g++", "clang++", "go"] {
        // A link that points to where only the script sees something.
        std::os::unix::fs::symlink("/opt/gonda/b/nowhere", disk.build_prefix.join("bin").join(name)).unwrap();
    }
    assert_eq!(programs_of_the_system(&disk, false), []);
    let program = SystemProgram { name: "git".to_owned(), path: Path::new("/usr/bin/git").to_owned() };
    assert_eq!(program.describe(), "`git` is not in the build environment: scripts get the machine's `/usr/bin/git`");
}

#[test]
fn certificates_can_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "").unwrap();
    let mut settings = Settings::default();
    settings.caller.insert("SSL_CERT_FILE".to_owned(), file.display().to_string());
    settings.caller.insert("REQUESTS_CA_BUNDLE".to_owned(), "/etc/hosts".to_owned());
    settings.caller.insert("CURL_CA_BUNDLE".to_owned(), "relative".to_owned());
    let binds = passed_files(&settings);
    assert_eq!(binds.len(), 1);
    assert_eq!(binds[0].seen, file);
    settings.open_network = false;
    assert_eq!(passed_files(&settings), []);
}

/// Interpreters that the host environment has, and what conda-build says of them (environ.py `lua_vars`, `r_vars`).
#[test]
fn languages_of_the_host_environment() {
    let mut case = case(output(RecipeFormat::V0, vec![lines(&["true"])]));
    case.output.variant.insert("lua".to_owned(), "2.1".into());
    case.output.requirements.build = vec!["python 3.11".to_owned(), "lua".to_owned()];
    case.check_value("PYTHON", Some("/b/host/bin/python"));
    case.check_value("LUA", Some("/b/host/bin/luajit"));
    case.check_value("LUA_INCLUDE_DIR", Some("/b/host/include"));
    // With a host section, that one counts.
    case.output.requirements.host = vec!["lua".to_owned(), "r".to_owned()];
    case.check_value("PYTHON", None);
    case.check_value("R", None);
    case.output.requirements.host = vec!["r-base >=4".to_owned()];
    case.check_value("R", Some("/b/host/bin/R"));
    case.check_value("R_USER", Some("/b/host/Libs/R"));
    case.check_value("LUA", None);
    // A recipe of such a package itself.
    case.output.name = "python".to_owned();
    case.check_value("PYTHON", Some("/b/host/bin/python"));
}

/// What belongs to the machine that builds, and what to the target (environ.py `conda_build_vars`, `linux_vars`, `osx_vars`).
#[test]
fn both_platforms_of_a_cross_build() {
    let check = |build: Subdir, target: Subdir, expected: [Option<&str>; 6]| {
        let mut case = case(output(RecipeFormat::V0, vec![lines(&["true"])]));
        (case.output.build_platform, case.output.target_platform) = (build, target);
        case.output.variant.insert("target_platform".to_owned(), target.to_string().into());
        let names =
            ["build_platform", "SUBDIR", "ARCH", "BUILD", "CONDA_BUILD_CROSS_COMPILATION", "MACOSX_DEPLOYMENT_TARGET"];
        for (name, expected) in names.into_iter().zip(expected) {
            case.check_value(name, expected);
        }
        case.check_value("target_platform", Some(target.as_str()));
    };
    let cos6 = Some("x86_64-conda_cos6-linux-gnu");
    check(Subdir::Linux64, Subdir::Linux64, [Some("linux-64"), Some("linux-64"), Some("64"), cos6, None, None]);
    let (linux, yes) = (Some("linux-64"), Some("1"));
    check(Subdir::Linux64, Subdir::LinuxAarch64, [linux, Some("linux-aarch64"), Some("aarch64"), cos6, yes, None]);
    let cos7 = Some("aarch64-conda_cos7-linux-gnu");
    check(
        Subdir::LinuxAarch64,
        Subdir::LinuxPpc64le,
        [Some("linux-aarch64"), Some("linux-ppc64le"), Some("ppc64le"), cos7, yes, None],
    );
    let arm_mac = Some("arm64-conda_cos6-linux-gnu");
    check(Subdir::OsxArm64, Subdir::Linux64, [Some("osx-arm64"), Some("linux-64"), Some("64"), arm_mac, yes, None]);
    let darwin = Some("x86_64-apple-darwin13.4.0");
    check(Subdir::Linux64, Subdir::OsxArm64, [linux, Some("osx-arm64"), Some("arm64"), darwin, yes, Some("11.0")]);
    check(Subdir::Linux64, Subdir::Osx64, [linux, Some("osx-64"), Some("64"), darwin, yes, Some("10.9")]);
    let windows = Some("amd64-pc-windows-19.0.0");
    check(Subdir::Linux64, Subdir::Win64, [linux, Some("win-64"), Some("64"), windows, yes, None]);
    check(Subdir::Linux64, Subdir::WinArm64, [linux, Some("win-arm64"), Some("arm64"), windows, yes, None]);
}

/// What a variant may say, as `set_from_os_or_variant` lets it, and what the caller's features become (features.py).
#[test]
fn variants_and_features_have_their_say() {
    let mut case = case(output(RecipeFormat::V0, vec![lines(&["true"])]));
    for (key, value) in [("CPU_COUNT", "7"), ("MACOSX_DEPLOYMENT_TARGET", "12.3"), ("QEMU_LD_PREFIX", "/q")] {
        case.output.variant.insert(key.to_owned(), value.into());
    }
    case.settings.caller = [("FEATURE_NOMKL", "1"), ("FEATURE_OPT", "yes")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    case.output.target_platform = Subdir::Osx64;
    case.check_value("CPU_COUNT", Some("7"));
    case.check_value("MACOSX_DEPLOYMENT_TARGET", Some("12.3"));
    case.check_value("QEMU_LD_PREFIX", Some("/q"));
    case.check_value("NOMKL", None);
    case.settings.conda_build = true;
    case.check_value("NOMKL", Some("1"));
    case.check_value("OPT", None);
}
