#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entra_redis_fuzz::cluster_address(data));
