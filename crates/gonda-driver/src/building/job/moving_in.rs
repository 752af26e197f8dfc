//! A job's room before its script runs: environments, source, recipe, modules and GOCACHE in place.

use std::path::Path;

use super::Job;
use crate::building::checkout::Checkout;
use crate::environment::{self, Share};
use crate::files::remove_all;
use crate::isolation::{BuildEnv, Room, RoomSpec, paths};
use crate::script::{self, ActivatedEnv};
use crate::settings::{GoCacheMode, Network};
use crate::solving::Solved;
use crate::{Result, crossing, lock};

impl Job {
    /// A room with environments, source, recipe and modules in place.
    pub(super) async fn move_in(&mut self, checkout: &Checkout, solved: &Solved) -> Result<Room> {
        let settings = &self.common.request.settings;
        let mode = self.common.session.mode();
        let merged = self.output.build.merge_build_host;
        let build_platform = self.output.build_platform;
        let mut spec = RoomSpec::new(checkout.workspace.path().join(format!("r{}", self.index)));
        spec.merged = merged;
        spec.limits = settings.limits;
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
        if let (Some(zig), Some(tools)) = (zig, &tools) {
            zig.write_tools(tools, &room.paths().build_prefix)?;
        }
        self.install(solved, &room).await?;
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

    /// Installs the environments that are the room's own; a shared build environment lies in it already.
    async fn install(&self, solved: &Solved, room: &Room) -> Result<()> {
        let (disk, seen, channels) = (room.disk(), room.paths(), &self.common.channels);
        let (build, target) = (self.output.build_platform, self.output.target_platform);
        if self.output.build.merge_build_host {
            return environment::install(channels, &solved.build, build, &disk.prefix, &seen.prefix, Share::Private)
                .await;
        }
        if !self.common.session.mode().has_fixed_paths() {
            let (at, seen_as) = (&disk.build_prefix, &seen.build_prefix);
            environment::install(channels, &solved.build, build, at, seen_as, Share::Private).await?;
        }
        if !solved.host.is_empty() {
            environment::install(channels, &solved.host, target, &disk.prefix, &seen.prefix, Share::Private).await?;
        }
        Ok(())
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
}

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
