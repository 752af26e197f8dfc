//! Build information of a binary.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_gomod::fuzz::read_any_bytes(data));
