//! A case's folder, and running many cases at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use gonda_recipe::{ConfigPlatform, Finalize, Request, VariantFiles};
use rattler_conda_types::Subdir;
use serde_json::{Map, Value, json};

use crate::Tree;
use crate::report::{Difference, Verdict};

/// A recipe with its results, on one platform.
pub(crate) struct Case {
    /// The case's folder.
    pub(crate) folder: PathBuf,
    /// The folder's name.
    pub(crate) name: String,
    /// `case.json`.
    pub(crate) info: Value,
    /// The target platform.
    pub(crate) platform: String,
    /// `expected/<platform>.json`.
    pub(crate) expected: Value,
}

/// The cases of a folder of cases, each with each platform that it has a result for.
pub(crate) fn cases(tree: &Tree<'_>, part: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for folder in folders(&tree.folder.join(part))? {
        let name = file_name(&folder);
        if !folder.join("expected").is_dir() || !tree.wants(&name) {
            continue;
        }
        let info = folder.join("case.json");
        let info = if info.is_file() { read_json(&info)? } else { json!({}) };
        for file in entries(&folder.join("expected"))? {
            let platform = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // Other files tell more about all platforms.
            if file.extension().is_some_and(|extension| extension == "json") && platform.parse::<Subdir>().is_ok() {
                let expected = read_json(&file)?;
                cases.push(Case { folder: folder.clone(), name: name.clone(), info: info.clone(), platform, expected });
            }
        }
    }
    Ok(cases)
}

impl Case {
    /// The platform that builds: the target, unless the case says another.
    pub(crate) fn build_platform(&self) -> &str {
        self.info["build_platform"].as_str().unwrap_or(&self.platform)
    }

    /// What to render: `recipe`, a file below the case's folder, with the case's variants.
    pub(crate) fn request(&self, recipe: &str, finalize: Finalize, trim_skip: bool) -> Result<Request> {
        let mut overrides = self.info["variants"].as_object().cloned().unwrap_or_default();
        if recipe.ends_with("meta.yaml") && self.build_platform() != self.platform {
            overrides.insert("target_platform".to_owned(), json!([self.platform]));
        }
        let variant = self.folder.join("variant.yaml");
        Ok(Request {
            recipe: self.folder.join(recipe),
            build_platform: self.build_platform().parse()?,
            target_platform: self.platform.parse()?,
            variants: VariantFiles {
                additional: variant.is_file().then_some(variant).into_iter().collect(),
                overrides: (!overrides.is_empty()).then(|| Value::Object(overrides).to_string()),
                ..VariantFiles::default()
            },
            config_platform: ConfigPlatform::Build,
            finalize,
            trim_skip,
        })
    }

    /// The case and its platform, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.platform)
    }
}

/// Compares `items` on all cores; the verdicts stand in the items' order. An item whose comparison fails or panics
/// counts as one that is not equal.
pub(crate) fn on_all_cores<T: Sync>(
    items: &[T],
    title: impl Fn(&T) -> String + Sync,
    compare: impl Fn(&T) -> Result<Verdict> + Sync,
) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            let verdict = match catch_unwind(AssertUnwindSafe(|| compare(item))) {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(error)) => Verdict::failed(title(item), format!("{error:#}")),
                Err(_) => Verdict::failed(title(item), "gonda panicked".to_owned()),
            };
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, verdict));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, verdict)| verdict).collect()
}

impl Verdict {
    fn failed(case: String, text: String) -> Self {
        Self { equal: 0, total: 1, difference: Some(Difference { case, text, excuse: None }) }
    }

    /// One comparison of two values.
    pub(crate) fn of(case: String, expected: &Value, actual: &Value) -> Self {
        let places = crate::compare::places(expected, actual);
        let difference =
            (!places.is_empty()).then(|| Difference { case, text: crate::compare::tell(&places), excuse: None });
        Self { equal: usize::from(difference.is_none()), total: 1, difference }
    }
}

/// A JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    serde_json::from_slice(&fs_err::read(path)?).with_context(|| format!("`{}` is not JSON", path.display()))
}

/// A table as text.
pub(crate) struct Table {
    /// The columns' names.
    pub(crate) head: Vec<String>,
    /// The rows, each with its cells.
    pub(crate) rows: Vec<Vec<String>>,
}

/// A table; `None` if there is no such file.
pub(crate) fn table(path: &Path) -> Result<Option<Table>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(path)?;
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let head = text.lines().find_map(|line| line.strip_prefix("#:")).map(cells);
    let head = head.with_context(|| format!("`{}` has no line that begins with `#:`", path.display()))?;
    let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(cells).collect();
    Ok(Some(Table { head, rows }))
}

/// The variant that a set of single values is.
pub(crate) fn single_values(values: &[(&str, &str)]) -> Map<String, Value> {
    values.iter().map(|(key, value)| ((*key).to_owned(), json!([value]))).collect()
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// What is in a folder, sorted.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths =
        fs_err::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// A path's last name.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
