//! What a bench prints: what was measured, and what that means for the goals.

use super::measure::{Measured, median};

/// One contender in one situation.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) runs: Vec<Measured>,
    /// Bytes of what it made, where that is compared.
    pub(super) size: Option<u64>,
}

impl Row {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), runs: Vec::new(), size: None }
    }

    /// The median of its runs in seconds; NaN where it never ran.
    pub(super) fn wall(&self) -> f64 {
        median(self.runs.iter().map(|run| run.wall.as_secs_f64()))
    }

    /// The largest peak of its runs in MiB.
    pub(super) fn peak(&self) -> Option<f64> {
        self.runs.iter().filter_map(|run| run.peak_kib).max().map(|kib| kib as f64 / 1024.0)
    }
}

/// What is to be reached: a name, what was measured, and a bound.
pub(super) struct Goal {
    name: String,
    measured: f64,
    bound: f64,
    at_most: bool,
}

impl Goal {
    pub(super) fn at_most(name: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { name: name.into(), measured, bound, at_most: true }
    }

    pub(super) fn at_least(name: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self { name: name.into(), measured, bound, at_most: false }
    }

    fn verdict(&self) -> &'static str {
        let reached = if self.at_most { self.measured <= self.bound } else { self.measured >= self.bound };
        match (self.measured.is_nan(), reached) {
            (true, _) => "not measured",
            (false, true) => "reached",
            (false, false) => "missed",
        }
    }
}

/// Prints the rows; what could not be had is said in its place.
pub(super) fn print(title: &str, rows: &[Row], goals: &[Goal]) {
    println!("\n{title}; memory is the peak of the process itself, without what it starts\n");
    println!("{:<46} {:>5} {:>9} {:>10} {:>12}", "", "runs", "seconds", "peak MiB", "bytes");
    for row in rows {
        let size = row.size.map_or_else(String::new, |size| size.to_string());
        if row.runs.is_empty() {
            println!("{:<46} {:>5}", row.name, "can't be had here");
            continue;
        }
        let peak = row.peak().map_or_else(String::new, |peak| format!("{peak:.0}"));
        println!("{:<46} {:>5} {:>9.3} {peak:>10} {size:>12}", row.name, row.runs.len(), row.wall());
    }
    println!("\n{:<66} {:>9} {:>9}", "", "measured", "goal");
    for goal in goals {
        let sign = if goal.at_most { "<=" } else { ">=" };
        let bound = format!("{sign} {}", goal.bound);
        println!("{:<66} {:>9.3} {bound:>9}  {}", goal.name, goal.measured, goal.verdict());
    }
}

#[cfg(test)]
mod tests {
    use super::Goal;

    #[test]
    fn verdicts() {
        let check = |goal: Goal, expected: &str| assert_eq!(goal.verdict(), expected);
        check(Goal::at_most("", 1.0, 1.0), "reached");
        check(Goal::at_most("", 1.1, 1.0), "missed");
        check(Goal::at_least("", 6.9, 7.0), "missed");
        check(Goal::at_least("", f64::NAN, 7.0), "not measured");
    }
}
