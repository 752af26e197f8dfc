//! Evaluating expressions: names, operators, calls, filters and tests.

use std::rc::Rc;

use super::objects::{Macro, builtin};
use super::{ContextFunction, Evaluator};
use crate::v0::jinja::ast::{CallArgs, Expr, Filter};
use crate::v0::jinja::filters::{apply_filter, apply_test};
use crate::v0::python::{
    Args, Dict, Key, MAX_LENGTH, PyError, PyResult, Value, binary, call_method, compare, get_attribute, get_item,
    get_slice, iterate, negate, truth,
};

impl Evaluator<'_> {
    pub(super) fn eval(&mut self, expression: &Expr) -> PyResult {
        match expression {
            Expr::Const(value) => Ok(value.clone()),
            Expr::Name(name) => Ok(self.name(name)),
            _ => {
                self.enter()?;
                self.step()?;
                let value = self.eval_inner(expression)?;
                self.depth -= 1;
                Ok(value)
            }
        }
    }

    fn name(&self, name: &str) -> Value {
        self.scope
            .get(name)
            .or_else(|| self.context.lookup(name))
            .or_else(|| builtin(name))
            .unwrap_or_else(|| self.undefined(name, format!("'{name}' is undefined")))
    }

    fn eval_inner(&mut self, expression: &Expr) -> PyResult {
        match expression {
            Expr::Const(value) => Ok(value.clone()),
            Expr::Name(name) => Ok(self.name(name)),
            Expr::List(items) => self.all(items).map(Value::from),
            Expr::Tuple(items) => self.all(items).map(Value::tuple),
            Expr::Dict(items) => {
                let mut dict = Dict::new();
                for (key, value) in items {
                    dict.insert(Key::new(&self.eval(key)?)?, self.eval(value)?);
                }
                Ok(Value::from(dict))
            }
            Expr::Attribute(value, name) => {
                let value = self.eval(value)?;
                self.attribute(&value, name)
            }
            Expr::Item(value, key) => {
                let value = self.eval(value)?;
                let key = self.eval(key)?;
                self.item(&value, &key)
            }
            Expr::Slice(value, parts) => {
                let value = self.eval(value)?;
                let mut bounds = [None, None, None];
                for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                    *bound = part.as_ref().map(|part| self.eval(part)).transpose()?;
                }
                get_slice(&value, bounds[0].as_ref(), bounds[1].as_ref(), bounds[2].as_ref())
            }
            Expr::Call(function, args) => self.call_expression(function, args),
            Expr::Filter(value, filter) => {
                let value = self.eval(value)?;
                self.filter(&value, filter)
            }
            Expr::Test { value, test, negated } => {
                let value = self.eval(value)?;
                let args = self.args(&test.args)?;
                apply_test(&test.name, &value, &args).map(|holds| Value::Bool(holds != *negated))
            }
            Expr::Not(value) => truth(&self.eval(value)?).map(|value| Value::Bool(!value)),
            Expr::Negate { value, plus } => negate(&self.eval(value)?, *plus),
            Expr::And(a, b) => {
                let a = self.eval(a)?;
                if truth(&a)? { self.eval(b) } else { Ok(a) }
            }
            Expr::Or(a, b) => {
                let a = self.eval(a)?;
                if truth(&a)? { Ok(a) } else { self.eval(b) }
            }
            Expr::Compare { first, rest } => {
                let mut left = self.eval(first)?;
                let mut result = Value::Bool(true);
                for (op, part) in rest {
                    let right = self.eval(part)?;
                    result = compare(*op, &left, &right)?;
                    if !truth(&result)? {
                        break;
                    }
                    left = right;
                }
                Ok(result)
            }
            Expr::Binary(op, a, b) => {
                let a = self.eval(a)?;
                let b = self.eval(b)?;
                binary(*op, &a, &b)
            }
            Expr::Concat(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&self.eval(part)?.to_text()?);
                    if text.len() > MAX_LENGTH {
                        return Err(PyError::limit("a text is too long"));
                    }
                }
                Ok(Value::from(text))
            }
            Expr::If { test, then, otherwise } => {
                if truth(&self.eval(test)?)? {
                    return self.eval(then);
                }
                match otherwise {
                    Some(otherwise) => self.eval(otherwise),
                    None => Ok(Self::nothing()),
                }
            }
        }
    }

    pub(super) fn all(&mut self, items: &[Expr]) -> PyResult<Vec<Value>> {
        items.iter().map(|item| self.eval(item)).collect()
    }

    /// `x.name`: an attribute, else an item, else undefined.
    fn attribute(&self, value: &Value, name: &Rc<str>) -> PyResult {
        if let Some(found) = get_attribute(value, name)? {
            return Ok(found);
        }
        if let Some(found) = get_item(value, &Value::Str(name.clone()))? {
            return Ok(found);
        }
        Ok(self.undefined(name, format!("'{} object' has no attribute '{name}'", value.type_name())))
    }

    /// `x[key]`: an item, else an attribute, else undefined.
    fn item(&self, value: &Value, key: &Value) -> PyResult {
        if let Some(found) = get_item(value, key)? {
            return Ok(found);
        }
        if let Value::Str(name) = key {
            if let Some(found) = get_attribute(value, name)? {
                return Ok(found);
            }
            return Ok(self.undefined(name, format!("'{} object' has no attribute '{name}'", value.type_name())));
        }
        Ok(self.undefined("", format!("{} object has no element {}", value.type_name(), key.repr())))
    }

    fn call_expression(&mut self, function: &Expr, args: &CallArgs) -> PyResult {
        if let Expr::Attribute(value, name) = function {
            let value = self.eval(value)?;
            let args = self.args(args)?;
            if !value.is_undefined()
                && let Some(result) = call_method(&value, name, &args)
            {
                return result;
            }
            let function = self.attribute(&value, name)?;
            return self.call(&function, &args);
        }
        let function = self.eval(function)?;
        let args = self.args(args)?;
        self.call(&function, &args)
    }

    pub(super) fn call(&mut self, function: &Value, args: &Args) -> PyResult {
        match function {
            Value::Undefined(undefined) => undefined.used().map(|()| function.clone()),
            Value::Object(object) => {
                if let Some(called) = object.as_any().downcast_ref::<Macro>() {
                    return self.call_macro(called, args);
                }
                match object.as_any().downcast_ref::<ContextFunction>() {
                    Some(ContextFunction(name)) => self.context.call(name, args),
                    None => object.call(args),
                }
            }
            other => Err(PyError::type_error(format!("'{}' object is not callable", other.type_name()))),
        }
    }

    pub(super) fn args(&mut self, args: &CallArgs) -> PyResult<Args> {
        let mut positional = self.all(&args.positional)?;
        let mut named = Vec::with_capacity(args.named.len());
        for (name, value) in &args.named {
            named.push((name.clone(), self.eval(value)?));
        }
        if let Some(star) = &args.star {
            positional.extend(iterate(&self.eval(star)?)?);
        }
        if let Some(double_star) = &args.double_star {
            match self.eval(double_star)? {
                Value::Dict(items) => {
                    for (key, value) in items.borrow().iter() {
                        named.push((key.0.to_text()?, value.clone()));
                    }
                }
                other => {
                    return Err(PyError::type_error(format!(
                        "argument after ** must be a mapping, not {}",
                        other.type_name()
                    )));
                }
            }
        }
        Ok(Args { positional, named })
    }

    pub(super) fn filters(&mut self, mut value: Value, filters: &[Filter]) -> PyResult {
        for filter in filters {
            value = self.filter(&value, filter)?;
        }
        Ok(value)
    }

    fn filter(&mut self, value: &Value, filter: &Filter) -> PyResult {
        let args = self.args(&filter.args)?;
        let undefined = |message: &str| self.undefined("", message.to_owned());
        apply_filter(&filter.name, value, &args, &undefined)
    }
}
