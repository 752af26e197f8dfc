//! What a job's GOCACHE starts with: by default the standard library as gonda compiled it, and nothing of other jobs.

use std::path::{Path, PathBuf};

use rattler_conda_types::Subdir;
use sha2::{Digest, Sha256};

use super::Job;
use super::modules::has_go;
use super::native_std::Needs;
use super::without_cgo::{self, Listing, Remembered};
use crate::building::checkout::Checkout;
use crate::cache::go_std::{Growth, Offer, StdLayer};
use crate::golang::go_platform;
use crate::isolation::{GoCache, Modules, Room, paths};
use crate::modules::{GoRunner as _, MainModules};
use crate::settings::GoCacheMode;
use crate::solving::Solved;
use crate::zig::Zig;
use crate::{Error, Kind, Result, environment, modules, script};

/// Part of every key: another one whenever layers are made in another way.
const FORMAT: &str = "gonda go cache 1";
/// How long a line of a script may be: cmd.exe takes 8191 characters.
const LINE: usize = 6000;

impl Job {
    /// Gives a room its GOCACHE. Called when its environments are installed and nothing of the recipe is in it yet. Returns
    /// what was found out of the source meanwhile.
    pub(super) async fn provide_go_cache(
        &self,
        checkout: &Checkout,
        solved: &Solved,
        modules: &Modules,
        room: &mut Room,
    ) -> Result<Option<Needs>> {
        if !has_go(solved) {
            return Ok(None);
        }
        let settings = &self.common.request.settings;
        let cgo = solved.build.iter().any(|record| record.package_record.name.as_normalized().starts_with("go-cgo"));
        if settings.go_cache == GoCacheMode::Shared {
            let target = self.output.target_platform;
            let name =
                if cgo { format!("shared-{}", self.std_key(solved, target, true)) } else { "shared-nocgo".to_owned() };
            let folder = settings.cache_root.join("gocache").join(name);
            fs_err::create_dir_all(&folder)?;
            room.set_go_cache(GoCache::Shared(folder))?;
            return Ok(None);
        }
        // What C compilers are told holds the job's own paths where paths are not fixed.
        if cgo && !room.paths().fixed {
            return Ok(None);
        }
        let mut needs = None;
        let go_cache = match self.std_layer(checkout, solved, modules, room, cgo, &mut needs).await {
            Ok(Some(folder)) => GoCache::Layer(folder),
            Ok(None) => GoCache::Own,
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            // The script compiles it itself, and says what is wrong with the toolchain or the disk.
            Err(error) => {
                self.common.events.note(&self.name, format!("no standard library beforehand: {error}"));
                GoCache::Own
            }
        };
        room.set_go_cache(go_cache)?;
        Ok(needs)
    }

    async fn std_layer(
        &self,
        checkout: &Checkout,
        solved: &Solved,
        modules: &Modules,
        room: &mut Room,
        cgo: bool,
        needs: &mut Option<Needs>,
    ) -> Result<Option<PathBuf>> {
        let key = self.std_key(solved, self.output.target_platform, cgo);
        let layer = StdLayer::new(&self.common.request.settings.cache_root, &key);
        let found = modules::find_main_modules(&checkout.work, &checkout.work, &checkout.placed.folders)?.modules;
        let source = self.source_key(&found)?;
        let of_source = &checkout.facts.source;
        if let Some((folder, known)) = layer.serving(&source) {
            let known: Remembered = serde_json::from_slice(&known).unwrap_or_default();
            // Of another source by the same name and version nothing is said; its script will say what is wrong.
            if known.source == *of_source {
                self.warn_without_cgo(&known.cgo_only);
            }
            *needs = Some(Needs { source, standard: known.standard });
            return Ok(Some(folder));
        }
        let Listing { standard: wanted, cgo_only } =
            self.listed(checkout, modules, &found, &room.disk().build_prefix, cgo).await?;
        self.warn_without_cgo(&cgo_only);
        *needs = Some(Needs { source: source.clone(), standard: wanted.clone() });
        if wanted.is_empty() {
            return Ok(None);
        }
        let folder = match layer.offer(&wanted).await? {
            Offer::Serves(folder) => folder,
            // The store has what the layer lacks, or gets it from this job.
            Offer::Grows(_) if matches!(self.common.request.settings.go_cache, GoCacheMode::Store(_)) => {
                return Ok(None);
            }
            Offer::Grows(growth) => {
                room.set_go_cache(GoCache::Shared(growth.folder().to_owned()))?;
                self.compile(checkout, solved, room, "", &growth).await?;
                growth.finish().await?
            }
        };
        let known = Remembered { source: of_source.clone(), standard: wanted, cgo_only };
        layer.remember(&source, &serde_json::to_vec(&known).unwrap_or_default())?;
        Ok(Some(folder))
    }

    /// The packages of the standard library that the source's programs are made of, and without cgo those that it lacks,
    /// as Go lists them: it reads, and runs nothing of the source's.
    async fn listed(
        &self,
        checkout: &Checkout,
        modules: &Modules,
        found: &[MainModules],
        build_prefix: &Path,
        cgo: bool,
    ) -> Result<Listing> {
        let mut listing = Listing::default();
        let Some((goos, goarch)) = go_platform(self.output.target_platform) else { return Ok(listing) };
        let Some(runner) = self.go_runner(checkout, build_prefix)? else { return Ok(listing) };
        let home = checkout.workspace.path().join("go-home");
        let module_cache = match modules {
            Modules::Shared(folder) => folder.join(paths::MODULE_CACHE),
            Modules::None | Modules::Empty => home.join("no-modules"),
        };
        for root in found {
            let work = root.work.as_ref().map(|_| root.folder.join("go.work").display().to_string());
            let env = [
                ("GOOS", goos.to_owned()),
                ("GOARCH", goarch.to_owned()),
                ("CGO_ENABLED", if cgo { "1" } else { "0" }.to_owned()),
                ("GOWORK", work.unwrap_or_else(|| "off".to_owned())),
                ("GOPATH", home.join("gopath").display().to_string()),
                ("GOMODCACHE", module_cache.display().to_string()),
                ("GOPROXY", "off".to_owned()),
                ("GO111MODULE", "on".to_owned()),
            ];
            let with_c = if cgo { Vec::new() } else { without_cgo::folders_with_c(&root.folder) };
            let mut args = vec!["list", "-e", "-deps", "-f", without_cgo::FORMAT, "./..."];
            args.extend(with_c.iter().map(String::as_str));
            // Packages that can't be found are passed over, so an exit code says nothing.
            let output = runner.go(&args, &root.folder, &env).await?;
            let left_out = without_cgo::read(&String::from_utf8_lossy(&output.stdout), &mut listing.standard);
            if !cgo {
                listing.cgo_only.extend(without_cgo::with_cgo(&runner, &root.folder, &env, &left_out).await?);
            }
        }
        // They have nothing to compile.
        listing.standard.remove("unsafe");
        listing.standard.remove("C");
        Ok(listing)
    }

    /// Compiles packages in a room whose GOCACHE is the layer that grows, in the job's environment without anything that
    /// the recipe itself sets. `before` is done in the shell before.
    pub(super) async fn compile(
        &self,
        checkout: &Checkout,
        solved: &Solved,
        room: &Room,
        before: &str,
        growth: &Growth,
    ) -> Result<()> {
        let (disk, seen) = (room.disk(), room.paths());
        let mut output = self.output.clone();
        output.build.scripts.clear();
        output.build.script_env.clear();
        let job = script::Job {
            output: &output,
            paths: seen,
            recipe_dir: &disk.recipe_dir,
            activated: &self.activated(solved, room)?,
            settings: &script::Settings { go_proxy: Some("off".to_owned()), ..self.script_settings(checkout, solved) },
            render: &|text, _| Ok(text.to_owned()),
        };
        let prepared = script::own(&job, &(before.to_owned() + &list_command(&growth.missing)))?;
        prepared.write(&disk.src_dir)?;
        let exit = room.run_own(prepared.command(seen)).await?;
        if exit.success() {
            return Ok(());
        }
        let last = exit.last_lines.last().map(|line| format!(": {line}")).unwrap_or_default();
        Err(Error::new(Kind::Build, format!("`go list -export` ended with {}{last}", exit.describe())))
    }

    /// What tells layers apart: the toolchain, and the platform that it compiles for. Go's own digests keep it honest for
    /// what Go compiles, variables of an activation included, so the package that holds no more than that (`go-nocgo_win-64`)
    /// doesn't count. For C they know the compiler and its flags, but not headers and libraries, so there all packages do.
    pub(super) fn std_key(&self, solved: &Solved, platform: Subdir, cgo: bool) -> String {
        let of_go = |record: &&rattler_conda_types::RepoDataRecord| {
            let name = record.package_record.name.as_normalized();
            let activation = name.starts_with("go-nocgo_") || name.starts_with("go-cgo_");
            cgo || name == "go" || name == "_go_select" || (name.starts_with("go-") && !activation)
        };
        let mut hash = Sha256::new();
        let mut part = |text: &str| hash.update([text.as_bytes(), &[0]].concat());
        part(FORMAT);
        part(platform.as_str());
        part(&solved.zig.as_ref().filter(|_| cgo).map(Zig::triple).unwrap_or_default());
        for records in [&solved.build, &solved.host] {
            environment::contents(records.iter().filter(of_go)).iter().for_each(|package| part(package));
            part("");
        }
        hex::encode(&hash.finalize()[..16])
    }

    /// What stands for a source's needs: what its modules require, and who it is.
    fn source_key(&self, found: &[MainModules]) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update([self.output.name.as_bytes(), &[0], self.output.version.as_bytes(), &[0]].concat());
        for root in found {
            let folders = std::iter::once(&root.folder).chain(root.mains.iter().map(|(folder, _)| folder));
            for folder in folders {
                for name in ["go.mod", "go.sum", "go.work"] {
                    let file = folder.join(name);
                    hash.update(if file.is_file() { fs_err::read(file)? } else { Vec::new() });
                    hash.update([0]);
                }
            }
        }
        Ok(hex::encode(&hash.finalize()[..16]))
    }
}

/// Commands that compile packages and link nothing, whatever the build mode.
fn list_command(packages: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for package in packages {
        match lines.last_mut() {
            Some(line) if line.len() + package.len() < LINE => *line = format!("{line} {package}"),
            _ => lines.push(format!("go list -export {package}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let packages: Vec<String> = (0..1000).map(|number| format!("internal/package{number}")).collect();
        let text = list_command(&packages);
        assert!(text.lines().count() > 1);
        assert!(text.lines().all(|line| line.len() < 8000 && line.starts_with("go list -export internal/")));
        assert_eq!(text.split_whitespace().filter(|word| word.starts_with("internal/")).count(), 1000);
        assert_eq!(list_command(&[]), "");
    }
}
