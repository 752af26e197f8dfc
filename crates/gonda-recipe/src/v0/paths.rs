//! The folders that a template is told of. They are those that scripts see where a build is isolated; a recipe that
//! writes one into its metadata gets the same text on every machine.

use std::sync::LazyLock;

/// Where the source is.
pub const WORK: &str = "/opt/gonda/b/work";
/// The build environment.
pub const BUILD_PREFIX: &str = "/opt/gonda/b/build_env";
/// conda-build's own environment, which gonda does not have.
pub const ROOT: &str = "/opt/gonda";
/// conda-build's own Python, which gonda does not have.
pub const PYTHON: &str = "/opt/gonda/bin/python";

/// The host environment: padded to the 255 characters that a prefix may have.
#[must_use]
pub fn prefix() -> &'static str {
    static PREFIX: LazyLock<String> = LazyLock::new(|| {
        let mut prefix = "/opt/gonda/b/host_env".to_owned();
        while prefix.len() < 255 {
            prefix.push_str("_placehold");
        }
        prefix.truncate(255);
        prefix
    });
    &PREFIX
}
