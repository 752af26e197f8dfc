//! Commands by name: those of the language itself, then those that work on files, then batch files and programs.

use crate::expand::{self, Names};
use crate::run::{Done, Flow, Machine, items, label_name};
use crate::streams::Streams;
use crate::syntax::{Node, Reader, is_delimiter};
use crate::{arithmetic, paths};

/// errorlevel after a command that is neither built in nor a program.
pub(crate) const NOT_FOUND: i32 = 9009;

/// What cmd.exe itself ends with after a mistake in a script.
pub(crate) const MISTAKE: i32 = 255;

/// Commands of cmd.exe that gonda knows.
const KNOWN: [&str; 41] = [
    "break", "call", "cd", "chdir", "cls", "color", "copy", "date", "del", "dir", "echo", "endlocal", "erase", "exit",
    "ftype", "goto", "md", "mkdir", "mklink", "move", "path", "pause", "popd", "prompt", "pushd", "rd", "rem", "ren",
    "rename", "rmdir", "set", "setlocal", "shift", "start", "time", "title", "type", "ver", "verify", "vol", "assoc",
];

/// Commands of cmd.exe that gonda doesn't do.
const UNKNOWN: [&str; 2] = ["dpath", "keys"];

/// Programs of Windows that gonda does itself.
const PROGRAMS: [&str; 13] =
    ["attrib", "chcp", "cmd", "fc", "find", "findstr", "mode", "more", "robocopy", "sort", "timeout", "where", "xcopy"];

/// Those of them whose names other systems have too.
const SHARED_NAMES: [&str; 4] = ["find", "more", "sort", "timeout"];

/// Programs of Windows itself that gonda doesn't do. A machine may have one of its own, which is then run; else the script
/// would go on without what it counts on.
const MISSING: [&str; 32] = [
    "bcdedit",
    "bitsadmin",
    "certreq",
    "certutil",
    "choice",
    "clip",
    "comp",
    "cscript",
    "curl",
    "expand",
    "fsutil",
    "forfiles",
    "icacls",
    "makecab",
    "msiexec",
    "net",
    "netsh",
    "powershell",
    "pwsh",
    "reg",
    "sc",
    "schtasks",
    "setx",
    "subst",
    "systeminfo",
    "takeown",
    "tar",
    "taskkill",
    "tasklist",
    "tree",
    "wmic",
    "wscript",
];

impl Machine<'_> {
    /// Runs one command, expanded.
    pub(crate) fn command(&mut self, text: &str, streams: &Streams, called: bool) -> Done {
        let text = text.trim_start_matches(|c| is_delimiter(c) || c == '@');
        if text.is_empty() {
            return Ok(Flow::Next(true));
        }
        let letters = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        let word = text[..letters].to_ascii_lowercase();
        let rest = &text[letters..];
        let after = rest.chars().next();
        let ends =
            after.is_none_or(|c| is_delimiter(c) || matches!(c, '.' | ':' | '/' | '\\' | '(' | '[' | ']' | '+' | '"'));
        // `copy.exe` and `cd\x.bat` name programs only if there are such.
        if ends && KNOWN.contains(&word.as_str()) {
            return self.built_in(&word, rest, streams);
        }
        if ends && UNKNOWN.contains(&word.as_str()) && after.is_none_or(is_delimiter) {
            return Err(self.error(format!("gonda doesn't know the command `{word}`")));
        }
        let (name, rest) = first_token(text);
        let name = name.replace('"', "");
        let bare = name.to_ascii_lowercase();
        let bare = bare.strip_suffix(".exe").unwrap_or(&bare);
        // With a path in front only where Windows has it.
        let bare = match bare.rsplit_once(['\\', '/']) {
            Some((folder, file)) if folder.ends_with("system32") => file,
            _ => bare,
        };
        if PROGRAMS.contains(&bare) && !self.means_other_system(bare, rest) {
            return self.own_program(bare, rest, streams);
        }
        if name.len() == 2 && name.ends_with(':') {
            return Ok(self.change_drive(&name, streams, called));
        }
        self.outside(&name, rest, streams, called)
    }

    /// `C:` alone: there is one drive, that of the current folder.
    fn change_drive(&mut self, name: &str, streams: &Streams, called: bool) -> Flow {
        if !self.folder.get(..2).is_some_and(|drive| drive.eq_ignore_ascii_case(name)) {
            return self.fail(streams, "The system cannot find the drive specified.", 1);
        }
        if called { self.done(0) } else { Flow::Next(true) }
    }

    /// The name of a simple command that is neither built in nor a program.
    pub(crate) fn missing_program(&self, node: &Node) -> Option<String> {
        let text = match node {
            Node::Simple { text, .. } => self.text(text),
            Node::Redirected(_, node) => return self.missing_program(node),
            _ => return None,
        };
        let text = text.trim_start_matches(|c| is_delimiter(c) || c == '@');
        let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
        let name = first_token(text).0.replace('"', "");
        let own = [&KNOWN[..], &UNKNOWN, &PROGRAMS, &MISSING].iter().any(|names| names.contains(&word.as_str()));
        (!own && !name.is_empty() && !name.ends_with(':') && self.find_program(&name).is_none()).then_some(name)
    }

    fn built_in(&mut self, word: &str, rest: &str, streams: &Streams) -> Done {
        match word {
            "echo" => self.echo(rest, streams),
            "set" => self.set_command(rest, streams),
            "setlocal" => Ok(self.setlocal_command(rest)),
            "endlocal" => {
                self.endlocal();
                Ok(Flow::Next(true))
            }
            "goto" => {
                let label = rest.trim_start_matches(is_delimiter).trim_start_matches(':');
                let label = label_name(label);
                if label.is_empty() {
                    return Err(self.error("`goto` names no label"));
                }
                if label.eq_ignore_ascii_case("eof") { Ok(Flow::Leave) } else { Ok(Flow::Goto(label.to_owned())) }
            }
            "call" => self.call(rest, streams),
            "exit" => {
                let mut words = items(rest).into_iter();
                let first = words.next();
                let leave = first.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("/b"));
                let number = if leave { words.next() } else { first };
                if let Some(number) = number.as_deref().and_then(arithmetic::number) {
                    self.level = number;
                }
                Ok(if leave { Flow::Leave } else { Flow::Exit })
            }
            "shift" => {
                let from = items(rest).first().and_then(|word| word.strip_prefix('/')?.parse().ok()).unwrap_or(0);
                if let Some(frame) = self.frames.last_mut().filter(|frame| from < frame.arguments.len()) {
                    frame.arguments.remove(from);
                }
                Ok(Flow::Next(true))
            }
            "path" => {
                let value = rest.trim_start_matches(is_delimiter);
                if value.is_empty() {
                    let path = self.variable("PATH").unwrap_or_default();
                    self.put(&streams.output, format!("PATH={path}\r\n").as_bytes());
                } else {
                    self.set("PATH", if value == ";" { "" } else { value });
                    self.clear_in_cmd();
                }
                Ok(Flow::Next(true))
            }
            "start" => self.start(rest, streams),
            // No clock: the same script gives the same result.
            "date" | "time" if !rest.trim().is_empty() && !rest.trim().eq_ignore_ascii_case("/t") => {
                Ok(self.fail(streams, "A required privilege is not held by the client.", 1))
            }
            "date" => {
                self.put(&streams.output, b"01/01/1980\r\n");
                Ok(self.done(0))
            }
            "time" => {
                self.put(&streams.output, b" 0:00:00.00\r\n");
                Ok(self.done(0))
            }
            "verify" | "vol" => Ok(self.done(0)),
            "rem" | "break" | "ftype" | "title" | "prompt" | "color" | "cls" | "assoc" | "pause" => {
                Ok(Flow::Next(true))
            }
            "ver" => {
                self.put(&streams.output, b"\r\nMicrosoft Windows [Version 10.0.19045]\r\n");
                Ok(self.done(0))
            }
            _ => self.file_command(word, rest, streams),
        }
    }

    /// Sets errorlevel.
    pub(crate) fn done(&mut self, level: i32) -> Flow {
        self.level = level;
        Flow::Next(level == 0)
    }

    /// In a `.cmd` file, some commands clear errorlevel that leave it alone in a `.bat` file.
    fn clear_in_cmd(&mut self) {
        if self.frames.last().is_some_and(crate::run::Frame::is_cmd) {
            self.level = 0;
        }
    }

    fn echo(&mut self, rest: &str, streams: &Streams) -> Done {
        let first = rest.chars().next();
        let text = first.map_or("", |c| &rest[c.len_utf8()..]);
        let blank = first.is_none_or(|c| c == ' ' || c == '\t' || c == ',' || c == ';' || c == '=');
        if blank {
            match text.trim().to_ascii_lowercase().as_str() {
                "" => {
                    let state: &[u8] = if self.echo { b"ECHO is on.\r\n" } else { b"ECHO is off.\r\n" };
                    self.put(&streams.output, state);
                    return Ok(Flow::Next(true));
                }
                "on" | "off" => {
                    self.echo = text.trim().eq_ignore_ascii_case("on");
                    return Ok(Flow::Next(true));
                }
                _ => {}
            }
        }
        self.put(&streams.output, format!("{text}\r\n").as_bytes());
        Ok(Flow::Next(true))
    }

    fn set_command(&mut self, rest: &str, streams: &Streams) -> Done {
        let text = rest.trim_start_matches(is_delimiter);
        let lower = text.get(..2).unwrap_or_default().to_ascii_lowercase();
        if lower == "/a" {
            return self.set_number(&text[2..], streams);
        }
        if lower == "/p" {
            return self.set_prompt(text[2..].trim_start(), streams);
        }
        let text = quoted_part(text);
        let Some((name, value)) = text.get(1..).and_then(|tail| tail.find('=')).map(|at| text.split_at(at + 1)) else {
            return Ok(self.list_variables(text.trim_end(), streams));
        };
        self.set(name, &value[1..]);
        self.clear_in_cmd();
        Ok(Flow::Next(true))
    }

    fn list_variables(&mut self, prefix: &str, streams: &Streams) -> Flow {
        let prefix = prefix.to_uppercase();
        let fitting = self.variables.iter().filter(|(upper, _)| upper.starts_with(&prefix));
        let text: String = fitting.map(|(_, (name, value))| format!("{name}={value}\r\n")).collect();
        if text.is_empty() {
            self.put(&streams.error, format!("Environment variable {prefix} not defined\r\n").as_bytes());
            return self.done(1);
        }
        self.put(&streams.output, text.as_bytes());
        self.clear_in_cmd();
        Flow::Next(true)
    }

    fn set_number(&mut self, text: &str, streams: &Streams) -> Done {
        let mut changes = Vec::new();
        let value = arithmetic::evaluate(text, &|name| self.variable(name), &mut |name, value| {
            changes.push((name.to_owned(), value));
        });
        match value {
            Ok(value) => {
                for (name, value) in changes {
                    self.set(&name, &value.to_string());
                }
                if self.frames.is_empty() {
                    self.put(&streams.output, value.to_string().as_bytes());
                }
                self.clear_in_cmd();
                Ok(Flow::Next(true))
            }
            Err(why) => {
                self.put(&streams.error, format!("{why}.\r\n").as_bytes());
                Ok(self.done(arithmetic::code(&why)))
            }
        }
    }

    fn set_prompt(&mut self, text: &str, streams: &Streams) -> Done {
        let text = quoted_part(text);
        let Some((name, prompt)) = text.split_once('=') else {
            return Err(self.error("`set /p` without `=`"));
        };
        let prompt = quoted_part(prompt.trim_start_matches(is_delimiter)).to_owned();
        let name = name.to_owned();
        self.put(&streams.output, prompt.as_bytes());
        let line = streams.input.as_ref().map(|input| {
            let mut input = input.borrow_mut();
            let end = input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |at| at + 1);
            let line: Vec<u8> = input.drain(..end).collect();
            String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
        });
        match line.filter(|line| !line.is_empty()) {
            Some(line) => {
                if !name.is_empty() {
                    self.set(&name, &line);
                }
                Ok(Flow::Next(true))
            }
            None => Ok(self.done(1)),
        }
    }

    fn setlocal_command(&mut self, rest: &str) -> Flow {
        self.setlocal();
        let mut level = 0;
        for word in items(rest) {
            match word.to_ascii_lowercase().as_str() {
                "enabledelayedexpansion" => self.delayed = true,
                "disabledelayedexpansion" => self.delayed = false,
                "enableextensions" | "disableextensions" => {}
                _ => level = 1,
            }
        }
        self.done(level)
    }

    /// `call`: percent signs are read a second time, carets are doubled.
    fn call(&mut self, rest: &str, streams: &Streams) -> Done {
        if rest.is_empty() {
            return Ok(self.done(1));
        }
        if rest.trim_matches(is_delimiter).is_empty() {
            return Ok(self.done(0));
        }
        let doubled = rest.replace('^', "^^");
        let text = expand::percent(&doubled, self, !self.frames.is_empty());
        let node = Reader::new(&text, &mut || None).flat().map_err(|message| self.mistake(message))?;
        match node {
            Node::Simple { text, .. } => self.called(&text, streams),
            Node::Redirected(redirections, node) => match *node {
                Node::Simple { text, .. } => {
                    let whole = Node::Redirected(
                        redirections,
                        Box::new(Node::Simple { text: format!("call {text}"), quiet: true }),
                    );
                    self.run(&whole, streams)
                }
                _ => Ok(Flow::Next(true)),
            },
            _ => Ok(Flow::Next(true)),
        }
    }

    fn called(&mut self, text: &str, streams: &Streams) -> Done {
        let text = text.trim_start_matches(is_delimiter);
        if let Some(label) = text.strip_prefix(':') {
            let name = label_name(label).to_owned();
            if name.eq_ignore_ascii_case("eof") {
                return Ok(Flow::Next(true));
            }
            let (typed, rest) = first_token(text);
            return match self.label_frame(&name, typed, rest) {
                Some(frame) => self.frame(frame, streams),
                None => {
                    self.put(
                        &streams.error,
                        format!("The system cannot find the batch label specified - {name}\r\n").as_bytes(),
                    );
                    Ok(self.done(1))
                }
            };
        }
        self.command(text, streams, true)
    }

    /// A batch file or a program.
    fn outside(&mut self, name: &str, rest: &str, streams: &Streams, called: bool) -> Done {
        let Some(path) = self.find_program(name) else {
            let lower = paths::split(name).1.to_ascii_lowercase();
            if MISSING.contains(&lower.strip_suffix(".exe").unwrap_or(&lower)) {
                return Err(self.error(format!("gonda doesn't know the program `{name}`, which comes with Windows")));
            }
            let folder_is_missing = name.contains(['\\', '/']) && {
                let full = paths::absolute(name, &self.folder);
                let (folder, _) = paths::split(&full);
                self.host.stat(folder.trim_end_matches('\\')).is_none()
            };
            let message = if folder_is_missing {
                "The system cannot find the path specified.\r\n".to_owned()
            } else {
                not_recognized(name)
            };
            self.put(&streams.error, message.as_bytes());
            return Ok(self.done(if folder_is_missing { 3 } else { NOT_FOUND }));
        };
        let lower = path.to_ascii_lowercase();
        if lower.ends_with(".bat") || lower.ends_with(".cmd") {
            let path = self.real(&path);
            let frame = self.script_frame(&path, name, rest)?;
            if called || self.frames.is_empty() {
                return self.frame(frame, streams);
            }
            return Ok(Flow::Chain(Box::new(frame)));
        }
        self.program(&path, rest, streams)
    }

    /// The file that a name means: with the extensions of PATHEXT, in the current folder and those of PATH.
    pub(crate) fn find_program(&self, name: &str) -> Option<String> {
        let name = name.replace('/', "\\");
        let extensions = self.variable("PATHEXT").unwrap_or_else(|| ".COM;.EXE;.BAT;.CMD".into());
        let direct = name.contains(['\\', ':']);
        let folders: Vec<String> = if direct {
            vec![String::new()]
        } else {
            let path = self.variable("PATH").unwrap_or_default();
            std::iter::once(self.folder.clone()).chain(path_folders(&path)).collect()
        };
        let file = paths::split(&name).1;
        let has_extension = file.contains('.');
        // Programs of a unix machine have no extension. PATH leads to them, or a path: a name in the source doesn't.
        let lower = file.to_ascii_lowercase();
        let stem = [".exe", ".cmd", ".bat"].iter().find(|end| lower.ends_with(*end)).map_or(0, |end| end.len());
        let plain = &name[..name.len() - stem];
        folders.iter().enumerate().find_map(|(index, folder)| {
            let full = |name: &str| {
                let path = if direct { name.to_owned() } else { paths::join(folder, name) };
                paths::absolute(&path, &self.folder)
            };
            let own = has_extension.then(|| full(&name));
            let more = extensions.split(';').filter(|end| !end.is_empty()).map(|end| format!("{}{end}", full(&name)));
            let plain = ((index > 0 || direct) && (stem > 0 || !has_extension)).then(|| full(plain));
            own.into_iter().chain(more).chain(plain).find(|path| self.host.is_program(path))
        })
    }

    fn own_program(&mut self, name: &str, rest: &str, streams: &Streams) -> Done {
        match name {
            "chcp" | "mode" | "timeout" => Ok(self.done(0)),
            "attrib" if items(rest).iter().any(|word| word.starts_with(['+', '-'])) => Ok(self.done(0)),
            "attrib" => Err(self.error("gonda doesn't know `attrib` without a change")),
            "cmd" => self.interpreter(rest, streams),
            "findstr" | "find" | "sort" | "more" | "fc" => self.search_program(name, rest, streams),
            _ => self.file_command(name, rest, streams),
        }
    }

    /// Whether arguments are written for the program that unix has under this name, and it is there: `find . -name x`.
    fn means_other_system(&self, name: &str, rest: &str) -> bool {
        let words = items(rest);
        let unix = match name {
            "find" => !words.iter().any(|word| word.starts_with(['"', '/'])),
            "timeout" => words.first().is_some_and(|word| !word.starts_with('/')) && words.len() > 1,
            _ => words.iter().any(|word| word.starts_with('-')),
        };
        SHARED_NAMES.contains(&name) && unix && self.find_program(name).is_some()
    }

    /// `start`: waited for in any case, for nothing may go on when a build ends.
    fn start(&mut self, rest: &str, streams: &Streams) -> Done {
        let mut rest = rest.trim_start_matches(is_delimiter);
        let folder = self.folder.clone();
        if rest.starts_with('"') {
            // The first word in quotes is the window's title.
            rest = first_token(rest).1.trim_start_matches(is_delimiter);
        }
        while let Some(switch) = rest.strip_prefix('/') {
            let (word, after) = first_token(switch);
            let lower = word.to_ascii_lowercase();
            rest = after.trim_start_matches(is_delimiter);
            match lower.as_str() {
                "wait" | "w" | "b" | "min" | "max" | "low" | "normal" | "high" | "belownormal" | "abovenormal"
                | "i" => {}
                "d" => {
                    let (path, after) = first_token(rest);
                    self.folder = paths::absolute(path, &self.folder);
                    rest = after.trim_start_matches(is_delimiter);
                }
                _ => return Err(self.error(format!("gonda doesn't know `start /{word}`"))),
            }
        }
        let flow = if rest.is_empty() { Ok(Flow::Next(true)) } else { self.command(rest, streams, true) };
        self.folder = folder;
        // That it could be started is success, whatever it ends with.
        Ok(match flow? {
            Flow::Next(false) => Flow::Next(self.level != NOT_FOUND),
            flow => flow,
        })
    }

    /// `cmd /c …`: an interpreter of its own, of which nothing stays but its code.
    fn interpreter(&mut self, rest: &str, streams: &Streams) -> Done {
        let mut rest = rest.trim_start_matches(is_delimiter);
        let (mut delayed, mut strip) = (false, false);
        let line = loop {
            let Some(switch) = rest.strip_prefix('/') else {
                return Err(self.error("gonda doesn't know `cmd` without `/c`"));
            };
            let end = switch.find(|c: char| is_delimiter(c) || matches!(c, '/' | '"')).unwrap_or(switch.len());
            let (word, after) = switch.split_at(end);
            match word.to_ascii_lowercase().as_str() {
                "c" | "k" | "r" => break after.trim(),
                "v:on" | "v" => delayed = true,
                "s" => strip = true,
                "v:off" | "d" | "q" | "a" | "u" | "e:on" | "e" => {}
                _ => return Err(self.error(format!("gonda doesn't know `cmd /{word}`"))),
            }
            rest = after.trim_start_matches(is_delimiter);
        };
        let line = if strip { stripped(line) } else { self.line_of_child(line) };
        let expanded = expand::percent(&line, self, false);
        let node = Reader::new(&expanded, &mut || None).line().map_err(|message| self.mistake(message))?;
        self.level = 0;
        self.apart(&node, streams, delayed)?;
        Ok(Flow::Next(self.level == 0))
    }

    /// What `cmd /c` runs of a line that begins with a quote: the first and the last quote go, but for two quotes, and no
    /// more, around the name of a program with a blank in it.
    pub(crate) fn line_of_child(&self, line: &str) -> String {
        let special = |c: char| matches!(c, '&' | '<' | '>' | '(' | ')' | '@' | '^' | '|');
        let name = line.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let is_name = name.is_some_and(|(name, rest)| {
            !rest.contains('"') && !line.contains(special) && name.contains(' ') && self.find_program(name).is_some()
        });
        if is_name { line.to_owned() } else { stripped(line) }
    }
}

/// Without a first quote and the last one.
fn stripped(line: &str) -> String {
    let Some(inner) = line.strip_prefix('"') else { return line.to_owned() };
    match inner.rfind('"') {
        Some(last) => format!("{}{}", &inner[..last], &inner[last + 1..]),
        None => inner.to_owned(),
    }
}

pub(crate) fn not_recognized(name: &str) -> String {
    format!("'{name}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n")
}

/// The folders of a PATH; quotes keep a `;` within them.
pub(crate) fn path_folders(path: &str) -> Vec<String> {
    let mut quoted = false;
    let folders = path.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    folders.map(|folder| folder.replace('"', "").trim().to_owned()).filter(|folder| !folder.is_empty()).collect()
}

/// With a quote in front, what stands between it and the last quote.
fn quoted_part(text: &str) -> &str {
    text.strip_prefix('"').map_or(text, |inner| inner.rfind('"').map_or(inner, |end| &inner[..end]))
}

/// The first token with its quotes, and what follows it. A program's name ends at `=`, `,` and `;` too.
pub(crate) fn first_token(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if !quoted && is_delimiter(c) => return text.split_at(at),
            _ => {}
        }
    }
    (text, "")
}
