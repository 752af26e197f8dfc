//! Any YAML, which the quick reader reads as the full one does.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_recipe::v0::fuzz::yaml(data));
