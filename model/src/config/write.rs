//! Writes a [`ModelConfig`] as OpenCLIP's open_clip_config.json, which `json` reads back.
//!
//! It must never leave out what embeddings depend on.

use serde_json::{Value, json};

use super::{ModelConfig, TextConfig, Tower, VisionConfig};

pub(super) fn write(config: &ModelConfig) -> String {
    let model = json!({
        "embed_dim": config.embed_dim,
        "quick_gelu": config.quick_gelu,
        "vision_cfg": vision(&config.vision),
        "text_cfg": text(&config.text),
    });
    let statistics = &config.normalization;
    let preprocess = json!({ "mean": statistics.mean, "std": statistics.std });
    format!("{:#}\n", json!({ "model_cfg": model, "preprocess_cfg": preprocess }))
}

fn vision(v: &VisionConfig) -> Value {
    let head_width = v.token_width() / v.heads;
    match v.tower {
        Tower::Vit(vit) => json!({
            "image_size": v.image_size, "patch_size": vit.patch_size, "width": v.width, "layers": vit.layers,
            "head_width": head_width, "mlp_ratio": ratio(vit.mlp_width, v.width),
        }),
        Tower::ResNet(resnet) => json!({
            "image_size": v.image_size, "patch_size": null, "width": v.width, "layers": resnet.blocks,
            "head_width": head_width,
        }),
    }
}

fn text(t: &TextConfig) -> Value {
    json!({
        "context_length": t.context_length, "vocab_size": t.vocab_size, "width": t.width, "layers": t.layers,
        "heads": t.heads, "mlp_ratio": ratio(t.mlp_width, t.width),
    })
}

/// The ratio that gives `mlp_width` back although OpenCLIP cuts off what follows the point.
fn ratio(mlp_width: i64, width: i64) -> f64 {
    let exact = mlp_width as f64 / width as f64;
    if (width as f64 * exact) as i64 == mlp_width { exact } else { (mlp_width as f64 + 0.5) / width as f64 }
}
