//! What people and programs see: progress, warnings, errors, the summary table. stdout is data, stderr is talk.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gonda_driver::{Error, Event, Events, Kind, Phase};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::args::{Format, Global};
use crate::config::Surroundings;

/// How this run talks.
#[derive(Clone)]
pub(crate) struct Reporter {
    format: Format,
    quiet: bool,
    verbose: bool,
    colour: bool,
    github: bool,
    bars: Option<Arc<Bars>>,
}

/// A line for each running job, on a terminal.
struct Bars {
    all: MultiProgress,
    jobs: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Reporter {
    pub(crate) fn new(global: &Global, surroundings: &Surroundings) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let dumb = surroundings.var("TERM").is_none_or(|term| term == "dumb");
        let live = terminal && !dumb && !global.quiet && !global.verbose && global.format == Format::Text;
        Self {
            format: global.format,
            quiet: global.quiet,
            verbose: global.verbose,
            colour: terminal && surroundings.var("NO_COLOR").is_none(),
            github: surroundings.var("GITHUB_ACTIONS") == Some("true"),
            bars: live.then(|| Arc::new(Bars { all: MultiProgress::new(), jobs: Mutex::default() })),
        }
    }

    /// The same for a command whose result is one document on stdout: what happens on the way is told on stderr alone.
    pub(crate) fn beside_a_document(&self) -> Self {
        Self { format: Format::Text, ..self.clone() }
    }

    /// The sink for the driver's events.
    pub(crate) fn events(&self) -> Events {
        let this = self.clone();
        Events::new(move |event| this.event(&event))
    }

    fn event(&self, event: &Event) {
        if self.format == Format::Json {
            if let Ok(line) = serde_json::to_string(event) {
                self.data(&line);
            }
            return;
        }
        match event {
            Event::Phase { job, phase } => self.phase(job, *phase),
            Event::Note { job, text } if !self.quiet => self.talk(&format!("{}{text}", prefix(job))),
            Event::Warning { job, text } => {
                self.talk(&format!("{}{} {text}", prefix(job), self.paint("33", "warning:")));
            }
            Event::Output { job, line } if self.verbose => self.talk(&format!("{}{line}", prefix(job))),
            Event::Finished { job, elapsed, ok, .. } => {
                if let Some(bars) = &self.bars
                    && let Some(bar) = bars.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(job)
                {
                    bar.finish_and_clear();
                }
                if !self.quiet && !job.is_empty() {
                    let word = if *ok { self.paint("32", "done") } else { self.paint("31", "failed") };
                    self.talk(&format!("{}{word} in {}", prefix(job), seconds(*elapsed)));
                }
            }
            Event::Note { .. } | Event::Output { .. } => {}
        }
    }

    fn phase(&self, job: &str, phase: Phase) {
        let word = phase_word(phase);
        if let Some(bars) = &self.bars {
            let mut jobs = bars.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let bar = jobs.entry(job.to_owned()).or_insert_with(|| {
                let bar = bars.all.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {msg}  {elapsed}") {
                    bar.set_style(style);
                }
                bar.set_prefix(job.to_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            bar.set_message(word);
        } else if !self.quiet {
            self.talk(&format!("{}{word}", prefix(job)));
        }
    }

    /// A line for people.
    pub(crate) fn talk(&self, line: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.all.println(line);
            }
            // Nobody is there to read: not a reason to fail.
            None => {
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            }
        }
    }

    /// A line for programs.
    pub(crate) fn data(&self, line: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }

    /// Shows an error and all that belong to it.
    pub(crate) fn error(&self, error: &Error) {
        if self.format == Format::Json {
            self.data(&json!({ "event": "error", "error": error_value(error) }).to_string());
            return;
        }
        for one in std::iter::once(error).chain(&error.others) {
            let text = render_error(one, |code, text| self.paint(code, text));
            if self.github {
                self.talk(&format!("::error::{}", one.message.replace('\n', "%0A")));
            }
            self.talk(text.trim_end());
        }
    }

    /// A job's whole log, folded, where GitHub shows what is said.
    pub(crate) fn log_group(&self, title: &str, log: &Path) {
        if !self.github || self.format == Format::Json {
            return;
        }
        let Ok(text) = std::fs::read(log) else { return };
        // What a script printed must not be taken for a command to the runner.
        let token = format!("gonda-{:x}", RandomState::new().hash_one(title));
        self.talk(&format!("::group::{title}\n::stop-commands::{token}"));
        self.talk(String::from_utf8_lossy(&text).trim_end());
        self.talk(&format!("::{token}::\n::endgroup::"));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[1;{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn prefix(job: &str) -> String {
    if job.is_empty() { String::new() } else { format!("{job}: ") }
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Fetch => "fetching sources",
        Phase::Solve => "solving environments",
        Phase::Install => "installing environments",
        Phase::Build => "building",
        Phase::Pack => "packing",
        Phase::Test => "testing",
    }
}

/// Seconds with one digit.
pub(crate) fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}

/// An error as text: message, place with the line itself, causes, help.
fn render_error(error: &Error, paint: impl Fn(&str, &str) -> String) -> String {
    let mut text = format!("{} {}\n", paint("31", "error:"), error.message);
    if let Some(place) = &error.place {
        let mut at = place.file.display().to_string();
        for number in [place.line, place.column].into_iter().flatten() {
            at.push_str(&format!(":{number}"));
        }
        text.push_str(&format!("  --> {at}\n"));
        if let (Some(line), Some(source)) = (place.line, &place.text) {
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            text.push_str(&format!(" {margin} |\n {number} | {source}\n"));
            if let Some(column) = place.column {
                text.push_str(&format!(" {margin} | {}^\n", " ".repeat(column.saturating_sub(1))));
            }
        }
    }
    let mut cause = error.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
    let mut last = error.message.clone();
    while let Some(error) = cause {
        let message = error.to_string();
        // Wrappers that only repeat their source would say everything twice.
        if !last.ends_with(&message) {
            text.push_str(&format!("  caused by: {}\n", message.trim_end().replace('\n', "\n    ")));
        }
        last = message;
        cause = error.source();
    }
    if let Some(help) = &error.help {
        text.push_str(&format!("{} {help}\n", paint("36", "help:")));
    }
    text
}

/// An error as JSON: `code`, `message`, `help`, `cause[]`, `where{file,line,column}`.
pub(crate) fn error_value(error: &Error) -> Value {
    let mut causes = Vec::new();
    let mut cause = error.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    json!({
        "code": error.kind.exit_code(),
        "message": error.message,
        "help": error.help,
        "cause": causes,
        "where": error.place.as_ref().map(|place| json!({
            "file": place.file, "line": place.line, "column": place.column,
        })),
        "others": error.others.iter().map(error_value).collect::<Vec<_>>(),
    })
}

/// A table with left-aligned columns, two blanks apart.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let text: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// Bytes in a unit that reads well.
pub(crate) fn size(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}

/// JSON as people read it.
pub(crate) fn pretty(values: &impl serde::Serialize) -> gonda_driver::Result<String> {
    serde_json::to_string_pretty(values)
        .map_err(|error| Error::new(Kind::Bug, "the result can't be written as JSON").because(error))
}

#[cfg(test)]
mod tests {
    use gonda_driver::{Kind, Where};

    use super::*;

    #[test]
    fn errors_show_place_cause_and_help() {
        let mut error = Error::new(Kind::Usage, "unknown function `compilr`")
            .because(std::io::Error::other("inner"))
            .help("did you mean `compiler`?");
        error.place = Some(Where {
            file: "meta.yaml".into(),
            line: Some(12),
            column: Some(5),
            text: Some("  - {{ compilr('c') }}".to_owned()),
        });
        let text = render_error(&error, |_, text| text.to_owned());
        assert_eq!(
            text,
            "error: unknown function `compilr`\n  --> meta.yaml:12:5\n    |\n 12 |   - {{ compilr('c') }}\n    |     ^\n  \
             caused by: inner\nhelp: did you mean `compiler`?\n"
        );
    }

    #[test]
    fn tables_align() {
        let text =
            table(&["name", "n"], &[vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "2".to_owned()]]);
        assert_eq!(text, "name    n\na       1\nlonger  2");
    }
}
