//! From tokens to a template: jinja2's statements. Expressions have a parser that they share with selectors.

use std::rc::Rc;

use super::ast::{BlockDef, Body, ForLoop, MacroDef, Node, NodeKind, Takes, Target, Template};
use super::lexer::tokenize;
use crate::v0::expression::{self, Dialect, Expr, Parsed, SyntaxError, Token};

pub(super) fn parse(source: &str) -> Result<Template, SyntaxError> {
    let input = expression::Parser::new(Dialect::Template, tokenize(source)?);
    let mut parser = Parser { input, open: Vec::new(), blocks: Vec::new() };
    let nodes = parser.body(&[])?;
    Ok(Template { nodes, blocks: parser.blocks })
}

struct Parser {
    input: expression::Parser,
    /// Names of the statements that are open.
    open: Vec<String>,
    blocks: Vec<Rc<BlockDef>>,
}

impl Parser {
    fn unclosed<T>(&self) -> Parsed<T> {
        let tag = self.open.last().map_or("", String::as_str);
        self.input.fail(format!("unexpected end of template: `{tag}` is not closed by `end{tag}`"))
    }

    fn statement_end(&mut self) -> Parsed<()> {
        if self.input.token(&Token::StatementEnd) { Ok(()) } else { self.input.expected("end of statement block") }
    }

    /// Nodes up to a statement whose name is one of `ends`; the name is left to be read.
    fn body(&mut self, ends: &[&str]) -> Parsed<Body> {
        self.input.enter()?;
        let mut nodes = Vec::new();
        loop {
            let line = self.input.line();
            match self.input.next() {
                Token::Data(text) => nodes.push(Node { line, kind: NodeKind::Text(text) }),
                Token::OutputStart => {
                    let value = self.input.tuple()?;
                    if !self.input.token(&Token::OutputEnd) {
                        return self.input.expected("end of print statement");
                    }
                    nodes.push(Node { line, kind: NodeKind::Output(value) });
                }
                Token::StatementStart => {
                    if let Token::Name(name) = self.input.peek()
                        && ends.contains(&&**name)
                    {
                        break;
                    }
                    let kind = self.statement()?;
                    nodes.push(Node { line, kind });
                }
                Token::End if ends.is_empty() => break,
                Token::End => return self.unclosed(),
                other => {
                    return Err(SyntaxError { line, message: format!("unexpected `{}`", other.describe()) });
                }
            }
        }
        self.input.leave();
        Ok(Rc::new(nodes))
    }

    /// The body of a block statement and its end.
    fn block(&mut self, name: &str) -> Parsed<Body> {
        self.open.push(name.to_owned());
        self.statement_end()?;
        let end = format!("end{name}");
        let body = self.body(&[&end])?;
        self.input.next();
        self.open.pop();
        // `{% endblock name %}` and `{% endmacro name %}` may repeat the name.
        if matches!(name, "block" | "macro") && matches!(self.input.peek(), Token::Name(_)) {
            self.input.next();
        }
        self.statement_end()?;
        Ok(body)
    }

    fn statement(&mut self) -> Parsed<NodeKind> {
        let line = self.input.line();
        let Token::Name(tag) = self.input.next() else {
            return Err(SyntaxError { line, message: "tag name expected".to_owned() });
        };
        match &*tag {
            "if" => self.if_statement(),
            "for" => self.for_statement(),
            "set" => self.set_statement(),
            "with" => {
                let mut values = Vec::new();
                while *self.input.peek() != Token::StatementEnd {
                    if !values.is_empty() {
                        self.input.expect_sign(",")?;
                    }
                    let target = self.target()?;
                    self.input.expect_sign("=")?;
                    values.push((target, self.input.expression()?));
                }
                Ok(NodeKind::With { values, body: self.block("with")? })
            }
            "filter" => {
                let mut filters = vec![self.input.filter()?];
                while self.input.sign("|") {
                    filters.push(self.input.filter()?);
                }
                Ok(NodeKind::FilterBlock { filters, body: self.block("filter")? })
            }
            "macro" => {
                let name = self.input.name()?;
                let params = self.signature()?;
                self.macro_body("macro", name, params).map(NodeKind::Macro)
            }
            "call" => {
                let params = if self.input.is_sign("(") { self.signature()? } else { Vec::new() };
                let call = self.input.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    return self.input.fail("expected call");
                }
                let caller = self.macro_body("call", Rc::from("caller"), params)?;
                Ok(NodeKind::CallBlock { caller, call })
            }
            "extends" => {
                let name = self.input.expression()?;
                self.statement_end()?;
                Ok(NodeKind::Extends(name))
            }
            "include" => {
                let names = self.input.expression()?;
                let ignore_missing = self.input.word("ignore");
                if ignore_missing {
                    self.input.expect_word("missing")?;
                }
                let with_context = self.import_context().unwrap_or(true);
                self.statement_end()?;
                Ok(NodeKind::Include { names, ignore_missing, with_context })
            }
            "import" => {
                let name = self.input.expression()?;
                self.input.expect_word("as")?;
                let target = self.input.name()?;
                let with_context = self.import_context().unwrap_or(false);
                self.statement_end()?;
                Ok(NodeKind::Import { name, target, with_context })
            }
            "from" => {
                let name = self.input.expression()?;
                self.input.expect_word("import")?;
                let mut names = Vec::new();
                loop {
                    let original = self.input.name()?;
                    let alias = if self.input.word("as") { self.input.name()? } else { original.clone() };
                    names.push((original, alias));
                    if !self.input.sign(",") || *self.input.peek() == Token::StatementEnd || self.input.is_word("with")
                    {
                        break;
                    }
                }
                let with_context = self.import_context().unwrap_or(false);
                self.statement_end()?;
                Ok(NodeKind::FromImport { name, names, with_context })
            }
            "block" => {
                let name = self.input.name()?;
                if self.blocks.iter().any(|block| block.name == name) {
                    return self.input.fail(format!("block `{name}` defined twice"));
                }
                let (mut scoped, mut required) = (false, false);
                while *self.input.peek() != Token::StatementEnd {
                    let flag = if self.input.is_word("scoped") { &mut scoped } else { &mut required };
                    *flag = true;
                    if !self.input.word("scoped") {
                        self.input.expect_word("required")?;
                    }
                }
                let body = self.block("block")?;
                let block = Rc::new(BlockDef { name, scoped, required, body });
                self.blocks.push(block.clone());
                Ok(NodeKind::Block(block))
            }
            // Nothing is escaped that isn't asked for; the body has a scope of its own.
            "autoescape" => {
                self.input.expression()?;
                Ok(NodeKind::With { values: Vec::new(), body: self.block("autoescape")? })
            }
            other => {
                let open = self.open.last().map(|tag| format!("; `{tag}` is open and wants `end{tag}`"));
                let message = format!("encountered unknown tag `{other}`{}", open.unwrap_or_default());
                Err(SyntaxError { line, message })
            }
        }
    }

    /// `with context` (true) and `without context` (false).
    fn import_context(&mut self) -> Option<bool> {
        if self.input.words("with", "context") {
            return Some(true);
        }
        self.input.words("without", "context").then_some(false)
    }

    /// A macro's body and its end.
    fn macro_body(&mut self, tag: &str, name: Rc<str>, params: Vec<(Rc<str>, Option<Expr>)>) -> Parsed<Rc<MacroDef>> {
        let start = self.input.position();
        let body = self.block(tag)?;
        let names = |name: &str| self.input.named_since(start, name);
        let takes = Takes { varargs: names("varargs"), kwargs: names("kwargs"), caller: names("caller") };
        Ok(Rc::new(MacroDef { name, params, body, takes }))
    }

    fn if_statement(&mut self) -> Parsed<NodeKind> {
        self.open.push("if".to_owned());
        let mut branches = Vec::new();
        let mut otherwise = None;
        let mut test = Some(self.input.tuple_without_condition()?);
        loop {
            self.statement_end()?;
            let body = self.body(if test.is_some() { &["elif", "else", "endif"] } else { &["endif"] })?;
            match test.take() {
                Some(test) => branches.push((test, body)),
                None => otherwise = Some(body),
            }
            if self.input.word("elif") {
                test = Some(self.input.tuple_without_condition()?);
            } else if !self.input.word("else") {
                self.input.next();
                break;
            }
        }
        self.open.pop();
        self.statement_end()?;
        Ok(NodeKind::If { branches, otherwise })
    }

    fn for_statement(&mut self) -> Parsed<NodeKind> {
        self.open.push("for".to_owned());
        let target = self.target()?;
        self.input.expect_word("in")?;
        let items = self.input.tuple_without_condition()?;
        let condition = if self.input.word("if") { Some(self.input.expression()?) } else { None };
        let recursive = self.input.word("recursive");
        self.statement_end()?;
        let body = self.body(&["endfor", "else"])?;
        let otherwise = if self.input.word("else") {
            self.statement_end()?;
            Some(self.body(&["endfor"])?)
        } else {
            None
        };
        self.input.next();
        self.open.pop();
        self.statement_end()?;
        Ok(NodeKind::For(Rc::new(ForLoop { target, items, condition, recursive, body, otherwise })))
    }

    fn set_statement(&mut self) -> Parsed<NodeKind> {
        let target = self.target()?;
        if self.input.sign("=") {
            let value = self.input.tuple()?;
            self.statement_end()?;
            return Ok(NodeKind::Set { target, value });
        }
        let mut filters = Vec::new();
        while self.input.sign("|") {
            filters.push(self.input.filter()?);
        }
        if *self.input.peek() != Token::StatementEnd {
            return self.input.expected("end of statement block");
        }
        let body = self.block("set")?;
        Ok(NodeKind::SetBlock { target, filters, body })
    }

    fn target(&mut self) -> Parsed<Target> {
        let mut parts = Vec::new();
        let mut is_tuple = false;
        loop {
            if self.input.sign("(") {
                parts.push(self.target()?);
                self.input.expect_sign(")")?;
            } else {
                let name = self.input.name()?;
                if matches!(&*name, "true" | "false" | "none" | "True" | "False" | "None") {
                    return self.input.fail(format!("can't assign to `{name}`"));
                }
                if self.input.sign(".") {
                    let attribute = self.input.name()?;
                    parts.push(Target::Attribute(name, attribute));
                } else {
                    parts.push(Target::Name(name));
                }
            }
            if !self.input.sign(",") {
                break;
            }
            is_tuple = true;
            if self.input.is_word("in") || self.input.is_sign("=") || self.input.is_sign(")") {
                break;
            }
        }
        if is_tuple { Ok(Target::Tuple(parts)) } else { Ok(parts.swap_remove(0)) }
    }

    fn signature(&mut self) -> Parsed<Vec<(Rc<str>, Option<Expr>)>> {
        self.input.expect_sign("(")?;
        let mut params: Vec<(Rc<str>, Option<Expr>)> = Vec::new();
        while !self.input.sign(")") {
            if !params.is_empty() {
                self.input.expect_sign(",")?;
            }
            let name = self.input.name()?;
            let default = if self.input.sign("=") { Some(self.input.expression()?) } else { None };
            if default.is_none() && params.iter().any(|(_, default)| default.is_some()) {
                return self.input.fail("non-default argument follows default argument");
            }
            params.push((name, default));
        }
        Ok(params)
    }
}
