//! Making one package: environments installed, script run, result packed. What to do was decided before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gonda_packager::{Artifact, Compression, Package};
use indexmap::IndexMap;
use rattler_conda_types::RepoDataRecord;

use super::attribution::Causes;
use super::group::Checkout;
use super::job::Job;
use super::{top_level, truth, windows};
use crate::environment::{self, Share};
use crate::files::{blocking, remove_all};
use crate::isolation::{BuildEnv, Room, RoomSpec, paths};
use crate::script::{self, ActivatedEnv, Attempts, Outside, Prepared};
use crate::settings::{GoCacheMode, Network};
use crate::solving::Solved;
use crate::source::git_report;
use crate::stage::{self, Stage};
use crate::{Error, Event, Kind, Phase, Result, crossing, index, info, lock, modules};

/// Members of an archive can't be older than this: 1980-01-01, where zip's calendar begins.
const EARLIEST: i64 = 315_532_800;

impl Job {
    /// Installs, runs and packs. The work folder is the group's again afterwards.
    pub(super) async fn build(&mut self, checkout: &mut Checkout, solved: &Solved) -> Result<Artifact> {
        self.phase(Phase::Install);
        let room = self.move_in(checkout, solved).await?;
        let result = self.run_and_pack(checkout, solved, &room).await;
        give_back(&room, &checkout.work)?;
        match result {
            Ok(artifact) => {
                if self.common.request.settings.keep_work {
                    checkout.workspace.keep();
                    self.common.events.note(&self.name, format!("kept `{}`", room.disk().dir.display()));
                    let mut room = room;
                    room.keep();
                } else {
                    room.close()?;
                }
                Ok(artifact)
            }
            Err(error) => {
                let mut room = room;
                if error.kind == Kind::Build {
                    room.keep();
                }
                Err(error)
            }
        }
    }

    /// A room with environments, source, recipe and modules in place.
    pub(super) async fn move_in(&mut self, checkout: &Checkout, solved: &Solved) -> Result<Room> {
        let settings = &self.common.request.settings;
        let mode = self.common.session.mode();
        let merged = self.output.build.merge_build_host;
        let (build_platform, target) = (self.output.build_platform, self.output.target_platform);
        let mut spec = RoomSpec::new(checkout.workspace.path().join(format!("r{}", self.index)));
        spec.merged = merged;
        spec.processes = settings.limits.processes;
        if mode.has_fixed_paths() && !merged {
            let seen = Path::new(paths::ROOT).join(paths::BUILD_ENV);
            let shared =
                environment::shared(&self.common.channels, &solved.build, build_platform, &seen, &settings.cache_root)
                    .await?;
            spec.modules = self.modules(checkout, solved, Some(&shared)).await?;
            spec.build_env = BuildEnv::Shared(shared);
        } else {
            spec.modules = self.modules(checkout, solved, None).await?;
        }
        spec.binds = script::passed_files(&self.script_settings(checkout, solved));
        let crossing = self.crossing(checkout, solved)?;
        crossing::equip(&mut spec, mode, &crossing);
        // What Go asks for a shared build cache is gonda itself.
        spec.own |= matches!(settings.go_cache, GoCacheMode::Store(_));
        // On Windows a compiler is a command, not a program of gonda's own.
        let zig = solved.zig.as_ref().filter(|_| cfg!(unix));
        let tools = zig.map(|_| checkout.workspace.path().join(format!("zig{}", self.index)));
        spec.tools.clone_from(&tools);
        let modules = spec.modules.clone();
        let mut room = Room::prepare(spec, mode)?;
        let (disk, seen) = (room.disk(), room.paths());
        if let (Some(zig), Some(tools)) = (zig, &tools) {
            zig.write_tools(tools, &seen.build_prefix)?;
        }

        if merged {
            let (at, seen_as) = (&disk.prefix, &seen.prefix);
            environment::install(&self.common.channels, &solved.build, build_platform, at, seen_as, Share::Private)
                .await?;
        } else {
            if !mode.has_fixed_paths() {
                let (at, seen_as) = (&disk.build_prefix, &seen.build_prefix);
                environment::install(&self.common.channels, &solved.build, build_platform, at, seen_as, Share::Private)
                    .await?;
            }
            if !solved.host.is_empty() {
                let (at, seen_as) = (&disk.prefix, &seen.prefix);
                environment::install(&self.common.channels, &solved.host, target, at, seen_as, Share::Private).await?;
            }
        }
        crossing::furnish(&room, &crossing)?;
        let needs = self.provide_go_cache(checkout, solved, &modules, &mut room).await?;
        let disk = room.disk();
        remove_all(&disk.src_dir)?;
        fs_err::rename(&checkout.work, &disk.src_dir)?;
        let skip = std::path::absolute(&settings.output_dir)?;
        crate::source::copy_tree(&self.common.request.located.recipe_dir, &disk.recipe_dir, &skip)?;
        // A lock is about the recipe, and no part of it: with it or without, the package is the same.
        let lock = disk.recipe_dir.join(lock::FILE_NAME);
        if lock.is_file() {
            fs_err::remove_file(lock)?;
        }
        self.needs = needs;
        Ok(room)
    }

    /// What host tools have to know, should this be a cross build.
    fn crossing(&self, checkout: &Checkout, solved: &Solved) -> Result<crossing::Facts<'_>> {
        let found = crate::modules::find_main_modules(&checkout.work, &checkout.work, &checkout.placed.folders)?;
        Ok(crossing::Facts {
            closed: self.network().0 != Network::On,
            own_go_cache: self.common.request.settings.go_cache == GoCacheMode::Private,
            target: self.output.target_platform,
            build: self.output.build_platform,
            package: &self.output.name,
            go: super::modules::has_go(solved),
            modules: found.paths(),
        })
    }

    async fn run_and_pack(&mut self, checkout: &Checkout, solved: &Solved, room: &Room) -> Result<Artifact> {
        let prior = top_level::lay_in(&self.output, checkout.top.as_deref(), &room.disk().prefix)?;
        self.phase(Phase::Build);
        // The output of the recipe's own name takes what the top level installed; its script has run then.
        if checkout.top.is_none() || self.output.build.top_level.is_some() {
            self.run_scripts(checkout, solved, room).await?;
        }
        self.phase(Phase::Pack);
        self.pack(checkout, solved, room, &prior).await
    }

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
        if let Some(url) = network.url() {
            crossing::answer_at(room, &url)?;
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
                if let Some(error) =
                    script::contradiction(&exit.last_lines, &script_settings, target, &disk.build_prefix)
                {
                    return Err(error);
                }
                let message = format!("the build script of `{}` failed with {}", self.output.name, exit.describe());
                let why = match crossing::explain(&exit.last_lines, self.output.target_platform) {
                    Some(why) => Some(why),
                    None => self.attribute(&causes, checkout, solved, (&disk.src_dir, &disk.build_prefix)).await,
                };
                let help = format!(
                    "{}the whole log is `{}`; the job's folders stay in `{}` until the next build",
                    why.map(|why| format!("{why}; ")).unwrap_or_default(),
                    log.display(),
                    disk.dir.display()
                );
                let help = match network.help(&attempts) {
                    Some(reason) => format!("{reason}; {help}"),
                    None => help,
                };
                return Err(Error::new(Kind::Build, message).because(LastLines(exit.last_lines)).help(help));
            }
        }
        modules::remember_answers(
            &self.common.request.settings.cache_root,
            &self.common.request.located.recipe,
            &network.answers(),
        )
    }

    /// Packs what the scripts added to the host prefix, reads it back, and enters it into the output folder's index.
    async fn pack(
        &self,
        checkout: &Checkout,
        solved: &Solved,
        room: &Room,
        prior: &BTreeSet<String>,
    ) -> Result<Artifact> {
        let (disk, seen) = (room.disk(), room.paths());
        let settings = &self.common.request.settings;
        let seen_prefix = utf8(&seen.prefix)?;
        let fixed_prefix = utf8(&paths::host_prefix())?;
        let foreign: Vec<String> = if seen.fixed {
            Vec::new()
        } else {
            vec![utf8(&seen.src_dir)?, utf8(&seen.build_prefix)?, utf8(&seen.home)?]
        };
        let staged = stage::stage(&Stage {
            output: &self.output,
            prefix: &disk.prefix,
            seen_prefix: &seen_prefix,
            fixed_prefix: &fixed_prefix,
            also_seen: &windows::also_seen(&self.output, &seen_prefix),
            prior,
            added: None,
            foreign: &foreign,
            recipe_dir: &disk.recipe_dir,
        })?;
        let untrue = truth::Check {
            output: &self.output,
            build: &solved.build,
            prefix: &disk.prefix,
            known: &checkout.known,
            strict: settings.strict_metadata,
        }
        .run(&staged.entries)?;
        let said = staged.remarks.iter().map(ToString::to_string).chain(staged.warnings);
        let said = said.chain(untrue.iter().map(truth::as_warning));
        for warning in said {
            self.common.events.warn(&self.name, warning);
        }
        let git = match checkout.placed.git {
            Some(ref facts) => git_report(&disk.src_dir.join(relative(&facts.top, &checkout.work)))?,
            None => String::new(),
        };
        let places: Vec<(String, PathBuf)> = [
            (&seen.src_dir, &disk.src_dir),
            (&seen.prefix, &disk.prefix),
            (&seen.recipe_dir, &disk.recipe_dir),
            (&seen.build_prefix, &disk.build_prefix),
        ]
        .into_iter()
        .map(|(seen, disk)| Ok((utf8(seen)?, disk.clone())))
        .collect::<Result<_>>()?;
        let hidden: Vec<(String, String)> = vec![
            (utf8(&disk.dir)?, paths::ROOT.to_owned()),
            (utf8(&self.common.request.located.recipe_dir)?, format!("{}/{}", paths::ROOT, paths::RECIPE)),
        ];
        let info = info::info(&info::Facts {
            output: &self.output,
            channels: &self.common.channels.names(),
            recipe_dir: &disk.recipe_dir,
            recipe_file: self.recipe_file(),
            work_dir: &disk.src_dir,
            prefix: &disk.prefix,
            build_prefix: &disk.build_prefix,
            places: &places,
            hidden: &hidden,
            timestamp: self.timestamp(checkout),
            git: &git,
            recipe_files: &[self.build_record(checkout, solved)?],
            not_recipe: &[],
        })?;
        let mut entries = staged.entries;
        entries.extend(info.payload);
        let folder = settings.output_dir.join(self.output.subdir());
        let stem = format!("{}-{}-{}", self.output.name, self.output.version, self.output.build_string);
        let compression = settings.compression_level.map_or(Compression::DEFAULT, Compression::of_level);
        let threads = u32::try_from(self.common.cpus).unwrap_or(1);
        let timestamp = self.timestamp(checkout);
        let (output_dir, events) = (settings.output_dir.clone(), self.common.events.clone());
        let artifact = blocking(move || {
            let package =
                Package { stem: &stem, entries: &entries, info: &info.files, timestamp, compression, threads };
            let artifact = gonda_packager::write(&folder, &package)?;
            index::add_to_index(&output_dir, &artifact.path, &events)?;
            Ok(artifact)
        })
        .await?;
        self.common.channels.forget(&settings.output_dir);
        Ok(artifact)
    }

    /// The recipe file's name.
    pub(super) fn recipe_file(&self) -> &str {
        self.common.request.located.recipe.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// `SOURCE_DATE_EPOCH` of the caller, else the newest time of the sources, else 1980-01-01. Never the clock.
    pub(super) fn timestamp(&self, checkout: &Checkout) -> i64 {
        let given = self.common.request.settings.caller_environment.get("SOURCE_DATE_EPOCH");
        let given = given.and_then(|text| text.trim().parse::<i64>().ok());
        given.or(checkout.placed.newest).unwrap_or(EARLIEST).max(EARLIEST)
    }

    /// The environments that a script has activated, the last on top.
    pub(super) fn activated(&self, solved: &Solved, room: &Room) -> Result<Vec<ActivatedEnv>> {
        let (disk, seen) = (room.disk(), room.paths());
        let mut activated = Vec::new();
        if !solved.host.is_empty() && !self.output.build.merge_build_host {
            activated.push(activate(&disk.prefix, &seen.prefix)?);
        }
        activated.push(activate(&disk.build_prefix, &seen.build_prefix)?);
        Ok(activated)
    }

    pub(super) fn script_settings(&self, checkout: &Checkout, solved: &Solved) -> script::Settings {
        let settings = &self.common.request.settings;
        let go_environment: IndexMap<String, String> =
            settings.go.environment().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        script::Settings {
            cpu_count: self.common.cpus,
            source_date_epoch: self.timestamp(checkout),
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
            .map(|(_, folder)| src_dir.join(relative(folder, &checkout.work)))
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

/// The work folder goes back to the group, for the next output or for whoever looks at a failed job.
pub(super) fn give_back(room: &Room, work: &Path) -> Result<()> {
    if room.disk().src_dir.is_dir() {
        fs_err::rename(&room.disk().src_dir, work)?;
    }
    Ok(())
}

fn activate(disk: &Path, seen: &Path) -> Result<ActivatedEnv> {
    let activation = environment::activation(disk, seen)?;
    Ok(ActivatedEnv {
        prefix: seen.to_path_buf(),
        variables: activation.variables,
        scripts: if cfg!(windows) { activation.bat } else { activation.sh },
    })
}

/// Major and minor version of the `go` in a solved environment.
fn go_version(records: &[RepoDataRecord]) -> Option<(u64, u64)> {
    environment::go_of(records)?.package_record.version.version().as_major_minor()
}

/// Whether the toolchain for the target, as solved, is the one with cgo.
fn flavour(records: &[RepoDataRecord], target: rattler_conda_types::Subdir) -> Option<bool> {
    let has = |name: &str| records.iter().any(|record| record.package_record.name.as_normalized() == name);
    match (has(&format!("go-cgo_{target}")), has(&format!("go-nocgo_{target}"))) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

fn relative<'a>(path: &'a Path, base: &Path) -> &'a Path {
    path.strip_prefix(base).unwrap_or(path)
}

fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, format!("the folder `{}` has a name that is not UTF-8", path.display()))
            .help("choose another folder")
    })
}

fn append(log: &Path, line: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs_err::OpenOptions::new().append(true).create(true).open(log)?;
    writeln!(file, "{line}")?;
    Ok(())
}
