//! The names and functions that a recipe's template sees (jinja_context.py `context_processor`, environ.py `get_dict`).

use std::cell::Cell;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::data;
use super::error::at_line;
use super::jinja::{Cause, Context, ContextFunction, TemplateError};
use super::meta::{Contents, Meta};
use super::modules;
use super::paths;
use super::python::{Args, Dict, ErrorKind, Key, PyError, PyResult, Value, from_json};
use super::selector::Names;
use super::session::{Namespace, Session, Solving};
use super::spec;
use super::template_functions;
use super::variant::native_compiler;
use super::version::apply_pin;

/// Names of [`JinjaContext::environment`], for `environ` as a mapping.
const ENVIRONMENT: &[&str] = &[
    "CONDA_BUILD",
    "PYTHONNOUSERSITE",
    "CONDA_DEFAULT_ENV",
    "ARCH",
    "PREFIX",
    "BUILD_PREFIX",
    "SYS_PREFIX",
    "SYS_PYTHON",
    "SUBDIR",
    "build_platform",
    "SRC_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "DIRTY",
    "ROOT",
    "CONDA_PY",
    "PY3K",
    "PY_VER",
    "STDLIB_DIR",
    "SP_DIR",
    "PYTHON",
    "NPY_VER",
    "CONDA_NPY",
    "NPY_DISTUTILS_APPEND_FLAGS",
    "PERL_VER",
    "CONDA_PERL",
    "PERL",
    "LUA_VER",
    "CONDA_LUA",
    "LUA",
    "LUA_INCLUDE_DIR",
    "R_VER",
    "CONDA_R",
    "R",
    "R_USER",
    "PKG_NAME",
    "PKG_VERSION",
    "PKG_BUILDNUM",
    "PKG_BUILD_STRING",
    "PKG_HASH",
    "RECIPE_DIR",
    "CPU_COUNT",
    "LANG",
    "LC_ALL",
    "MAKEFLAGS",
    "REQUESTS_CA_BUNDLE",
    "SHLIB_EXT",
    "PATH",
    "HOME",
    "PKG_CONFIG_PATH",
    "CMAKE_GENERATOR",
    "SSL_CERT_FILE",
    "OSX_ARCH",
    "MACOSX_DEPLOYMENT_TARGET",
    "BUILD",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "QEMU_LD_PREFIX",
    "QEMU_UNAME",
    "DEJAGNU",
    "DISPLAY",
    "LD_RUN_PATH",
    "GIT_DESCRIBE_TAG",
    "GIT_DESCRIBE_TAG_PEP440",
    "GIT_DESCRIBE_NUMBER",
    "GIT_DESCRIBE_HASH",
    "GIT_FULL_HASH",
    "GIT_BUILD_STR",
];

/// One template's context.
pub(crate) struct JinjaContext<'c, 's> {
    pub(crate) session: &'c Session<'s>,
    pub(crate) meta: &'c Meta,
    pub(crate) namespace: &'c Namespace,
    pub(crate) contents: &'c Contents,
    /// Whether something was asked that the variant alone does not settle.
    pub(crate) dynamic: Cell<bool>,
    /// Names that are known to be undefined, and stand for no text, so that a rendering comes to the next mistake.
    pub(crate) passed_over: Vec<String>,
}

impl Context for JinjaContext<'_, '_> {
    fn lookup(&self, name: &str) -> Option<Value> {
        if name == "PKG_NAME"
            && let Some(name) = &self.contents.alternative_name
        {
            self.dynamic.set(true);
            return Some(Value::from(name.as_str()));
        }
        if let Some(function) = template_functions::find(name) {
            if function.is_dynamic {
                self.dynamic.set(true);
            }
            return Some(Value::object(ContextFunction(function.name)));
        }
        match name {
            "environ" => return Some(self.environ()),
            "time" => return Some(modules::time(self.session.world)),
            "datetime" => return Some(modules::datetime(self.session.world)),
            "os" => return Some(self.namespace.evaluator.names().os_of_machine()),
            "installed" => return Some(Value::from(Dict::default())),
            _ => {}
        }
        if let Some(value) = self.variant().get(name) {
            return Some(from_json(value));
        }
        if let Some(value) = self.environment(name) {
            return Some(value);
        }
        if name == "CONDA_BUILD_STATE" {
            return Some(Value::from("RENDER"));
        }
        if self.passed_over.iter().any(|passed| passed == name) {
            return Some(Value::from(""));
        }
        self.namespace.evaluator.names().lookup(name)
    }

    fn load(&self, name: &str) -> Option<Result<String, TemplateError>> {
        // Relative to the recipe folder, and nothing outside of it.
        let path = Path::new(name);
        if path.components().any(|part| !matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir))
        {
            return None;
        }
        let text = self.session.read(&self.session.folder.join(path))?;
        let selected = super::selector::select(&text, &self.namespace.evaluator);
        Some(match selected {
            Ok(selected) => Ok(selected.text),
            Err(error) => Err(TemplateError {
                line: error.line,
                cause: Cause::Syntax(format!("the selector `[{}]` can't be evaluated", error.selector)),
            }),
        })
    }

    fn call(&self, function: &'static str, args: &Args) -> PyResult {
        template_functions::check_arguments(function, args)?;
        match function {
            "compiler" | "stdlib" => self.compiler(function, args),
            "cdt" => self.cdt(args),
            "ccache" => Ok(Value::from("ccache")),
            "pin_subpackage" => self.pin_subpackage(args),
            "pin_compatible" => self.pin_compatible(args),
            "resolved_packages" => self.resolved_packages(args),
            "load_str_data" => {
                let text = args.str(0, "string", function)?;
                let format = args.str(1, "fmt", function)?;
                data::parse(&text, &format)
            }
            "load_file_data" => self.load_file_data(args),
            "load_file_regex" => self.load_file_regex(args),
            "load_npm" => match self.session.read(&self.session.folder.join("package.json")) {
                Some(text) => data::parse(&text, "json"),
                None => Err(PyError::new(ErrorKind::Runtime, "there is no `package.json` beside the recipe")),
            },
            _ => self.load_setup_py(args),
        }
    }
}

impl JinjaContext<'_, '_> {
    fn variant(&self) -> &super::variant::Variant {
        &self.meta.config.variant
    }

    fn target_platform(&self) -> &str {
        self.variant().text("target_platform").unwrap_or(&self.session.build_platform)
    }

    /// `os.environ` with conda-build's own names over it.
    fn environ(&self) -> Value {
        self.dynamic.set(true);
        let mut all = match self.session.environ() {
            Value::Dict(items) => items.borrow().clone(),
            _ => Dict::default(),
        };
        let languages = ["PERL", "LUA", "R", "NUMPY", "PYTHON"];
        let mut own = Dict::default();
        for name in ENVIRONMENT {
            if let Some(value) = self.environment(name) {
                own.insert(Key::text(name), value);
            }
        }
        for (name, value) in self.script_variables() {
            own.entry(Key::text(&name)).or_insert(value);
        }
        for (key, value) in self.variant().iter() {
            let upper = key.to_uppercase();
            if !own.contains_key(upper.as_str()) && !languages.contains(&upper.as_str()) {
                own.insert(Key::text(key), from_json(value));
            }
        }
        all.extend(own);
        Value::from(all)
    }

    /// From the environment, else the variant, else a default.
    fn system(&self, name: &str, default: &str) -> Option<Value> {
        let given = self.session.world.environ().get(name).filter(|value| !value.is_empty());
        let value = match given {
            Some(value) => value.clone(),
            None => self.variant().text(name).unwrap_or(default).to_owned(),
        };
        (!value.is_empty()).then(|| Value::from(value))
    }

    fn depends_on(&self, name: &str) -> bool {
        self.dynamic.set(true);
        let environment = if self.meta.is_cross() { "host" } else { "build" };
        self.meta
            .requirements(environment)
            .iter()
            .any(|spec| spec::Spec::parse(spec).is_ok_and(|spec| spec.name == name))
            || self.meta.plain_name() == name
    }

    fn environment(&self, name: &str) -> Option<Value> {
        let text = |text: &str| Some(Value::from(text));
        let host = self.namespace.host_subdir.as_str();
        let (host_os, host_arch) = host.split_once('-').unwrap_or((host, "64"));
        let version = |key: &str, places: usize| {
            let version = self.variant().text(key).unwrap_or_default();
            Some(Value::from(version.split('.').take(places).collect::<Vec<_>>().join(".")))
        };
        let digits = |key: &str| {
            Some(Value::from(self.variant().text(key).unwrap_or_default().split('.').take(2).collect::<String>()))
        };
        let windows = cfg!(windows);
        let prefix = paths::prefix();
        let stdlib = || {
            let version = self.variant().text("python").unwrap_or_default();
            let version: Vec<&str> = version.split('.').take(2).collect();
            if windows { format!("{prefix}/Lib") } else { format!("{prefix}/lib/python{}", version.join(".")) }
        };
        match name {
            "CONDA_BUILD" | "PYTHONNOUSERSITE" | "NPY_DISTUTILS_APPEND_FLAGS" => text("1"),
            "CONDA_DEFAULT_ENV" | "PREFIX" => text(prefix),
            "ARCH" => text(self.target_platform().split_once('-').map_or(host_arch, |(_, arch)| arch)),
            "BUILD_PREFIX" => {
                self.dynamic.set(true);
                text(if self.meta.build_is_host(self.session) { prefix } else { paths::BUILD_PREFIX })
            }
            "SYS_PREFIX" | "ROOT" => text(paths::ROOT),
            "SYS_PYTHON" => text(paths::PYTHON),
            "SUBDIR" => text(host),
            "build_platform" => text(&self.session.build_platform),
            "SRC_DIR" => text(paths::WORK),
            "HTTPS_PROXY" | "HTTP_PROXY" => text(self.session.world.environ().get(name).map_or("", String::as_str)),
            "DIRTY" => text(""),
            "CONDA_PY" => digits("python"),
            "CONDA_NPY" => digits("numpy"),
            "PY3K" => text(if self.variant().text("python").is_some_and(|python| python.starts_with('2')) {
                "0"
            } else {
                "1"
            }),
            "PY_VER" => version("python", 2),
            "NPY_VER" => version("numpy", 2),
            "PERL_VER" | "CONDA_PERL" => version("perl", 2),
            "LUA_VER" | "CONDA_LUA" => version("lua", 2),
            "R_VER" | "CONDA_R" => version("r_base", 3),
            "STDLIB_DIR" => text(&stdlib()),
            "SP_DIR" => text(&format!("{}/site-packages", stdlib())),
            "PYTHON" if self.depends_on("python") => {
                text(&if host_os == "win" { format!("{prefix}/python.exe") } else { format!("{prefix}/bin/python") })
            }
            "PERL" if self.depends_on("perl") => text(&tool(prefix, host_os, "perl")),
            "LUA" if self.depends_on("lua") => text(&tool(prefix, host_os, "lua")),
            "LUA_INCLUDE_DIR" if self.depends_on("lua") => text(&format!("{prefix}/include")),
            "R" if self.depends_on("r-base") || self.depends_on("r") => text(&format!("{prefix}/bin/R")),
            "R_USER" if self.depends_on("r-base") || self.depends_on("r") => text(&format!("{prefix}/Libs/R")),
            "RECIPE_DIR" => text(&self.session.folder_text),
            "PKG_NAME" => self.own(|meta| meta.plain_name().into_owned()),
            "PKG_VERSION" => self.own(|meta| meta.plain_version().into_owned()),
            "PKG_BUILDNUM" => {
                self.own(|meta| meta.build_number(self.session).map_or_else(|_| "0".to_owned(), |n| n.to_string()))
            }
            "PKG_BUILD_STRING" if !self.is_final() => text("placeholder"),
            "PKG_HASH" if !self.is_final() => text("1234567"),
            "PKG_BUILD_STRING" => self.own(|meta| meta.build_id(self.session).unwrap_or_default()),
            "PKG_HASH" => {
                self.own(|meta| meta.hash(self.session).ok().and_then(|hash| hash.text.clone()).unwrap_or_default())
            }
            "CPU_COUNT" => self.system(name, "1"),
            "LANG" | "LC_ALL" | "MAKEFLAGS" | "REQUESTS_CA_BUNDLE" => self.system(name, ""),
            "SSL_CERT_FILE" if !windows => self.system(name, ""),
            "SHLIB_EXT" => text(match host_os {
                "win" => ".dll",
                "osx" => ".dylib",
                _ => ".so",
            }),
            "PATH" => self.system(name, ""),
            "HOME" if !windows => self.system(name, "UNKNOWN"),
            "PKG_CONFIG_PATH" if !windows => self.system(name, &format!("{prefix}/lib/pkgconfig")),
            "CMAKE_GENERATOR" if !windows => self.system(name, "Unix Makefiles"),
            "OSX_ARCH" if host_os == "osx" => self.system(name, if host_arch == "arm64" { "arm64" } else { "x86_64" }),
            "MACOSX_DEPLOYMENT_TARGET" if host_os == "osx" => {
                self.system(name, if host_arch == "arm64" { "11.0" } else { "10.9" })
            }
            "BUILD" if host_os == "osx" || host_os == "linux" => self.system(name, &self.build_triplet(host_os)),
            "CFLAGS" | "CXXFLAGS" | "LDFLAGS" | "QEMU_LD_PREFIX" | "QEMU_UNAME" | "DEJAGNU" | "DISPLAY"
                if host_os == "linux" =>
            {
                self.system(name, "")
            }
            "LD_RUN_PATH" if host_os == "linux" => self.system(name, &format!("{prefix}/lib")),
            name if name.starts_with("GIT_") => self.git(name),
            name => self.script_env(name),
        }
    }

    fn is_final(&self) -> bool {
        self.meta.is_final && !self.contents.skip_build_id
    }

    /// A value that depends on the recipe as it was parsed last.
    fn own(&self, value: impl Fn(&Meta) -> String) -> Option<Value> {
        self.dynamic.set(true);
        Some(Value::from(value(self.meta)))
    }

    fn build_triplet(&self, host_os: &str) -> String {
        let arch = self.session.build_platform.split_once('-').map_or("64", |(_, arch)| arch);
        if host_os == "osx" {
            return if arch == "arm64" { "arm64-apple-darwin20.0.0" } else { "x86_64-apple-darwin13.4.0" }.to_owned();
        }
        let (machine, distribution) = match arch {
            "64" => ("x86_64".to_owned(), "cos6"),
            arch if arch.starts_with("ppc") => (arch.replacen("ppc", "powerpc", 1), "cos7"),
            arch => (arch.to_owned(), if arch == "aarch64" || arch == "s390x" { "cos7" } else { "cos6" }),
        };
        format!("{machine}-conda_{}-linux-gnu", self.variant().text("cdt_name").unwrap_or(distribution))
    }

    /// `script_env` entries are visible in the template too.
    fn script_env(&self, name: &str) -> Option<Value> {
        // A recipe that has none is settled; one that has some is not.
        let entries = self.meta.list("build", "script_env");
        if !entries.is_empty() {
            self.dynamic.set(true);
        }
        self.script_variables().into_iter().rev().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// What `script_env` sets: given values, and those of the caller's environment.
    fn script_variables(&self) -> Vec<(String, Value)> {
        let entries = self.meta.list("build", "script_env").into_iter();
        let variable = |entry: String| match entry.split_once('=') {
            Some((key, value)) => Some((key.to_owned(), Value::from(value))),
            None => self.session.world.environ().get(&entry).map(|value| (entry.clone(), Value::from(value.as_str()))),
        };
        entries.filter_map(variable).collect()
    }

    /// Facts of the source's checkout, asked for only when a template uses them.
    fn git(&self, name: &str) -> Option<Value> {
        self.dynamic.set(true);
        let place = self.meta.source_place(self.session)?;
        let info = self.session.world.git(&place)?;
        info.variables().find(|(variable, _)| *variable == name).map(|(_, value)| Value::from(value.as_str()))
    }

    /// `compiler('c')`: `gcc_linux-64`, with its version if the variant has one (jinja_context.py `_target`).
    fn compiler(&self, kind: &str, args: &Args) -> PyResult {
        let language = args.str(0, "language", kind)?;
        let build_os = self.session.build_platform.split('-').next().unwrap_or_default();
        let native = if kind == "compiler" { native_compiler(&language, build_os) } else { None };
        let key = format!("{language}_{kind}");
        let package = self.variant().text(&key).or(native).unwrap_or(&language);
        let package = format!("{package}_{}", self.target_platform());
        Ok(Value::from(match self.variant().text(&format!("{key}_version")).filter(|version| !version.is_empty()) {
            Some(version) => spec::complete(&format!("{package} {version}")),
            None => package,
        }))
    }

    fn cdt(&self, args: &Args) -> PyResult {
        let package = args.str(0, "package_name", "cdt")?;
        let arch = self.target_platform().split_once('-').map_or("64", |(_, arch)| arch);
        let (arch, name) = match arch {
            "64" => ("x86_64", "cos6"),
            "32" => ("i686", "cos6"),
            other => (other, "cos7"),
        };
        let name = self.variant().text("cdt_name").unwrap_or(name);
        let arch = self.variant().text("cdt_arch").unwrap_or(arch);
        Ok(Value::from(match package.split_once(' ') {
            Some((package, version)) => format!("{package}-{name}-{arch} {version}"),
            None => format!("{package}-{name}-{arch}"),
        }))
    }

    fn pin(args: &Args, index: usize, name: &str, default: &str) -> PyResult<Option<String>> {
        match args.get(index, name) {
            None => Ok(Some(default.to_owned())),
            // `False` and an empty text bound nothing, either.
            Some(value) if !super::python::truth(value)? => Ok(None),
            Some(value) => value.to_text().map(|text| Some(text.to_string())),
        }
    }

    /// `pin_subpackage('name', min_pin=…, max_pin=…, exact=…)`.
    fn pin_subpackage(&self, args: &Args) -> PyResult {
        let name = args.str(0, "subpackage_name", "pin_subpackage")?;
        let min_pin = Self::pin(args, 1, "min_pin", "x.x.x.x.x.x")?;
        let max_pin = Self::pin(args, 2, "max_pin", "x")?;
        let exact = args.bool(3, "exact", false)?;
        let lenient = !self.contents.strict;
        let fail = |message: String| PyError::new(ErrorKind::Runtime, message);
        let pin = match &self.meta.other_outputs {
            None if self.contents.allow_no_other_outputs => Some(name.to_string()),
            None => return Err(fail(format!("`{name}` can't be pinned here: the outputs are not known yet"))),
            Some(outputs) => {
                let outputs = outputs.borrow();
                let matching: Vec<_> = outputs.iter().filter(|(key, _)| key.0 == *name).collect();
                let shared_equal = |used: &std::collections::BTreeMap<String, Json>| {
                    used.iter().all(|(key, value)| self.variant().get(key).is_none_or(|own| own == value))
                };
                let chosen = match matching.as_slice() {
                    [only] => Some(*only),
                    several => several.iter().copied().find(|(key, _)| shared_equal(&key.1)),
                };
                match chosen {
                    Some((_, output)) => {
                        let other = output.borrow();
                        let version = other.plain_version();
                        if lenient && version.is_empty() {
                            None
                        } else if exact {
                            let build = if self.contents.skip_build_id {
                                other.build_number(self.session).map(|number| number.to_string())
                            } else {
                                other.build_id(self.session)
                            };
                            let build = build.map_err(|error| fail(error.into_errors().to_string()))?;
                            let build = self.finished(&other.plain_name(), &version, build);
                            Some(format!("{} {version} {build}", other.plain_name()))
                        } else {
                            let pins =
                                apply_pin(&version, min_pin.as_deref(), max_pin.as_deref()).map_err(|reason| {
                                    PyError::value_error(format!("`{name}` can't be pinned: {reason}"))
                                })?;
                            Some(format!("{} {pins}", other.plain_name()))
                        }
                    }
                    None if matching.is_empty() => None,
                    None => Some(name.to_string()),
                }
            }
        };
        match pin {
            Some(pin) => Ok(Value::from(pin)),
            None if lenient || self.contents.allow_no_other_outputs => Ok(Value::Str(name)),
            None => Err(fail(format!(
                "`{name}` is pinned with `pin_subpackage`, but is no output of this recipe; `pin_compatible` pins other packages"
            ))),
        }
    }

    /// Whether environments will be solved, but this one is not yet.
    fn is_unsolved(&self) -> bool {
        match self.session.solving.get() {
            Solving::No => false,
            Solving::Partly => true,
            Solving::Done => self.meta.resolved.is_none(),
        }
    }

    /// The build string of an output that is finished, else the one it has so far.
    fn finished(&self, name: &str, version: &str, build: String) -> String {
        let pinned = self.session.pinned.borrow();
        let mut same = pinned.iter().filter(|output| output.name == name && output.version == version);
        if same.clone().any(|output| output.build_string == build) {
            return build;
        }
        same.next_back().map_or(build, |output| output.build_string.clone())
    }

    /// `pin_compatible('name', lower_bound, upper_bound, min_pin, max_pin, exact=…)`.
    fn pin_compatible(&self, args: &Args) -> PyResult {
        let name = args.str(0, "package_name", "pin_compatible")?;
        if self.contents.bypass_env_check || !self.contents.strict || self.is_unsolved() {
            return Ok(Value::from(format!("{name} ")));
        }
        let bound = |index: usize, key: &str| match args.get_some(index, key) {
            Some(value) => value.to_text().map(|text| Some(text).filter(|text| !text.is_empty())),
            None => Ok(None),
        };
        let lower = bound(1, "lower_bound")?;
        let upper = bound(2, "upper_bound")?;
        let min_pin = Self::pin(args, 3, "min_pin", "x.x.x.x.x.x")?;
        let max_pin = Self::pin(args, 4, "max_pin", "x")?;
        let exact = match args.named("exact") {
            Some(value) => super::python::truth(value)?,
            None => args.bool(6, "exact", false)?,
        };
        let pins = self
            .meta
            .environment_for_pins(self.session)
            .map_err(|error| PyError::new(ErrorKind::Runtime, error.into_errors().to_string()))?;
        let found = pins.iter().rev().find_map(|pin| {
            // At each blank: of two in a row, the version is what stands between them.
            let mut parts = pin.split(' ');
            (parts.next() == Some(&*name)).then(|| parts.map(str::to_owned).collect::<Vec<_>>())
        });
        let mut compatibility = String::new();
        let known = found.as_ref().filter(|parts| !parts.is_empty());
        if !pins.is_empty() {
            if let (true, Some(parts)) = (exact, known) {
                compatibility = parts.join(" ");
            } else if let Some(version) =
                lower.as_deref().or_else(|| known.and_then(|parts| parts.first()).map(String::as_str))
            {
                match &upper {
                    Some(upper) => {
                        if min_pin.is_some() || lower.is_some() {
                            compatibility = format!(">={version},");
                        }
                        compatibility.push_str(&format!("<{upper}"));
                    }
                    None => {
                        compatibility = apply_pin(version, min_pin.as_deref(), max_pin.as_deref())
                            .map_err(|reason| PyError::value_error(format!("`{name}` can't be pinned: {reason}")))?;
                    }
                }
            }
        }
        if compatibility.is_empty() && self.meta.pins_in_text(self.session, &name) {
            return Err(PyError::new(
                ErrorKind::Runtime,
                format!("`{name}` is pinned with `pin_compatible`, but is not among the host requirements"),
            ));
        }
        Ok(Value::from(format!("{name} {compatibility}")))
    }

    fn resolved_packages(&self, args: &Args) -> PyResult {
        let environment = args.str(0, "env", "resolved_packages")?;
        if !matches!(&*environment, "host" | "build") {
            return Err(PyError::value_error("only host and build dependencies are supported"));
        }
        if self.contents.bypass_env_check || !self.contents.strict || self.is_unsolved() {
            return Ok(Value::from(Vec::new()));
        }
        let packages = self
            .meta
            .environment_specs(self.session, &environment)
            .map_err(|error| PyError::new(ErrorKind::Runtime, error.into_errors().to_string()))?;
        Ok(Value::from(packages.into_iter().map(Value::from).collect::<Vec<_>>()))
    }

    /// A file that a recipe loads: absolute, of the recipe folder, or of the source. Only a source that is a folder can
    /// be looked into before it is fetched.
    fn find_file(&self, name: &str, from_recipe: bool) -> Option<PathBuf> {
        let world = self.session.world;
        let path = Path::new(name);
        if path.is_absolute() {
            return world.is_file(path).then(|| path.to_path_buf());
        }
        let folder = if from_recipe {
            self.session.folder.clone()
        } else {
            self.dynamic.set(true);
            self.meta.source_place(self.session)?
        };
        let path = folder.join(path);
        world.is_file(&path).then_some(path)
    }

    fn missing_file(&self, name: &str, lenient: Value) -> PyResult {
        if !self.contents.strict {
            return Ok(lenient);
        }
        Err(PyError::new(ErrorKind::Runtime, format!("the file `{name}` is not there to be loaded")))
    }

    fn load_file_data(&self, args: &Args) -> PyResult {
        let name = args.str(0, "filename", "load_file_data")?;
        let from_recipe = args.named("from_recipe_dir").map_or(Ok(false), super::python::truth)?;
        let format = args.get_some(1, "fmt").map(Value::to_text).transpose()?;
        let Some(text) = self.find_file(&name, from_recipe).and_then(|path| self.session.read(&path)) else {
            return self.missing_file(&name, Value::from(Dict::default()));
        };
        let extension = Path::new(&*name).extension().map(|extension| extension.to_string_lossy().into_owned());
        data::parse(&text, format.as_deref().unwrap_or(extension.as_deref().unwrap_or_default()))
    }

    fn load_file_regex(&self, args: &Args) -> PyResult {
        let name = args.str(0, "load_file", "load_file_regex")?;
        let pattern = args.str(1, "regex_pattern", "load_file_regex")?;
        let from_recipe = args.bool(2, "from_recipe_dir", false)?;
        let Some(text) = self.find_file(&name, from_recipe).and_then(|path| self.session.read(&path)) else {
            return self.missing_file(&name, Value::None);
        };
        data::search(&pattern, &text)
    }

    /// A recipe that uses what a `setup.py` computes gets nothing where conda-build, which runs the file, has a value.
    fn warn_of_computed(&self, file: &str, computed: &[String]) {
        let text = &self.session.text;
        let uses = |name: &&String| [format!("'{name}'"), format!("\"{name}\"")].iter().any(|key| text.contains(key));
        for name in computed.iter().filter(uses) {
            let line = text.split('\n').position(|line| line.contains("load_setup")).unwrap_or(0);
            let message = format!("`{file}` computes `{name}`, and gonda runs no Python to find it out");
            let help = "write the value out in the recipe: `{% set … %}`";
            self.session.warn(vec![at_line(&self.session.file, text, line, None, message, Some(help))]);
        }
    }

    fn load_setup_py(&self, args: &Args) -> PyResult {
        let name = args.get(0, "setup_file").map_or_else(|| Ok("setup.py".into()), Value::to_text)?;
        let from_recipe = args.bool(1, "from_recipe_dir", false)?;
        match self.find_file(&name, from_recipe).and_then(|path| self.session.read(&path)) {
            Some(text) => {
                let read = super::setup_py::read(&text);
                self.warn_of_computed(&name, &read.computed);
                Ok(read.data)
            }
            // A setup.py that is not there yet is no error in conda-build either.
            None => Ok(Value::from(Dict::default())),
        }
    }
}

fn tool(prefix: &str, host_os: &str, name: &str) -> String {
    if host_os == "win" { format!("{prefix}/Library/bin/{name}.exe") } else { format!("{prefix}/bin/{name}") }
}
