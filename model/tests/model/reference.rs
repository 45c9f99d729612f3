//! Reads tests/reference, which tests/reference/make_reference.py wrote.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lethe_model::tch::{Kind, Tensor};
use lethe_model::{Clip, ModelConfig};

/// What one forward pass may differ from open_clip's by: rounding in another order of summation.
pub const TOLERANCE: f64 = 1e-5;

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/reference").join(name)
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(&format!("{name}.safetensors"))).unwrap()
}

pub fn config(name: &str) -> ModelConfig {
    ModelConfig::from_json(&std::fs::read_to_string(path(&format!("{name}.json"))).unwrap()).unwrap()
}

pub fn clip(name: &str) -> Clip {
    lethe_model::tch::set_num_threads(1);
    Clip::load(&config(name), &bytes(name)).unwrap()
}

pub struct Answers(BTreeMap<String, Tensor>);

impl Answers {
    pub fn of(name: &str) -> Self {
        Self(Tensor::read_safetensors(path(&format!("{name}.safetensors"))).unwrap().into_iter().collect())
    }

    pub fn get(&self, key: &str) -> &Tensor {
        &self.0[key]
    }
}

/// The largest absolute difference; NaN counts as infinite.
pub fn difference(have: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(have.size(), want.size());
    let difference = (have.to_kind(Kind::Double) - want.to_kind(Kind::Double)).abs().max().double_value(&[]);
    if difference.is_nan() { f64::INFINITY } else { difference }
}

pub fn assert_close(what: &str, have: &Tensor, want: &Tensor, tolerance: f64) {
    let difference = difference(have, want);
    println!("{what}: largest difference {difference:.2e}");
    assert!(difference <= tolerance, "{what}: largest difference {difference:.2e}, allowed {tolerance:.0e}");
}

/// The smallest CLIP there can be.
pub fn tiny() -> ModelConfig {
    let json = r#"{"embed_dim": 4,
        "vision_cfg": {"image_size": 4, "patch_size": 2, "width": 4, "head_width": 2, "layers": 1},
        "text_cfg": {"context_length": 5, "vocab_size": 10, "width": 4, "heads": 2, "layers": 1}}"#;
    ModelConfig::from_json(json).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}
