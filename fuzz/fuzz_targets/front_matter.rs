//! See `front_matter` in `src/bodies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::front_matter(data));
