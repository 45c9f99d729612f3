#![no_main]

mod shard;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shard::read("parquet", data));
