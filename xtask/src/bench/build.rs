//! `cargo xtask bench build`: Go alone, gonda, and the peer on an equal recipe, side by side in one run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::measure::{Measured, measure, median};
use crate::project::{build_gonda, native_platform};
use crate::setup::{self, Python};

struct Row {
    name: &'static str,
    runs: Vec<Measured>,
}

impl Row {
    fn wall(&self) -> f64 {
        median(self.runs.iter().map(|run| run.wall.as_secs_f64()))
    }

    fn peak_mib(&self) -> Option<f64> {
        let peaks: Option<Vec<u64>> = self.runs.iter().map(|run| run.peak_kib).collect();
        Some(median(peaks?.into_iter().map(|kib| kib as f64 / 1024.0)))
    }
}

/// Builds a small program in all ways, `runs` times each.
pub(super) fn run(runs: usize) -> Result<()> {
    if runs == 0 {
        bail!("no runs, no medians");
    }
    let platform = native_platform()?;
    setup::crates()?;
    let gonda = build_gonda(true)?;
    let go_root = setup::go_root()?;
    let peer = setup::optional("py-rattler-build", setup::peer());

    let home = tempfile::Builder::new().prefix("gonda-bench-").tempdir()?;
    let home = fs_err::canonicalize(home.path())?.join("b");
    fs_err::create_dir_all(&home)?;
    let bench = Bench { home, gonda, go_root, platform };
    let feedstock = gonda_testkit::sample("tally", &bench.home);
    let channel = bench.home.join("channel");
    measure(bench.gonda_command(&[
        "channel".into(),
        "bootstrap".into(),
        "--go-root".into(),
        bench.go_root.clone().into(),
        "--output".into(),
        channel.clone().into(),
    ]))?;

    let mut rows = vec![
        Row { name: "go build, GOCACHE cold", runs: Vec::new() },
        Row { name: "go build, GOCACHE warm", runs: Vec::new() },
        Row { name: "gonda build, all caches cold", runs: Vec::new() },
        Row { name: "gonda build, caches warm", runs: Vec::new() },
        Row { name: "gonda build, nothing changed", runs: Vec::new() },
    ];
    if peer.is_some() {
        rows.push(Row { name: "py-rattler-build, package cache cold", runs: Vec::new() });
        rows.push(Row { name: "py-rattler-build, package cache warm", runs: Vec::new() });
    }
    // Interleaved, so that a machine that slows down slows all of them.
    for number in 0..runs {
        eprintln!("run {} of {runs}", number + 1);
        bench.forget(&["gocache", "cache", "out", "peer-cache", "peer-out"])?;
        rows[0].runs.push(measure(bench.go_build(&feedstock))?);
        rows[1].runs.push(measure(bench.go_build(&feedstock))?);
        rows[2].runs.push(measure(bench.gonda_build(&feedstock, &channel, &[]))?);
        bench.forget(&["out"])?;
        rows[3].runs.push(measure(bench.gonda_build(&feedstock, &channel, &["--rebuild"]))?);
        rows[4].runs.push(measure(bench.gonda_build(&feedstock, &channel, &[]))?);
        if let Some(python) = &peer {
            rows[5].runs.push(measure(bench.peer_build(python, &feedstock, &channel)?)?);
            bench.forget(&["peer-out"])?;
            rows[6].runs.push(measure(bench.peer_build(python, &feedstock, &channel)?)?);
        }
    }
    print_rows(&rows, runs);
    // Only its folder: the temporary folder above it goes by itself.
    let _ = fs_err::remove_dir_all(&bench.home);
    Ok(())
}

fn print_rows(rows: &[Row], runs: usize) {
    println!(
        "\nmedians of {runs} runs, one machine, one go; memory is that of the process itself, without what it starts\n"
    );
    println!("{:<38} {:>8} {:>12} {:>12} {:>10}", "", "seconds", "x go cold", "x peer warm", "peak MiB");
    let cold = rows[0].wall();
    let peer = rows.iter().find(|row| row.name.starts_with("py-") && row.name.ends_with("warm")).map(Row::wall);
    for row in rows {
        let wall = row.wall();
        let by_peer = peer.map_or_else(|| "-".to_owned(), |peer| format!("{:.2}", wall / peer));
        let peak = row.peak_mib().map_or_else(|| "-".to_owned(), |peak| format!("{peak:.0}"));
        println!("{:<38} {wall:>8.2} {:>12.2} {by_peer:>12} {peak:>10}", row.name, wall / cold);
    }
}

struct Bench {
    home: PathBuf,
    gonda: PathBuf,
    go_root: PathBuf,
    platform: &'static str,
}

impl Bench {
    fn forget(&self, folders: &[&str]) -> Result<()> {
        for folder in folders {
            let folder = self.home.join(folder);
            if folder.exists() {
                fs_err::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }

    fn clean(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.join("home")).env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("GOPROXY", "off").env("GOSUMDB", "off").env("GONDA_GOPROXY", "off").env("GONDA_GOSUMDB", "off");
        command
    }

    /// As the toolchain packages' activation sets it up.
    fn go_build(&self, feedstock: &Path) -> Command {
        let mut command = self.clean(self.go_root.join("bin/go"));
        command.args(["build", "-ldflags=-s -w", "-o"]).arg(self.home.join("alone")).arg(".");
        command.current_dir(feedstock.join("src")).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
        command.env("GOFLAGS", "-modcacherw -buildmode=pie -trimpath").env("GOCACHE", self.home.join("gocache"));
        command.env("GOPATH", self.home.join("gopath"));
        command
    }

    fn gonda_command(&self, arguments: &[OsString]) -> Command {
        let mut command = self.clean(&self.gonda);
        command.args(arguments).env("GONDA_CACHE_DIR", self.home.join("cache")).current_dir(&self.home);
        command
    }

    fn gonda_build(&self, feedstock: &Path, channel: &Path, more: &[&str]) -> Command {
        let mut arguments: Vec<OsString> = vec!["build".into(), feedstock.into(), "-c".into(), channel.into()];
        arguments.extend(["--target-platform", self.platform, "--output-dir"].map(OsString::from));
        arguments.push(self.home.join("out").into());
        arguments.extend(more.iter().map(OsString::from));
        self.gonda_command(&arguments)
    }

    fn peer_build(&self, python: &Python, feedstock: &Path, channel: &Path) -> Result<Command> {
        let recipe = self.home.join("peer-recipe");
        fs_err::create_dir_all(&recipe)?;
        fs_err::write(recipe.join("recipe.yaml"), equal_recipe(&feedstock.join("src")))?;
        let mut command = self.clean(&python.program);
        command.env("PYTHONPATH", &python.path).env("RATTLER_CACHE_DIR", self.home.join("peer-cache"));
        command
            .args(["-c", PEER])
            .arg(recipe.join("recipe.yaml"))
            .arg(channel)
            .arg(self.home.join("peer-out"))
            .arg(self.platform);
        Ok(command)
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

/// Builds and tests a recipe with the peer: RECIPE CHANNEL OUTPUT PLATFORM.
const PEER: &str = r#"
import pathlib, sys
from rattler_build import cli_api
recipe, channel, output, platform = sys.argv[1:]
cli_api.build_recipes(
    [recipe],
    channel=[pathlib.Path(channel).as_uri()],
    output_dir=output,
    target_platform=platform,
)
"#;
