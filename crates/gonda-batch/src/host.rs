//! What a script may ask of the machine, behind a trait. All paths are absolute Windows paths (`C:\a\b`); mapping them to
//! files, whatever their case, is the host's business.

use std::io;
use std::time::SystemTime;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as the folder has it.
    pub name: String,
    /// Whether it is a folder, or a link to one.
    pub folder: bool,
    /// Whether it is a link: nothing that walks a tree goes through it.
    pub link: bool,
    /// Bytes.
    pub size: u64,
    /// When it was last written, where the machine knows.
    pub modified: Option<SystemTime>,
}

/// What kind of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// A path.
    Symbolic,
    /// Another name of a file.
    Hard,
}

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Where what a program prints goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A stream of the script's own: the host passes it on itself, as it comes.
    Script(Stream),
    /// The end of a file, which is there.
    File(&'a str),
    /// Nowhere.
    Null,
    /// The interpreter, which gets it as it comes.
    Kept,
}

/// A program to start.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The program's path.
    pub program: &'a str,
    /// The rest of the command line as it stands; [`split_arguments`] takes it apart.
    pub arguments: &'a str,
    /// The current folder.
    pub folder: &'a str,
    /// All variables, sorted by name.
    pub variables: &'a [(String, String)],
    /// What it reads.
    pub input: Vec<u8>,
    /// Its standard output.
    pub output: Target<'a>,
    /// Its standard error.
    pub error: Target<'a>,
    /// Both are the same, and their order counts: what is kept comes as [`Stream::Output`].
    pub joined: bool,
}

/// Takes what a program prints; `false` where there is too much of it, and the program is to be ended.
pub type Keep<'a> = dyn FnMut(Stream, &[u8]) -> bool + Send + 'a;

/// Files, programs and streams.
pub trait Host {
    /// What lies at a path; `None` if there is nothing.
    fn stat(&self, path: &str) -> Option<Entry>;

    /// Whether a program lies at a path. What has no extension is a program only where the system has such.
    fn is_program(&self, path: &str) -> bool {
        self.stat(path).is_some_and(|entry| !entry.folder)
    }

    /// What lies in a folder, sorted by name; nothing if there is no such folder.
    fn list(&self, folder: &str) -> Vec<Entry>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// As the machine has them.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// Writes a file whole, or at its end; its folder must exist.
    ///
    /// # Errors
    /// As the machine has them.
    fn write(&mut self, path: &str, bytes: &[u8], append: bool) -> io::Result<()>;

    /// Makes one folder; the one above must exist.
    ///
    /// # Errors
    /// As the machine has them.
    fn make_folder(&mut self, path: &str) -> io::Result<()>;

    /// Removes a file, or a folder that is empty.
    ///
    /// # Errors
    /// As the machine has them.
    fn remove(&mut self, path: &str) -> io::Result<()>;

    /// Moves a file or folder.
    ///
    /// # Errors
    /// As the machine has them.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Copies a file with its mode and the time at which it was last written.
    ///
    /// # Errors
    /// As the machine has them.
    fn copy(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Makes a link. A symbolic one's target may be relative to it.
    ///
    /// # Errors
    /// As the machine has them.
    fn link(&mut self, kind: Link, link: &str, target: &str) -> io::Result<()>;

    /// Runs a program to its end, and hands what is [`Target::Kept`] to `keep`. The exit code.
    ///
    /// # Errors
    /// Where it can't be started; [`io::ErrorKind::Unsupported`] where such programs never can, which ends the script.
    fn run(&mut self, call: &Call<'_>, keep: &mut Keep<'_>) -> io::Result<i32>;

    /// Takes what the script prints.
    fn print(&mut self, stream: Stream, bytes: &[u8]);

    /// Whether the script is to end now; asked before each command.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// The script's standard input, all of it.
    fn input(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// Arguments as the C runtime of Windows takes a command line apart (*Microsoft Learn: Parsing C command-line
/// arguments*), without the program's name.
#[must_use]
pub fn split_arguments(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if chars.peek().is_none() {
            return arguments;
        }
        let mut argument = String::new();
        let mut quoted = false;
        while let Some(c) = chars.next_if(|c| quoted || !matches!(c, ' ' | '\t')) {
            match c {
                '\\' => {
                    let mut slashes = 1;
                    while chars.next_if_eq(&'\\').is_some() {
                        slashes += 1;
                    }
                    if chars.peek() == Some(&'"') {
                        argument.extend(std::iter::repeat_n('\\', slashes / 2));
                        if slashes % 2 == 1 {
                            chars.next();
                            argument.push('"');
                        }
                    } else {
                        argument.extend(std::iter::repeat_n('\\', slashes));
                    }
                }
                '"' if quoted && chars.next_if_eq(&'"').is_some() => argument.push('"'),
                '"' => quoted = !quoted,
                c => argument.push(c),
            }
        }
        arguments.push(argument);
    }
}

/// Arguments as the programs of MSYS2 and Cygwin take a command line apart (`build_argv` and `globify` of Cygwin's
/// `dcrt0.cc`): single quotes keep together, too. With each argument, whether a part of it was quoted: in what wasn't, such
/// a program expands wildcards itself.
#[must_use]
pub fn split_arguments_of_msys(line: &str) -> Vec<(String, bool)> {
    let mut arguments = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return arguments;
        }
        let (mut argument, mut quoted) = (String::new(), false);
        while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
            if !matches!(c, '"' | '\'') {
                argument.push(c);
                continue;
            }
            quoted = true;
            while let Some(inner) = chars.next() {
                // A path of Windows keeps its back slashes, also the one before the last quote.
                let of_windows = argument.as_bytes().get(1) == Some(&b':');
                match inner {
                    '\\' if c == '"' && !of_windows => {
                        let next = chars.next_if(|next| matches!(next, '"' | '\\'));
                        argument.push(next.unwrap_or(inner));
                    }
                    '"' if c == '"' && chars.next_if_eq(&'"').is_some() => argument.push('"'),
                    inner if inner == c => break,
                    inner => argument.push(inner),
                }
            }
        }
        arguments.push((argument, quoted));
    }
}
