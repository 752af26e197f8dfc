//! A `recipe.yaml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_recipe::v1::fuzz::recipe(data));
