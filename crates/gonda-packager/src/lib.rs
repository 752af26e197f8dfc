//! A staged prefix and its metadata to `.conda` bytes, and back: write, read, verify, inspect.
//!
//! The crate knows packages, not recipes: whoever calls it says which files go in and what `info/` holds; it writes
//! `paths.json`, `files`, `has_prefix` and `no_link` from the bytes that it packed, and reads every archive back.
//!
//! The way through: [`list`] says what is in a prefix (before and after a script), [`scan()`] turns the chosen paths into
//! [`Entry`]s, [`write()`] makes the archive. The other way: [`verify()`] and [`inspect()`] check and show an archive,
//! whoever built it, [`extract()`] unpacks it, [`repodata_record`] describes it to a channel. [`binary`] reads compiled
//! files, [`truth`] holds them against what their package says.
//!
//! Nothing that is written depends on the clock, the environment or the umask: the same entries give the same bytes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod archive;
pub mod binary;
mod compiled;
mod compression;
mod contents;
mod entry;
mod error;
mod extract;
pub mod fuzz;
mod host;
mod inspect;
mod member_path;
mod paths;
mod prefix;
mod record;
mod scan;
mod tarball;
pub mod truth;
mod verify;
mod write;

pub use archive::{ArchiveFormat, Limits, Part};
pub use binary::Binary;
pub use compiled::{LookAtBinary, ReadSeek};
pub use compression::Compression;
pub use entry::{Content, Entry, InfoFile, Kind};
pub use error::{Error, Problem, Result, Severity};
pub use extract::{Extent, extract};
pub use host::is_executable;
pub use inspect::{Inspection, PackedFile, inspect, inspect_with};
pub use prefix::{CONSTANT_PLACEHOLDER, Detection, FileMode, Prefix, PrefixMap, spellings};
pub use record::{index_json, read_info, repodata_record};
pub use scan::{Remark, Scanned, is_excluded, list, scan};
pub use verify::{Verification, verify, verify_with};
pub use write::{Artifact, Package, write};
