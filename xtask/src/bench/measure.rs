//! Running a program and measuring it; medians.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// One run: wall time, and the peak resident memory of the started process itself where the system tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) wall: Duration,
    pub(super) peak_kib: Option<u64>,
}

/// Runs a program to its end; its output is thrown away.
pub(super) fn measure(mut command: Command) -> Result<Measured> {
    let name = crate::project::name(&command);
    let begin = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} can't be started"))?;
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || stderr.map(std::io::read_to_string).transpose());
    let mut peak_kib = None;
    let status = loop {
        peak_kib = resident_peak(child.id()).or(peak_kib);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = begin.elapsed();
    if !status.success() {
        let said = reader.join().ok().and_then(Result::ok).flatten().unwrap_or_default();
        bail!("{name} failed: {status}\n{said}");
    }
    Ok(Measured { wall, peak_kib })
}

/// The kernel keeps the peak itself, so looking now and then suffices.
fn resident_peak(id: u32) -> Option<u64> {
    let status = fs_err::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The median; of an even number, the middle between the two.
pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0].into_iter()) - 2.5).abs() < 1e-9);
    }
}
