//! Reads the config.json of a Hugging Face CLIPModel into a [`ModelConfig`].
//!
//! It must never fill in an architecture: only the defaults that transformers itself has.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refuse::unsupported;
use super::{ModelConfig, Normalization, TextConfig, Tower, VisionConfig, Vit};
use crate::error::{ModelError, Result};

const LAYER_NORM_EPS: f64 = 1e-5;
/// CLIP's end of text in transformers; 2 in configs written before it was mended, which stands for the greatest id.
const END_OF_TEXT: i64 = 49_407;
const OLD_END_OF_TEXT: i64 = 2;
const ADVICE: &str = "Lethe knows Hugging Face's CLIPModel";

#[derive(Deserialize)]
#[serde(default)]
struct Text {
    vocab_size: i64,
    max_position_embeddings: i64,
    eos_token_id: Option<i64>,
    #[serde(flatten)]
    encoder: Encoder,
}

#[derive(Deserialize)]
#[serde(default)]
struct Vision {
    image_size: i64,
    patch_size: i64,
    num_channels: i64,
    #[serde(flatten)]
    encoder: Encoder,
}

/// What both towers have; the defaults are the text tower's.
#[derive(Deserialize)]
#[serde(default)]
struct Encoder {
    hidden_size: i64,
    intermediate_size: i64,
    num_hidden_layers: usize,
    num_attention_heads: i64,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Encoder {
    fn of(hidden_size: i64, num_attention_heads: i64) -> Self {
        Self {
            hidden_size,
            intermediate_size: 4 * hidden_size,
            num_hidden_layers: 12,
            num_attention_heads,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: LAYER_NORM_EPS,
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::of(512, 8)
    }
}

impl Default for Text {
    fn default() -> Self {
        let encoder = Encoder::default();
        Self { vocab_size: 49_408, max_position_embeddings: 77, eos_token_id: Some(END_OF_TEXT), encoder }
    }
}

impl Default for Vision {
    fn default() -> Self {
        Self { image_size: 224, patch_size: 32, num_channels: 3, encoder: Encoder::of(768, 12) }
    }
}

/// Told by what OpenCLIP's configs never have.
pub(super) fn is_one(whole: &Value) -> bool {
    whole.get("model_type").is_some() || whole.get("vision_config").is_some() || whole.get("text_config").is_some()
}

pub(super) fn read(whole: Value) -> Result<ModelConfig> {
    if let Some(kind) = whole["model_type"].as_str().filter(|kind| *kind != "clip") {
        return Err(unsupported(format!("the model_type {kind:?}"), ADVICE));
    }
    let embed_dim = match &whole["projection_dim"] {
        Value::Null => 512,
        given => given.as_i64().ok_or_else(|| ModelError::Config(format!("projection_dim is {given}")))?,
    };
    let text: Text = section(&whole, "text_config", Encoder::default())?;
    let vision: Vision = section(&whole, "vision_config", Encoder::of(768, 12))?;
    let quick_gelu = activation(&text.encoder, &vision.encoder)?;
    as_clip(&text, &vision)?;
    let (vision, text) = (vision_config(&vision), text_config(&text));
    Ok(ModelConfig { embed_dim, vision, text, quick_gelu, normalization: Normalization::default() })
}

/// A tower's section; `..._dict`, which old versions wrote, takes its place as it does in transformers.
fn section<T: DeserializeOwned>(whole: &Value, name: &str, default: Encoder) -> Result<T> {
    let given = [format!("{name}_dict"), name.to_owned()].map(|key| whole.get(&key).filter(|value| !value.is_null()));
    let mut section = given.into_iter().flatten().next().cloned().unwrap_or_else(|| serde_json::json!({}));
    // serde's own default inside a flattened struct is one for both towers, so a tower's is written out.
    if let Value::Object(fields) = &mut section {
        fields.entry("hidden_size").or_insert(default.hidden_size.into());
        fields.entry("intermediate_size").or_insert(default.intermediate_size.into());
        fields.entry("num_attention_heads").or_insert(default.num_attention_heads.into());
    }
    serde_json::from_value(section).map_err(|e| ModelError::Config(format!("{name}: {e}")))
}

/// Whether both towers have the quick GELU; one setting rules both.
fn activation(text: &Encoder, vision: &Encoder) -> Result<bool> {
    match (text.hidden_act.as_str(), vision.hidden_act.as_str()) {
        ("quick_gelu", "quick_gelu") => Ok(true),
        ("gelu", "gelu") => Ok(false),
        (text, vision) => Err(unsupported(
            format!("hidden_act {text:?} for text and {vision:?} for images"),
            "both towers have quick_gelu, or both have gelu",
        )),
    }
}

/// Options under which transformers would compute something else.
fn as_clip(text: &Text, vision: &Vision) -> Result<()> {
    let end = text.eos_token_id.unwrap_or(END_OF_TEXT);
    if end != OLD_END_OF_TEXT && end != text.vocab_size - 1 {
        let what = format!("text_config.eos_token_id = {end} with a vocabulary of {}", text.vocab_size);
        return Err(unsupported(what, "CLIP's end of text is its last word"));
    }
    if vision.num_channels != 3 {
        return Err(unsupported(format!("vision_config.num_channels = {}", vision.num_channels), "pictures are RGB"));
    }
    for (name, eps) in [("text", text.encoder.layer_norm_eps), ("vision", vision.encoder.layer_norm_eps)] {
        if eps != LAYER_NORM_EPS {
            return Err(unsupported(format!("{name}_config.layer_norm_eps = {eps}"), "CLIP's is 1e-5"));
        }
    }
    Ok(())
}

fn vision_config(vision: &Vision) -> VisionConfig {
    let Encoder { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, .. } = vision.encoder;
    let vit = Vit { patch_size: vision.patch_size, layers: num_hidden_layers, mlp_width: intermediate_size };
    VisionConfig {
        image_size: vision.image_size,
        width: hidden_size,
        heads: num_attention_heads,
        tower: Tower::Vit(vit),
    }
}

fn text_config(text: &Text) -> TextConfig {
    let Encoder { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, .. } = text.encoder;
    TextConfig {
        context_length: text.max_position_embeddings,
        vocab_size: text.vocab_size,
        width: hidden_size,
        layers: num_hidden_layers,
        heads: num_attention_heads,
        mlp_width: intermediate_size,
    }
}
