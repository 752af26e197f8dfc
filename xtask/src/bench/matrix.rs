//! `cargo xtask bench matrix`: a small program for seven targets from one machine, beside seven plain `go build`s and seven
//! runs of the peer.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::lab::{GO_STATE, GONDA_STATE, Lab, PEER_STATE};
use super::measure::{Measured, measure};
use super::table::{self, Goal, Row};

/// conda's name, and Go's.
const TARGETS: [(&str, (&str, &str)); 7] = [
    ("linux-64", ("linux", "amd64")),
    ("linux-aarch64", ("linux", "arm64")),
    ("linux-ppc64le", ("linux", "ppc64le")),
    ("osx-64", ("darwin", "amd64")),
    ("osx-arm64", ("darwin", "arm64")),
    ("win-64", ("windows", "amd64")),
    ("win-arm64", ("windows", "arm64")),
];

/// Builds for all targets in all ways, `runs` times each.
pub(super) fn run(runs: usize) -> Result<()> {
    if runs == 0 {
        bail!("no runs, no medians");
    }
    let lab = Lab::new()?;
    let targets = TARGETS.map(|(conda, _)| conda);
    let mut rows = [
        "7 x go build, GOCACHE cold",
        "7 x go build, GOCACHE warm",
        "gonda build, 7 targets, all caches cold",
        "gonda build, 7 targets, warm (--rebuild)",
        "gonda build, 7 targets, nothing changed",
        "7 x py-rattler-build, all caches cold",
        "7 x py-rattler-build, caches warm",
    ]
    .map(Row::new);
    let go = || sum(TARGETS.iter().map(|(_, platform)| Ok(lab.go_build(Some(*platform)))));
    for number in 0..runs {
        eprintln!("run {} of {runs}", number + 1);
        lab.forget(GO_STATE)?;
        rows[0].runs.push(go()?);
        rows[1].runs.push(go()?);
        lab.forget(GONDA_STATE)?;
        rows[2].runs.push(measure(lab.gonda_build(&targets, &[]))?);
        rows[3].runs.push(measure(lab.gonda_build(&targets, &["--rebuild"]))?);
        rows[4].runs.push(measure(lab.gonda_build(&targets, &[]))?);
        if let Some(python) = &lab.peer {
            let peer = || sum(targets.iter().map(|platform| lab.peer_build(python, platform)));
            lab.forget(PEER_STATE)?;
            rows[5].runs.push(peer()?);
            lab.forget(&["peer-out"])?;
            rows[6].runs.push(peer()?);
        }
    }
    let wall = |row: usize| rows[row].wall();
    let goals = [
        Goal::at_most("cold, of the sum of seven `go build`s cold", wall(2) / wall(0), 1.1),
        Goal::at_most("warm, seconds", wall(3), 3.0),
        Goal::at_least("warm, times faster than seven runs of py-rattler-build warm", wall(6) / wall(3), 7.0),
        Goal::at_most("peak of gonda in MiB", rows[2].peak().unwrap_or(f64::NAN), 150.0),
    ];
    table::print(&format!("a small program for seven targets, medians of {runs} runs"), &rows, &goals);
    Ok(())
}

/// One after the other; the longest memory of them, and their times together.
fn sum(commands: impl Iterator<Item = Result<Command>>) -> Result<Measured> {
    let mut all = Measured { wall: Duration::ZERO, peak_kib: None };
    for command in commands {
        let one = measure(command?)?;
        all.wall += one.wall;
        all.peak_kib = all.peak_kib.max(one.peak_kib);
    }
    Ok(all)
}
