//! Go's part of a job: the module proxy, and the modules that are there before the script runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::Job;
use crate::building::checkout::Checkout;
use crate::isolation::Modules;
use crate::modules::{self, GoRunner, Known, ModuleSet, ModuleStore, ProxySettings, SetSettings};
use crate::process::{self, Command};
use crate::solving::Solved;
use crate::{Error, Result, environment, host};

/// What Go asks where neither the user nor the toolchain names a proxy.
const DIRECT: &str = "direct";

impl Job {
    /// What the job's module cache starts with: this build's modules, downloaded and extracted once for all jobs that
    /// need the same, where the job can have them as a lower layer; else nothing, and the proxy fills it.
    pub(super) async fn modules(
        &self,
        checkout: &Checkout,
        solved: &Solved,
        build_env: Option<&Path>,
    ) -> Result<Modules> {
        if !has_go(solved) {
            return Ok(Modules::None);
        }
        let (Some(build_env), true) = (build_env, self.common.session.mode().shares_modules()) else {
            return Ok(Modules::Empty);
        };
        match self.module_set(checkout, build_env).await {
            Ok(Some(set)) => Ok(Modules::Shared(set.folder)),
            Ok(None) => Ok(Modules::Empty),
            // The script may do something about it (a patch, `go mod tidy`), or not need what can't be had.
            Err(error) => {
                self.common.events.note(&self.name, format!("no modules beforehand: {}", in_one_line(&error)));
                Ok(Modules::Empty)
            }
        }
    }

    /// The modules of the source's main modules, downloaded if they are not there; `None` where there are none to
    /// download, or no toolchain in its usual place.
    pub(super) async fn module_set(&self, checkout: &Checkout, build_env: &Path) -> Result<Option<ModuleSet>> {
        let found = modules::find_main_modules(&checkout.work, &checkout.work, &checkout.placed.folders)?;
        let folder = self.common.request.settings.cache_root.join("modsets");
        match modules::known_set(&folder, &found.modules)? {
            Known::NotNeeded => return Ok(None),
            Known::Made(set) => return Ok(Some(set)),
            Known::Missing => {}
        }
        let Some(runner) = self.go_runner(checkout, build_env)? else { return Ok(None) };
        let offline = self.common.request.settings.offline;
        let proxy = self.module_store(build_env, offline)?.serve().await?;
        // This is the time to fetch, so Go may go on with a module's own repository.
        let settings = SetSettings { folder, goproxy: proxy.goproxy(!offline) };
        modules::module_set(&settings, &found.modules, &runner).await
    }

    /// The toolchain of a build environment, for gonda itself; `None` where it is not in its usual place.
    pub(super) fn go_runner(&self, checkout: &Checkout, build_env: &Path) -> Result<Option<Runner<'_>>> {
        let goroot = build_env.join("go");
        let go = goroot.join("bin").join(format!("go{}", std::env::consts::EXE_SUFFIX));
        if !go.is_file() {
            return Ok(None);
        }
        let home = checkout.workspace.path().join("go-home");
        fs_err::create_dir_all(&home)?;
        Ok(Some(Runner { go, goroot, home, job: self }))
    }

    /// Answers that take the place of asking: a lock's, or those of the package that is built again.
    pub(super) fn given_answers(&self) -> Option<BTreeMap<String, String>> {
        let recorded = self.common.request.settings.record.as_ref();
        let locked = self.common.request.lock.as_ref().map(|lock| lock.answers());
        locked.or_else(|| recorded.map(|record| record.answers.clone()))
    }

    /// The module store that all jobs share; `offline` asks nobody for what it lacks.
    pub(super) fn module_store(&self, build_env: &Path, offline: bool) -> Result<ModuleStore> {
        let settings = &self.common.request.settings;
        let goroot = build_env.join("go");
        let upstream = settings.go.goproxy.clone().or_else(|| modules::upstream_default(&goroot));
        let sumdb = match &settings.go.gosumdb {
            Some(sumdb) => Some(sumdb.clone()),
            None => modules::sumdb_default(&goroot),
        };
        let sumdb = sumdb.and_then(|text| text.split_whitespace().next().map(str::to_owned));
        self.common.session.module_store(ProxySettings {
            store: settings.cache_root.join("gomod"),
            upstream: upstream.unwrap_or_else(|| DIRECT.to_owned()),
            noproxy: settings.go.goprivate.clone().unwrap_or_default(),
            sumdb: sumdb.into_iter().filter(|name| name != "off").collect(),
            offline,
            answers: self.given_answers(),
            system_proxies: true,
        })
    }
}

/// An error with its cause and help.
pub(super) fn in_one_line(error: &Error) -> String {
    let cause = error.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
    let help = error.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{error}{cause}{help}")
}

/// Whether Go is in the build environment.
pub(super) fn has_go(solved: &Solved) -> bool {
    environment::go_of(&solved.build).is_some()
}

/// The toolchain of the build environment, run by gonda itself to download modules and to list packages, which executes
/// nothing of theirs.
pub(super) struct Runner<'a> {
    go: PathBuf,
    goroot: PathBuf,
    home: PathBuf,
    job: &'a Job,
}

impl GoRunner for Runner<'_> {
    async fn go(&self, args: &[&str], dir: &Path, env: &[(&str, String)]) -> Result<Output> {
        let path: Vec<String> = host::system_path().iter().map(|folder| folder.display().to_string()).collect();
        let home = self.home.display().to_string();
        let mut command = Command::new(&self.go, dir).args(args.iter().copied());
        command = command.env(host::system_variables());
        command = command.env([
            ("PATH", path.join(&host::PATH_SEPARATOR.to_string())),
            ("HOME", home.clone()),
            ("USERPROFILE", home.clone()),
            ("GOCACHE", self.home.join("gocache").display().to_string()),
            ("GOROOT", self.goroot.display().to_string()),
            ("GOTOOLCHAIN", "local".to_owned()),
            ("GOENV", "off".to_owned()),
            ("GOTELEMETRYDIR", home),
            ("LANG", "C.UTF-8".to_owned()),
        ]);
        command = command.env(self.job.common.request.settings.go.environment());
        command = command.env(env.iter().map(|(name, value)| (*name, value.clone())));
        process::capture(command).await
    }
}
