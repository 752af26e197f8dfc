//! go.mod, go.work, go.sum, modules.txt and the words in them.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| gonda_gomod::fuzz::read_any_text(text));
