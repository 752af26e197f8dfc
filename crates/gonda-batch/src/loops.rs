//! `for`: over words, files, folders, trees, numbers, and over what lines hold.

use std::cell::RefCell;
use std::rc::Rc;

use crate::run::{Done, Flow, Machine, items};
use crate::streams::{Sink, Streams};
use crate::syntax::{ForKind, Node, Reader};
use crate::{Error, arithmetic, expand, paths};

/// Folders within folders.
const DEEPEST_FOLDER: usize = 200;

impl Machine<'_> {
    pub(crate) fn for_(&mut self, kind: &ForKind, variable: char, set: &str, body: &Node, streams: &Streams) -> Done {
        let set = self.text(set);
        let rounds: Vec<Vec<(char, String)>> = match kind {
            ForKind::Numbers => return self.numbers(variable, &set, body, streams),
            ForKind::Items | ForKind::Folders => {
                let folders = *kind == ForKind::Folders;
                items(&set)
                    .into_iter()
                    .flat_map(|item| {
                        if !paths::has_wildcard(&item) {
                            return vec![item];
                        }
                        let fitting = self.matches(&item).into_iter().filter(|(_, folder)| *folder == folders);
                        fitting.map(|(path, _)| path).collect()
                    })
                    .map(|item| vec![(variable, item)])
                    .collect()
            }
            ForKind::Tree(folder, folders) => {
                let folder = folder.as_deref().map(|folder| self.text(folder)).unwrap_or_else(|| ".".into());
                let top = paths::absolute(&folder, &self.folder);
                let mut found = Vec::new();
                self.tree(&top, &items(&set), *folders, &mut found, 0);
                found.into_iter().map(|path| vec![(variable, path)]).collect()
            }
            ForKind::Parse(options) => {
                let options = expand::unquote(&self.text(options));
                self.parse_rounds(variable, &set, &options, streams)?
            }
        };
        let mut ok = true;
        for round in rounds {
            let depth = self.loops.len();
            self.loops.extend(round);
            let flow = self.run(body, streams);
            self.loops.truncate(depth);
            match flow? {
                Flow::Next(fine) => ok = fine,
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next(ok))
    }

    fn numbers(&mut self, variable: char, set: &str, body: &Node, streams: &Streams) -> Done {
        let numbers: Vec<i64> =
            items(set).iter().map(|item| i64::from(arithmetic::number(item).unwrap_or(0))).collect();
        let [mut at, step, end] = [0, 1, 2].map(|index: usize| numbers.get(index).copied().unwrap_or(0));
        let mut ok = true;
        while (step >= 0 && at <= end) || (step < 0 && at >= end) {
            self.loops.push((variable, at.to_string()));
            let flow = self.run(body, streams);
            self.loops.pop();
            match flow? {
                Flow::Next(fine) => ok = fine,
                flow => return Ok(flow),
            }
            at += step;
        }
        Ok(Flow::Next(ok))
    }

    fn tree(&self, folder: &str, patterns: &[String], folders: bool, found: &mut Vec<String>, depth: usize) {
        if depth > DEEPEST_FOLDER {
            return;
        }
        let entries = self.host.list(folder);
        for pattern in patterns {
            if paths::has_wildcard(pattern) {
                let fitting =
                    entries.iter().filter(|entry| entry.folder == folders && paths::fits(pattern, &entry.name));
                found.extend(fitting.map(|entry| paths::join(folder, &entry.name)));
            } else {
                found.push(paths::join(folder, pattern));
            }
        }
        for entry in entries.iter().filter(|entry| entry.folder && !entry.link) {
            self.tree(&paths::join(folder, &entry.name), patterns, folders, found, depth + 1);
        }
    }

    fn parse_rounds(
        &mut self,
        variable: char,
        set: &str,
        options: &str,
        streams: &Streams,
    ) -> Result<Vec<Vec<(char, String)>>, Error> {
        let options = Options::read(options).map_err(|why| self.error(why))?;
        let set = set.trim();
        let between = |open: char| set.strip_prefix(open).and_then(|rest| rest.strip_suffix(open));
        let text = if let Some(command) = between(if options.back { '`' } else { '\'' }) {
            self.captured(command, streams)?
        } else if let Some(text) = between(if options.back { '\'' } else { '"' }) {
            text.to_owned()
        } else {
            let mut text = String::new();
            for item in items(set) {
                let path = paths::absolute(&item, &self.folder);
                match self.host.read(&path) {
                    Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
                    Err(_) => {
                        let message = format!("The system cannot find the file {item}.\r\n");
                        self.put(&streams.error, message.as_bytes());
                        self.level = 1;
                    }
                }
            }
            text
        };
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        Ok(lines.skip(options.skip).filter_map(|line| options.take(line, variable)).collect())
    }

    /// What a command of `for /f` prints; it runs in an interpreter of its own.
    fn captured(&mut self, command: &str, streams: &Streams) -> Result<String, Error> {
        let expanded = expand::percent(&self.line_of_child(command.trim()), self, false);
        let node = Reader::new(&expanded, &mut || None).line().map_err(|message| self.mistake(message))?;
        let buffer = Rc::new(RefCell::new(Vec::new()));
        // How it ends is nobody's business.
        let level = self.level;
        self.apart(&node, &Streams { output: Sink::Buffer(Rc::clone(&buffer)), ..streams.clone() }, false)?;
        self.level = level;
        let bytes = buffer.borrow();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The options of `for /f`.
struct Options {
    eol: Option<char>,
    skip: usize,
    delimiters: Vec<char>,
    tokens: Vec<usize>,
    rest: bool,
    back: bool,
}

impl Options {
    fn read(text: &str) -> Result<Self, String> {
        let mut options =
            Self { eol: Some(';'), skip: 0, delimiters: vec![' ', '\t'], tokens: vec![1], rest: false, back: false };
        let mut left = text.trim_start();
        while !left.is_empty() {
            let lower = left.to_ascii_lowercase();
            if lower.starts_with("usebackq") {
                options.back = true;
                left = &left["usebackq".len()..];
            } else if lower.starts_with("eol=") {
                options.eol = left.chars().nth(4);
                left = left.get(4 + options.eol.map_or(0, char::len_utf8)..).unwrap_or_default();
            } else if lower.starts_with("delims=") {
                // To the next option: blanks count only at the very end.
                let value = &left["delims=".len()..];
                let last = !value.trim_end().contains(' ');
                let end = if last { value.len() } else { value.find(' ').unwrap_or(value.len()) };
                options.delimiters = value[..end].chars().collect();
                left = &value[end..];
            } else if let Some(key) = ["skip=", "tokens="].into_iter().find(|key| lower.starts_with(key)) {
                let value = &left[key.len()..];
                let end = value.find([' ', '\t']).unwrap_or(value.len());
                if key == "skip=" {
                    options.skip =
                        value[..end].parse().map_err(|_| format!("`{value}` was unexpected at this time"))?;
                } else {
                    options.read_tokens(&value[..end])?;
                }
                left = &value[end..];
            } else {
                return Err(format!("`{left}` was unexpected at this time"));
            }
            left = left.trim_start();
        }
        Ok(options)
    }

    fn read_tokens(&mut self, text: &str) -> Result<(), String> {
        let wrong = || format!("`tokens={text}` was unexpected at this time");
        let numbers = match text.strip_suffix('*') {
            Some(numbers) => {
                self.rest = true;
                numbers
            }
            None => text,
        };
        self.tokens.clear();
        for part in numbers.split(',').filter(|part| !part.is_empty()) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to): (usize, usize) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
            if to > 31 {
                return Err(wrong());
            }
            self.tokens.extend(from..=to);
        }
        self.tokens.sort_unstable();
        Ok(())
    }

    /// The variables for a line; `None` for one that is passed over.
    fn take(&self, line: &str, variable: char) -> Option<Vec<(char, String)>> {
        let is = |c: char| self.delimiters.contains(&c);
        // Delimiters in front are passed over before: an `eol` that is one of them never shows.
        let first = line.trim_start_matches(is).chars().next();
        if line.is_empty() || (first.is_some() && first == self.eol) {
            return None;
        }
        let last = self.tokens.last().copied().unwrap_or(0);
        let mut words = Vec::new();
        let mut rest = line.trim_start_matches(is);
        while words.len() < last && !rest.is_empty() {
            let end = rest.find(is).unwrap_or(rest.len());
            words.push(&rest[..end]);
            rest = rest[end..].trim_start_matches(is);
        }
        if words.is_empty() && (last > 0 || rest.is_empty()) {
            return None;
        }
        let mut round = Vec::new();
        let mut name = variable as u32;
        let mut add = |text: &str| {
            if let Some(name) = char::from_u32(name) {
                round.push((name, text.to_owned()));
            }
            name += 1;
        };
        let mut any = false;
        for token in &self.tokens {
            let word = words.get(token.wrapping_sub(1)).copied().unwrap_or_default();
            any |= !word.is_empty();
            add(word);
        }
        if self.rest {
            any |= !rest.is_empty();
            add(rest);
        }
        any.then_some(round)
    }
}
