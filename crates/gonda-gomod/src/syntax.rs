//! The syntax that go.mod and go.work share: lines of tokens, blocks in parentheses, `//` comments.
//!
//! The rule is <https://go.dev/ref/mod#go-mod-file-lexical> and `-grammar`, read as the Go command reads them: a comment
//! belongs to the line it ends, or to the line that follows it.

use crate::error::{Place, SyntaxErrors};

/// A line of tokens; in a block, without the block's verb.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) place: Place,
    /// As written, quotes included.
    pub(crate) tokens: Vec<String>,
    /// Comments of the lines before, as written.
    pub(crate) before: Vec<String>,
    /// The comment at the line's end, as written.
    pub(crate) suffix: Option<String>,
}

/// A verb with the lines in its parentheses.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) place: Place,
    pub(crate) tokens: Vec<String>,
    pub(crate) before: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) enum Statement {
    Line(Line),
    Block(Block),
}

/// Reads a file's statements. Like Go's parser, it stops at the first error.
pub(crate) fn parse(text: &str) -> Result<Vec<Statement>, SyntaxErrors> {
    let fail = |(place, message)| SyntaxErrors::new(text, vec![(place, message)]);
    let tokens = lex(text).map_err(fail)?;
    Parser { tokens, next: 0 }.file().map_err(fail)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An identifier, a string or a punctuation mark that has no meaning of its own.
    Word,
    Open,
    Close,
    Newline,
    /// A comment alone on its line.
    Comment,
    /// A comment that ends a line of tokens.
    Suffix,
    End,
}

impl Kind {
    fn ends_line(self) -> bool {
        matches!(self, Self::Newline | Self::Suffix | Self::End)
    }
}

#[derive(Debug)]
struct Token<'a> {
    kind: Kind,
    place: Place,
    text: &'a str,
}

type Failure = (Place, String);

fn lex(text: &str) -> Result<Vec<Token<'_>>, Failure> {
    let mut tokens = Vec::new();
    let mut place = Place { line: 1, column: 1 };
    let mut rest = text;
    // Whether the current line already has a token: tells the two kinds of comments apart.
    let mut occupied = false;
    while let Some(c) = rest.chars().next() {
        if matches!(c, ' ' | '\t' | '\r') {
            rest = &rest[1..];
            place.column += 1;
            continue;
        }
        if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            let comment = rest[..length].trim_end_matches('\r');
            let kind = if occupied { Kind::Suffix } else { Kind::Comment };
            tokens.push(Token { kind, place, text: comment });
            // The comment takes its newline with it.
            rest = rest.get(length + 1..).unwrap_or_default();
            place = if rest.is_empty() && !text.ends_with('\n') {
                Place { column: place.column + comment.chars().count(), ..place }
            } else {
                Place { line: place.line + 1, column: 1 }
            };
            occupied = false;
            continue;
        }
        if rest.starts_with("/*") {
            return Err((place, "mod files must use // comments (not /* */ comments)".to_owned()));
        }
        let (kind, length) = match c {
            '\n' => (Kind::Newline, 1),
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '[' | ']' | '{' | '}' | ',' => (Kind::Word, 1),
            '"' | '`' => (Kind::Word, string_length(rest, c).map_err(|message| (place, message))?),
            c if is_word(c) => (Kind::Word, word_length(rest, place)?),
            c => return Err((place, format!("unexpected input character `{}`", c.escape_default()))),
        };
        let token = &rest[..length];
        tokens.push(Token { kind, place, text: token });
        rest = &rest[length..];
        if kind == Kind::Newline {
            place = Place { line: place.line + 1, column: 1 };
            occupied = false;
        } else {
            place.column += token.chars().count();
            occupied = true;
        }
    }
    tokens.push(Token { kind: Kind::End, place, text: "" });
    Ok(tokens)
}

/// The length in bytes of the string literal that `rest` begins with.
fn string_length(rest: &str, quote: char) -> Result<usize, String> {
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            '\n' if !escaped => return Err("unexpected newline in string".to_owned()),
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Ok(index + 1),
            _ => {}
        }
    }
    Err("unexpected EOF in string".to_owned())
}

fn word_length(rest: &str, start: Place) -> Result<usize, Failure> {
    for (count, (index, c)) in rest.char_indices().enumerate() {
        if !is_word(c) || rest[index..].starts_with("//") {
            return Ok(index);
        }
        if rest[index..].starts_with("/*") {
            let place = Place { column: start.column + count, ..start };
            return Err((place, "mod files must use // comments (not /* */ comments)".to_owned()));
        }
    }
    Ok(rest.len())
}

/// Printable characters that are not space, parentheses, brackets, braces or comma. Of the characters that Unicode calls
/// unprintable, the format characters that occur in files by mistake are listed.
fn is_word(c: char) -> bool {
    !(matches!(c, '(' | ')' | '[' | ']' | '{' | '}' | ',')
        || c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    /// The next token's kind; at the end of the file, again and again the end.
    fn peek(&self) -> Kind {
        self.tokens.get(self.next).map_or(Kind::End, |token| token.kind)
    }

    fn place(&self) -> Place {
        self.tokens.get(self.next).or(self.tokens.last()).map(|token| token.place).unwrap_or_default()
    }

    fn take(&mut self) -> (Kind, Place, &'a str) {
        let taken = (self.peek(), self.place(), self.tokens.get(self.next).map_or("", |token| token.text));
        self.next += 1;
        taken
    }

    fn file(mut self) -> Result<Vec<Statement>, Failure> {
        let mut statements = Vec::new();
        let mut comments: Vec<String> = Vec::new();
        loop {
            match self.peek() {
                Kind::End => return Ok(statements),
                Kind::Newline => {
                    self.take();
                    // A blank line parts a comment from what follows.
                    comments.clear();
                }
                Kind::Comment | Kind::Suffix => comments.push(self.take().2.to_owned()),
                _ => statements.push(self.statement(std::mem::take(&mut comments))?),
            }
        }
    }

    fn statement(&mut self, before: Vec<String>) -> Result<Statement, Failure> {
        let place = self.place();
        let mut tokens = Vec::new();
        loop {
            let (kind, _, text) = self.take();
            match kind {
                Kind::Open if !tokens.is_empty() => {
                    if self.peek().ends_line() {
                        let lines = self.block(place)?;
                        return Ok(Statement::Block(Block { place, tokens, before, lines }));
                    }
                    tokens.push(text.to_owned());
                    if self.peek() == Kind::Close {
                        let (_, _, close) = self.take();
                        if self.peek().ends_line() {
                            self.take();
                            tokens.pop();
                            return Ok(Statement::Block(Block { place, tokens, before, lines: Vec::new() }));
                        }
                        // Parentheses in the middle of a line are tokens.
                        tokens.push(close.to_owned());
                    }
                }
                kind if kind.ends_line() => {
                    let suffix = (kind == Kind::Suffix).then(|| text.to_owned());
                    return Ok(Statement::Line(Line { place, tokens, before, suffix }));
                }
                _ => tokens.push(text.to_owned()),
            }
        }
    }

    fn block(&mut self, start: Place) -> Result<Vec<Line>, Failure> {
        let mut lines = Vec::new();
        let mut before: Vec<String> = Vec::new();
        loop {
            match self.peek() {
                Kind::Newline | Kind::Suffix => {
                    self.take();
                }
                Kind::Comment => before.push(self.take().2.to_owned()),
                Kind::End => {
                    let message =
                        format!("syntax error (unterminated block started at {}:{})", start.line, start.column);
                    return Err((self.place(), message));
                }
                Kind::Close => {
                    self.take();
                    if !self.peek().ends_line() {
                        return Err((self.place(), "syntax error (expected newline after closing paren)".to_owned()));
                    }
                    self.take();
                    return Ok(lines);
                }
                Kind::Word | Kind::Open => lines.push(self.line(std::mem::take(&mut before))),
            }
        }
    }

    fn line(&mut self, before: Vec<String>) -> Line {
        let place = self.place();
        let mut tokens = Vec::new();
        loop {
            let (kind, _, text) = self.take();
            if kind.ends_line() {
                let suffix = (kind == Kind::Suffix).then(|| text.to_owned());
                return Line { place, tokens, before, suffix };
            }
            tokens.push(text.to_owned());
        }
    }
}

/// The text of a directive's comments, without `//`, one line each; the block's own where the line has none.
pub(crate) fn comment_text(block: Option<&Block>, line: &Line) -> String {
    let of_block = block.filter(|_| line.before.is_empty() && line.suffix.is_none());
    let comments: Vec<&str> = match of_block {
        Some(block) => block.before.iter().map(String::as_str).collect(),
        None => line.before.iter().chain(&line.suffix).map(String::as_str).collect(),
    };
    let texts: Vec<&str> = comments.iter().filter_map(|comment| comment.strip_prefix("//")).map(str::trim).collect();
    texts.join("\n")
}
