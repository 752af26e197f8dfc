//! A `variants.yaml` beside a recipe that uses some of its keys.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_recipe::v1::fuzz::variant_file(data));
