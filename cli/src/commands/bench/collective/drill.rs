//! Shards of noise, a model's config, and the spec of a training on them.
//!
//! It must never be mistaken for data to learn from: only the cost of a step is measured on it.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use lethe_common::spec::{GangSection, PlanName, Spec};
use lethe_data::{ShardWriter, encode_png};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const PAIRS: usize = 64;
/// Each is one token.
const WORDS: [&str; 16] = [
    "red", "blue", "green", "dog", "cat", "car", "tree", "house", "boat", "bird", "man", "hat", "road", "sun", "book",
    "tea",
];
/// Tokens of a caption, with the start and the end.
pub const CAPTION_TOKENS: usize = 10;
/// Different tokens of all captions.
pub const VOCABULARY: usize = WORDS.len() + 2;

/// A model that is trained from fresh weights.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub side: u32,
    pub patch: u32,
    /// Of the image tower.
    pub width: u32,
    /// Of the text tower and the embeddings.
    pub text_width: u32,
    pub layers: u32,
}

/// A training of a shape.
#[derive(Debug, Clone)]
pub struct Course {
    pub shape: Shape,
    pub ranks: u32,
    pub gang: GangSection,
}

impl Course {
    /// Writes shards and config to the folder.
    pub fn prepare(&self, folder: &Path) -> anyhow::Result<Spec> {
        let Shape { side, patch, width, text_width, layers } = self.shape;
        let config = json!({
            "embed_dim": text_width,
            "vision_cfg": {"image_size": side, "patch_size": patch, "width": width, "head_width": 64, "layers": layers},
            "text_cfg": {"context_length": 16, "vocab_size": 49_408, "width": text_width, "heads": text_width / 64,
                "layers": layers},
        });
        let path = folder.join("model.json");
        std::fs::write(&path, config.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        let shard = folder.join("00000.tar");
        write_shard(&shard, side)?;
        let least = json!({
            "audit": {"id": "bench", "plan": PlanName::Train},
            "model": {"config": path},
            "data": {"shards": [shard]},
            "workers": {"count": self.ranks},
        });
        let mut spec: Spec = serde_json::from_value(least)?;
        spec.train.gang = self.gang.clone();
        Ok(spec)
    }
}

fn write_shard(path: &Path, side: u32) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = ShardWriter::new(file);
    let mut draws = ChaCha8Rng::seed_from_u64(1);
    for number in 0..PAIRS {
        let noise: Vec<u8> = (0..side * side * 3).map(|_| draws.random()).collect();
        let words: Vec<&str> = (2..CAPTION_TOKENS).map(|_| *WORDS.choose(&mut draws).unwrap_or(&WORDS[0])).collect();
        let caption = words.join(" ");
        writer.append(&format!("{number:06}"), &encode_png(&noise, side)?, "png", &caption)?;
    }
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_token() {
        for word in WORDS {
            let tokens = lethe_data::Tokenizer::new().encode(word, 16);
            assert_eq!(tokens.iter().filter(|token| **token != 0).count(), 3, "{word}");
        }
    }
}
