//! OpenCLIP's configs: defaults, both forms, and what is refused by name.

use lethe_model::config::{Tower, Vit};
use lethe_model::{ModelConfig, Normalization};
use serde_json::{Value, json};

fn plain() -> Value {
    json!({"embed_dim": 512, "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}})
}

fn with(section: &str, key: &str, value: Value) -> Value {
    let mut config = plain();
    if section.is_empty() {
        config[key] = value;
    } else {
        config[section][key] = value;
    }
    config
}

fn error(config: &Value) -> String {
    ModelConfig::from_json(&config.to_string()).unwrap_err().to_string()
}

#[test]
fn vit_b_32_is_read_with_open_clips_defaults() {
    let config = ModelConfig::from_json(&plain().to_string()).unwrap();
    assert_eq!((config.vision.heads, config.vision.patches()), (12, 49));
    assert_eq!(config.vision.tower, Tower::Vit(Vit { patch_size: 32, layers: 12, mlp_width: 3072 }));
    assert_eq!((config.text.mlp_width, config.quick_gelu), (2048, false));
    assert_eq!(config.normalization, Normalization::default());
}

#[test]
fn the_hub_form_carries_pixel_statistics() {
    let whole = json!({"model_cfg": plain(), "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}});
    let config = ModelConfig::from_json(&whole.to_string()).unwrap();
    assert_eq!(config.normalization, Normalization { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] });
}

#[test]
fn options_without_effect_on_embeddings_pass() {
    for (section, key, value) in [
        ("vision_cfg", "patch_dropout", json!(0.5)),
        ("vision_cfg", "ls_init_value", Value::Null),
        ("vision_cfg", "pool_type", json!("tok")),
        ("vision_cfg", "attentional_pool", json!(false)),
        ("text_cfg", "pool_type", json!("argmax")),
        ("text_cfg", "hf_tokenizer_name", Value::Null),
    ] {
        ModelConfig::from_json(&with(section, key, value).to_string()).unwrap();
    }
}

#[test]
fn other_towers_and_options_are_refused_by_name() {
    for (section, key, value, expected) in [
        ("", "multimodal_cfg", json!({}), "CoCa"),
        ("", "init_logit_bias", json!(-10), "SigLIP"),
        ("vision_cfg", "timm_model_name", json!("vit_x"), "timm image tower \"vit_x\""),
        ("vision_cfg", "image_size", json!([224, 112]), "two numbers"),
        ("vision_cfg", "ls_init_value", json!(0.1), "vision_cfg.ls_init_value = 0.1"),
        ("vision_cfg", "pool_type", json!("avg"), "vision_cfg.pool_type = \"avg\""),
        ("vision_cfg", "no_ln_pre", json!(true), "vision_cfg.no_ln_pre = true"),
        ("text_cfg", "hf_model_name", json!("roberta-base"), "Hugging Face text tower \"roberta-base\""),
        ("text_cfg", "hf_tokenizer_name", json!("bert"), "text_cfg.hf_tokenizer_name"),
        ("text_cfg", "embed_cls", json!(true), "text_cfg.embed_cls = true"),
        ("text_cfg", "pool_type", json!("last"), "text_cfg.pool_type = \"last\""),
        ("text_cfg", "pool_type", json!("tok"), "text_cfg.pool_type = \"tok\""),
        ("text_cfg", "no_causal_mask", json!(true), "text_cfg.no_causal_mask = true"),
    ] {
        let message = error(&with(section, key, value));
        assert!(message.contains(expected) && message.contains("not supported"), "{key}: {message}");
    }
}

#[test]
fn senseless_numbers_name_their_field() {
    for (section, key, value, expected) in [
        ("", "embed_dim", json!(0), "embed_dim is 0"),
        ("vision_cfg", "width", json!(770), "a multiple of its 12 heads"),
        ("vision_cfg", "head_width", json!(0), "vision_cfg"),
        ("vision_cfg", "patch_size", json!(500), "patch_size 500 exceeds image_size 224"),
        ("text_cfg", "heads", json!(7), "text_cfg.width is 512"),
        ("text_cfg", "vocab_size", json!(-1), "text_cfg.vocab_size is -1"),
        ("vision_cfg", "layers", json!(99_999_999), "vision_cfg.layers"),
    ] {
        let message = error(&with(section, key, value));
        assert!(message.contains(expected), "{key}: {message}");
    }
    assert!(error(&json!({"embed_dim": 4})).contains("vision_cfg"));
    assert!(ModelConfig::from_json("{").unwrap_err().to_string().contains("not valid"));
}
