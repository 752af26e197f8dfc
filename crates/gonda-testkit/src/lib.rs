//! For the tests: a closed world to run gonda in, and makers of what it works on.
//!
//! A test makes its own channel, feedstock, sources and module proxy and needs no network but loopback. What a
//! machine may lack (a Go SDK, Python's packages, mounts) is asked for here; a test that can't have it says so with
//! [`skipped`] and never passes in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's helper fails as a test does")]

mod archive;
mod channel;
mod fake_go;
mod feedstock;
mod machine;
mod proxy;
mod server;
mod world;

pub use archive::{
    ArchiveKind, Entry, RawMember, conda_members, raw_tar, sha256, source_archive, source_entries, swap_info,
};
pub use channel::{HandMadeChannel, HandMadePackage};
pub use fake_go::FakeGo;
pub use feedstock::{Feedstock, copy_tree, sample, samples_folder};
pub use machine::{
    GO_LICENSES, GO_ROOT, PYTHON, PYTHONPATH, Python, QUICK, SKIPS, TOOLCHAIN_CHANNEL, go_root, private_mounts, python,
    skipped, system_cc, toolchain_channel, zig,
};
pub use proxy::{ModuleProxy, Sums, module_sums};
pub use server::{FileServer, Reply};
pub use world::{Run, World};
