//! Rendering: statements, scopes, macros and other templates. Expressions and what they may hold have modules of their
//! own.

mod expressions;
mod inheritance;
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
use inheritance::Family;
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
    /// The template being rendered and those that it extends.
    family: Family,
    /// How many macros, blocks and other templates are being rendered into a text of their own.
    captures: usize,
    /// A mistake in another template, kept while it passes as a Python error.
    inner: Option<TemplateError>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(context: &'a dyn Context, recorder: Option<Rc<Recorder>>) -> Self {
        let scope = Rc::new(Scope { names: RefCell::default(), outer: None });
        Self {
            context,
            recorder,
            family: Family::new(&scope),
            scope,
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
        match self.family(template) {
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
        if self.family.is_silent() {
            return Ok(());
        }
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
            NodeKind::Text(_) | NodeKind::Output(_) | NodeKind::Block(_) if self.family.is_silent() => Ok(()),
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
            NodeKind::Extends(name) => self.extends(name),
            NodeKind::Block(block) => self.block(block),
            NodeKind::Include { names, ignore_missing, with_context } => {
                self.include(names, *ignore_missing, *with_context)
            }
            NodeKind::Import { name, target, with_context } => {
                let module = self.import(name, *with_context)?;
                self.scope.set(target, module);
                Ok(())
            }
            NodeKind::FromImport { name, names, with_context } => {
                let module = self.import(name, *with_context)?;
                for (original, alias) in names {
                    let value = get_attribute(&module, original)?.unwrap_or_else(|| {
                        self.undefined(original, format!("the imported template has no `{original}`"))
                    });
                    self.scope.set(alias, value);
                }
                Ok(())
            }
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
            let recorder = self.recorder.clone();
            let state = Loop { index, items: all.clone(), changed: changed.clone(), depth, recursion, recorder };
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
        let silent = self.family.be_silent(false);
        let result = render(self);
        self.family.be_silent(silent);
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
        let rest: Vec<Value> = args.positional.iter().skip(definition.params.len()).cloned().collect();
        let known = |name: &str| definition.params.iter().any(|(param, _)| &**param == name);
        let takes = definition.takes;
        let mut named: Dict = Dict::default();
        if takes.caller && !known("caller") {
            scope.set(&Rc::from("caller"), self.undefined("caller", "No caller defined".to_owned()));
        }
        for (name, value) in &args.named {
            if known(name) {
                continue;
            }
            if &**name == "caller" && takes.caller {
                scope.set(name, value.clone());
            } else if takes.kwargs {
                named.insert(Key::text(name), value.clone());
            } else {
                let message = format!("macro '{}' takes no keyword argument '{name}'", definition.name);
                return Err(PyError::type_error(message));
            }
        }
        if takes.varargs {
            scope.set(&Rc::from("varargs"), Value::tuple(rest));
        } else if !rest.is_empty() {
            let most = definition.params.len();
            let message = format!("macro '{}' takes not more than {most} argument(s)", definition.name);
            return Err(PyError::type_error(message));
        }
        if takes.kwargs {
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

    fn include(&mut self, names: &Expr, ignore_missing: bool, with_context: bool) -> PyResult<()> {
        let names = match self.eval(names)? {
            name @ Value::Str(_) => vec![name],
            several => iterate(&several)?,
        };
        for name in &names {
            if let Some(template) = self.load(&name.to_text()?)? {
                self.captures += 1;
                let result = self.in_scope(self.inner_scope(with_context), |this| this.family(&template));
                self.captures -= 1;
                return result;
            }
        }
        if ignore_missing {
            return Ok(());
        }
        let names: Vec<String> =
            names.iter().map(|name| Ok(format!("`{}`", name.to_text()?))).collect::<PyResult<_>>()?;
        Err(PyError::new(ErrorKind::Template, format!("template {} not found", names.join(" or "))))
    }

    fn import(&mut self, name: &Expr, with_context: bool) -> PyResult {
        let template = self.other_template(name)?;
        let scope = self.inner_scope(with_context);
        self.in_scope(scope.clone(), |this| this.captured(|this| this.family(&template)))?;
        let names = scope.names.borrow();
        let exported = names.iter().filter(|(name, _)| !name.starts_with('_'));
        let names: Dict = exported.map(|(name, value)| (Key::text(name), value.clone())).collect();
        Ok(Value::object(Namespace { names: RefCell::new(names), writable: false }))
    }

    /// A template that must be there.
    fn other_template(&mut self, name: &Expr) -> PyResult<Template> {
        let name = self.eval(name)?.to_text()?;
        self.load(&name)?.ok_or_else(|| PyError::new(ErrorKind::Template, format!("template `{name}` not found")))
    }

    /// A scope for another template.
    fn inner_scope(&self, with_context: bool) -> Rc<Scope> {
        let outer = with_context.then(|| self.scope.clone());
        Rc::new(Scope { names: RefCell::default(), outer })
    }

    fn in_scope<T>(&mut self, scope: Rc<Scope>, render: impl FnOnce(&mut Self) -> PyResult<T>) -> PyResult<T> {
        let outer = std::mem::replace(&mut self.scope, scope);
        let result = render(self);
        self.scope = outer;
        result
    }
}
