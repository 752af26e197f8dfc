//! `cargo xtask bench`: how fast gonda is, beside those who do the same.

mod build;
mod lab;
mod matrix;
mod measure;
mod pack;
mod render;
mod table;

use anyhow::Result;

/// What is measured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum What {
    /// A small program, from a feedstock to a tested package
    Build {
        /// Runs of each; medians are shown
        #[arg(long, default_value_t = 3)]
        runs: usize,
    },
    /// A small program for seven targets from one machine
    Matrix {
        /// Runs of each; medians are shown
        #[arg(long, default_value_t = 1)]
        runs: usize,
    },
    /// Packing a tree of programs, libraries and sources
    Pack {
        /// How large the tree is, in millions of bytes
        #[arg(long, default_value_t = 500)]
        megabytes: u64,
        /// Runs of each; medians are shown
        #[arg(long, default_value_t = 1)]
        runs: usize,
    },
    /// Rendering: outputs a second in one process, and whole processes
    Render {
        /// Processes started; the median is shown
        #[arg(long, default_value_t = 40)]
        runs: usize,
    },
}

impl Default for What {
    fn default() -> Self {
        Self::Build { runs: 3 }
    }
}

pub(crate) fn run(what: &What) -> Result<()> {
    match what {
        What::Build { runs } => build::run(*runs),
        What::Matrix { runs } => matrix::run(*runs),
        What::Pack { megabytes, runs } => pack::run(*megabytes, *runs),
        What::Render { runs } => render::run(*runs),
    }
}
