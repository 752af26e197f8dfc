//! gonda-testkit
