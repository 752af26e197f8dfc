//! Rendering: statements, scopes, macros and other templates. Expressions and what they may hold have modules of their
//! own.

mod expressions;
mod objects;

use std::cell::RefCell;
use std::rc::Rc;

use super::ast::{Body, ForLoop, MacroDef, Node, NodeKind, Target, Template};
use super::{Cause, Context, ContextFunction, Mark, TemplateError};
use crate::v0::expression::{Expr, Scope as _};
use crate::v0::python::{
    Args, Dict, ErrorKind, Key, MAX_LENGTH, PyError, PyResult, Recorder, Undefined, Value, get_attribute, iterate,
    truth,
};
pub(crate) use objects::Function;
use objects::{Loop, Macro, Namespace};

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
    recorder: Option<Rc<Recorder>>,
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
    pub(super) fn new(context: &'a dyn Context, recorder: Option<Rc<Recorder>>) -> Self {
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

    /// What jinja2 has for the missing `else` of an inline `if`, strict or not: it is no text, and not true.
    pub(super) fn nothing() -> Value {
        let (name, message) = (String::new(), "the inline if-expression has no else section".to_owned());
        Value::Undefined(Rc::new(Undefined { name, message, recorder: Some(Rc::default()) }))
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
            NodeKind::For(statement) => {
                let items = iterate(&self.eval(&statement.items)?)?;
                self.for_loop(statement, items, 0)
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

    /// `depth`: how many loops of the same statement this one is called in.
    fn for_loop(&mut self, statement: &Rc<ForLoop>, mut items: Vec<Value>, depth: usize) -> PyResult<()> {
        let outer = self.scope.clone();
        let result = self.for_body(statement, &mut items, depth, &outer);
        self.scope = outer;
        result?;
        match &statement.otherwise {
            Some(body) if items.is_empty() => self.nodes(body),
            _ => Ok(()),
        }
    }

    fn for_body(
        &mut self,
        statement: &Rc<ForLoop>,
        items: &mut Vec<Value>,
        depth: usize,
        outer: &Rc<Scope>,
    ) -> PyResult<()> {
        let target = &statement.target;
        if let Some(condition) = &statement.condition {
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
            let recursion = statement.recursive.then(|| (statement.clone(), outer.clone()));
            let state = Loop { index, items: all.clone(), changed: changed.clone(), depth, recursion };
            self.scope.set(&name, Value::object(state));
            self.assign(target, item.clone())?;
            self.nodes(&statement.body)?;
        }
        Ok(())
    }

    /// `loop(items)` in a recursive loop: the text of the same statement for other items.
    fn recurse(&mut self, called: &Loop, args: &Args) -> PyResult {
        let Some((statement, scope)) = &called.recursion else {
            return Err(PyError::type_error("the loop must have the 'recursive' marker to be called recursively"));
        };
        let items = args.positional.first().map(iterate).transpose()?.unwrap_or_default();
        let outer = std::mem::replace(&mut self.scope, scope.clone());
        let result = self.captured(|evaluator| {
            evaluator.enter()?;
            evaluator.for_loop(statement, items, called.depth + 1)?;
            evaluator.depth -= 1;
            Ok(())
        });
        self.scope = outer;
        result.map(Value::from)
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
        self.captured(|evaluator| evaluator.nodes(body))
    }

    fn captured(&mut self, render: impl FnOnce(&mut Self) -> PyResult<()>) -> PyResult<String> {
        let out = std::mem::take(&mut self.out);
        self.captures += 1;
        let result = render(self);
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
        let mut named: Dict = Dict::default();
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
}
