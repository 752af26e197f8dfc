//! The standard library for the machine that builds, in a cross build: for the tools, tests and native twins that a
//! script's `go` builds for it ([`crate::crossing::begin_native`]).
//!
//! A job doesn't know beforehand whether its script will do so, so it waits to be asked. The layer is the one that native
//! jobs of the same toolchain start with, whoever made it first; where it lacks something, gonda compiles that now, in a
//! room of its own beside the script's, into which nothing of the script's gets.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;

use rattler_conda_types::Subdir;
use tokio::sync::mpsc;

use super::Job;
use crate::building::checkout::Checkout;
use crate::cache::go_std::{Growth, Offer, StdLayer};
use crate::files::blocking;
use crate::isolation::{BuildEnv, GoCache, Limits, Room, RoomSpec};
use crate::modules::{Asked, GoRunner as _};
use crate::solving::Solved;
use crate::{Kind, Result, crossing, golang};

/// Packages of the standard library that can be compiled without C, as a template for `go list`.
const COMPILABLE: &str =
    "{{if .Standard}}{{if not .Error}}{{if .GoFiles}}{{if not .CgoFiles}}{{.ImportPath}}{{end}}{{end}}{{end}}{{end}}";

/// What a source needs of the standard library.
#[derive(Debug, Clone, Default)]
pub(super) struct Needs {
    /// The source, as layers remember it.
    pub(super) source: String,
    /// Packages, for the target platform.
    pub(super) standard: BTreeSet<String>,
}

impl Job {
    /// Answers whatever `go` of a script asks for the library, until that script has ended: then this is dropped.
    pub(super) async fn answer_go(
        &self,
        asked: &mut mpsc::Receiver<Asked>,
        checkout: &Checkout,
        solved: &Solved,
        room: &Room,
    ) -> Infallible {
        while let Some(answer) = asked.recv().await {
            let begun = self.begin_native(checkout, solved, room).await;
            if let Err(error) = &begun {
                let said = format!("no standard library for the build machine: {error}");
                self.common.events.note(&self.name, said);
            }
            // Who asked may be gone.
            let _ = answer.send(matches!(begun, Ok(true)));
        }
        std::future::pending().await
    }

    async fn begin_native(&self, checkout: &Checkout, solved: &Solved, room: &Room) -> Result<bool> {
        let Some(layer) = self.native_layer(checkout, solved, room).await? else { return Ok(false) };
        let (own, dir) = (room.disk().own.clone(), room.disk().dir.clone());
        blocking(move || crossing::begin_native(&own, &dir, &layer)).await?;
        Ok(true)
    }

    /// The layer, with all that the source needs; `None` where it is not there and can't be made.
    async fn native_layer(&self, checkout: &Checkout, solved: &Solved, room: &Room) -> Result<Option<PathBuf>> {
        let Some(needs) = &self.needs else { return Ok(None) };
        let platform = self.output.build_platform;
        let layer = StdLayer::new(&self.common.request.settings.cache_root, &self.std_key(solved, platform, false));
        // As a native job of the same source knows it, or a job like this.
        let known = format!("{}-{}", needs.source, self.output.target_platform);
        if let Some((folder, _)) = layer.serving(&needs.source).or_else(|| layer.serving(&known)) {
            return Ok(Some(folder));
        }
        let wanted = self.for_platform(checkout, room, platform, &needs.standard).await?;
        if wanted.is_empty() {
            return Ok(None);
        }
        // A build environment that is the script's own may not be what it was.
        let shared = !room.disk().build_prefix.starts_with(&room.disk().dir);
        let folder = match layer.having(&wanted) {
            Some(folder) => folder,
            None if !shared => return Ok(None),
            None => match layer.offer(&wanted).await? {
                Offer::Serves(folder) => folder,
                Offer::Grows(growth) => {
                    self.compile_aside(checkout, solved, room, platform, &growth).await?;
                    growth.finish().await?
                }
            },
        };
        layer.remember(&known, b"")?;
        Ok(Some(folder))
    }

    /// Packages of the standard library, and those that they import, as they are for another platform.
    async fn for_platform(
        &self,
        checkout: &Checkout,
        room: &Room,
        platform: Subdir,
        packages: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>> {
        let named = packages.iter().map(String::as_str).filter(|path| !path.starts_with("vendor/"));
        let args: Vec<&str> = ["list", "-e", "-deps", "-f", COMPILABLE].into_iter().chain(named).collect();
        let Some((goos, goarch)) = golang::go_platform(platform) else { return Ok(BTreeSet::new()) };
        let Some(runner) = self.go_runner(checkout, &room.disk().build_prefix)? else { return Ok(BTreeSet::new()) };
        let env = [("GOOS", goos), ("GOARCH", goarch), ("CGO_ENABLED", "0"), ("GO111MODULE", "off"), ("GOWORK", "off")];
        let env = env.map(|(name, value)| (name, value.to_owned()));
        let output = runner.go(&args, checkout.workspace.path(), &env).await?;
        let mut found = BTreeSet::new();
        super::without_cgo::read(&String::from_utf8_lossy(&output.stdout), &mut found);
        found.retain(|path| path != "unsafe" && path != "runtime/cgo");
        Ok(found)
    }

    /// Compiles what a layer lacks in the shared build environment, in a room that no script has been in.
    async fn compile_aside(
        &self,
        checkout: &Checkout,
        solved: &Solved,
        room: &Room,
        platform: Subdir,
        growth: &Growth,
    ) -> Result<()> {
        let mut spec = RoomSpec::new(checkout.workspace.path().join(format!("r{}-std", self.index)));
        spec.build_env = BuildEnv::Shared(room.disk().build_prefix.clone());
        // The script's memory is limited, not what gonda compiles for it.
        spec.limits = Limits { memory: None, ..self.common.request.settings.limits };
        spec.go_cache = GoCache::Shared(growth.folder().to_owned());
        let aside = Room::prepare(spec, self.common.session.mode())?;
        let Some((goos, goarch)) = golang::go_platform(platform) else {
            return Err(crate::Error::new(Kind::Bug, format!("Go has no name for `{platform}`")));
        };
        // There are shared environments on Linux alone, and so there is a POSIX shell.
        let before = format!("export GOOS={goos} GOARCH={goarch} CGO_ENABLED=0\n");
        self.compile(checkout, solved, &aside, &before, growth).await?;
        aside.close()
    }
}
