//! A staged prefix and its metadata to `.conda` bytes, and back: write, read, verify, inspect.
//!
//! The crate knows packages, not recipes: whoever calls it says which files go in and what `info/` holds; it writes
//! `paths.json`, `files`, `has_prefix` and `no_link` from the bytes that it packed, and reads every archive back.
