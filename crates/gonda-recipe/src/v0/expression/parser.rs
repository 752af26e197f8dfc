//! Tokens, and how far they are read: what the grammars of expressions and of template statements go by.

use std::rc::Rc;

use super::{Dialect, Expr, SyntaxError, Token};

/// How deep expressions may nest, and statements around them.
const MAX_DEPTH: usize = 60;
/// How many operators of one level may follow one another. They nest to the left, and evaluating them recurses.
const MAX_CHAIN: usize = 60;

/// Tokens and how far they are read.
pub(crate) struct Parser {
    pub(super) dialect: Dialect,
    /// Each with its 0-based line; the last is [`Token::End`].
    tokens: Vec<(Token, usize)>,
    pub(super) at: usize,
    depth: usize,
}

pub(crate) type Parsed<T = Expr> = Result<T, SyntaxError>;

impl Parser {
    pub(crate) fn new(dialect: Dialect, tokens: Vec<(Token, usize)>) -> Self {
        Self { dialect, tokens, at: 0, depth: 0 }
    }

    pub(crate) fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    pub(super) fn peek_second(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|(token, _)| token)
    }

    /// Where reading is, for [`Parser::named_since`].
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Whether one of the tokens read since then is this name.
    pub(crate) fn named_since(&self, position: usize, name: &str) -> bool {
        let read = self.tokens.get(position..self.at.min(self.tokens.len())).unwrap_or_default();
        read.iter().any(|(token, _)| matches!(token, Token::Name(found) if **found == *name))
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

    pub(super) fn nested(&mut self, parse: fn(&mut Self) -> Parsed) -> Parsed {
        self.enter()?;
        let expression = parse(self)?;
        self.leave();
        Ok(expression)
    }

    /// Counts an operator of a chain.
    pub(super) fn chain(&self, count: &mut usize) -> Parsed<()> {
        *count += 1;
        if *count > MAX_CHAIN { self.fail("the expression is too long") } else { Ok(()) }
    }
}
