//! A recipe, or one output of it, under one variant: its parsed text and what follows from it (metadata.py `MetaData`).

mod build;
mod fields;
mod parse;
mod text;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use self::text::uses_compiler;
use crate::v0::error::{Fail, SourceMap, at_line, in_file};
use crate::v0::session::{Namespace, Session, host_subdir};
use crate::v0::spec::{Spec, complete};
use crate::v0::variant::{Variant, list_of_text, text_of};
use crate::{RecipeError, Resolved};

/// Which variants a recipe is rendered with.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) variant: Arc<Variant>,
    /// The variants that outputs may still choose from.
    pub(crate) variants: Rc<Vec<Arc<Variant>>>,
    /// All of them.
    pub(crate) input_variants: Rc<Vec<Arc<Variant>>>,
    /// The package's platform is `noarch` by an old key of its output.
    pub(crate) noarch: bool,
}

/// The recipe that an output belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// Outputs by name and used variant.
pub(crate) type Outputs = IndexMap<(String, UsedVariant), Rc<RefCell<Meta>>>;

/// How the recipe's text is rendered.
#[derive(Clone, Default)]
pub(crate) struct Contents {
    /// Undefined names are errors.
    pub(crate) strict: bool,
    pub(crate) allow_no_other_outputs: bool,
    pub(crate) bypass_env_check: bool,
    pub(crate) skip_build_id: bool,
    /// What `PKG_NAME` is, if not the name.
    pub(crate) alternative_name: Option<String>,
}

/// A recipe or an output.
#[derive(Clone)]
pub(crate) struct Meta {
    pub(crate) meta: Rc<Map<String, Json>>,
    /// Whether it is read from the recipe file itself; an output is cut out of it.
    pub(crate) has_path: bool,
    pub(crate) config: Config,
    /// Undefined names that the last rendering used.
    pub(crate) undefined: Vec<String>,
    pub(crate) other_outputs: Option<Rc<RefCell<Outputs>>>,
    /// The output's type; `None` before it was copied.
    pub(crate) kind: Option<String>,
    pub(crate) is_final: bool,
    pub(crate) parent: Option<Parent>,
    pub(crate) map: Rc<SourceMap>,
    /// Which of the recipe's outputs this is, for errors.
    pub(crate) index: Option<usize>,
    /// `build/script` of the top level that an output belongs to.
    pub(crate) top_script: Option<Vec<String>>,
    /// For an output: what the top level needs to be built, build and host, and whether these are one.
    pub(crate) top_requirements: Option<([Vec<String>; 2], bool)>,
    /// Solved environments, when finalising for good.
    pub(crate) resolved: Option<Rc<Resolved>>,
    pub(crate) used: RefCell<Used>,
    /// The sections whose requirements were found to be readable under this variant.
    checked: Option<Rc<Map<String, Json>>>,
}

/// What was found to be used; forgotten whenever something changes that it depends on.
#[derive(Clone, Default)]
pub(crate) struct Used {
    keys: Option<Rc<BTreeSet<String>>>,
    values: Option<UsedVariant>,
    build_id: Option<BuildId>,
    hash: Option<Rc<Hash>>,
}

/// A hash and what it is made of.
pub(crate) struct Hash {
    meta: Rc<Map<String, Json>>,
    pub(crate) contents: BTreeMap<String, Json>,
    /// `h` and seven digits, if there is anything to hash.
    pub(crate) text: Option<String>,
}

/// A build string, and what it was made of.
#[derive(Clone)]
struct BuildId {
    meta: Rc<Map<String, Json>>,
    is_final: bool,
    text: String,
}

/// The used part of a variant.
pub(crate) type UsedVariant = Rc<BTreeMap<String, Json>>;

/// The type of an output that says none.
pub(crate) const CONDA: &str = ".conda";

impl Meta {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            meta: Rc::default(),
            has_path: true,
            config,
            undefined: Vec::new(),
            other_outputs: None,
            kind: None,
            is_final: false,
            parent: None,
            map: Rc::default(),
            index: None,
            top_script: None,
            top_requirements: None,
            resolved: None,
            used: RefCell::default(),
            checked: None,
        }
    }

    /// A copy that may be changed (metadata.py `copy`).
    pub(crate) fn copied(&self) -> Self {
        let mut copy = self.clone();
        copy.kind = Some(copy.kind.unwrap_or_else(|| CONDA.to_owned()));
        copy.used = RefCell::default();
        copy.checked = None;
        copy
    }

    pub(crate) fn set_variant(&mut self, variant: Arc<Variant>) {
        self.config.variant = variant;
        self.used = RefCell::default();
        self.checked = None;
    }

    pub(crate) fn namespace(&self, session: &Session<'_>) -> Rc<Namespace> {
        session.namespace(&self.config.variant, self.config.noarch)
    }

    /// The platform that the package is for, as the variant names it, old names in their present form.
    pub(crate) fn target_subdir(&self, session: &Session<'_>) -> String {
        host_subdir(&self.config.variant, false, &session.build_platform)
    }

    // ---- errors

    /// A mistake at a value of the recipe; of an output, if this is one.
    pub(crate) fn mistake(
        &self,
        session: &Session<'_>,
        path: &[&str],
        message: impl Into<String>,
        help: Option<&str>,
    ) -> RecipeError {
        let index = self.index.map(|index| index.to_string());
        let of_output = index.as_deref().and_then(|index| {
            let path = if path == ["package", "name"] { &["name"][..] } else { path };
            let path: Vec<&str> = ["outputs", index].into_iter().chain(path.iter().copied()).collect();
            self.map.locate(&path)
        });
        let line = of_output.or_else(|| self.map.locate(path)).or_else(|| self.map.locate(&path[..1.min(path.len())]));
        match line {
            Some(line) => at_line(&session.file, &session.text, line, None, message, help),
            None => in_file(&session.file, message, help),
        }
    }

    // ---- values

    pub(crate) fn section(&self, name: &str) -> Option<&Map<String, Json>> {
        lookup(&self.meta, name).and_then(Json::as_object)
    }

    pub(crate) fn section_mut(&mut self, name: &str) -> &mut Map<String, Json> {
        let value = Rc::make_mut(&mut self.meta).entry(name.to_owned()).or_insert_with(|| Json::Object(Map::new()));
        if !value.is_object() {
            *value = Json::Object(Map::new());
        }
        match value {
            Json::Object(map) => map,
            _ => unreachable!("it was made an object above"),
        }
    }

    pub(crate) fn set_section(&mut self, name: &str, value: Json) {
        Rc::make_mut(&mut self.meta).insert(name.to_owned(), value);
    }

    /// A section that is a list of mappings, or one mapping.
    pub(crate) fn list_section(&self, name: &str) -> Vec<&Map<String, Json>> {
        match lookup(&self.meta, name) {
            Some(Json::Object(map)) if !map.is_empty() => vec![map],
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_object).collect(),
            _ => Vec::new(),
        }
    }

    /// `get_value`: null is nothing, and text that YAML 1.1 would read as a truth value is one.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<Cow<'_, Json>> {
        let value = match section {
            "source" => lookup(self.list_section("source").first()?, key)?,
            _ => lookup(self.section(section)?, key)?,
        };
        match value {
            Json::Null => None,
            Json::String(text) => Some(match truth_word(text) {
                Some(flag) => Cow::Owned(Json::Bool(flag)),
                None => Cow::Borrowed(value),
            }),
            other => Some(Cow::Borrowed(other)),
        }
    }

    /// A value as text.
    pub(crate) fn text(&self, section: &str, key: &str) -> Option<Cow<'_, str>> {
        Some(match self.value(section, key)? {
            Cow::Borrowed(Json::String(text)) => Cow::Borrowed(text),
            other => Cow::Owned(text_of(&other)),
        })
    }

    pub(crate) fn flag(&self, section: &str, key: &str) -> bool {
        self.value(section, key).is_some_and(|value| is_true(&value))
    }

    pub(crate) fn list(&self, section: &str, key: &str) -> Vec<String> {
        self.value(section, key).map(|value| list_of_text(&value)).unwrap_or_default()
    }

    /// The name, unchecked.
    pub(crate) fn plain_name(&self) -> Cow<'_, str> {
        self.text("package", "name").unwrap_or_default()
    }

    /// The version, unchecked.
    pub(crate) fn plain_version(&self) -> Cow<'_, str> {
        self.text("package", "version").unwrap_or_default()
    }

    pub(crate) fn name(&self, session: &Session<'_>) -> Result<String, Fail> {
        let name = self.plain_name();
        let fail = |message: String, help: &str| {
            Err(Fail::user(self.mistake(session, &["package", "name"], message, Some(help))))
        };
        if name.is_empty() && self.is_final {
            return fail("the package has no name".to_owned(), "add `name` under `package`");
        }
        if name.contains(|c: char| !c.is_ascii_lowercase()) && name != name.to_lowercase() {
            return fail(
                format!("the package name `{name}` is not lower case"),
                "package names are lower case; in a template, the filter `lower` helps",
            );
        }
        self.check_characters(session, &name, &["package", "name"], "package name", "-.")?;
        Ok(name.into_owned())
    }

    pub(crate) fn version(&self, session: &Session<'_>) -> Result<String, Fail> {
        let version = self.plain_version();
        if version.is_empty() && self.list_section("outputs").is_empty() && self.is_final {
            return Err(Fail::user(self.mistake(
                session,
                &["package", "version"],
                "the package has no version",
                Some("add `version` under `package`"),
            )));
        }
        self.check_characters(session, &version, &["package", "version"], "version", "!")?;
        if self.is_final && version.starts_with('.') {
            return Err(Fail::fatal(self.mistake(
                session,
                &["package", "version"],
                format!("the version `{version}` begins with a dot"),
                Some("an undefined name in the version may be the cause"),
            )));
        }
        Ok(version.into_owned())
    }

    fn check_characters(
        &self,
        session: &Session<'_>,
        value: &str,
        path: &[&str],
        what: &str,
        allowed: &str,
    ) -> Result<(), Fail> {
        let is_bad = |c: &char| {
            let is_special = c.is_ascii() && !c.is_ascii_alphanumeric() && "=@#$%^&*:;\"'\\|<>?/ -!".contains(*c);
            is_special && !allowed.contains(*c)
        };
        let bad: BTreeSet<char> = value.chars().filter(is_bad).collect();
        if bad.is_empty() {
            return Ok(());
        }
        let list: Vec<String> =
            bad.iter().map(|c| if *c == ' ' { "a blank".to_owned() } else { format!("`{c}`") }).collect();
        let help = if what == "version" && bad.contains(&'-') {
            "write `_` or `.` in place of `-`: `{{ version.replace('-', '_') }}`"
        } else {
            "letters, digits, `.`, `_` and `+` are safe"
        };
        Err(Fail::user(self.mistake(
            session,
            path,
            format!("the {what} `{value}` holds {}, which it may not", list.join(" and ")),
            Some(help),
        )))
    }

    pub(crate) fn build_number(&self, session: &Session<'_>) -> Result<u64, Fail> {
        let Some(value) = self.value("build", "number") else { return Ok(0) };
        if !is_true(&value) {
            return Ok(0);
        }
        let fail = |what: &str| {
            Err(Fail::fatal(self.mistake(
                session,
                &["build", "number"],
                format!("the build number `{}` is {what}", text_of(&value)),
                Some("a build number is a whole number, 0 or more"),
            )))
        };
        let number = match &*value {
            Json::Bool(flag) => Some(i64::from(*flag)),
            Json::Number(number) => number.as_i64(),
            Json::String(text) => crate::v0::python::parse_int(text, 10),
            _ => None,
        };
        match number.map(u64::try_from) {
            Some(Ok(number)) => Ok(number),
            Some(Err(_)) => fail("negative"),
            None => fail("no integer"),
        }
    }

    pub(crate) fn skip(&self) -> bool {
        self.flag("build", "skip")
    }

    /// `noarch` as written: text, or true.
    pub(crate) fn noarch(&self) -> Option<Cow<'_, Json>> {
        self.value("build", "noarch").filter(|value| is_true(value))
    }

    pub(crate) fn noarch_python(&self) -> bool {
        self.flag("build", "noarch_python")
    }

    pub(crate) fn is_noarch(&self) -> bool {
        self.noarch().is_some() || self.noarch_python()
    }

    pub(crate) fn python_version_independent(&self) -> bool {
        self.flag("build", "python_version_independent")
            || self.value("build", "noarch").is_some_and(|value| value.as_str() == Some("python"))
            || self.noarch_python()
    }

    /// Whether this is an output with a name of its own.
    pub(crate) fn is_output(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| !parent.name.is_empty() && parent.name != self.plain_name())
    }

    /// One of the lists of requirements, without empty items.
    pub(crate) fn requirements(&self, environment: &str) -> Vec<String> {
        let mut list = self.list("requirements", environment);
        list.retain(|spec| !spec.is_empty());
        list
    }

    /// `get_depends_top_and_out`: with those that the output of the same name has.
    pub(crate) fn requirements_with_output(&self, environment: &str) -> Vec<String> {
        let mut list = self.requirements(environment);
        if !self.is_output() {
            let name = self.plain_name();
            let same = self
                .list_section("outputs")
                .into_iter()
                .find(|output| output.get("name").map(text_of).unwrap_or_default() == *name);
            if let Some(requirements) = same.and_then(|output| output.get("requirements")) {
                let names: BTreeSet<String> = list.iter().filter_map(|spec| first_word(spec)).collect();
                for spec in requirement_list(requirements, environment) {
                    if !spec.is_empty()
                        && !list.contains(&spec)
                        && first_word(&spec).is_none_or(|name| !names.contains(&name))
                    {
                        list.push(spec);
                    }
                }
            }
        }
        let mut unique: Vec<String> = Vec::with_capacity(list.len());
        for spec in list {
            if !unique.contains(&spec) {
                unique.push(spec);
            }
        }
        unique
    }

    /// Whether there is a host environment.
    pub(crate) fn is_cross(&self) -> bool {
        self.section("requirements").is_some_and(|section| lookup(section, "host").is_some())
            || !self.requirements_with_output("host").is_empty()
    }

    pub(crate) fn build_is_host(&self, session: &Session<'_>) -> bool {
        if let Some(Json::Bool(flag)) = self.value("build", "merge_build_host").as_deref() {
            return *flag;
        }
        self.namespace(session).host_subdir == session.build_platform
            && self.section("requirements").is_none_or(|section| lookup(section, "host").is_none())
            && !self
                .requirements_text(session, false)
                .is_ok_and(|text| text.contains("compiler(") && uses_compiler(&text))
    }

    /// Requirements as they are asked of the solver.
    pub(crate) fn solver_specs(&self, session: &Session<'_>, environment: &str) -> Result<Vec<String>, Fail> {
        let specs = self.specs(session, environment)?;
        Ok(specs.iter().map(|spec| complete(&spec.text())).collect())
    }

    /// Requirements, parsed (metadata.py `ms_depends`).
    pub(crate) fn specs(&self, session: &Session<'_>, environment: &str) -> Result<Vec<Rc<Spec>>, Fail> {
        let value = self.value("requirements", environment);
        let items = match value.as_deref() {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items.as_slice(),
            Some(other) => std::slice::from_ref(other),
        };
        let own_name = self.plain_name();
        let cross = || self.namespace(session).host_subdir != session.build_platform;
        let mut specs: Vec<Rc<Spec>> = Vec::with_capacity(items.len());
        let mut failures = Vec::new();
        for (position, item) in items.iter().enumerate() {
            // The same text twice is one requirement.
            if !is_true(item) || items[..position].contains(item) {
                continue;
            }
            let mistake = |message: String, help: &str| {
                let path = ["requirements", environment, &position.to_string()];
                self.mistake(session, &path, message, Some(help))
            };
            let Some(text) = item.as_str() else {
                failures.push(Fail::fatal(mistake(
                    format!("`requirements/{environment}` holds something that is no text"),
                    "each requirement is one line of text: a name, and perhaps a version and a build",
                )));
                continue;
            };
            let spec = match session.spec(text) {
                Ok(spec) => spec,
                Err(reason) => {
                    if self.undefined.is_empty() {
                        let help = "write `name`, `name 1.2.*` or `name >=1.2,<2`";
                        failures.push(Fail::fatal(mistake(reason, help)));
                    }
                    continue;
                }
            };
            if spec.name == own_name && !(environment == "build" && cross()) {
                failures.push(Fail::fatal(mistake(
                    format!("`{own_name}` depends on itself"),
                    "take it out of the requirements, or give it to another output",
                )));
                continue;
            }
            if spec.name.contains('*') {
                let message = format!("the package name `{}` holds `*`", spec.name);
                failures.push(Fail::user(mistake(message, "a requirement names one package")));
                continue;
            }
            let mut words = text.split_whitespace();
            if let Some(operator) =
                words.nth(1).filter(|word| matches!(*word, ">" | ">=" | "=" | "==" | "!=" | "<" | "<="))
            {
                let fixed = words.next().map(|version| format!("{operator}{version}")).unwrap_or_default();
                let help = format!("write `{} {fixed}`", spec.name);
                failures.push(Fail::user(mistake(format!("`{text}` has a blank behind `{operator}`"), &help)));
                continue;
            }
            specs.push(spec);
        }
        Fail::all(failures).map(|()| specs)
    }

    /// A recipe that looks into its source while it renders gets it first (render.py `try_download`): a folder that is
    /// not there is a mistake then and there.
    pub(crate) fn check_source_for_rendering(&self, session: &Session<'_>) -> Result<(), Fail> {
        const READERS: [&str; 4] = ["load_setup_py_data", "load_setuptools", "load_file_regex", "load_file_data"];
        let sources = self.list_section("source");
        let is_local = |source: &&Map<String, Json>| {
            source.contains_key("path")
                && !["url", "git_url", "hg_url", "svn_url"].iter().any(|key| source.contains_key(*key))
        };
        if !sources.iter().all(is_local)
            || !(uses_checkout(&session.text) || READERS.iter().any(|name| session.text.contains(name)))
        {
            return Ok(());
        }
        for source in sources {
            let text = source.get("path").map(text_of).unwrap_or_default();
            let path = session.folder.join(&text);
            if !session.world.is_dir(&path) && !session.world.is_file(&path) {
                return Err(Fail::fatal(self.mistake(
                    session,
                    &["source"],
                    format!("the source `{text}` is not there, and the recipe needs it to be rendered"),
                    Some("`GIT_…` variables and `load_…` functions look into the source; see `source: path`"),
                )));
            }
        }
        Ok(())
    }

    /// Where the first source is or comes from.
    pub(crate) fn source_place(&self, session: &Session<'_>) -> Option<PathBuf> {
        let sources = self.list_section("source");
        let source = sources.first()?;
        let text = |key: &str| source.get(key).map(text_of).filter(|text| !text.is_empty() && text != "None");
        if let Some(path) = text("path") {
            return Some(session.folder.join(path));
        }
        let url = text("git_url")?;
        let local = !url.contains(':');
        Some(if local { session.folder.join(url) } else { PathBuf::from(url) })
    }
}

/// Whether a recipe names facts of a checkout: `GIT_…`, `SVN_…`, `HG_…` (metadata.py `uses_vcs_in_meta`).
fn uses_checkout(text: &str) -> bool {
    ["GIT_", "SVN_", "HG_"].iter().any(|prefix| {
        text.match_indices(prefix).any(|(at, _)| {
            let next = text[at + prefix.len()..].chars().next();
            next.is_some_and(|c| !c.is_whitespace() && !".'\"".contains(c))
        })
    })
}

/// A value of a mapping of a recipe. Most are so small that to go through them is quicker than to hash the key.
pub(crate) fn lookup<'m>(map: &'m Map<String, Json>, key: &str) -> Option<&'m Json> {
    if map.len() > 16 {
        return map.get(key);
    }
    map.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
}

/// The same, to change it.
pub(crate) fn lookup_mut<'m>(map: &'m mut Map<String, Json>, key: &str) -> Option<&'m mut Json> {
    if map.len() > 16 {
        return map.get_mut(key);
    }
    map.iter_mut().find(|(known, _)| *known == key).map(|(_, value)| value)
}

/// What YAML 1.1 would read text as, if as a truth value.
fn truth_word(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text.len() {
        1..=5 if is(&["y", "on", "true", "yes"]) => Some(true),
        1..=5 if is(&["n", "no", "false", "off"]) => Some(false),
        _ => None,
    }
}

pub(crate) fn is_true(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(flag) => *flag,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(items) => !items.is_empty(),
    }
}

/// The first word of a requirement.
pub(crate) fn first_word(spec: &str) -> Option<String> {
    spec.split_whitespace().next().map(str::to_owned)
}

/// A list of requirements of an output's `requirements`: a list fills host and run (utils.py `expand_reqs`).
pub(crate) fn requirement_list(requirements: &Json, environment: &str) -> Vec<String> {
    match requirements {
        Json::Object(sections) => sections.get(environment).map(list_of_text).unwrap_or_default(),
        Json::Null => Vec::new(),
        other if environment == "host" || environment == "run" => list_of_text(other),
        _ => Vec::new(),
    }
}

/// The same as a mapping.
pub(crate) fn expand_requirements(requirements: Option<&Json>) -> Map<String, Json> {
    let list = |value: &Json| match value {
        Json::Null => Json::Array(Vec::new()),
        Json::Array(_) => value.clone(),
        Json::Object(map) => Json::Array(map.keys().map(|key| Json::String(key.clone())).collect()),
        other => Json::Array(vec![other.clone()]),
    };
    match requirements {
        None | Some(Json::Null) => Map::new(),
        Some(Json::Object(sections)) => sections.iter().map(|(key, value)| (key.clone(), list(value))).collect(),
        Some(other) => {
            let items = list(other);
            if items.as_array().is_none_or(Vec::is_empty) {
                return Map::new();
            }
            [("host".to_owned(), items.clone()), ("run".to_owned(), items)].into_iter().collect()
        }
    }
}

/// The outputs as written, with one for the top level where it is a package too, and the top level merged into the one
/// of its name (metadata.py `get_output_dicts_from_metadata`).
pub(crate) fn output_dicts(
    meta: &mut Meta,
    session: &Session<'_>,
    outputs: Vec<Map<String, Json>>,
) -> Result<Vec<Map<String, Json>>, Fail> {
    let name = meta.name(session)?;
    let mut outputs =
        if outputs.is_empty() { meta.list_section("outputs").into_iter().cloned().collect() } else { outputs };
    let named = |name: &str| -> Map<String, Json> {
        [("name".to_owned(), Json::String(name.to_owned()))].into_iter().collect()
    };
    let has_own = outputs.iter().any(|output| lookup(output, "name").map(text_of).unwrap_or_default() == name);
    if outputs.is_empty() || (!has_own && meta.uses_subpackage(session)?) {
        outputs.push(named(&name));
    }
    let is_top = meta.recipe_text(session, false, true)?.contains("package:");
    for output in &mut outputs {
        if is_top && lookup(output, "name").map(text_of).as_deref() == Some(name.as_str()) {
            merge_top_level(meta, output);
        }
    }
    Ok(outputs)
}

/// `combine_top_level_metadata_with_output`.
pub(crate) fn merge_top_level(meta: &mut Meta, output: &mut Map<String, Json>) {
    for section in ["requirements", "build", "about"] {
        let top = lookup(&meta.meta, section).filter(|top| top.is_object());
        let own = match lookup(output, section) {
            requirements if section == "requirements" => {
                expand_requirements(requirements.filter(|value| is_true(value)))
            }
            Some(Json::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        // Where only the top level says something, it stays as it is.
        if let Some(top) = top
            && own.is_empty()
        {
            output.insert(section.to_owned(), top.clone());
            continue;
        }
        let mut merged = own;
        for (key, value) in top.and_then(Json::as_object).into_iter().flatten() {
            if !merged.contains_key(key) {
                merged.insert(key.clone(), value.clone());
            }
        }
        output.insert(section.to_owned(), Json::Object(merged.clone()));
        meta.set_section(section, Json::Object(merged));
    }
    meta.used = RefCell::default();
}
