//! Names, attributes, calls, filters and tests, as templates mean them.

use std::rc::Rc;

use super::objects::{BlockReference, Loop, Macro, builtin};
use super::{ContextFunction, Evaluator};
use crate::v0::expression::{self, CallArgs, Expr, Filter, Scope, not_callable};
use crate::v0::jinja::filters::{apply_filter, apply_test};
use crate::v0::python::{Args, MAX_LENGTH, PyError, PyResult, Value, get_attribute, get_item, get_slice};

impl Scope for Evaluator<'_> {
    fn name(&mut self, name: &Rc<str>) -> PyResult {
        let found = self.scope.get(name).or_else(|| self.context.lookup(name)).or_else(|| builtin(name));
        Ok(found.unwrap_or_else(|| match &**name {
            "self" => self.own_blocks(),
            name => self.undefined(name, format!("'{name}' is undefined")),
        }))
    }

    /// An attribute, else an item, else undefined.
    fn attribute(&mut self, value: &Value, name: &Rc<str>) -> PyResult {
        if let Some(found) = get_attribute(value, name)? {
            return Ok(found);
        }
        if let Some(found) = get_item(value, &Value::Str(name.clone()))? {
            return Ok(found);
        }
        Ok(self.no_attribute(value, name))
    }

    fn call(&mut self, function: &Value, args: &Args) -> PyResult {
        match function {
            Value::Undefined(undefined) => undefined.used().map(|()| function.clone()),
            Value::Object(object) => {
                if let Some(called) = object.as_any().downcast_ref::<Macro>() {
                    return self.call_macro(called, args);
                }
                if let Some(called) = object.as_any().downcast_ref::<Loop>() {
                    return self.recurse(called, args);
                }
                if let Some(called) = object.as_any().downcast_ref::<BlockReference>() {
                    return self.call_block(called);
                }
                match object.as_any().downcast_ref::<ContextFunction>() {
                    Some(ContextFunction(name)) => self.context.call(name, args),
                    None => object.call(args),
                }
            }
            other => Err(not_callable(other)),
        }
    }

    fn own(&mut self, expression: &Expr) -> PyResult {
        match expression {
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
            Expr::Filter(value, filter) => {
                let value = self.eval(value)?;
                self.filter(&value, filter)
            }
            Expr::Test { value, test, negated } => {
                let value = self.eval(value)?;
                let args = self.args(&test.args)?;
                apply_test(&test.name, &value, &args).map(|holds| Value::Bool(holds != *negated))
            }
            Expr::Concat(parts) => {
                // All are evaluated before the first one becomes text: a method may change a list on the way.
                let values: Vec<Value> = parts.iter().map(|part| self.eval(part)).collect::<PyResult<_>>()?;
                let mut text = String::new();
                for value in values {
                    text.push_str(&value.to_text()?);
                    if text.len() > MAX_LENGTH {
                        return Err(PyError::limit("a text is too long"));
                    }
                }
                Ok(Value::from(text))
            }
            // All others are evaluated alike everywhere, but for an `if` without an `else` that does not hold.
            _ => Ok(Self::nothing()),
        }
    }

    fn enter(&mut self) -> PyResult<()> {
        Evaluator::enter(self)?;
        self.step()
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }
}

impl Evaluator<'_> {
    pub(super) fn eval(&mut self, expression: &Expr) -> PyResult {
        expression::evaluate(expression, self)
    }

    pub(super) fn args(&mut self, args: &CallArgs) -> PyResult<Args> {
        expression::args(args, self)
    }

    /// `x[key]`: an item, else an attribute, else undefined.
    fn item(&self, value: &Value, key: &Value) -> PyResult {
        if let Some(found) = get_item(value, key)? {
            return Ok(found);
        }
        match key {
            Value::Str(name) => Ok(get_attribute(value, name)?.unwrap_or_else(|| self.no_attribute(value, name))),
            key => Ok(self.undefined("", format!("{} object has no element {}", value.type_name(), key.repr()))),
        }
    }

    fn no_attribute(&self, value: &Value, name: &str) -> Value {
        self.undefined(name, format!("'{} object' has no attribute '{name}'", value.type_name()))
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
