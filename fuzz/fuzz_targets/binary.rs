//! ELF, PE and Mach-O files, held against a package's metadata.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gonda_packager::fuzz::read_any_binary(bytes));
