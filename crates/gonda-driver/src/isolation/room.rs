//! Making a room, running commands in it, and taking it down.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::spec::{Bind, BuildEnv, Format, GoCache, Modules, RoomSpec};
use super::{Mode, Reach, go_cache, io_error, make, paths};
use crate::files::remove_all;
use crate::process::{self, Command, Exit};
use crate::{Error, Kind, Result, host};

/// Paths as the script sees them: for the environment, for installing and for patching prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPaths {
    /// `BUILD_PREFIX`.
    pub build_prefix: PathBuf,
    /// `PREFIX`: the host prefix.
    pub prefix: PathBuf,
    /// `SRC_DIR`.
    pub src_dir: PathBuf,
    /// `HOME`.
    pub home: PathBuf,
    /// `TMPDIR`.
    pub tmp: PathBuf,
    /// `RECIPE_DIR`: the job's own, writable copy.
    pub recipe_dir: PathBuf,
    /// `GOCACHE`.
    pub go_cache: PathBuf,
    /// Programs of gonda's own on PATH.
    pub tools: Option<PathBuf>,
    /// A folder for gonda's own work in the room, `gonda` itself in it, where [`RoomSpec::own`] asks for it. The script
    /// can write to it, but for `gonda`.
    pub own: Option<PathBuf>,
    /// Whether the paths are the same on every machine.
    pub fixed: bool,
}

/// The same folders where they really are. After the script the caller reads the host prefix and the work folder here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPaths {
    /// The job's own folder, which holds the others.
    pub dir: PathBuf,
    /// The build environment: the job's own, or the shared one.
    pub build_prefix: PathBuf,
    /// The host prefix.
    pub prefix: PathBuf,
    /// The work folder. Where modules are shared, its `gopath` shows only what the script changed; if the script
    /// removed that folder, a device file of the overlay's stands there.
    pub src_dir: PathBuf,
    /// HOME.
    pub home: PathBuf,
    /// TMPDIR.
    pub tmp: PathBuf,
    /// The copy of the recipe folder; the caller fills it.
    pub recipe_dir: PathBuf,
    /// GOCACHE; where it is a layer, what the job added.
    pub go_cache: PathBuf,
    /// The folder for gonda's own work in the room; there only where [`RoomSpec::own`] asks for it.
    pub own: PathBuf,
}

/// The folders of a job and what its scripts run in. Taken down when dropped, unless [`Room::keep`] was called.
#[derive(Debug)]
pub struct Room {
    spec: RoomSpec,
    mode: Mode,
    seen: SeenPaths,
    disk: DiskPaths,
    kept: bool,
    fenced: AtomicBool,
}

impl Room {
    /// Makes the folders. The caller then fills them – environments, source, recipe – before it runs anything.
    ///
    /// # Errors
    /// [`Kind::Usage`] when, without namespaces, the folder lies below a repository or its path is too long;
    /// [`Kind::Machine`] when folders can't be made.
    pub fn prepare(spec: RoomSpec, mode: Mode) -> Result<Self> {
        let (disk, seen) = layout(&spec, mode)?;
        if mode == Mode::Plain {
            refuse_repository(&spec.dir)?;
        }
        if let Some(parent) = spec.dir.parent() {
            make(parent)?;
        }
        std::fs::create_dir(&spec.dir).map_err(|error| io_error("make", &spec.dir, error))?;
        let room = Self { spec, mode, seen, disk, kept: false, fenced: AtomicBool::new(false) };
        let disk = &room.disk;
        for folder in [&disk.prefix, &disk.src_dir, &disk.home, &disk.tmp, &disk.recipe_dir] {
            make(folder)?;
        }
        room.furnish_go_cache()?;
        if room.spec.build_env == BuildEnv::Own {
            make(&disk.build_prefix)?;
        }
        if room.spec.own {
            room.move_in_itself()?;
        }
        // Go asks nobody before it starts to count its users, except this file.
        let telemetry = host::user_config_dir(&disk.home).join("go").join("telemetry");
        make(&telemetry)?;
        let mode_file = telemetry.join("mode");
        std::fs::write(&mode_file, "off\n").map_err(|error| io_error("write", &mode_file, error))?;
        Ok(room)
    }

    /// Paths as the script sees them.
    #[must_use]
    pub fn paths(&self) -> &SeenPaths {
        &self.seen
    }

    /// Paths on disk.
    #[must_use]
    pub fn disk(&self) -> &DiskPaths {
        &self.disk
    }

    /// Changes what GOCACHE is for the commands that follow.
    ///
    /// # Errors
    /// When it has to be copied and that fails.
    pub fn set_go_cache(&mut self, go_cache: GoCache) -> Result<()> {
        self.spec.go_cache = go_cache;
        let (disk, seen) = layout(&self.spec, self.mode)?;
        (self.disk, self.seen) = (disk, seen);
        self.furnish_go_cache()
    }

    fn furnish_go_cache(&self) -> Result<()> {
        let own = &self.disk.go_cache;
        make(own)?;
        if let GoCache::Layer(folder) = &self.spec.go_cache {
            if self.mode != (Mode::Mounts { upper: super::Upper::Disk }) {
                go_cache::copy(folder, own)?;
            }
            go_cache::stamp(own)?;
        }
        Ok(())
    }

    /// Whether the script's paths are fixed, and other folders hidden.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Leaves the folders where they are when the room is dropped (`--keep-work`).
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Runs a command whose paths are [`Room::paths`]. May be called several times; each run has namespaces of its
    /// own over the same folders.
    ///
    /// # Errors
    /// As [`process::run`]; [`Kind::Machine`] when the namespaces can't be set up.
    pub async fn run(
        &self,
        command: Command,
        reach: &Reach,
        on_line: impl FnMut(&str) + Send,
        log: Option<&Path>,
    ) -> Result<Exit> {
        self.fence_modules()?;
        self.start(command, reach, on_line, log).await
    }

    /// Runs a command of gonda's own in an empty work folder: nothing is put there, and nobody is reached.
    ///
    /// # Errors
    /// As [`Room::run`].
    pub async fn run_own(&self, command: Command) -> Result<Exit> {
        self.start(command, &Reach::Loopback(None), |_| {}, None).await
    }

    async fn start(
        &self,
        command: Command,
        reach: &Reach,
        on_line: impl FnMut(&str) + Send,
        log: Option<&Path>,
    ) -> Result<Exit> {
        match self.mode {
            Mode::Plain => {
                let command = match reach {
                    Reach::Everything => command,
                    Reach::Loopback(_) => {
                        let (program, args) = host::on_loopback_alone(command.program, command.args);
                        Command { program, args, ..command }
                    }
                };
                process::run(command, on_line, log).await
            }
            #[cfg(target_os = "linux")]
            Mode::Mounts { upper } => self.run_in_namespaces(upper, command, reach, on_line, log).await,
            #[cfg(not(target_os = "linux"))]
            Mode::Mounts { .. } => Err(Error::new(Kind::Bug, "there are no namespaces on this system")),
        }
    }

    /// Takes the room down and says when that fails, which dropping it can't.
    ///
    /// # Errors
    /// When something can't be removed.
    pub fn close(mut self) -> Result<()> {
        if std::mem::replace(&mut self.kept, true) {
            return Ok(());
        }
        remove_all(&self.spec.dir).map_err(|error| io_error("remove", &self.spec.dir, error))
    }

    /// Puts gonda's own program into its folder; in namespaces only the place for it, to mount it at.
    fn move_in_itself(&self) -> Result<()> {
        let here = self.disk.own.join(paths::PROGRAM);
        make(&self.disk.own)?;
        if self.mode.has_fixed_paths() {
            return std::fs::write(&here, "").map_err(|error| io_error("write", &here, error));
        }
        let program = own_program()?;
        // A link costs nothing; between two file systems there is none.
        let linked = std::fs::hard_link(&program, &here);
        let copied = linked.or_else(|_| std::fs::copy(&program, &here).map(drop));
        copied.map_err(|error| io_error("write", &here, error))
    }

    /// A `go.mod` beside the module cache makes it another module, which Go's patterns don't walk into.
    fn fence_modules(&self) -> Result<()> {
        // Once: what a script removed stays removed for the room's next command.
        if self.spec.modules == Modules::None || self.fenced.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let cache = self.disk.src_dir.join(paths::MODULE_CACHE);
        // A work folder that was in another room before may say in an overlay's way that its script removed the cache.
        for folder in cache.ancestors().take_while(|folder| **folder != self.disk.src_dir) {
            if host::is_device(folder) {
                std::fs::remove_file(folder).map_err(|error| io_error("remove", folder, error))?;
            }
        }
        make(&cache)?;
        let marker = cache.with_file_name("go.mod");
        if marker.symlink_metadata().is_err() {
            std::fs::write(&marker, "module gonda.invalid/modcache\n")
                .map_err(|error| io_error("write", &marker, error))?;
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    async fn run_in_namespaces(
        &self,
        upper: super::Upper,
        command: Command,
        reach: &Reach,
        on_line: impl FnMut(&str) + Send,
        log: Option<&Path>,
    ) -> Result<Exit> {
        use super::mounts::{Overlay, Setup};

        let root = Path::new(paths::ROOT);
        let bind = |disk: &Path, seen: &Path| Bind { disk: disk.to_owned(), seen: seen.to_owned(), writable: true };
        let (disk, seen) = (&self.disk, &self.seen);
        let mut binds = vec![
            bind(&disk.prefix, &seen.prefix),
            bind(&disk.home, &seen.home),
            bind(&disk.tmp, &seen.tmp),
            bind(&disk.recipe_dir, &seen.recipe_dir),
            bind(&disk.tmp, Path::new("/tmp")),
        ];
        let mut overlays = Vec::new();
        match &self.spec.build_env {
            BuildEnv::Own if self.spec.merged => {}
            BuildEnv::Own => binds.push(bind(&disk.build_prefix, &seen.build_prefix)),
            BuildEnv::Shared(lower) => {
                make(&self.spec.dir.join("build_env.upper"))?;
                overlays.push(Overlay {
                    lower: lower.clone(),
                    upper: "build_env.upper".to_owned(),
                    seen: seen.build_prefix.clone(),
                    memory: upper == super::Upper::Memory,
                });
            }
        }
        match &self.spec.modules {
            Modules::None | Modules::Empty => binds.push(bind(&disk.src_dir, &seen.src_dir)),
            Modules::Shared(lower) => overlays.push(Overlay {
                lower: lower.clone(),
                upper: paths::WORK.to_owned(),
                seen: seen.src_dir.clone(),
                memory: false,
            }),
        }
        match &self.spec.go_cache {
            GoCache::Layer(lower) if upper == super::Upper::Disk => overlays.push(Overlay {
                lower: lower.clone(),
                upper: paths::GO_CACHE.to_owned(),
                seen: seen.go_cache.clone(),
                memory: false,
            }),
            GoCache::Own | GoCache::Shared(_) | GoCache::Layer(_) => binds.push(bind(&disk.go_cache, &seen.go_cache)),
        }
        if let Some(tools) = &self.spec.tools {
            binds.push(Bind { disk: tools.clone(), seen: root.join(paths::TOOLS), writable: false });
        }
        if let Some(own) = &seen.own {
            binds.push(bind(&disk.own, own));
            binds.push(Bind { disk: own_program()?, seen: own.join(paths::PROGRAM), writable: false });
        }
        binds.extend(self.spec.binds.iter().cloned());
        let mut setup = Setup::new(&self.spec.dir, binds, overlays, reach, &command)?;
        setup.processes = self.spec.limits.processes;
        setup.memory = self.spec.limits.memory;
        setup.links.clone_from(&self.spec.links);
        setup.formats.clone_from(&self.spec.formats);
        let ended = super::mounts::run(setup, reach, command.hidden, on_line, log).await;
        if ended.is_err() {
            super::known::forget();
        }
        ended
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left to be told; the cache's own clean-up takes what stays.
            let _ = remove_all(&self.spec.dir);
        }
    }
}

fn layout(spec: &RoomSpec, mode: Mode) -> Result<(DiskPaths, SeenPaths)> {
    let dir = std::path::absolute(&spec.dir).map_err(|error| io_error("find", &spec.dir, error))?;
    if dir.to_str().is_none() {
        let shown = dir.display();
        return Err(Error::new(Kind::Usage, format!("the work folder `{shown}` has a name that is not UTF-8"))
            .help("set another cache folder with `GONDA_CACHE_DIR`"));
    }
    let fixed = mode.has_fixed_paths();
    let prefix = if fixed { dir.join(paths::HOST_ENV) } else { paths::host_prefix_below(&dir)? };
    let build_prefix = match &spec.build_env {
        BuildEnv::Own if spec.merged => prefix.clone(),
        BuildEnv::Own => dir.join(paths::BUILD_ENV),
        BuildEnv::Shared(_) if spec.merged => {
            return Err(Error::new(Kind::Bug, "an environment that is build and host environment can't be shared"));
        }
        BuildEnv::Shared(shared) if fixed => shared.clone(),
        BuildEnv::Shared(_) => {
            return Err(Error::new(Kind::Bug, "a shared build environment needs namespaces"));
        }
    };
    if let Modules::Shared(shared) = &spec.modules {
        if !mode.shares_modules() {
            return Err(Error::new(Kind::Bug, "shared modules need an overlay on disk"));
        }
        if !shared.join(paths::MODULE_CACHE).is_dir() {
            let shown = shared.display();
            return Err(Error::new(
                Kind::Bug,
                format!("`{shown}` is no set of modules: it has no `{}`", paths::MODULE_CACHE),
            ));
        }
    }
    let disk = DiskPaths {
        build_prefix,
        prefix,
        src_dir: dir.join(paths::WORK),
        home: dir.join(paths::HOME),
        tmp: dir.join(paths::TMP),
        recipe_dir: dir.join(paths::RECIPE),
        go_cache: match &spec.go_cache {
            GoCache::Shared(folder) => folder.clone(),
            GoCache::Own | GoCache::Layer(_) => dir.join(paths::GO_CACHE),
        },
        own: dir.join(paths::OWN),
        dir,
    };
    let seen = if fixed {
        let root = Path::new(paths::ROOT);
        let prefix = paths::host_prefix();
        SeenPaths {
            build_prefix: if spec.merged { prefix.clone() } else { root.join(paths::BUILD_ENV) },
            prefix,
            src_dir: root.join(paths::WORK),
            home: root.join(paths::HOME),
            tmp: root.join(paths::TMP),
            recipe_dir: root.join(paths::RECIPE),
            go_cache: root.join(paths::GO_CACHE),
            tools: spec.tools.as_ref().map(|_| root.join(paths::TOOLS)),
            own: spec.own.then(|| root.join(paths::OWN)),
            fixed,
        }
    } else {
        SeenPaths {
            build_prefix: disk.build_prefix.clone(),
            prefix: disk.prefix.clone(),
            src_dir: disk.src_dir.clone(),
            home: disk.home.clone(),
            tmp: disk.tmp.clone(),
            recipe_dir: disk.recipe_dir.clone(),
            go_cache: disk.go_cache.clone(),
            tools: spec.tools.clone(),
            own: spec.own.then(|| disk.own.clone()),
            fixed,
        }
    };
    Ok((disk, seen))
}

/// The program of this process.
fn own_program() -> Result<PathBuf> {
    let program = std::env::current_exe().and_then(|program| program.canonicalize());
    program.map_err(|error| {
        Error::new(Kind::Machine, "gonda can't find its own program")
            .because(error)
            .help("it was replaced or removed while it runs: start it again")
    })
}

/// Go stamps a program with the commit of whatever repository encloses it, and `git describe` finds that one too; a
/// script that sets its own GOFLAGS drops `-buildvcs=false`, and `GIT_CEILING_DIRECTORIES` doesn't stop Go.
fn refuse_repository(dir: &Path) -> Result<()> {
    let dir = std::path::absolute(dir).map_err(|error| io_error("find", dir, error))?;
    // The part that exists may be reached through links, and Go looks at the real one.
    let real = dir.ancestors().find_map(|folder| folder.canonicalize().ok());
    let found = dir
        .ancestors()
        .chain(real.iter().flat_map(|real| real.ancestors()))
        .find(|folder| folder.join(".git").symlink_metadata().is_ok());
    match found {
        None => Ok(()),
        Some(repository) => Err(Error::new(
            Kind::Usage,
            format!("the work folder `{}` lies below the git repository `{}`", dir.display(), repository.display()),
        )
        .help(
            "without isolation a build would be stamped with that repository's commit: set a cache folder outside of it \
             with `GONDA_CACHE_DIR`",
        )),
    }
}

/// Tries all that a room needs, in a folder that is removed afterwards.
#[cfg(target_os = "linux")]
pub(super) async fn probe(work_root: &Path) -> Result<Result<Mode, super::Reason>> {
    use super::Upper;

    make(work_root)?;
    let mut reason = String::new();
    for upper in [Upper::Disk, Upper::Memory] {
        let folder = tempfile::Builder::new().prefix("probe-").tempdir_in(work_root);
        let folder = folder.map_err(|error| io_error("write to", work_root, error))?;
        let lower = folder.path().join("lower");
        make(&lower.join("bin"))?;
        make(&lower.join("gone"))?;
        let mut spec = RoomSpec::new(folder.path().join("room"));
        spec.build_env = BuildEnv::Shared(lower);
        let room = Room::prepare(spec, Mode::Mounts { upper })?;
        // A folder that is removed and made again needs what an overlay keeps in extended attributes.
        let script = "rmdir build_env/gone && mkdir build_env/gone && mkdir -p build_env/bin/x";
        let command = Command::new("/bin/sh", paths::ROOT).args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
        let run = tokio::time::timeout(
            std::time::Duration::from_secs(20),
            room.run(command, &Reach::Loopback(None), |_| {}, None),
        );
        match run.await {
            Ok(Ok(exit)) if exit.success() => return Ok(Ok(Mode::Mounts { upper })),
            Ok(Ok(exit)) => reason = format!("a trial ended with {}: {}", exit.describe(), exit.last_lines.join("; ")),
            Ok(Err(error)) => reason = error.message,
            Err(_) => reason = "a trial of namespaces did not end".to_owned(),
        }
    }
    Ok(Err(reason))
}

/// Whether a room's namespace can have formats of programs of its own ([`RoomSpec::formats`]), tried in a folder that is
/// removed afterwards.
///
/// # Errors
/// When the folder can't be written.
pub(crate) async fn has_formats(mode: Mode, work_root: &Path) -> Result<bool> {
    if !mode.has_fixed_paths() {
        return Ok(false);
    }
    make(work_root)?;
    let folder = tempfile::Builder::new().prefix("probe-").tempdir_in(work_root);
    let folder = folder.map_err(|error| io_error("write to", work_root, error))?;
    let mut spec = RoomSpec::new(folder.path().join("room"));
    let magic = b"GONDA PROBE".to_vec();
    let mask = vec![0xff; magic.len()];
    spec.formats.push(Format { name: "gonda-probe".to_owned(), magic, mask, interpreter: "/bin/true".into() });
    let room = Room::prepare(spec, mode)?;
    // What is no program and no format's is a script to a shell; this one would fail.
    let script = "printf 'GONDA PROBE\\nexit 1\\n' > probe && chmod +x probe && ./probe";
    let command = Command::new("/bin/sh", &room.paths().src_dir).args(["-c", script]).env([("PATH", "/usr/bin:/bin")]);
    Ok(room.run(command, &Reach::Loopback(None), |_| {}, None).await?.success())
}

/// Only Linux has such namespaces.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unused_async)]
pub(super) async fn probe(_work_root: &Path) -> Result<Result<Mode, super::Reason>> {
    Ok(Err("this system has no namespaces".to_owned()))
}
