//! What Go is told: its part of a script's environment, and what follows the activation.
//!
//! conda-forge patches its Go so that GOPATH and GOBIN default to `$SRC_DIR/gopath` and `$PREFIX/bin` while
//! conda-build runs; a Go from elsewhere does not have that, so gonda sets both itself and the result is the same.

use std::path::Path;

use indexmap::IndexMap;
use rattler_conda_types::Subdir;

use super::{ActivatedEnv, Settings, toolchain};
use crate::golang::go_platform;
use crate::isolation::SeenPaths;
use crate::shell::sh;
use crate::{Error, Kind, Result, host};

/// The flags that conda's activation of Go sets; where no activation does, gonda does.
const FLAGS: &str = "-modcacherw -buildmode=pie -trimpath";

/// What lies around the source, and Go would find by looking upwards from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outside {
    /// A `go.work` in a folder above.
    pub workspace: bool,
    /// A repository in a folder above, whose commit Go would stamp.
    pub repository: bool,
}

impl Outside {
    /// Looks upwards from the work folder as Go would: what stands in the folder itself comes first and is the
    /// source's own. Nothing is outside where paths are fixed, for nothing else is seen there.
    #[must_use]
    pub fn look(paths: &SeenPaths) -> Self {
        if paths.fixed {
            return Self::default();
        }
        let above = |found: fn(&Path) -> bool| {
            let first = paths.src_dir.ancestors().position(found);
            first.is_some_and(|depth| depth > 0)
        };
        Self {
            workspace: above(|folder| folder.join("go.work").is_file()),
            repository: above(|folder| host::repository_mark(folder).is_some()),
        }
    }
}

/// gonda's defaults: set first, so that the recipe and the activation win.
pub(super) fn defaults(paths: &SeenPaths, settings: &Settings) -> IndexMap<String, String> {
    let path = |path: &Path| path.display().to_string();
    let mut block = IndexMap::new();
    let mut set = |name: &str, value: String| {
        block.insert(name.to_owned(), value);
    };
    // GOMODCACHE is left to Go: a script that sets a GOPATH of its own finds its modules there.
    set("GOPATH", path(&paths.src_dir.join("gopath")));
    set("GOBIN", path(&paths.prefix.join("bin")));
    set("GOCACHE", path(&paths.go_cache));
    set("GOTMPDIR", path(&paths.tmp));
    // How many compilers and linker threads run at once.
    set("GOMAXPROCS", settings.cpu_count.to_string());
    // `auto`, which go.env says, would download another toolchain.
    set("GOTOOLCHAIN", "local".to_owned());
    // The per-user file that `go env -w` writes.
    set("GOENV", "off".to_owned());
    if let Some(program) = &settings.go_cache_program {
        set("GOCACHEPROG", program.clone());
    }
    if let Some(proxy) = &settings.go_proxy {
        set("GOPROXY", proxy.clone());
    }
    // They enter Go's action ids and the binary's build information.
    set("GOAMD64", "v1".to_owned());
    set("GOARM64", "v8.0".to_owned());
    set("GOPPC64", "power8".to_owned());
    if settings.outside.workspace {
        set("GOWORK", "off".to_owned());
    }
    if let Some((zig, host)) = &settings.zig {
        block.extend(zig.environment(paths, *host));
    }
    block.extend(settings.go_environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    block
}

/// Checks what the packages of the activated environments say about GOOS and GOARCH; activate.d scripts are checked
/// when they have run ([`after_activation`]).
pub(super) fn check_activation(envs: &[ActivatedEnv], target: Subdir) -> Result<()> {
    let Some((os, arch)) = go_platform(target) else { return Ok(()) };
    for (name, wanted) in [("GOOS", os), ("GOARCH", arch)] {
        let said = envs.iter().rev().find_map(|env| env.variables.get(name));
        if let Some(said) = said.filter(|said| *said != wanted) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "the activated Go toolchain sets `{name}={said}`, but target platform `{target}` is `{wanted}`"
                ),
            )
            .help(format!(
                "the build requirements must hold a Go toolchain for `{target}`: write `{{{{ compiler('go') }}}}`"
            )));
        }
    }
    Ok(())
}

/// What follows the activation, for a POSIX shell: what the packages left open comes from gonda's own table; where
/// they contradict the target, the build ends.
pub(super) fn after_activation(settings: &Settings, target: Subdir) -> String {
    let Some((os, arch)) = go_platform(target) else { return String::new() };
    let mut text = String::from("# Go, as far as the activation left it open\n");
    text.push_str(
        "if [ -z \"${GOROOT-}\" ] && [ -x \"${BUILD_PREFIX-}/go/bin/go\" ]; then export GOROOT=\"$BUILD_PREFIX/go\"; fi\n",
    );
    text.push_str(&format!("export GOOS=\"${{GOOS:-{os}}}\" GOARCH=\"${{GOARCH:-{arch}}}\"\n"));
    text.push_str(&format!("if [ \"$GOOS/$GOARCH\" != {os}/{arch} ]; then\n"));
    text.push_str(&format!("    echo \"{}\" >&2\n    exit 1\nfi\n", toolchain::complaint("$GOOS $GOARCH")));
    // Go's own default would depend on what compilers are on PATH.
    text.push_str("if [ -z \"${CGO_ENABLED-}\" ]; then\n    if [ -n \"${CC-}\" ]; then export CGO_ENABLED=1; ");
    text.push_str("else export CGO_ENABLED=0; fi\nfi\n");
    if let Some(flags) = flags(settings.go_version) {
        text.push_str(&format!("if [ -z \"${{GOFLAGS-}}\" ]; then export GOFLAGS={}; fi\n", sh(flags)));
    }
    if settings.outside.repository && settings.go_version.is_none_or(|version| version >= (1, 18)) {
        text.push_str("export GOFLAGS=\"${GOFLAGS:+$GOFLAGS }-buildvcs=false\"\n");
    }
    text.push_str(&toolchain::ask_sh(settings, target));
    text
}

/// The same for cmd.exe.
pub(super) fn after_activation_bat(settings: &Settings, target: Subdir) -> String {
    let Some((os, arch)) = go_platform(target) else { return String::new() };
    let mut text = String::from("@rem Go, as far as the activation left it open\r\n");
    text.push_str(
        "if \"%GOROOT%\" == \"\" if exist \"%BUILD_PREFIX%\\go\\bin\\go.exe\" set \"GOROOT=%BUILD_PREFIX%\\go\"\r\n",
    );
    text.push_str(&format!("if \"%GOOS%\" == \"\" set \"GOOS={os}\"\r\n"));
    text.push_str(&format!("if \"%GOARCH%\" == \"\" set \"GOARCH={arch}\"\r\n"));
    text.push_str(&format!("if not \"%GOOS%/%GOARCH%\" == \"{os}/{arch}\" (\r\n"));
    text.push_str(&format!("    echo {} 1>&2\r\n    exit 1\r\n)\r\n", toolchain::complaint("%GOOS% %GOARCH%")));
    text.push_str("if \"%CGO_ENABLED%\" == \"\" if not \"%CC%\" == \"\" set \"CGO_ENABLED=1\"\r\n");
    text.push_str("if \"%CGO_ENABLED%\" == \"\" set \"CGO_ENABLED=0\"\r\n");
    if let Some(flags) = flags(settings.go_version) {
        text.push_str(&format!("if \"%GOFLAGS%\" == \"\" set \"GOFLAGS={flags}\"\r\n"));
    }
    if settings.outside.repository && settings.go_version.is_none_or(|version| version >= (1, 18)) {
        text.push_str("set \"GOFLAGS=%GOFLAGS% -buildvcs=false\"\r\n");
    }
    text.push_str(&toolchain::ask_bat(settings, target));
    text
}

/// The flags that this version of Go knows: `-trimpath` came with 1.13, `-modcacherw` with 1.14.
fn flags(version: Option<(u64, u64)>) -> Option<&'static str> {
    match version {
        Some(version) if version < (1, 13) => None,
        Some(version) if version < (1, 14) => Some("-trimpath"),
        _ => Some(FLAGS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms() {
        let check = |subdir: &str, expected: &str| {
            let found = go_platform(subdir.parse().unwrap());
            assert_eq!(found.map_or_else(String::new, |(os, arch)| format!("{os}/{arch}")), expected, "{subdir}");
        };
        check("linux-64", "linux/amd64");
        check("linux-aarch64", "linux/arm64");
        check("linux-ppc64le", "linux/ppc64le");
        check("osx-64", "darwin/amd64");
        check("osx-arm64", "darwin/arm64");
        check("win-64", "windows/amd64");
        check("win-arm64", "windows/arm64");
        check("noarch", "");
        check("emscripten-wasm32", "");
    }

    #[test]
    fn a_contradiction_is_an_error() {
        let env = |os: &str| ActivatedEnv {
            prefix: "/b".into(),
            variables: [("GOOS".to_owned(), os.to_owned())].into_iter().collect(),
            scripts: Vec::new(),
        };
        assert!(check_activation(&[env("windows"), env("linux")], Subdir::Linux64).is_ok());
        let error = check_activation(&[env("linux")], Subdir::Win64).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the activated Go toolchain sets `GOOS=linux`, but target platform `win-64` is `windows`"
        );
    }

    #[test]
    fn what_is_around() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("a/work");
        std::fs::create_dir_all(&work).unwrap();
        let paths = |fixed: bool| SeenPaths {
            build_prefix: "/b".into(),
            prefix: "/p".into(),
            src_dir: work.clone(),
            home: "/h".into(),
            tmp: "/t".into(),
            recipe_dir: "/r".into(),
            go_cache: "/c".into(),
            tools: None,
            own: None,
            fixed,
        };
        let look = |fixed| Outside::look(&paths(fixed));
        let nothing = Outside::default();
        assert_eq!(look(false), nothing);
        std::fs::write(folder.path().join("a/go.work"), "").unwrap();
        std::fs::create_dir(folder.path().join(".hg")).unwrap();
        assert_eq!(look(false), Outside { workspace: true, repository: true });
        assert_eq!(look(true), nothing);
        std::fs::write(work.join("go.work"), "").unwrap();
        std::fs::write(work.join(".git"), "").unwrap();
        assert_eq!(look(false), nothing);
    }
}
