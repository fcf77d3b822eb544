//! See `decode_key` in `src/bodies.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::decode_key(data));
