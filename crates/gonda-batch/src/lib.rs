//! gonda-batch
