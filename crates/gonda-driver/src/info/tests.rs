//! `info/` of outputs made by hand, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gonda_packager::Content;
use gonda_recipe::{
    About, Build, FileMatch, LegacyTest, Noarch, Output, PackageTest, PinnedOutput, RecipeFormat, Requirements, Script,
    ScriptContent, Sections, Tests,
};
use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use rattler_conda_types::package::RunExportsJson;
use serde_json::{Value, json};

use super::metadata::public_channel;
use super::*;

/// A plain output, for tests here and in `stage`.
pub(crate) fn output(format: RecipeFormat) -> Output {
    Output {
        format,
        name: "tool".into(),
        version: "1.2".into(),
        build_string: "h1234567_0".into(),
        build_number: 0,
        noarch: None,
        skip: false,
        target_platform: Subdir::LinuxAarch64,
        unknown_platform: None,
        build_platform: Subdir::Linux64,
        requirements: Requirements::default(),
        depends: vec!["b  >=1".into(), "a".into()],
        constrains: Vec::new(),
        run_exports: RunExportsJson::default(),
        sources: Vec::new(),
        build: Build::default(),
        tests: match format {
            RecipeFormat::V0 => Tests::Legacy(LegacyTest::default()),
            RecipeFormat::V1 => Tests::List(Vec::new()),
        },
        about: About { license: Some("MIT".into()), ..About::default() },
        sections: Sections { extra: Value::Null, ..Sections::default() },
        variant: [("target_platform", json!("linux-aarch64")), ("zlib", json!("1.10"))].into_iter().collect(),
        used_vars: BTreeSet::new(),
        hash_contents: BTreeMap::from([("target_platform".into(), json!("linux-aarch64"))]),
        hash: None,
        parent: None,
        rendered_recipe: "rendered: true\n".into(),
    }
}

struct World {
    root: tempfile::TempDir,
}

impl World {
    /// Files by path below `recipe/`, `work/`, `prefix/`.
    fn new(files: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["recipe", "work", "prefix", "build_prefix"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("<{file}>")).unwrap();
        }
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The files by path, as text; or the error and its help.
    fn info(&self, output: &Output) -> Result<BTreeMap<String, String>, String> {
        let (recipe, work) = (self.path("recipe"), self.path("work"));
        let (prefix, build_prefix) = (self.path("prefix"), self.path("build_prefix"));
        let facts = Facts {
            output,
            channels: &["conda-forge".into(), "file:///home/somebody/my-channel".into()],
            recipe_dir: &recipe,
            recipe_file: if output.format == RecipeFormat::V0 { "meta.yaml" } else { "recipe.yaml" },
            work_dir: &work,
            prefix: &prefix,
            build_prefix: &build_prefix,
            places: &[("/seen/work".into(), work.clone())],
            hidden: &[(self.root.path().display().to_string(), "$BUILD".into())],
            timestamp: 1_700_000_000,
            git: "",
            recipe_files: &[("gonda.json".into(), b"{}".to_vec())],
            not_recipe: &["output".into()],
        };
        let made = info(&facts).map_err(|error| format!("{error}; {}", error.help.as_deref().unwrap_or_default()))?;
        let mut files: BTreeMap<String, String> = made
            .files
            .into_iter()
            .map(|file| {
                let content = match file.content {
                    Content::Bytes(bytes) => bytes,
                    Content::File(path) => std::fs::read(path).unwrap(),
                };
                (file.path, String::from_utf8(content).unwrap())
            })
            .collect();
        files.extend(made.payload.into_iter().map(|entry| (format!("/{}", entry.path), String::new())));
        Ok(files)
    }
}

fn names(files: &BTreeMap<String, String>) -> String {
    files.keys().cloned().collect::<Vec<_>>().join(" ")
}

#[test]
fn version_0_as_conda_build_writes_it() {
    let world = World::new(&[
        "recipe/meta.yaml",
        "recipe/build.sh",
        "recipe/conda_build_config.yaml",
        "recipe/sub/patch.diff",
        "recipe/.git/HEAD",
        "recipe/output/noarch/x.conda",
    ]);
    let mut output = output(RecipeFormat::V0);
    output.about.license_family = Some("MIT".into());
    output.constrains = vec!["c >2".into()];
    output.build.track_features = vec!["one".into(), "two".into()];
    output.run_exports.weak = vec!["tool >=1".into()];
    output.sections.about =
        json!({ "home": "https://example.org", "tags": "cli", "summary": "" }).as_object().unwrap().clone();
    output.sections.extra = json!({ "recipe-maintainers": ["a"], "parent_recipe": { "path": "/secret" } });
    let files = world.info(&output).unwrap();
    assert_eq!(
        names(&files),
        "about.json git hash_input.json index.json recipe/build.sh recipe/conda_build_config.yaml recipe/gonda.json \
         recipe/meta.yaml recipe/meta.yaml.template recipe/sub/patch.diff run_exports.json used_build_tool.json"
    );
    assert_eq!(
        files["index.json"],
        r#"{
  "arch": "aarch64",
  "build": "h1234567_0",
  "build_number": 0,
  "constrains": [
    "c >2"
  ],
  "depends": [
    "a",
    "b >=1"
  ],
  "license": "MIT",
  "license_family": "MIT",
  "name": "tool",
  "platform": "linux",
  "subdir": "linux-aarch64",
  "timestamp": 1700000000000,
  "track_features": "one two",
  "version": "1.2"
}"#
    );
    assert_eq!(
        serde_json::from_str::<Value>(&files["about.json"]).unwrap(),
        json!({
            "channels": ["conda-forge", "my-channel"],
            "env_vars": { "CIO_TEST": "<not set>" },
            "extra": { "copy_test_source_files": true, "final": true, "recipe-maintainers": ["a"] },
            "home": "https://example.org",
            "identifiers": [],
            "keywords": [],
            "root_pkgs": [],
            "tags": ["cli"],
        })
    );
    assert_eq!(files["hash_input.json"], "{\n  \"target_platform\": \"linux-aarch64\"\n}");
    assert_eq!(files["run_exports.json"], r#"{"weak": ["tool >=1"]}"#);
    assert_eq!(files["recipe/conda_build_config.yaml"], "target_platform: linux-aarch64\nzlib: '1.10'\n");
    assert_eq!(files["recipe/meta.yaml.template"], "<recipe/meta.yaml>");
    assert_eq!(files["git"], "");
    let tool: Value = serde_json::from_str(&files["used_build_tool.json"]).unwrap();
    assert_eq!(tool["name"], "gonda");
}

#[test]
fn version_1_as_rattler_build_writes_it() {
    let world =
        World::new(&["recipe/recipe.yaml", "recipe/build.sh", "recipe/.hidden", "work/data/a.txt", "recipe/b.txt"]);
    let mut output = output(RecipeFormat::V1);
    output.noarch = Some(Noarch::Generic);
    output.rendered_recipe = format!("path: {}\n", world.path("recipe").display());
    output.sections.about = json!({ "homepage": "https://example.org/", "license": "MIT", "license_file": ["x"] })
        .as_object()
        .unwrap()
        .clone();
    let one = |text: &str| FileMatch { include: vec![text.into()], ..FileMatch::default() };
    let test = |spec: Value, source: &str, recipe: &str| PackageTest {
        spec,
        source_files: if source.is_empty() { FileMatch::default() } else { one(source) },
        recipe_files: if recipe.is_empty() { FileMatch::default() } else { one(recipe) },
    };
    output.tests = Tests::List(vec![
        test(json!({ "package_contents": { "bin": ["tool"] } }), "", ""),
        test(json!({ "script": ["tool --version"] }), "", "b.txt"),
        test(json!({ "script": { "content": "x", "cwd": "etc/conda/test-files/tool/1" } }), "data/", ""),
    ]);
    let files = world.info(&output).unwrap();
    assert_eq!(
        names(&files),
        "/etc/conda/test-files/tool/1/data/a.txt about.json hash_input.json index.json recipe/b.txt recipe/build.sh \
         recipe/gonda.json recipe/recipe.yaml recipe/rendered_recipe.yaml recipe/variant_config.yaml tests/0/b.txt \
         tests/tests.yaml used_build_tool.json"
    );
    let index: Value = serde_json::from_str(&files["index.json"]).unwrap();
    assert_eq!(
        index,
        json!({
            "build": "h1234567_0", "build_number": 0, "depends": ["b >=1", "a"], "license": "MIT", "name": "tool",
            "noarch": "generic", "subdir": "noarch", "timestamp": 1_700_000_000_000_i64, "version": "1.2",
        })
    );
    assert_eq!(
        files["tests/tests.yaml"],
        "- script:\n  - tool --version\n- script:\n    content: x\n    cwd: etc/conda/test-files/tool/1\n"
    );
    assert_eq!(files["recipe/rendered_recipe.yaml"], "path: $BUILD/recipe\n");
    assert_eq!(files["hash_input.json"], r#"{"target_platform": "linux-aarch64"}"#);
    output.tests = Tests::List(vec![test(json!({ "script": "x" }), "absent", "")]);
    let error = world.info(&output).unwrap_err();
    assert!(error.starts_with("`files` of a test of `tool`: `absent` matches nothing in the source"), "{error}");
}

#[test]
fn noarch_of_version_0() {
    let world = World::new(&["recipe/meta.yaml"]);
    let mut output = output(RecipeFormat::V0);
    output.noarch = Some(Noarch::Generic);
    output.tests = Tests::Legacy(LegacyTest { commands: vec!["tool".into()], ..LegacyTest::default() });
    let files = world.info(&output).unwrap();
    assert!(files["index.json"].contains("\"arch\": null") && files["index.json"].contains("\"noarch\": \"generic\""));
    assert_eq!(
        serde_json::from_str::<Value>(&files["link.json"]).unwrap(),
        json!({ "noarch": { "type": "generic" }, "package_metadata_version": 1 })
    );
    assert_eq!(files["test/run_test.sh"], "\n\nset -ex\n\n\n\ntool\nexit 0\n");
    assert_eq!(
        files["test/run_test.bat"],
        "\r\n\r\n@echo on\r\n\r\ntool\r\nIF %ERRORLEVEL% NEQ 0 exit /B 1\r\nexit /B 0\r\n"
    );
}

#[test]
fn an_output_of_several() {
    let world = World::new(&[
        "recipe/meta.yaml",
        "recipe/install.sh",
        "recipe/conda_build_config.yaml",
        "recipe/check.sh",
        "recipe/run_test.sh",
    ]);
    let mut output = output(RecipeFormat::V0);
    output.parent = Some(PinnedOutput { name: "top".into(), version: "1".into(), build_string: String::new() });
    output.build.scripts = vec![Script {
        content: ScriptContent::File("install.sh".into()),
        interpreter: None,
        env: IndexMap::new(),
        secrets: Vec::new(),
        cwd: None,
    }];
    output.tests = Tests::Legacy(LegacyTest { script: Some("check.sh".into()), ..LegacyTest::default() });
    let files = world.info(&output).unwrap();
    assert_eq!(
        names(&files),
        "about.json git hash_input.json index.json recipe/conda_build_config.yaml recipe/gonda.json recipe/install.sh \
         recipe/meta.yaml recipe/parent/check.sh recipe/parent/conda_build_config.yaml recipe/parent/install.sh \
         recipe/parent/meta.yaml recipe/parent/run_test.sh test/run_test.sh used_build_tool.json"
    );
    assert_eq!(files["test/run_test.sh"], "<recipe/check.sh>");
    assert_eq!(files["recipe/meta.yaml"], "rendered: true\n");
}

#[test]
fn tests_of_version_0() {
    let world = World::new(&[
        "recipe/meta.yaml",
        "recipe/run_test.sh",
        "recipe/run_test.py",
        "recipe/data/one.json",
        "recipe/two.json",
        "work/testdata/x",
        "work/testdata/deep/y",
        "work/.hidden",
    ]);
    let mut output = output(RecipeFormat::V0);
    let test = LegacyTest {
        requires: vec!["git".into(), "curl >=8".into()],
        commands: vec!["tool --help".into()],
        imports: vec!["os".into()],
        files: vec!["*.json".into(), "nothing-here".into()],
        source_files: vec!["testdata".into()],
        ..LegacyTest::default()
    };
    output.tests = Tests::Legacy(test.clone());
    let files = world.info(&output).unwrap();
    let tests: Vec<&str> = files.keys().filter_map(|name| name.strip_prefix("test/")).collect();
    assert_eq!(
        tests.join(" "),
        "data/one.json run_test.py run_test.sh test_time_dependencies.json testdata/deep/y testdata/x two.json"
    );
    assert_eq!(files["test/test_time_dependencies.json"], r#"["git", "curl >=8"]"#);
    assert_eq!(files["test/run_test.sh"], "<recipe/run_test.sh>\n\nset -ex\n\n\n\ntool --help\nexit 0\n");
    assert_eq!(
        files["test/run_test.py"],
        "#  tests for tool-1.2-h1234567_0 (this is a generated file);\n\
         print('===== testing package: tool-1.2-h1234567_0 =====');\nprint('running run_test.py');\n\
         #  --- run_test.py (begin) ---\n<recipe/run_test.py>#  --- run_test.py (end) ---\n\n\
         print('===== tool-1.2-h1234567_0 OK =====');\nprint(\"import: 'os'\")\nimport os\n\n"
    );
    output.tests = Tests::Legacy(LegacyTest { source_files: vec!["*.absent".into()], ..test });
    let error = world.info(&output).unwrap_err();
    assert_eq!(
        error,
        "`test/source_files` of `tool`: `*.absent` matches nothing in the source; correct the glob, or remove it"
    );
}

#[test]
fn licences_of_version_0() {
    let world = World::new(&[
        "recipe/meta.yaml",
        "recipe/LICENSE-OURS",
        "recipe/LICENSE",
        "work/LICENSE",
        "work/sub/NOTICE",
        "work/library_licenses/a/LICENSE",
        "work/library_licenses/b/c/COPYING",
        "work/message.txt",
        "work/README.md",
        "OUTSIDE",
    ]);
    let mut output = output(RecipeFormat::V0);
    let mut check = |paths: &[&str]| {
        output.about.license_files = paths.iter().map(|path| (*path).to_owned()).collect();
        world.info(&output).map(|files| {
            let licenses =
                files.iter().filter_map(|(name, text)| Some(format!("{}={text}", name.strip_prefix("licenses/")?)));
            licenses.collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(
        check(&["LICENSE", "LICENSE-OURS", "library_licenses/", "sub/NOTICE", ""]).unwrap(),
        "LICENSE=<work/LICENSE> LICENSE-OURS=<recipe/LICENSE-OURS> library_licenses/a/LICENSE=<work/library_licenses/a/LICENSE> \
         library_licenses/b/c/COPYING=<work/library_licenses/b/c/COPYING> sub/NOTICE=<work/sub/NOTICE>"
    );
    assert_eq!(
        check(&["/seen/work/LICENSE", "../OUTSIDE"]).unwrap(),
        "LICENSE0.txt=<work/LICENSE> LICENSE1.txt=<OUTSIDE>"
    );
    let error = check(&["COPYING"]).unwrap_err();
    assert!(error.starts_with("`about/license_file` of `tool`: `COPYING` is neither in the source nor in the recipe"));
    assert!(check(&["library_licenses"]).unwrap_err().contains("write `library_licenses/`"));
    output.about.license_files.clear();
    output.about.prelink_messages = vec!["message.txt".into()];
    output.about.readme = Some("README.md".into());
    let files = world.info(&output).unwrap();
    assert!(files.contains_key("prelink_messages/message.txt") && files.contains_key("README.md"));
    output.about.readme = Some("absent.md".into());
    assert!(world.info(&output).unwrap_err().contains("there is no file `absent.md`"));
}

#[test]
fn licences_of_version_1() {
    let world = World::new(&[
        "recipe/recipe.yaml",
        "recipe/LICENSE",
        "work/LICENSE",
        "work/license-files/a/LICENSE",
        "work/license-files/b/main.go",
        "prefix/share/licenses/tool/COPYING",
    ]);
    let mut output = output(RecipeFormat::V1);
    let mut check = |paths: &[&str]| {
        output.about.license_files = paths.iter().map(|path| (*path).to_owned()).collect();
        world.info(&output).map(|files| {
            let licenses =
                files.iter().filter_map(|(name, text)| Some(format!("{}={text}", name.strip_prefix("licenses/")?)));
            licenses.collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(
        check(&["LICENSE", "license-files/", "!**/*.go"]).unwrap(),
        "LICENSE=<recipe/LICENSE> license-files/a/LICENSE=<work/license-files/a/LICENSE>"
    );
    assert_eq!(
        check(&["${{ PREFIX }}/share/licenses/*/COPYING"]).unwrap(),
        "tool/COPYING=<prefix/share/licenses/tool/COPYING>"
    );
    assert!(check(&["LICENSE", "absent/"]).unwrap_err().contains("`absent/` is neither"));
    assert!(check(&["${{ PREFIX }}/../x"]).unwrap_err().contains("leads out"));
    assert!(check(&["${{ HOME }}/x"]).unwrap_err().contains("`HOME` is no folder of the build"));
}

#[test]
fn channels_as_others_may_see_them() {
    for (channel, shown) in [
        ("conda-forge", "conda-forge"),
        ("conda-forge/label/main", "conda-forge/label/main"),
        ("file:///home/somebody/channel/", "channel"),
        ("/home/somebody/channel", "channel"),
        ("./local", "local"),
        ("C:\\channels\\mine", "mine"),
        ("https://user:secret@example.org/t/token-123/mine", "https://example.org/mine"),
        ("https://example.org/mine?token=1", "https://example.org/mine"),
    ] {
        assert_eq!(public_channel(channel), shown, "{channel}");
    }
}
