//! Rendering: statements, expressions, scopes, calls.

use std::cell::RefCell;
use std::rc::Rc;

use super::ast::{Body, CallArgs, Expr, Filter, MacroDef, Node, NodeKind, Target, Template};
use super::filters::{apply_filter, apply_test};
use super::{Cause, Context, ContextFunction, Mark, TemplateError};
use crate::v0::python::{
    Args, Dict, ErrorKind, Key, MAX_LENGTH, Object, PyError, PyResult, Undefined, Value, binary, call_method, compare,
    convert, get_attribute, get_item, get_slice, iterate, negate, truth,
};

/// How many expressions and statements a rendering may evaluate.
const MAX_STEPS: usize = 2_000_000;
/// How deep evaluating may recurse: nesting, macros and includes together.
const MAX_DEPTH: usize = 120;
/// How many templates one rendering may include or import.
const MAX_TEMPLATES: usize = 100;

/// Names and what they stand for, with the scope around.
struct Scope {
    names: RefCell<Vec<(Rc<str>, Value)>>,
    outer: Option<Rc<Scope>>,
}

impl Scope {
    fn inside(outer: &Rc<Scope>) -> Rc<Self> {
        Rc::new(Self { names: RefCell::default(), outer: Some(outer.clone()) })
    }

    fn get(&self, name: &str) -> Option<Value> {
        let mut scope = Some(self);
        while let Some(current) = scope {
            if let Some((_, value)) = current.names.borrow().iter().find(|(key, _)| &**key == name) {
                return Some(value.clone());
            }
            scope = current.outer.as_deref();
        }
        None
    }

    fn set(&self, name: &Rc<str>, value: Value) {
        let mut names = self.names.borrow_mut();
        match names.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => names.push((name.clone(), value)),
        }
    }
}

pub(super) struct Evaluator<'a> {
    context: &'a dyn Context,
    recorder: Option<Rc<RefCell<Vec<String>>>>,
    scope: Rc<Scope>,
    out: String,
    marks: Vec<Mark>,
    /// Line of the statement being rendered, for errors.
    line: usize,
    steps: usize,
    depth: usize,
    templates: usize,
    /// How many macros, blocks and other templates are being rendered into a text of their own.
    captures: usize,
    /// A mistake in another template, kept while it passes as a Python error.
    inner: Option<TemplateError>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(context: &'a dyn Context, recorder: Option<Rc<RefCell<Vec<String>>>>) -> Self {
        Self {
            context,
            recorder,
            scope: Rc::new(Scope { names: RefCell::default(), outer: None }),
            out: String::new(),
            marks: Vec::new(),
            line: 0,
            steps: 0,
            depth: 0,
            templates: 0,
            captures: 0,
            inner: None,
        }
    }

    pub(super) fn run(&mut self, template: &Template) -> Result<(String, Vec<Mark>), TemplateError> {
        match self.nodes(&template.nodes) {
            Ok(()) => Ok((std::mem::take(&mut self.out), std::mem::take(&mut self.marks))),
            Err(error) => {
                Err(self.inner.take().unwrap_or(TemplateError { line: self.line, cause: Cause::Runtime(error) }))
            }
        }
    }

    pub(super) fn undefined(&self, name: &str, message: String) -> Value {
        Value::Undefined(Rc::new(Undefined { name: name.to_owned(), message, recorder: self.recorder.clone() }))
    }

    fn step(&mut self) -> PyResult<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(PyError::limit(format!("the template takes more than {MAX_STEPS} steps")));
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> PyResult<()> {
        if self.out.len() + text.len() > MAX_LENGTH {
            return Err(PyError::limit(format!("the rendered template is longer than {MAX_LENGTH} bytes")));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn enter(&mut self) -> PyResult<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.depth -= 1;
            return Err(PyError::limit("the template recurses too deeply"));
        }
        Ok(())
    }

    fn nodes(&mut self, nodes: &[Node]) -> PyResult<()> {
        self.enter()?;
        for node in nodes {
            if self.captures == 0 {
                self.line = node.line;
                self.marks.push((self.out.len(), node.line, matches!(node.kind, NodeKind::Text(_))));
            }
            self.step()?;
            self.node(node)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn node(&mut self, node: &Node) -> PyResult<()> {
        match &node.kind {
            NodeKind::Text(text) => self.write(text),
            NodeKind::Output(value) => {
                let text = self.eval(value)?.to_text()?;
                self.write(&text)
            }
            NodeKind::Set { target, value } => {
                let value = self.eval(value)?;
                self.assign(target, value)
            }
            NodeKind::If { branches, otherwise } => {
                for (test, body) in branches {
                    if truth(&self.eval(test)?)? {
                        return self.nodes(body);
                    }
                }
                otherwise.as_ref().map_or(Ok(()), |body| self.nodes(body))
            }
            NodeKind::For { target, items, condition, body, otherwise } => {
                self.for_loop(target, items, condition.as_ref(), body, otherwise.as_ref())
            }
            NodeKind::SetBlock { target, filters, body } => {
                let text = self.capture(body)?;
                let value = self.filters(Value::from(text), filters)?;
                self.assign(target, value)
            }
            NodeKind::With { values, body } => {
                // The values are evaluated outside.
                let values: Vec<Value> = values.iter().map(|(_, value)| self.eval(value)).collect::<PyResult<_>>()?;
                let inner = Scope::inside(&self.scope);
                let outer = std::mem::replace(&mut self.scope, inner);
                let result = self.with_body(&node.kind, values, body);
                self.scope = outer;
                result
            }
            NodeKind::FilterBlock { filters, body } => {
                let text = self.capture(body)?;
                let text = self.filters(Value::from(text), filters)?.to_text()?;
                self.write(&text)
            }
            NodeKind::Macro(definition) => {
                let value = self.make_macro(definition);
                self.scope.set(&definition.name, value);
                Ok(())
            }
            NodeKind::CallBlock { caller, call } => {
                let caller = self.make_macro(caller);
                let Expr::Call(function, args) = call else { return Ok(()) };
                let function = self.eval(function)?;
                let mut args = self.args(args)?;
                args.named.push((Rc::from("caller"), caller));
                let text = self.call(&function, &args)?.to_text()?;
                self.write(&text)
            }
            NodeKind::Include { names, ignore_missing } => self.include(names, *ignore_missing),
            NodeKind::Import { name, target } => {
                let module = self.import(name)?;
                self.scope.set(target, module);
                Ok(())
            }
            NodeKind::FromImport { name, names } => {
                let module = self.import(name)?;
                for (original, alias) in names {
                    let value = get_attribute(&module, original)?.unwrap_or_else(|| {
                        self.undefined(original, format!("the imported template has no `{original}`"))
                    });
                    self.scope.set(alias, value);
                }
                Ok(())
            }
            NodeKind::Block(body) => self.nodes(body),
        }
    }

    fn with_body(&mut self, node: &NodeKind, values: Vec<Value>, body: &Body) -> PyResult<()> {
        if let NodeKind::With { values: targets, .. } = node {
            for ((target, _), value) in targets.iter().zip(values) {
                self.assign(target, value)?;
            }
        }
        self.nodes(body)
    }

    fn for_loop(
        &mut self,
        target: &Target,
        items: &Expr,
        condition: Option<&Expr>,
        body: &Body,
        otherwise: Option<&Body>,
    ) -> PyResult<()> {
        let mut items = iterate(&self.eval(items)?)?;
        let outer = self.scope.clone();
        let result = self.for_body(target, &mut items, condition, body, &outer);
        self.scope = outer;
        result?;
        match otherwise {
            Some(body) if items.is_empty() => self.nodes(body),
            _ => Ok(()),
        }
    }

    fn for_body(
        &mut self,
        target: &Target,
        items: &mut Vec<Value>,
        condition: Option<&Expr>,
        body: &Body,
        outer: &Rc<Scope>,
    ) -> PyResult<()> {
        if let Some(condition) = condition {
            let mut kept = Vec::new();
            for item in items.drain(..) {
                self.step()?;
                self.scope = Scope::inside(outer);
                self.assign(target, item.clone())?;
                if truth(&self.eval(condition)?)? {
                    kept.push(item);
                }
            }
            *items = kept;
        }
        let name: Rc<str> = Rc::from("loop");
        let all: Rc<Vec<Value>> = Rc::new(items.clone());
        let changed = Rc::new(RefCell::new(None));
        for (index, item) in items.iter().enumerate() {
            self.step()?;
            self.scope = Scope::inside(outer);
            let state = Loop { index, items: all.clone(), changed: changed.clone() };
            self.scope.set(&name, Value::object(state));
            self.assign(target, item.clone())?;
            self.nodes(body)?;
        }
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Value) -> PyResult<()> {
        match target {
            Target::Name(name) => {
                self.scope.set(name, value);
                Ok(())
            }
            Target::Attribute(name, attribute) => match self.scope.get(name) {
                Some(Value::Object(object)) if object.set_attribute(attribute, value) => Ok(()),
                _ => Err(PyError::new(ErrorKind::Template, "cannot assign attribute on non-namespace object")),
            },
            Target::Tuple(targets) => {
                let values = iterate(&value)?;
                if values.len() != targets.len() {
                    let problem = if values.len() < targets.len() { "not enough" } else { "too many" };
                    return Err(PyError::value_error(format!(
                        "{problem} values to unpack (expected {}, got {})",
                        targets.len(),
                        values.len()
                    )));
                }
                targets.iter().zip(values).try_for_each(|(target, value)| self.assign(target, value))
            }
        }
    }

    /// Renders into a text of its own.
    fn capture(&mut self, body: &Body) -> PyResult<String> {
        let out = std::mem::take(&mut self.out);
        self.captures += 1;
        let result = self.nodes(body);
        self.captures -= 1;
        let text = std::mem::replace(&mut self.out, out);
        result.map(|()| text)
    }

    fn make_macro(&self, definition: &Rc<MacroDef>) -> Value {
        Value::object(Macro { definition: definition.clone(), scope: self.scope.clone() })
    }

    fn call_macro(&mut self, called: &Macro, args: &Args) -> PyResult {
        let definition = &called.definition;
        let scope = Scope::inside(&called.scope);
        let mut rest = args.positional.iter().skip(definition.params.len()).cloned().peekable();
        let known = |name: &str| definition.params.iter().any(|(param, _)| &**param == name);
        let mut named: Dict = Dict::new();
        for (name, value) in &args.named {
            if &**name == "caller" {
                scope.set(name, value.clone());
            } else if !known(name) {
                named.insert(Key::text(name), value.clone());
            }
        }
        if rest.peek().is_some() {
            scope.set(&Rc::from("varargs"), Value::tuple(rest.collect()));
        }
        if !named.is_empty() {
            scope.set(&Rc::from("kwargs"), Value::from(named));
        }
        let outer = std::mem::replace(&mut self.scope, scope);
        let result = self.macro_body(definition, args);
        self.scope = outer;
        result.map(Value::from)
    }

    fn macro_body(&mut self, definition: &MacroDef, args: &Args) -> PyResult<String> {
        for (index, (name, default)) in definition.params.iter().enumerate() {
            let value = match (args.get(index, name), default) {
                (Some(value), _) => value.clone(),
                (None, Some(default)) => self.eval(default)?,
                (None, None) => self.undefined(name, format!("parameter `{name}` was not provided")),
            };
            self.scope.set(name, value);
        }
        self.capture(&definition.body)
    }

    fn load(&mut self, name: &str) -> PyResult<Option<Template>> {
        self.templates += 1;
        if self.templates > MAX_TEMPLATES {
            return Err(PyError::limit("too many templates are included"));
        }
        let parsed = match self.context.load(name) {
            None => return Ok(None),
            Some(source) => source.and_then(|source| Template::parse(&source)),
        };
        parsed.map(Some).map_err(|error| {
            let message = match &error.cause {
                Cause::Syntax(message) => message.clone(),
                Cause::Runtime(error) => error.message.clone(),
            };
            let message = format!("in template `{name}`, line {}: {message}", error.line + 1);
            self.inner = Some(TemplateError { line: self.line, cause: Cause::Syntax(message.clone()) });
            PyError::new(ErrorKind::Template, message)
        })
    }

    fn include(&mut self, names: &Expr, ignore_missing: bool) -> PyResult<()> {
        let names = match self.eval(names)? {
            name @ Value::Str(_) => vec![name],
            several => iterate(&several)?,
        };
        for name in &names {
            if let Some(template) = self.load(&name.to_text()?)? {
                self.captures += 1;
                let inner = Scope::inside(&self.scope);
                let outer = std::mem::replace(&mut self.scope, inner);
                let result = self.nodes(&template.nodes);
                self.scope = outer;
                self.captures -= 1;
                return result;
            }
        }
        if ignore_missing {
            return Ok(());
        }
        let names: Vec<String> = names.iter().map(Value::repr).collect();
        Err(PyError::new(ErrorKind::Template, format!("template {} not found", names.join(", "))))
    }

    fn import(&mut self, name: &Expr) -> PyResult {
        let name = self.eval(name)?.to_text()?;
        let template = self
            .load(&name)?
            .ok_or_else(|| PyError::new(ErrorKind::Template, format!("template `{name}` not found")))?;
        let scope = Rc::new(Scope { names: RefCell::default(), outer: None });
        let outer = std::mem::replace(&mut self.scope, scope);
        let result = self.capture(&template.nodes);
        let scope = std::mem::replace(&mut self.scope, outer);
        result?;
        let names: Dict = scope.names.borrow().iter().map(|(name, value)| (Key::text(name), value.clone())).collect();
        Ok(Value::object(Namespace { names: RefCell::new(names), writable: false }))
    }

    fn eval(&mut self, expression: &Expr) -> PyResult {
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
                    None => Ok(self.undefined(
                        "",
                        "the inline if-expression evaluated to false and no else section was defined".to_owned(),
                    )),
                }
            }
        }
    }

    fn all(&mut self, items: &[Expr]) -> PyResult<Vec<Value>> {
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

    fn call(&mut self, function: &Value, args: &Args) -> PyResult {
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

    fn args(&mut self, args: &CallArgs) -> PyResult<Args> {
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

    fn filters(&mut self, mut value: Value, filters: &[Filter]) -> PyResult {
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

/// jinja2's own global functions.
fn builtin(name: &str) -> Option<Value> {
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

struct Macro {
    definition: Rc<MacroDef>,
    scope: Rc<Scope>,
}

impl Object for Macro {
    fn type_name(&self) -> &str {
        "Macro"
    }

    fn is_callable(&self) -> bool {
        true
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        (name == "name").then(|| Value::Str(self.definition.name.clone()))
    }

    fn repr(&self) -> String {
        format!("<Macro '{}'>", self.definition.name)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `namespace(…)`, and what `{% import %}` gives.
struct Namespace {
    names: RefCell<Dict>,
    writable: bool,
}

impl Object for Namespace {
    fn type_name(&self) -> &str {
        if self.writable { "Namespace" } else { "TemplateModule" }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        self.names.borrow().get(&Key::text(name)).cloned()
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
struct Loop {
    index: usize,
    items: Rc<Vec<Value>>,
    changed: Rc<RefCell<Option<Vec<Value>>>>,
}

impl Object for Loop {
    fn type_name(&self) -> &str {
        "LoopContext"
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        let count = self.items.len();
        let neighbour = |index: Option<usize>| {
            index.and_then(|index| self.items.get(index)).cloned().unwrap_or_else(|| {
                Value::Undefined(Rc::new(Undefined {
                    name: String::new(),
                    message: "there is no such item in the loop".to_owned(),
                    recorder: Some(Rc::default()),
                }))
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
            "depth" => Value::Int(1),
            "depth0" => Value::Int(0),
            "previtem" => neighbour(self.index.checked_sub(1)),
            "nextitem" => neighbour(Some(self.index + 1)),
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

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
