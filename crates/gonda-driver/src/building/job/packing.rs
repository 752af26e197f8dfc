//! What the scripts added to the host prefix becomes a package.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gonda_packager::{Artifact, Compression, Package};

use super::Job;
use super::{truth, windows};
use crate::building::checkout::Checkout;
use crate::building::facts::Facts;
use crate::files::blocking;
use crate::isolation::{Room, paths};
use crate::solving::Solved;
use crate::source::git_report;
use crate::stage::{self, Stage};
use crate::{Error, Kind, Result, index, info};

/// Members of an archive can't be older than this: 1980-01-01, where zip's calendar begins.
const EARLIEST: i64 = 315_532_800;

impl Job {
    /// Packs what the scripts added to the host prefix, reads it back, and enters it into the output folder's index.
    pub(super) async fn pack(
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
        if staged.entries.is_empty() && self.has_script(&self.output.build.scripts) {
            let warning = "the script installed nothing, so the package has no files; what it should have belongs below \
                           `$PREFIX`, programs into its `bin`";
            self.common.events.warn(&self.name, warning);
        }
        let git = match checkout.placed.git {
            Some(ref facts) => git_report(&disk.src_dir.join(checkout.within(&facts.top)))?,
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
            timestamp: self.timestamp(&checkout.facts),
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
        let timestamp = self.timestamp(&checkout.facts);
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
    pub(super) fn timestamp(&self, facts: &Facts) -> i64 {
        let given = self.common.request.settings.caller_environment.get("SOURCE_DATE_EPOCH");
        let given = given.and_then(|text| text.trim().parse::<i64>().ok());
        given.or(facts.newest).unwrap_or(EARLIEST).max(EARLIEST)
    }
}

fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, format!("the folder `{}` has a name that is not UTF-8", path.display()))
            .help("choose another folder")
    })
}
