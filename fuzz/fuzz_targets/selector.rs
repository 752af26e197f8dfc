//! A line's selector.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_recipe::v0::fuzz::selector(data));
