//! What one rendering knows from the start: the recipe's text, the platforms, the world; and what it has worked out for
//! each variant, so that nothing is done twice.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde_json::{Map, Value as Json};

use super::error::{Fail, SourceMap};
use super::extract;
use super::jinja::{Function, Template};
use super::python::{Args, Dict, Key, Object, PyError, PyResult, Value, from_json};
use super::selector::{Evaluator, Names, SelectableText, Selected};
use super::spec::Spec;
use super::used::Keys;
use super::variant::{self, Variant};
use crate::{PinnedOutput, RecipeError, World};

/// The recipe folder's text as templates and paths have it: `/` between the parts.
pub(crate) fn path_text(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    if cfg!(windows) { text.replace('\\', "/") } else { text }
}

/// A map whose keys need no protection against those who choose them beyond a random start.
type QuickMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// How a text is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum TextKey {
    /// A part of the recipe's text: where it begins, and its length.
    Part(usize, usize),
    /// Any other text.
    Whole(Rc<str>),
}

/// Outputs as written.
type OutputList = Rc<Vec<Map<String, Json>>>;

/// Whose used keys: the package's name, whether it is read from the recipe file itself, and whether the whole text counts.
pub(crate) type UsedBy = (String, bool, bool);

/// The used keys for each variant, by its fingerprint.
type UsedVars = QuickMap<u64, Vec<(Arc<Variant>, Rc<BTreeSet<String>>)>>;

/// A text and the keys that it uses.
type UsedIn = (Rc<str>, Rc<BTreeSet<String>>);

/// What uses are known by: whether they are the whole recipe's, else the output's name, type and place, and how many
/// outputs there are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UsesKey {
    pub(crate) global: bool,
    pub(crate) is_output: bool,
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
    pub(crate) position: Option<usize>,
    pub(crate) outputs: usize,
}

/// The keys that a text uses, and those that its requirements use.
pub(crate) struct Uses {
    pub(crate) all: BTreeSet<String>,
    pub(crate) in_requirements: BTreeSet<String>,
}

/// One rendering of a recipe.
pub(crate) struct Session<'a> {
    pub(crate) world: &'a dyn World,
    /// The recipe file.
    pub(crate) file: PathBuf,
    /// Its folder.
    pub(crate) folder: PathBuf,
    pub(crate) folder_text: String,
    pub(crate) text: Rc<str>,
    /// The text without blanks at its end.
    pub(crate) trimmed: Rc<str>,
    /// Where in the text its outputs stand.
    outputs: Range<usize>,
    /// The machine that builds, `linux-64`.
    pub(crate) build_platform: String,
    fragments: RefCell<QuickMap<TextKey, Rc<SelectableText>>>,
    namespaces: RefCell<QuickMap<(usize, bool), Rc<Namespace>>>,
    /// Variants whose address is a key of `namespaces`, kept so that no address is used twice.
    kept: RefCell<Vec<Arc<Variant>>>,
    templates: RefCell<QuickMap<Rc<str>, Rc<Template>>>,
    files: RefCell<QuickMap<PathBuf, Option<Rc<str>>>>,
    specs: RefCell<QuickMap<String, Result<Rc<Spec>, String>>>,
    environ: OnceCell<Value>,
    /// The used keys by what conda-build knows them by; see [`Session::used_vars`].
    used: RefCell<QuickMap<UsedBy, UsedVars>>,
    /// Outputs that are finished, for exact pins.
    pub(crate) pinned: RefCell<Vec<PinnedOutput>>,
    /// What is odd about the recipe, but no mistake; each once.
    pub(crate) warnings: RefCell<Vec<RecipeError>>,
    /// Whether environments are solved for real: then no pin is made of a mere requirement.
    pub(crate) solving: Cell<Solving>,
}

/// How far real environments are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Solving {
    /// They are not asked for: requirements stand for them.
    No,
    /// Not all of them yet.
    Partly,
    /// Those of the output that is finalised.
    Done,
}

impl<'a> Session<'a> {
    pub(crate) fn new(world: &'a dyn World, file: &Path, text: &str, build_platform: &str) -> Self {
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Self {
            world,
            file: file.to_path_buf(),
            folder_text: path_text(&folder),
            folder,
            text: Rc::from(text),
            trimmed: Rc::from(text.trim_end()),
            outputs: extract::outputs(text),
            build_platform: build_platform.to_owned(),
            fragments: RefCell::default(),
            namespaces: RefCell::default(),
            kept: RefCell::default(),
            templates: RefCell::default(),
            files: RefCell::default(),
            specs: RefCell::default(),
            used: RefCell::default(),
            environ: OnceCell::new(),
            pinned: RefCell::default(),
            warnings: RefCell::default(),
            solving: Cell::new(Solving::No),
        }
    }

    /// What names mean under a variant. `noarch`: the platform itself is `noarch`, as old `noarch:` keys of outputs set it.
    pub(crate) fn namespace(&self, variant: &Arc<Variant>, noarch: bool) -> Rc<Namespace> {
        let key = (Arc::as_ptr(variant) as usize, noarch);
        if let Some(namespace) = self.namespaces.borrow().get(&key) {
            return namespace.clone();
        }
        self.kept.borrow_mut().push(variant.clone());
        let namespace = Rc::new(Namespace::new(self, variant, noarch));
        self.namespaces.borrow_mut().insert(key, namespace.clone());
        namespace
    }

    /// Keeps what is said for the first time.
    pub(crate) fn warn(&self, warnings: Vec<RecipeError>) {
        let mut known = self.warnings.borrow_mut();
        for warning in warnings {
            if !known.contains(&warning) {
                known.push(warning);
            }
        }
    }

    /// How a text is known: the recipe's own parts by their place in it.
    fn key(&self, text: &str) -> TextKey {
        let start = (text.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if start <= self.text.len() && start + text.len() <= self.text.len() {
            TextKey::Part(start, text.len())
        } else {
            TextKey::Whole(Rc::from(text))
        }
    }

    /// The text's lines whose selectors are true.
    pub(crate) fn select(&self, text: &str, namespace: &Namespace) -> Result<Rc<Selected>, Fail> {
        let key = self.key(text);
        if let Some(selected) = namespace.selected.borrow().get(&key) {
            return Ok(selected.clone());
        }
        // What is a part of the recipe, whole lines of it, was cut into lines with it.
        let (fragment, part) = match key {
            TextKey::Part(start, length) if self.is_line_end(start) && self.is_line_end(start + length) => {
                (self.fragment(&TextKey::Part(0, self.text.len()), || self.text.clone()), start..start + length)
            }
            _ => (self.fragment(&key, || Rc::from(text)), 0..text.len()),
        };
        let selected = Rc::new(fragment.select(part, &namespace.evaluator).map_err(|error| {
            // A fragment of the recipe is found in it again.
            let offset = self.text.find(text).map_or(0, |at| self.text[..at].matches('\n').count());
            Fail::selector(self, offset, &error)
        })?);
        namespace.selected.borrow_mut().insert(key, selected.clone());
        Ok(selected)
    }

    /// A text cut into lines, once.
    fn fragment(&self, key: &TextKey, text: impl FnOnce() -> Rc<str>) -> Rc<SelectableText> {
        if let Some(fragment) = self.fragments.borrow().get(key) {
            return fragment.clone();
        }
        let fragment = Rc::new(SelectableText::new(text()));
        self.fragments.borrow_mut().insert(key.clone(), fragment.clone());
        fragment
    }

    /// Whether a line of the recipe ends or begins here.
    fn is_line_end(&self, at: usize) -> bool {
        at == 0 || at == self.text.len() || self.text.as_bytes()[at - 1] == b'\n'
    }

    /// A template, parsed once. `map` says which line of the recipe a line of it is.
    pub(crate) fn template(&self, text: &str, map: &SourceMap) -> Result<Rc<Template>, Fail> {
        if let Some(template) = self.templates.borrow().get(text) {
            return Ok(template.clone());
        }
        let template = Rc::new(Template::parse(text).map_err(|error| Fail::template(self, map, &error))?);
        self.templates.borrow_mut().insert(Rc::from(text), template.clone());
        Ok(template)
    }

    /// A requirement, taken apart once; the error is a sentence about it.
    pub(crate) fn spec(&self, text: &str) -> Result<Rc<Spec>, String> {
        if let Some(spec) = self.specs.borrow().get(text) {
            return spec.clone();
        }
        let spec = Spec::parse(text).map(Rc::new);
        self.specs.borrow_mut().insert(text.to_owned(), spec.clone());
        spec
    }

    /// A text file of the recipe folder or anywhere, read once; `None` if it can't be read.
    pub(crate) fn read(&self, path: &Path) -> Option<Rc<str>> {
        if let Some(text) = self.files.borrow().get(path) {
            return text.clone();
        }
        let text = self.world.read(path).ok().map(|bytes| Rc::from(super::text::decode(bytes)));
        self.files.borrow_mut().insert(path.to_path_buf(), text.clone());
        text
    }

    /// `os.environ`.
    pub(crate) fn environ(&self) -> Value {
        self.environ
            .get_or_init(|| {
                let items = self.world.environ().iter();
                Value::from(items.map(|(key, value)| (Key::text(key), Value::from(value.as_str()))).collect::<Dict>())
            })
            .clone()
    }

    /// The used keys as they were first found. conda-build keeps them for each name and variant and does not look again
    /// (`used_vars_cache`, metadata.py), though outputs and their requirements change while they are finalised.
    pub(crate) fn used_vars(
        &self,
        by: UsedBy,
        variant: &Arc<Variant>,
        find: impl FnOnce() -> Result<BTreeSet<String>, Fail>,
    ) -> Result<Rc<BTreeSet<String>>, Fail> {
        let fingerprint = variant.fingerprint();
        if let Some(known) = self.used.borrow().get(&by).and_then(|known| known.get(&fingerprint))
            && let Some((_, used)) = known.iter().find(|(other, _)| other.is_same(variant))
        {
            return Ok(used.clone());
        }
        let used = Rc::new(find()?);
        let mut known = self.used.borrow_mut();
        known.entry(by).or_default().entry(fingerprint).or_default().push((variant.clone(), used.clone()));
        Ok(used)
    }

    /// Forgets what was found so far. The variants that a recipe is first looked at with are not those that it is
    /// rendered with in conda-build's eyes: their lists have become sets in between, and so nothing is known of them.
    pub(crate) fn forget_used_vars(&self) {
        self.used.borrow_mut().clear();
    }

    pub(crate) fn raw_outputs(&self) -> &str {
        &self.text[self.outputs.clone()]
    }
}

/// What names mean in selectors under one variant, and what was worked out with them.
pub(crate) struct Namespace {
    /// The platform that the package is for.
    pub(crate) host_subdir: String,
    pub(crate) evaluator: Evaluator<SelectorNames>,
    selected: RefCell<QuickMap<TextKey, Rc<Selected>>>,
    /// The outputs section rendered apart, lenient and strict, where it depends on nothing but this.
    pub(crate) rendered_outputs: RefCell<[Option<OutputList>; 2]>,
    /// The variant's keys, to be looked for.
    pub(crate) keys: Keys,
    /// The keys that a text uses, by its address; the text is kept, so that no other comes to stand there.
    in_text: RefCell<QuickMap<(usize, bool), UsedIn>>,
    /// What is used, by what it is used in.
    pub(crate) uses: RefCell<QuickMap<UsesKey, Rc<Uses>>>,
    /// Results of rendering and parsing the whole recipe, lenient and strict, where they depend on nothing but this.
    pub(crate) parsed: RefCell<[Option<Rc<Parsed>>; 2]>,
}

/// A recipe, rendered and read under one variant.
pub(crate) struct Parsed {
    pub(crate) meta: Rc<Map<String, Json>>,
    pub(crate) undefined: Vec<String>,
    pub(crate) map: Rc<SourceMap>,
    /// Whether the rendering asked for something that is not settled by the variant alone.
    pub(crate) dynamic: bool,
}

impl Namespace {
    fn new(session: &Session<'_>, variant: &Arc<Variant>, noarch: bool) -> Self {
        let host_subdir = host_subdir(variant, noarch, &session.build_platform);
        let names =
            SelectorNames::new(host_subdir.clone(), session.build_platform.clone(), session.environ(), variant.clone());
        Self {
            host_subdir,
            evaluator: Evaluator::new(names),
            keys: Keys::new(variant.clone()),
            selected: RefCell::default(),
            rendered_outputs: RefCell::default(),
            in_text: RefCell::default(),
            uses: RefCell::default(),
            parsed: RefCell::default(),
        }
    }
}

impl Namespace {
    /// The keys that a text uses, in selectors alone or in everything but them.
    pub(crate) fn used_in(&self, text: &Rc<str>, selectors_only: bool) -> Rc<BTreeSet<String>> {
        let key = (text.as_ptr() as usize, selectors_only);
        if let Some((known, used)) = self.in_text.borrow().get(&key)
            && Rc::ptr_eq(known, text)
        {
            return used.clone();
        }
        let used = Rc::new(self.keys.used_in(text, selectors_only));
        self.in_text.borrow_mut().insert(key, (text.clone(), used.clone()));
        used
    }
}

/// `config.host_subdir`.
pub(crate) fn host_subdir(variant: &Variant, noarch: bool, build_platform: &str) -> String {
    if noarch {
        return "noarch".to_owned();
    }
    let subdir = variant.text("target_platform").unwrap_or(build_platform);
    match subdir {
        "linux-cos5-x86_64" | "linux-cos6-x86_64" => "linux-64",
        "linux-cos5-x86" | "linux-cos6-x86" => "linux-32",
        "osx-109-x86_64" => "osx-64",
        "win-x86_64" => "win-64",
        "win-x86" => "win-32",
        // Without an architecture it is taken for one of 64 bits.
        other if !other.contains('-') => return format!("{other}-64"),
        other => other,
    }
    .to_owned()
}

/// The subdirs that conda knows: their systems and architectures are names of selectors.
const SYSTEMS: [&str; 8] = ["emscripten", "freebsd", "linux", "noarch", "osx", "wasi", "win", "zos"];
const ARCHITECTURES: [(&str, &str); 13] = [
    ("x86_64", "-64"),
    ("wasm32", "-wasm32"),
    ("aarch64", "-aarch64"),
    ("arm64", "-arm64"),
    ("armv6l", "-armv6l"),
    ("armv7l", "-armv7l"),
    ("ppc64", "-ppc64"),
    ("ppc64le", "-ppc64le"),
    ("riscv64", "-riscv64"),
    ("s390x", "-s390x"),
    ("z", "-z"),
    ("i686", "-i686"),
    ("loongarch64", "-loongarch64"),
];

/// The namespace of selectors (metadata.py `get_selectors`).
pub(crate) struct SelectorNames {
    host: String,
    build: String,
    environ: Value,
    os: Value,
    variant: Arc<Variant>,
}

impl SelectorNames {
    pub(crate) fn new(host: String, build: String, environ: Value, variant: Arc<Variant>) -> Self {
        // Selectors are recorded with `/` on every platform; in templates `os.sep` is the build machine's.
        let os = Value::object(OsModule { environ: environ.clone(), windows: false });
        Self { host, build, environ, os, variant }
    }

    /// `os` as a template sees it.
    pub(crate) fn os_of_machine(&self) -> Value {
        let windows = self.build.starts_with("win-");
        Value::object(OsModule { environ: self.environ.clone(), windows })
    }

    fn python(&self) -> &str {
        self.variant.text("python").unwrap_or(variant::DEFAULT_PYTHON)
    }

    /// `3.11` as 311; `None` if it can't be read so.
    fn python_number(&self) -> Option<i64> {
        let version = self.python().split(' ').next()?;
        let mut parts = version.split('.');
        format!("{}{}", parts.next()?, parts.next()?).parse().ok()
    }

    fn builtin(&self, name: &str) -> Option<Value> {
        let host = self.host.as_str();
        let is = |subdir: &str| Value::Bool(host == subdir);
        let python = |number: i64| Value::Bool(self.python_number() == Some(number));
        Some(match name {
            "linux32" => is("linux-32"),
            "linux64" => is("linux-64"),
            "win32" => is("win-32"),
            "win64" => is("win-64"),
            "arm" => Value::Bool(host.starts_with("linux-arm")),
            "unix" => Value::Bool(["linux-", "osx-", "emscripten-"].iter().any(|prefix| host.starts_with(prefix))),
            "x86" => Value::Bool(host.ends_with("-32") || host.ends_with("-64")),
            "os" => self.os.clone(),
            "environ" => self.environ.clone(),
            "nomkl" => Value::Bool(self.feature("FEATURE_NOMKL") == Some(true)),
            "debug" => return self.feature("FEATURE_DEBUG").map(Value::Bool),
            "opt" => return self.feature("FEATURE_OPT").map(Value::Bool),
            "build_platform" => Value::from(self.build.as_str()),
            "py" => self.python_number().map_or(Value::None, Value::Int),
            "py3k" => Value::Bool(self.python().starts_with("3.")),
            "py2k" => Value::Bool(self.python().starts_with("2.")),
            "py26" => python(26),
            "py27" => python(27),
            "py33" => python(33),
            "py34" => python(34),
            "py35" => python(35),
            "py36" => python(36),
            "np" => {
                let version = self.variant.text("numpy").unwrap_or("1.23");
                let digits: String = version.split('.').take(2).collect();
                digits.parse().map_or(Value::None, Value::Int)
            }
            "pl" => Value::from(self.variant.text("perl").unwrap_or("5.26.2")),
            "lua" => Value::from(self.variant.text("lua").unwrap_or("5")),
            "luajit" => Value::Bool(self.variant.text("lua").unwrap_or("5").starts_with('2')),
            _ => {
                if name != "noarch" && SYSTEMS.contains(&name) {
                    return Some(Value::Bool(host.split_once('-').is_some_and(|(os, _)| os == name)));
                }
                if let Some((_, suffix)) = ARCHITECTURES.iter().find(|(known, _)| *known == name) {
                    let known = !matches!(name, "i686" | "loongarch64");
                    return (known || host.ends_with(suffix)).then(|| Value::Bool(host.ends_with(suffix)));
                }
                // The parts of a platform that conda doesn't know are names as well.
                let mut parts = host.split('-');
                if let (Some(os), Some(arch)) = (parts.next(), parts.next()) {
                    if name == os {
                        return Some(Value::Bool(true));
                    }
                    if name == arch {
                        return Some(Value::Bool(parts.next().is_none()));
                    }
                }
                return None;
            }
        })
    }

    fn feature(&self, name: &str) -> Option<bool> {
        match &self.environ {
            Value::Dict(items) => items.borrow().get(name).map(|value| value.as_str() == Some("1")),
            _ => None,
        }
    }
}

impl Names for SelectorNames {
    fn lookup(&self, name: &str) -> Option<Value> {
        if let Value::Dict(items) = &self.environ
            && let Some(value) = items.borrow().get(name)
        {
            return Some(value.clone());
        }
        self.builtin(name).or_else(|| self.variant.get(name).map(typed))
    }
}

/// A variant's value as selectors see it: an integer if it reads as one, then a truth value, else text.
fn typed(value: &Json) -> Value {
    match value {
        Json::String(text) => match super::python::parse_int(text, 10) {
            Some(number) => Value::Int(number),
            None if text.eq_ignore_ascii_case("true") => Value::Bool(true),
            None if text.eq_ignore_ascii_case("false") => Value::Bool(false),
            None => Value::from(text.as_str()),
        },
        other => from_json(other),
    }
}

/// The part of Python's `os` that recipes may use.
struct OsModule {
    environ: Value,
    windows: bool,
}

impl Object for OsModule {
    fn type_name(&self) -> &str {
        "type"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "environ" => Some(self.environ.clone()),
            "sep" => Some(Value::from(if self.windows { "\\" } else { "/" })),
            "pathsep" => Some(Value::from(if self.windows { ";" } else { ":" })),
            "getenv" => Some(Value::object(GetEnv { environ: self.environ.clone() })),
            _ => None,
        }
    }

    fn call_method(&self, name: &str, args: &Args) -> Option<PyResult> {
        (name == "getenv").then(|| super::python::call_method(&self.environ, "get", args).unwrap_or(Ok(Value::None)))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct GetEnv {
    environ: Value,
}

impl Object for GetEnv {
    fn type_name(&self) -> &str {
        "function"
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn call(&self, args: &Args) -> PyResult {
        super::python::call_method(&self.environ, "get", args).unwrap_or(Ok(Value::None))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A function without state, as a value.
pub(crate) fn function(name: &'static str, call: fn(&Args) -> Result<Value, PyError>) -> Value {
    Value::object(Function { name, call })
}
