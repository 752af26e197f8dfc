//! Standard streams of commands, and their redirection.

use std::cell::RefCell;
use std::rc::Rc;

use crate::host::{Stream, Target};
use crate::run::Machine;
use crate::syntax::{Direction, Redirection};
use crate::{Error, paths};

/// Where bytes go.
#[derive(Clone)]
pub(crate) enum Sink {
    Host(Stream),
    Null,
    File(String),
    Buffer(Rc<RefCell<Vec<u8>>>),
}

impl Sink {
    pub(crate) fn target(&self) -> Target<'_> {
        match self {
            Self::Host(stream) => Target::Script(*stream),
            Self::Null => Target::Null,
            Self::File(path) => Target::File(path),
            Self::Buffer(_) => Target::Kept,
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host(one), Self::Host(other)) => one == other,
            (Self::Null, Self::Null) => true,
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Buffer(one), Self::Buffer(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// Where bytes come from: what is left of them.
pub(crate) type Source = Option<Rc<RefCell<Vec<u8>>>>;

/// Standard streams of a command.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) error: Sink,
}

impl Streams {
    /// All that is left to read.
    pub(crate) fn take_input(&self) -> Vec<u8> {
        self.input.as_ref().map(|input| std::mem::take(&mut *input.borrow_mut())).unwrap_or_default()
    }
}

impl Machine<'_> {
    pub(crate) fn redirect(
        &mut self,
        redirections: &[Redirection],
        streams: &Streams,
    ) -> Result<Option<Streams>, Error> {
        let mut streams = streams.clone();
        for redirection in redirections {
            let sink = match &redirection.to {
                Direction::Same(handle) => match handle {
                    1 => streams.output.clone(),
                    2 => streams.error.clone(),
                    _ => Sink::Null,
                },
                Direction::From(target) => {
                    let target = self.text(target);
                    if is_nul(&target) || is_console(&target) {
                        streams.input = Some(Rc::default());
                        continue;
                    }
                    match self.host.read(&paths::absolute(&target, &self.folder)) {
                        Ok(bytes) => streams.input = Some(Rc::new(RefCell::new(bytes))),
                        Err(_) => {
                            self.put(&streams.error, b"The system cannot find the file specified.\r\n");
                            return Ok(None);
                        }
                    }
                    continue;
                }
                Direction::To(target) | Direction::After(target) => {
                    let target = self.text(target);
                    if is_nul(&target) {
                        Sink::Null
                    } else if is_console(&target) {
                        // Whoever watches sees it, whatever standard output is.
                        Sink::Host(Stream::Error)
                    } else {
                        let path = paths::absolute(&target, &self.folder);
                        let append = matches!(redirection.to, Direction::After(_));
                        if self.host.write(&path, &[], append).is_err() {
                            self.put(&streams.error, b"The system cannot find the path specified.\r\n");
                            return Ok(None);
                        }
                        Sink::File(path)
                    }
                }
            };
            match redirection.handle {
                1 => streams.output = sink,
                2 => streams.error = sink,
                // Handles beyond these exist in cmd, but nothing reads them.
                _ => {}
            }
        }
        Ok(Some(streams))
    }

    pub(crate) fn put(&mut self, sink: &Sink, bytes: &[u8]) {
        match sink {
            Sink::Host(stream) => self.host.print(*stream, bytes),
            Sink::Null => {}
            // The file could be opened: what fails now is the disk's, and shows in what comes after.
            Sink::File(path) => drop(self.host.write(path, bytes, true)),
            Sink::Buffer(buffer) => buffer.borrow_mut().extend_from_slice(bytes),
        }
    }
}

pub(crate) fn is_nul(path: &str) -> bool {
    let path = path.trim_matches('"');
    path.eq_ignore_ascii_case("nul") || path.eq_ignore_ascii_case("nul:") || path.to_lowercase().ends_with("\\nul")
}

/// The device of what a person sees and types: nobody types here.
fn is_console(path: &str) -> bool {
    let path = path.trim_matches('"').trim_end_matches(':');
    ["con", "conin$", "conout$"].iter().any(|name| path.eq_ignore_ascii_case(name))
}
