//! What a template is made of.

use std::rc::Rc;

use crate::v0::expression::{Expr, Filter};

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    pub(super) nodes: Rc<Vec<Node>>,
    /// All of its blocks, nested ones too.
    pub(super) blocks: Vec<Rc<BlockDef>>,
}

/// A part of a template and the 0-based line it begins on.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: NodeKind,
}

pub(super) type Body = Rc<Vec<Node>>;

#[derive(Debug)]
pub(super) enum NodeKind {
    Text(Rc<str>),
    Output(Expr),
    If {
        branches: Vec<(Expr, Body)>,
        otherwise: Option<Body>,
    },
    For(Rc<ForLoop>),
    Set {
        target: Target,
        value: Expr,
    },
    SetBlock {
        target: Target,
        filters: Vec<Filter>,
        body: Body,
    },
    With {
        values: Vec<(Target, Expr)>,
        body: Body,
    },
    FilterBlock {
        filters: Vec<Filter>,
        body: Body,
    },
    Macro(Rc<MacroDef>),
    CallBlock {
        caller: Rc<MacroDef>,
        call: Expr,
    },
    Extends(Expr),
    Block(Rc<BlockDef>),
    /// `with_context`: whether the other template sees the names of this one.
    Include {
        names: Expr,
        ignore_missing: bool,
        with_context: bool,
    },
    Import {
        name: Expr,
        target: Rc<str>,
        with_context: bool,
    },
    FromImport {
        name: Expr,
        names: Vec<(Rc<str>, Rc<str>)>,
        with_context: bool,
    },
}

/// `{% block … %}`.
#[derive(Debug)]
pub(super) struct BlockDef {
    pub(super) name: Rc<str>,
    /// Whether it sees the names around it, and not those of the template's top alone.
    pub(super) scoped: bool,
    /// Whether a template that extends this one must have it.
    pub(super) required: bool,
    pub(super) body: Body,
}

/// `{% for … in … %}`.
#[derive(Debug)]
pub(super) struct ForLoop {
    pub(super) target: Target,
    pub(super) items: Expr,
    pub(super) condition: Option<Expr>,
    /// Whether the body may call `loop(…)` with the items of a deeper level.
    pub(super) recursive: bool,
    pub(super) body: Body,
    pub(super) otherwise: Option<Body>,
}

#[derive(Debug)]
pub(super) struct MacroDef {
    pub(super) name: Rc<str>,
    pub(super) params: Vec<(Rc<str>, Option<Expr>)>,
    pub(super) body: Body,
    /// Whether the body names `varargs`, `kwargs` and `caller`; without that a macro takes no such arguments.
    pub(super) takes: Takes,
}

/// What a macro takes beside its parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    pub(super) varargs: bool,
    pub(super) kwargs: bool,
    pub(super) caller: bool,
}

/// What `set` and `for` assign to.
#[derive(Debug)]
pub(super) enum Target {
    Name(Rc<str>),
    Tuple(Vec<Target>),
    /// `{% set ns.x = … %}`.
    Attribute(Rc<str>, Rc<str>),
}
