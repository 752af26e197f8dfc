//! What of a prefix goes into an output's package: the files that the script added, as the recipe's lists choose them.

mod glob;

pub use glob::{Glob, Language, Matcher};

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use gonda_packager::{Detection, Entry, PrefixMap, Remark};
use gonda_recipe::{Noarch, Output, RecipeFormat};

use crate::{Error, Kind, Result};

/// What there is to choose from.
#[derive(Debug, Clone)]
pub struct Stage<'a> {
    /// The output, finalized.
    pub output: &'a Output,
    /// The host prefix on this machine's disk.
    pub prefix: &'a Path,
    /// The path of the host prefix that the script saw.
    pub seen_prefix: &'a str,
    /// The path that stands for the prefix in the package: [`Stage::seen_prefix`] where the script saw the fixed one.
    /// If it differs, text files are mapped to it (it must be as long), and other files that hold a path of the build
    /// are told in [`Staged::remarks`].
    pub fixed_prefix: &'a str,
    /// Other spellings of the prefix that the script saw: as a Windows path, for instance.
    pub also_seen: &'a [String],
    /// What [`gonda_packager::list`] found in the prefix before the script ran.
    pub prior: &'a BTreeSet<String>,
    /// What the script added, if that is not all that was added to `prior`: for outputs that share a prefix.
    pub added: Option<&'a BTreeSet<String>>,
    /// Paths of this build (work folder, build prefix, home) that no file should hold; empty where they are fixed.
    pub foreign: &'a [String],
    /// The recipe folder: link scripts (`post-link.sh` …) are taken from there.
    pub recipe_dir: &'a Path,
}

/// What is to be packed.
#[derive(Debug, Default)]
pub struct Staged {
    /// Sorted by path.
    pub entries: Vec<Entry>,
    /// What should be told.
    pub remarks: Vec<Remark>,
    /// Lists of the recipe that are idle but not wrong, as sentences.
    pub warnings: Vec<String>,
}

/// Chooses and scans.
///
/// # Errors
/// A list of `files` that matches nothing; files that can't be read or packed.
pub fn stage(stage: &Stage<'_>) -> Result<Staged> {
    let output = stage.output;
    let all = gonda_packager::list(stage.prefix)?;
    let mut warnings = Vec::new();
    let chosen = choose(stage, &all, &mut warnings)?;

    let language = Language::of_options(output.format);
    let no_link = Matcher::new(&output.build.no_link, language)?;
    // v0 lists paths here, v1 globs.
    let ignore = Matcher::new(&output.build.ignore_prefix_files, language)?;
    let forced = |files: &[String]| -> Result<Vec<Glob>> {
        match output.format {
            RecipeFormat::V0 => Ok(Vec::new()),
            RecipeFormat::V1 => files.iter().map(|glob| Glob::new(glob, Language::V1)).collect(),
        }
    };
    let (text, binary) = (forced(&output.build.has_prefix_files)?, forced(&output.build.binary_has_prefix_files)?);
    let windows = output.target_platform.is_windows();
    let map = if stage.seen_prefix == stage.fixed_prefix {
        None
    } else {
        Some(Arc::new(PrefixMap::new(stage.seen_prefix, stage.fixed_prefix)?))
    };
    let v0 = output.format == RecipeFormat::V0;
    let mut prefixes = gonda_packager::spellings(stage.seen_prefix, windows);
    prefixes.extend(stage.also_seen.iter().flat_map(|prefix| gonda_packager::spellings(prefix, windows)));
    prefixes.sort();
    prefixes.dedup();
    let detection = Detection {
        prefixes,
        foreign: stage.foreign.to_vec(),
        map,
        binaries: output.build.detect_binary_files_with_prefix,
        windows,
        ignore: &|path| ignore.matches(path),
        text_files: &|path| text.iter().any(|glob| glob.matches(path)),
        binary_files: &|path| binary.iter().any(|glob| glob.matches(path)),
        only_text: if v0 { output.build.has_prefix_files.clone() } else { Vec::new() },
        only_binary: if v0 { output.build.binary_has_prefix_files.clone() } else { Vec::new() },
    };
    let scanned =
        gonda_packager::scan(stage.prefix, stage.seen_prefix, chosen, &|path| no_link.matches(path), &detection)?;
    let mut entries = scanned.entries;
    if output.noarch == Some(Noarch::Python) {
        for entry in &mut entries {
            entry.path = noarch_python_path(&entry.path, &output.build.entry_points);
        }
    }
    entries.extend(link_scripts(stage));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Staged { entries, remarks: scanned.remarks, warnings })
}

/// The paths to pack: what is new, or what the list of `files` names; and what is always included.
fn choose(stage: &Stage<'_>, all: &BTreeSet<String>, warnings: &mut Vec<String>) -> Result<BTreeSet<String>> {
    let output = stage.output;
    let v0 = output.format == RecipeFormat::V0;
    let is_new = |path: &String| match stage.added {
        Some(added) => added.contains(path) && !stage.prior.contains(path),
        None => !stage.prior.contains(path),
    };
    let mut chosen: BTreeSet<String> = match &output.build.files {
        None => all.iter().filter(|path| is_new(path)).cloned().collect(),
        Some(files) => {
            let matcher = Matcher::new(files, Language::of_files(output.format))?;
            // A plain list of v0 takes files of dependencies too (build.py, `bundle_conda`).
            let any = v0 && files.exclude.is_empty();
            let pool = || all.iter().filter(|path| any || is_new(path));
            let idle = matcher.idle(pool().map(String::as_str));
            if !idle.is_empty() {
                let list: Vec<String> = idle.iter().map(|glob| format!("`{glob}`")).collect();
                return Err(Error::new(
                    Kind::Verification,
                    format!(
                        "`files` of `{}`: nothing that the script installed matches {}",
                        output.name,
                        list.join(", ")
                    ),
                )
                .help(format!("the script installed {}", some_of(&pool().cloned().collect()))));
            }
            pool().filter(|path| matcher.matches(path)).cloned().collect()
        }
    };
    let always = Matcher::new(&output.build.always_include_files, Language::of_options(output.format))?;
    for glob in always.idle(all.iter().map(String::as_str)) {
        warnings.push(format!("`{glob}` of `always_include_files` matches no file of the prefix"));
    }
    chosen.extend(all.iter().filter(|path| always.matches(path)).cloned());
    if !v0 {
        chosen.retain(|path| !excluded_in_v1(path));
    }
    Ok(chosen)
}

fn some_of(paths: &BTreeSet<String>) -> String {
    let shown: Vec<String> = paths.iter().take(8).map(|path| format!("`{path}`")).collect();
    match paths.len() {
        0 => "nothing".to_owned(),
        n if n > shown.len() => format!("{} and {} more", shown.join(", "), n - shown.len()),
        _ => shown.join(", "),
    }
}

/// What rattler-build leaves out beyond conda-build's list: an index that every package would write to, optimised
/// bytecode, marks of caches.
fn excluded_in_v1(path: &str) -> bool {
    path == "share/info/dir"
        || path.starts_with("share/info/dir/")
        || path.ends_with(".pyo")
        || path.split('/').any(|name| name == "CACHEDIR.TAG")
}

/// Where a file of a `noarch: python` package stands, for clients to put it in place for their own Python
/// (conda-build's build.py, `get_short_path`).
fn noarch_python_path(path: &str, entry_points: &[String]) -> String {
    if let Some(at) = path.find("site-packages/") {
        return path[at..].to_owned();
    }
    let is_entry_point = |file: &str| {
        entry_points.iter().filter_map(|point| point.split('=').next()).any(|command| {
            let command = command.trim();
            file == command || file == format!("{command}.exe") || file == format!("{command}-script.py")
        })
    };
    for folder in ["bin/", "Scripts/"] {
        if let Some(file) = path.strip_prefix(folder).filter(|file| !is_entry_point(file)) {
            return format!("python-scripts/{file}");
        }
    }
    path.to_owned()
}

/// `post-link.sh` and its like of a v0 recipe folder (build.py, `create_post_scripts`). Of several outputs, each has
/// its own, by its name.
fn link_scripts(stage: &Stage<'_>) -> Vec<Entry> {
    let output = stage.output;
    if output.format != RecipeFormat::V0 {
        return Vec::new();
    }
    let windows = output.target_platform.is_windows();
    let (folder, extension) = if windows { ("Scripts", "bat") } else { ("bin", "sh") };
    ["pre-link", "post-link", "pre-unlink"]
        .iter()
        .filter_map(|action| {
            let configured = output.sections.build.get(*action).and_then(|value| value.as_str());
            let name = match (&output.parent, configured) {
                (Some(_), Some(name)) => name.to_owned(),
                (Some(_), None) => format!("{}-{action}", output.name),
                (None, _) => (*action).to_owned(),
            };
            let source = stage.recipe_dir.join(format!("{name}.{extension}"));
            let path = format!("{folder}/.{}-{action}.{extension}", output.name);
            source.is_file().then(|| Entry::file(path, source, true))
        })
        .collect()
}

#[cfg(test)]
mod tests;
