//! The smallest models that tests need.

use lethe_model::{Clip, ModelConfig};

/// Pictures of 2 x 2 pixels, and captions as long as CLIP's.
const VIT: &str = r#"{
    "embed_dim": 4,
    "vision_cfg": {"image_size": 2, "patch_size": 1, "width": 8, "layers": 1, "head_width": 4, "mlp_ratio": 1.0},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2, "mlp_ratio": 1.0}
}"#;

/// Four cells of 64 values before its pool.
const RESNET: &str = r#"{
    "embed_dim": 4,
    "vision_cfg": {"image_size": 64, "width": 2, "layers": [1, 1, 1, 1], "head_width": 16, "patch_size": null},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1, "mlp_ratio": 1.0}
}"#;

pub fn vit() -> Clip {
    of(VIT)
}

pub fn resnet() -> Clip {
    of(RESNET)
}

fn of(config: &str) -> Clip {
    ModelConfig::from_json(config).and_then(|config| Clip::init(&config, 1)).expect("a model")
}
