//! Commands as a tree. Lines come with `%` expanded already; carets, quotes, operators, blocks and redirections are read
//! here, further lines where a block is open or a caret ends a line.

/// A command, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// One command: its text without redirections, carets taken away.
    Simple {
        text: String,
        quiet: bool,
    },
    /// `a & b`.
    Then(Vec<Node>),
    /// `a && b`.
    And(Box<Node>, Box<Node>),
    /// `a || b`.
    Or(Box<Node>, Box<Node>),
    /// `a | b`.
    Pipe(Box<Node>, Box<Node>),
    /// `( … )`.
    Block(Vec<Node>),
    /// A command with its redirections, in order.
    Redirected(Vec<Redirection>, Box<Node>),
    If {
        not: bool,
        fold: bool,
        condition: Condition,
        then: Box<Node>,
        otherwise: Option<Box<Node>>,
    },
    For {
        kind: ForKind,
        variable: char,
        set: String,
        body: Box<Node>,
    },
    /// `rem`, with all that follows it.
    Remark {
        text: String,
        quiet: bool,
    },
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    ErrorLevel(String),
    Exist(String),
    Defined(String),
    ExtensionVersion(String),
    Compare { left: String, operator: String, right: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ForKind {
    Items,
    Folders,
    /// From a folder down; of folders alone.
    Tree(Option<String>, bool),
    Numbers,
    Parse(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirection {
    pub(crate) handle: u8,
    pub(crate) to: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Direction {
    From(String),
    To(String),
    After(String),
    Same(u8),
}

/// Blocks within blocks go at most this deep.
const DEEPEST: usize = 80;
/// `&&`, `||` and `|` in one chain.
const LONGEST: usize = 50;

/// Reads one line, with the further lines that it needs.
pub(crate) struct Reader<'a> {
    text: Vec<char>,
    at: usize,
    depth: usize,
    level: usize,
    /// `call`'s text: no operators.
    flat: bool,
    lines: &'a mut dyn FnMut() -> Option<String>,
}

type Read<T> = Result<T, String>;

pub(crate) fn is_delimiter(c: char) -> bool {
    matches!(c, ' ' | '\t' | ',' | ';' | '=' | '\u{b}' | '\u{c}' | '\u{a0}')
}

impl<'a> Reader<'a> {
    pub(crate) fn new(line: &str, lines: &'a mut dyn FnMut() -> Option<String>) -> Self {
        let mut text: Vec<char> = line.chars().collect();
        text.push('\n');
        Self { text, at: 0, depth: 0, level: 0, flat: false, lines }
    }

    /// The command of a line; an error is cmd's `… was unexpected at this time`.
    pub(crate) fn line(mut self) -> Read<Node> {
        self.skip_delimiters();
        match self.peek() {
            None | Some('\n' | ':') => return Ok(Node::Nothing),
            Some(')') => {
                // cmd takes the rest of a line that begins so for a remark.
                return Ok(Node::Nothing);
            }
            _ => {}
        }
        let node = self.sequence()?;
        self.skip_blanks();
        match self.peek() {
            None | Some('\n') => Ok(node),
            Some(other) => Err(format!("`{other}` was unexpected at this time")),
        }
    }

    /// One simple command in which operators mean nothing.
    pub(crate) fn flat(mut self) -> Read<Node> {
        self.flat = true;
        self.skip_delimiters();
        self.simple(Vec::new(), true)
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn ahead(&self, offset: usize) -> Option<char> {
        self.text.get(self.at + offset).copied()
    }

    fn fetch(&mut self) -> bool {
        match (self.lines)() {
            Some(line) => {
                self.text.extend(line.chars());
                self.text.push('\n');
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    fn skip_delimiters(&mut self) {
        while self.peek().is_some_and(is_delimiter) {
            self.at += 1;
        }
    }

    fn sequence(&mut self) -> Read<Node> {
        self.level += 1;
        if self.level > DEEPEST {
            return Err("commands are nested too deeply".into());
        }
        let mut nodes = vec![self.either()?];
        loop {
            self.skip_blanks();
            if self.peek() != Some('&') || self.ahead(1) == Some('&') {
                break;
            }
            self.at += 1;
            self.skip_delimiters();
            if matches!(self.peek(), None | Some('\n')) || (self.peek() == Some(')') && self.depth > 0) {
                break;
            }
            nodes.push(self.either()?);
        }
        self.level -= 1;
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Then(nodes) })
    }

    fn either(&mut self) -> Read<Node> {
        let mut left = self.both()?;
        let mut links = 0;
        while self.operator("||") {
            links = count(links)?;
            left = Node::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Read<Node> {
        let mut left = self.pipe()?;
        let mut links = 0;
        while self.operator("&&") {
            links = count(links)?;
            left = Node::And(Box::new(left), Box::new(self.pipe()?));
        }
        Ok(left)
    }

    fn pipe(&mut self) -> Read<Node> {
        let mut left = self.command()?;
        let mut links = 0;
        loop {
            self.skip_blanks();
            if self.peek() != Some('|') || self.ahead(1) == Some('|') {
                return Ok(left);
            }
            links = count(links)?;
            self.at += 1;
            left = Node::Pipe(Box::new(left), Box::new(self.command()?));
        }
    }

    fn operator(&mut self, text: &str) -> bool {
        self.skip_blanks();
        let mut chars = text.chars();
        let is = self.peek() == chars.next() && self.ahead(1) == chars.next();
        if is {
            self.at += 2;
        }
        is
    }

    fn command(&mut self) -> Read<Node> {
        let mut redirections = Vec::new();
        let mut quiet = false;
        loop {
            self.skip_delimiters();
            match self.peek() {
                Some('@') => {
                    quiet = true;
                    self.at += 1;
                }
                Some('<' | '>') => redirections.push(self.redirection(None)?),
                Some(digit) if digit.is_ascii_digit() && matches!(self.ahead(1), Some('<' | '>')) => {
                    self.at += 1;
                    redirections.push(self.redirection(Some(digit))?);
                }
                _ => break,
            }
        }
        match self.peek() {
            None | Some('\n') => return Err("the syntax of the command is incorrect".into()),
            Some('&' | '|') => return Err(format!("`{}` was unexpected at this time", self.peek().unwrap_or(' '))),
            Some('(') => return self.block(redirections),
            _ => {}
        }
        let node = if self.keyword("if") {
            self.condition()?
        } else if self.keyword("for") {
            self.loop_()?
        } else if self.keyword("rem") {
            let start = self.at - "rem".len();
            while !matches!(self.peek(), None | Some('\n')) {
                self.at += 1;
            }
            Node::Remark { text: self.text[start..self.at].iter().collect(), quiet }
        } else {
            return self.simple(redirections, quiet);
        };
        Ok(wrap(redirections, node))
    }

    /// Whether a word stands here; it is taken then.
    fn keyword(&mut self, word: &str) -> bool {
        let matches = word
            .chars()
            .enumerate()
            .all(|(offset, c)| self.ahead(offset).is_some_and(|there| there.eq_ignore_ascii_case(&c)));
        let after = self.ahead(word.len());
        let ends =
            after.is_none_or(|c| is_delimiter(c) || matches!(c, '\n' | '(' | '"' | '&' | '|' | '<' | '>' | '/' | ')'));
        if matches && ends {
            self.at += word.len();
        }
        matches && ends
    }

    fn block(&mut self, mut redirections: Vec<Redirection>) -> Read<Node> {
        self.level += 1;
        if self.level > DEEPEST {
            return Err("blocks are nested too deeply".into());
        }
        self.at += 1;
        self.depth += 1;
        let mut nodes = Vec::new();
        loop {
            while self.peek().is_some_and(|c| is_delimiter(c) || c == '\n') {
                self.at += 1;
            }
            match self.peek() {
                None => {
                    if !self.fetch() {
                        return Err("a block is never closed".into());
                    }
                }
                Some(')') => {
                    self.at += 1;
                    break;
                }
                Some(':') => {
                    while !matches!(self.peek(), None | Some('\n')) {
                        self.at += 1;
                    }
                }
                Some(_) => {
                    nodes.push(self.sequence()?);
                    self.skip_blanks();
                    match self.peek() {
                        None | Some('\n' | ')') => {}
                        Some(other) => return Err(format!("`{other}` was unexpected at this time")),
                    }
                }
            }
        }
        self.depth -= 1;
        self.level -= 1;
        loop {
            self.skip_blanks();
            match self.peek() {
                Some('<' | '>') => redirections.push(self.redirection(None)?),
                Some(digit) if digit.is_ascii_digit() && matches!(self.ahead(1), Some('<' | '>')) => {
                    self.at += 1;
                    redirections.push(self.redirection(Some(digit))?);
                }
                _ => return Ok(wrap(redirections, Node::Block(nodes))),
            }
        }
    }

    fn simple(&mut self, mut redirections: Vec<Redirection>, quiet: bool) -> Read<Node> {
        let mut text = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            match c {
                '\n' => break,
                '"' => {
                    quoted = !quoted;
                    text.push(c);
                    self.at += 1;
                }
                _ if quoted => {
                    text.push(c);
                    self.at += 1;
                }
                '^' => self.caret(&mut text),
                '&' | '|' if !self.flat => break,
                ')' if self.depth > 0 => break,
                '<' | '>' => {
                    let mut back = text.chars().rev();
                    let digit = back.next().filter(char::is_ascii_digit);
                    let handle = digit.filter(|_| back.next().is_none_or(is_delimiter));
                    if handle.is_some() {
                        text.pop();
                    }
                    redirections.push(self.redirection(handle)?);
                }
                _ => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        Ok(wrap(redirections, Node::Simple { text, quiet }))
    }

    /// A caret outside quotes: the next character is text, the line's end is not there.
    fn caret(&mut self, text: &mut String) {
        self.at += 1;
        if self.peek() == Some('\n') {
            self.at += 1;
            if self.at >= self.text.len() && !self.fetch() {
                return;
            }
            // The end of an empty line there is text, and the line after it goes on.
            if self.peek() == Some('\n') {
                text.push('\n');
                self.at += 1;
                if self.at >= self.text.len() {
                    self.fetch();
                }
                return;
            }
        }
        if let Some(c) = self.peek().filter(|c| *c != '\n') {
            text.push(c);
            self.at += 1;
        }
    }

    fn redirection(&mut self, handle: Option<char>) -> Read<Redirection> {
        let input = self.peek() == Some('<');
        self.at += 1;
        let append = !input && self.peek() == Some('>');
        if append {
            self.at += 1;
        }
        let handle = handle.and_then(|digit| digit.to_digit(10)).and_then(|digit| u8::try_from(digit).ok());
        let handle = handle.unwrap_or(u8::from(!input));
        if self.peek() == Some('&') {
            let digit = self.ahead(1).and_then(|c| c.to_digit(10)).and_then(|digit| u8::try_from(digit).ok());
            let Some(digit) = digit else { return Err("`&` was unexpected at this time".into()) };
            self.at += 2;
            return Ok(Redirection { handle, to: Direction::Same(digit) });
        }
        let target = self.word();
        if target.is_empty() {
            return Err("a redirection names no file".into());
        }
        let to = match (input, append) {
            (true, _) => Direction::From(target),
            (_, true) => Direction::After(target),
            _ => Direction::To(target),
        };
        Ok(Redirection { handle, to })
    }

    /// A token: up to a delimiter or an operator.
    fn word(&mut self) -> String {
        self.skip_delimiters();
        let mut text = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            match c {
                '\n' => break,
                '"' => {
                    quoted = !quoted;
                    text.push(c);
                    self.at += 1;
                }
                _ if quoted => {
                    text.push(c);
                    self.at += 1;
                }
                '^' => self.caret(&mut text),
                '&' | '|' | '<' | '>' => break,
                ')' if self.depth > 0 => break,
                c if is_delimiter(c) => break,
                _ => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        text
    }

    fn condition(&mut self) -> Read<Node> {
        let (mut not, mut fold) = (false, false);
        let first = loop {
            let word = self.word();
            match word.to_ascii_lowercase().as_str() {
                "/i" => fold = true,
                "not" => not = !not,
                _ => break word,
            }
        };
        let condition = match first.to_ascii_lowercase().as_str() {
            "" => return Err("the syntax of `if` is incorrect".into()),
            "errorlevel" => Condition::ErrorLevel(self.word()),
            "exist" => Condition::Exist(self.word()),
            "defined" => Condition::Defined(self.word()),
            "cmdextversion" => Condition::ExtensionVersion(self.word()),
            _ => {
                self.skip_blanks();
                if self.peek() == Some('=') && self.ahead(1) == Some('=') {
                    self.at += 2;
                    Condition::Compare { left: first, operator: "==".into(), right: self.word() }
                } else {
                    let operator = self.word().to_ascii_lowercase();
                    if !matches!(operator.as_str(), "equ" | "neq" | "lss" | "leq" | "gtr" | "geq") {
                        return Err(format!("`{operator}` was unexpected at this time"));
                    }
                    Condition::Compare { left: first, operator, right: self.word() }
                }
            }
        };
        self.skip_delimiters();
        // `&` belongs to the body, also behind a block. Arguments take an `else` with them: it is one only after a block.
        let then = Box::new(self.sequence()?);
        self.skip_blanks();
        let otherwise = if self.keyword("else") {
            self.skip_delimiters();
            Some(Box::new(self.sequence()?))
        } else {
            None
        };
        Ok(Node::If { not, fold, condition, then, otherwise })
    }

    fn loop_(&mut self) -> Read<Node> {
        let mut kind = ForKind::Items;
        let variable = loop {
            let word = self.word();
            match word.to_ascii_lowercase().as_str() {
                "/d" => {
                    kind = match kind {
                        ForKind::Tree(folder, _) => ForKind::Tree(folder, true),
                        _ => ForKind::Folders,
                    }
                }
                "/l" => kind = ForKind::Numbers,
                "/r" => kind = ForKind::Tree(None, kind == ForKind::Folders),
                "/f" => kind = ForKind::Parse(String::new()),
                _ => {
                    let mut chars = word.chars();
                    if let (Some('%'), Some(name), None) = (chars.next(), chars.next(), chars.next()) {
                        break name;
                    }
                    match &mut kind {
                        ForKind::Tree(folder @ None, _) if !word.is_empty() => *folder = Some(word),
                        ForKind::Parse(options) if options.is_empty() && !word.is_empty() => *options = word,
                        _ => return Err(format!("`{word}` was unexpected at this time")),
                    }
                }
            }
        };
        if !self.word().eq_ignore_ascii_case("in") {
            return Err("`for` without `in`".into());
        }
        self.skip_delimiters();
        if self.peek() != Some('(') {
            return Err("`for` without a list in parentheses".into());
        }
        self.at += 1;
        let set = self.set()?;
        self.skip_delimiters();
        if !self.keyword("do") {
            return Err("`for` without `do`".into());
        }
        self.skip_delimiters();
        let body = Box::new(self.sequence()?);
        Ok(Node::For { kind, variable, set, body })
    }

    /// The list of a `for`, up to its parenthesis.
    fn set(&mut self) -> Read<String> {
        let mut text = String::new();
        let mut quoted = false;
        loop {
            let Some(c) = self.peek() else {
                if self.fetch() {
                    continue;
                }
                return Err("the list of a `for` is never closed".into());
            };
            match c {
                '\n' => {
                    quoted = false;
                    text.push(' ');
                    self.at += 1;
                }
                '"' => {
                    quoted = !quoted;
                    text.push(c);
                    self.at += 1;
                }
                '^' if !quoted => self.caret(&mut text),
                ')' if !quoted => {
                    self.at += 1;
                    return Ok(text);
                }
                _ => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }
}

fn count(links: usize) -> Read<usize> {
    if links >= LONGEST { Err("a chain of `&&`, `||` or `|` is too long".into()) } else { Ok(links + 1) }
}

/// Of several redirections of one handle the last counts; the files of the others are not even opened.
fn wrap(mut redirections: Vec<Redirection>, node: Node) -> Node {
    let handles: Vec<u8> = redirections.iter().map(|redirection| redirection.handle).collect();
    let mut at = 0;
    redirections.retain(|redirection| {
        at += 1;
        !handles[at..].contains(&redirection.handle)
    });
    if redirections.is_empty() { node } else { Node::Redirected(redirections, Box::new(node)) }
}
