//! The text of a recipe or of one of its outputs, cut out before it is rendered.

use std::rc::Rc;
use std::sync::LazyLock;

use regex::Regex;

use super::{CONDA, Meta, first_word};
use crate::v0::error::Fail;
use crate::v0::extract;
use crate::v0::session::Session;
use crate::v0::variant::text_of;

impl Meta {
    /// `get_recipe_text`: the recipe's text, or the output's.
    pub(crate) fn recipe_text(&self, session: &Session<'_>, top_level: bool, selectors: bool) -> Result<Rc<str>, Fail> {
        let text: Rc<str> = if self.is_output() && !top_level {
            Rc::from(self.output_text(session, true)?)
        } else {
            session.text.clone()
        };
        self.selected(session, &text, selectors)
    }

    pub(super) fn selected(&self, session: &Session<'_>, text: &str, selectors: bool) -> Result<Rc<str>, Fail> {
        if !selectors {
            let whole = std::ptr::eq(text, &raw const *session.text);
            return Ok(if whole { session.trimmed.clone() } else { Rc::from(text.trim_end()) });
        }
        Ok(session.select(text, &self.namespace(session))?.trimmed())
    }

    pub(super) fn outputs_text(&self, session: &Session<'_>, selectors: bool) -> Result<Rc<str>, Fail> {
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
                let output_name = output.get("name").map_or_else(|| name.clone().into_owned(), text_of);
                let kind = output.get("type").map_or_else(|| CONDA.to_owned(), text_of);
                output_name == *name && self.kind.as_ref().is_none_or(|own| *own == kind)
            })
        };
        Ok(match index {
            Some(_) if blocks.is_empty() => String::new(),
            // conda-build dies where a template makes more outputs than there are blocks. The block is then the one that
            // an output's name fits.
            Some(_) if blocks.len() < outputs.len() => block_named(&blocks, &name).to_owned(),
            Some(index) => blocks.get(index).map_or_else(String::new, |block| (*block).to_owned()),
            None => name.into_owned(),
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
    pub(super) fn numpy_pinned_otherwise(&self, session: &Session<'_>) -> Result<(bool, bool), Fail> {
        static PIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"pin_\w+\(['"]numpy['"]"#).ok());
        static PLACES: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r#"pin_\w+\(['"]numpy['"].*x_pin=['"]([x.]*)['"]"#).ok());
        let text = self.requirements_text(session, false)?;
        if !(text.contains("numpy") && PIN.as_ref().is_some_and(|pattern| pattern.is_match(&text))) {
            return Ok((false, true));
        }
        let places =
            PLACES.as_ref().and_then(|pattern| pattern.captures(&text)).map(|found| found[1].matches('x').count());
        Ok((true, places.is_none_or(|places| places != 2)))
    }

    /// Whether the requirements' text pins a package with `pin_compatible("…")`. conda-build looks for double quotes
    /// alone: in single ones, a pin that can't be made is left open.
    pub(crate) fn pins_in_text(&self, session: &Session<'_>, package: &str) -> bool {
        let Ok(text) = self.requirements_text(session, false) else { return false };
        text.match_indices("pin_compatible").any(|(at, word)| {
            text[at + word.len()..]
                .trim_start()
                .strip_prefix('(')
                .map(str::trim_start)
                .and_then(|rest| rest.strip_prefix('"'))
                .and_then(|rest| rest.strip_prefix(package))
                .is_some_and(|rest| rest.starts_with('"'))
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
        Ok(text.contains("pin_subpackage(") && PIN.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
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

pub(super) fn uses_compiler(text: &str) -> bool {
    text.match_indices("{{").any(|(at, _)| text[at + 2..].trim_start().starts_with("compiler("))
}
