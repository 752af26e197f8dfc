//! Applies a recipe's patches: all of a patch, or nothing.
//!
//! The library finds where hunks belong, as GNU patch does: at another line, with up to two lines of context that
//! differ. What it can't do is left to programs: git's binary patches and copies to `git apply`, patches that change
//! line ends to `patch`. Patches that git made for a git source become commits with `git am` in v0, as conda-build
//! does (`conda_build/source.py`, `apply_one_patch`), so that `git describe` says the same.

mod parse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flickzeug::{ApplyConfig, FuzzyConfig, HunkRangeStrategy, ParserConfig};
use gonda_recipe::RecipeFormat;

use self::parse::{FilePatch, Hunk, Side};
use super::root::{Root, member_path};
use super::{git, host};
use crate::{Error, Kind, Result, Where};

/// What patches apply to.
pub(super) struct Target<'a> {
    /// The source's folder.
    pub(super) folder: &'a Path,
    pub(super) recipe_dir: &'a Path,
    pub(super) work_dir: &'a Path,
    pub(super) format: RecipeFormat,
}

/// Checks that the patches are there, before anything is fetched for nothing.
pub(super) fn check_present(patches: &[String], recipe_dir: &Path) -> Result<()> {
    for text in patches {
        if text.contains("${{") {
            continue;
        }
        if !recipe_dir.join(text).is_file() {
            return Err(missing(text, recipe_dir));
        }
    }
    Ok(())
}

fn missing(text: &str, recipe_dir: &Path) -> Error {
    Error::new(Kind::Usage, format!("the recipe names a patch `{text}`, but there is no such file"))
        .help(format!("patches are relative to the recipe folder `{}`", recipe_dir.display()))
}

/// Applies one patch; returns remarks. `repository`: the source is a git checkout, where git's patches become commits.
///
/// # Errors
/// `Kind::Build` for a patch that doesn't apply: names patch, file and hunk, with its line.
pub(super) fn apply(text: &str, target: &Target<'_>, repository: bool) -> Result<Vec<String>> {
    let path = locate(text, target);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => return Err(missing(text, target.recipe_dir).because(error)),
    };
    if repository && is_mail(&bytes) && git::apply_mail(target.folder, &path) {
        return Ok(Vec::new());
    }
    let patch = Patch { name: text, path: &path, target };
    let files = parse::parse(&bytes).map_err(|malformed| patch.error(Some(malformed.line), malformed.why, &bytes))?;
    if files.is_empty() {
        return Err(patch.error(None, "it holds no change that can be read", &bytes));
    }
    let strip = strip_level(&files, target);
    if files.iter().any(|file| file.binary || file.copy.1.is_some()) {
        return git::apply_binary(target.folder, &path, strip)
            .map(|()| Vec::new())
            .map_err(|why| patch.error(None, &why, &bytes));
    }
    if files.iter().any(changes_line_ends)
        && git::apply_with_patch(target.folder, &path, strip).is_some_and(|done| done.is_ok())
    {
        return Ok(Vec::new());
    }
    let mut overlay = Overlay { root: Root::new(target.folder), files: BTreeMap::new() };
    let mut remarks = Vec::new();
    for file in &files {
        if file.lacks_binary {
            // GNU patch passes over it as text that means nothing.
            let shown = file.git_names.as_ref().map(|(_, new)| String::from_utf8_lossy(new).into_owned());
            let shown = shown.unwrap_or_default();
            remarks.push(format!(
                "the patch `{text}` lacks the content of the binary file `{shown}`, which is left as it is"
            ));
            continue;
        }
        patch.apply_to(file, strip, &mut overlay, &mut remarks, &bytes)?;
    }
    overlay.write()?;
    Ok(remarks)
}

/// Where a patch lies; v1 lets `${{ SRC_DIR }}`, `${{ RECIPE_DIR }}` and `${{ BUILD_DIR }}` stand until now.
fn locate(text: &str, target: &Target<'_>) -> PathBuf {
    let mut text = text.to_owned();
    if text.contains("${{") {
        let build = target.work_dir.parent().unwrap_or(target.work_dir);
        for (name, value) in [("SRC_DIR", target.work_dir), ("RECIPE_DIR", target.recipe_dir), ("BUILD_DIR", build)] {
            for written in [format!("${{{{ {name} }}}}"), format!("${{{{{name}}}}}")] {
                text = text.replace(&written, &value.display().to_string());
            }
        }
    }
    target.recipe_dir.join(text)
}

/// Whether `git format-patch` wrote it: its first line is `From <commit> `.
fn is_mail(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"From ") else { return false };
    rest.len() > 40 && rest[..40].iter().all(u8::is_ascii_hexdigit) && rest[40] == b' '
}

/// Whether a line is taken away and put back with another end, which the library would not see.
fn changes_line_ends(file: &FilePatch) -> bool {
    file.hunks.iter().any(|hunk| {
        let lines = || hunk.text.split_inclusive(|byte| *byte == b'\n').skip(1);
        let crlf = |sign: u8| lines().any(|line| line[0] == sign && line.ends_with(b"\r\n"));
        let lf = |sign: u8| lines().any(|line| line[0] == sign && line.ends_with(b"\n") && !line.ends_with(b"\r\n"));
        (crlf(b'-') && lf(b'+')) || (lf(b'-') && crlf(b'+'))
    })
}

/// How many leading parts of the names don't count: the number by which most of the files exist, the least of equals
/// (conda-build, `_guess_patch_strip_level`); in v1 the first by which any exists (rattler-build). Where none exists,
/// a patch with git's `a/` and `b/` has one.
fn strip_level(files: &[FilePatch], target: &Target<'_>) -> usize {
    let mut names: Vec<&[u8]> = Vec::new();
    for file in files {
        let before = names.len();
        let sides = [&file.old, &file.new];
        let null = |side: &&&Side| target.format == RecipeFormat::V0 || !file.old.is_null() || side.is_null();
        names.extend(sides.iter().filter(null).filter_map(|side| side.name()));
        if names.len() == before
            && let Some((old, new)) = &file.git_names
            && !file.created
        {
            names.extend([old.as_slice(), new.as_slice()]);
        }
    }
    names.sort_unstable();
    names.dedup();
    let exists = |name: &[u8], level: usize| {
        stripped(name, level).is_some_and(|path| target.folder.join(path).symlink_metadata().is_ok())
    };
    let parts = |name: &&[u8]| {
        let parts = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count();
        parts + usize::from(name.starts_with(b"/"))
    };
    let found = match target.format {
        RecipeFormat::V0 => {
            let deepest = names.iter().map(parts).min().unwrap_or(1).saturating_sub(1);
            let count = |level: usize| names.iter().filter(|name| exists(name, level)).count();
            let best = (0..=deepest).map(count).max().unwrap_or(0);
            (0..=deepest).find(|level| best > 0 && count(*level) == best)
        }
        RecipeFormat::V1 => {
            let deepest = names.iter().map(parts).max().unwrap_or(1);
            let first = usize::from(!names.is_empty() && names.iter().all(|name| has_prefix(name)));
            (first..deepest).chain([0]).find(|level| names.iter().any(|name| exists(name, *level)))
        }
    };
    let all = || {
        let git = |file: &FilePatch| file.git_names.clone().map(|(old, new)| [old, new]);
        let sides = |file: &FilePatch| [&file.old, &file.new].map(|side| side.name().map(<[u8]>::to_vec));
        files.iter().flat_map(move |file| sides(file).into_iter().flatten().chain(git(file).into_iter().flatten()))
    };
    found.unwrap_or_else(|| usize::from(all().next().is_some() && all().all(|name| has_prefix(&name))))
}

fn has_prefix(name: &[u8]) -> bool {
    matches!(name, [b'a' | b'b' | b'i' | b'w' | b'c' | b'o', b'/', ..])
}

/// A name without its first parts, as a path below the folder.
fn stripped(name: &[u8], level: usize) -> Option<PathBuf> {
    let mut rest = name;
    for _ in 0..level {
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        rest = &rest[slash..];
        rest = &rest[rest.iter().take_while(|byte| **byte == b'/').count()..];
    }
    let path = member_path(rest).ok()?;
    (!path.as_os_str().is_empty()).then_some(path)
}

struct Patch<'a> {
    name: &'a str,
    path: &'a Path,
    target: &'a Target<'a>,
}

impl Patch<'_> {
    fn error(&self, line: Option<usize>, why: &str, bytes: &[u8]) -> Error {
        let mut error = Error::new(Kind::Build, format!("the patch `{}` doesn't apply: {why}", self.name));
        error.place = line.map(|line| Where {
            file: self.path.to_path_buf(),
            line: Some(line),
            column: None,
            text: bytes
                .split(|byte| *byte == b'\n')
                .nth(line - 1)
                .map(|text| String::from_utf8_lossy(text).trim_end().to_owned()),
        });
        error.help("make the patch again for this version of the source, or drop it")
    }

    fn apply_to(
        &self,
        file: &FilePatch,
        strip: usize,
        overlay: &mut Overlay,
        remarks: &mut Vec<String>,
        bytes: &[u8],
    ) -> Result<()> {
        let fail = |line: usize, why: String| Err(self.error(Some(line), &why, bytes));
        let names = match Names::of(file, strip, overlay) {
            Ok(names) => names,
            Err(why) => return fail(file.line, why),
        };
        let (from, to) = (&names.from, &names.to);
        let shown = to.display().to_string().replace('\\', "/");
        let there = overlay.read(from)?;
        if from != to && there.is_none() && overlay.read(to)?.is_some() {
            return self.already(&shown, file, remarks, bytes);
        }
        if there.is_none() && file.deleted && file.hunks.is_empty() {
            return self.already(&shown, file, remarks, bytes);
        }
        let creates = names.creates && there.as_ref().is_none_or(|there| there.content.is_empty());
        let mut entry = match there {
            Some(there) => there,
            None if creates => Entry { content: Vec::new(), mode: 0o644, link: false },
            None => return fail(file.line, format!("there is no file `{shown}`")),
        };
        if !file.hunks.is_empty() {
            entry.content = match self.hunks(file, &entry.content, creates) {
                Ok(content) => content,
                Err(Refusal::Already) => return self.already(&shown, file, remarks, bytes),
                Err(Refusal::Hunk(index)) => {
                    let hunk = &file.hunks[index];
                    let count = file.hunks.len();
                    return fail(
                        hunk.line,
                        format!("hunk {} of {count} for `{shown}` (line {}) finds no place", index + 1, hunk.old_start),
                    );
                }
                Err(Refusal::Malformed(line, why)) => return fail(line, why),
            };
        }
        if let Some(mode) = file.new_mode {
            entry.link = mode & 0o170_000 == 0o120_000;
            entry.mode = if mode & 0o111 != 0 { entry.mode | 0o111 } else { entry.mode & !0o111 };
        }
        let gone = file.deleted || (file.new.is_null() && !file.old.is_null());
        if gone && !entry.content.is_empty() && !file.hunks.is_empty() {
            return fail(file.line, format!("`{shown}` holds more than the lines that are to go with it"));
        }
        if from != to || gone {
            overlay.files.insert(from.clone(), None);
        }
        if !gone {
            overlay.files.insert(to.clone(), Some(entry));
        }
        Ok(())
    }

    /// conda-build (`patch -N`) fails; rattler-build says so and goes on.
    fn already(&self, shown: &str, file: &FilePatch, remarks: &mut Vec<String>, bytes: &[u8]) -> Result<()> {
        if self.target.format == RecipeFormat::V0 {
            return Err(self.error(
                Some(file.line),
                &format!("its change of `{shown}` is in the source already"),
                bytes,
            ));
        }
        remarks.push(format!("the patch `{}`: its change of `{shown}` is in the source already", self.name));
        Ok(())
    }

    fn hunks(&self, file: &FilePatch, base: &[u8], creates: bool) -> Result<Vec<u8>, Refusal> {
        let mut text = b"--- old\n+++ new\n".to_vec();
        file.hunks.iter().for_each(|hunk| text.extend_from_slice(&hunk.text));
        let parse = |hunk_strategy| {
            let config = ParserConfig { hunk_strategy, skip_order_check: true, strip_ab_prefix: false };
            flickzeug::patch_from_bytes_with_config(&text, config)
        };
        let parsed = match parse(HunkRangeStrategy::Check).or_else(|_| parse(HunkRangeStrategy::Recount)) {
            Ok(parsed) => parsed,
            Err(error) => {
                return Err(Refusal::Malformed(place_of(&file.hunks, error.line()), error.kind().to_string()));
            }
        };
        let [diff] = parsed.diffs() else {
            return Err(Refusal::Malformed(file.line, "its hunks can't be read".into()));
        };
        if creates && base.is_empty() {
            return Ok(created(&file.hunks));
        }
        let config = |max_fuzz, ignore_whitespace| ApplyConfig {
            fuzzy_config: FuzzyConfig { max_fuzz, ignore_whitespace, ignore_case: false, similarity_threshold: 1.0 },
            ..ApplyConfig::default()
        };
        let apply = |config: &ApplyConfig| {
            let partial = flickzeug::apply_bytes_partial(base, diff, config);
            let rejected = partial.rejected.first().map(|first| diff.hunks().iter().position(|hunk| hunk == first));
            rejected.map_or(Ok(partial.content), |index| Err(index.unwrap_or(0)))
        };
        // The lines that are to come may stand somewhere else already. A change that takes lines away and fits as it
        // is was not made yet; one that only adds would fit again.
        let removes =
            file.hunks.iter().any(|hunk| hunk.text.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"-")));
        if removes && let Ok(content) = apply(&config(0, false)) {
            return Ok(content);
        }
        if flickzeug::is_diff_applied_with_config(base, diff, &config(2, false)) {
            return Err(Refusal::Already);
        }
        let first = match apply(&config(2, false)) {
            Ok(content) => return Ok(content),
            Err(first) => first,
        };
        // rattler-build overlooks differing blanks; GNU patch, as conda-build calls it, does not.
        if self.target.format == RecipeFormat::V1
            && let Ok(content) = apply(&config(2, true))
        {
            return Ok(content);
        }
        Err(Refusal::Hunk(first))
    }
}

/// Why hunks were not applied.
enum Refusal {
    Already,
    /// By its index.
    Hunk(usize),
    Malformed(usize, String),
}

/// The line of the patch file that is line `line` of the text made of the hunks, which has two lines before them.
fn place_of(hunks: &[Hunk], line: usize) -> usize {
    let mut left = line.saturating_sub(3);
    for hunk in hunks {
        let lines = hunk.text.iter().filter(|byte| **byte == b'\n').count();
        if left < lines {
            return hunk.line + left;
        }
        left -= lines;
    }
    hunks.last().map_or(1, |hunk| hunk.line)
}

/// The content of a new file: its lines byte for byte.
fn created(hunks: &[Hunk]) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::new();
    for hunk in hunks {
        for line in hunk.text.split_inclusive(|byte| *byte == b'\n').skip(1) {
            match line.first() {
                Some(b'+') => content.extend_from_slice(&line[1..]),
                Some(b'\\') if content.last() == Some(&b'\n') => {
                    content.pop();
                    if content.last() == Some(&b'\r') {
                        content.pop();
                    }
                }
                _ => {}
            }
        }
    }
    content
}

/// Which file is read and which is written.
struct Names {
    from: PathBuf,
    to: PathBuf,
    creates: bool,
}

impl Names {
    fn of(file: &FilePatch, strip: usize, overlay: &mut Overlay) -> Result<Self, String> {
        let path = |name: &[u8], level: usize| {
            let shown = String::from_utf8_lossy(name).into_owned();
            let path = stripped(name, level).ok_or_else(|| format!("the name `{shown}` can't be used"))?;
            if overlay.root.is_direct(path.parent().unwrap_or(Path::new(""))) {
                Ok(path)
            } else {
                Err(format!("`{shown}` lies behind a link"))
            }
        };
        if let (Some(from), Some(to)) = (&file.rename.0, &file.rename.1) {
            let level = strip.saturating_sub(1);
            return Ok(Self { from: path(from, level)?, to: path(to, level)?, creates: false });
        }
        let git = file.git_names.as_ref();
        let old = file.old.name().or_else(|| git.map(|(old, _)| old.as_slice()).filter(|_| !file.old.is_null()));
        let new = file.new.name().or_else(|| git.map(|(_, new)| new.as_slice()).filter(|_| !file.new.is_null()));
        let old = old.map(|name| path(name, strip)).transpose()?;
        let new = new.map(|name| path(name, strip)).transpose()?;
        let creates = file.created
            || file.old.is_null()
            || file.hunks.first().is_some_and(|hunk| hunk.old_start == 0 && hunk.old_len == 0);
        let is_there = |path: &PathBuf, overlay: &mut Overlay| overlay.read(path).is_ok_and(|entry| entry.is_some());
        let target = match (old, new) {
            (Some(only), None) | (None, Some(only)) => only,
            (Some(old), Some(new)) if old == new => new,
            (Some(old), Some(new)) => match (is_there(&old, overlay), is_there(&new, overlay)) {
                (true, false) => old,
                (false, true) => new,
                (false, false) if creates => new,
                // As GNU patch: the fewest folders, then the shortest name.
                _ => {
                    let weight = |path: &PathBuf| {
                        let base = path.file_name().map_or(0, std::ffi::OsStr::len);
                        (path.components().count(), base, path.as_os_str().len())
                    };
                    if weight(&old) < weight(&new) { old } else { new }
                }
            },
            (None, None) => return Err("a change names no file".into()),
        };
        Ok(Self { from: target.clone(), to: target, creates })
    }
}

/// A file as it will be.
#[derive(Debug, Clone)]
struct Entry {
    /// For a link: its target.
    content: Vec<u8>,
    mode: u32,
    link: bool,
}

/// The folder with the changes so far, written at the end.
struct Overlay {
    root: Root,
    files: BTreeMap<PathBuf, Option<Entry>>,
}

impl Overlay {
    fn read(&mut self, path: &Path) -> Result<Option<Entry>> {
        if let Some(entry) = self.files.get(path) {
            return Ok(entry.clone());
        }
        let full = self.root.folder().join(path);
        let Ok(metadata) = full.symlink_metadata() else { return Ok(None) };
        if metadata.is_dir() || !self.root.is_direct(path.parent().unwrap_or(Path::new(""))) {
            return Ok(None);
        }
        if metadata.file_type().is_symlink() {
            let target = fs_err::read_link(&full)?.to_string_lossy().replace('\\', "/");
            return Ok(Some(Entry { content: target.into_bytes(), mode: 0o644, link: true }));
        }
        Ok(Some(Entry { content: fs_err::read(&full)?, mode: host::mode(&metadata), link: false }))
    }

    fn write(mut self) -> Result<()> {
        for (path, _) in self.files.iter().filter(|(_, entry)| entry.is_none()) {
            let full = self.root.folder().join(path);
            if full.symlink_metadata().is_ok() {
                fs_err::remove_file(&full)?;
            }
            // Folders that became empty go too, as with git and GNU patch.
            for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
                if std::fs::remove_dir(self.root.folder().join(folder)).is_err() {
                    break;
                }
            }
        }
        for (path, entry) in std::mem::take(&mut self.files) {
            let Some(entry) = entry else { continue };
            let full = self.root.place(&path)?;
            // The file may be linked to another: that one must not change.
            if full.symlink_metadata().is_ok() {
                fs_err::remove_file(&full)?;
            }
            if entry.link {
                let Some(target) = host::path(&entry.content) else { continue };
                host::symlink(&target, &full)?;
            } else {
                fs_err::write(&full, &entry.content)?;
                host::set_mode(&full, entry.mode | 0o600)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
