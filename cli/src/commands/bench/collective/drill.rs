//! Shards of noise, a model's config, and the spec of a training on them.
//!
//! It must never be mistaken for data to learn from: only the cost of a step is measured on it.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use lethe_common::spec::{GangSection, PlanName, Spec};
use lethe_data::{ShardWriter, encode_png};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const PAIRS: usize = 256;

/// A model that is trained from fresh weights.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub side: u32,
    pub patch: u32,
    pub width: u32,
    pub layers: u32,
}

/// A training of a shape.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    pub shape: Shape,
    pub ranks: u32,
    pub batch: u32,
    pub steps: u64,
}

impl Course {
    /// Writes shards and config to the folder.
    pub fn prepare(&self, folder: &Path) -> anyhow::Result<Spec> {
        let Shape { side, patch, width, layers } = self.shape;
        let config = json!({
            "embed_dim": width,
            "vision_cfg": {"image_size": side, "patch_size": patch, "width": width, "head_width": 64, "layers": layers},
            "text_cfg": {"context_length": 16, "vocab_size": 49_408, "width": width, "heads": width / 64, "layers": layers},
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
        let gang = GangSection { steps: self.steps, batch: self.batch, learning_rate: 1e-4, ..GangSection::PLAIN };
        spec.train.gang = gang;
        Ok(spec)
    }
}

fn write_shard(path: &Path, side: u32) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut writer = ShardWriter::new(file);
    let mut draws = ChaCha8Rng::seed_from_u64(1);
    for number in 0..PAIRS {
        let noise: Vec<u8> = (0..side * side * 3).map(|_| draws.random()).collect();
        let caption = format!("a picture of noise, number {}", number % 50);
        writer.append(&format!("{number:06}"), &encode_png(&noise, side)?, "png", &caption)?;
    }
    writer.finish()?;
    Ok(())
}
