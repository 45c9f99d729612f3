#![no_main]

mod shard;

const ENDINGS: [&str; 4] = ["csv", "tsv", "jsonl", "csv.gz"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((first, rest)) = data.split_first() {
        shard::read(ENDINGS[usize::from(*first) % ENDINGS.len()], rest);
    }
});
