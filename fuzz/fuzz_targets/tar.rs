//! Tar streams.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gonda_packager::fuzz::read_any_tar(bytes));
