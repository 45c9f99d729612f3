#![no_main]

use std::io;
use std::sync::LazyLock;

use lethe_model::{Clip, Hints, ModelConfig};

const CONFIG: &str = r#"{
    "embed_dim": 4, "quick_gelu": true,
    "vision_cfg": {"image_size": 8, "patch_size": 4, "width": 8, "layers": 1, "head_width": 4},
    "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 4, "heads": 1, "layers": 1}
}"#;
static TINY: LazyLock<ModelConfig> = LazyLock::new(|| ModelConfig::from_json(CONFIG).expect("is a config"));
static HINTS: LazyLock<Hints> =
    LazyLock::new(|| Hints::from_json(r#"{"quick_gelu": true, "vision_heads": 2, "text_heads": 1}"#).expect("are hints"));

/// No file lies beside it.
fn alone(_: &str) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = ModelConfig::infer(data, &HINTS, alone);
    if let Ok(clip) = Clip::load_with(&TINY, data, alone) {
        clip.save().expect("what was read can be written");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ModelConfig::from_json(text);
        let _ = Hints::from_json(text);
    }
});
