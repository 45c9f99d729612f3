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
    let end = ids.iter().position(|id| *id == END).expect("a caption ends");
    assert!(ids[1..end].iter().all(|id| (0..START).contains(id)), "{ids:?}");
    assert!(ids[end + 1..].iter().all(|id| *id == 0), "{ids:?}");
});
