//! How archives are compressed.

use std::io::{self, Write};

use zstd::zstd_safe::CParameter;

/// The level of conda-build and conda-forge.
const CONDA_BUILD: i32 = 19;
/// Clients decode a window of 2^27 bytes unasked.
const WINDOW_LOG: u32 = 27;

/// How much effort goes into compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// zstd's level, 1 to 22.
    pub level: i32,
    /// Long-distance matching over a window of 2^n bytes, at most 2^27: what programs have in common is found wherever it
    /// stands.
    pub long: Option<u32>,
}

impl Compression {
    /// As small as level 15, for a seventh of its time (for Go programs).
    pub const DEFAULT: Self = Self { level: 12, long: Some(WINDOW_LOG) };

    /// A level that somebody asked for, with long-distance matching.
    #[must_use]
    pub fn of_level(level: i32) -> Self {
        Self { level: level.clamp(1, 22), long: Some(WINDOW_LOG) }
    }

    /// A zstd stream for `total` bytes, whose output does not depend on the number of threads: there is always at least
    /// one worker, and the size of its jobs is fixed here rather than left to zstd.
    ///
    /// # Errors
    /// When zstd gets no memory.
    pub fn encoder<W: Write>(self, writer: W, total: u64, threads: u32) -> io::Result<zstd::Encoder<'static, W>> {
        let Self { level, long } = self;
        let mut encoder = zstd::Encoder::new(writer, level)?;
        encoder.include_checksum(true)?;
        // A window beyond the content makes every reader reserve memory for nothing.
        let needed = u64::BITS - total.saturating_add(1 << 16).leading_zeros();
        if let Some(long) = long.map(|long| long.min(needed)).filter(|long| *long > 22) {
            encoder.long_distance_matching(true)?;
            encoder.window_log(long.clamp(10, WINDOW_LOG))?;
            // What is left needs a quarter of that level's search. Measured: one program becomes as small as without
            // long-distance matching, a toolchain smaller by a tenth.
            if level == CONDA_BUILD {
                encoder.set_parameter(CParameter::SearchLog(5))?;
            }
        }
        encoder.set_parameter(CParameter::NbWorkers(threads.clamp(1, 64)))?;
        // Larger jobs compress better, smaller ones keep more threads busy: four at least from 16 MiB on. At the levels
        // that ask for size, what fits into one is not cut.
        let most = 32 << 20;
        let job = if level < 16 { (total / 4).clamp(4 << 20, most) } else { most };
        encoder.set_parameter(CParameter::JobSize(u32::try_from(job).unwrap_or(u32::MAX)))?;
        // Each job sees a whole window of what stands before it.
        encoder.set_parameter(CParameter::OverlapSizeLog(9))?;
        Ok(encoder)
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::DEFAULT
    }
}
