//! `cargo xtask bench pack`: a tree of programs, libraries and sources – the toolchains that are at hand – becomes a package,
//! beside those who do the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::measure::measure;
use super::table::{self, Goal, Row};
use crate::project::{build_packer, output, scratch};
use crate::setup::{self, Python};

/// conda-build's level, which conda-package-handling has by default.
const SMALL: &str = "19";
/// py-rattler-build's level where nobody says another.
const PEER_LEVEL: &str = "15";

/// Packs a tree of `megabytes` in all ways, `runs` times each.
pub(super) fn run(megabytes: u64, runs: usize) -> Result<()> {
    if runs == 0 {
        bail!("no runs, no medians");
    }
    setup::crates()?;
    let packer = build_packer()?;
    let handling = setup::optional("conda-package-handling", setup::packer());
    let rattler = setup::optional("py-rattler-build", setup::peer());
    let folder = tempfile::Builder::new().prefix("bench-pack-").tempdir_in(scratch()?)?;
    let bench = Bench { packer, tree: folder.path().join("tree"), made: folder.path().join("made") };
    let size = make_tree(&bench.tree, &setup::go_root()?, megabytes * 1_000_000)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let all = threads.as_str();

    let mut rows = [
        format!("conda-package-handling, level {SMALL}"),
        format!("gonda, level {SMALL}, threads: {all}"),
        format!("py-rattler-build, level {PEER_LEVEL}, threads: {all}"),
        format!("gonda, default, threads: {all}"),
        format!("zstd alone with gonda's settings, threads: {all}"),
    ]
    .map(Row::new);
    for number in 0..runs {
        eprintln!("run {} of {runs}", number + 1);
        if let Some(python) = &handling {
            bench.once(&mut rows[0], bench.python(python, HANDLING, &[SMALL]))?;
        }
        bench.once(&mut rows[1], bench.gonda(SMALL, all))?;
        if let Some(python) = &rattler {
            bench.once(&mut rows[2], bench.python(python, RATTLER, &[PEER_LEVEL, all]))?;
        }
        bench.once(&mut rows[3], bench.gonda("default", all))?;
        rows[4].runs.push(measure(bench.zstd("default", all))?);
    }
    let wall = |row: usize| rows[row].wall();
    let of = |row: usize, other: usize| match (rows[row].size, rows[other].size) {
        (Some(size), Some(other)) => size as f64 / other as f64,
        _ => f64::NAN,
    };
    let peak = |row: usize| rows[row].peak().unwrap_or(f64::NAN);
    let goals = [
        Goal::at_least(format!("level {SMALL}, times faster than conda-package-handling"), wall(0) / wall(1), 1.5),
        Goal::at_most(format!("level {SMALL}, size of conda-package-handling's"), of(1, 0), 1.0),
        Goal::at_least("default, times faster than py-rattler-build", wall(2) / wall(3), 3.0),
        Goal::at_most("default, size of py-rattler-build's", of(3, 2), 1.0),
        Goal::at_most("default, peak in MiB beyond that of zstd alone", peak(3) - peak(4), 150.0),
    ];
    table::print(&format!("a tree of {} MB, medians of {runs} runs", size / 1_000_000), &rows, &goals);
    Ok(())
}

struct Bench {
    packer: PathBuf,
    tree: PathBuf,
    made: PathBuf,
}

impl Bench {
    fn gonda(&self, level: &str, threads: &str) -> Command {
        let mut command = Command::new(&self.packer);
        command.arg(&self.tree).arg(&self.made).args([level, threads]);
        command
    }

    fn zstd(&self, level: &str, threads: &str) -> Command {
        let mut command = Command::new(&self.packer);
        command.arg(&self.tree).args(["zstd", level, threads]);
        command
    }

    fn python(&self, python: &Python, program: &str, arguments: &[&str]) -> Command {
        let mut command = python.command();
        command.args(["-W", "ignore", "-c", program]).arg(&self.tree).arg(&self.made).args(arguments);
        command
    }

    fn once(&self, row: &mut Row, command: Command) -> Result<()> {
        if self.made.exists() {
            fs_err::remove_dir_all(&self.made)?;
        }
        fs_err::create_dir_all(&self.made)?;
        row.runs.push(measure(command)?);
        let made = fs_err::read_dir(&self.made)?.filter_map(std::result::Result::ok);
        let package = made.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "conda"));
        row.size = Some(package.context("no package was made")?.metadata()?.len());
        Ok(())
    }
}

/// A Go SDK, then the programs and libraries of the Rust toolchain that runs this, until there are so many bytes.
fn make_tree(tree: &Path, go_root: &Path, bytes: u64) -> Result<u64> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let rust = PathBuf::from(output(Command::new(rustc).args(["--print", "sysroot"]))?.trim());
    let mut left = bytes;
    for (from, to) in [(go_root.to_owned(), "go"), (rust.join("bin"), "bin"), (rust.join("lib"), "lib")] {
        for entry in walkdir::WalkDir::new(&from).sort_by_file_name() {
            let entry = entry?;
            let length = entry.metadata()?.len();
            if !entry.file_type().is_file() || length > left {
                continue;
            }
            let place = tree.join(to).join(entry.path().strip_prefix(&from)?);
            fs_err::create_dir_all(place.parent().unwrap_or(tree))?;
            fs_err::copy(entry.path(), place)?;
            left -= length;
        }
    }
    Ok(bytes - left)
}

/// TREE FOLDER LEVEL
const HANDLING: &str = r#"
import os, sys
from conda_package_handling import api
tree, folder, level = sys.argv[1:]
files = sorted(
    os.path.relpath(os.path.join(root, name), tree) for root, _, names in os.walk(tree) for name in names
)
api.create(tree, files, "packed-1-0.conda", folder, compression_tuple=(".tar.zst", "zstd", f"zstd:compression-level={level}"))
"#;

/// TREE FOLDER LEVEL THREADS
const RATTLER: &str = r#"
import os, shutil, sys
from rattler_build.package_assembler import assemble_package
tree, folder, level, threads = sys.argv[1:]
package = assemble_package(
    "packed", "1", "noarch", "0", folder,
    files_dir=tree, noarch="generic", compression_level=int(level), compression_threads=int(threads),
)
if os.path.dirname(os.path.abspath(package.path)) != os.path.abspath(folder):
    shutil.move(package.path, folder)
"#;
