//! `cargo xtask bench render`: rendering in one process, by the recipe crate's own bench, and whole processes of the
//! gonda binary. Everything is built for release.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::measure::{measure, median};
use crate::project::{self, build_gonda, native_platform};

/// Runs the bench and `runs` processes, and prints what was measured beside the targets.
pub(super) fn run(runs: usize) -> Result<()> {
    if runs == 0 {
        bail!("no runs, no medians");
    }
    let in_process = in_process()?;
    let process = process(runs)?;
    let number = |key: &str| in_process[key].as_f64().with_context(|| format!("the bench says nothing of `{key}`"));
    let rate = number("v0_outputs_per_second_two_threads")?;
    let pinning = number("v0_pinning_file_ms")?;
    let lines = number("pinning_file_lines")?;
    println!("\nmedians, release build, one machine\n");
    println!("{:<62} {:>10} {:>12}", "", "measured", "target");
    let row = |name: &str, measured: String, target: &str| println!("{name:<62} {measured:>10} {target:>12}");
    row("v0, one process, two threads, outputs a second", format!("{rate:.0}"), ">= 10000");
    row("v0, one thread, outputs a second", format!("{:.0}", number("v0_outputs_per_second_one_thread")?), "");
    row(&format!("v0 with a pinning file of {lines:.0} lines, ms"), format!("{pinning:.1}"), "<= 15");
    row("v1 by gonda, one thread, outputs a second", format!("{:.0}", number("v1_outputs_per_second")?), "");
    row(
        "v1 by the recipe crates alone, one thread, outputs a second",
        format!("{:.0}", number("v1_crates_outputs_per_second")?),
        "",
    );
    row(&format!("`gonda render`, whole process, of {runs} runs, ms"), format!("{process:.1}"), "<= 10");
    Ok(())
}

/// What `cargo bench` of the recipe crate prints.
fn in_process() -> Result<Value> {
    let arguments = ["bench", "--package", "gonda-recipe", "--bench", "render", "--locked", "--quiet"];
    let text = project::output(&mut project::cargo(arguments))?;
    let line = text.lines().rev().find(|line| line.starts_with('{')).context("the bench printed no result")?;
    Ok(serde_json::from_str(line)?)
}

/// The median time of a process that renders a sample feedstock, in milliseconds.
fn process(runs: usize) -> Result<f64> {
    let gonda = build_gonda(true)?;
    let home = tempfile::Builder::new().prefix("gonda-bench-").tempdir()?;
    let home = fs_err::canonicalize(home.path())?.join("b");
    fs_err::create_dir_all(&home)?;
    let feedstock = gonda_testkit::sample("tally", &home);
    let render = |home: &Path| -> Result<Command> {
        let mut command = Command::new(&gonda);
        command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("GONDA_CACHE_DIR", home.join("cache")).current_dir(home);
        command.arg("render").arg(&feedstock).args(["--target-platform", native_platform()?]);
        Ok(command)
    };
    let mut walls = Vec::with_capacity(runs);
    // The first run warms the machine's file cache.
    for run in 0..=runs {
        let wall = measure(render(&home)?)?.wall;
        if run > 0 {
            walls.push(wall.as_secs_f64() * 1000.0);
        }
    }
    let _ = fs_err::remove_dir_all(&home);
    Ok(median(walls.into_iter()))
}
