//! Which expressions selectors may be, and what their names mean.
//!
//! conda-build lets `evalidate` check a selector against a list of allowed nodes, functions and attributes
//! (metadata.py `evalidate_model`) before any of it is evaluated.

use std::rc::Rc;

use super::{Failure, Names};
use crate::v0::expression::{CallArgs, Expr, Scope, missing_attribute, not_callable};
use crate::v0::python::{Args, BinaryOp, ErrorKind, Object, PyError, PyResult, Value, convert, get_attribute};

/// Checks the whole expression.
pub(super) fn validate(expression: &Expr) -> Result<(), Failure> {
    let all = |parts: &[Expr]| parts.iter().try_for_each(validate);
    match expression {
        Expr::Const(_) | Expr::Name(_) => Ok(()),
        Expr::Forbidden(what) => not_allowed(what),
        Expr::Tuple(parts) | Expr::Bool { parts, .. } => all(parts),
        Expr::Dict(items) => items.iter().try_for_each(|(key, value)| {
            validate(key)?;
            validate(value)
        }),
        Expr::Attribute(_, name) if !ATTRIBUTES.contains(&&**name) => not_allowed(&format!("attribute `{name}`")),
        Expr::Negate { plus: true, .. } => not_allowed("unary `+`"),
        Expr::Not(value) | Expr::Negate { value, .. } | Expr::Attribute(value, _) => validate(value),
        Expr::Call(function, args) => {
            match &**function {
                Expr::Name(name) if !FUNCTIONS.contains(&&**name) => {
                    return not_allowed(&format!("calling `{name}()`"));
                }
                Expr::Name(_) | Expr::Attribute(..) => validate(function)?,
                _ => return not_allowed("an indirect call"),
            }
            match &**args {
                CallArgs { positional, named, star: None, double_star: None } if named.is_empty() => all(positional),
                CallArgs { star: None, double_star: None, .. } => not_allowed("a keyword argument"),
                _ => not_allowed("an unpacked argument"),
            }
        }
        Expr::Compare { first, rest } => {
            validate(first)?;
            rest.iter().try_for_each(|(_, part)| validate(part))
        }
        Expr::Binary(BinaryOp::Mul, ..) => not_allowed("multiplication"),
        Expr::Binary(BinaryOp::FloorDiv, ..) => not_allowed("`//`"),
        Expr::Binary(BinaryOp::Pow, ..) => not_allowed("`**`"),
        Expr::Binary(_, a, b) => {
            validate(a)?;
            validate(b)
        }
        Expr::If { test, then, otherwise } => {
            validate(test)?;
            validate(then)?;
            otherwise.as_deref().map_or(Ok(()), validate)
        }
        // A selector ends at its first bracket, and the others are a template's.
        Expr::List(_) | Expr::Item(..) | Expr::Slice(..) => not_allowed("a bracket"),
        Expr::Filter(..) | Expr::Test { .. } | Expr::Concat(_) => not_allowed("what templates have"),
    }
}

fn not_allowed(what: &str) -> Result<(), Failure> {
    Err(Failure::NotAllowed(format!("{what} is not allowed in a selector")))
}

/// What selectors see. A name that has no value is an error of the kind [`ErrorKind::Name`].
pub(super) struct SelectorScope<'n>(pub(super) &'n dyn Names);

impl Scope for SelectorScope<'_> {
    fn name(&mut self, name: &Rc<str>) -> PyResult {
        match self.0.lookup(name) {
            Some(value) => Ok(value),
            None if BUILTINS.contains(&&**name) => Ok(Value::Bool(true)),
            None => Err(PyError::new(ErrorKind::Name, &**name)),
        }
    }

    fn function(&mut self, name: &Rc<str>) -> PyResult {
        Ok(self.0.lookup(name).unwrap_or_else(|| Value::object(Conversion(name.clone()))))
    }

    fn attribute(&mut self, value: &Value, name: &Rc<str>) -> PyResult {
        get_attribute(value, name)?.ok_or_else(|| missing_attribute(value, name))
    }

    fn call(&mut self, function: &Value, args: &Args) -> PyResult {
        match function {
            Value::Object(object) => object.call(args),
            other => Err(not_callable(other)),
        }
    }

    fn own(&mut self, _expression: &Expr) -> PyResult {
        Err(PyError::type_error("not allowed in a selector"))
    }
}

/// `int`, `str` and their like.
struct Conversion(Rc<str>);

impl Object for Conversion {
    fn type_name(&self) -> &str {
        "type"
    }

    fn call(&self, args: &Args) -> PyResult {
        convert(&self.0, args)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

const FUNCTIONS: &[&str] = &["int", "float", "len", "str", "list", "dict", "tuple"];
const ATTRIBUTES: &[&str] = &[
    "endswith",
    "index",
    "lower",
    "rsplit",
    "split",
    "startswith",
    "strip",
    "upper",
    "join",
    "replace",
    "get",
    "items",
    "keys",
    "values",
    "environ",
    "getenv",
    "pathsep",
    "sep",
];
/// Python's built-in names that someone may write for want of a variant key of that name: as functions they are true.
const BUILTINS: &[&str] = &[
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "bool",
    "breakpoint",
    "bytearray",
    "bytes",
    "callable",
    "chr",
    "classmethod",
    "compile",
    "complex",
    "copyright",
    "credits",
    "delattr",
    "dict",
    "dir",
    "divmod",
    "enumerate",
    "eval",
    "exec",
    "exit",
    "filter",
    "float",
    "format",
    "frozenset",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "help",
    "hex",
    "id",
    "input",
    "int",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "license",
    "list",
    "locals",
    "map",
    "max",
    "memoryview",
    "min",
    "next",
    "object",
    "oct",
    "open",
    "ord",
    "pow",
    "print",
    "property",
    "quit",
    "range",
    "repr",
    "reversed",
    "round",
    "set",
    "setattr",
    "slice",
    "sorted",
    "staticmethod",
    "str",
    "sum",
    "super",
    "tuple",
    "type",
    "vars",
    "zip",
];
