//! Hugging Face's configs: transformers' defaults, its old form, and what it would compute otherwise.

use lethe_model::ModelConfig;
use serde_json::{Value, json};

use crate::families::Folder;

#[test]
fn hugging_face_configs_that_compute_otherwise_are_refused() {
    let config = |change: &dyn Fn(&mut Value)| {
        let text = std::fs::read_to_string(Folder::named("hugging_face-vit_b_32").0.join("config.json")).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        ModelConfig::from_json(&value.to_string())
    };
    let refused = |change: &dyn Fn(&mut Value), expected: &str| {
        let message = config(change).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}");
    };
    refused(&|v| v["model_type"] = json!("siglip"), "the model_type \"siglip\"");
    refused(
        &|v| v["text_config"]["hidden_act"] = json!("gelu"),
        "hidden_act \"gelu\" for text and \"quick_gelu\" for images",
    );
    refused(&|v| v["text_config"]["layer_norm_eps"] = json!(1e-6), "text_config.layer_norm_eps");
    refused(&|v| v["text_config"]["eos_token_id"] = json!(5), "text_config.eos_token_id = 5 with a vocabulary of 96");
    refused(&|v| v["vision_config"]["num_channels"] = json!(1), "num_channels = 1");
    refused(&|v| v["vision_config"]["num_attention_heads"] = json!(3), "a multiple of its 3 heads");
    refused(&|v| v["vision_config"]["patch_size"] = json!(0), "patch_size is 0");
    assert!(config(&|v| v["text_config"]["eos_token_id"] = json!(2)).is_ok(), "what transformers wrote before");
    // The old form, where a section of its own takes the place of the other.
    let old = config(&|v| v["vision_config_dict"] = json!({"hidden_size": 1024, "num_attention_heads": 16})).unwrap();
    assert_eq!((old.vision.width, old.vision.heads, old.vision.grid()), (1024, 16, 7));
    let plain = ModelConfig::from_json(r#"{"model_type": "clip"}"#).unwrap();
    assert_eq!((plain.embed_dim, plain.vision.width, plain.vision.heads, plain.vision.grid()), (512, 768, 12, 7));
    assert_eq!((plain.text.width, plain.text.heads, plain.quick_gelu), (512, 8, true));
}
