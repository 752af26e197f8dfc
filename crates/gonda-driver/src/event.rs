//! What happens, as data: the terminal, JSON output and tests read the same closed set.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// Names a job in events and logs: `<package name>-<version>-<build string> <target platform>`.
pub type Job = String;

/// The steps of a job, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Sources.
    Fetch,
    /// Environments are chosen.
    Solve,
    /// Environments are made.
    Install,
    /// The script runs.
    Build,
    /// The archive is written and read back.
    Pack,
    /// The package's own tests run.
    Test,
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A job enters a phase.
    Phase {
        /// The job.
        job: Job,
        /// The phase.
        phase: Phase,
    },
    /// A remark that belongs in the job's log and is of interest to who watches.
    Note {
        /// The job, or empty.
        job: Job,
        /// The text.
        text: String,
    },
    /// Something is not as it should be, but the build goes on.
    Warning {
        /// The job, or empty.
        job: Job,
        /// The text.
        text: String,
    },
    /// A line of a script's output.
    Output {
        /// The job.
        job: Job,
        /// The line, without its end.
        line: String,
    },
    /// A job ended.
    Finished {
        /// The job.
        job: Job,
        /// The package, if there is one.
        package: Option<PathBuf>,
        /// Wall time.
        elapsed: Duration,
        /// Whether it succeeded.
        ok: bool,
    },
}

/// Where events go.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Sends events to a function.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops all events.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Tells of an event.
    pub fn send(&self, event: Event) {
        (self.0)(event);
    }

    /// Tells of a warning.
    pub fn warn(&self, job: &str, text: impl Into<String>) {
        self.send(Event::Warning { job: job.to_owned(), text: text.into() });
    }

    /// Tells of a remark.
    pub fn note(&self, job: &str, text: impl Into<String>) {
        self.send(Event::Note { job: job.to_owned(), text: text.into() });
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}
