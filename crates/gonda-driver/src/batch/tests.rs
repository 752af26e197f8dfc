//! Batch files against the real disk and real programs.
