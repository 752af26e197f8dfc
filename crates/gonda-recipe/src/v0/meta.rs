//! A recipe, or one output of it, under one variant: its parsed text and what follows from it (metadata.py `MetaData`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use regex::Regex;
use serde_json::{Map, Value as Json};

use super::context::JinjaContext;
use super::error::{Fail, SourceMap, at_line, in_file, yaml_message};
use super::extract;
use super::hash;
use super::jinja::Template;
use super::selector::SelectableText;
use super::session::{Namespace, Parsed, Session, Uses};
use super::spec::Spec;
use super::used;
use super::variant::{Variant, list_of_text, text_of};
use super::yaml::{self, Flavor};
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

/// An output as written, rendered, and what became of it.
#[derive(Clone)]
pub(crate) struct OutputEntry {
    pub(crate) dict: Map<String, Json>,
    pub(crate) meta: Rc<RefCell<Meta>>,
}

/// Outputs by name and used variant.
pub(crate) type Outputs = IndexMap<(String, BTreeMap<String, Json>), OutputEntry>;

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
    /// Solved environments, when finalising for good.
    pub(crate) resolved: Option<Rc<Resolved>>,
    pub(crate) used: RefCell<Option<BTreeSet<String>>>,
}

/// The type of an output that says none.
pub(crate) const CONDA: &str = ".conda";

const SECTIONS: [&str; 9] = ["package", "source", "build", "outputs", "requirements", "app", "test", "about", "extra"];

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
            resolved: None,
            used: RefCell::default(),
        }
    }

    /// A copy that may be changed (metadata.py `copy`).
    pub(crate) fn copied(&self) -> Self {
        let mut copy = self.clone();
        copy.kind = Some(copy.kind.unwrap_or_else(|| CONDA.to_owned()));
        copy.used = RefCell::default();
        copy
    }

    pub(crate) fn set_variant(&mut self, variant: Arc<Variant>) {
        self.config.variant = variant;
        self.used = RefCell::default();
    }

    pub(crate) fn namespace(&self, session: &Session<'_>) -> Rc<Namespace> {
        session.namespace(&self.config.variant, self.config.noarch)
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
        self.meta.get(name).and_then(Json::as_object)
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
        match self.meta.get(name) {
            Some(Json::Object(map)) if !map.is_empty() => vec![map],
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_object).collect(),
            _ => Vec::new(),
        }
    }

    /// `get_value`: null is nothing, and text that YAML 1.1 would read as a truth value is one.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<Json> {
        let value = match section {
            "source" => self.list_section("source").first()?.get(key)?,
            _ => self.section(section)?.get(key)?,
        };
        match value {
            Json::Null => None,
            Json::String(text) => Some(match text.to_lowercase().as_str() {
                "y" | "on" | "true" | "yes" => Json::Bool(true),
                "n" | "no" | "false" | "off" => Json::Bool(false),
                _ => value.clone(),
            }),
            other => Some(other.clone()),
        }
    }

    pub(crate) fn flag(&self, section: &str, key: &str) -> bool {
        self.value(section, key).is_some_and(|value| is_true(&value))
    }

    pub(crate) fn list(&self, section: &str, key: &str) -> Vec<String> {
        self.value(section, key).map(|value| list_of_text(&value)).unwrap_or_default()
    }

    /// The name, unchecked.
    pub(crate) fn plain_name(&self) -> String {
        self.value("package", "name").map(|name| text_of(&name)).unwrap_or_default()
    }

    /// The version, unchecked.
    pub(crate) fn plain_version(&self) -> String {
        self.value("package", "version").map(|version| text_of(&version)).unwrap_or_default()
    }

    pub(crate) fn name(&self, session: &Session<'_>) -> Result<String, Fail> {
        let name = self.plain_name();
        let fail = |message: String, help: &str| {
            Err(Fail::user(self.mistake(session, &["package", "name"], message, Some(help))))
        };
        if name.is_empty() && self.is_final {
            return fail("the package has no name".to_owned(), "add `name` under `package`");
        }
        if name != name.to_lowercase() {
            return fail(
                format!("the package name `{name}` is not lower case"),
                "package names are lower case; in a template, the filter `lower` helps",
            );
        }
        self.check_characters(session, &name, &["package", "name"], "package name", "-.")?;
        Ok(name)
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
        Ok(version)
    }

    fn check_characters(
        &self,
        session: &Session<'_>,
        value: &str,
        path: &[&str],
        what: &str,
        allowed: &str,
    ) -> Result<(), Fail> {
        let bad: BTreeSet<char> =
            value.chars().filter(|c| "=@#$%^&*:;\"'\\|<>?/ -!".contains(*c) && !allowed.contains(*c)).collect();
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
        let number = match &value {
            Json::Bool(flag) => Some(i64::from(*flag)),
            Json::Number(number) => number.as_i64(),
            Json::String(text) => super::python::parse_int(text, 10),
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
    pub(crate) fn noarch(&self) -> Option<Json> {
        self.value("build", "noarch").filter(is_true)
    }

    pub(crate) fn noarch_python(&self) -> bool {
        self.flag("build", "noarch_python")
    }

    pub(crate) fn is_noarch(&self) -> bool {
        self.noarch().is_some() || self.noarch_python()
    }

    pub(crate) fn python_version_independent(&self) -> bool {
        self.flag("build", "python_version_independent")
            || self.value("build", "noarch").as_ref().and_then(Json::as_str) == Some("python")
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
                .find(|output| output.get("name").map(text_of).unwrap_or_default() == name);
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
        self.section("requirements").is_some_and(|section| section.contains_key("host"))
            || !self.requirements_with_output("host").is_empty()
    }

    pub(crate) fn build_is_host(&self, session: &Session<'_>) -> bool {
        if let Some(Json::Bool(flag)) = self.value("build", "merge_build_host") {
            return flag;
        }
        self.namespace(session).host_subdir == session.build_platform
            && !self.section("requirements").is_some_and(|section| section.contains_key("host"))
            && !self
                .requirements_text(session, false)
                .is_ok_and(|text| text.contains("compiler(") && uses_compiler(&text))
    }

    /// Requirements, parsed (metadata.py `ms_depends`).
    pub(crate) fn specs(&self, session: &Session<'_>, environment: &str) -> Result<Vec<Spec>, Fail> {
        let value = self.value("requirements", environment);
        let items = match &value {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items.as_slice(),
            Some(other) => std::slice::from_ref(other),
        };
        let own_name = self.plain_name();
        let cross = || self.namespace(session).host_subdir != session.build_platform;
        let mut specs: Vec<Spec> = Vec::with_capacity(items.len());
        for (position, item) in items.iter().enumerate() {
            // The same text twice is one requirement.
            if !is_true(item) || items[..position].contains(item) {
                continue;
            }
            let position = position.to_string();
            let mistake = |message: String, help: &str| {
                let path = ["requirements", environment, position.as_str()];
                Fail::fatal(self.mistake(session, &path, message, Some(help)))
            };
            let Some(text) = item.as_str() else {
                return Err(mistake(
                    format!("`requirements/{environment}` holds something that is no text"),
                    "each requirement is one line of text: a name, and perhaps a version and a build",
                ));
            };
            let spec = match Spec::parse(text) {
                Ok(spec) => spec,
                Err(reason) if self.undefined.is_empty() => {
                    return Err(mistake(reason, "write `name`, `name 1.2.*` or `name >=1.2,<2`"));
                }
                Err(_) => continue,
            };
            if spec.name == own_name && !(environment == "build" && cross()) {
                return Err(mistake(
                    format!("`{own_name}` depends on itself"),
                    "take it out of the requirements, or give it to another output",
                ));
            }
            let mut words = text.split_whitespace();
            if let Some(operator) =
                words.nth(1).filter(|word| matches!(*word, ">" | ">=" | "=" | "==" | "!=" | "<" | "<="))
            {
                let fixed = words.next().map(|version| format!("{operator}{version}")).unwrap_or_default();
                let path = ["requirements", environment, position.as_str()];
                return Err(Fail::user(self.mistake(
                    session,
                    &path,
                    format!("`{text}` has a blank behind `{operator}`"),
                    Some(&format!("write `{} {fixed}`", spec.name)),
                )));
            }
            specs.push(spec);
        }
        Ok(specs)
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

    // ---- text

    /// `get_recipe_text`: the recipe's text, or the output's.
    pub(crate) fn recipe_text(&self, session: &Session<'_>, top_level: bool, selectors: bool) -> Result<Rc<str>, Fail> {
        let text: Rc<str> = if self.is_output() && !top_level {
            Rc::from(self.output_text(session, true)?)
        } else {
            session.text.clone()
        };
        self.selected(session, &text, selectors)
    }

    fn selected(&self, session: &Session<'_>, text: &str, selectors: bool) -> Result<Rc<str>, Fail> {
        if !selectors {
            let whole = std::ptr::eq(text, &raw const *session.text);
            return Ok(if whole { session.trimmed.clone() } else { Rc::from(text.trim_end()) });
        }
        Ok(session.select(text, &self.namespace(session))?.trimmed())
    }

    fn outputs_text(&self, session: &Session<'_>, selectors: bool) -> Result<Rc<str>, Fail> {
        self.selected(session, session.raw_outputs(), selectors)
    }

    /// The block of this output, found by its place among the outputs (`extract_single_output_text`).
    pub(crate) fn output_text(&self, session: &Session<'_>, selectors: bool) -> Result<String, Fail> {
        let text = self.outputs_text(session, selectors)?;
        let blocks = extract::output_blocks(&text);
        let name = self.plain_name();
        let outputs = self.list_section("outputs");
        let index = if outputs.is_empty() {
            Some(0)
        } else {
            outputs.iter().position(|output| {
                let output_name = output.get("name").map_or_else(|| name.clone(), text_of);
                let kind = output.get("type").map_or_else(|| CONDA.to_owned(), text_of);
                output_name == name && self.kind.as_ref().is_none_or(|own| *own == kind)
            })
        };
        Ok(match index {
            Some(_) if blocks.is_empty() => String::new(),
            // conda-build dies where a template makes more outputs than there are blocks. The block is then the one that
            // an output's name fits.
            Some(_) if blocks.len() < outputs.len() => block_named(&blocks, &name).to_owned(),
            Some(index) => blocks.get(index).map_or_else(String::new, |block| (*block).to_owned()),
            None => name,
        })
    }

    pub(crate) fn requirements_text(&self, session: &Session<'_>, top_level: bool) -> Result<Rc<str>, Fail> {
        let whole = self.recipe_text(session, top_level, true)?;
        let raw: Rc<str> = if self.is_output() && !top_level {
            Rc::from(self.output_text(session, true)?)
        } else {
            session.text.clone()
        };
        let part = if whole.contains("package:") {
            extract::top_requirements(&raw)
        } else {
            extract::output_requirements(&raw)
        };
        self.selected(session, part, true)
    }

    pub(crate) fn package_and_build_text(&self, session: &Session<'_>) -> Result<Rc<str>, Fail> {
        let raw: Rc<str> =
            if self.is_output() { Rc::from(self.output_text(session, true)?) } else { session.text.clone() };
        self.selected(session, extract::package_and_build(&raw), true)
    }

    /// Whether `numpy x.x` or a pin of two places makes numpy a part of the build string.
    pub(crate) fn numpy_xx(&self, session: &Session<'_>) -> Result<bool, Fail> {
        static NUMPY: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"(numpy\s*x\.x)|pin_compatible\(['"]numpy.*max_pin=['"]x\.x['"]"#).ok());
        let text = self.requirements_text(session, false)?;
        Ok(text.contains("numpy") && NUMPY.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
    }

    /// Whether the requirements pin numpy with another number of places than two.
    fn numpy_pinned_otherwise(&self, session: &Session<'_>) -> Result<(bool, bool), Fail> {
        static PIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"pin_\w+\(['"]numpy['"]"#).ok());
        static PLACES: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"pin_\w+\(['"]numpy['"].*x_pin=['"]([x.]*)['"]"#).ok());
        let text = self.requirements_text(session, false)?;
        if !PIN.as_ref().is_some_and(|pattern| pattern.is_match(&text)) {
            return Ok((false, true));
        }
        let places =
            PLACES.as_ref().and_then(|pattern| pattern.captures(&text)).map(|found| found[1].matches('x').count());
        Ok((true, places.is_none_or(|places| places != 2)))
    }

    /// Whether the requirements' text pins a package with `pin_compatible("…")`.
    pub(crate) fn pins_in_text(&self, session: &Session<'_>, package: &str) -> bool {
        let Ok(text) = self.requirements_text(session, false) else { return false };
        text.match_indices("pin_compatible").any(|(at, word)| {
            text[at + word.len()..]
                .trim_start()
                .strip_prefix('(')
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix(['"', '\'']))
                .and_then(|rest| rest.strip_prefix(package))
                .is_some_and(|rest| rest.starts_with(['"', '\'']))
        })
    }

    /// Whether the top level needs one of the outputs, so that it becomes a package itself.
    pub(crate) fn uses_subpackage(&self, session: &Session<'_>) -> Result<bool, Fail> {
        static PIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{\{\s*pin_subpackage\(.*\)\s*\}\}").ok());
        let run = self.requirements_with_output("run");
        for output in self.list_section("outputs") {
            if let Some(name) = output.get("name").map(text_of)
                && run.iter().any(|spec| first_word(spec).as_deref() == Some(name.as_str()))
            {
                return Ok(true);
            }
        }
        let text = self.requirements_text(session, true)?;
        Ok(PIN.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
    }

    // ---- used variables, hash and build string

    /// The keys of the variant that are used (metadata.py `get_used_vars`).
    pub(crate) fn used_vars(&self, session: &Session<'_>, global: bool) -> Result<BTreeSet<String>, Fail> {
        if !global && let Some(used) = self.used.borrow().as_ref() {
            return Ok(used.clone());
        }
        let mut used = self.used_in_recipe(session, global)?;
        let is_output = !self.recipe_text(session, false, true)?.contains("package:");
        if is_output {
            used.extend(self.used_in_output_script(session));
        } else {
            used.extend(self.used_in_build_scripts(session));
        }
        let variant = &self.config.variant;
        if variant.contains("target_platform") && self.noarch().is_none() {
            used.insert("target_platform".to_owned());
        }
        if variant.contains("channel_targets") {
            used.insert("channel_targets".to_owned());
        }
        for key in self.list("build", "force_ignore_keys") {
            used.remove(&key);
        }
        used.extend(self.list("build", "force_use_keys"));
        if !global {
            *self.used.borrow_mut() = Some(used.clone());
        }
        Ok(used)
    }

    fn used_in_recipe(&self, session: &Session<'_>, global: bool) -> Result<BTreeSet<String>, Fail> {
        let uses = self.uses(session, global)?;
        if global {
            return Ok(uses.all.clone());
        }
        let mut used: BTreeSet<String> = uses.all.difference(&uses.in_requirements).cloned().collect();
        used.extend(self.without_run_only(&uses.in_requirements));
        Ok(used)
    }

    /// What the text uses; it depends on which output this is and on the namespace alone.
    fn uses(&self, session: &Session<'_>, global: bool) -> Result<Rc<Uses>, Fail> {
        let namespace = self.namespace(session);
        let outputs = self.list_section("outputs");
        let position =
            outputs.iter().position(|output| output.get("name").map(text_of).unwrap_or_default() == self.plain_name());
        let key = format!(
            "{global} {} {} {:?} {position:?} {}",
            self.is_output(),
            self.plain_name(),
            self.kind,
            outputs.len()
        );
        if let Some(uses) = namespace.uses.borrow().get(&key) {
            return Ok(uses.clone());
        }
        let keys = self.config.variant.keys();
        let (_, text) = self.scanned_text(session, global, false)?;
        let mut all = namespace.used_in(keys, &text, true).as_ref().clone();
        let (requirements, text) = self.scanned_text(session, global, true)?;
        all.extend(namespace.used_in(keys, &text, false).iter().cloned());
        let in_requirements = if global { BTreeSet::new() } else { used::in_text(keys, &requirements, false) };
        let uses = Rc::new(Uses { all, in_requirements });
        namespace.uses.borrow_mut().insert(key, uses.clone());
        Ok(uses)
    }

    /// The text whose uses count, and the part of it that is requirements.
    fn scanned_text(&self, session: &Session<'_>, global: bool, selectors: bool) -> Result<(Rc<str>, Rc<str>), Fail> {
        if global {
            let text = self.recipe_text(session, false, selectors)?;
            return Ok((text.clone(), text));
        }
        let text: Rc<str> = if self.is_output() {
            Rc::from(self.output_text(session, selectors)?)
        } else {
            let whole = self.recipe_text(session, false, selectors)?;
            let outputs = self.outputs_text(session, selectors)?;
            let outputs = outputs.trim();
            if outputs.is_empty() && self.list_section("outputs").is_empty() {
                whole
            } else {
                let without = if outputs.is_empty() { whole.to_string() } else { whole.replace(outputs, "") };
                Rc::from(without + &self.output_text(session, selectors)?)
            }
        };
        let requirements = Rc::from(extract::requirements_part(&text));
        Ok((requirements, text))
    }

    /// Without what stands in run alone, and what stands in build alone and is to be ignored there
    /// (`trim_build_only_deps`).
    fn without_run_only(&self, used: &BTreeSet<String>) -> BTreeSet<String> {
        let names = |environment: &str| -> BTreeSet<String> {
            self.requirements(environment)
                .iter()
                .filter_map(|spec| first_word(spec))
                .map(|name| name.replace('-', "_"))
                .collect()
        };
        let (build, host) = (names("build"), names("host"));
        let run: Vec<String> = self.requirements("run");
        let ignored = self.config.variant.list("ignore_build_only_deps");
        used.iter()
            .filter(|key| {
                if run.contains(key) {
                    build.contains(*key) || host.contains(*key)
                } else {
                    !(build.contains(*key) && !host.contains(*key) && ignored.contains(key))
                }
            })
            .cloned()
            .collect()
    }

    fn used_in_build_scripts(&self, session: &Session<'_>) -> BTreeSet<String> {
        let keys = self.config.variant.keys();
        let mut found = BTreeSet::new();
        if let Some(text) = session.read(&session.folder.join("build.sh")) {
            found.extend(used::in_shell_script(keys, &text));
        }
        if session.build_platform.starts_with("win-")
            && let Some(text) = session.read(&session.folder.join("bld.bat"))
        {
            found.extend(used::in_batch_script(keys, &text));
        }
        found
    }

    fn used_in_output_script(&self, session: &Session<'_>) -> BTreeSet<String> {
        let keys = self.config.variant.keys();
        // No build string is made on the way: that would ask for the used keys again.
        let contents = Contents { allow_no_other_outputs: true, skip_build_id: true, ..Contents::default() };
        let outputs = self.rendered_outputs(session, &contents);
        let name = self.plain_name();
        let output = outputs.ok().and_then(|outputs| {
            outputs.into_iter().find(|output| output.get("name").map(text_of).as_deref() == Some(&*name))
        });
        let Some(script) = output.as_ref().and_then(|output| output.get("script")).and_then(Json::as_str) else {
            return BTreeSet::new();
        };
        let Some(text) = session.read(&session.folder.join(script)) else { return BTreeSet::new() };
        if script.ends_with(".sh") {
            used::in_shell_script(keys, &text)
        } else if script.ends_with(".bat") {
            used::in_batch_script(keys, &text)
        } else {
            BTreeSet::new()
        }
    }

    /// What the hash is made of (metadata.py `get_hash_contents`).
    pub(crate) fn hash_contents(&self, session: &Session<'_>) -> Result<BTreeMap<String, Json>, Fail> {
        let used = self.used_vars(session, false)?;
        let variant = &self.config.variant;
        let mut excluded: Vec<String> =
            ["python", "r_base", "perl", "lua"].iter().map(|key| (*key).to_owned()).collect();
        excluded.extend(variant.list("ignore_version"));
        if used.contains("numpy") {
            let (pinned, otherwise) = self.numpy_pinned_otherwise(session)?;
            if self.numpy_xx(session)? || (pinned && !otherwise) {
                excluded.push("numpy".to_owned());
            }
        }
        let mut contents = BTreeMap::new();
        for key in used {
            let value = self.used_value(session, &key)?;
            let value_has_blank = value.as_str().is_some_and(|text| text.contains(' '));
            if value_has_blank || !excluded.iter().any(|excluded| matches_prefix(excluded, &key)) {
                contents.insert(key, value.clone());
            }
        }
        if contents.len() == 1 && contents.contains_key("target_platform") {
            contents.clear();
        }
        for spec in self.requirements("run").into_iter().filter(|spec| spec.starts_with("__")) {
            let name = spec.split(' ').next().unwrap_or_default().to_owned();
            contents.insert(name, Json::String(spec));
        }
        Ok(contents)
    }

    pub(crate) fn hash(&self, session: &Session<'_>) -> Result<Option<String>, Fail> {
        Ok(hash::hash(&self.hash_contents(session)?))
    }

    /// The build string (metadata.py `build_id`).
    pub(crate) fn build_id(&self, session: &Session<'_>) -> Result<String, Fail> {
        static MADE_HERE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"h\{\{\s*PKG_HASH\s*\}\}").ok());
        static HASH: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("h[0-9a-f]{7}").ok());
        let manual = self.value("build", "string").filter(is_true);
        let text = self.package_and_build_text(session)?;
        if manual.is_none() && text.is_empty() {
            return Err(Fail::fatal(in_file(
                &session.file,
                "the recipe says nothing of a package",
                Some("a recipe begins with `package:`, with `name` and `version` under it"),
            )));
        }
        if let Some(manual) = &manual {
            let with_hash =
                text.contains("string:") && MADE_HERE.as_ref().is_some_and(|pattern| pattern.is_match(&text));
            if !with_hash {
                let manual = text_of(manual);
                self.check_characters(session, &manual, &["build", "string"], "build string", "")?;
                return Ok(manual);
            }
        }
        let string = self.build_string(session)?;
        if !self.is_final {
            return Ok(string);
        }
        let hash = self.hash(session)?.unwrap_or_default();
        if let Some(pattern) = HASH.as_ref()
            && pattern.is_match(&string)
        {
            return Ok(pattern.replace_all(&string, hash.as_str()).into_owned());
        }
        Ok(match string.rsplit_once('_') {
            _ if hash.is_empty() => string,
            None => match super::python::parse_int(&string, 10) {
                Some(_) => format!("{hash}_{string}"),
                None => format!("{string}{hash}"),
            },
            Some((head, number)) => match super::python::parse_int(head, 10) {
                Some(_) => format!("{hash}_{head}_{number}"),
                None => format!("{head}{hash}_{number}"),
            },
        })
    }

    /// The build string without its hash (`build_string_from_metadata`).
    fn build_string(&self, session: &Session<'_>) -> Result<String, Fail> {
        if let Some(manual) = self.value("build", "string").filter(is_true) {
            return Ok(text_of(&manual));
        }
        const PREFIXES: [(&str, &[&str], usize); 7] = [
            ("np", &["numpy"], 2),
            ("py", &["python"], 2),
            ("pl", &["perl"], 3),
            ("lua", &["lua"], 2),
            ("r", &["r", "r-base"], 2),
            ("mro", &["mro-base"], 3),
            ("mro", &["mro-base_impl"], 3),
        ];
        let environment = if self.is_cross() { "host" } else { "build" };
        let build_names: Vec<String> = self.specs(session, environment)?.into_iter().map(|spec| spec.name).collect();
        let run_names: Vec<String> = self.specs(session, "run")?.into_iter().map(|spec| spec.name).collect();
        let pinned = |name: &str| {
            self.requirements(environment).iter().rev().find_map(|spec| {
                let mut words = spec.split_whitespace();
                (words.next() == Some(name)).then(|| words.next().map(str::to_owned)).flatten()
            })
        };
        let mut parts: Vec<String> = Vec::new();
        for (prefix, names, places) in PREFIXES {
            for run_name in &run_names {
                for name in
                    names.iter().filter(|name| *name == run_name && build_names.iter().any(|build| build == *name))
                {
                    if *name == "numpy" && !self.numpy_xx(session)? {
                        continue;
                    }
                    if self.noarch().as_ref().and_then(Json::as_str) == Some(*name)
                        || (self.noarch_python() && *name == "python")
                    {
                        parts.push(prefix.to_owned());
                        continue;
                    }
                    let mut candidates: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
                    candidates
                        .extend(names.iter().filter(|name| name.contains('-')).map(|name| name.replace('-', "_")));
                    let version = candidates
                        .iter()
                        .find_map(|name| {
                            pinned(name).or_else(|| {
                                let value = self.config.variant.text(&name.replace('-', "_"))?;
                                (!value.is_empty()).then(|| value.to_owned())
                            })
                        })
                        .unwrap_or_default();
                    let entry: String = std::iter::once(prefix).chain(version.split('.').take(places)).collect();
                    if !parts.contains(&entry) {
                        parts.push(entry);
                    }
                }
            }
        }
        let mut string = parts.concat();
        if !string.is_empty() {
            string.push('_');
        }
        let features = self.list("build", "features");
        if !features.is_empty() {
            string.push_str(&features.join("_"));
            string.push('_');
        }
        string.push_str(&self.build_number(session)?.to_string());
        Ok(string)
    }

    /// Name, version and build string, joined (metadata.py `dist`).
    pub(crate) fn dist(&self, session: &Session<'_>) -> Result<String, Fail> {
        Ok(format!("{}-{}-{}", self.name(session)?, self.version(session)?, self.build_id(session)?))
    }

    /// The used part of the variant.
    pub(crate) fn used_variant(&self, session: &Session<'_>) -> Result<BTreeMap<String, Json>, Fail> {
        let used = self.used_vars(session, false)?;
        used.into_iter().map(|key| Ok((key.clone(), self.used_value(session, &key)?.clone()))).collect()
    }

    /// The value of a key that is used.
    fn used_value(&self, session: &Session<'_>, key: &str) -> Result<&Json, Fail> {
        match self.config.variant.get(key) {
            Some(Json::Array(_)) => Err(Fail::fatal(in_file(
                &session.file,
                format!("`{key}` stands in `extend_keys`, so it is a list, and can't be used as one value"),
                Some("take it out of `extend_keys`"),
            ))),
            Some(value) => Ok(value),
            None => Err(Fail::fatal(self.mistake(
                session,
                &["build", "force_use_keys"],
                format!("`{key}` is to be used, but is no key of the variant"),
                Some("give it a value in `conda_build_config.yaml`, or take it out of `force_use_keys`"),
            ))),
        }
    }

    // ---- rendering and parsing

    /// Renders and reads the recipe anew (metadata.py `parse_again`).
    pub(crate) fn parse_again(&mut self, session: &Session<'_>, contents: &Contents) -> Result<(), Fail> {
        // conda-build reads the requirements before each rendering, for variables such as PYTHON.
        self.specs(session, if self.is_cross() { "host" } else { "build" })?;
        let parsed = self.parsed(session, contents)?;
        self.meta.clone_from(&parsed.meta);
        self.undefined.clone_from(&parsed.undefined);
        self.map = parsed.map.clone();
        self.is_final = false;
        self.used = RefCell::default();
        Ok(())
    }

    fn parsed(&self, session: &Session<'_>, contents: &Contents) -> Result<Rc<Parsed>, Fail> {
        let namespace = self.namespace(session);
        let slot = usize::from(contents.strict);
        if contents.alternative_name.is_none()
            && let Some(parsed) = &namespace.parsed.borrow()[slot]
        {
            return Ok(parsed.clone());
        }
        // Where a lenient rendering met nothing undefined and nothing unsettled, a strict one says the same.
        if slot == 1
            && contents.alternative_name.is_none()
            && let Some(parsed) = &namespace.parsed.borrow()[0]
            && parsed.undefined.is_empty()
        {
            return Ok(parsed.clone());
        }
        let first = session.select(&session.text, &namespace)?;
        let mut map = SourceMap { first: Some(first.clone()), ..SourceMap::default() };
        let template = session.template(&first.text, &map)?;
        let (rendered, dynamic) = self.render(session, &namespace, contents, &template, &map)?;
        let second = SelectableText::new(&rendered.text).select(&namespace.evaluator);
        map.rendered = Some(Rc::new(rendered));
        let second = second.map_err(|error| {
            let mut placed = error.clone();
            placed.line = map.origin(error.line);
            Fail::selector(session, 0, &placed)
        })?;
        map.second = Some(Rc::new(second));
        let text = map.second.as_ref().map_or("", |second| &second.text);
        let value = yaml::load(text, Flavor::Recipe).map_err(|error| yaml_fail(session, &map, &error))?;
        let map = Rc::new(map);
        let meta = check(session, value, &map)?;
        let undefined = map.rendered.as_ref().map(|rendered| rendered.undefined.clone()).unwrap_or_default();
        let meta = append_files(session, &namespace, meta)?;
        let parsed = Rc::new(Parsed { meta: Rc::new(meta), undefined, map, dynamic });
        if !parsed.dynamic && contents.alternative_name.is_none() {
            namespace.parsed.borrow_mut()[slot] = Some(parsed.clone());
        }
        Ok(parsed)
    }

    fn render(
        &self,
        session: &Session<'_>,
        namespace: &Namespace,
        contents: &Contents,
        template: &Template,
        map: &SourceMap,
    ) -> Result<(super::jinja::Rendered, bool), Fail> {
        let context = JinjaContext { session, meta: self, namespace, contents, dynamic: Cell::new(false) };
        let rendered =
            template.render(&context, contents.strict).map_err(|error| Fail::template(session, map, &error))?;
        Ok((rendered, context.dynamic.get()))
    }

    /// Renders a part of the recipe and reads it as YAML (`_get_contents` with a template string).
    fn render_text(&self, session: &Session<'_>, text: &str, contents: &Contents) -> Result<(Json, bool), Fail> {
        let namespace = self.namespace(session);
        let mut map = SourceMap::default();
        let template = session.template(text, &map)?;
        let (rendered, dynamic) = self.render(session, &namespace, contents, &template, &map)?;
        map.yaml = Some(Rc::from(rendered.text.as_str()));
        map.rendered = Some(Rc::new(rendered));
        let text = map.yaml.clone().unwrap_or_else(|| Rc::from(""));
        let value = yaml::load(&text, Flavor::Full).map_err(|error| yaml_fail(session, &map, &error))?;
        Ok((value, dynamic))
    }

    /// Renders until nothing more becomes defined, and strictly at last (metadata.py `parse_until_resolved`).
    pub(crate) fn parse_until_resolved(
        &mut self,
        session: &Session<'_>,
        allow_no_other_outputs: bool,
        bypass_env_check: bool,
    ) -> Result<(), Fail> {
        let is_final = self.is_final;
        let lenient = Contents { allow_no_other_outputs, bypass_env_check, ..Contents::default() };
        self.parse_again(session, &lenient)?;
        self.is_final = is_final;
        if self.skip() {
            self.is_final = true;
            return Ok(());
        }
        let mut before: BTreeSet<String> = BTreeSet::new();
        // Each turn must define something more, or it is the last.
        for _ in 0..20 {
            let now: BTreeSet<String> = self.undefined.iter().cloned().collect();
            if now == before {
                break;
            }
            before = now;
            self.parse_again(session, &lenient)?;
            self.is_final = is_final;
        }
        self.parse_again(session, &Contents { strict: true, ..lenient })?;
        self.is_final = is_final;
        Ok(())
    }

    /// The outputs as they render now (`get_rendered_outputs_section`).
    fn rendered_outputs(&self, session: &Session<'_>, contents: &Contents) -> Result<Vec<Map<String, Json>>, Fail> {
        let namespace = self.namespace(session);
        let slot = usize::from(contents.strict);
        if let Some(outputs) = &namespace.rendered_outputs.borrow()[slot] {
            return Ok(outputs.as_ref().clone());
        }
        let head = session.text.rfind("package:").map_or("", |at| &session.text[..at]);
        let head = self.selected(session, head, true)?;
        let outputs = self.outputs_text(session, true)?;
        let text = format!("{head}\n{outputs}");
        let (value, dynamic) = self.render_text(session, text.trim_end(), contents)?;
        let outputs: Vec<Map<String, Json>> = match value.get("outputs") {
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_object).cloned().collect(),
            _ => Vec::new(),
        };
        if !dynamic {
            namespace.rendered_outputs.borrow_mut()[slot] = Some(Rc::new(outputs.clone()));
        }
        Ok(outputs)
    }

    /// The output of a name as it renders now (`get_rendered_output`).
    pub(crate) fn rendered_output(
        &mut self,
        session: &Session<'_>,
        name: &str,
        strict: bool,
    ) -> Result<Option<Map<String, Json>>, Fail> {
        let contents = Contents { strict, allow_no_other_outputs: !strict, ..Contents::default() };
        let outputs = self.rendered_outputs(session, &contents)?;
        let outputs = output_dicts(self, session, outputs)?;
        Ok(outputs.into_iter().find(|output| output.get("name").map(text_of).as_deref() == Some(name)))
    }

    /// The host packages that `pin_compatible` looks among: `name version build`.
    pub(crate) fn environment_for_pins(&self, session: &Session<'_>) -> Result<Vec<String>, Fail> {
        let merged = self.build_is_host(session);
        if self.is_cross() && !merged {
            return self.environment_specs(session, "host");
        }
        let mut specs = self.environment_specs(session, "build")?;
        if merged {
            specs.extend(self.environment_specs(session, "host")?);
        }
        Ok(specs)
    }

    /// An environment's packages: as solved, or the requirements where nothing is solved.
    pub(crate) fn environment_specs(&self, session: &Session<'_>, environment: &str) -> Result<Vec<String>, Fail> {
        super::finalize::environment(self, session, environment, None, &[])
    }
}

fn yaml_fail(session: &Session<'_>, map: &SourceMap, error: &yaml::YamlError) -> Fail {
    let line = map.origin(error.line);
    let content = session.text.split('\n').nth(line);
    let (message, help) = yaml_message(error, content);
    // The column is of the rendered text; it holds only where the line is the same there.
    let column = content.filter(|content| !content.contains("{{")).map(|_| error.column);
    Fail::fatal(at_line(&session.file, &session.text, line, column, message, help))
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

/// The block whose name is the output's, or is a template that may make it.
fn block_named<'a>(blocks: &[&'a str], name: &str) -> &'a str {
    let written = |block: &str| {
        let rest = block.split_once("name:").map_or("", |(_, rest)| rest);
        let line = rest.lines().next().unwrap_or_default();
        line.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let makes = |written: &str| {
        written.split_once("{{").is_some_and(|(head, tail)| {
            let tail = tail.rsplit_once("}}").map_or("", |(_, tail)| tail);
            name.starts_with(head) && name.ends_with(tail)
        })
    };
    let exact = blocks.iter().find(|block| written(block) == name);
    exact.or_else(|| blocks.iter().find(|block| makes(&written(block)))).or(blocks.last()).copied().unwrap_or_default()
}

/// The first word of a requirement.
pub(crate) fn first_word(spec: &str) -> Option<String> {
    spec.split_whitespace().next().map(str::to_owned)
}

fn uses_compiler(text: &str) -> bool {
    text.match_indices("{{").any(|(at, _)| text[at + 2..].trim_start().starts_with("compiler("))
}

/// `re.match("EXCLUDED[\s$]?.*", key)`: any key that begins so. The excluded names are patterns there; as such they hold
/// no more than a few special characters, of which a dot is one.
fn matches_prefix(excluded: &str, key: &str) -> bool {
    if excluded.chars().any(|c| "^$*+?{}[]\\|()".contains(c)) {
        return Regex::new(&format!("^(?:{excluded})")).is_ok_and(|pattern| pattern.is_match(key));
    }
    key.len() >= excluded.len()
        && key.is_char_boundary(excluded.len())
        && excluded.chars().zip(key.chars()).all(|(a, b)| a == '.' || a == b)
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
    let has_own = outputs.iter().any(|output| output.get("name").map(text_of).unwrap_or_default() == name);
    if outputs.is_empty() || (!has_own && meta.uses_subpackage(session)?) {
        outputs.push(named(&name));
    }
    let is_top = meta.recipe_text(session, false, true)?.contains("package:");
    for output in &mut outputs {
        if is_top && output.get("name").map(text_of).as_deref() == Some(name.as_str()) {
            merge_top_level(meta, output);
        }
    }
    Ok(outputs)
}

/// `combine_top_level_metadata_with_output`.
pub(crate) fn merge_top_level(meta: &mut Meta, output: &mut Map<String, Json>) {
    for section in ["requirements", "build", "about"] {
        let mut merged = match output.get(section) {
            requirements if section == "requirements" => {
                expand_requirements(requirements.filter(|value| is_true(value)))
            }
            Some(Json::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        if let Some(top) = meta.section(section) {
            for (key, value) in top {
                if !merged.contains_key(key) {
                    merged.insert(key.clone(), value.clone());
                }
            }
        }
        output.insert(section.to_owned(), Json::Object(merged.clone()));
        meta.set_section(section, Json::Object(merged));
    }
    meta.used = RefCell::default();
}

/// Checks the shape of a parsed recipe and tidies it (metadata.py `parse` and `sanitize`).
fn check(session: &Session<'_>, value: Json, map: &SourceMap) -> Result<Map<String, Json>, Fail> {
    let place = |path: &[&str], message: String, help: &str| match map.locate(path) {
        Some(line) => at_line(&session.file, &session.text, line, None, message, Some(help)),
        None => in_file(&session.file, message, Some(help)),
    };
    let mut meta = match value {
        Json::Null => Map::new(),
        Json::Object(map) => map,
        _ => {
            return Err(Fail::fatal(in_file(
                &session.file,
                "the recipe is no mapping",
                Some("a recipe begins with `package:`, with `name` and `version` under it"),
            )));
        }
    };
    for section in SECTIONS {
        let Some(value) = meta.get_mut(section) else { continue };
        if !is_true(value) {
            *value = Json::Object(Map::new());
        }
        let fits = match value {
            Json::Object(_) => true,
            Json::Array(_) => section == "source" || section == "outputs",
            _ => false,
        };
        if fits {
            continue;
        }
        let found = if value.is_array() { "a list" } else { "text" };
        let wanted =
            if section == "source" || section == "outputs" { "a mapping or a list of mappings" } else { "a mapping" };
        let help = match section {
            "requirements" => "put the list under `build`, `host` or `run`",
            "source" => "name the kind of source: `url: …`, `git_url: …` or `path: …`",
            _ => "indent its keys below it",
        };
        return Err(Fail::fatal(place(&[section], format!("`{section}` is {found}, but must be {wanted}"), help)));
    }
    if let Some(Json::String(family)) = meta.get("about").and_then(|about| about.get("license_family"))
        && !is_license_family(family)
    {
        return Err(Fail::fatal(place(
            &["about", "license_family"],
            format!("the license family `{family}` is not known"),
            "one of AGPL, LGPL, GPL3, GPL2, GPL, BSD, MIT, APACHE, PSF, CC, MOZILLA, PUBLIC-DOMAIN, PROPRIETARY, OTHER, NONE",
        )));
    }
    if let Some(noarch) = meta.get("build").and_then(|build| build.get("noarch")).filter(|value| is_true(value)) {
        let known = matches!(noarch, Json::Bool(true)) || matches!(noarch.as_str(), Some("python" | "generic"));
        if !known {
            return Err(Fail::fatal(place(
                &["build", "noarch"],
                format!("`noarch` can't be `{}`", text_of(noarch)),
                "`noarch` is `generic` or `python`",
            )));
        }
    }
    sanitize(session, &mut meta, &place)?;
    let features = meta.get("build").and_then(|build| build.get("features")).map(list_of_text).unwrap_or_default();
    if let Some(feature) = features.iter().find(|feature| feature.contains('-')) {
        return Err(Fail::fatal(place(
            &["build", "features"],
            format!("the feature `{feature}` holds `-`, which it may not"),
            "write `_` in its place",
        )));
    }
    for (section, key) in [("requirements", "build"), ("requirements", "run"), ("test", "requires")] {
        let Some(Json::Array(items)) = meta.get(section).and_then(|value| value.get(key)) else { continue };
        if let Some(position) = items.iter().position(Json::is_object) {
            return Err(Fail::fatal(place(
                &[section, key, &position.to_string()],
                format!("`{section}/{key}` holds a mapping, but requirements are text"),
                "pip requirements can't be given here; is there a colon in the line?",
            )));
        }
    }
    for key in ["build", "host", "run", "run_constrained"] {
        let Some(Json::Array(items)) = meta.get("requirements").and_then(|value| value.get(key)) else { continue };
        if let Some(position) = items.iter().position(Json::is_null) {
            return Err(Fail::fatal(place(
                &["requirements", key, &position.to_string()],
                format!("`requirements/{key}` has an empty item"),
                "write a requirement behind the dash, or take the dash away; `{{ }}` may be empty here",
            )));
        }
    }
    Ok(meta)
}

fn sanitize(
    session: &Session<'_>,
    meta: &mut Map<String, Json>,
    place: &dyn Fn(&[&str], String, &str) -> RecipeError,
) -> Result<(), Fail> {
    let _ = session;
    let clean = |source: &mut Map<String, Json>| -> Result<(), Fail> {
        let given: Vec<&str> =
            ["git_rev", "git_branch", "git_tag"].into_iter().filter(|key| source.contains_key(*key)).collect();
        if given.len() > 1 {
            return Err(Fail::user(place(
                &["source", given[1]],
                format!("the source has several revisions: `{}`", given.join("`, `")),
                "keep one of them",
            )));
        }
        for key in ["git_branch", "git_tag"] {
            if let Some(value) = source.shift_remove(key)
                && is_true(&value)
            {
                source.insert("git_rev".to_owned(), value);
            }
        }
        Ok(())
    };
    match meta.get_mut("source") {
        Some(Json::Object(source)) => clean(source)?,
        Some(Json::Array(sources)) => {
            for source in sources {
                match source {
                    Json::Object(source) => clean(source)?,
                    _ => {
                        return Err(Fail::fatal(place(
                            &["source"],
                            "`source` holds an item that is no mapping".to_owned(),
                            "name the kind of each source: `url: …`, `git_url: …` or `path: …`",
                        )));
                    }
                }
            }
        }
        _ => {}
    }
    if let Some(Json::Array(outputs)) = meta.get("outputs")
        && let Some(position) = outputs.iter().position(|output| !output.is_object())
    {
        return Err(Fail::fatal(place(
            &["outputs", &position.to_string()],
            "`outputs` holds an item that is no mapping".to_owned(),
            "each output is a mapping that begins with `- name: …`",
        )));
    }
    for section in ["package", "build"] {
        if let Some(Json::Object(section)) = meta.get_mut(section) {
            for key in ["version", "msvc_compiler"] {
                if let Some(value) = section.get_mut(key) {
                    *value = Json::String(text_of(value));
                }
            }
        }
    }
    Ok(())
}

fn is_license_family(family: &str) -> bool {
    let bare =
        |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_punctuation() && !c.is_whitespace()).collect() };
    let upper = family.to_uppercase().replace("GENERAL PUBLIC LICENSE", "GPL");
    const FAMILIES: [&str; 15] = [
        "AGPL",
        "LGPL",
        "GPL3",
        "GPL2",
        "GPL",
        "BSD",
        "MIT",
        "APACHE",
        "PSF",
        "CC",
        "MOZILLA",
        "PUBLICDOMAIN",
        "PROPRIETARY",
        "OTHER",
        "NONE",
    ];
    let shorten = |text: &str, word: &str, by: &str| match text.find(word) {
        Some(at) => format!("{}{by}{}", &text[..at], text[at + word.len()..].trim_start_matches(' ')),
        None => text.to_owned(),
    };
    let upper = shorten(&shorten(&upper, "LESSER", "L"), "AFFERO", "A");
    FAMILIES.contains(&bare(&upper).as_str())
}

/// `recipe_append.yaml` and `recipe_clobber.yaml` beside the recipe.
fn append_files(
    session: &Session<'_>,
    namespace: &Namespace,
    mut meta: Map<String, Json>,
) -> Result<Map<String, Json>, Fail> {
    for (name, merge) in [("recipe_append.yaml", true), ("recipe_clobber.yaml", false)] {
        let path = session.folder.join(name);
        if !session.world.is_file(&path) {
            continue;
        }
        let Some(text) = session.read(&path) else { continue };
        let selected = SelectableText::new(&text)
            .select(&namespace.evaluator)
            .map_err(|error| Fail::user(super::error::selector_error(&path, &text, 0, &error)))?;
        let value = yaml::load(&selected.text, Flavor::Recipe).map_err(|error| {
            let line = selected.origin.get(error.line).copied().unwrap_or(error.line);
            let (message, help) = yaml_message(&error, text.split('\n').nth(line));
            Fail::fatal(at_line(&path, &text, line, Some(error.column), message, help))
        })?;
        if let Json::Object(new) = value {
            merge_into(&mut meta, new, merge);
        }
    }
    Ok(meta)
}

/// utils.py `merge_or_update_dict`.
fn merge_into(base: &mut Map<String, Json>, new: Map<String, Json>, merge: bool) {
    for (key, value) in new {
        match (base.get_mut(&key), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge_into(old, new, merge),
            (Some(Json::Array(old)), Json::Array(new)) if merge => {
                for item in new {
                    if !old.contains(&item) {
                        old.push(item);
                    }
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}
