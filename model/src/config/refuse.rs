//! Names what OpenCLIP can build and this crate cannot.
//!
//! It must never let an option pass whose value would change the embeddings.

use serde_json::{Map, Value, json};

use super::{ModelConfig, ResNet, Tower, VisionConfig, Vit};
use crate::error::{ModelError, Result};

/// No side, width or vocabulary of a CLIP model comes near it; a larger one is a broken config.
const MAX_SIZE: i64 = 1 << 20;
/// The deepest published CLIP tower has 64 layers.
const MAX_LAYERS: usize = 1024;
const PLAIN: &str = "Lethe knows the plain ViT and the ResNet with attention pool, with OpenAI's causal text tower";

pub(super) fn unsupported(what: impl Into<String>, advice: &'static str) -> ModelError {
    ModelError::Unsupported { what: what.into(), advice }
}

/// Refuses towers of another kind before their fields confuse the parser.
pub(super) fn towers(model: &Value) -> Result<()> {
    let vision = &model["vision_cfg"];
    let text = &model["text_cfg"];
    if model.get("multimodal_cfg").is_some() {
        return Err(unsupported("CoCa (multimodal_cfg)", PLAIN));
    }
    if !model["init_logit_bias"].is_null() {
        return Err(unsupported("SigLIP (init_logit_bias)", "its sigmoid loss is not CLIP's contrastive loss"));
    }
    if let Some(name) = vision["timm_model_name"].as_str() {
        return Err(unsupported(format!("the timm image tower {name:?} (vision_cfg.timm_model_name)"), PLAIN));
    }
    if let Some(name) = text["hf_model_name"].as_str() {
        return Err(unsupported(format!("the Hugging Face text tower {name:?} (text_cfg.hf_model_name)"), PLAIN));
    }
    if vision["image_size"].is_array() {
        return Err(unsupported("an image_size of two numbers", "only square images are supported, give one number"));
    }
    Ok(())
}

/// Accepts an option only where it has no effect on embeddings, or OpenCLIP's own default value.
pub(super) fn options(section: &str, other: &Map<String, Value>) -> Result<()> {
    for (key, value) in other {
        if !harmless(key) && !default_value(section, key, value) {
            return Err(unsupported(format!("{section}{key} = {value}"), PLAIN));
        }
    }
    Ok(())
}

/// Options that only matter to OpenCLIP's training, its tokenizer's choice of words or its outputs' form.
fn harmless(key: &str) -> bool {
    matches!(key, "patch_dropout" | "output_tokens" | "custom_text" | "pad_id" | "eos_id" | "init_logit_scale")
        || key.starts_with("timm_")
        || key.starts_with("hf_model_pretrained")
        || key.starts_with("hf_proj_type")
        || key.starts_with("hf_pooler_type")
        || key.starts_with("attn_pooler_")
}

fn default_value(section: &str, key: &str, value: &Value) -> bool {
    match key {
        "pool_type" if section == "vision_cfg." => *value == json!("tok"),
        "pool_type" => *value == json!("argmax"),
        "pos_embed_type" => *value == json!("learnable"),
        "proj_type" => *value == json!("linear"),
        "block_type" => value.is_null() || *value == json!("default"),
        _ => value.is_null() || *value == json!(false),
    }
}

/// Refuses sizes that no tower can have.
pub(super) fn senseless(config: &ModelConfig) -> Result<()> {
    let (v, t) = (&config.vision, &config.text);
    size("embed_dim", config.embed_dim)?;
    size("vision_cfg.image_size", v.image_size)?;
    size("text_cfg.context_length", t.context_length)?;
    size("text_cfg.vocab_size", t.vocab_size)?;
    layers("text_cfg.layers", t.layers)?;
    heads("text_cfg.width", t.width, t.heads)?;
    size("text_cfg.mlp_ratio times width", t.mlp_width)?;
    match v.tower {
        Tower::Vit(ref vit) => senseless_vit(v, vit)?,
        Tower::ResNet(ref resnet) => senseless_resnet(v, resnet)?,
    }
    if config.normalization.std.iter().any(|std| *std <= 0.0) {
        return Err(bad(format!("preprocess_cfg.std is {:?}, expected numbers above 0", config.normalization.std)));
    }
    Ok(())
}

fn senseless_vit(v: &VisionConfig, vit: &Vit) -> Result<()> {
    size("vision_cfg.patch_size", vit.patch_size)?;
    layers("vision_cfg.layers", vit.layers)?;
    heads("vision_cfg.width", v.width, v.heads)?;
    size("vision_cfg.mlp_ratio times width", vit.mlp_width)?;
    if vit.patch_size > v.image_size {
        return Err(bad(format!("vision_cfg.patch_size {} exceeds image_size {}", vit.patch_size, v.image_size)));
    }
    Ok(())
}

fn senseless_resnet(v: &VisionConfig, resnet: &ResNet) -> Result<()> {
    resnet.blocks.iter().try_for_each(|blocks| layers("a stage of vision_cfg.layers", *blocks))?;
    size("vision_cfg.width", v.width)?;
    heads("32 times vision_cfg.width", v.token_width(), v.heads)?;
    if v.width % 2 != 0 {
        return Err(bad(format!("vision_cfg.width is {}, expected an even number: the stem is half as wide", v.width)));
    }
    if v.image_size % ResNet::STRIDE != 0 {
        return Err(bad(format!(
            "vision_cfg.image_size is {}, expected a multiple of {}",
            v.image_size,
            ResNet::STRIDE
        )));
    }
    if v.image_size == ResNet::STRIDE {
        return Err(bad(format!("vision_cfg.image_size {} leaves the attention pool a single cell", v.image_size)));
    }
    Ok(())
}

fn bad(message: String) -> ModelError {
    ModelError::Config(message)
}

pub(super) fn size(name: &str, value: i64) -> Result<()> {
    if (1..=MAX_SIZE).contains(&value) {
        return Ok(());
    }
    Err(bad(format!("{name} is {value}, expected 1 to {MAX_SIZE}")))
}

fn layers(name: &str, layers: usize) -> Result<()> {
    if (1..=MAX_LAYERS).contains(&layers) {
        return Ok(());
    }
    Err(bad(format!("{name} is {layers}, expected 1 to {MAX_LAYERS}")))
}

fn heads(name: &str, width: i64, heads: i64) -> Result<()> {
    size(name, width)?;
    if heads >= 1 && width % heads == 0 {
        return Ok(());
    }
    Err(bad(format!("{name} is {width}, expected a multiple of its {heads} heads")))
}
