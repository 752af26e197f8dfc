//! What Go's own files and binaries say: go.mod, go.work, go.sum, `vendor/modules.txt`, the configuration of module
//! proxies, module zips and the build information of binaries; versions and the constraints that follow from them.
//!
//! The crate is pure: text or bytes in, typed values or errors out. It performs no IO (hashing and build information take a reader), starts no
//! process and knows no conda package but the match spec that a `go` line becomes. Rules are those of the Go command;
//! the part of its documentation that states a rule stands beside it. Where Go's answer is a message, the text is Go's,
//! so that it reads the same whoever says it.
//!
//! Nothing here panics on input, and all of it takes time linear in the input (sorting aside).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod buildinfo;
mod dirhash;
mod error;
mod exe;
mod floor;
mod go_mod;
mod go_sum;
mod go_version;
mod go_work;
mod module_path;
mod module_version;
mod module_zip;
mod proxy;
mod quote;
mod syntax;
mod vendor;

#[doc(hidden)]
pub mod fuzz;

pub use buildinfo::{BuildInfo, BuildInfoError, BuildModule, read_build_info, read_build_info_from};
pub use dirhash::{DirHash, hash_go_mod, hash_reader, hash1};
pub use error::{Place, SyntaxError, SyntaxErrors};
pub use floor::ToolchainFloor;
pub use go_mod::{Directive, GoMod, Module, Replace, Require, Retract};
pub use go_sum::{GoSum, GoSumEntry};
pub use go_version::GoVersion;
pub use go_work::GoWork;
pub use module_path::{
    PathError, check_file_path, check_import_path, check_module, check_module_path, escape_path, escape_version,
    is_directory_path, split_path_version, unescape_path, unescape_version,
};
pub use module_version::{
    ModuleVersion, PseudoVersion, Semver, canonical_version, compare_versions, is_canonical_version, is_pseudo_version,
};
pub use module_zip::{MAX_GO_MOD, MAX_MODULE_ZIP, ZipProblem, check_module_zip};
pub use proxy::{ProxyEntry, ProxyTarget, go_env_value, matches_prefix_patterns, parse_proxy_list};
pub use vendor::{InconsistentVendoring, MainModule, ModulesTxt, VendorUse, VendoredModule, check_vendor, vendor_use};
