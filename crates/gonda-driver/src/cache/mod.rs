//! What gonda keeps from one run to the next, beyond environments, sources and modules, which their own modules keep.

pub(crate) mod finished;
pub(crate) mod go_std;
mod tree;

pub(crate) use tree::of_tree;
