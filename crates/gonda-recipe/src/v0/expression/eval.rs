//! Evaluating expressions: operators and calls, the same for selectors and templates.

use std::rc::Rc;

use super::{CallArgs, Expr};
use crate::v0::python::{
    Args, Dict, ErrorKind, Key, PyError, PyResult, Value, binary, call_method, compare, iterate, negate, truth,
};

/// Where an expression is evaluated.
pub(crate) trait Scope {
    /// What a name stands for.
    fn name(&mut self, name: &Rc<str>) -> PyResult;

    /// What a name stands for that is called.
    fn function(&mut self, name: &Rc<str>) -> PyResult {
        self.name(name)
    }

    /// `value.name`.
    fn attribute(&mut self, value: &Value, name: &Rc<str>) -> PyResult;

    fn call(&mut self, function: &Value, args: &Args) -> PyResult;

    /// An expression that only this dialect has.
    fn own(&mut self, expression: &Expr) -> PyResult;

    /// Called before an expression that has parts.
    fn enter(&mut self) -> PyResult<()> {
        Ok(())
    }

    /// Called after it; not if it failed.
    fn leave(&mut self) {}
}

pub(crate) fn evaluate<S: Scope + ?Sized>(expression: &Expr, scope: &mut S) -> PyResult {
    match expression {
        Expr::Const(value) => Ok(value.clone()),
        Expr::Name(name) => scope.name(name),
        _ => {
            scope.enter()?;
            let value = evaluate_parts(expression, scope)?;
            scope.leave();
            Ok(value)
        }
    }
}

fn evaluate_parts<S: Scope + ?Sized>(expression: &Expr, scope: &mut S) -> PyResult {
    match expression {
        Expr::List(items) => all(items, scope).map(Value::from),
        Expr::Tuple(items) => all(items, scope).map(Value::tuple),
        Expr::Dict(items) => {
            let mut dict = Dict::default();
            for (key, value) in items {
                dict.insert(Key::new(&evaluate(key, scope)?)?, evaluate(value, scope)?);
            }
            Ok(Value::from(dict))
        }
        Expr::Attribute(value, name) => {
            let value = evaluate(value, scope)?;
            scope.attribute(&value, name)
        }
        Expr::Call(function, args) => call(function, args, scope),
        Expr::Not(value) => truth(&evaluate(value, scope)?).map(|value| Value::Bool(!value)),
        Expr::Negate { value, plus } => negate(&evaluate(value, scope)?, *plus),
        Expr::Bool { and, parts } => {
            let Some((last, others)) = parts.split_last() else { return Ok(Value::None) };
            for part in others {
                let value = evaluate(part, scope)?;
                if truth(&value)? != *and {
                    return Ok(value);
                }
            }
            evaluate(last, scope)
        }
        Expr::Compare { first, rest } => {
            let mut left = evaluate(first, scope)?;
            let mut result = Value::Bool(true);
            for (op, part) in rest {
                let right = evaluate(part, scope)?;
                result = compare(*op, &left, &right)?;
                if !truth(&result)? {
                    break;
                }
                left = right;
            }
            Ok(result)
        }
        Expr::Binary(op, a, b) => {
            let a = evaluate(a, scope)?;
            binary(*op, &a, &evaluate(b, scope)?)
        }
        Expr::If { test, then, otherwise } => match otherwise {
            _ if truth(&evaluate(test, scope)?)? => evaluate(then, scope),
            Some(otherwise) => evaluate(otherwise, scope),
            None => scope.own(expression),
        },
        other => scope.own(other),
    }
}

fn all<S: Scope + ?Sized>(items: &[Expr], scope: &mut S) -> PyResult<Vec<Value>> {
    items.iter().map(|item| evaluate(item, scope)).collect()
}

fn call<S: Scope + ?Sized>(function: &Expr, given: &CallArgs, scope: &mut S) -> PyResult {
    match function {
        Expr::Attribute(value, name) => {
            let value = evaluate(value, scope)?;
            let args = args(given, scope)?;
            if !value.is_undefined()
                && let Some(result) = call_method(&value, name, &args)
            {
                return result;
            }
            let method = scope.attribute(&value, name)?;
            scope.call(&method, &args)
        }
        function => {
            let function = match function {
                Expr::Name(name) => scope.function(name)?,
                other => evaluate(other, scope)?,
            };
            let args = args(given, scope)?;
            scope.call(&function, &args)
        }
    }
}

/// A call's arguments.
pub(crate) fn args<S: Scope + ?Sized>(given: &CallArgs, scope: &mut S) -> PyResult<Args> {
    let mut positional = all(&given.positional, scope)?;
    let mut named = Vec::with_capacity(given.named.len());
    for (name, value) in &given.named {
        named.push((name.clone(), evaluate(value, scope)?));
    }
    if let Some(star) = &given.star {
        positional.extend(iterate(&evaluate(star, scope)?)?);
    }
    if let Some(double_star) = &given.double_star {
        match evaluate(double_star, scope)? {
            Value::Dict(items) => {
                for (key, value) in items.borrow().iter() {
                    named.push((key.0.to_text()?, value.clone()));
                }
            }
            other => {
                let kind = other.type_name();
                return Err(PyError::type_error(format!("argument after ** must be a mapping, not {kind}")));
            }
        }
    }
    Ok(Args { positional, named })
}

/// Python's complaint about an attribute that is not there.
pub(crate) fn missing_attribute(value: &Value, name: &str) -> PyError {
    PyError::new(ErrorKind::Attribute, format!("'{}' object has no attribute '{name}'", value.type_name()))
}

/// Python's complaint about calling what is no function.
pub(crate) fn not_callable(value: &Value) -> PyError {
    PyError::type_error(format!("'{}' object is not callable", value.type_name()))
}
