//! From text to a parsed recipe: selectors, template, selectors, YAML, and what must hold of the result.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::{Contents, Meta, is_true, lookup, lookup_mut, output_dicts};
use crate::RecipeError;
use crate::v0::context::JinjaContext;
use crate::v0::error::{Fail, SourceMap, at_line, in_file, selector_error, undefined_name, yaml_message};
use crate::v0::jinja::{Rendered, Template};
use crate::v0::selector;
use crate::v0::session::{Namespace, Parsed, Session};
use crate::v0::variant::{list_of_text, text_of};
use crate::v0::yaml::{self, Flavor};

/// How many undefined names are told of together.
const MAX_UNDEFINED: usize = 10;

const SECTIONS: [&str; 9] = ["package", "source", "build", "outputs", "requirements", "app", "test", "about", "extra"];

impl Meta {
    /// Renders and reads the recipe anew (metadata.py `parse_again`).
    pub(crate) fn parse_again(&mut self, session: &Session<'_>, contents: &Contents) -> Result<(), Fail> {
        // conda-build reads the requirements before each rendering, for variables such as PYTHON.
        if !self.checked.as_ref().is_some_and(|checked| Rc::ptr_eq(checked, &self.meta)) {
            self.specs(session, if self.is_cross() { "host" } else { "build" })?;
            self.checked = Some(self.meta.clone());
        }
        let parsed = self.parsed(session, contents)?;
        self.meta.clone_from(&parsed.meta);
        self.undefined.clone_from(&parsed.undefined);
        self.map = parsed.map.clone();
        self.is_final = false;
        self.used = RefCell::default();
        Ok(())
    }

    pub(super) fn parsed(&self, session: &Session<'_>, contents: &Contents) -> Result<Rc<Parsed>, Fail> {
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
            && !parsed.map.rendered.as_ref().is_some_and(|rendered| rendered.passed)
        {
            return Ok(parsed.clone());
        }
        let first = session.select(&session.text, &namespace)?;
        let mut map = SourceMap { first: Some(first.clone()), ..SourceMap::default() };
        let template = session.template(&first.text, &map)?;
        let (rendered, dynamic) = self.render(session, &namespace, contents, &template, &map)?;
        let second = selector::select(&rendered.text, &namespace.evaluator);
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

    pub(super) fn render(
        &self,
        session: &Session<'_>,
        namespace: &Namespace,
        contents: &Contents,
        template: &Template,
        map: &SourceMap,
    ) -> Result<(Rendered, bool), Fail> {
        let dynamic = Cell::new(false);
        let mut context = JinjaContext { session, meta: self, namespace, contents, dynamic, passed_over: Vec::new() };
        let mut failures = Vec::new();
        loop {
            let error = match template.render(&context, contents.strict) {
                Ok(rendered) if failures.is_empty() => return Ok((rendered, context.dynamic.get())),
                Ok(_) => break,
                Err(error) => error,
            };
            let undefined = undefined_name(&error);
            // What fails otherwise after an undefined name was passed over may be due to just that.
            if undefined.is_some() || failures.is_empty() {
                failures.push(Fail::template(session, map, &error));
            }
            match undefined {
                Some(name) if failures.len() < MAX_UNDEFINED => context.passed_over.push(name.to_owned()),
                _ => break,
            }
        }
        Err(Fail::several(failures))
    }

    /// Renders a part of the recipe and reads it as YAML (`_get_contents` with a template string).
    pub(super) fn render_text(
        &self,
        session: &Session<'_>,
        text: &str,
        contents: &Contents,
    ) -> Result<(Json, bool), Fail> {
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
    pub(super) fn rendered_outputs(
        &self,
        session: &Session<'_>,
        contents: &Contents,
    ) -> Result<Vec<Map<String, Json>>, Fail> {
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
        crate::v0::finalize::environment(self, session, environment, None, &[])
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
    session.warn(super::fields::unknown(session, &meta));
    let mut failures: Vec<Fail> = Vec::new();
    for section in SECTIONS {
        let Some(value) = lookup_mut(&mut meta, section) else { continue };
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
        let message = format!("`{section}` is {found}, but must be {wanted}");
        failures.push(Fail::fatal(place(&[section], message, help)));
    }
    if let Some(Json::String(family)) = value_in(&meta, "about", "license_family")
        && !is_license_family(family)
    {
        failures.push(Fail::fatal(place(
            &["about", "license_family"],
            format!("the license family `{family}` is not known"),
            "one of AGPL, LGPL, GPL3, GPL2, GPL, BSD, MIT, APACHE, PSF, CC, MOZILLA, PUBLIC-DOMAIN, PROPRIETARY, OTHER, NONE",
        )));
    }
    if let Some(noarch) = value_in(&meta, "build", "noarch").filter(|value| is_true(value)) {
        let known = matches!(noarch, Json::Bool(true)) || matches!(noarch.as_str(), Some("python" | "generic"));
        if !known {
            failures.push(Fail::fatal(place(
                &["build", "noarch"],
                format!("`noarch` can't be `{}`", text_of(noarch)),
                "`noarch` is `generic` or `python`",
            )));
        }
    }
    if let Err(failure) = sanitize(&mut meta, &place) {
        failures.push(failure);
    }
    let features = value_in(&meta, "build", "features").map(list_of_text).unwrap_or_default();
    if let Some(feature) = features.iter().find(|feature| feature.contains('-')) {
        failures.push(Fail::fatal(place(
            &["build", "features"],
            format!("the feature `{feature}` holds `-`, which it may not"),
            "write `_` in its place",
        )));
    }
    for (section, key) in [("requirements", "build"), ("requirements", "run"), ("test", "requires")] {
        let Some(Json::Array(items)) = value_in(&meta, section, key) else { continue };
        if let Some(position) = items.iter().position(Json::is_object) {
            failures.push(Fail::fatal(place(
                &[section, key, &position.to_string()],
                format!("`{section}/{key}` holds a mapping, but requirements are text"),
                "expressions stand between two braces, text with a colon between quotes; pip's requirements can't be given here",
            )));
        }
    }
    for key in ["build", "host", "run", "run_constrained"] {
        let Some(Json::Array(items)) = value_in(&meta, "requirements", key) else { continue };
        if let Some(position) = items.iter().position(Json::is_null) {
            failures.push(Fail::fatal(place(
                &["requirements", key, &position.to_string()],
                format!("`requirements/{key}` has an empty item"),
                "write a requirement behind the dash, or take the dash away; `{{ }}` may be empty here",
            )));
        }
    }
    Fail::all(failures).map(|()| meta)
}

/// The value of a key of a section that is a mapping.
fn value_in<'m>(meta: &'m Map<String, Json>, section: &str, key: &str) -> Option<&'m Json> {
    lookup(lookup(meta, section)?.as_object()?, key)
}

fn sanitize(meta: &mut Map<String, Json>, place: &dyn Fn(&[&str], String, &str) -> RecipeError) -> Result<(), Fail> {
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
    match lookup_mut(meta, "source") {
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
        if let Some(Json::Object(section)) = lookup_mut(meta, section) {
            for key in ["version", "msvc_compiler"] {
                if let Some(value) = lookup_mut(section, key) {
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
        let selected = selector::select(&text, &namespace.evaluator)
            .map_err(|error| Fail::user(selector_error(&path, &text, 0, &error)))?;
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
