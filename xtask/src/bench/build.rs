//! `cargo xtask bench build`: Go alone, gonda, and the peer on an equal recipe, side by side in one run.

use anyhow::{Result, bail};

use super::lab::{GO_STATE, GONDA_STATE, Lab, PEER_STATE};
use super::measure::measure;
use super::table::{self, Goal, Row};

/// Builds a small program in all ways, `runs` times each.
pub(super) fn run(runs: usize) -> Result<()> {
    if runs == 0 {
        bail!("no runs, no medians");
    }
    let lab = Lab::new()?;
    let native = [lab.platform];
    let mut rows = [
        "go build, GOCACHE cold",
        "go build, GOCACHE warm",
        "gonda build, all caches cold",
        "gonda build, caches warm (--rebuild)",
        "gonda build, nothing changed",
        "py-rattler-build, all caches cold",
        "py-rattler-build, caches warm",
    ]
    .map(Row::new);
    // Interleaved, so that a machine that slows down slows all of them.
    for number in 0..runs {
        eprintln!("run {} of {runs}", number + 1);
        lab.forget(GO_STATE)?;
        rows[0].runs.push(measure(lab.go_build(None))?);
        rows[1].runs.push(measure(lab.go_build(None))?);
        lab.forget(GONDA_STATE)?;
        rows[2].runs.push(measure(lab.gonda_build(&native, &[]))?);
        rows[3].runs.push(measure(lab.gonda_build(&native, &["--rebuild"]))?);
        rows[4].runs.push(measure(lab.gonda_build(&native, &[]))?);
        if let Some(python) = &lab.peer {
            lab.forget(PEER_STATE)?;
            rows[5].runs.push(measure(lab.peer_build(python, lab.platform)?)?);
            lab.forget(&["peer-out"])?;
            rows[6].runs.push(measure(lab.peer_build(python, lab.platform)?)?);
        }
    }
    let wall = |row: usize| rows[row].wall();
    let peak = rows[2..5].iter().filter_map(Row::peak).fold(f64::NAN, f64::max);
    let goals = [
        Goal::at_most("warm, seconds", wall(3), 1.0),
        Goal::at_least("warm, times faster than py-rattler-build warm", wall(6) / wall(3), 7.0),
        Goal::at_most("nothing changed, seconds", wall(4), 0.15),
        Goal::at_most("cold, seconds beyond `go build` cold", wall(2) - wall(0), 3.0),
        Goal::at_most("peak of gonda in MiB", peak, 150.0),
    ];
    table::print(&format!("a small program, medians of {runs} runs"), &rows, &goals);
    Ok(())
}
