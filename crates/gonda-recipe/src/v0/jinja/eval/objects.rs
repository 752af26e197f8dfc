//! What templates hold besides plain values: jinja2's own functions, macros, namespaces, and `loop`.

use std::cell::RefCell;
use std::rc::Rc;

use super::Scope;
use crate::v0::jinja::ast::{ForLoop, MacroDef};
use crate::v0::python::{Args, Dict, Key, Object, PyError, PyResult, Recorder, Undefined, Value, convert};

/// jinja2's own global functions.
pub(super) fn builtin(name: &str) -> Option<Value> {
    let function = match name {
        "range" => Function { name: "range", call: range },
        "dict" => Function { name: "dict", call: |args| convert("dict", args) },
        "namespace" => Function {
            name: "namespace",
            call: |args| match convert("dict", args)? {
                Value::Dict(names) => {
                    Ok(Value::object(Namespace { names: RefCell::new(names.borrow().clone()), writable: true }))
                }
                other => Ok(other),
            },
        },
        "cycler" => Function {
            name: "cycler",
            call: |args| Ok(Value::object(Cycler { items: args.positional.clone(), at: RefCell::new(0) })),
        },
        "joiner" => Function {
            name: "joiner",
            call: |args| {
                let separator = args.get(0, "sep").cloned().unwrap_or_else(|| Value::from(", "));
                Ok(Value::object(Joiner { separator, used: RefCell::new(false) }))
            },
        },
        _ => return None,
    };
    Some(Value::object(function))
}

fn range(args: &Args) -> PyResult {
    let bounds: Vec<i64> = (0..args.positional.len()).map(|index| args.int(index, "", 0)).collect::<PyResult<_>>()?;
    let (start, stop, step) = match bounds.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => return Err(PyError::type_error("range expected 1 to 3 arguments")),
    };
    if step == 0 {
        return Err(PyError::value_error("range() arg 3 must not be zero"));
    }
    let mut items = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        if items.len() >= 100_000 {
            return Err(PyError::limit("a range may have 100000 items at most"));
        }
        items.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    Ok(Value::from(items))
}

/// A function without state.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) call: fn(&Args) -> PyResult,
}

impl Object for Function {
    fn type_name(&self) -> &str {
        "function"
    }

    fn call(&self, args: &Args) -> PyResult {
        (self.call)(args)
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn repr(&self) -> String {
        format!("<function {} at 0x0>", self.name)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) struct Macro {
    pub(super) definition: Rc<MacroDef>,
    pub(super) scope: Rc<Scope>,
}

impl Object for Macro {
    fn type_name(&self) -> &str {
        "Macro"
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let definition = &self.definition;
        Some(match name {
            "name" => Value::Str(definition.name.clone()),
            "arguments" => Value::tuple(definition.params.iter().map(|(name, _)| Value::Str(name.clone())).collect()),
            "caller" => Value::Bool(definition.takes.caller),
            "catch_kwargs" => Value::Bool(definition.takes.kwargs),
            "catch_varargs" => Value::Bool(definition.takes.varargs),
            _ => return None,
        })
    }

    fn repr(&self) -> String {
        format!("<Macro '{}'>", self.definition.name)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `namespace(…)`, and what `{% import %}` gives.
pub(super) struct Namespace {
    pub(super) names: RefCell<Dict>,
    pub(super) writable: bool,
}

impl Object for Namespace {
    fn type_name(&self) -> &str {
        if self.writable { "Namespace" } else { "TemplateModule" }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        self.names.borrow().get(name).cloned()
    }

    fn item(&self, key: &Value) -> Option<Value> {
        self.names.borrow().get(&Key(key.clone())).cloned()
    }

    fn set_attribute(&self, name: &str, value: Value) -> bool {
        if self.writable {
            self.names.borrow_mut().insert(Key::text(name), value);
        }
        self.writable
    }

    fn repr(&self) -> String {
        match self.writable {
            true => format!("<Namespace {}>", Value::from(self.names.borrow().clone()).repr()),
            false => format!("<{} object>", self.type_name()),
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `self`.
pub(super) struct OwnBlocks {
    pub(super) names: Vec<Rc<str>>,
    pub(super) top: Rc<Scope>,
}

impl Object for OwnBlocks {
    fn type_name(&self) -> &str {
        "TemplateReference"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let name = self.names.iter().find(|known| ***known == *name)?.clone();
        Some(Value::object(BlockReference { name, level: 0, around: self.top.clone() }))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A block that can be called: `super`, or one of `self`.
pub(super) struct BlockReference {
    pub(super) name: Rc<str>,
    /// How many blocks of its name are passed over.
    pub(super) level: usize,
    /// What it sees.
    pub(super) around: Rc<Scope>,
}

impl Object for BlockReference {
    fn type_name(&self) -> &str {
        "BlockReference"
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Cycler {
    items: Vec<Value>,
    at: RefCell<usize>,
}

impl Object for Cycler {
    fn type_name(&self) -> &str {
        "Cycler"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        (name == "current").then(|| self.items.get(*self.at.borrow()).cloned().unwrap_or(Value::None))
    }

    fn call_method(&self, name: &str, _args: &Args) -> Option<PyResult> {
        let mut at = self.at.borrow_mut();
        match name {
            "next" => {
                let item = self.items.get(*at).cloned().unwrap_or(Value::None);
                *at = (*at + 1) % self.items.len().max(1);
                Some(Ok(item))
            }
            "reset" => {
                *at = 0;
                Some(Ok(Value::None))
            }
            _ => None,
        }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Joiner {
    separator: Value,
    used: RefCell<bool>,
}

impl Object for Joiner {
    fn type_name(&self) -> &str {
        "Joiner"
    }

    fn call(&self, _args: &Args) -> PyResult {
        if self.used.replace(true) { Ok(self.separator.clone()) } else { Ok(Value::from("")) }
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `loop` inside a `for`.
pub(super) struct Loop {
    pub(super) index: usize,
    pub(super) items: Rc<Vec<Value>>,
    pub(super) changed: Rc<RefCell<Option<Vec<Value>>>>,
    /// How many loops of the same statement this one is called in.
    pub(super) depth: usize,
    /// A recursive loop's statement, and the scope that it stands in.
    pub(super) recursion: Option<(Rc<ForLoop>, Rc<Scope>)>,
    /// What becomes of uses of an item that isn't there.
    pub(super) recorder: Option<Rc<Recorder>>,
}

impl Object for Loop {
    fn type_name(&self) -> &str {
        "LoopContext"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let count = self.items.len();
        let neighbour = |index: Option<usize>, which: &str| {
            index.and_then(|index| self.items.get(index)).cloned().unwrap_or_else(|| {
                let (name, message) = (String::new(), format!("there is no {which} item"));
                Value::Undefined(Rc::new(Undefined { name, message, recorder: self.recorder.clone() }))
            })
        };
        Some(match name {
            "index" => Value::from(self.index + 1),
            "index0" => Value::from(self.index),
            "revindex" => Value::from(count - self.index),
            "revindex0" => Value::from(count - self.index - 1),
            "first" => Value::Bool(self.index == 0),
            "last" => Value::Bool(self.index + 1 == count),
            "length" => Value::from(count),
            "depth" => Value::from(self.depth + 1),
            "depth0" => Value::from(self.depth),
            "previtem" => neighbour(self.index.checked_sub(1), "previous"),
            "nextitem" => neighbour(Some(self.index + 1), "next"),
            _ => return None,
        })
    }

    fn call_method(&self, name: &str, args: &Args) -> Option<PyResult> {
        match name {
            "cycle" => Some(if args.positional.is_empty() {
                Err(PyError::type_error("no items for cycling given"))
            } else {
                Ok(args.positional[self.index % args.positional.len()].clone())
            }),
            "changed" => {
                let mut last = self.changed.borrow_mut();
                let same = last.as_ref().is_some_and(|last| {
                    crate::v0::python::equal(&Value::from(last.clone()), &Value::from(args.positional.clone()))
                        .unwrap_or(false)
                });
                *last = Some(args.positional.clone());
                Some(Ok(Value::Bool(!same)))
            }
            _ => None,
        }
    }

    fn repr(&self) -> String {
        format!("<LoopContext {}/{}>", self.index + 1, self.items.len())
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
