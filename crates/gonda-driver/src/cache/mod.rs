//! What gonda keeps from one run to the next, beyond packages, environments, sources and modules, which their own
//! modules keep.

pub(crate) mod go_std;
