//! The documented variables of a script: conda-build's (`environ.py`, `build.py` of 26.7) for v0, rattler-build's
//! (`env_vars.rs` of rattler_build_core) for v1.

use std::path::Path;

use gonda_recipe::{Noarch, Output, ScriptVariable};
use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use serde_json::Value;

use super::{Environment, Job, golang, path_entries};
use crate::golang::{Correction, correct_go};
use crate::host;
use crate::isolation::paths::TOOLS;
use crate::shell::{expand, is_name};

/// Passed on where scripts reach the network.
const PROXIES: &[&str] =
    &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"];
/// Passed on where scripts reach the network; they name files or folders.
pub(super) const CERTIFICATES: &[&str] =
    &["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];
/// What conda-build passes on besides (HOME and PATH are dealt with apart).
const CONDA_BUILD_PASSES: &[&str] = &[
    "LANG",
    "LC_ALL",
    "MAKEFLAGS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "DISPLAY",
    "QEMU_LD_PREFIX",
    "QEMU_UNAME",
    "DEJAGNU",
];
/// Variant keys that conda-build doesn't export, in upper case.
const CONDA_BUILD_LANGUAGES: &[&str] = &["PERL", "LUA", "R", "NUMPY", "PYTHON"];
/// The same for rattler-build.
const RATTLER_BUILD_LANGUAGES: &[&str] = &["PERL", "LUA", "R", "NUMPY", "PYTHON", "RUBY", "NODEJS"];

/// What a recipe can't set: conda-build sets these after `script_env`.
const RESERVED: &[&str] = &[
    "PATH",
    "HOME",
    "PKG_NAME",
    "PKG_VERSION",
    "PKG_BUILDNUM",
    "PKG_BUILD_STRING",
    "PKG_HASH",
    "RECIPE_DIR",
    "SHLIB_EXT",
];

/// Variables in the making.
struct Block<'a> {
    job: &'a Job<'a>,
    map: IndexMap<String, String>,
}

impl Block<'_> {
    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.map.insert(name.to_owned(), value.into());
    }

    fn path(&mut self, name: &str, value: &Path) {
        self.set(name, value.display().to_string());
    }

    /// The variant's value, else this one: conda-build lets a variant key set some of its variables.
    fn set_or_variant(&mut self, name: &str, value: &str) {
        let of_variant = self.job.output.variant.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
        self.set(name, of_variant.unwrap_or(value));
    }

    fn pass(&mut self, names: &[&str]) {
        for name in names {
            if let Some(value) = self.job.settings.caller.get(*name).filter(|value| !value.is_empty()) {
                self.map.insert((*name).to_owned(), value.clone());
            }
        }
    }
}

/// conda-build's variables.
pub(super) fn conda_build(job: &Job<'_>) -> Environment {
    let (output, paths) = (job.output, job.paths);
    let mut block = Block { job, map: golang::defaults(paths, job.settings) };
    common(&mut block);
    block.set("CONDA_BUILD", "1");
    block.set("PYTHONNOUSERSITE", "1");
    block.path("CONDA_DEFAULT_ENV", &paths.prefix);
    block.set("ARCH", arch(output.target_platform));
    block.path("PREFIX", &paths.prefix);
    block.path("BUILD_PREFIX", &paths.build_prefix);
    // There is no base environment; what a script could want of it is in the build environment.
    block.path("SYS_PREFIX", &paths.build_prefix);
    block.path("SYS_PYTHON", &paths.build_prefix.join("bin").join("python"));
    block.path("ROOT", &paths.build_prefix);
    block.set("SUBDIR", output.target_platform.to_string());
    block.set("build_platform", output.build_platform.to_string());
    block.path("SRC_DIR", &paths.src_dir);
    if output.target_platform != output.build_platform {
        block.set("CONDA_BUILD_CROSS_COMPILATION", "1");
    }
    conda_build_languages(&mut block);
    block.map.extend(job.settings.source_variables.clone());
    package(&mut block);
    // conda-build writes the top-level script before the build string is known.
    if output.parent.is_none() {
        block.set("PKG_BUILD_STRING", "placeholder");
        block.set("PKG_HASH", "1234567");
    }
    if let Some(parent) = &output.parent {
        // conda-build means the parent, and gives the output's own name: recipes are written against that.
        let _ = parent;
        block.set("TOP_PKG_NAME", output.name.clone());
        block.set("TOP_PKG_VERSION", output.version.clone());
        block.set("MSYS2_PATH_TYPE", "inherit");
        block.set("CHERE_INVOKING", "1");
    }
    block.path("RECIPE_DIR", &paths.recipe_dir);
    platform(&mut block);
    block.set("CONDA_BUILD_STATE", "BUILD");
    pip(&mut block);
    // `python_version_independent`.
    if output.noarch == Some(Noarch::Python) {
        block.set("PYTHONDONTWRITEBYTECODE", "True");
    }
    // `os_vars` lets a variant say these, beside the caller.
    for name in ["CPU_COUNT", "LANG"] {
        let default = block.map.get(name).cloned().unwrap_or_default();
        block.set_or_variant(name, &default);
    }
    if job.settings.conda_build {
        features(&mut block);
    }
    let mut notes = Vec::new();
    script_env(&mut block, &mut notes);
    for (key, value) in output.variant.iter() {
        let upper = key.to_uppercase();
        if !block.map.contains_key(&upper) && !CONDA_BUILD_LANGUAGES.contains(&upper.as_str()) {
            block.set(key, python_text(value));
        }
    }
    finish(block, notes, Vec::new())
}

/// rattler-build's variables.
pub(super) fn rattler_build(job: &Job<'_>) -> Environment {
    let (output, paths) = (job.output, job.paths);
    let mut block = Block { job, map: golang::defaults(paths, job.settings) };
    common(&mut block);
    block.set("PYTHONNOUSERSITE", "1");
    block.set("ARCH", arch(output.target_platform));
    block.path("CONDA_DEFAULT_ENV", &paths.prefix);
    block.path("PREFIX", &paths.prefix);
    block.path("BUILD_PREFIX", &paths.build_prefix);
    block.path("RECIPE_DIR", &paths.recipe_dir);
    block.path("SRC_DIR", &paths.src_dir);
    block.path("BUILD_DIR", paths.src_dir.parent().unwrap_or(&paths.src_dir));
    pip(&mut block);
    if output.noarch.is_some() {
        block.set("PYTHONDONTWRITEBYTECODE", "1");
    }
    package(&mut block);
    let crossing = output.target_platform != output.build_platform;
    block.set("CONDA_BUILD_CROSS_COMPILATION", if crossing { "1" } else { "0" });
    let subdir = output.subdir();
    block.set("SUBDIR", subdir.clone());
    block.set("build_platform", output.build_platform.to_string());
    block.set("target_platform", subdir);
    block.set("host_platform", output.target_platform.to_string());
    block.set("CONDA_BUILD_STATE", "BUILD");
    block.set("CONDA_BUILD", "1");
    rattler_build_languages(&mut block);
    platform(&mut block);
    if !cfg!(windows) {
        block.set("LC_ALL", "C.UTF-8");
        block.set("USER", "gonda");
        block.set("SHELL", "/bin/bash");
        block.set("EDITOR", "/bin/false");
        block.set("TERM", "xterm-256color");
    }
    for (key, value) in output.variant.iter() {
        if !RATTLER_BUILD_LANGUAGES.contains(&key.to_uppercase().as_str()) {
            block.set(&key.replace(['-', '.'], "_"), plain_text(value));
        }
    }
    let mut notes = Vec::new();
    script_env(&mut block, &mut notes);
    let mut hidden = Vec::new();
    for script in &output.build.scripts {
        if output.build.scripts.len() == 1 {
            block.map.extend(script.env.clone());
        }
        for name in &script.secrets {
            match job.settings.caller.get(name) {
                Some(value) => {
                    block.set(name, value.clone());
                    hidden.push(value.clone());
                }
                None => notes.push(format!("the secret `{name}` that the script asks for is not set")),
            }
        }
    }
    finish(block, notes, hidden)
}

/// What gonda itself adds, for either format.
fn common(block: &mut Block<'_>) {
    let (paths, settings) = (block.job.paths, block.job.settings);
    block.set("LANG", "C.UTF-8");
    block.set("TZ", "UTC");
    block.set("CPU_COUNT", settings.cpu_count.to_string());
    block.set("SOURCE_DATE_EPOCH", settings.source_date_epoch.to_string());
    block.path("HOME", &paths.home);
    block.path("TMPDIR", &paths.tmp);
    if cfg!(windows) {
        block.path("TMP", &paths.tmp);
        block.path("TEMP", &paths.tmp);
        block.path("USERPROFILE", &paths.home);
        block.path("APPDATA", &paths.home.join("AppData").join("Roaming"));
        block.path("LOCALAPPDATA", &paths.home.join("AppData").join("Local"));
        for (name, value) in host::system_variables() {
            block.set(&name, value);
        }
    }
    let output = block.job.output;
    // A batch file meets the order of Windows on any machine: some know it, or spoil the first entry and never notice.
    let windows = output.target_platform.is_windows();
    let mut path = path_entries(&paths.build_prefix, windows || cfg!(windows));
    if paths.prefix != paths.build_prefix {
        path.extend(path_entries(&paths.prefix, windows));
    }
    path.extend(paths.tools.clone());
    path.extend(paths.own.as_ref().map(|own| own.join(TOOLS)));
    path.extend(host::system_path());
    let separator = host::PATH_SEPARATOR.to_string();
    let mut path: Vec<String> = path.iter().map(|folder| folder.display().to_string()).collect();
    if settings.conda_build
        && let Some(caller) = settings.caller.get("PATH").filter(|caller| !caller.is_empty())
    {
        path.push(caller.clone());
    }
    block.set("PATH", path.join(&separator));
    // git asks nobody, reads nobody's settings, and doesn't look above the source for a repository.
    block.set("GIT_TERMINAL_PROMPT", "0");
    block.set("GIT_CONFIG_NOSYSTEM", "1");
    if let Some(above) = paths.src_dir.parent() {
        block.path("GIT_CEILING_DIRECTORIES", above);
    }
    let trusted = settings.git_folders.iter().flat_map(|folder| {
        let folder = folder.display().to_string();
        [folder.clone(), format!("{folder}/*")]
    });
    let trusted: Vec<String> = trusted.collect();
    if !trusted.is_empty() {
        block.set("GIT_CONFIG_COUNT", trusted.len().to_string());
        for (index, folder) in trusted.into_iter().enumerate() {
            block.set(&format!("GIT_CONFIG_KEY_{index}"), "safe.directory");
            block.set(&format!("GIT_CONFIG_VALUE_{index}"), folder);
        }
    }
    if settings.open_network {
        block.pass(PROXIES);
        block.pass(CERTIFICATES);
    }
    if settings.conda_build {
        block.pass(CONDA_BUILD_PASSES);
    }
}

/// `FEATURE_NOMKL=1` of the caller is `NOMKL=1` for the script (features.py).
fn features(block: &mut Block<'_>) {
    for feature in ["DEBUG", "NOMKL", "OPT"] {
        let value = block.job.settings.caller.get(&format!("FEATURE_{feature}"));
        if let Some(value) = value.filter(|value| *value == "0" || *value == "1").cloned() {
            block.set(feature, value);
        }
    }
}

/// `PKG_…`.
fn package(block: &mut Block<'_>) {
    let output = block.job.output;
    block.set("PKG_NAME", output.name.clone());
    block.set("PKG_VERSION", output.version.clone());
    block.set("PKG_BUILDNUM", output.build_number.to_string());
    block.set("PKG_BUILD_STRING", output.build_string.clone());
    let hash = output.hash.clone().unwrap_or_default();
    block.set("PKG_HASH", if hash.is_empty() || hash.starts_with('h') { hash } else { format!("h{hash}") });
}

fn pip(block: &mut Block<'_>) {
    let above = block.job.paths.src_dir.parent().unwrap_or(&block.job.paths.src_dir);
    let cache = above.join("pip_cache");
    block.set("PIP_NO_BUILD_ISOLATION", "False");
    block.set("PIP_NO_DEPENDENCIES", "True");
    block.set("PIP_IGNORE_INSTALLED", "True");
    block.path("PIP_CACHE_DIR", &cache);
    block.set("PIP_NO_INDEX", "True");
}

/// What depends on the target's and the build machine's system.
fn platform(block: &mut Block<'_>) {
    let job = block.job;
    let (target, build) = (job.output.target_platform, job.output.build_platform);
    let prefix = &job.paths.prefix;
    let extension = if target.is_windows() {
        ".dll"
    } else if target.is_osx() {
        ".dylib"
    } else {
        ".so"
    };
    block.set("SHLIB_EXT", extension);
    if !build.is_windows() {
        block.path("PKG_CONFIG_PATH", &prefix.join("lib").join("pkgconfig"));
        block.set_or_variant("CMAKE_GENERATOR", "Unix Makefiles");
    }
    let build_arch = build.to_string().rsplit_once('-').map(|(_, arch)| arch.to_owned()).unwrap_or_default();
    if target.is_linux() {
        let arch = match build_arch.as_str() {
            "64" => "x86_64",
            "32" => "i686",
            "ppc64le" => "powerpc64le",
            other => other,
        };
        // `linux_vars`: CentOS 7 for the machines that CentOS 6 never ran on.
        let old = !["powerpc", "aarch64", "s390x"].iter().any(|name| arch.starts_with(name));
        let distribution = job.output.variant.get("cdt_name").and_then(Value::as_str);
        let distribution = distribution.unwrap_or(if old { "cos6" } else { "cos7" });
        block.set_or_variant("LD_RUN_PATH", &prefix.join("lib").display().to_string());
        block.set_or_variant("BUILD", &format!("{arch}-conda_{distribution}-linux-gnu"));
    } else if target.is_osx() {
        let arm = target == Subdir::OsxArm64;
        block.set_or_variant("OSX_ARCH", if arm { "arm64" } else { "x86_64" });
        block.set_or_variant("MACOSX_DEPLOYMENT_TARGET", if arm { "11.0" } else { "10.9" });
        let triple = if build_arch == "arm64" { "arm64-apple-darwin20.0.0" } else { "x86_64-apple-darwin13.4.0" };
        block.set_or_variant("BUILD", triple);
    } else if target.is_windows() {
        let library = prefix.join("Library");
        block.path("SCRIPTS", &prefix.join("Scripts"));
        block.path("LIBRARY_PREFIX", &library);
        block.path("LIBRARY_BIN", &library.join("bin"));
        block.path("LIBRARY_INC", &library.join("include"));
        block.path("LIBRARY_LIB", &library.join("lib"));
        block.set("CYGWIN_PREFIX", cygwin(prefix));
        let arch = if target == Subdir::Win32 { "i386" } else { "amd64" };
        block.set_or_variant("BUILD", &format!("{arch}-pc-windows-19.0.0"));
    }
}

/// `C:\a\b` as cygwin has it; a unix path is on the drive `C:`, as batch files see it.
fn cygwin(prefix: &Path) -> String {
    let text = prefix.display().to_string();
    match text.split_once(':') {
        Some((drive, rest)) if drive.len() == 1 => {
            format!("/cygdrive/{}{}", drive.to_lowercase(), rest.replace('\\', "/"))
        }
        _ => format!("/cygdrive/c{text}"),
    }
}

/// The first `parts` numbers of the version that a variant key has.
fn version(output: &Output, key: &str, parts: usize) -> Option<String> {
    let text = plain_text(output.variant.get(key)?);
    let version = text.split_whitespace().next()?.trim_start_matches(['=', '>', '<', '~', '!']);
    let parts: Vec<&str> = version.split('.').take(parts).collect();
    let numbers = parts.first()?.chars().all(|c| c.is_ascii_digit());
    (numbers && !version.is_empty()).then(|| parts.join("."))
}

/// Whether the environment that scripts link against asks for a package.
fn depends_on(output: &Output, names: &[&str]) -> bool {
    let list = if output.requirements.host.is_empty() { &output.requirements.build } else { &output.requirements.host };
    list.iter().any(|requirement| {
        let name = requirement.split(|c: char| c.is_whitespace() || "=<>!~".contains(c)).next();
        name.is_some_and(|name| names.contains(&name))
    })
}

fn python_folders(block: &mut Block<'_>, version: &str) {
    let prefix = &block.job.paths.prefix;
    let library = if block.job.output.target_platform.is_windows() {
        prefix.join("Lib")
    } else {
        prefix.join("lib").join(format!("python{version}"))
    };
    block.set("PY3K", if version.starts_with("2.") { "0" } else { "1" });
    block.set("PY_VER", version);
    block.path("STDLIB_DIR", &library);
    block.path("SP_DIR", &library.join("site-packages"));
}

fn interpreter(prefix: &Path, windows: bool, unix_name: &str, windows_name: &str) -> String {
    let path = if windows { prefix.join(windows_name) } else { prefix.join("bin").join(unix_name) };
    path.display().to_string()
}

fn conda_build_languages(block: &mut Block<'_>) {
    let (output, prefix) = (block.job.output, &block.job.paths.prefix);
    let windows = output.target_platform.is_windows();
    if let Some(python) = version(output, "python", 2) {
        block.set("CONDA_PY", python.replace('.', ""));
        python_folders(block, &python);
    }
    if depends_on(output, &["python"]) || output.name == "python" {
        block.set("PYTHON", interpreter(prefix, windows, "python", "python.exe"));
    }
    if let Some(numpy) = version(output, "numpy", 2) {
        block.set("CONDA_NPY", numpy.replace('.', ""));
        block.set("NPY_VER", numpy);
        block.set("NPY_DISTUTILS_APPEND_FLAGS", "1");
    }
    for (key, name, parts) in [("perl", "PERL", 2), ("lua", "LUA", 2), ("r_base", "R", 3)] {
        if let Some(version) = version(output, key, parts) {
            block.set(&format!("{name}_VER"), version.clone());
            block.set(&format!("CONDA_{name}"), version);
        }
    }
    if depends_on(output, &["perl"]) || output.name == "perl" {
        block.set("PERL", interpreter(prefix, windows, "perl", "Library\\bin\\perl.exe"));
    }
    if depends_on(output, &["lua"]) {
        // `Config._get_lua`: version 2 is LuaJIT's.
        let jit = output.variant.get("lua").is_some_and(|version| plain_text(version).starts_with('2'));
        let (unix, win) = if jit { ("luajit", "luajit.exe") } else { ("lua", "lua.exe") };
        block.set("LUA", interpreter(prefix, windows, unix, &format!("Library\\bin\\{win}")));
        block.path("LUA_INCLUDE_DIR", &prefix.join("include"));
    }
    const R_PACKAGES: &[&str] = &["r-base", "mro-base", "r-impl"];
    if depends_on(output, R_PACKAGES) || R_PACKAGES.contains(&output.name.as_str()) {
        block.set("R", interpreter(prefix, windows, "R", "Scripts\\R.exe"));
        block.path("R_USER", &prefix.join("Libs").join("R"));
    }
}

fn rattler_build_languages(block: &mut Block<'_>) {
    let (output, prefix) = (block.job.output, &block.job.paths.prefix);
    let windows = output.target_platform.is_windows();
    block.set("PYTHON", interpreter(prefix, windows, "python", "python.exe"));
    if let Some(python) = version(output, "python", 2) {
        python_folders(block, &python);
    }
    if let Some(numpy) = version(output, "numpy", 2) {
        block.set("NPY_VER", numpy);
        block.set("NPY_DISTUTILS_APPEND_FLAGS", "1");
    }
    if let Some(r) = output.variant.get("r_base").map(plain_text) {
        block.set("R_VER", r);
        block.set("R", interpreter(prefix, windows, "R", "Scripts\\R.exe"));
        block.path("R_USER", &prefix.join("Libs").join("R"));
    }
}

/// `script_env`. conda-build writes `export NAME="value"` into a shell script, so a value may name other variables.
fn script_env(block: &mut Block<'_>, notes: &mut Vec<String>) {
    for variable in &block.job.output.build.script_env {
        match variable {
            ScriptVariable::Set(name, _) | ScriptVariable::Pass(name) if RESERVED.contains(&name.as_str()) => {
                notes.push(format!("`script_env` can't set `{name}`"));
            }
            ScriptVariable::Set(name, value) => {
                let value = expand(value, |name| block.map.get(name).map(String::as_str));
                block.set(name, value);
            }
            ScriptVariable::Pass(name) => match block.job.settings.caller.get(name) {
                Some(value) => {
                    let value = value.clone();
                    notes.push(format!("`{name}` is passed to the script, because `script_env` lists it"));
                    block.set(name, value);
                }
                None => notes.push(format!("`script_env` lists `{name}`, which is not set")),
            },
        }
    }
}

fn finish(block: Block<'_>, mut notes: Vec<String>, hidden: Vec<String>) -> Environment {
    let mut variables = block.map;
    if let (false, Some(proxy)) = (block.job.settings.open_network, &block.job.settings.go_proxy) {
        let Correction { set, note } = correct_go(proxy, |name| variables.get(name).cloned());
        variables.extend(set.into_iter().map(|(name, value)| (name.to_owned(), value)));
        notes.extend(note);
    }
    // conda-build doesn't export empty values, and no shell can hold the other names.
    variables.retain(|name, value| !value.is_empty() && is_name(name));
    Environment { variables, notes, hidden }
}

/// `64` of `linux-64`.
fn arch(platform: Subdir) -> String {
    let text = platform.to_string();
    text.rsplit_once('-').map_or_else(|| text.clone(), |(_, arch)| arch.to_owned())
}

/// A value as text, others as JSON.
fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A value as Python prints it, for conda-build exports lists and maps so.
fn python_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => python_repr(other),
    }
}

fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.contains('\'') && !text.contains('"') => format!("\"{text}\""),
        Value::String(text) => format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
        Value::Array(list) => format!("[{}]", list.iter().map(python_repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{}: {}", python_repr(&Value::String(key.clone())), python_repr(value)));
            format!("OrderedDict({{{}}})", entries.collect::<Vec<_>>().join(", "))
        }
    }
}
