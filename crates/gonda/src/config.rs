//! Configuration: flag, then `GONDA_*` variable, then `.gonda.toml` in the feedstock's root, then the user's
//! `config.toml`, then `.condarc`. Keys are named as the long flags. The only place that reads the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gonda_driver::go_cache;
use gonda_driver::isolation::Isolation;
use gonda_driver::settings::{
    CgoCompiler, ChannelChoice, GoCacheMode, GoSettings, Limits, Network, Settings, TestMode,
};
use gonda_driver::{Error, Kind, Result};
use rattler_conda_types::Subdir;
use serde::Deserialize;

use crate::args::{ChannelArgs, IsolationArg, NetworkArg, TestArg};

/// What can be configured, as written in one place; the command line is the first such place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Layer {
    pub(crate) channel: Vec<String>,
    pub(crate) channel_alias: Option<String>,
    pub(crate) output_dir: Option<PathBuf>,
    pub(crate) source_mirror: Vec<String>,
    pub(crate) isolation: Option<String>,
    pub(crate) network: Option<String>,
    pub(crate) test: Option<String>,
    pub(crate) go_cache: Option<String>,
    pub(crate) cgo_compiler: Option<String>,
    pub(crate) jobs: Option<usize>,
    pub(crate) max_processes: Option<u32>,
    pub(crate) max_memory: Option<String>,
    pub(crate) min_free_disk: Option<String>,
    pub(crate) compression_level: Option<i32>,
    pub(crate) goproxy: Option<String>,
    pub(crate) gonosumdb: Option<String>,
    pub(crate) goprivate: Option<String>,
    pub(crate) gosumdb: Option<String>,
    pub(crate) exclusive_config_file: Option<PathBuf>,
}

impl Layer {
    /// `self` where it says something, else `lower`.
    fn over(self, lower: Self) -> Self {
        let list = |upper: Vec<String>, lower: Vec<String>| if upper.is_empty() { lower } else { upper };
        Self {
            channel: list(self.channel, lower.channel),
            channel_alias: self.channel_alias.or(lower.channel_alias),
            output_dir: self.output_dir.or(lower.output_dir),
            source_mirror: list(self.source_mirror, lower.source_mirror),
            isolation: self.isolation.or(lower.isolation),
            network: self.network.or(lower.network),
            test: self.test.or(lower.test),
            go_cache: self.go_cache.or(lower.go_cache),
            cgo_compiler: self.cgo_compiler.or(lower.cgo_compiler),
            jobs: self.jobs.or(lower.jobs),
            max_processes: self.max_processes.or(lower.max_processes),
            max_memory: self.max_memory.or(lower.max_memory),
            min_free_disk: self.min_free_disk.or(lower.min_free_disk),
            compression_level: self.compression_level.or(lower.compression_level),
            goproxy: self.goproxy.or(lower.goproxy),
            gonosumdb: self.gonosumdb.or(lower.gonosumdb),
            goprivate: self.goprivate.or(lower.goprivate),
            gosumdb: self.gosumdb.or(lower.gosumdb),
            exclusive_config_file: self.exclusive_config_file.or(lower.exclusive_config_file),
        }
    }
}

/// The process's surroundings, read once.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) current_dir: PathBuf,
}

impl Surroundings {
    pub(crate) fn read() -> Result<Self> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let current_dir = std::env::current_dir()
            .map_err(|error| Error::new(Kind::Machine, "the current folder can't be read").because(error))?;
        Ok(Self { environment, current_dir })
    }

    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        self.var("HOME").or_else(|| self.var("USERPROFILE")).map(PathBuf::from)
    }

    /// `$GONDA_CACHE_DIR`, else the user's cache folder + `gonda`.
    pub(crate) fn cache_root(&self) -> Result<PathBuf> {
        if let Some(dir) = self.var("GONDA_CACHE_DIR") {
            return Ok(self.current_dir.join(dir));
        }
        let base = if cfg!(windows) {
            self.var("LOCALAPPDATA").map(PathBuf::from)
        } else if cfg!(target_os = "macos") {
            self.home().map(|home| home.join("Library/Caches"))
        } else {
            self.var("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| self.home().map(|home| home.join(".cache")))
        };
        base.map(|base| base.join("gonda")).ok_or_else(|| {
            Error::new(Kind::Usage, "there is no cache folder: neither a home folder nor `GONDA_CACHE_DIR` is set")
                .help("set `GONDA_CACHE_DIR`")
        })
    }

    /// `$GONDA_CONFIG`, else `<user's configuration folder>/gonda/config.toml`.
    fn config_file(&self) -> Option<(PathBuf, bool)> {
        if let Some(file) = self.var("GONDA_CONFIG") {
            return Some((self.current_dir.join(file), true));
        }
        let base = if cfg!(windows) {
            self.var("APPDATA").map(PathBuf::from)
        } else if cfg!(target_os = "macos") {
            self.home().map(|home| home.join("Library/Application Support"))
        } else {
            self.var("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| self.home().map(|home| home.join(".config")))
        };
        base.map(|base| (base.join("gonda/config.toml"), false))
    }

    /// The user's own variant files, as conda-build finds them (`conda_build/variants.py`, `find_config_files`).
    pub(crate) fn default_variant_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Some(home) = self.home() {
            files.push(home.join("conda_build_config.yaml"));
        }
        files.push(self.current_dir.join("conda_build_config.yaml"));
        files.retain(|file| file.is_file());
        files
    }
}

/// All layers as one, the command line's on top.
pub(crate) fn resolve(flags: Layer, surroundings: &Surroundings, feedstock: Option<&Path>) -> Result<Layer> {
    let mut merged = flags.over(from_variables(surroundings)?);
    if let Some(root) = feedstock {
        merged = merged.over(from_toml(&root.join(".gonda.toml"), false)?);
    }
    if let Some((file, named)) = surroundings.config_file() {
        merged = merged.over(from_toml(&file, named)?);
    }
    Ok(merged.over(from_condarc(surroundings)?))
}

fn from_variables(surroundings: &Surroundings) -> Result<Layer> {
    let text = |name: &str| surroundings.var(name).map(str::to_owned);
    let list = |name: &str| {
        text(name).map(|value| value.split(',').map(|item| item.trim().to_owned()).collect()).unwrap_or_default()
    };
    let number = |name: &str| -> Result<Option<i64>> {
        text(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    Error::new(Kind::Usage, format!("the variable `{name}` holds `{value}`, which is not a number"))
                })
            })
            .transpose()
    };
    Ok(Layer {
        channel: list("GONDA_CHANNEL"),
        channel_alias: text("GONDA_CHANNEL_ALIAS"),
        output_dir: text("GONDA_OUTPUT_DIR").map(PathBuf::from),
        source_mirror: list("GONDA_SOURCE_MIRROR"),
        isolation: text("GONDA_ISOLATION"),
        network: text("GONDA_NETWORK"),
        test: text("GONDA_TEST"),
        go_cache: text("GONDA_GO_CACHE"),
        cgo_compiler: text("GONDA_CGO_COMPILER"),
        jobs: number("GONDA_JOBS")?.and_then(|value| usize::try_from(value).ok()),
        max_processes: number("GONDA_MAX_PROCESSES")?.and_then(|value| u32::try_from(value).ok()),
        max_memory: text("GONDA_MAX_MEMORY"),
        min_free_disk: text("GONDA_MIN_FREE_DISK"),
        compression_level: number("GONDA_COMPRESSION_LEVEL")?.and_then(|value| i32::try_from(value).ok()),
        goproxy: text("GONDA_GOPROXY"),
        gonosumdb: text("GONDA_GONOSUMDB"),
        goprivate: text("GONDA_GOPRIVATE"),
        gosumdb: text("GONDA_GOSUMDB"),
        exclusive_config_file: text("GONDA_EXCLUSIVE_CONFIG_FILE").map(PathBuf::from),
    })
}

fn from_toml(file: &Path, named: bool) -> Result<Layer> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(Layer::default()),
        Err(error) => {
            return Err(
                Error::new(Kind::Usage, format!("the configuration `{}` can't be read", file.display())).because(error)
            );
        }
    };
    toml::from_str(&text).map_err(|error| {
        Error::new(Kind::Usage, format!("the configuration `{}` is wrong", file.display()))
            .because(error)
            .help("its keys are named as the long flags, without the dashes in front")
    })
}

/// `channels` and `channel_alias` of conda's own configuration.
fn from_condarc(surroundings: &Surroundings) -> Result<Layer> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Condarc {
        channels: Vec<String>,
        channel_alias: Option<String>,
        conda_build: CondaBuild,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct CondaBuild {
        zstd_compression_level: Option<i32>,
        config_file: Option<PathBuf>,
    }
    let file = match (surroundings.var("CONDARC"), surroundings.home()) {
        (Some(file), _) => PathBuf::from(file),
        (None, Some(home)) => home.join(".condarc"),
        (None, None) => return Ok(Layer::default()),
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Layer::default()),
        Err(error) => {
            return Err(Error::new(Kind::Usage, format!("`{}` can't be read", file.display())).because(error));
        }
    };
    if text.trim().is_empty() {
        return Ok(Layer::default());
    }
    let condarc: Condarc = serde_yaml::from_str(&text)
        .map_err(|error| Error::new(Kind::Usage, format!("`{}` can't be understood", file.display())).because(error))?;
    Ok(Layer {
        channel: condarc.channels,
        channel_alias: condarc.channel_alias,
        compression_level: condarc.conda_build.zstd_compression_level,
        exclusive_config_file: condarc.conda_build.config_file,
        ..Layer::default()
    })
}

/// What stands only on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fixed {
    pub(crate) channels: Vec<String>,
    pub(crate) build_platform: Option<Subdir>,
    pub(crate) offline: bool,
    pub(crate) skip_existing: bool,
    pub(crate) rebuild: bool,
    pub(crate) keep_work: bool,
    pub(crate) strict_metadata: bool,
}

impl From<&ChannelArgs> for Fixed {
    fn from(args: &ChannelArgs) -> Self {
        Self { channels: args.channels.clone(), offline: args.offline, ..Self::default() }
    }
}

/// The driver's settings from the merged configuration.
pub(crate) fn settings(fixed: Fixed, layer: Layer, surroundings: &Surroundings) -> Result<Settings> {
    let isolation = match layer.isolation.as_deref() {
        None | Some("auto") => Isolation::Auto,
        Some("strict") => Isolation::Strict,
        Some("env") => Isolation::Env,
        Some(other) => return Err(wrong_value("isolation", other, "auto, strict or env")),
    };
    let network = match (layer.network.as_deref(), fixed.offline) {
        (None | Some("off" | "modules"), true) | (Some("off"), false) => Network::Off,
        (None | Some("modules"), false) => Network::Modules,
        (Some("on"), false) => Network::On,
        (Some("on"), true) => {
            return Err(Error::new(Kind::Usage, "`--offline` and the network mode `on` exclude each other")
                .help("leave one of them out; `--offline` means that scripts reach nothing either"));
        }
        (Some(other), _) => return Err(wrong_value("network", other, "modules, off or on")),
    };
    let test = match layer.test.as_deref() {
        None | Some("native") => TestMode::Native,
        Some("native-and-emulated") => TestMode::NativeAndEmulated,
        Some("skip") => TestMode::Skip,
        Some(other) => return Err(wrong_value("test", other, "native, native-and-emulated or skip")),
    };
    let go_cache = match layer.go_cache.as_deref() {
        None | Some("private") => GoCacheMode::Private,
        Some("shared") => GoCacheMode::Shared,
        Some(url) if url.contains("://") => GoCacheMode::Store(go_cache::check_url(url)?),
        Some(other) => return Err(wrong_value("go-cache", other, "private, shared or a store's url")),
    };
    let mut limits = Limits::default();
    limits.processes = layer.max_processes.unwrap_or(limits.processes);
    if let Some(text) = &layer.max_memory {
        limits.memory = Some(bytes(text).ok_or_else(|| wrong_value("max-memory", text, "a size such as 500M or 2G"))?);
    }
    if let Some(text) = &layer.min_free_disk {
        limits.free_disk =
            bytes(text).ok_or_else(|| wrong_value("min-free-disk", text, "a size such as 500M or 1G"))?;
    }
    let cgo_compiler = layer
        .cgo_compiler
        .as_deref()
        .map(|name| CgoCompiler::named(name).ok_or_else(|| wrong_value("cgo-compiler", name, "conda or zig")));
    let jobs = layer.jobs.filter(|jobs| *jobs > 0);
    Ok(Settings {
        cache_root: surroundings.cache_root()?,
        output_dir: surroundings.current_dir.join(layer.output_dir.unwrap_or_else(|| PathBuf::from("output"))),
        base_dir: surroundings.current_dir.clone(),
        channels: ChannelChoice { given: fixed.channels, configured: layer.channel, alias: layer.channel_alias },
        build_platform: match fixed.build_platform {
            Some(platform) => platform,
            None => this_machine()?,
        },
        source_mirrors: layer.source_mirror,
        offline: fixed.offline,
        network,
        isolation,
        test,
        keep_work: fixed.keep_work,
        skip_existing: fixed.skip_existing,
        strict_metadata: fixed.strict_metadata,
        rebuild: fixed.rebuild,
        record: None,
        compression_level: layer.compression_level,
        jobs: jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        go_cache,
        limits,
        cgo_compiler: cgo_compiler.transpose()?,
        go: GoSettings {
            goproxy: layer.goproxy,
            gonosumdb: layer.gonosumdb,
            goprivate: layer.goprivate,
            gosumdb: layer.gosumdb,
        },
        caller_environment: surroundings.environment.clone(),
    })
}

/// A number of bytes, or with `K`, `M`, `G` or `T` of their powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let units = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];
    let unit = units.into_iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
    let (number, size) = unit.unwrap_or((text, 1));
    number.parse::<u64>().ok()?.checked_mul(size)
}

/// The platform that gonda itself runs on.
pub(crate) fn this_machine() -> Result<Subdir> {
    Subdir::current().ok_or_else(|| Error::new(Kind::Machine, "this machine's platform is not one of conda's"))
}

fn wrong_value(key: &str, value: &str, allowed: &str) -> Error {
    Error::new(Kind::Usage, format!("`{value}` is no value for `{key}`")).help(format!("use {allowed}"))
}

/// A flag's value as the configuration would have it.
pub(crate) fn isolation_word(value: Option<IsolationArg>) -> Option<String> {
    value.map(|value| match value {
        IsolationArg::Auto => "auto".to_owned(),
        IsolationArg::Strict => "strict".to_owned(),
        IsolationArg::Env => "env".to_owned(),
    })
}

/// As [`isolation_word`].
pub(crate) fn network_word(value: Option<NetworkArg>) -> Option<String> {
    value.map(|value| match value {
        NetworkArg::Modules => "modules".to_owned(),
        NetworkArg::Off => "off".to_owned(),
        NetworkArg::On => "on".to_owned(),
    })
}

/// As [`isolation_word`].
pub(crate) fn test_word(value: Option<TestArg>) -> Option<String> {
    value.map(|value| match value {
        TestArg::Native => "native".to_owned(),
        TestArg::NativeAndEmulated => "native-and-emulated".to_owned(),
        TestArg::Skip => "skip".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(dir: &Path, variables: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            environment: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            current_dir: dir.to_path_buf(),
        }
    }

    #[test]
    fn the_nearer_layer_wins() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".condarc"), "channels: [from-condarc]\nchannel_alias: alias\n").unwrap();
        std::fs::write(dir.path().join("c.toml"), "channel = ['from-file']\njobs = 3\ntest = 'skip'\n").unwrap();
        std::fs::write(dir.path().join(".gonda.toml"), "jobs = 4\n").unwrap();
        let home = dir.path().to_str().unwrap();
        let around = surroundings(dir.path(), &[("HOME", home), ("GONDA_CONFIG", "c.toml"), ("GONDA_TEST", "native")]);
        let flags = Layer { isolation: Some("env".to_owned()), ..Layer::default() };
        let layer = resolve(flags, &around, Some(dir.path())).unwrap();
        assert_eq!(layer.channel, ["from-file"]);
        assert_eq!(layer.channel_alias.as_deref(), Some("alias"));
        assert_eq!(
            (layer.jobs, layer.test.as_deref(), layer.isolation.as_deref()),
            (Some(4), Some("native"), Some("env"))
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.toml"), "chanel = ['x']\n").unwrap();
        let error =
            resolve(Layer::default(), &surroundings(dir.path(), &[("GONDA_CONFIG", "c.toml")]), None).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
    }

    #[test]
    fn sizes() {
        let sizes = ["0", "12", "3K", "500M", "2G", "1T", "", "G", "1.5G", "1g", "-1", "99999999999T"].map(bytes);
        let some = |size: u64| Some(size);
        let known = [some(0), some(12), some(3 << 10), some(500 << 20), some(2 << 30), some(1 << 40)];
        assert_eq!(sizes[..6], known);
        assert!(sizes[6..].iter().all(Option::is_none), "{sizes:?}");
    }
}
