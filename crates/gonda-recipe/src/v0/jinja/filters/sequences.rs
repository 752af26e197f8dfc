//! Filters that go through a list.

use std::rc::Rc;

use super::{apply_filter, apply_test, is_filter, is_test};
use crate::v0::python::{
    Args, BinaryOp, Dict, ErrorKind, Key, MAX_LENGTH, Object, PyError, PyResult, Value, binary, equal, get_attribute,
    get_item, iterate, order, sort, truth,
};

/// A value's attribute by jinja2's dotted path; digits are indices.
fn lookup(value: &Value, path: &str, undefined: &dyn Fn(&str) -> Value) -> PyResult {
    let mut value = value.clone();
    for part in path.split('.') {
        let key = part.parse::<i64>().map_or_else(|_| Value::from(part), Value::Int);
        value = match get_item(&value, &key)? {
            Some(found) => found,
            None => get_attribute(&value, part)?.unwrap_or_else(|| undefined(&format!("no attribute `{part}`"))),
        };
    }
    Ok(value)
}

pub(super) fn join(value: &Value, args: &Args, undefined: &dyn Fn(&str) -> Value) -> PyResult {
    let separator = args.get(0, "d").map_or_else(|| Ok(Rc::from("")), Value::to_text)?;
    let attribute = args.get_some(1, "attribute").map(Value::to_text).transpose()?;
    let mut text = String::new();
    for (i, item) in iterate(value)?.iter().enumerate() {
        if i > 0 {
            text.push_str(&separator);
        }
        let item = match &attribute {
            Some(attribute) => lookup(item, attribute, undefined)?,
            None => item.clone(),
        };
        text.push_str(&item.to_text()?);
        if text.len() > MAX_LENGTH {
            return Err(PyError::limit("`join` makes too long a text"));
        }
    }
    Ok(Value::from(text))
}

/// What sorting compares by: strings in lower case unless told.
fn sort_key(value: &Value, attribute: Option<&str>, case: bool, undefined: &dyn Fn(&str) -> Value) -> PyResult {
    let keyed = match attribute {
        Some(attribute) => {
            let keys: Vec<Value> =
                attribute.split(',').map(|part| lookup(value, part.trim(), undefined)).collect::<PyResult<_>>()?;
            if keys.len() == 1 { keys[0].clone() } else { Value::tuple(keys) }
        }
        None => value.clone(),
    };
    Ok(match keyed {
        Value::Str(text) if !case => Value::from(text.to_lowercase()),
        other => other,
    })
}

pub(super) fn ordered(name: &str, value: &Value, args: &Args, undefined: &dyn Fn(&str) -> Value) -> PyResult {
    let attribute_at = |index: usize| args.get_some(index, "attribute").map(Value::to_text).transpose();
    let keyed = |items: Vec<Value>, attribute: Option<&str>, case: bool| -> PyResult<Vec<(Value, Value)>> {
        items.into_iter().map(|item| Ok((sort_key(&item, attribute, case, undefined)?, item))).collect()
    };
    let sorted = |mut pairs: Vec<(Value, Value)>, reverse: bool| -> PyResult<Vec<(Value, Value)>> {
        let mut failure = None;
        pairs.sort_by(|(a, _), (b, _)| {
            let order = order(a, b, "<").unwrap_or_else(|error| {
                failure = Some(error);
                std::cmp::Ordering::Equal
            });
            if reverse { order.reverse() } else { order }
        });
        failure.map_or(Ok(pairs), Err)
    };
    match name {
        "sort" => {
            let reverse = args.bool(0, "reverse", false)?;
            let case = args.bool(1, "case_sensitive", false)?;
            let attribute = attribute_at(2)?;
            if attribute.is_none() && case {
                return sort(iterate(value)?, reverse).map(Value::from);
            }
            let pairs = sorted(keyed(iterate(value)?, attribute.as_deref(), case)?, reverse)?;
            Ok(Value::from(pairs.into_iter().map(|(_, item)| item).collect::<Vec<_>>()))
        }
        "unique" => {
            let pairs = keyed(iterate(value)?, attribute_at(1)?.as_deref(), args.bool(0, "case_sensitive", false)?)?;
            let mut seen: Dict = Dict::default();
            let mut kept = Vec::new();
            for (key, item) in pairs {
                if seen.insert(Key::new(&key)?, Value::None).is_none() {
                    kept.push(item);
                }
            }
            Ok(Value::from(kept))
        }
        "min" | "max" => {
            let pairs = keyed(iterate(value)?, attribute_at(1)?.as_deref(), args.bool(0, "case_sensitive", false)?)?;
            let pairs = sorted(pairs, name == "max")?;
            Ok(pairs
                .into_iter()
                .next()
                .map_or_else(|| undefined("no aggregated item, the sequence was empty"), |(_, item)| item))
        }
        "sum" => {
            let attribute = attribute_at(0)?;
            let mut total = args.get(1, "start").cloned().unwrap_or(Value::Int(0));
            for item in iterate(value)? {
                let item = match &attribute {
                    Some(attribute) => lookup(&item, attribute, undefined)?,
                    None => item,
                };
                total = binary(BinaryOp::Add, &total, &item)?;
            }
            Ok(total)
        }
        "groupby" => {
            let attribute = args.get(0, "attribute").map(Value::to_text).transpose()?;
            let case = args.bool(2, "case_sensitive", false)?;
            let default = args.get_some(1, "default");
            let or_default = |_: &str| default.cloned().unwrap_or_else(|| undefined("no such attribute"));
            let keyed = |item: Value| Ok((sort_key(&item, attribute.as_deref(), case, &or_default)?, item));
            let pairs = sorted(iterate(value)?.into_iter().map(keyed).collect::<PyResult<_>>()?, false)?;
            let mut groups: Vec<(Value, Group)> = Vec::new();
            for (key, item) in pairs {
                match groups.last_mut() {
                    Some((last, group)) if equal(last, &key)? => group.items.push(item),
                    _ => {
                        // A group is called as its first item has it.
                        let grouper = sort_key(&item, attribute.as_deref(), true, &or_default)?;
                        groups.push((key, Group { grouper, items: vec![item] }));
                    }
                }
            }
            Ok(Value::from(groups.into_iter().map(|(_, group)| Value::object(group)).collect::<Vec<_>>()))
        }
        _ => {
            let case = args.bool(0, "case_sensitive", false)?;
            let by_value = args.get(1, "by").map_or(Ok(false), |by| by.to_text().map(|by| &*by == "value"))?;
            let reverse = args.bool(2, "reverse", false)?;
            let mut pairs = Vec::new();
            for (key, value) in super::pairs(value)? {
                let by = if by_value { &value } else { &key };
                pairs.push((sort_key(by, None, case, undefined)?, Value::tuple(vec![key, value])));
            }
            let pairs = sorted(pairs, reverse)?;
            Ok(Value::from(pairs.into_iter().map(|(_, item)| item).collect::<Vec<_>>()))
        }
    }
}

/// A group of `groupby`: a pair whose parts have names.
struct Group {
    grouper: Value,
    items: Vec<Value>,
}

impl Object for Group {
    fn type_name(&self) -> &str {
        "_GroupTuple"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "grouper" => Some(self.grouper.clone()),
            "list" => Some(Value::from(self.items.clone())),
            _ => None,
        }
    }

    fn item(&self, key: &Value) -> Option<Value> {
        match key {
            Value::Int(0 | -2) => self.attribute("grouper"),
            Value::Int(1 | -1) => self.attribute("list"),
            _ => None,
        }
    }

    fn iterate(&self) -> Option<Vec<Value>> {
        Some(vec![self.grouper.clone(), Value::from(self.items.clone())])
    }

    fn repr(&self) -> String {
        Value::tuple(self.iterate().unwrap_or_default()).repr()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) fn map(value: &Value, args: &Args, undefined: &dyn Fn(&str) -> Value) -> PyResult {
    let items = iterate(value)?;
    if let Some(attribute) = args.named("attribute") {
        let attribute = attribute.to_text()?;
        let default = args.named("default");
        let mut mapped = Vec::with_capacity(items.len());
        for item in items {
            let found = lookup(&item, &attribute, undefined)?;
            mapped.push(match default {
                Some(default) if found.is_undefined() => default.clone(),
                _ => found,
            });
        }
        return Ok(Value::from(mapped));
    }
    let name = args.str(0, "name", "map")?;
    if !is_filter(&name) {
        return Err(PyError::new(ErrorKind::Template, format!("no filter named `{name}`")));
    }
    let rest = Args { positional: args.positional[1..].to_vec(), named: args.named.clone() };
    let mapped: Vec<Value> =
        items.iter().map(|item| apply_filter(&name, item, &rest, undefined)).collect::<PyResult<_>>()?;
    Ok(Value::from(mapped))
}

pub(super) fn select(
    value: &Value,
    args: &Args,
    keep: bool,
    by_attribute: bool,
    undefined: &dyn Fn(&str) -> Value,
) -> PyResult {
    let mut positional = args.positional.iter();
    let attribute = if by_attribute {
        let name = positional
            .next()
            .ok_or_else(|| PyError::new(ErrorKind::Template, "missing parameter for attribute name"))?;
        Some(name.to_text()?)
    } else {
        None
    };
    let test = positional.next().map(Value::to_text).transpose()?;
    if let Some(test) = &test
        && !is_test(test)
    {
        return Err(PyError::new(ErrorKind::Template, format!("no test named `{test}`")));
    }
    let rest = Args { positional: positional.cloned().collect(), named: args.named.clone() };
    let mut kept = Vec::new();
    for item in iterate(value)? {
        let tested = match &attribute {
            Some(attribute) => lookup(&item, attribute, undefined)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some(test) => apply_test(test, &tested, &rest)?,
            None => truth(&tested)?,
        };
        if holds == keep {
            kept.push(item);
        }
    }
    Ok(Value::from(kept))
}

pub(super) fn batch(name: &str, value: &Value, args: &Args) -> PyResult {
    let items = iterate(value)?;
    let count = usize::try_from(args.int(0, "linecount", 1)?).unwrap_or(0).clamp(1, 100_000);
    let fill = args.get_some(1, "fill_with");
    let mut rows: Vec<Value> = Vec::new();
    if name == "batch" {
        for chunk in items.chunks(count) {
            let mut row = chunk.to_vec();
            if let Some(fill) = fill {
                row.resize(count, fill.clone());
            }
            rows.push(Value::from(row));
        }
    } else {
        let (each, more) = (items.len() / count, items.len() % count);
        let mut at = 0;
        for row_number in 0..count {
            let size = each + usize::from(row_number < more);
            let mut row = items[at..at + size].to_vec();
            at += size;
            if let Some(fill) = fill
                && row_number >= more
                && more > 0
            {
                row.push(fill.clone());
            }
            rows.push(Value::from(row));
        }
    }
    Ok(Value::from(rows))
}
