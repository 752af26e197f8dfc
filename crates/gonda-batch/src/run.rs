//! The interpreter: reads a script line by line and does what it says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::command::{MISTAKE, not_recognized};
use crate::expand::{self, Names};
use crate::host::{Call, Entry, Host, Stream};
use crate::streams::{Sink, Streams, is_nul};
use crate::syntax::{Condition, Node, Reader, is_delimiter};
use crate::{Error, arithmetic, paths};

/// Scripts and labels that call one another, and commands within commands over all of them, go at most this deep: the
/// thread's stack must do.
const DEEPEST: usize = 32;
const DEEPEST_COMMAND: usize = 120;
/// Bytes that a program may print into a pipe or a `for /f`, which are kept until it ends.
const MOST_KEPT: usize = 256 << 20;

/// What is to happen after a command.
#[derive(Debug)]
pub(crate) enum Flow {
    /// Go on; whether it succeeded, for `&&` and `||`.
    Next(bool),
    Goto(String),
    /// The file or called label ends.
    Leave,
    /// All ends.
    Exit,
    /// Another script takes the place of this one.
    Chain(Box<Frame>),
}

pub(crate) type Done = Result<Flow, Error>;

/// A script, or a label of one, that runs.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) path: String,
    lines: Rc<Vec<String>>,
    at: usize,
    pub(crate) arguments: Vec<String>,
    pub(crate) rest: String,
    pub(crate) saved: Vec<Saved>,
}

impl Frame {
    pub(crate) fn is_cmd(&self) -> bool {
        self.path.to_ascii_lowercase().ends_with(".cmd")
    }
}

/// What `setlocal` keeps.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    variables: BTreeMap<String, (String, String)>,
    folder: String,
    delayed: bool,
}

pub(crate) struct Machine<'h> {
    pub(crate) host: &'h mut dyn Host,
    /// By upper-case name: the name as written, and the value.
    pub(crate) variables: BTreeMap<String, (String, String)>,
    pub(crate) folder: String,
    pub(crate) level: i32,
    pub(crate) delayed: bool,
    pub(crate) echo: bool,
    pub(crate) frames: Vec<Frame>,
    pub(crate) loops: Vec<(char, String)>,
    pub(crate) pushed: Vec<String>,
    /// How deep commands are within one another.
    depth: usize,
    /// The code that a failure has for `||` alone.
    pub(crate) silent_failure: Option<i32>,
}

impl Names for Machine<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let upper = name.to_uppercase();
        if let Some((_, value)) = self.variables.get(&upper) {
            return Some(value.clone());
        }
        match upper.as_str() {
            "CD" => Some(self.folder.clone()),
            "ERRORLEVEL" => Some(self.level.to_string()),
            "CMDEXTVERSION" => Some("2".into()),
            // No clock and no chance: the same script gives the same result.
            "DATE" => Some("01/01/1980".into()),
            "TIME" => Some(" 0:00:00.00".into()),
            "RANDOM" => Some("4".into()),
            _ => None,
        }
    }

    fn argument(&self, index: usize) -> String {
        self.frames.last().and_then(|frame| frame.arguments.get(index)).cloned().unwrap_or_default()
    }

    fn arguments(&self) -> String {
        self.frames.last().map(|frame| frame.rest.clone()).unwrap_or_default()
    }

    fn script(&self) -> String {
        self.frames.last().map(|frame| frame.path.clone()).unwrap_or_default()
    }

    fn folder(&self) -> String {
        self.folder.clone()
    }

    fn entry(&self, path: &str) -> Option<Entry> {
        self.host.stat(path)
    }
}

impl<'h> Machine<'h> {
    pub(crate) fn new(host: &'h mut dyn Host, folder: &str, variables: &[(String, String)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.to_uppercase(), (name.clone(), value.clone())));
        Self {
            host,
            variables: variables.collect(),
            folder: folder.to_owned(),
            level: 0,
            delayed: false,
            echo: true,
            frames: Vec::new(),
            loops: Vec::new(),
            pushed: Vec::new(),
            depth: 0,
            silent_failure: None,
        }
    }

    pub(crate) fn streams(&mut self) -> Streams {
        let input = self.host.input();
        Streams {
            input: Some(Rc::new(RefCell::new(input))),
            output: Sink::Host(Stream::Output),
            error: Sink::Host(Stream::Error),
        }
    }

    /// A frame for a script's file.
    pub(crate) fn script_frame(&mut self, path: &str, typed: &str, rest: &str) -> Result<Frame, Error> {
        let bytes = self.host.read(path).map_err(|error| self.error(format!("`{path}` can't be read: {error}")))?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect();
        let (arguments, rest) = arguments(typed, rest);
        Ok(Frame { path: path.to_owned(), lines: Rc::new(lines), at: 0, arguments, rest, saved: Vec::new() })
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        let frame = self.frames.last();
        let line = frame.map_or(0, |frame| frame.at.min(frame.lines.len()));
        let text = frame.and_then(|frame| frame.lines.get(line.saturating_sub(1))).cloned().unwrap_or_default();
        let file = frame.map(|frame| frame.path.clone()).unwrap_or_default();
        let column = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
        Error { file, line, column, text, message: message.into(), mistake: false }
    }

    /// An error at which cmd itself would end.
    pub(crate) fn mistake(&self, message: impl Into<String>) -> Error {
        Error { mistake: true, ..self.error(message) }
    }

    /// Runs a frame to its end; what was `setlocal` in it ends with it. [`Flow::Next`] or [`Flow::Exit`].
    pub(crate) fn frame(&mut self, frame: Frame, streams: &Streams) -> Done {
        if self.frames.len() >= DEEPEST {
            return Err(self.error("scripts call one another too deeply"));
        }
        let loops = std::mem::take(&mut self.loops);
        let delayed = self.delayed;
        self.frames.push(frame);
        let flow = self.lines(streams);
        while self.frames.last().is_some_and(|frame| !frame.saved.is_empty()) {
            self.endlocal();
        }
        self.frames.pop();
        self.loops = loops;
        self.delayed = delayed;
        match flow? {
            Flow::Exit => Ok(Flow::Exit),
            _ => Ok(Flow::Next(self.level == 0)),
        }
    }

    fn lines(&mut self, streams: &Streams) -> Done {
        loop {
            let Some(line) = self.next_line() else { return Ok(Flow::Leave) };
            let first = line.trim_start_matches(is_delimiter);
            if first.starts_with(':') {
                continue;
            }
            let node = {
                let mut further = Vec::new();
                let mut at = self.frames.last().map_or(0, |frame| frame.at);
                let lines = self.frames.last().map(|frame| Rc::clone(&frame.lines)).unwrap_or_default();
                let names: &dyn Names = &*self;
                let mut more = || {
                    let line = lines.get(at)?;
                    at += 1;
                    further.push(());
                    Some(expand::percent(line, names, true))
                };
                let expanded = expand::percent(&line, names, true);
                Reader::new(&expanded, &mut more).line().map(|node| (node, further.len()))
            };
            let (node, more) = node.map_err(|message| self.mistake(message))?;
            if let Some(frame) = self.frames.last_mut() {
                frame.at += more;
            }
            match self.run(&node, streams)? {
                Flow::Next(_) => {}
                Flow::Goto(label) => match self.find(&label) {
                    Some(at) => {
                        if let Some(frame) = self.frames.last_mut() {
                            frame.at = at;
                        }
                    }
                    None => {
                        self.put(
                            &streams.error,
                            format!("The system cannot find the batch label specified - {label}\r\n").as_bytes(),
                        );
                        self.level = 1;
                        return Ok(Flow::Leave);
                    }
                },
                Flow::Chain(frame) => {
                    if let Some(current) = self.frames.last_mut() {
                        let saved = std::mem::take(&mut current.saved);
                        *current = *frame;
                        current.saved = saved;
                    }
                }
                flow => return Ok(flow),
            }
        }
    }

    fn next_line(&mut self) -> Option<String> {
        let frame = self.frames.last_mut()?;
        let line = frame.lines.get(frame.at)?.clone();
        frame.at += 1;
        Some(line)
    }

    /// The line after a label: searched downwards, then from the top.
    fn find(&self, label: &str) -> Option<usize> {
        let frame = self.frames.last()?;
        let is = |line: &String| {
            let Some(text) = line.trim_start_matches(is_delimiter).strip_prefix(':') else { return false };
            label_name(text).eq_ignore_ascii_case(label)
        };
        let below = (frame.at..frame.lines.len()).chain(0..frame.at.min(frame.lines.len()));
        below.into_iter().find(|at| is(&frame.lines[*at])).map(|at| at + 1)
    }

    /// A frame for a label of the script that runs.
    pub(crate) fn label_frame(&mut self, label: &str, typed: &str, rest: &str) -> Option<Frame> {
        let at = self.find(label)?;
        let current = self.frames.last()?;
        let (arguments, rest) = arguments(typed, rest);
        Some(Frame { at, arguments, rest, saved: Vec::new(), ..current.clone() })
    }

    pub(crate) fn run(&mut self, node: &Node, streams: &Streams) -> Done {
        if !matches!(node, Node::Or(..)) {
            self.silent_failure = None;
        }
        if self.host.is_cancelled() {
            return Err(self.error("cancelled"));
        }
        if self.depth >= DEEPEST_COMMAND {
            return Err(self.error("commands are nested too deeply"));
        }
        self.depth += 1;
        let done = self.run_one(node, streams);
        self.depth -= 1;
        done
    }

    fn run_one(&mut self, node: &Node, streams: &Streams) -> Done {
        match node {
            Node::Nothing => Ok(Flow::Next(true)),
            Node::Remark { text, quiet } => {
                self.show(text, *quiet);
                Ok(Flow::Next(true))
            }
            Node::Simple { text, quiet } => {
                let text = self.text(text);
                self.show(&text, *quiet);
                self.command(&text, streams, false)
            }
            Node::And(left, right) => match self.run(left, streams)? {
                Flow::Next(true) => self.run(right, streams),
                flow => Ok(flow),
            },
            Node::Or(left, right) => match self.run(left, streams)? {
                Flow::Next(false) => {
                    if let Some(level) = self.silent_failure.take() {
                        self.level = level;
                    }
                    self.run(right, streams)
                }
                flow => Ok(flow),
            },
            Node::Pipe(left, right) => self.pipe(left, right, streams),
            Node::Block(nodes) | Node::Then(nodes) => {
                let mut ok = true;
                for node in nodes {
                    match self.run(node, streams)? {
                        Flow::Next(fine) => ok = fine,
                        flow => return Ok(flow),
                    }
                }
                Ok(Flow::Next(ok))
            }
            Node::Redirected(redirections, node) => match self.redirect(redirections, streams)? {
                Some(streams) => self.run(node, &streams),
                None => {
                    self.silent_failure = Some(1);
                    Ok(Flow::Next(false))
                }
            },
            Node::If { not, fold, condition, then, otherwise } => {
                if self.holds(condition, *fold)? != *not {
                    self.run(then, streams)
                } else if let Some(otherwise) = otherwise {
                    self.run(otherwise, streams)
                } else {
                    Ok(Flow::Next(true))
                }
            }
            Node::For { kind, variable, set, body } => self.for_(kind, *variable, set, body, streams),
        }
    }

    /// Prints a command behind the prompt, where echo is on.
    fn show(&mut self, text: &str, quiet: bool) {
        let text = text.trim_start();
        if self.echo && !quiet && !text.is_empty() {
            // Behind arguments, cmd prints a blank.
            let blank = if text.contains(is_delimiter) { " " } else { "" };
            let line = format!("\r\n{}>{text}{blank}\r\n", self.folder);
            self.put(&Sink::Host(Stream::Output), line.as_bytes());
        }
    }

    /// Loop variables and `!` put in.
    pub(crate) fn text(&self, text: &str) -> String {
        let text = expand::loops(text, &self.loops, self);
        if self.delayed { expand::delayed(&text, self) } else { text }
    }

    /// Runs a command in an interpreter of its own: a batch file that it names is called.
    pub(crate) fn child(&mut self, node: &Node, streams: &Streams) -> Done {
        match self.run(node, streams)? {
            Flow::Chain(frame) => self.frame(*frame, streams),
            flow => Ok(flow),
        }
    }

    /// The same, in a fresh state of which nothing stays but the code.
    pub(crate) fn apart(&mut self, node: &Node, streams: &Streams, delayed: bool) -> Result<(), Error> {
        let (variables, folder) = (self.variables.clone(), self.folder.clone());
        let loops = std::mem::take(&mut self.loops);
        let echo = std::mem::replace(&mut self.echo, false);
        let delayed = std::mem::replace(&mut self.delayed, delayed);
        let done = self.child(node, streams);
        (self.variables, self.folder, self.loops, self.echo, self.delayed) = (variables, folder, loops, echo, delayed);
        done.map(drop)
    }

    /// Both sides are interpreters of their own: what they set is lost.
    fn pipe(&mut self, left: &Node, right: &Node, streams: &Streams) -> Done {
        // If a side can't be started, cmd gives up the whole script.
        if let Some(name) = self.missing_program(left).or_else(|| self.missing_program(right)) {
            self.put(&streams.error, not_recognized(&name).as_bytes());
            self.level = MISTAKE;
            return Ok(Flow::Exit);
        }
        let buffer = Rc::new(RefCell::new(Vec::new()));
        let variables = self.variables.clone();
        let folder = self.folder.clone();
        let level = self.level;
        self.child(left, &Streams { output: Sink::Buffer(Rc::clone(&buffer)), ..streams.clone() })?;
        self.variables.clone_from(&variables);
        self.folder.clone_from(&folder);
        self.level = level;
        let flow = self.child(right, &Streams { input: Some(buffer), ..streams.clone() })?;
        self.variables = variables;
        self.folder = folder;
        let ok = match flow {
            Flow::Next(ok) => ok,
            _ => self.level == 0,
        };
        if ok {
            self.level = 0;
        }
        Ok(Flow::Next(ok))
    }

    fn holds(&mut self, condition: &Condition, fold: bool) -> Result<bool, Error> {
        Ok(match condition {
            Condition::ErrorLevel(number) => {
                let number = self.text(number);
                self.level >= arithmetic::number(&number).unwrap_or(0)
            }
            Condition::Exist(path) => {
                let path = self.text(path);
                self.exists(&path)
            }
            Condition::Defined(name) => {
                let name = self.text(name);
                self.variable(&name).is_some()
            }
            Condition::ExtensionVersion(number) => arithmetic::number(&self.text(number)).unwrap_or(0) <= 2,
            Condition::Compare { left, operator, right } => {
                let (mut left, mut right) = (self.text(left), self.text(right));
                if fold {
                    (left, right) = (left.to_lowercase(), right.to_lowercase());
                }
                if operator == "==" {
                    return Ok(left == right);
                }
                let order = match (arithmetic::number(&left), arithmetic::number(&right)) {
                    (Some(left), Some(right)) => left.cmp(&right),
                    _ => left.to_lowercase().cmp(&right.to_lowercase()).then_with(|| right.cmp(&left)),
                };
                match operator.as_str() {
                    "equ" => order.is_eq(),
                    "neq" => order.is_ne(),
                    "lss" => order.is_lt(),
                    "leq" => order.is_le(),
                    "gtr" => order.is_gt(),
                    _ => order.is_ge(),
                }
            }
        })
    }

    fn exists(&self, path: &str) -> bool {
        let bare = path.replace('"', "").replace('/', "\\");
        if is_nul(&bare) {
            // `folder\nul` is there if the folder is.
            let folder = paths::split(&bare).0;
            return folder.is_empty() || self.is_folder(&self.full(folder));
        }
        let full = paths::absolute(&bare, &self.folder);
        if paths::has_wildcard(&bare) {
            return !self.matches(&bare).is_empty();
        }
        let entry = self.host.stat(&full);
        if bare.ends_with('\\') { entry.is_some_and(|entry| entry.folder) } else { entry.is_some() }
    }

    /// What a pattern means: paths as written before the name, and whether each is a folder.
    pub(crate) fn matches(&self, pattern: &str) -> Vec<(String, bool)> {
        let pattern = pattern.replace('"', "").replace('/', "\\");
        let (folder, name) = paths::split(&pattern);
        let full = paths::absolute(if folder.is_empty() { "." } else { folder }, &self.folder);
        let entries = self.host.list(&full);
        let fitting = entries.into_iter().filter(|entry| paths::fits(name, &entry.name));
        fitting.map(|entry| (format!("{folder}{}", entry.name), entry.folder)).collect()
    }

    /// Runs a program of the machine.
    pub(crate) fn program(&mut self, path: &str, rest: &str, streams: &Streams) -> Done {
        let variables: Vec<(String, String)> = self.variables.values().cloned().collect();
        let input = streams.take_input();
        let folder = self.folder.clone();
        let call = Call {
            program: path,
            arguments: rest,
            folder: &folder,
            variables: &variables,
            input,
            output: streams.output.target(),
            error: streams.error.target(),
            joined: streams.output.is(&streams.error),
        };
        let mut kept: Vec<(Stream, Vec<u8>)> = Vec::new();
        let mut length = 0;
        let code = self.host.run(&call, &mut |stream, bytes| {
            length += bytes.len();
            match kept.last_mut() {
                Some((last, text)) if *last == stream => text.extend_from_slice(bytes),
                _ => kept.push((stream, bytes.to_vec())),
            }
            length <= MOST_KEPT
        });
        if length > MOST_KEPT {
            return Err(self.error(format!("`{path}` prints more than {} MB into a pipe", MOST_KEPT >> 20)));
        }
        for (stream, bytes) in kept {
            let sink = if stream == Stream::Output { &streams.output } else { &streams.error };
            self.put(sink, &bytes);
        }
        match code {
            Ok(code) => {
                self.level = code;
                Ok(Flow::Next(code == 0))
            }
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                Err(self.error(format!("`{path}` can't be run: {error}")))
            }
            Err(error) => {
                self.put(&streams.error, format!("{path}: {error}\r\n").as_bytes());
                self.level = 9009;
                Ok(Flow::Next(false))
            }
        }
    }

    pub(crate) fn setlocal(&mut self) {
        let saved = Saved { variables: self.variables.clone(), folder: self.folder.clone(), delayed: self.delayed };
        if let Some(frame) = self.frames.last_mut() {
            frame.saved.push(saved);
        }
    }

    pub(crate) fn endlocal(&mut self) {
        if let Some(saved) = self.frames.last_mut().and_then(|frame| frame.saved.pop()) {
            self.variables = saved.variables;
            self.folder = saved.folder;
            self.delayed = saved.delayed;
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let upper = name.to_uppercase();
        if value.is_empty() {
            self.variables.remove(&upper);
        } else {
            let name = self.variables.get(&upper).map_or_else(|| name.to_owned(), |(known, _)| known.clone());
            self.variables.insert(upper, (name, value.to_owned()));
        }
    }
}

pub(crate) fn label_name(text: &str) -> &str {
    let text = text.trim_start_matches(is_delimiter);
    let end = text.find(|c: char| is_delimiter(c) || matches!(c, ':' | '+' | '&' | '<' | '>' | '|' | ')' | '('));
    &text[..end.unwrap_or(text.len())]
}

/// `%0`, `%1`, …, and `%*`.
fn arguments(typed: &str, rest: &str) -> (Vec<String>, String) {
    let mut all = vec![typed.to_owned()];
    all.extend(items(rest));
    (all, rest.trim_start_matches(is_delimiter).trim_end().to_owned())
}

/// Items between blanks, `,`, `;`, `=`; quotes keep together.
pub(crate) fn items(text: &str) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let mut quoted = false;
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        }
        if !quoted && is_delimiter(c) {
            if !item.is_empty() {
                items.push(std::mem::take(&mut item));
            }
        } else {
            item.push(c);
        }
    }
    if !item.is_empty() {
        items.push(item);
    }
    items
}
