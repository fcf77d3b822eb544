//! See `parse_line` in `src/bodies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::parse_line(data));
