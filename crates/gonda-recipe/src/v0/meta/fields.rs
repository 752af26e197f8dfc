//! Sections and keys that a `meta.yaml` may have. What else stands there is passed over when a recipe is rendered, so a
//! misspelt name is lost without a word; it is worth a warning (metadata.py `FIELDS`, which `conda-build --check` asks).

use serde_json::{Map, Value as Json};

use crate::RecipeError;
use crate::v0::error::{at_line, in_file};
use crate::v0::session::Session;

/// Section and keys; an empty list takes any.
const FIELDS: &[(&str, &[&str])] = &[
    ("package", &["name", "version"]),
    ("source", SOURCE),
    ("build", BUILD),
    ("requirements", REQUIREMENTS),
    ("outputs", OUTPUT),
    ("app", &["entry", "icon", "summary", "type", "cli_opts", "own_environment"]),
    ("test", TEST),
    ("about", ABOUT),
    ("extra", &[]),
];
const SOURCE: &[&str] = &[
    "fn",
    "url",
    "md5",
    "sha1",
    "sha224",
    "sha256",
    "sha384",
    "sha512",
    "content_sha256",
    "content_sha384",
    "content_sha512",
    "content_hash_skip",
    "path",
    "path_via_symlink",
    "git_url",
    "git_tag",
    "git_branch",
    "git_rev",
    "git_depth",
    "hg_url",
    "hg_tag",
    "svn_url",
    "svn_rev",
    "svn_ignore_externals",
    "svn_username",
    "svn_password",
    "folder",
    "no_hoist",
    "patches",
];
const BUILD: &[&str] = &[
    "number",
    "string",
    "entry_points",
    "osx_is_app",
    "disable_pip",
    "features",
    "track_features",
    "preserve_egg_dir",
    "no_link",
    "binary_relocation",
    "script",
    "noarch",
    "noarch_python",
    "python_version_independent",
    "has_prefix_files",
    "binary_has_prefix_files",
    "ignore_prefix_files",
    "detect_binary_files_with_prefix",
    "skip_compile_pyc",
    "rpaths",
    "rpaths_patcher",
    "script_env",
    "always_include_files",
    "skip",
    "msvc_compiler",
    "pin_depends",
    "include_recipe",
    "preferred_env",
    "preferred_env_executable_paths",
    "run_exports",
    "ignore_run_exports",
    "ignore_run_exports_from",
    "requires_features",
    "provides_features",
    "force_use_keys",
    "force_ignore_keys",
    "merge_build_host",
    "pre-link",
    "post-link",
    "pre-unlink",
    "missing_dso_whitelist",
    "missing_dso_allowlist",
    "runpath_whitelist",
    "runpath_allowlist",
    "error_overdepending",
    "error_overlinking",
    "overlinking_ignore_patterns",
    "python_site_packages_path",
    // Read, though not among the fields.
    "activate_in_script",
];
const REQUIREMENTS: &[&str] = &["build", "host", "run", "conflicts", "run_constrained"];
const OUTPUT: &[&str] = &[
    "name",
    "version",
    "number",
    "entry_points",
    "script",
    "script_interpreter",
    "build",
    "requirements",
    "test",
    "about",
    "extra",
    "files",
    "type",
    "run_exports",
    "target",
    "source",
];
/// `script` is an output's.
const TEST: &[&str] = &["requires", "commands", "files", "imports", "source_files", "downstreams", "script"];
const ABOUT: &[&str] = &[
    "home",
    "dev_url",
    "doc_url",
    "doc_source_url",
    "license_url",
    "license",
    "summary",
    "description",
    "license_family",
    "identifiers",
    "tags",
    "keywords",
    "license_file",
    "prelink_message",
    "readme",
];

/// What a recipe has that nobody reads, each with its place.
pub(super) fn unknown(session: &Session<'_>, meta: &Map<String, Json>) -> Vec<RecipeError> {
    let mut found = Vec::new();
    let sections: Vec<&str> = FIELDS.iter().map(|(section, _)| *section).collect();
    for (name, value) in meta {
        match FIELDS.iter().find(|(section, _)| section == name) {
            Some((section, keys)) => look(session, section, value, keys, &mut found),
            None => found.push(told(session, name, format!("`{name}` is no section of a recipe"), &sections)),
        }
    }
    found
}

/// Looks at a section, or at each item of one that is a list.
fn look(session: &Session<'_>, section: &str, value: &Json, keys: &[&str], found: &mut Vec<RecipeError>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| look(session, section, item, keys, found)),
        Json::Object(map) if !keys.is_empty() => {
            for (key, value) in map {
                if !keys.contains(&key.as_str()) {
                    found.push(told(session, key, format!("`{section}` has no key `{key}`"), keys));
                } else if section == "outputs" {
                    let inner = FIELDS.iter().find(|(name, _)| name == key && *name != "source");
                    let Some((inner, keys)) = inner.filter(|_| value.is_object()) else { continue };
                    look(session, inner, value, keys, found);
                }
            }
        }
        _ => {}
    }
}

/// The warning, at the first line that begins with the key.
fn told(session: &Session<'_>, key: &str, message: String, known: &[&str]) -> RecipeError {
    let help = match nearest(key, known) {
        Some(near) => format!("it is passed over; did you mean `{near}`?"),
        None if known.len() <= 10 => format!("it is passed over; there are {}", known.join(", ")),
        None => "it is passed over".to_owned(),
    };
    let begins = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ").trim_start();
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    match session.text.split('\n').position(begins) {
        Some(line) => at_line(&session.file, &session.text, line, None, message, Some(&help)),
        None => in_file(&session.file, message, Some(&help)),
    }
}

/// The known name that is the fewest letters away, if these are few.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    if key.len() >= 4
        && let Some(longer) = known.iter().find(|name| name.starts_with(key))
    {
        return Some(longer);
    }
    let far = |name: &str| distance(key, name);
    known.iter().copied().min_by_key(|name| far(name)).filter(|name| far(name) * 3 <= key.chars().count().max(3))
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
