//! From tokens to an expression, by recursive descent: one function for each level of precedence, the weakest first.

use std::rc::Rc;

use super::{CallArgs, Dialect, Expr, Filter, Lexer, Parsed, Parser, SyntaxError, Token};
use crate::v0::jinja::{is_filter, is_test};
use crate::v0::python::{BinaryOp, CompareOp, Value};

impl Expr {
    /// A selector's expression.
    pub(crate) fn selector(text: &str) -> Parsed {
        let tokens = Lexer::new(text).all(Dialect::Selector)?;
        let mut parser = Parser::new(Dialect::Selector, tokens);
        let expression = parser.tuple()?;
        if *parser.peek() == Token::End { Ok(expression) } else { parser.unexpected() }
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
        if self.dialect == Dialect::Selector && self.word("lambda") {
            return self.lambda();
        }
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
        let first = self.bitwise()?;
        let mut rest = Vec::new();
        while let Some(op) = self.comparison_operator() {
            rest.push((op, self.bitwise()?));
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
        } else if self.sign("~") {
            self.signed_power()?;
            Expr::Forbidden("`~`")
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
                let formats = self.token(&Token::FormatString);
                Ok(if formats { Expr::Forbidden("an f-string") } else { Expr::Const(Value::from(text)) })
            }
            Token::FormatString => Ok(Expr::Forbidden("an f-string")),
            Token::Int(number) => Ok(Expr::Const(Value::Int(number))),
            Token::Float(number) => Ok(Expr::Const(Value::Float(number))),
            Token::Sign("(") => {
                if self.sign(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inner = self.tuple()?;
                let inner = self.unless_comprehension(inner)?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.items("]", Self::expression).map(Expr::List),
            Token::Sign("{") if self.dialect == Dialect::Selector => self.braces(),
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
                let value = parser.expression()?;
                args.positional.push(parser.unless_comprehension(value)?);
            } else {
                return parser.fail("invalid syntax for function call expression");
            }
            Ok(())
        })?;
        Ok(args)
    }
}

/// What only Python has. Selectors may not hold it, but are told so by its name.
impl Parser {
    /// `lambda …: …`, the word read.
    fn lambda(&mut self) -> Parsed {
        while !matches!(self.peek(), Token::Sign(":") | Token::End) {
            self.at += 1;
        }
        self.expect_sign(":")?;
        self.expression()?;
        Ok(Expr::Forbidden("a lambda"))
    }

    /// `|`, `^`, `&` and shifts, which bind stronger than comparisons.
    fn bitwise(&mut self) -> Parsed {
        let mut value = self.sum()?;
        while self.dialect == Dialect::Selector {
            let forbidden = match self.peek() {
                Token::Sign("|") => "`|`",
                Token::Sign("^") => "`^`",
                Token::Sign("&") => "`&`",
                Token::Sign("<<" | ">>") => "a shift",
                Token::Sign("@") => "`@`",
                _ => break,
            };
            self.at += 1;
            self.sum()?;
            value = Expr::Forbidden(forbidden);
        }
        Ok(value)
    }

    /// A mapping or a set, the brace read.
    fn braces(&mut self) -> Parsed {
        let mut is_set = false;
        let items = self.items("}", |parser| {
            let key = parser.expression()?;
            let value = if parser.sign(":") { Some(parser.expression()?) } else { None };
            let value = parser.unless_comprehension(value.unwrap_or(Expr::Forbidden("a set")))?;
            is_set |= matches!(value, Expr::Forbidden(_));
            Ok((key, value))
        })?;
        Ok(if is_set { Expr::Forbidden("a set") } else { Expr::Dict(items) })
    }

    /// The value, if neither `for … in …` nor `:= …` follows it.
    fn unless_comprehension(&mut self, value: Expr) -> Parsed {
        if self.dialect == Dialect::Selector && self.word("for") {
            while !matches!(self.peek(), Token::Sign(")" | "}") | Token::End) {
                self.at += 1;
            }
            return Ok(Expr::Forbidden("a comprehension"));
        }
        if self.sign(":=") {
            self.expression()?;
            return Ok(Expr::Forbidden("`:=`"));
        }
        Ok(value)
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
