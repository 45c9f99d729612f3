//! 100,000 strings against open_clip's tokenizer, drawn here as tests/reference/many_tokens.py draws them.

use flate2::Crc;
use serde::Deserialize;

use super::Tokenizer;

const CONTEXT_LENGTH: usize = 77;

#[derive(Deserialize)]
struct Reference {
    seed: u64,
    strings: u64,
    block: usize,
    most_pieces: u64,
    long_every: u64,
    long_times: usize,
    words: Vec<String>,
    references: Vec<String>,
    misread: Vec<String>,
    spaces: Vec<String>,
    ranges: Vec<(u32, u32)>,
    crc32: Vec<u32>,
}

/// Knuth's 64-bit linear congruential generator; the upper bits of its state.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn of<'a, T>(&mut self, table: &'a [T]) -> &'a T {
        &table[self.below(table.len() as u64) as usize]
    }
}

impl Reference {
    fn piece(&self, draw: &mut Draw) -> String {
        match draw.below(10) {
            0..4 => draw.of(&self.words).clone(),
            4..7 => {
                let (first, last) = *draw.of(&self.ranges);
                let code = first + draw.below(u64::from(last - first) + 1) as u32;
                char::from_u32(code).expect("no range has surrogates").to_string()
            }
            7 => draw.of(&self.references).clone(),
            8 => draw.of(&self.misread).clone(),
            _ => draw.of(&self.spaces).clone(),
        }
    }

    fn text(&self, number: u64, draw: &mut Draw) -> String {
        let mut text = String::new();
        for _ in 0..draw.below(self.most_pieces) {
            text.push_str(&self.piece(draw));
            text.push_str(draw.of::<String>(&self.spaces));
        }
        if number.is_multiple_of(self.long_every) { text.repeat(self.long_times) } else { text }
    }
}

#[test]
fn a_hundred_thousand_strings_have_open_clips_ids() {
    let reference: Reference =
        serde_json::from_str(include_str!("../../../tests/reference/many_tokens.json")).expect("is the reference");
    assert_eq!((reference.strings, reference.crc32.len()), (100_000, 100_000 / reference.block));
    let (tokenizer, mut draw) = (Tokenizer::new(), Draw(reference.seed));
    let texts: Vec<String> = (0..reference.strings).map(|number| reference.text(number, &mut draw)).collect();
    let checksum = |block: &[String]| {
        let ids = block.iter().flat_map(|text| tokenizer.encode(text, CONTEXT_LENGTH));
        let bytes: Vec<u8> = ids.flat_map(|id| (id as u16).to_le_bytes()).collect();
        let mut crc = Crc::new();
        crc.update(&bytes);
        crc.sum()
    };
    let blocks = texts.chunks(reference.block).map(checksum).zip(&reference.crc32).enumerate();
    let wrong: Vec<usize> = blocks.filter(|(_, (ours, theirs))| ours != *theirs).map(|(number, _)| number).collect();
    assert!(wrong.is_empty(), "{} of 100 blocks differ: {wrong:?}; many_tokens.py prints one of them", wrong.len());
}
