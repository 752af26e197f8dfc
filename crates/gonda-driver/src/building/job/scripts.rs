//! An output's scripts are run, in a room that is ready, into the job's log.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use rattler_conda_types::{RepoDataRecord, Subdir};

use super::Job;
use super::attribution::Causes;
use crate::building::checkout::Checkout;
use crate::isolation::{Room, paths};
use crate::process::Exit;
use crate::script::{self, Attempts, Outside, Prepared};
use crate::settings::Network;
use crate::solving::Solved;
use crate::{Error, Event, Kind, Result, crossing, environment, modules};

impl Job {
    /// Runs the output's scripts in their order, into the job's log.
    pub(super) async fn run_scripts(&mut self, checkout: &Checkout, solved: &Solved, room: &Room) -> Result<()> {
        let (disk, seen) = (room.disk(), room.paths());
        let log = self.start_log()?;
        let activated = self.activated(solved, room)?;
        // Held until the last script has ended.
        let mut network = self.open_network(solved, &disk.build_prefix).await?;
        if let (true, Some(proxy)) = (self.network().0 != Network::On, network.go_proxy()) {
            crossing::hold_to_proxy(room, &proxy)?;
        }
        if let Some(address) = network.address() {
            crossing::answer_at(room, address)?;
        }
        let script_settings = script::Settings {
            outside: Outside::look(seen),
            git_folders: self.git_folders(checkout, &seen.src_dir),
            batch: seen.own.as_ref().map(|own| own.join(paths::PROGRAM)).unwrap_or_default(),
            go_proxy: network.go_proxy(),
            go_cache_program: network.go_cache_program(seen),
            ..self.script_settings(checkout, solved)
        };
        let rendering = &self.common.selection.rendering;
        let index = self.index;
        let prepared: Vec<Prepared> = script::prepare(&script::Job {
            output: &self.output,
            paths: seen,
            recipe_dir: &disk.recipe_dir,
            activated: &activated,
            settings: &script_settings,
            render: &|text, environment| Ok(rendering.render_script(index, text, environment)?),
        })?;
        let system = script::programs_of_the_system(disk, self.output.target_platform.is_windows());
        for line in system.iter().map(script::SystemProgram::describe).chain(network.note.clone()) {
            append(&log, &line)?;
        }
        if prepared.is_empty() {
            self.common.events.note(&self.name, "the recipe has no build script");
        }
        let mut journal = crossing::journal(room);
        for script in &prepared {
            for note in &script.environment.notes {
                append(&log, note)?;
            }
            script.write(&disk.src_dir)?;
            let (mut attempts, mut causes) = (Attempts::default(), Causes::default());
            let tell = |line: &str| {
                self.common.events.send(Event::Output { job: self.name.clone(), line: line.to_owned() });
            };
            let tell_news = |journal: &mut Option<crossing::Journal>| {
                for line in journal.iter_mut().flat_map(crossing::Journal::news) {
                    tell(&line);
                    // It is told, at least.
                    let _ = append(&log, &line);
                }
            };
            let on_line = |line: &str| {
                attempts.read(line);
                causes.read(line);
                tell_news(&mut journal);
                tell(line);
            };
            let exit = tokio::select! {
                exit = room.run(script.command(seen), &network.reach, on_line, Some(&log)) => exit?,
                never = self.answer_go(&mut network.asked, checkout, solved, room) => match never {},
            };
            tell_news(&mut journal);
            if let Some(served) = network.served() {
                self.served = served;
            }
            if !exit.success() {
                let target = self.output.target_platform;
                let lines = &exit.last_lines;
                if let Some(error) = script::contradiction(lines, &script_settings, target, &disk.build_prefix) {
                    return Err(error);
                }
                let why = match crossing::explain(lines, target) {
                    Some(why) => Some(why),
                    None => self.attribute(&causes, checkout, solved, (&disk.src_dir, &disk.build_prefix)).await,
                };
                let reasons = [network.help(&attempts), why].into_iter().flatten();
                return Err(self.script_failed(exit, reasons, (&log, &disk.dir)));
            }
        }
        modules::remember_answers(
            &self.common.request.settings.cache_root,
            &self.common.request.located.recipe,
            &network.answers(),
        )
    }

    /// The error of a script that failed, with what may help: known reasons, its log, its folders.
    fn script_failed(
        &self,
        exit: Exit,
        reasons: impl Iterator<Item = String>,
        (log, folders): (&Path, &Path),
    ) -> Error {
        let message = format!("the build script of `{}` failed with {}", self.output.name, exit.describe());
        let places = format!(
            "the whole log is `{}`; the job's folders stay in `{}` until the next build",
            log.display(),
            folders.display()
        );
        let help = reasons.chain([places]).collect::<Vec<_>>().join("; ");
        Error::new(Kind::Build, message).because(LastLines(exit.last_lines)).help(help)
    }

    pub(super) fn script_settings(&self, checkout: &Checkout, solved: &Solved) -> script::Settings {
        let settings = &self.common.request.settings;
        let go_environment: IndexMap<String, String> =
            settings.go.environment().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        script::Settings {
            cpu_count: self.common.cpus,
            source_date_epoch: self.timestamp(&checkout.facts),
            go_environment,
            go_version: go_version(&solved.build),
            zig: solved.zig.clone().map(|zig| (zig, !solved.host.is_empty())),
            cgo: flavour(&solved.build, self.output.target_platform),
            caller: settings.caller_environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            source_variables: self.source_variables(checkout),
            open_network: self.network().0 == Network::On,
            ..script::Settings::default()
        }
    }

    /// `GIT_DESCRIBE_TAG` and the like, which speak of the first source (conda-build's `environ.meta_vars`).
    fn source_variables(&self, checkout: &Checkout) -> IndexMap<String, String> {
        let first = self.output.sources.first();
        let of_git = first.is_some_and(|source| matches!(source.kind, gonda_recipe::SourceKind::Git { .. }));
        let facts = checkout.placed.git.iter().filter(|_| of_git);
        facts.flat_map(|git| git.info.variables()).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Git sources as the script sees them.
    fn git_folders(&self, checkout: &Checkout, src_dir: &Path) -> Vec<PathBuf> {
        let kinds = self.output.sources.iter().map(|source| &source.kind);
        let of_git = kinds.zip(&checkout.placed.folders);
        of_git
            .filter(|(kind, _)| matches!(kind, gonda_recipe::SourceKind::Git { .. }))
            .map(|(_, folder)| src_dir.join(checkout.within(folder)))
            .collect()
    }

    /// `<output-dir>/logs/<package>_<target>.log`, empty.
    fn start_log(&mut self) -> Result<PathBuf> {
        let folder = self.common.request.settings.output_dir.join("logs");
        fs_err::create_dir_all(&folder)?;
        let stem = format!("{}-{}-{}", self.output.name, self.output.version, self.output.build_string);
        let log = folder.join(format!("{stem}_{}.log", self.output.target_platform));
        fs_err::write(&log, "")?;
        self.log = Some(log.clone());
        Ok(log)
    }
}

/// The end of a script's output, as the cause of its failure.
#[derive(Debug)]
pub(super) struct LastLines(pub(super) Vec<String>);

impl std::fmt::Display for LastLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the script's last lines:")?;
        for line in &self.0 {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LastLines {}

/// Major and minor version of the `go` in a solved environment.
fn go_version(records: &[RepoDataRecord]) -> Option<(u64, u64)> {
    environment::go_of(records)?.package_record.version.version().as_major_minor()
}

/// Whether the toolchain for the target, as solved, is the one with cgo.
fn flavour(records: &[RepoDataRecord], target: Subdir) -> Option<bool> {
    let has = |name: &str| records.iter().any(|record| record.package_record.name.as_normalized() == name);
    match (has(&format!("go-cgo_{target}")), has(&format!("go-nocgo_{target}"))) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

fn append(log: &Path, line: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs_err::OpenOptions::new().append(true).create(true).open(log)?;
    writeln!(file, "{line}")?;
    Ok(())
}
