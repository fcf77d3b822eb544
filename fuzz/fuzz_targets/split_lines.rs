//! See `split_lines` in `src/bodies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::split_lines(data));
