//! gonda-gomod
