//! The variant files of a v1 recipe, merged as rattler-build merges them: the later file replaces a key's values.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rattler_build_jinja::{JinjaConfig, Variable};
use rattler_build_types::NormalizedKey;
use rattler_build_variant_config::yaml_parser::parse_variant_str;
use rattler_build_variant_config::{VariantConfig, evaluate_variant_config, parse_conda_build_config};
use rattler_conda_types::Subdir;

use super::errors::{Place, guarded, tidy};
use super::limits;
use crate::{RecipeErrors, Request, World};

/// What the variant files say together.
pub(super) struct Variants {
    /// Values of all keys, and the zipped ones.
    pub(super) config: VariantConfig,
    /// The file that set `zip_keys` last.
    pub(super) zip_keys: Option<Place>,
    /// `channel_sources`, all values.
    pub(super) channel_sources: Option<Vec<String>>,
    /// The target: the request's, unless the files name one other platform.
    pub(super) target_platform: Subdir,
}

/// Reads and merges the files of a request.
///
/// # Errors
/// A file that can't be read or understood.
pub(super) fn load(request: &Request, world: &dyn World) -> Result<Variants, RecipeErrors> {
    let folder = request.recipe.parent().unwrap_or(Path::new(""));
    let beside = ["conda_build_config.yaml", "variants.yaml"].map(|name| folder.join(name));
    let beside = beside.into_iter().filter(|path| world.is_file(path));
    let files: Vec<PathBuf> =
        request.variants.exclusive.iter().cloned().chain(beside).chain(request.variants.additional.clone()).collect();

    let jinja = JinjaConfig {
        target_platform: request.target_platform,
        host_platform: request.target_platform,
        build_platform: request.build_platform,
        ..JinjaConfig::default()
    };
    let mut config = VariantConfig::new();
    let mut zip_keys = None;
    for file in files {
        let place = Place::read(&file, world)?;
        limits::shape(&place)?;
        let read = guarded(&place, || read(&place, &jinja))?;
        let sets_zip_keys = read.zip_keys.is_some();
        config.merge(read);
        if sets_zip_keys {
            zip_keys = Some(place);
        }
    }
    if let Some(text) = &request.variants.overrides {
        override_values(&mut config, text)?;
    }

    let texts = |key: &str| {
        let values = config.get(&NormalizedKey::from(key))?;
        Some(values.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let target_platform = match texts("target_platform").as_deref() {
        Some([one]) => one.parse().unwrap_or(request.target_platform),
        _ => request.target_platform,
    };
    let channel_sources = texts("channel_sources");
    Ok(Variants { config, zip_keys, channel_sources, target_platform })
}

/// One file. By its name it is conda-build's (line selectors) or rattler-build's own form (`if`/`then`/`else`).
fn read(place: &Place, jinja: &JinjaConfig) -> Result<VariantConfig, RecipeErrors> {
    if place.file.file_name().is_some_and(|name| name == "conda_build_config.yaml") {
        return parse_conda_build_config(&place.text, jinja).map_err(|error| place.variant_error(&error));
    }
    if place.text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(VariantConfig::new());
    }
    let parsed = parse_variant_str(&place.text, Some(place.file.clone()));
    let parsed = parsed.map_err(|error| place.variant_error(&error))?;
    evaluate_variant_config(&parsed, jinja).map_err(|error| place.variant_error(&error))
}

/// `--variants`: a mapping of keys to a value or a list of values. Values replace the files'.
fn override_values(config: &mut VariantConfig, text: &str) -> Result<(), RecipeErrors> {
    let place = Place { file: PathBuf::from("--variants"), text: text.to_owned() };
    limits::shape(&place)?;
    let help = || Some("give a mapping, for example `{go_compiler_version: [\"1.27\"]}`".to_owned());
    let parsed: serde_yaml::Mapping =
        serde_yaml::from_str(text).map_err(|error| place.error(tidy(&error.to_string()), help()))?;
    for (key, value) in parsed {
        let Some(key) = key.as_str() else {
            return Err(place.error("a key is no text".to_owned(), help()).into());
        };
        if key == "zip_keys" {
            let groups = serde_yaml::from_value::<Vec<Vec<String>>>(value)
                .map_err(|_| place.error("`zip_keys` is no list of lists".to_owned(), help()))?;
            let groups = groups.into_iter().map(|group| group.into_iter().map(NormalizedKey::from).collect());
            config.zip_keys = Some(groups.collect());
            continue;
        }
        let values = match value {
            serde_yaml::Value::Sequence(values) => values,
            serde_yaml::Value::Null => continue,
            value => vec![value],
        };
        let values = values.iter().map(variable).collect::<Option<Vec<_>>>();
        let values = values.ok_or_else(|| place.error(format!("the values of `{key}` are no plain values"), help()))?;
        config.insert(key, values);
    }
    Ok(())
}

/// A value as variant files have them: text, integers and booleans; other numbers are text, as versions are.
fn variable(value: &serde_yaml::Value) -> Option<Variable> {
    match value {
        serde_yaml::Value::String(text) => Some(Variable::from(text.as_str())),
        serde_yaml::Value::Bool(value) => Some(Variable::from(*value)),
        serde_yaml::Value::Number(number) => {
            Some(number.as_i64().map_or_else(|| Variable::from(number.to_string()), Variable::from))
        }
        _ => None,
    }
}

/// Names of the variables that rattler-build gives to every script of a platform: where a variant file sets one
/// (`MACOSX_DEPLOYMENT_TARGET`), it counts as used by every recipe. Seen in the hashes of packages for macOS.
pub(super) fn environment_keys(target_platform: Subdir, build_platform: Subdir) -> HashSet<String> {
    let mut names = vec!["CPU_COUNT", "LANG", "LC_ALL", "SHLIB_EXT", "BUILD"];
    if target_platform.is_windows() {
        names.extend(["Path", "SCRIPTS", "LIBRARY_PREFIX", "LIBRARY_BIN", "LIBRARY_INC", "LIBRARY_LIB"]);
        names.extend(["LIB", "INCLUDE", "CYGWIN_PREFIX"]);
    } else {
        names.extend(["PATH", "PKG_CONFIG_PATH", "CMAKE_GENERATOR", "SSL_CERT_FILE"]);
    }
    if target_platform.is_osx() {
        names.extend(["OSX_ARCH", "MACOSX_DEPLOYMENT_TARGET"]);
    }
    if target_platform.is_linux() {
        names.extend(["QEMU_LD_PREFIX", "QEMU_UNAME", "DEJAGNU", "DISPLAY", "LD_RUN_PATH"]);
    }
    if build_platform.is_windows() {
        names.push("USERPROFILE");
    } else {
        names.extend(["HOME", "USER", "SHELL", "EDITOR", "TERM"]);
    }
    names.into_iter().map(str::to_owned).collect()
}
