//! Which keys of the variant are used, the hash they make, and the build string.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use super::{BuildId, Contents, Hash, Meta, UsedVariant, first_word, is_true};
use crate::v0::error::{Fail, in_file};
use crate::v0::extract;
use crate::v0::hash;
use crate::v0::session::{Session, Uses, UsesKey};
use crate::v0::used;
use crate::v0::variant::text_of;

impl Meta {
    /// The keys of the variant that are used (metadata.py `get_used_vars`).
    pub(crate) fn used_vars(&self, session: &Session<'_>, global: bool) -> Result<Rc<BTreeSet<String>>, Fail> {
        if !global && let Some(used) = &self.used.borrow().keys {
            return Ok(used.clone());
        }
        let by = (self.plain_name().into_owned(), self.has_path, global);
        let used = session.used_vars(by, &self.config.variant, || self.find_used_vars(session, global))?;
        if !global {
            self.used.borrow_mut().keys = Some(used.clone());
        }
        Ok(used)
    }

    fn find_used_vars(&self, session: &Session<'_>, global: bool) -> Result<BTreeSet<String>, Fail> {
        let mut used = self.used_in_recipe(session, global)?;
        let is_output = !self.recipe_text(session, false, true)?.contains("package:");
        if is_output {
            used.extend(self.used_in_output_script(session)?);
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
        Ok(used)
    }

    fn used_in_recipe(&self, session: &Session<'_>, global: bool) -> Result<BTreeSet<String>, Fail> {
        let uses = self.uses(session, global)?;
        if global {
            return Ok(uses.all.clone());
        }
        Ok(self.without_run_only(&uses))
    }

    /// What the text uses; it depends on which output this is and on the namespace alone.
    fn uses(&self, session: &Session<'_>, global: bool) -> Result<Rc<Uses>, Fail> {
        let namespace = self.namespace(session);
        let outputs = self.list_section("outputs");
        let name = self.plain_name();
        let position = outputs.iter().position(|output| output.get("name").map(text_of).unwrap_or_default() == *name);
        let key = UsesKey {
            global,
            is_output: self.is_output(),
            name: name.into_owned(),
            // It tells outputs apart, where there are any.
            kind: self.kind.clone().filter(|_| !outputs.is_empty()),
            position,
            outputs: outputs.len(),
        };
        if let Some(uses) = namespace.uses.borrow().get(&key) {
            return Ok(uses.clone());
        }
        let text = self.scanned_text(session, global, false)?;
        let mut all = namespace.used_in(&text, true).as_ref().clone();
        let text = self.scanned_text(session, global, true)?;
        all.extend(namespace.used_in(&text, false).iter().cloned());
        let in_requirements = match global {
            true => BTreeSet::new(),
            false => namespace.keys.used_in(extract::requirements_part(&text), false),
        };
        let uses = Rc::new(Uses { all, in_requirements });
        namespace.uses.borrow_mut().insert(key, uses.clone());
        Ok(uses)
    }

    /// The text whose uses count.
    fn scanned_text(&self, session: &Session<'_>, global: bool, selectors: bool) -> Result<Rc<str>, Fail> {
        if global {
            return self.recipe_text(session, false, selectors);
        }
        if self.is_output() {
            return Ok(Rc::from(self.output_text(session, selectors)?));
        }
        let whole = self.recipe_text(session, false, selectors)?;
        let outputs = self.outputs_text(session, selectors)?;
        let outputs = outputs.trim();
        if outputs.is_empty() && self.list_section("outputs").is_empty() {
            return Ok(whole);
        }
        let without = if outputs.is_empty() { whole.to_string() } else { whole.replace(outputs, "") };
        Ok(Rc::from(without + &self.output_text(session, selectors)?))
    }

    /// Without what stands in run alone, and what stands in build alone and is to be ignored there
    /// (`trim_build_only_deps`).
    fn without_run_only(&self, uses: &Uses) -> BTreeSet<String> {
        let names = |environment: &str| -> Vec<String> {
            self.requirements(environment)
                .iter()
                .filter_map(|spec| first_word(spec))
                .map(|name| name.replace('-', "_"))
                .collect()
        };
        let (build, host) = (names("build"), names("host"));
        let run: Vec<String> = self.requirements("run");
        let ignored = self.config.variant.list("ignore_build_only_deps");
        let counts = |key: &String| {
            if run.contains(key) {
                build.contains(key) || host.contains(key)
            } else {
                !(build.contains(key) && !host.contains(key) && ignored.contains(key))
            }
        };
        let Uses { all, in_requirements } = uses;
        all.union(in_requirements).filter(|key| !in_requirements.contains(*key) || counts(key)).cloned().collect()
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

    /// What an output's own script uses; shell scripts and batch files can be looked through, and must be there for it.
    fn used_in_output_script(&self, session: &Session<'_>) -> Result<BTreeSet<String>, Fail> {
        let keys = self.config.variant.keys();
        // No build string is made on the way: that would ask for the used keys again.
        let contents = Contents { allow_no_other_outputs: true, skip_build_id: true, ..Contents::default() };
        let outputs = self.rendered_outputs(session, &contents);
        let name = self.plain_name();
        let output = outputs.ok().and_then(|outputs| {
            outputs.into_iter().find(|output| output.get("name").map(text_of).as_deref() == Some(&*name))
        });
        let Some(script) = output.as_ref().and_then(|output| output.get("script")).and_then(Json::as_str) else {
            return Ok(BTreeSet::new());
        };
        let find = match Path::new(script).extension().and_then(OsStr::to_str) {
            Some("sh") => used::in_shell_script,
            Some("bat") => used::in_batch_script,
            _ => return Ok(BTreeSet::new()),
        };
        match session.read(&session.folder.join(script)) {
            Some(text) => Ok(find(keys, &text)),
            None => Err(Fail::fatal(self.mistake(
                session,
                &["script"],
                format!("the script `{script}` of the output `{name}` can't be read"),
                Some("`script` names a file of the recipe folder; commands stand under `build`, as `script`"),
            ))),
        }
    }

    /// What the hash is made of (metadata.py `get_hash_contents`).
    fn hash_contents(&self, session: &Session<'_>) -> Result<BTreeMap<String, Json>, Fail> {
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
        for key in used.iter() {
            let value = self.used_value(session, key)?;
            let value_has_blank = value.as_str().is_some_and(|text| text.contains(' '));
            if value_has_blank || !excluded.iter().any(|excluded| matches_prefix(excluded, key)) {
                contents.insert(key.clone(), value.clone());
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

    /// The hash and what it is made of.
    pub(crate) fn hash(&self, session: &Session<'_>) -> Result<Rc<Hash>, Fail> {
        if let Some(known) = &self.used.borrow().hash
            && Rc::ptr_eq(&known.meta, &self.meta)
        {
            return Ok(known.clone());
        }
        let contents = self.hash_contents(session)?;
        let hash = Rc::new(Hash { meta: self.meta.clone(), text: hash::hash(&contents), contents });
        self.used.borrow_mut().hash = Some(hash.clone());
        Ok(hash)
    }

    /// The build string (metadata.py `build_id`).
    pub(crate) fn build_id(&self, session: &Session<'_>) -> Result<String, Fail> {
        let (meta, is_final) = (&self.meta, self.is_final);
        if let Some(known) = &self.used.borrow().build_id
            && Rc::ptr_eq(&known.meta, meta)
            && known.is_final == is_final
        {
            return Ok(known.text.clone());
        }
        let text = self.make_build_id(session)?;
        self.used.borrow_mut().build_id = Some(BuildId { meta: meta.clone(), is_final, text: text.clone() });
        Ok(text)
    }

    fn make_build_id(&self, session: &Session<'_>) -> Result<String, Fail> {
        static MADE_HERE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"h\{\{\s*PKG_HASH\s*\}\}").ok());
        let manual = self.value("build", "string").filter(|value| is_true(value));
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
        let hash = self.hash(session)?;
        let hash = hash.text.as_deref().unwrap_or_default();
        if let Some(replaced) = with_hash(&string, hash) {
            return Ok(replaced);
        }
        Ok(match string.rsplit_once('_') {
            _ if hash.is_empty() => string,
            None => match crate::v0::python::parse_int(&string, 10) {
                Some(_) => format!("{hash}_{string}"),
                None => format!("{string}{hash}"),
            },
            Some((head, number)) => match crate::v0::python::parse_int(head, 10) {
                Some(_) => format!("{hash}_{head}_{number}"),
                None => format!("{head}{hash}_{number}"),
            },
        })
    }

    /// The build string without its hash (`build_string_from_metadata`).
    fn build_string(&self, session: &Session<'_>) -> Result<String, Fail> {
        if let Some(manual) = self.value("build", "string").filter(|value| is_true(value)) {
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
        let build_specs = self.specs(session, environment)?;
        let run_specs = self.specs(session, "run")?;
        let pinned = |name: &str| {
            self.requirements(environment).iter().rev().find_map(|spec| {
                let mut words = spec.split_whitespace();
                (words.next() == Some(name)).then(|| words.next().map(str::to_owned)).flatten()
            })
        };
        let mut parts: Vec<String> = Vec::new();
        for (prefix, names, places) in PREFIXES {
            for run in &run_specs {
                for name in names
                    .iter()
                    .filter(|name| **name == run.name && build_specs.iter().any(|build| build.name == **name))
                {
                    if *name == "numpy" && !self.numpy_xx(session)? {
                        continue;
                    }
                    if self.noarch().is_some_and(|kind| kind.as_str() == Some(*name))
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
        match (self.name(session), self.version(session), self.build_id(session)) {
            (Ok(name), Ok(version), Ok(build)) => Ok(format!("{name}-{version}-{build}")),
            (name, version, build) => {
                Err(Fail::several([name, version, build].into_iter().filter_map(Result::err).collect()))
            }
        }
    }

    /// The used part of the variant.
    pub(crate) fn used_variant(&self, session: &Session<'_>) -> Result<UsedVariant, Fail> {
        if let Some(values) = &self.used.borrow().values {
            return Ok(values.clone());
        }
        let used = self.used_vars(session, false)?;
        let values = used.iter().map(|key| Ok((key.clone(), self.used_value(session, key)?.clone())));
        let values: UsedVariant = Rc::new(values.collect::<Result<_, Fail>>()?);
        self.used.borrow_mut().values = Some(values.clone());
        Ok(values)
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
}

/// A build string in which all that looks like a hash is another one: `h[0-9a-f]{7}`.
fn with_hash(string: &str, hash: &str) -> Option<String> {
    let mut found = false;
    let mut replaced = String::new();
    let mut rest = string;
    while let Some(at) = rest.find('h') {
        let digits = &rest.as_bytes()[at + 1..];
        let is_hash = digits.len() >= 7 && digits[..7].iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        found |= is_hash;
        replaced.push_str(&rest[..at]);
        replaced.push_str(if is_hash { hash } else { "h" });
        rest = &rest[at + if is_hash { 8 } else { 1 }..];
    }
    replaced.push_str(rest);
    found.then_some(replaced)
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
