//! Expressions: what stands in a selector's brackets and in a template's braces.
//!
//! Both are Python at heart and share one tree, one parser and one evaluator; [`Dialect`] names the points at which they
//! differ. What a name means, what can be called and what an unknown attribute is, the [`Scope`] says that an expression
//! is evaluated in.

mod eval;
mod grammar;
mod lexer;
mod parser;

use std::rc::Rc;

use super::python::{BinaryOp, CompareOp, Value};

pub(crate) use self::eval::{Scope, args, evaluate, missing_attribute, not_callable};
pub(crate) use self::lexer::{Lexer, Token};
pub(crate) use self::parser::{Parsed, Parser};

/// Whose expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Python: keywords are no names, an `if` has an `else`, `-x ** 2` is negative, strings have prefixes.
    Selector,
    /// jinja2: `true` is `True`, `~` joins, `|` filters, `is` tests, `-x ** 2` is positive.
    Template,
}

/// Text that is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// 0-based line of the text.
    pub(crate) line: usize,
    pub(crate) message: String,
}

#[derive(Debug)]
pub(crate) enum Expr {
    Const(Value),
    Name(Rc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, Rc<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Box<CallArgs>),
    Filter(Box<Expr>, Box<Filter>),
    Test {
        value: Box<Expr>,
        test: Box<Filter>,
        negated: bool,
    },
    Not(Box<Expr>),
    Negate {
        value: Box<Expr>,
        plus: bool,
    },
    /// `and` or `or` between parts, of which there are two at least.
    Bool {
        and: bool,
        parts: Vec<Expr>,
    },
    Compare {
        first: Box<Expr>,
        rest: Vec<(CompareOp, Expr)>,
    },
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    /// What Python has and no selector may hold: its name.
    Forbidden(&'static str),
    If {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
}

/// What stands in a call's parentheses.
#[derive(Debug, Default)]
pub(crate) struct CallArgs {
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(Rc<str>, Expr)>,
    pub(crate) star: Option<Box<Expr>>,
    pub(crate) double_star: Option<Box<Expr>>,
}

/// A filter or a test with its arguments.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) name: Rc<str>,
    pub(crate) args: CallArgs,
}
