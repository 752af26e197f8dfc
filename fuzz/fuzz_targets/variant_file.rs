//! A `conda_build_config.yaml` under a recipe that uses some of its keys.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_recipe::v0::fuzz::variant_file(data));
