//! `package_contents` of CEP 14: which files a package must have, and which it must not.
//!
//! Each section prefixes its globs with where such files lie on the package's platform; `*` crosses `/`, as in
//! rattler-build. `strict` wants every file of the package to be matched by one of the `exists` globs.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rattler_conda_types::Subdir;
use serde_json::{Map, Value};

/// Globs as written, by section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    sections: Vec<(Section, Expectation)>,
    /// Whether each file must be matched.
    pub strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Include,
    Bin,
    Lib,
    SitePackages,
    Files,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Expectation {
    exists: Vec<String>,
    not_exists: Vec<String>,
}

const SECTIONS: [(&str, Section); 5] = [
    ("include", Section::Include),
    ("bin", Section::Bin),
    ("lib", Section::Lib),
    ("site_packages", Section::SitePackages),
    ("files", Section::Files),
];

impl Contents {
    /// Reads the value of an entry's `package_contents`: sections, each a list of globs or `exists`/`not_exists`.
    ///
    /// # Errors
    /// A text that says what is no part of such an entry.
    pub fn read(value: &Value) -> Result<Self, String> {
        let map = value.as_object().ok_or("`package_contents` is no mapping")?;
        let mut contents = Self::default();
        for (key, value) in map {
            if key == "strict" {
                contents.strict = value.as_bool().ok_or("`strict` is neither true nor false")?;
                continue;
            }
            let section = SECTIONS.iter().find(|(name, _)| name == key);
            let (name, section) = section.ok_or_else(|| format!("`package_contents` has no section `{key}`"))?;
            let expectation = match value {
                Value::Object(map) => {
                    if let Some(key) = map.keys().find(|key| !matches!(key.as_str(), "exists" | "not_exists")) {
                        return Err(format!("`{name}` has no `{key}`"));
                    }
                    Expectation { exists: globs(map, "exists")?, not_exists: globs(map, "not_exists")? }
                }
                list => {
                    let list = Map::from_iter([("exists".to_owned(), list.clone())]);
                    Expectation { exists: globs(&list, "exists")?, not_exists: Vec::new() }
                }
            };
            contents.sections.push((*section, expectation));
        }
        contents.sections.sort_by_key(|(section, _)| SECTIONS.iter().position(|(_, other)| other == section));
        Ok(contents)
    }

    /// Compares a package's paths (with `/`) with what is expected; says what is wrong, empty if nothing is.
    /// `version_independent`: Python files lie in `site-packages/` itself.
    ///
    /// # Errors
    /// A glob that is none.
    pub fn check<P: AsRef<str>>(
        &self,
        paths: &[P],
        platform: Subdir,
        version_independent: bool,
    ) -> Result<Vec<String>, String> {
        let mut issues = Vec::new();
        let mut matched = vec![false; paths.len()];
        for (section, expectation) in &self.sections {
            let name = SECTIONS.iter().find(|(_, other)| other == section).map_or("files", |(name, _)| name);
            for glob in &expectation.exists {
                for patterns in section.patterns(glob, platform, version_independent) {
                    let set = compile(&patterns)?;
                    let mut found = false;
                    for (path, matched) in paths.iter().zip(&mut matched) {
                        if set.is_match(path.as_ref()) {
                            found = true;
                            *matched = true;
                        }
                    }
                    if !found {
                        issues.push(format!("{name}: no file matches {}", quoted(&patterns)));
                    }
                }
            }
            for glob in &expectation.not_exists {
                for patterns in section.patterns(glob, platform, version_independent) {
                    let set = compile(&patterns)?;
                    let found: Vec<_> = paths.iter().map(AsRef::as_ref).filter(|path| set.is_match(path)).collect();
                    if !found.is_empty() {
                        let found = some_of(&found);
                        issues.push(format!("{name}: {} must match no file, but does: {found}", quoted(&patterns)));
                    }
                }
            }
        }
        if self.strict {
            let left: Vec<_> =
                paths.iter().zip(&matched).filter(|(_, matched)| !**matched).map(|(path, _)| path.as_ref()).collect();
            if !left.is_empty() {
                issues.push(format!("strict: {} files are matched by no glob: {}", left.len(), some_of(&left)));
            }
        }
        Ok(issues)
    }
}

impl Section {
    /// The full globs for one as written: the outer list must each match, of an inner list one suffices.
    fn patterns(self, glob: &str, platform: Subdir, version_independent: bool) -> Vec<Vec<String>> {
        let windows = platform.is_windows();
        match self {
            Self::Include if windows => vec![vec![format!("Library/include/{glob}")]],
            Self::Include => vec![vec![format!("include/{glob}")]],
            Self::Bin if windows => {
                let folders = ["Library/bin/", "Scripts/", "bin/", "Library/mingw-w64/bin/", "Library/usr/bin/", ""];
                vec![folders.map(|folder| format!("{folder}{glob}{{,.exe,.bat,.cmd,.com,.ps1}}")).to_vec()]
            }
            Self::Bin if platform == Subdir::EmscriptenWasm32 => {
                vec![vec![format!("bin/{glob}.js"), format!("bin/{glob}.wasm")]]
            }
            Self::Bin => vec![vec![format!("bin/{glob}")]],
            Self::Lib if windows => match () {
                () if glob.ends_with(".dll") => vec![vec![format!("Library/bin/{glob}")]],
                () if glob.ends_with(".lib") => vec![vec![format!("Library/lib/{glob}")]],
                () => vec![vec![format!("Library/bin/{glob}.dll")], vec![format!("Library/lib/{glob}.lib")]],
            },
            Self::Lib => {
                let mac = platform.is_osx() || platform.is_ios();
                let whole = if mac {
                    glob.ends_with(".dylib") || glob.ends_with(".a")
                } else {
                    glob.ends_with(".so") || glob.contains(".so.") || glob.ends_with(".a")
                };
                vec![match (whole, mac) {
                    (true, _) => vec![format!("lib/{glob}")],
                    (false, true) => {
                        vec![format!("lib/{{,lib}}{glob}.dylib"), format!("lib/{{,lib}}{glob}.*.dylib")]
                    }
                    (false, false) => vec![format!("lib/{{,lib}}{glob}.so"), format!("lib/{{,lib}}{glob}.so.*")],
                }]
            }
            Self::SitePackages => {
                let base = match () {
                    () if version_independent => "site-packages",
                    () if windows => "Lib/site-packages",
                    () => "lib/python*/site-packages",
                };
                if glob.contains('/') {
                    return vec![vec![format!("{base}/{glob}")]];
                }
                // A module by its dotted name.
                let path = glob.replace('.', "/");
                vec![vec![format!("{base}/{path}.py"), format!("{base}/{path}/__init__.py")]]
            }
            Self::Files => vec![vec![glob.to_owned()]],
        }
    }
}

fn globs(map: &Map<String, Value>, key: &str) -> Result<Vec<String>, String> {
    let list = match map.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.as_slice(),
        // `include`/`exclude` lists: only what is included is asked for.
        Some(Value::Object(map)) if map.contains_key("include") => return globs(map, "include"),
        Some(one) => std::slice::from_ref(one),
    };
    let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| format!("`{item}` is no glob"));
    list.iter().map(text).collect()
}

fn compile(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).empty_alternates(true).build();
        set.add(glob.map_err(|error| format!("`{pattern}` is no glob: {}", error.kind()))?);
    }
    set.build().map_err(|error| error.to_string())
}

fn quoted(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(" or ")
}

fn some_of(paths: &[&str]) -> String {
    let mut text: Vec<String> = paths.iter().take(10).map(|path| format!("`{path}`")).collect();
    if paths.len() > 10 {
        text.push(format!("and {} more", paths.len() - 10));
    }
    text.join(", ")
}
