//! From tokens to an expression, by recursive descent: one function for each level of precedence, the weakest first.

use std::rc::Rc;

use super::{CallArgs, Dialect, Expr, Filter, Lexer, SyntaxError, Token};
use crate::v0::jinja::{is_filter, is_test};
use crate::v0::python::{BinaryOp, CompareOp, Value};

/// How deep expressions may nest, and statements around them.
const MAX_DEPTH: usize = 60;
/// How many operators of one level may follow one another. They nest to the left, and evaluating them recurses.
const MAX_CHAIN: usize = 60;

/// Tokens and how far they are read.
pub(crate) struct Parser {
    dialect: Dialect,
    /// Each with its 0-based line; the last is [`Token::End`].
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

pub(crate) type Parsed<T = Expr> = Result<T, SyntaxError>;

impl Expr {
    /// A selector's expression.
    pub(crate) fn selector(text: &str) -> Parsed {
        let tokens = Lexer::new(text).all(Dialect::Selector)?;
        let mut parser = Parser::new(Dialect::Selector, tokens);
        let expression = parser.tuple()?;
        if *parser.peek() == Token::End { Ok(expression) } else { parser.unexpected() }
    }
}

/// Reading tokens.
impl Parser {
    pub(crate) fn new(dialect: Dialect, tokens: Vec<(Token, usize)>) -> Self {
        Self { dialect, tokens, at: 0, depth: 0 }
    }

    pub(crate) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn peek_second(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|(token, _)| token)
    }

    /// The line of the next token.
    pub(crate) fn line(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    pub(crate) fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// Reads the next token if it is this one.
    pub(crate) fn token(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    /// Reads the next token if it is this sign.
    pub(crate) fn sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    /// Reads the next token if it is this word.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if &**found == word)
    }

    /// Reads two words, if both are next.
    pub(crate) fn words(&mut self, first: &str, second: &str) -> bool {
        let found = self.is_word(first) && matches!(self.peek_second(), Some(Token::Name(found)) if &**found == second);
        self.at += 2 * usize::from(found);
        found
    }

    pub(crate) fn name(&mut self) -> Parsed<Rc<str>> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.expected("name"),
        }
    }

    pub(crate) fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { self.expected(sign) }
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.word(word) { Ok(()) } else { self.expected(word) }
    }

    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError { line: self.line(), message: message.into() })
    }

    pub(crate) fn expected<T>(&self, what: &str) -> Parsed<T> {
        match self.dialect {
            Dialect::Selector => self.unexpected(),
            Dialect::Template => self.fail(format!("expected token `{what}`, got `{}`", self.peek().describe())),
        }
    }

    pub(crate) fn unexpected<T>(&self) -> Parsed<T> {
        match (self.dialect, self.peek()) {
            (Dialect::Selector, Token::End) => self.fail("the expression ends too early"),
            (Dialect::Selector, Token::Text(text)) => self.fail(format!("unexpected `\"{text}\"`")),
            (_, token) => self.fail(format!("unexpected `{}`", token.describe())),
        }
    }

    /// One level deeper; [`Parser::leave`] ends it.
    pub(crate) fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        let whole = if self.dialect == Dialect::Selector { "expression" } else { "template" };
        self.fail(format!("the {whole} is nested too deeply"))
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed) -> Parsed {
        self.enter()?;
        let expression = parse(self)?;
        self.leave();
        Ok(expression)
    }

    /// Counts an operator of a chain.
    fn chain(&self, count: &mut usize) -> Parsed<()> {
        *count += 1;
        if *count > MAX_CHAIN { self.fail("the expression is too long") } else { Ok(()) }
    }
}

/// Operators, the weakest first.
impl Parser {
    /// Expressions with commas between them.
    pub(crate) fn tuple(&mut self) -> Parsed {
        self.tuple_of(Self::conditional)
    }

    /// The same, but `x if y` ends behind `x`.
    pub(crate) fn tuple_without_condition(&mut self) -> Parsed {
        self.tuple_of(Self::or)
    }

    fn tuple_of(&mut self, part: fn(&mut Self) -> Parsed) -> Parsed {
        let first = self.nested(part)?;
        if !self.is_sign(",") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.sign(",") {
            if matches!(self.peek(), Token::OutputEnd | Token::StatementEnd | Token::End | Token::Sign(")")) {
                break;
            }
            parts.push(self.nested(part)?);
        }
        Ok(Expr::Tuple(parts))
    }

    pub(crate) fn expression(&mut self) -> Parsed {
        self.nested(Self::conditional)
    }

    fn conditional(&mut self) -> Parsed {
        let mut value = self.or()?;
        while self.word("if") {
            let test = self.or()?.into();
            let otherwise = if self.word("else") { Some(self.expression()?.into()) } else { None };
            if otherwise.is_none() && self.dialect == Dialect::Selector {
                return self.unexpected();
            }
            value = Expr::If { test, then: value.into(), otherwise };
        }
        Ok(value)
    }

    fn or(&mut self) -> Parsed {
        self.bool("or", Self::and)
    }

    fn and(&mut self) -> Parsed {
        self.bool("and", Self::not)
    }

    fn bool(&mut self, word: &str, part: fn(&mut Self) -> Parsed) -> Parsed {
        let first = part(self)?;
        if !self.is_word(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        Ok(Expr::Bool { and: word == "and", parts })
    }

    fn not(&mut self) -> Parsed {
        let mut count = 0_usize;
        while self.word("not") {
            count += 1;
        }
        let value = self.comparison()?;
        // Two `not`s leave the truth of one, and one is enough: a chain must not nest.
        Ok(match count {
            0 => value,
            odd if !odd.is_multiple_of(2) => Expr::Not(value.into()),
            _ => Expr::Not(Expr::Not(value.into()).into()),
        })
    }

    fn comparison(&mut self) -> Parsed {
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(op) = self.comparison_operator() {
            rest.push((op, self.sum()?));
        }
        if rest.is_empty() { Ok(first) } else { Ok(Expr::Compare { first: first.into(), rest }) }
    }

    fn comparison_operator(&mut self) -> Option<CompareOp> {
        let op = match self.peek() {
            Token::Sign("==") => CompareOp::Eq,
            Token::Sign("!=") => CompareOp::Ne,
            Token::Sign("<") => CompareOp::Lt,
            Token::Sign("<=") => CompareOp::Le,
            Token::Sign(">") => CompareOp::Gt,
            Token::Sign(">=") => CompareOp::Ge,
            Token::Name(name) => match &**name {
                "in" => CompareOp::In,
                "not" => return self.words("not", "in").then_some(CompareOp::NotIn),
                // In a template it begins a test.
                "is" if self.dialect == Dialect::Selector => {
                    let negated = self.words("is", "not");
                    self.at += usize::from(!negated);
                    return Some(if negated { CompareOp::IsNot } else { CompareOp::Is });
                }
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        Some(op)
    }

    fn sum(&mut self) -> Parsed {
        const OPERATORS: &[(&str, BinaryOp)] = &[("+", BinaryOp::Add), ("-", BinaryOp::Sub)];
        self.binary(OPERATORS, Self::concat)
    }

    fn concat(&mut self) -> Parsed {
        let first = self.product()?;
        if self.dialect == Dialect::Selector || !self.is_sign("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.sign("~") {
            parts.push(self.product()?);
        }
        Ok(Expr::Concat(parts))
    }

    fn product(&mut self) -> Parsed {
        const OPERATORS: &[(&str, BinaryOp)] =
            &[("*", BinaryOp::Mul), ("/", BinaryOp::Div), ("//", BinaryOp::FloorDiv), ("%", BinaryOp::Mod)];
        self.binary(
            OPERATORS,
            match self.dialect {
                Dialect::Selector => Self::signed_power,
                Dialect::Template => Self::power_of_signed,
            },
        )
    }

    fn binary(&mut self, operators: &[(&str, BinaryOp)], part: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = part(self)?;
        let mut count = 0;
        while let Some((_, op)) = operators.iter().find(|(sign, _)| self.sign(sign)) {
            self.chain(&mut count)?;
            left = Expr::Binary(*op, left.into(), part(self)?.into());
        }
        Ok(left)
    }

    /// Python: `-x ** 2` is `-(x ** 2)`, and `**` nests to the right.
    fn signed_power(&mut self) -> Parsed {
        self.enter()?;
        let value = if self.sign("-") {
            Expr::Negate { value: self.signed_power()?.into(), plus: false }
        } else if self.sign("+") {
            Expr::Negate { value: self.signed_power()?.into(), plus: true }
        } else {
            let base = self.primary()?;
            let base = self.postfix(base)?;
            if self.sign("**") { Expr::Binary(BinaryOp::Pow, base.into(), self.signed_power()?.into()) } else { base }
        };
        self.leave();
        Ok(value)
    }

    /// jinja2: `-x ** 2` is `(-x) ** 2`, and `**` nests to the left.
    fn power_of_signed(&mut self) -> Parsed {
        self.binary(&[("**", BinaryOp::Pow)], Self::filtered)
    }

    fn filtered(&mut self) -> Parsed {
        let mut value = self.signed()?;
        let mut count = 0;
        loop {
            value = if self.sign("|") {
                Expr::Filter(value.into(), Box::new(self.filter()?))
            } else if self.word("is") {
                self.test(value)?
            } else if self.sign("(") {
                Expr::Call(value.into(), Box::new(self.call_args()?))
            } else {
                return Ok(value);
            };
            self.chain(&mut count)?;
        }
    }

    fn signed(&mut self) -> Parsed {
        self.enter()?;
        let value = if self.sign("-") {
            Expr::Negate { value: self.signed()?.into(), plus: false }
        } else if self.sign("+") {
            Expr::Negate { value: self.signed()?.into(), plus: true }
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        self.leave();
        Ok(value)
    }
}

/// Operands.
impl Parser {
    fn primary(&mut self) -> Parsed {
        match self.next() {
            Token::Name(name) => self.name_or_constant(name),
            Token::Text(mut text) => {
                // Literals side by side are one.
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
                let inner = self.tuple()?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.items("]", Self::expression).map(Expr::List),
            Token::Sign("{") => {
                let pair = |parser: &mut Self| {
                    let key = parser.expression()?;
                    parser.expect_sign(":")?;
                    Ok((key, parser.expression()?))
                };
                self.items("}", pair).map(Expr::Dict)
            }
            _ => {
                self.at -= 1;
                self.unexpected()
            }
        }
    }

    fn name_or_constant(&mut self, name: Rc<str>) -> Parsed {
        let template = self.dialect == Dialect::Template;
        Ok(match &*name {
            "True" => Expr::Const(Value::Bool(true)),
            "False" => Expr::Const(Value::Bool(false)),
            "None" => Expr::Const(Value::None),
            "true" if template => Expr::Const(Value::Bool(true)),
            "false" if template => Expr::Const(Value::Bool(false)),
            "none" if template => Expr::Const(Value::None),
            keyword if !template && is_keyword(keyword) => {
                self.at -= 1;
                return self.unexpected();
            }
            _ => Expr::Name(name),
        })
    }

    /// What stands between brackets, the opening one read: items with commas, of which the last may be followed by one.
    fn items<T>(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.sign(close) {
            if !items.is_empty() {
                self.expect_sign(",")?;
                if self.sign(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Attributes, items and calls of a value.
    fn postfix(&mut self, mut value: Expr) -> Parsed {
        let mut count = 0;
        loop {
            value = if self.sign(".") {
                self.attribute(value)?
            } else if self.sign("[") {
                self.subscript(value)?
            } else if self.sign("(") {
                Expr::Call(value.into(), Box::new(self.call_args()?))
            } else {
                return Ok(value);
            };
            self.chain(&mut count)?;
        }
    }

    fn attribute(&mut self, value: Expr) -> Parsed {
        match (self.dialect, self.next()) {
            (Dialect::Template, Token::Int(index)) => {
                Ok(Expr::Item(value.into(), Expr::Const(Value::Int(index)).into()))
            }
            (Dialect::Template, Token::Name(name)) => Ok(Expr::Attribute(value.into(), name)),
            (Dialect::Selector, Token::Name(name)) if !is_keyword(&name) => Ok(Expr::Attribute(value.into(), name)),
            _ => {
                self.at -= 1;
                self.expected("name or number")
            }
        }
    }

    /// `[key]` or `[from:to:step]`, the bracket read.
    fn subscript(&mut self, value: Expr) -> Parsed {
        let mut parts = [None, None, None];
        let mut index = 0;
        let mut slice = false;
        while !self.is_sign("]") {
            if self.sign(":") {
                slice = true;
                index += 1;
                if index > 2 {
                    return self.expected("]");
                }
            } else if parts[index].is_none() {
                parts[index] = Some(self.expression()?);
            } else {
                return self.expected("]");
            }
        }
        let found = match parts[0].take() {
            from if slice => {
                parts[0] = from;
                Expr::Slice(value.into(), Box::new(parts))
            }
            Some(key) => Expr::Item(value.into(), key.into()),
            None => return self.fail("expected subscript expression"),
        };
        self.expect_sign("]")?;
        Ok(found)
    }

    /// A call's arguments, the parenthesis read.
    fn call_args(&mut self) -> Parsed<CallArgs> {
        let mut args = CallArgs::default();
        self.items(")", |parser| {
            if parser.sign("**") {
                args.double_star = Some(parser.expression()?.into());
            } else if parser.sign("*") {
                args.star = Some(parser.expression()?.into());
            } else if let (Token::Name(name), Some(Token::Sign("="))) = (parser.peek(), parser.peek_second()) {
                let name = name.clone();
                parser.at += 2;
                args.named.push((name, parser.expression()?));
            } else if args.named.is_empty() {
                args.positional.push(parser.expression()?);
            } else {
                return parser.fail("invalid syntax for function call expression");
            }
            Ok(())
        })?;
        Ok(args)
    }
}

/// What only templates have.
impl Parser {
    fn dotted_name(&mut self) -> Parsed<Rc<str>> {
        let mut name = self.name()?;
        while self.sign(".") {
            name = Rc::from(format!("{name}.{}", self.name()?));
        }
        Ok(name)
    }

    /// A filter's name and arguments.
    pub(crate) fn filter(&mut self) -> Parsed<Filter> {
        let line = self.line();
        let name = self.dotted_name()?;
        if !is_filter(&name) {
            return Err(SyntaxError { line, message: format!("no filter named `{name}`") });
        }
        let args = if self.sign("(") { self.call_args()? } else { CallArgs::default() };
        Ok(Filter { name, args })
    }

    /// A test of a value, `is` read.
    fn test(&mut self, value: Expr) -> Parsed {
        let negated = self.word("not");
        let line = self.line();
        let name = self.dotted_name()?;
        if !is_test(&name) {
            return Err(SyntaxError { line, message: format!("no test named `{name}`") });
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
            CallArgs { positional: vec![self.postfix(argument)?], ..CallArgs::default() }
        } else {
            CallArgs::default()
        };
        Ok(Expr::Test { value: value.into(), test: Box::new(Filter { name, args }), negated })
    }
}

/// Python's words that are no names, but for its constants.
fn is_keyword(word: &str) -> bool {
    const KEYWORDS: &[&str] = &[
        "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
        "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass",
        "raise", "return", "try", "while", "with", "yield",
    ];
    KEYWORDS.contains(&word)
}
