#![no_main]

mod shard;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, rest)) = data.split_first() {
        shard::read(if first % 4 == 0 { "tar.gz" } else { "tar" }, rest);
    }
});
