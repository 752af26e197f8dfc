//! Templates that extend others: `{% extends %}`, `{% block %}`, `super()` and `self`.

use std::rc::Rc;

use super::objects::{BlockReference, OwnBlocks};
use super::{Evaluator, Scope};
use crate::v0::expression::Expr;
use crate::v0::jinja::Template;
use crate::v0::jinja::ast::BlockDef;
use crate::v0::python::{ErrorKind, PyError, PyResult, Value};

/// A template and those that it extends, as far as they are rendered.
pub(super) struct Family {
    /// The blocks of each name, that of the template which extends the others first.
    blocks: Vec<(Rc<str>, Vec<Rc<BlockDef>>)>,
    /// The scope of the template's top, which blocks see.
    top: Rc<Scope>,
    /// What the template extends, from there on where it says so.
    parent: Option<Template>,
    /// Whether what is rendered is left out: text outside of blocks, in a template that extends another.
    silent: bool,
}

impl Family {
    pub(super) fn new(top: &Rc<Scope>) -> Self {
        Self { blocks: Vec::new(), top: top.clone(), parent: None, silent: false }
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Returns whether it was.
    pub(super) fn be_silent(&mut self, silent: bool) -> bool {
        std::mem::replace(&mut self.silent, silent)
    }

    fn add(&mut self, template: &Template) {
        for block in &template.blocks {
            match self.blocks.iter_mut().find(|(name, _)| *name == block.name) {
                Some((_, list)) => list.push(block.clone()),
                None => self.blocks.push((block.name.clone(), vec![block.clone()])),
            }
        }
    }

    /// The block of a name, `level` steps away from the one that counts.
    fn block(&self, name: &str, level: usize) -> Option<Rc<BlockDef>> {
        self.blocks.iter().find(|(known, _)| **known == *name)?.1.get(level).cloned()
    }
}

impl Evaluator<'_> {
    /// Renders a template in the current scope, with what it extends.
    pub(super) fn family(&mut self, template: &Template) -> PyResult<()> {
        let silent = self.family.silent;
        let outer = std::mem::replace(&mut self.family, Family::new(&self.scope));
        // What a silent template includes is not heard either.
        self.family.silent = silent;
        let result = self.generations(template, silent);
        self.family = outer;
        result
    }

    fn generations(&mut self, template: &Template, silent: bool) -> PyResult<()> {
        self.family.add(template);
        self.nodes(&template.nodes)?;
        while let Some(parent) = self.family.parent.take() {
            self.family.silent = silent;
            self.family.add(&parent);
            self.captures += 1;
            let result = self.nodes(&parent.nodes);
            self.captures -= 1;
            result?;
        }
        Ok(())
    }

    pub(super) fn extends(&mut self, name: &Expr) -> PyResult<()> {
        if self.family.parent.is_some() {
            return Err(PyError::new(ErrorKind::Template, "extended multiple times"));
        }
        self.family.parent = Some(self.other_template(name)?);
        self.family.silent = true;
        Ok(())
    }

    pub(super) fn block(&mut self, block: &BlockDef) -> PyResult<()> {
        let around = if block.scoped { self.scope.clone() } else { self.family.top.clone() };
        self.render_block(&BlockReference { name: block.name.clone(), level: 0, around })
    }

    fn render_block(&mut self, reference: &BlockReference) -> PyResult<()> {
        let BlockReference { name, level, around } = reference;
        let Some(block) = self.family.block(name, *level) else { return Ok(()) };
        if block.required {
            return Err(PyError::new(ErrorKind::Template, format!("Required block {name:?} not found")));
        }
        let scope = Scope::inside(around);
        let next = BlockReference { name: name.clone(), level: level + 1, around: around.clone() };
        let above = match self.family.block(name, next.level) {
            Some(_) => Value::object(next),
            None => self.undefined("super", format!("there is no parent block called '{name}'.")),
        };
        scope.set(&Rc::from("super"), above);
        self.in_scope(scope, |this| this.nodes(&block.body))
    }

    /// `super()` and `self.name()`.
    pub(super) fn call_block(&mut self, reference: &BlockReference) -> PyResult {
        self.captured(|this| this.render_block(reference)).map(Value::from)
    }

    /// `self`.
    pub(super) fn own_blocks(&self) -> Value {
        let names = self.family.blocks.iter().map(|(name, _)| name.clone()).collect();
        Value::object(OwnBlocks { names, top: self.family.top.clone() })
    }
}
