//! From tokens to a template: jinja2's grammar.

use std::rc::Rc;

use super::TemplateError;
use super::ast::{Body, CallArgs, Expr, Filter, MacroDef, Node, NodeKind, Target, Template};
use super::filters::{is_filter, is_test};
use super::lexer::{Token, tokenize};
use crate::v0::python::{BinaryOp, CompareOp, Value};

/// How deep statements and expressions may nest.
const MAX_DEPTH: usize = 60;

pub(super) fn parse(source: &str) -> Result<Template, TemplateError> {
    let mut parser = Parser { tokens: tokenize(source)?, at: 0, depth: 0, open: Vec::new() };
    let nodes = parser.body(&[])?;
    Ok(Template { nodes })
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    /// Names of the statements that are open.
    open: Vec<String>,
}

type Parsed<T> = Result<T, TemplateError>;

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn line(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if &**found == word)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(TemplateError::syntax(self.line(), message))
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        if *self.peek() == Token::End && !self.open.is_empty() {
            return self.unclosed();
        }
        self.fail(format!("expected token `{what}`, got `{}`", self.peek().describe()))
    }

    fn unclosed<T>(&self) -> Parsed<T> {
        let tag = self.open.last().map_or("", String::as_str);
        self.fail(format!("unexpected end of template: `{tag}` is not closed by `end{tag}`"))
    }

    fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { self.expected(sign) }
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.word(word) { Ok(()) } else { self.expected(word) }
    }

    fn name(&mut self) -> Parsed<Rc<str>> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.expected("name"),
        }
    }

    fn statement_end(&mut self) -> Parsed<()> {
        if *self.peek() == Token::StatementEnd {
            self.at += 1;
            return Ok(());
        }
        self.expected("end of statement block")
    }

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { self.fail("the template is nested too deeply") } else { Ok(()) }
    }

    /// Nodes up to a statement whose name is one of `ends`; the name is left to be read.
    fn body(&mut self, ends: &[&str]) -> Parsed<Body> {
        self.enter()?;
        let mut nodes = Vec::new();
        loop {
            let line = self.line();
            match self.next() {
                Token::Data(text) => nodes.push(Node { line, kind: NodeKind::Text(text) }),
                Token::OutputStart => {
                    let value = self.tuple(true)?;
                    if *self.peek() != Token::OutputEnd {
                        return self.expected("end of print statement");
                    }
                    self.at += 1;
                    nodes.push(Node { line, kind: NodeKind::Output(value) });
                }
                Token::StatementStart => {
                    if let Token::Name(name) = self.peek()
                        && ends.contains(&&**name)
                    {
                        break;
                    }
                    let kind = self.statement()?;
                    nodes.push(Node { line, kind });
                }
                Token::End if ends.is_empty() => break,
                Token::End => {
                    self.at -= 1;
                    return self.unclosed();
                }
                other => {
                    self.at -= 1;
                    return self.fail(format!("unexpected `{}`", other.describe()));
                }
            }
        }
        self.depth -= 1;
        Ok(Rc::new(nodes))
    }

    /// The body of a block statement and its end.
    fn block(&mut self, name: &str) -> Parsed<Body> {
        self.open.push(name.to_owned());
        self.statement_end()?;
        let end = format!("end{name}");
        let body = self.body(&[&end])?;
        self.at += 1;
        self.open.pop();
        // `{% endblock name %}` and `{% endmacro name %}` may repeat the name.
        if matches!(name, "block" | "macro") && matches!(self.peek(), Token::Name(_)) {
            self.at += 1;
        }
        self.statement_end()?;
        Ok(body)
    }

    fn statement(&mut self) -> Parsed<NodeKind> {
        let Token::Name(tag) = self.next() else {
            self.at -= 1;
            return self.fail("tag name expected");
        };
        match &*tag {
            "if" => self.if_statement(),
            "for" => self.for_statement(),
            "set" => self.set_statement(),
            "with" => {
                let mut values = Vec::new();
                while *self.peek() != Token::StatementEnd {
                    if !values.is_empty() {
                        self.expect_sign(",")?;
                    }
                    let target = self.target(true)?;
                    self.expect_sign("=")?;
                    values.push((target, self.expression()?));
                }
                Ok(NodeKind::With { values, body: self.block("with")? })
            }
            "filter" => {
                let mut filters = vec![self.filter()?];
                while self.sign("|") {
                    filters.push(self.filter()?);
                }
                Ok(NodeKind::FilterBlock { filters, body: self.block("filter")? })
            }
            "macro" => {
                let name = self.name()?;
                let params = self.signature()?;
                let body = self.block("macro")?;
                Ok(NodeKind::Macro(Rc::new(MacroDef { name, params, body })))
            }
            "call" => {
                let params = if self.is_sign("(") { self.signature()? } else { Vec::new() };
                let call = self.expression()?;
                if !matches!(call, Expr::Call(..)) {
                    return self.fail("expected call");
                }
                let body = self.block("call")?;
                Ok(NodeKind::CallBlock { caller: Rc::new(MacroDef { name: Rc::from("caller"), params, body }), call })
            }
            "include" => {
                let names = self.expression()?;
                let ignore_missing = self.is_word("ignore");
                if ignore_missing {
                    self.at += 1;
                    self.expect_word("missing")?;
                }
                self.import_context();
                self.statement_end()?;
                Ok(NodeKind::Include { names, ignore_missing })
            }
            "import" => {
                let name = self.expression()?;
                self.expect_word("as")?;
                let target = self.name()?;
                self.import_context();
                self.statement_end()?;
                Ok(NodeKind::Import { name, target })
            }
            "from" => {
                let name = self.expression()?;
                self.expect_word("import")?;
                let mut names = Vec::new();
                loop {
                    let original = self.name()?;
                    let alias = if self.word("as") { self.name()? } else { original.clone() };
                    names.push((original, alias));
                    if !self.sign(",") || *self.peek() == Token::StatementEnd || self.is_word("with") {
                        break;
                    }
                }
                self.import_context();
                self.statement_end()?;
                Ok(NodeKind::FromImport { name, names })
            }
            "block" => {
                self.name()?;
                while matches!(self.peek(), Token::Name(_)) {
                    self.at += 1;
                }
                Ok(NodeKind::Block(self.block("block")?))
            }
            "autoescape" => {
                self.expression()?;
                Ok(NodeKind::Block(self.block("autoescape")?))
            }
            other => {
                self.at -= 1;
                let open = self.open.last().map(|tag| format!("; `{tag}` is open and wants `end{tag}`"));
                self.fail(format!("encountered unknown tag `{other}`{}", open.unwrap_or_default()))
            }
        }
    }

    /// `with context` and `without context`, which make no difference to globals.
    fn import_context(&mut self) {
        if (self.is_word("with") || self.is_word("without"))
            && matches!(self.tokens.get(self.at + 1), Some((Token::Name(name), _)) if &**name == "context")
        {
            self.at += 2;
        }
    }

    fn if_statement(&mut self) -> Parsed<NodeKind> {
        self.open.push("if".to_owned());
        let mut branches = Vec::new();
        let mut otherwise = None;
        let mut test = Some(self.tuple(false)?);
        loop {
            self.statement_end()?;
            let body = self.body(if test.is_some() { &["elif", "else", "endif"] } else { &["endif"] })?;
            match test.take() {
                Some(test) => branches.push((test, body)),
                None => otherwise = Some(body),
            }
            if self.word("elif") {
                test = Some(self.tuple(false)?);
            } else if !self.word("else") {
                self.at += 1;
                break;
            }
        }
        self.open.pop();
        self.statement_end()?;
        Ok(NodeKind::If { branches, otherwise })
    }

    fn for_statement(&mut self) -> Parsed<NodeKind> {
        self.open.push("for".to_owned());
        let target = self.target(true)?;
        self.expect_word("in")?;
        let items = self.tuple(false)?;
        let condition = if self.word("if") { Some(self.expression()?) } else { None };
        if self.is_word("recursive") {
            return self.fail("recursive loops are not supported");
        }
        self.statement_end()?;
        let body = self.body(&["endfor", "else"])?;
        let otherwise = if self.word("else") {
            self.statement_end()?;
            Some(self.body(&["endfor"])?)
        } else {
            None
        };
        self.at += 1;
        self.open.pop();
        self.statement_end()?;
        Ok(NodeKind::For { target, items, condition, body, otherwise })
    }

    fn set_statement(&mut self) -> Parsed<NodeKind> {
        let target = self.target(true)?;
        if self.sign("=") {
            let value = self.tuple(true)?;
            self.statement_end()?;
            return Ok(NodeKind::Set { target, value });
        }
        let mut filters = Vec::new();
        while self.sign("|") {
            filters.push(self.filter()?);
        }
        if *self.peek() != Token::StatementEnd {
            return self.expected("end of statement block");
        }
        let body = self.block("set")?;
        Ok(NodeKind::SetBlock { target, filters, body })
    }

    fn target(&mut self, with_tuple: bool) -> Parsed<Target> {
        let mut parts = Vec::new();
        let mut is_tuple = false;
        loop {
            if self.sign("(") {
                parts.push(self.target(true)?);
                self.expect_sign(")")?;
            } else {
                let name = self.name()?;
                if matches!(&*name, "true" | "false" | "none" | "True" | "False" | "None") {
                    return self.fail(format!("can't assign to `{name}`"));
                }
                if self.sign(".") {
                    let attribute = self.name()?;
                    parts.push(Target::Attribute(name, attribute));
                } else {
                    parts.push(Target::Name(name));
                }
            }
            if !with_tuple || !self.sign(",") {
                break;
            }
            is_tuple = true;
            if self.is_word("in") || self.is_sign("=") || self.is_sign(")") {
                break;
            }
        }
        if is_tuple { Ok(Target::Tuple(parts)) } else { Ok(parts.swap_remove(0)) }
    }

    fn signature(&mut self) -> Parsed<Vec<(Rc<str>, Option<Expr>)>> {
        self.expect_sign("(")?;
        let mut params: Vec<(Rc<str>, Option<Expr>)> = Vec::new();
        while !self.sign(")") {
            if !params.is_empty() {
                self.expect_sign(",")?;
            }
            let name = self.name()?;
            let default = if self.sign("=") { Some(self.expression()?) } else { None };
            if default.is_none() && params.iter().any(|(_, default)| default.is_some()) {
                return self.fail("non-default argument follows default argument");
            }
            params.push((name, default));
        }
        Ok(params)
    }

    /// An expression, or several with commas between them; without `condition`, `x if y` is left alone.
    fn tuple(&mut self, condition: bool) -> Parsed<Expr> {
        let mut parts = Vec::new();
        let mut is_tuple = false;
        loop {
            let ends = matches!(self.peek(), Token::OutputEnd | Token::StatementEnd | Token::End) || self.is_sign(")");
            if ends && (is_tuple || !parts.is_empty()) {
                break;
            }
            parts.push(if condition { self.expression()? } else { self.nested(Self::or)? });
            if !self.sign(",") {
                break;
            }
            is_tuple = true;
        }
        if is_tuple { Ok(Expr::Tuple(parts)) } else { Ok(parts.swap_remove(0)) }
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        self.enter()?;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.nested(Self::conditional)
    }

    fn conditional(&mut self) -> Parsed<Expr> {
        let mut value = self.or()?;
        while self.word("if") {
            let test = self.or()?;
            let otherwise = if self.word("else") { Some(self.expression()?.into()) } else { None };
            value = Expr::If { test: test.into(), then: value.into(), otherwise };
        }
        Ok(value)
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Expr::Or(left.into(), self.and()?.into());
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Expr::And(left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<Expr> {
        if self.word("not") {
            return Ok(Expr::Not(self.nested(Self::not)?.into()));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let op = match self.peek() {
                Token::Sign("==") => CompareOp::Eq,
                Token::Sign("!=") => CompareOp::Ne,
                Token::Sign("<") => CompareOp::Lt,
                Token::Sign("<=") => CompareOp::Le,
                Token::Sign(">") => CompareOp::Gt,
                Token::Sign(">=") => CompareOp::Ge,
                Token::Name(name) if &**name == "in" => CompareOp::In,
                Token::Name(name)
                    if &**name == "not"
                        && matches!(self.tokens.get(self.at + 1), Some((Token::Name(name), _)) if &**name == "in") =>
                {
                    self.at += 1;
                    CompareOp::NotIn
                }
                _ => break,
            };
            self.at += 1;
            rest.push((op, self.sum()?));
        }
        if rest.is_empty() { Ok(first) } else { Ok(Expr::Compare { first: first.into(), rest }) }
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let mut left = self.concat()?;
        let mut count = 0;
        loop {
            let op = match self.peek() {
                Token::Sign("+") => BinaryOp::Add,
                Token::Sign("-") => BinaryOp::Sub,
                _ => return Ok(left),
            };
            self.at += 1;
            self.chain(&mut count)?;
            left = Expr::Binary(op, left.into(), self.concat()?.into());
        }
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let first = self.product()?;
        if !self.is_sign("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.sign("~") {
            parts.push(self.product()?);
        }
        Ok(Expr::Concat(parts))
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.power()?;
        let mut count = 0;
        loop {
            let op = match self.peek() {
                Token::Sign("*") => BinaryOp::Mul,
                Token::Sign("/") => BinaryOp::Div,
                Token::Sign("//") => BinaryOp::FloorDiv,
                Token::Sign("%") => BinaryOp::Mod,
                _ => return Ok(left),
            };
            self.at += 1;
            self.chain(&mut count)?;
            left = Expr::Binary(op, left.into(), self.power()?.into());
        }
    }

    fn power(&mut self) -> Parsed<Expr> {
        let mut left = self.unary(true)?;
        let mut count = 0;
        while self.sign("**") {
            self.chain(&mut count)?;
            left = Expr::Binary(BinaryOp::Pow, left.into(), self.unary(true)?.into());
        }
        Ok(left)
    }

    /// Chains of operators nest to the left; evaluating them recurses.
    fn chain(&self, count: &mut usize) -> Parsed<()> {
        *count += 1;
        if *count > MAX_DEPTH { self.fail("the expression is too long") } else { Ok(()) }
    }

    fn unary(&mut self, with_filter: bool) -> Parsed<Expr> {
        self.enter()?;
        let mut value = if self.sign("-") {
            Expr::Negate { value: self.unary(false)?.into(), plus: false }
        } else if self.sign("+") {
            Expr::Negate { value: self.unary(false)?.into(), plus: true }
        } else {
            self.primary()?
        };
        let mut count = 0;
        value = self.postfix(value, &mut count)?;
        if with_filter {
            value = self.filters_and_tests(value, &mut count)?;
        }
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.next() {
            Token::Name(name) => Ok(match &*name {
                "true" | "True" => Expr::Const(Value::Bool(true)),
                "false" | "False" => Expr::Const(Value::Bool(false)),
                "none" | "None" => Expr::Const(Value::None),
                _ => Expr::Name(name),
            }),
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                Ok(Expr::Const(Value::from(text)))
            }
            Token::Int(number) => Ok(Expr::Const(Value::Int(number))),
            Token::Float(number) => Ok(Expr::Const(Value::Float(number))),
            Token::Sign("(") => {
                if self.sign(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inner = self.tuple(true)?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                let mut items = Vec::new();
                while !self.sign("]") {
                    if !items.is_empty() {
                        self.expect_sign(",")?;
                        if self.sign("]") {
                            break;
                        }
                    }
                    items.push(self.expression()?);
                }
                Ok(Expr::List(items))
            }
            Token::Sign("{") => {
                let mut items = Vec::new();
                while !self.sign("}") {
                    if !items.is_empty() {
                        self.expect_sign(",")?;
                        if self.sign("}") {
                            break;
                        }
                    }
                    let key = self.expression()?;
                    self.expect_sign(":")?;
                    items.push((key, self.expression()?));
                }
                Ok(Expr::Dict(items))
            }
            other => {
                self.at -= 1;
                self.fail(format!("unexpected `{}`", other.describe()))
            }
        }
    }

    fn postfix(&mut self, mut value: Expr, count: &mut usize) -> Parsed<Expr> {
        loop {
            if self.sign(".") {
                value = match self.next() {
                    Token::Name(name) => Expr::Attribute(value.into(), name),
                    Token::Int(index) => Expr::Item(value.into(), Expr::Const(Value::Int(index)).into()),
                    _ => {
                        self.at -= 1;
                        return self.expected("name or number");
                    }
                };
            } else if self.sign("[") {
                value = self.subscript(value)?;
                self.expect_sign("]")?;
            } else if self.sign("(") {
                value = Expr::Call(value.into(), Box::new(self.call_args()?));
            } else {
                return Ok(value);
            }
            self.chain(count)?;
        }
    }

    fn subscript(&mut self, value: Expr) -> Parsed<Expr> {
        let mut parts = [None, None, None];
        let mut index = 0;
        let mut slice = false;
        loop {
            if self.sign(":") {
                slice = true;
                index += 1;
                if index > 2 {
                    return self.expected("]");
                }
            } else if self.is_sign("]") {
                break;
            } else if parts[index].is_none() {
                parts[index] = Some(self.expression()?);
            } else {
                return self.expected("]");
            }
        }
        if slice {
            return Ok(Expr::Slice(value.into(), Box::new(parts)));
        }
        match parts[0].take() {
            Some(key) => Ok(Expr::Item(value.into(), key.into())),
            None => self.fail("expected subscript expression"),
        }
    }

    /// Arguments after `(`, up to and with `)`.
    fn call_args(&mut self) -> Parsed<CallArgs> {
        let mut args = CallArgs::default();
        let mut first = true;
        while !self.sign(")") {
            if !first {
                self.expect_sign(",")?;
                if self.sign(")") {
                    break;
                }
            }
            first = false;
            if self.sign("**") {
                args.double_star = Some(self.expression()?.into());
            } else if self.sign("*") {
                args.star = Some(self.expression()?.into());
            } else if let (Token::Name(name), Some((Token::Sign("="), _))) =
                (self.peek().clone(), self.tokens.get(self.at + 1))
            {
                self.at += 2;
                args.named.push((name, self.expression()?));
            } else {
                if !args.named.is_empty() {
                    return self.fail("invalid syntax for function call expression");
                }
                args.positional.push(self.expression()?);
            }
        }
        Ok(args)
    }

    fn filters_and_tests(&mut self, mut value: Expr, count: &mut usize) -> Parsed<Expr> {
        loop {
            if self.sign("|") {
                value = Expr::Filter(value.into(), Box::new(self.filter()?));
            } else if self.word("is") {
                value = self.test(value)?;
            } else if self.sign("(") {
                value = Expr::Call(value.into(), Box::new(self.call_args()?));
            } else {
                return Ok(value);
            }
            self.chain(count)?;
        }
    }

    fn dotted_name(&mut self) -> Parsed<Rc<str>> {
        let mut name = self.name()?;
        while self.sign(".") {
            name = Rc::from(format!("{name}.{}", self.name()?));
        }
        Ok(name)
    }

    fn filter(&mut self) -> Parsed<Filter> {
        let line = self.line();
        let name = self.dotted_name()?;
        if !is_filter(&name) {
            return Err(TemplateError::syntax(line, format!("no filter named `{name}`")));
        }
        let args = if self.sign("(") { self.call_args()? } else { CallArgs::default() };
        Ok(Filter { name, args })
    }

    fn test(&mut self, value: Expr) -> Parsed<Expr> {
        let negated = self.word("not");
        let line = self.line();
        let name = self.dotted_name()?;
        if !is_test(&name) {
            return Err(TemplateError::syntax(line, format!("no test named `{name}`")));
        }
        let takes_argument = match self.peek() {
            Token::Text(_) | Token::Int(_) | Token::Float(_) | Token::Sign("[" | "{") => true,
            Token::Name(name) => !matches!(&**name, "else" | "or" | "and" | "if" | "is" | "in" | "not"),
            _ => false,
        };
        let args = if self.sign("(") {
            self.call_args()?
        } else if takes_argument {
            let argument = self.primary()?;
            let mut count = 0;
            CallArgs { positional: vec![self.postfix(argument, &mut count)?], ..CallArgs::default() }
        } else {
            CallArgs::default()
        };
        Ok(Expr::Test { value: value.into(), test: Box::new(Filter { name, args }), negated })
    }
}
