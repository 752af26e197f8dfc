//! Reads a selector: Python's grammar, as far as one line without brackets can show it.

use super::{Expression, Failure};
use crate::v0::python::{BinaryOp, CompareOp, Value};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Sign(&'static str),
    FormatString,
    End,
}

const SIGNS: &[&str] = &[
    "**", "//", "<<", ">>", "==", "!=", "<=", ">=", ":=", "(", ")", "{", "}", "[", "]", ",", ":", ".", "+", "-", "*",
    "/", "%", "<", ">", "=", "&", "|", "^", "~", ";", "@",
];

fn tokenize(text: &str) -> Result<Vec<Token>, Failure> {
    let syntax = |what: &str| Failure::Syntax(what.to_owned());
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(c) = rest.chars().next() else { break };
        if c == '#' {
            break;
        }
        if c == '_' || c.is_alphabetic() {
            let end = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let prefix = word.to_ascii_lowercase();
            if after.starts_with(['"', '\'']) && matches!(&*prefix, "r" | "u" | "b" | "f" | "rb" | "br" | "rf" | "fr") {
                let (value, after) =
                    string(after, prefix.contains('r')).ok_or_else(|| syntax("unterminated string"))?;
                tokens.push(if prefix.contains('f') { Token::FormatString } else { Token::Text(value) });
                rest = after;
                continue;
            }
            tokens.push(Token::Name(word.to_owned()));
            rest = after;
        } else if c == '"' || c == '\'' {
            let (value, after) = string(rest, false).ok_or_else(|| syntax("unterminated string"))?;
            tokens.push(Token::Text(value));
            rest = after;
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            let (token, after) = number(rest).ok_or_else(|| syntax("invalid number"))?;
            tokens.push(token);
            rest = after;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            return Err(Failure::Syntax(format!("invalid character `{c}`")));
        }
        if tokens.len() > 10_000 {
            return Err(syntax("the expression is too long"));
        }
    }
    tokens.push(Token::End);
    Ok(tokens)
}

/// A string literal at the start of `text`; what is left after it.
fn string(text: &str, raw: bool) -> Option<(String, &str)> {
    let quote = text.chars().next()?;
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let delimiter = if text.starts_with(&triple) { triple } else { quote.to_string() };
    let mut rest = &text[delimiter.len()..];
    let mut value = String::new();
    loop {
        if let Some(after) = rest.strip_prefix(&*delimiter) {
            return Some((value, after));
        }
        let mut chars = rest.chars();
        let c = chars.next()?;
        if c == '\\' {
            let escaped = chars.next()?;
            if raw {
                value.push(c);
                value.push(escaped);
            } else {
                match escaped {
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    '\\' | '\'' | '"' => value.push(escaped),
                    other => {
                        value.push('\\');
                        value.push(other);
                    }
                }
            }
        } else {
            value.push(c);
        }
        rest = chars.as_str();
    }
}

fn number(text: &str) -> Option<(Token, &str)> {
    let bytes = text.as_bytes();
    if bytes[0] == b'0' && matches!(bytes.get(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B')) {
        let radix = match bytes[1] | 0x20 {
            b'x' => 16,
            b'o' => 8,
            _ => 2,
        };
        let end = text[2..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(text.len(), |end| end + 2);
        let digits = text[2..end].replace('_', "");
        return i64::from_str_radix(&digits, radix).ok().map(|number| (Token::Int(number), &text[end..]));
    }
    let mut end = 0;
    let mut float = false;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'0'..=b'9' | b'_' => {}
            b'.' if !float => float = true,
            b'e' | b'E' if end > 0 => {
                float = true;
                if matches!(bytes.get(end + 1), Some(b'+' | b'-')) {
                    end += 1;
                }
            }
            _ => break,
        }
        end += 1;
    }
    let digits = text[..end].replace('_', "");
    // `3and` is a syntax error today, `1j` a complex number: neither is of use.
    if text[end..].starts_with(|c: char| c == '_' || c.is_alphabetic()) {
        return None;
    }
    let token = if float {
        Token::Float(digits.parse().ok()?)
    } else {
        // No leading zeros, but for zero itself.
        if digits.len() > 1 && digits.starts_with('0') && !digits.trim_matches('0').is_empty() {
            return None;
        }
        Token::Int(digits.parse().ok()?)
    };
    Some((token, &text[end..]))
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

pub(super) type Parsed = Result<Expression, Failure>;

const KEYWORDS: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise",
    "return", "try", "while", "with", "yield",
];

impl Parser {
    pub(super) fn parse(text: &str) -> Parsed {
        let mut parser = Self { tokens: tokenize(text)?, at: 0, depth: 0 };
        let expression = parser.tuple()?;
        if *parser.peek() != Token::End {
            return Err(parser.unexpected());
        }
        Ok(expression)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
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

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(found) if found == word);
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self) -> Failure {
        Failure::Syntax(match self.peek() {
            Token::Name(name) => format!("unexpected `{name}`"),
            Token::Text(text) => format!("unexpected `\"{text}\"`"),
            Token::Int(number) => format!("unexpected `{number}`"),
            Token::Float(number) => format!("unexpected `{number}`"),
            Token::Sign(sign) => format!("unexpected `{sign}`"),
            Token::FormatString => "unexpected f-string".to_owned(),
            Token::End => "the expression ends too early".to_owned(),
        })
    }

    /// Expressions with commas between them.
    fn tuple(&mut self) -> Parsed {
        let first = self.expression()?;
        if !matches!(self.peek(), Token::Sign(",")) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.sign(",") {
            if matches!(self.peek(), Token::End | Token::Sign(")")) {
                break;
            }
            parts.push(self.expression()?);
        }
        Ok(Expression::Tuple(parts))
    }

    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > 60 {
            return Err(Failure::Syntax("the expression is nested too deeply".to_owned()));
        }
        let result = self.conditional();
        self.depth -= 1;
        result
    }

    fn conditional(&mut self) -> Parsed {
        if self.word("lambda") {
            while !matches!(self.peek(), Token::Sign(":") | Token::End) {
                self.at += 1;
            }
            if !self.sign(":") {
                return Err(self.unexpected());
            }
            self.expression()?;
            return Ok(Expression::Forbidden("a lambda"));
        }
        let then = self.or()?;
        if self.word("if") {
            let test = self.or()?;
            if !self.word("else") {
                return Err(self.unexpected());
            }
            let otherwise = self.expression()?;
            return Ok(Expression::If { test: test.into(), then: then.into(), otherwise: otherwise.into() });
        }
        Ok(then)
    }

    fn or(&mut self) -> Parsed {
        self.boolean("or", Self::and)
    }

    fn and(&mut self) -> Parsed {
        self.boolean("and", Self::not)
    }

    fn boolean(&mut self, word: &str, part: fn(&mut Self) -> Parsed) -> Parsed {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        Ok(Expression::Bool { and: word == "and", parts })
    }

    fn not(&mut self) -> Parsed {
        let mut count = 0_usize;
        while self.word("not") {
            count += 1;
        }
        let mut inner = self.comparison()?;
        // Two `not`s leave the truth of one, and one is enough: a chain must not nest.
        if count > 0 {
            inner = Expression::Not(inner.into());
            if count.is_multiple_of(2) {
                inner = Expression::Not(inner.into());
            }
        }
        Ok(inner)
    }

    fn comparison(&mut self) -> Parsed {
        let first = self.bit_or()?;
        let mut rest = Vec::new();
        loop {
            let op = match self.peek() {
                Token::Sign("==") => CompareOp::Eq,
                Token::Sign("!=") => CompareOp::Ne,
                Token::Sign("<") => CompareOp::Lt,
                Token::Sign("<=") => CompareOp::Le,
                Token::Sign(">") => CompareOp::Gt,
                Token::Sign(">=") => CompareOp::Ge,
                Token::Name(name) if name == "in" => CompareOp::In,
                Token::Name(name) if name == "is" => CompareOp::Is,
                Token::Name(name)
                    if name == "not"
                        && matches!(self.tokens.get(self.at + 1), Some(Token::Name(name)) if name == "in") =>
                {
                    self.at += 1;
                    CompareOp::NotIn
                }
                _ => break,
            };
            self.at += 1;
            let op = if op == CompareOp::Is && self.word("not") { CompareOp::IsNot } else { op };
            rest.push((op, self.bit_or()?));
        }
        if rest.is_empty() { Ok(first) } else { Ok(Expression::Compare { first: first.into(), rest }) }
    }

    /// `|`, `^`, `&` and shifts: understood, to say that they are not allowed.
    fn bit_or(&mut self) -> Parsed {
        let first = self.sum()?;
        let mut forbidden = None;
        loop {
            let node = match self.peek() {
                Token::Sign("|") => "`|`",
                Token::Sign("^") => "`^`",
                Token::Sign("&") => "`&`",
                Token::Sign("<<" | ">>") => "a shift",
                _ => break,
            };
            self.at += 1;
            self.sum()?;
            forbidden = Some(node);
        }
        Ok(forbidden.map_or(first, Expression::Forbidden))
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        let mut count = 0;
        loop {
            let op = match self.peek() {
                Token::Sign("+") => BinaryOp::Add,
                Token::Sign("-") => BinaryOp::Sub,
                _ => return Ok(left),
            };
            self.at += 1;
            self.chain(&mut count)?;
            left = Expression::Binary(op, left.into(), self.product()?.into());
        }
    }

    /// A chain of operators nests to the left, and evaluating it does so too.
    fn chain(&self, count: &mut usize) -> Result<(), Failure> {
        *count += 1;
        if *count > 100 { Err(Failure::Syntax("the expression is too long".to_owned())) } else { Ok(()) }
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        let mut count = 0;
        loop {
            let op = match self.peek() {
                Token::Sign("*") => BinaryOp::Mul,
                Token::Sign("/") => BinaryOp::Div,
                Token::Sign("//") => BinaryOp::FloorDiv,
                Token::Sign("%") => BinaryOp::Mod,
                Token::Sign("@") => {
                    self.at += 1;
                    self.unary()?;
                    left = Expression::Forbidden("`@`");
                    continue;
                }
                _ => return Ok(left),
            };
            self.at += 1;
            self.chain(&mut count)?;
            left = Expression::Binary(op, left.into(), self.unary()?.into());
        }
    }

    fn unary(&mut self) -> Parsed {
        let mut forbidden = None;
        let mut minus = 0_usize;
        loop {
            if self.sign("-") {
                minus += 1;
            } else if self.sign("+") {
                forbidden = Some("unary `+`");
            } else if self.sign("~") {
                forbidden = Some("`~`");
            } else {
                break;
            }
        }
        let operand = self.power()?;
        if let Some(node) = forbidden {
            return Ok(Expression::Forbidden(node));
        }
        Ok(match minus {
            0 => operand,
            odd if !odd.is_multiple_of(2) => Expression::Negate(operand.into()),
            _ => Expression::Negate(Expression::Negate(operand.into()).into()),
        })
    }

    fn power(&mut self) -> Parsed {
        let base = self.postfix()?;
        if self.sign("**") {
            self.depth += 1;
            if self.depth > 60 {
                return Err(Failure::Syntax("the expression is nested too deeply".to_owned()));
            }
            let exponent = self.unary()?;
            self.depth -= 1;
            return Ok(Expression::Binary(BinaryOp::Pow, base.into(), exponent.into()));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Parsed {
        let mut value = self.atom()?;
        let mut count = 0;
        loop {
            if self.sign(".") {
                match self.next() {
                    Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                        value = Expression::Attribute(value.into(), name);
                    }
                    _ => {
                        self.at -= 1;
                        return Err(self.unexpected());
                    }
                }
            } else if self.sign("(") {
                let mut args = Vec::new();
                while !self.sign(")") {
                    if self.sign("*") || self.sign("**") {
                        self.expression()?;
                        args.push(Expression::Forbidden("an unpacked argument"));
                    } else {
                        let arg = self.expression()?;
                        if self.sign("=") || self.sign(":=") {
                            self.expression()?;
                            args.push(Expression::Forbidden("a keyword argument"));
                        } else {
                            args.push(arg);
                        }
                        if self.comprehension()? {
                            args.push(Expression::Forbidden("a comprehension"));
                        }
                    }
                    if !self.sign(",") && !matches!(self.peek(), Token::Sign(")")) {
                        return Err(self.unexpected());
                    }
                }
                value = Expression::Call { function: value.into(), args };
            } else {
                return Ok(value);
            }
            self.chain(&mut count)?;
        }
    }

    /// Skips the `for … in …` of a comprehension.
    fn comprehension(&mut self) -> Result<bool, Failure> {
        if !self.word("for") {
            return Ok(false);
        }
        while !matches!(self.peek(), Token::Sign(")" | "}") | Token::End) {
            self.at += 1;
        }
        if *self.peek() == Token::End { Err(self.unexpected()) } else { Ok(true) }
    }

    fn atom(&mut self) -> Parsed {
        match self.next() {
            Token::Name(name) => match name.as_str() {
                "True" => Ok(Expression::Constant(Value::Bool(true))),
                "False" => Ok(Expression::Constant(Value::Bool(false))),
                "None" => Ok(Expression::Constant(Value::None)),
                keyword if KEYWORDS.contains(&keyword) => {
                    self.at -= 1;
                    Err(self.unexpected())
                }
                _ => Ok(Expression::Name(name)),
            },
            Token::Int(number) => Ok(Expression::Constant(Value::Int(number))),
            Token::Float(number) => Ok(Expression::Constant(Value::Float(number))),
            Token::FormatString => Ok(Expression::Forbidden("an f-string")),
            Token::Text(mut text) => {
                // Literals side by side are one.
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                if *self.peek() == Token::FormatString {
                    self.at += 1;
                    return Ok(Expression::Forbidden("an f-string"));
                }
                Ok(Expression::Constant(Value::from(text)))
            }
            Token::Sign("(") => {
                if self.sign(")") {
                    return Ok(Expression::Tuple(Vec::new()));
                }
                let mut inner = self.tuple()?;
                if self.comprehension()? {
                    inner = Expression::Forbidden("a comprehension");
                }
                if self.sign(":=") {
                    self.expression()?;
                    inner = Expression::Forbidden("`:=`");
                }
                if self.sign(")") { Ok(inner) } else { Err(self.unexpected()) }
            }
            Token::Sign("{") => self.braces(),
            _ => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn braces(&mut self) -> Parsed {
        let mut items = Vec::new();
        let mut set = false;
        while !self.sign("}") {
            let key = self.expression()?;
            if self.sign(":") {
                items.push((key, self.expression()?));
            } else {
                set = true;
            }
            if self.comprehension()? {
                set = true;
            }
            if !self.sign(",") && !matches!(self.peek(), Token::Sign("}")) {
                return Err(self.unexpected());
            }
        }
        if set { Ok(Expression::Forbidden("a set")) } else { Ok(Expression::Dict(items)) }
    }
}
