//! What gonda keeps from one run to the next: finished packages and compiled standard libraries, and the size of it all.
//! Environments, sources and modules are kept by their own modules.

pub(crate) mod finished;
pub(crate) mod go_std;
mod tree;
mod usage;

pub(crate) use tree::of_tree;
pub use usage::{InUse, Removed, Usage, clean, in_use, prune, size};
