//! The one type that both recipe formats render to: an output, concrete in every field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use rattler_conda_types::package::RunExportsJson;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Variant;

/// Which format an output was written in; decides how its script and tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipeFormat {
    /// `meta.yaml`, conda-build's.
    V0,
    /// `recipe.yaml`, CEP 13/14.
    V1,
}

/// `noarch` of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Noarch {
    /// Files for any platform.
    Generic,
    /// A Python package.
    Python,
}

/// One package to build.
#[derive(Debug, Clone)]
pub struct Output {
    /// The format of its recipe.
    pub format: RecipeFormat,
    /// Package name.
    pub name: String,
    /// Version, as in the package's file name.
    pub version: String,
    /// Build string, with its hash where it has one.
    pub build_string: String,
    /// Build number.
    pub build_number: u64,
    /// `noarch`, if any.
    pub noarch: Option<Noarch>,
    /// Whether the recipe skips this output for this variant.
    pub skip: bool,
    /// The platform the package is for (conda's `target_platform`; `noarch` packages have one too).
    pub target_platform: Subdir,
    /// The target platform as the variant names it, where conda knows none of that name (`linux-cos5-64`). Such an
    /// output can be rendered and not be built; `target_platform` is then the usual platform of the same system, or
    /// `noarch` where the system is unknown too.
    pub unknown_platform: Option<String>,
    /// The platform the build runs on.
    pub build_platform: Subdir,
    /// Requirements as rendered, in the recipe's order.
    pub requirements: Requirements,
    /// `depends` of `index.json`. Before finalising: as far as known.
    pub depends: Vec<String>,
    /// `constrains` of `index.json`.
    pub constrains: Vec<String>,
    /// `run_exports` of this package, for `run_exports.json`.
    pub run_exports: RunExportsJson,
    /// Where the source comes from.
    pub sources: Vec<Source>,
    /// How it is built.
    pub build: Build,
    /// How the package is tested.
    pub tests: Tests,
    /// The parts of `about` that the build itself needs.
    pub about: About,
    /// `build`, `about`, `test`, `source`, `extra` as data, as the reference tool's parsed recipe has them.
    pub sections: Sections,
    /// The whole variant; values as text (v1 values of other types in their JSON form).
    pub variant: Variant,
    /// Names of the variant's keys that the output uses.
    pub used_vars: BTreeSet<String>,
    /// What the hash is made of. Keys are spelled as the reference tool's own result has them: in v1 that is as the
    /// recipe wrote them first, `-` and all, though `_` stands in what is hashed.
    pub hash_contents: BTreeMap<String, Value>,
    /// `h` + 7 hex digits (v0), 7 digits (v1); `None` where the build string has none.
    pub hash: Option<String>,
    /// Name and version of the recipe's top level, where the output is one of several.
    pub parent: Option<PinnedOutput>,
    /// The rendered recipe, as it goes into `info/recipe/` (`meta.yaml` or `rendered_recipe.yaml`).
    pub rendered_recipe: String,
}

impl Output {
    /// What other outputs pin of it.
    #[must_use]
    pub fn pinned(&self) -> PinnedOutput {
        PinnedOutput { name: self.name.clone(), version: self.version.clone(), build_string: self.build_string.clone() }
    }

    /// The subdir of the channel that the package goes to: `noarch`, or the target platform.
    #[must_use]
    pub fn subdir(&self) -> String {
        if self.noarch.is_some() { "noarch" } else { self.platform() }.to_owned()
    }

    /// The target platform's name, known to conda or not.
    #[must_use]
    pub fn platform(&self) -> &str {
        self.unknown_platform.as_deref().unwrap_or(self.target_platform.as_str())
    }

    /// `<name>-<version>-<build string>.conda`.
    #[must_use]
    pub fn filename(&self) -> String {
        format!("{}-{}-{}.conda", self.name, self.version, self.build_string)
    }

    /// The documented JSON form: what `gonda render --format json` writes and the conformance set is held against.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version,
            "build_string": self.build_string,
            "build_number": self.build_number,
            "subdir": self.subdir(),
            "noarch": self.noarch,
            "skip": self.skip,
            "filename": self.filename(),
            "target_platform": self.platform(),
            "build_platform": self.build_platform.as_str(),
            "requirements": self.requirements,
            "depends": self.depends,
            "build": self.sections.build,
            "about": self.sections.about,
            "test": self.sections.test,
            "source": self.sections.source,
            "extra": self.sections.extra,
            "used_vars": self.used_vars,
            "hash_contents": self.hash_contents,
            "hash": self.hash,
        })
    }
}

/// The four lists of requirements. Symbolic pins of v1 recipes stand as `pin_subpackage(…)` JSON text until finalised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Requirements {
    /// Runs on the build machine.
    pub build: Vec<String>,
    /// For the target, at build time.
    pub host: Vec<String>,
    /// For the target, at run time.
    pub run: Vec<String>,
    /// Constraints at run time.
    pub run_constrained: Vec<String>,
    /// Whatever else stands in the section; it has no meaning.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Which of an output's environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Env {
    /// Tools that run on the build machine.
    Build,
    /// Libraries for the target.
    Host,
}

impl Env {
    /// As recipes call it: `build`, `host`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Host => "host",
        }
    }
}

/// One place the source comes from, with what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The place.
    pub kind: SourceKind,
    /// v0 `folder`, v1 `target_directory`: where below the work folder it goes.
    pub folder: Option<String>,
    /// Patches in order, relative to the recipe folder. v1: `${{ SRC_DIR }}`, `${{ RECIPE_DIR }}` and
    /// `${{ BUILD_DIR }}` stand for folders of the build.
    pub patches: Vec<String>,
    /// v1 `filter`: the only files that are taken, of a folder, a checkout or an unpacked archive. A file that is no
    /// archive is taken always.
    pub filter: FileMatch,
}

/// The kinds of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A file behind one of several urls.
    Url {
        /// Tried in order.
        urls: Vec<String>,
        /// Hex digest.
        sha256: Option<String>,
        /// Hex digest.
        md5: Option<String>,
        /// Hex digest (v0 only).
        sha1: Option<String>,
        /// v0 `fn`, v1 `file_name`: the name to save it by; an archive under such a name in v1 stays packed.
        file_name: Option<String>,
    },
    /// A git repository.
    Git {
        /// Url or path as written.
        url: String,
        /// Branch, tag or commit; `None` is HEAD.
        rev: Option<String>,
        /// `git_depth`/`depth`.
        depth: Option<i64>,
        /// Git large files.
        lfs: bool,
        /// Whether submodules are checked out (v0: always).
        submodules: bool,
        /// The commit that `rev` must be (v1 `expected_commit`).
        expected_commit: Option<String>,
    },
    /// A file or folder, relative to the recipe folder.
    Path {
        /// As written.
        path: PathBuf,
        /// Hex digest, for files.
        sha256: Option<String>,
        /// Hex digest, for files.
        md5: Option<String>,
        /// The name to copy a file to.
        file_name: Option<String>,
        /// v1 `use_gitignore`.
        use_gitignore: bool,
    },
}

/// Which files a list of globs means. v1 has include and exclude lists, v0 only includes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileMatch {
    /// Globs; empty matches nothing unless `all`.
    pub include: Vec<String>,
    /// Globs taken away.
    pub exclude: Vec<String>,
    /// `true` written in place of a list: all files.
    pub all: bool,
}

impl FileMatch {
    /// Whether, as the filter of a source, it leaves nothing out.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.exclude.is_empty() && (self.all || self.include.is_empty())
    }
}

/// What the build section says, as far as building and packing need it.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// What runs, in order. v0 and most v1 recipes have one.
    pub scripts: Vec<Script>,
    /// v0: what the top level of a recipe with outputs runs before them, once for all of them. The files it installs
    /// are this output's only where [`Build::files`] names them.
    pub top_level: Option<TopLevel>,
    /// v0 `script_env`.
    pub script_env: Vec<ScriptVariable>,
    /// Search binary files for the prefix (v0 `detect_binary_files_with_prefix`; v1 not `ignore_binary_files`).
    pub detect_binary_files_with_prefix: Option<bool>,
    /// Files not searched for the prefix.
    pub ignore_prefix_files: FileMatch,
    /// v0 `has_prefix_files`, v1 `force_file_type.text`: files that hold the prefix as text.
    pub has_prefix_files: Vec<String>,
    /// v0 `binary_has_prefix_files`, v1 `force_file_type.binary`.
    pub binary_has_prefix_files: Vec<String>,
    /// Files that must not be hard linked (v0 `no_link`, v1 `always_copy_files`).
    pub no_link: FileMatch,
    /// Files packed although a dependency already put them into the prefix.
    pub always_include_files: FileMatch,
    /// v0 output `files`, v1 `build.files`: only these are packed; `None` packs all new files.
    pub files: Option<FileMatch>,
    /// Build and host are one environment.
    pub merge_build_host: bool,
    /// v0 `track_features`.
    pub track_features: Vec<String>,
    /// v0 `noarch: python` and v1: `name = module:function`.
    pub entry_points: Vec<String>,
    /// v1 `post_process`: files, regex, replacement.
    pub post_process: Vec<(FileMatch, String, String)>,
}

/// The top level of a v0 recipe with outputs, as far as it is built itself (conda-build's `build.py`, `build`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopLevel {
    /// The recipe's name.
    pub name: String,
    /// The recipe's version.
    pub version: String,
    /// What runs. [`ScriptContent::Default`] where the recipe has no script but perhaps a file for one.
    pub scripts: Vec<Script>,
    /// Match specs of its build environment.
    pub build: Vec<String>,
    /// Match specs of its host environment, without run exports.
    pub host: Vec<String>,
    /// Build and host are one environment.
    pub merge_build_host: bool,
}

/// A name in `script_env`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptVariable {
    /// Taken from the caller, if set there.
    Pass(String),
    /// `NAME=value`.
    Set(String, String),
}

/// One script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What to run.
    pub content: ScriptContent,
    /// v1 `interpreter`; `None`: by the file's extension, else the platform's shell.
    pub interpreter: Option<String>,
    /// v1 `env`.
    pub env: IndexMap<String, String>,
    /// v1 `secrets`: names passed on from the caller and hidden in logs.
    pub secrets: Vec<String>,
    /// v1 `cwd`, relative to the work folder.
    pub cwd: Option<PathBuf>,
}

/// The text of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptContent {
    /// The recipe folder's `build.sh` (`bld.bat` in v0, `build.bat` in v1 for Windows targets), if there is one.
    Default,
    /// Lines. In v1 they still hold `${{ }}`, rendered at run time against the script's environment.
    Lines(Vec<String>),
    /// A file of the recipe folder; v1 allows leaving the extension out.
    File(PathBuf),
}

/// What is needed from `about`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// SPDX text as written.
    pub license: Option<String>,
    /// `license_family`.
    pub license_family: Option<String>,
    /// Paths (v0) or globs (v1), in work folder or recipe folder. v1: a leading `!` takes matches away again, and
    /// `${{ PREFIX }}` and its like stand for folders of the build.
    pub license_files: Vec<String>,
    /// v0 `prelink_message`.
    pub prelink_messages: Vec<String>,
    /// v0 `readme`.
    pub readme: Option<String>,
}

/// Sections as data, in the words of the reference tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sections {
    /// `build`.
    pub build: Map<String, Value>,
    /// `about`; what `info/about.json` is made of.
    pub about: Map<String, Value>,
    /// `test` (v0) or `tests` (v1).
    pub test: Value,
    /// `source`.
    pub source: Value,
    /// `extra`.
    pub extra: Value,
    /// v0 `app`.
    pub app: Value,
}

/// Tests of a package, as its format has them.
#[derive(Debug, Clone)]
pub enum Tests {
    /// conda-build's `test` section.
    Legacy(LegacyTest),
    /// CEP 14's `tests` list.
    List(Vec<PackageTest>),
}

/// conda-build's `test` section and the `run_test.*` files beside the recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegacyTest {
    /// Added to the test environment.
    pub requires: Vec<String>,
    /// Shell lines.
    pub commands: Vec<String>,
    /// Python imports.
    pub imports: Vec<String>,
    /// Files of the recipe folder.
    pub files: Vec<String>,
    /// Files of the source.
    pub source_files: Vec<String>,
    /// Packages whose tests run too.
    pub downstreams: Vec<String>,
    /// An output's `test/script`, a file of the recipe folder.
    pub script: Option<String>,
}

/// One entry of CEP 14's `tests`, as it goes into `info/tests/tests.yaml`. Where it has globs, `script.cwd` names the
/// folder below the prefix that the files are packed into (`etc/conda/test-files/NAME/INDEX`); if no file matches, the
/// packer takes `cwd` out again.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageTest {
    /// The entry as data.
    pub spec: Value,
    /// Globs of source files that the test needs.
    pub source_files: FileMatch,
    /// Globs of recipe files that the test needs.
    pub recipe_files: FileMatch,
}

impl PackageTest {
    /// Whether the entry goes into the package. Checks of a package's content run where it is built, and stay there,
    /// as rattler-build has it.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.spec.get("package_contents").is_none()
    }
}

/// What the solver chose for an output, for finalising.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The build environment.
    pub build: Vec<ResolvedPackage>,
    /// The host environment.
    pub host: Vec<ResolvedPackage>,
    /// The recipe's other outputs, as far as finalised.
    pub outputs: Vec<PinnedOutput>,
}

/// A package of a solved environment.
#[derive(Debug, Clone)]
pub struct ResolvedPackage {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string.
    pub build: String,
    /// Whether the output asked for it by name; only then its run exports count.
    pub direct: bool,
    /// Its run exports.
    pub run_exports: RunExportsJson,
}

/// Name, version and build string of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedOutput {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Build string.
    pub build_string: String,
}
