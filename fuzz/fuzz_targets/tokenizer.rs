#![no_main]

use std::sync::LazyLock;

use lethe_data::Tokenizer;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::new);
const LENGTH: usize = 77;
const START: i64 = 49_406;
const END: i64 = 49_407;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let ids = TOKENIZER.encode(text, LENGTH);
    assert_eq!((ids.len(), ids[0]), (LENGTH, START));
    // A caption may spell the special tokens, as in open_clip.
    assert!(ids.contains(&END) && ids.iter().all(|id| (0..=END).contains(id)), "{ids:?}");
});
