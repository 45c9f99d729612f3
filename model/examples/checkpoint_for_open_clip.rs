//! Trains a fresh model for one step and writes it with its embeddings, so that open_clip can check them.
//!
//!     cargo run -p lethe-model --example checkpoint_for_open_clip -- tests/reference OUT.safetensors
//!     python tests/reference/make_reference.py --check OUT.safetensors

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use lethe_model::gradients::gradients;
use lethe_model::loss::contrastive;
use lethe_model::tch::Tensor;
use lethe_model::{AdamW, AdamWSettings, Clip, ModelConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, out] = arguments.as_slice() else {
        return Err("expected two arguments: the folder tests/reference, and the checkpoint to write".into());
    };
    let (reference, out) = (Path::new(reference), Path::new(out));
    let config = ModelConfig::from_json(&std::fs::read_to_string(reference.join("patch8.json"))?)?;
    let given: BTreeMap<_, _> =
        Tensor::read_safetensors(reference.join("patch8.answers.safetensors"))?.into_iter().collect();
    let (pixels, tokens) = (&given["pixels"], &given["tokens"]);
    let mut clip = Clip::init(&config, 1)?;
    let loss = contrastive(&clip.encode_image(pixels)?, &clip.encode_text(tokens)?, clip.logit_scale())?;
    let gradient = gradients(&loss, &clip)?;
    AdamW::new(&clip, AdamWSettings::default())?.step(&mut clip, &gradient, 1e-3)?;
    let answers = [
        ("pixels", pixels.shallow_clone()),
        ("tokens", tokens.shallow_clone()),
        ("image", clip.encode_image(pixels)?.detach()),
        ("text", clip.encode_text(tokens)?.detach()),
    ];
    std::fs::write(out, clip.save()?)?;
    std::fs::write(out.with_extension("json"), config.to_json())?;
    Tensor::write_safetensors(&answers, out.with_extension("answers.safetensors"))?;
    Ok(())
}
