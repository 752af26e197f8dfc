//! What `load_file_data`, `load_str_data` and `load_file_regex` make of a text.

use std::rc::Rc;

use super::python::{Args, Object, PyError, PyResult, Value, from_json};
use super::yaml::{self, Flavor};

/// Data in JSON, YAML or TOML.
pub(crate) fn parse(text: &str, format: &str) -> PyResult {
    let wrong = |reason: String| PyError::value_error(format!("the data can't be read as {format}: {reason}"));
    match format.to_lowercase().as_str() {
        "json" => {
            let value: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
            Ok(from_json(&value))
        }
        "yaml" | "yml" => {
            let value = yaml::load(text, Flavor::Full).map_err(|error| wrong(error.message))?;
            Ok(from_json(&value))
        }
        "toml" => {
            let value: toml::Table = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
            Ok(from_json(&toml_json(toml::Value::Table(value))))
        }
        other => Err(PyError::value_error(format!("`{other}` is no known file format; json, yaml, yml and toml are"))),
    }
}

/// TOML as JSON, dates as text.
fn toml_json(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(toml_json).collect(),
        toml::Value::Table(items) => {
            serde_json::Value::Object(items.into_iter().map(|(key, value)| (key, toml_json(value))).collect())
        }
    }
}

/// Python's `re.search`: a match, or `None`.
pub(crate) fn search(pattern: &str, text: &str) -> PyResult {
    let wrong = |error: fancy_regex::Error| PyError::value_error(format!("the pattern `{pattern}` is wrong: {error}"));
    let regex = fancy_regex::RegexBuilder::new(pattern).backtrack_limit(1_000_000).build().map_err(wrong)?;
    let Some(captures) = regex.captures(text).map_err(wrong)? else { return Ok(Value::None) };
    let groups: Vec<Option<Rc<str>>> =
        captures.iter().map(|group| group.map(|group| Rc::from(group.as_str()))).collect();
    let names = regex
        .capture_names()
        .enumerate()
        .filter_map(|(index, name)| name.map(|name| (name.to_owned(), index)))
        .collect();
    let start = captures.get(0).map_or(0, |group| text[..group.start()].chars().count());
    Ok(Value::object(Match { groups, names, start }))
}

/// Python's match object.
struct Match {
    groups: Vec<Option<Rc<str>>>,
    names: Vec<(String, usize)>,
    start: usize,
}

impl Match {
    fn group(&self, key: &Value) -> Option<Value> {
        let index = match key {
            Value::Int(index) => usize::try_from(*index).ok()?,
            Value::Str(name) => self.names.iter().find(|(known, _)| **known == **name)?.1,
            _ => return None,
        };
        self.groups.get(index).map(|group| group.as_ref().map_or(Value::None, |text| Value::Str(text.clone())))
    }
}

impl Object for Match {
    fn type_name(&self) -> &str {
        "re.Match"
    }

    fn item(&self, key: &Value) -> Option<Value> {
        self.group(key)
    }

    fn call_method(&self, name: &str, args: &Args) -> Option<PyResult> {
        let no_group = || PyError::new(super::python::ErrorKind::Lookup, "no such group");
        Some(match name {
            "group" => match args.positional.as_slice() {
                [] => Ok(self.group(&Value::Int(0)).unwrap_or(Value::None)),
                [key] => self.group(key).ok_or_else(no_group),
                keys => keys
                    .iter()
                    .map(|key| self.group(key).ok_or_else(no_group))
                    .collect::<PyResult<Vec<_>>>()
                    .map(Value::tuple),
            },
            "groups" => Ok(Value::tuple(
                self.groups[1..]
                    .iter()
                    .map(|group| group.as_ref().map_or(Value::None, |text| Value::Str(text.clone())))
                    .collect(),
            )),
            "groupdict" => Ok(Value::from(
                self.names
                    .iter()
                    .map(|(name, index)| {
                        let index = i64::try_from(*index).unwrap_or(0);
                        (super::python::Key::text(name), self.group(&Value::Int(index)).unwrap_or(Value::None))
                    })
                    .collect::<super::python::Dict>(),
            )),
            "start" => Ok(Value::from(self.start)),
            "end" => Ok(Value::from(self.start + self.groups[0].as_ref().map_or(0, |text| text.chars().count()))),
            _ => return None,
        })
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
