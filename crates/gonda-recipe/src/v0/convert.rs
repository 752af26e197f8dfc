//! From conda-build's metadata to the [`Output`] that both recipe formats share.

use std::borrow::Cow;
use std::path::PathBuf;

use indexmap::IndexMap;
use rattler_conda_types::Subdir;
use rattler_conda_types::package::RunExportsJson;
use serde_json::{Map, Value as Json};

use super::emit;
use super::error::Fail;
use super::meta::{Meta, is_true, lookup};
use super::session::Session;
use super::variant::{Variant, list_of_text, text_of};
use crate::{
    About, Build, FileMatch, LegacyTest, Noarch, Output, PinnedOutput, RecipeFormat, Requirements, Script,
    ScriptContent, ScriptVariable, Sections, Source, SourceKind, Tests, TopLevel,
};

/// The order of sections in a rendered recipe.
const ORDER: [&str; 9] = ["package", "source", "build", "requirements", "test", "app", "outputs", "about", "extra"];

pub(crate) fn output(
    session: &Session<'_>,
    entry: &Map<String, Json>,
    meta: &Meta,
    build_platform: Subdir,
) -> Result<Output, Fail> {
    let name = meta.name(session)?;
    let version = meta.version(session)?;
    let build_string = meta.build_id(session)?;
    let (target_platform, unknown_platform) = platform(&meta.target_subdir(session));
    let hash = meta.hash(session)?;
    let noarch = match meta.noarch().as_deref() {
        Some(Json::String(kind)) if kind == "python" => Some(Noarch::Python),
        Some(_) => Some(Noarch::Generic),
        None if meta.noarch_python() => Some(Noarch::Python),
        None => None,
    };
    let mut depends: Vec<String> = match meta.specs(session, "run") {
        Ok(specs) => specs.iter().map(|spec| spec.text()).collect(),
        Err(_) => Vec::new(),
    };
    depends.sort();
    let list = |key: &str| meta.list("requirements", key);
    let section = |name: &str| meta.section(name).cloned().unwrap_or_default();
    let value = |name: &str| match lookup(&meta.meta, name) {
        Some(value) if is_true(value) => value.clone(),
        _ => Json::Object(Map::new()),
    };
    let parent = meta.parent.as_ref().filter(|parent| parent.name != name).map(|parent| PinnedOutput {
        name: parent.name.clone(),
        version: parent.version.clone(),
        build_string: String::new(),
    });
    Ok(Output {
        format: RecipeFormat::V0,
        build_number: meta.build_number(session)?,
        noarch,
        skip: meta.skip(),
        target_platform,
        unknown_platform,
        build_platform,
        requirements: Requirements {
            build: list("build"),
            host: list("host"),
            run: list("run"),
            run_constrained: list("run_constrained"),
            other: meta.section("requirements").map(without_environments).unwrap_or_default(),
        },
        depends,
        constrains: list("run_constrained").into_iter().filter(|spec| !spec.is_empty() && spec != "None").collect(),
        run_exports: run_exports(meta),
        sources: sources(meta),
        build: build(session, entry, meta)?,
        tests: Tests::Legacy(test(meta)),
        about: about(meta),
        sections: Sections {
            build: section("build"),
            about: section("about"),
            test: value("test"),
            source: value("source"),
            extra: own_extra(value("extra")),
            app: value("app"),
        },
        variant: Variant::clone(&meta.config.variant),
        used_vars: meta.used_vars(session, false)?.as_ref().clone(),
        hash: hash.text.clone().filter(|text| build_string.contains(text.as_str())),
        hash_contents: hash.contents.clone(),
        parent,
        rendered_recipe: rendered_recipe(meta, &build_string),
        name,
        version,
        build_string,
    })
}

/// `extra` without what conda-build writes there itself, and so stands in recipes that were taken out of a package.
fn own_extra(mut extra: Json) -> Json {
    if let Json::Object(extra) = &mut extra {
        for key in ["final", "copy_test_source_files", "parent_recipe"] {
            extra.shift_remove(key);
        }
    }
    extra
}

/// A platform by its name; of one that conda doesn't know, its system's usual one, and the name.
fn platform(name: &str) -> (Subdir, Option<String>) {
    if let Ok(known) = name.parse() {
        return (known, None);
    }
    let usual = match name.split('-').next() {
        Some("linux") => Subdir::Linux64,
        Some("osx") => Subdir::Osx64,
        Some("win") => Subdir::Win64,
        _ => Subdir::NoArch,
    };
    (usual, Some(name.to_owned()))
}

fn without_environments(requirements: &Map<String, Json>) -> Map<String, Json> {
    let is_environment = |key: &str| matches!(key, "build" | "host" | "run" | "run_constrained");
    let others = requirements.iter().filter(|(key, _)| !is_environment(key));
    others.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn run_exports(meta: &Meta) -> RunExportsJson {
    let mut exports = RunExportsJson::default();
    match meta.value("build", "run_exports").as_deref() {
        Some(Json::Object(kinds)) => {
            let list = |key: &str| kinds.get(key).map(list_of_text).unwrap_or_default();
            exports.weak = list("weak");
            exports.strong = list("strong");
            exports.noarch = list("noarch");
            exports.weak_constrains = list("weak_constrains");
            exports.strong_constrains = list("strong_constrains");
        }
        Some(list) => exports.weak = list_of_text(list),
        None => {}
    }
    exports
}

fn sources(meta: &Meta) -> Vec<Source> {
    let mut sources = Vec::new();
    for source in meta.list_section("source") {
        let text = |key: &str| lookup(source, key).filter(|value| is_true(value)).map(text_of);
        let folder = text("folder");
        let patches = lookup(source, "patches").map(list_of_text).unwrap_or_default();
        let kind = if let Some(urls) = lookup(source, "url").filter(|value| is_true(value)) {
            SourceKind::Url {
                urls: list_of_text(urls),
                sha256: text("sha256"),
                md5: text("md5"),
                sha1: text("sha1"),
                file_name: text("fn"),
            }
        } else if let Some(url) = text("git_url") {
            SourceKind::Git {
                url,
                rev: text("git_rev"),
                depth: text("git_depth").and_then(|depth| depth.parse().ok()),
                lfs: false,
                submodules: true,
                expected_commit: None,
            }
        } else if let Some(path) = text("path") {
            SourceKind::Path {
                path: PathBuf::from(path),
                sha256: text("sha256"),
                md5: text("md5"),
                file_name: text("fn"),
                use_gitignore: false,
            }
        } else {
            continue;
        };
        sources.push(Source { kind, folder, patches, filter: FileMatch { all: true, ..FileMatch::default() } });
    }
    sources
}

fn lines(lines: Vec<String>) -> Script {
    script(ScriptContent::Lines(lines))
}

fn script(content: ScriptContent) -> Script {
    Script { content, interpreter: None, env: IndexMap::new(), secrets: Vec::new(), cwd: None }
}

fn build(session: &Session<'_>, entry: &Map<String, Json>, meta: &Meta) -> Result<Build, Fail> {
    let list = |key: &str| meta.list("build", key);
    let globs = |key: &str| match meta.value("build", key).as_deref() {
        Some(Json::Bool(all)) => FileMatch { all: *all, ..FileMatch::default() },
        Some(value) => FileMatch { include: list_of_text(value), ..FileMatch::default() },
        None => FileMatch::default(),
    };
    let section_script = list("script");
    let mut own = match lookup(entry, "script").filter(|value| is_true(value)) {
        Some(value @ Json::String(name)) => {
            let file = !name.contains('\n') && session.world.is_file(&session.folder.join(name));
            vec![if file { script(ScriptContent::File(PathBuf::from(name))) } else { lines(list_of_text(value)) }]
        }
        Some(value) => vec![lines(list_of_text(value))],
        None => Vec::new(),
    };
    if let (Some(interpreter), Some(first)) =
        (lookup(entry, "script_interpreter").filter(|value| is_true(value)), own.first_mut())
    {
        first.interpreter = Some(text_of(interpreter));
    }
    let is_output = meta.is_output();
    let mut has_top_level = false;
    if is_output {
        if own.is_empty() && !section_script.is_empty() {
            own.push(lines(section_script));
        }
        has_top_level = true;
    } else if own.is_empty() {
        own.push(if section_script.is_empty() { script(ScriptContent::Default) } else { lines(section_script) });
    } else {
        has_top_level = true;
    }
    let files = match lookup(entry, "files") {
        Some(Json::Object(lists)) => Some(FileMatch {
            include: lists.get("include").map(list_of_text).unwrap_or_default(),
            exclude: lists.get("exclude").map(list_of_text).unwrap_or_default(),
            all: false,
        }),
        Some(value) if is_true(value) => Some(FileMatch { include: list_of_text(value), ..FileMatch::default() }),
        _ => None,
    };
    Ok(Build {
        scripts: own,
        top_level: if has_top_level { Some(top_level(session, meta)?) } else { None },
        script_env: list("script_env")
            .into_iter()
            .map(|entry| match entry.split_once('=') {
                Some((name, value)) => ScriptVariable::Set(name.to_owned(), value.to_owned()),
                None => ScriptVariable::Pass(entry),
            })
            .collect(),
        detect_binary_files_with_prefix: match meta.value("build", "detect_binary_files_with_prefix").as_deref() {
            Some(Json::Bool(flag)) => Some(*flag),
            _ => None,
        },
        ignore_prefix_files: globs("ignore_prefix_files"),
        has_prefix_files: list("has_prefix_files"),
        binary_has_prefix_files: list("binary_has_prefix_files"),
        no_link: globs("no_link"),
        always_include_files: globs("always_include_files"),
        files,
        merge_build_host: meta.build_is_host(session),
        track_features: list("track_features"),
        entry_points: list("entry_points"),
        post_process: Vec::new(),
    })
}

/// The top level of an output's recipe; an output of the recipe's own name has its requirements.
fn top_level(session: &Session<'_>, meta: &Meta) -> Result<TopLevel, Fail> {
    let ([build, host], merge_build_host) = match &meta.top_requirements {
        Some(specs) => specs.clone(),
        None => {
            let needs = |environment| meta.solver_specs(session, environment).unwrap_or_default();
            ([needs("build"), needs("host")], meta.build_is_host(session))
        }
    };
    let (name, version) = match &meta.parent {
        Some(parent) => (parent.name.clone(), parent.version.clone()),
        None => (meta.name(session)?, meta.version(session)?),
    };
    Ok(TopLevel { name, version, scripts: vec![top_script(meta)], build, host, merge_build_host })
}

/// What the top level of the recipe runs. An output keeps the top level's text, not its build section: that is read
/// from the recipe as rendered under the same variant.
fn top_script(meta: &Meta) -> Script {
    match &meta.top_script {
        Some(items) if !items.is_empty() => lines(items.clone()),
        _ => script(ScriptContent::Default),
    }
}

fn test(meta: &Meta) -> LegacyTest {
    let list = |key: &str| meta.list("test", key);
    LegacyTest {
        requires: list("requires"),
        commands: list("commands"),
        imports: match meta.value("test", "imports").as_deref() {
            // `imports: {lang: perl, imports: […]}` is for other languages.
            Some(Json::Array(items)) => items.iter().filter(|item| item.is_string()).map(text_of).collect(),
            Some(Json::String(text)) => vec![text.clone()],
            _ => Vec::new(),
        },
        files: list("files"),
        source_files: list("source_files"),
        downstreams: list("downstreams"),
        script: meta.text("test", "script").map(Cow::into_owned),
    }
}

fn about(meta: &Meta) -> About {
    let text = |key: &str| meta.text("about", key).map(Cow::into_owned);
    About {
        license: text("license"),
        license_family: text("license_family"),
        license_files: meta.list("about", "license_file"),
        prelink_messages: meta.list("about", "prelink_message"),
        readme: text("readme"),
    }
}

/// The recipe as conda-build writes it into the package: all sections, the build string fixed, lists in order but those
/// whose order matters.
fn rendered_recipe(meta: &Meta, build_string: &str) -> String {
    let rule = "-".repeat(48);
    let mut text = format!("# This file is made by gonda in conda-build's form\n# {rule}\n\n");
    for name in ORDER {
        match name {
            "build" => {
                let string = Json::String(build_string.to_owned());
                emit::section_with(&mut text, name, meta.section(name), &[("string", string)]);
            }
            "extra" => {
                let given = [("final", Json::Bool(true)), ("copy_test_source_files", Json::Bool(true))];
                emit::section_with(&mut text, name, meta.section(name), &given);
            }
            "outputs" if meta.is_output() => {}
            name => {
                if let Some(value) = lookup(&meta.meta, name) {
                    emit::section(&mut text, name, value);
                }
            }
        }
    }
    text
}
