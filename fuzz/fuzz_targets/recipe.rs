//! A `meta.yaml`, in all modes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gonda_recipe::v0::fuzz::recipe(data));
