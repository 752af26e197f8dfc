//! The place of a run: a channel from the Go SDK, a feedstock, caches of each contender, and the commands that build the
//! same program with each of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::measure::measure;
use crate::project::{build_gonda, native_platform};
use crate::setup::{self, Python};

/// Go's own state: what `go build` alone keeps.
pub(super) const GO_STATE: &[&str] = &["gocache"];
/// gonda's.
pub(super) const GONDA_STATE: &[&str] = &["cache", "out"];
/// The peer's; its scripts' GOCACHE lies in the home folder.
pub(super) const PEER_STATE: &[&str] = &["peer-cache", "peer-out", "home"];

/// A place of its own, removed when dropped.
pub(super) struct Lab {
    pub(super) home: PathBuf,
    pub(super) gonda: PathBuf,
    pub(super) go_root: PathBuf,
    pub(super) peer: Option<Python>,
    pub(super) feedstock: PathBuf,
    pub(super) channel: PathBuf,
    pub(super) platform: &'static str,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// Sets everything up, gonda built for release.
    pub(super) fn new() -> Result<Self> {
        let platform = native_platform()?;
        setup::crates()?;
        let gonda = build_gonda(true)?;
        let go_root = setup::go_root()?;
        let peer = setup::optional("py-rattler-build", setup::peer());
        let folder = tempfile::Builder::new().prefix("gonda-bench-").tempdir()?;
        let home = fs_err::canonicalize(folder.path())?.join("b");
        fs_err::create_dir_all(home.join("home"))?;
        let feedstock = gonda_testkit::sample("tally", &home);
        let channel = home.join("channel");
        let this = Self { home, gonda, go_root, peer, feedstock, channel, platform, _folder: folder };
        let mut bootstrap: Vec<OsString> = vec!["channel".into(), "bootstrap".into(), "--go-root".into()];
        bootstrap.extend([this.go_root.clone().into(), "--output".into(), this.channel.clone().into()]);
        measure(this.gonda_command(&bootstrap))?;
        Ok(this)
    }

    /// Takes folders of the lab away, if they are there. They are removed at the end only: for minutes after many files
    /// were removed, ext4 makes new ones at a fraction of its speed, so a cold run would pay for the one before.
    pub(super) fn forget(&self, folders: &[&str]) -> Result<()> {
        let used = self.home.join("used");
        fs_err::create_dir_all(&used)?;
        for folder in folders {
            let folder = self.home.join(folder);
            if folder.exists() {
                let aside = tempfile::Builder::new().tempdir_in(&used)?.keep();
                fs_err::rename(folder, aside)?;
            }
        }
        Ok(fs_err::create_dir_all(self.home.join("home"))?)
    }

    /// Go alone, set up as the toolchain packages' activation does it; for a platform in Go's words, if it isn't this one.
    pub(super) fn go_build(&self, platform: Option<(&str, &str)>) -> Command {
        let mut command = self.clean(self.go_root.join("bin/go"));
        command.args(["build", "-ldflags=-s -w", "-o"]).arg(self.home.join("alone")).arg(".");
        command.current_dir(self.feedstock.join("src")).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
        command.env("GOFLAGS", "-modcacherw -buildmode=pie -trimpath").env("GOCACHE", self.home.join("gocache"));
        command.env("GOPATH", self.home.join("gopath"));
        if let Some((goos, goarch)) = platform {
            command.env("GOOS", goos).env("GOARCH", goarch);
        }
        command
    }

    /// `gonda build` of the feedstock, for `targets`.
    pub(super) fn gonda_build(&self, targets: &[&str], more: &[&str]) -> Command {
        let mut arguments: Vec<OsString> = vec!["build".into(), self.feedstock.clone().into(), "-c".into()];
        arguments.extend([self.channel.clone().into(), "--target-platform".into(), targets.join(",").into()]);
        arguments.extend(["--output-dir".into(), self.home.join("out").into()]);
        arguments.extend(more.iter().map(OsString::from));
        self.gonda_command(&arguments)
    }

    /// The peer's build of an equal recipe, for a platform in conda's words. Tests of other platforms' packages are left
    /// out, which it would run and fail.
    pub(super) fn peer_build(&self, python: &Python, platform: &str) -> Result<Command> {
        let recipe = self.home.join("peer-recipe");
        fs_err::create_dir_all(&recipe)?;
        fs_err::write(recipe.join("recipe.yaml"), equal_recipe(&self.feedstock.join("src")))?;
        let mut command = self.clean(&python.program);
        command.env("PYTHONPATH", &python.path).env("RATTLER_CACHE_DIR", self.home.join("peer-cache"));
        command.args(["-W", "ignore", "-c", PEER]).arg(recipe.join("recipe.yaml")).arg(&self.channel);
        command.arg(self.home.join("peer-out")).arg(platform);
        command.arg(if platform == self.platform { "native" } else { "skip" });
        Ok(command)
    }

    fn gonda_command(&self, arguments: &[OsString]) -> Command {
        let mut command = self.clean(&self.gonda);
        command.args(arguments).env("GONDA_CACHE_DIR", self.home.join("cache")).current_dir(&self.home);
        command
    }

    fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.join("home")).env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("GOPROXY", "off").env("GOSUMDB", "off").env("GONDA_GOPROXY", "off").env("GONDA_GOSUMDB", "off");
        command
    }
}

/// What the sample's recipe means, in the peer's format; it reads no `meta.yaml`. Without relocation, which needs a
/// patchelf on the machine and which gonda never does.
fn equal_recipe(source: &Path) -> String {
    format!(
        "package:\n  name: tally\n  version: 1.2.0\nsource:\n  path: {}\nbuild:\n  number: 1\n  \
         dynamic_linking:\n    binary_relocation: false\n  script:\n    \
         - go build -v -ldflags=\"-s -w\" -o \"$PREFIX/bin/tally\" .\nrequirements:\n  build:\n    \
         - ${{{{ compiler('go-nocgo') }}}}\ntests:\n  - script:\n      - tally -help\n      - test -f $PREFIX/bin/tally\n\
         about:\n  license: BSD-3-Clause\n  license_file: LICENSE\n",
        source.display()
    )
}

/// Builds and tests a recipe with the peer: RECIPE CHANNEL OUTPUT PLATFORM TEST.
const PEER: &str = r#"
import pathlib, sys
from rattler_build import cli_api
recipe, channel, output, platform, test = sys.argv[1:]
cli_api.build_recipes(
    [recipe],
    channel=[pathlib.Path(channel).as_uri()],
    output_dir=output,
    target_platform=platform,
    test=test,
)
"#;
