//! Trains a checkpoint of every family for one step and writes it as it came, so that its library can load and check it.
//!
//!     cargo run -p lethe-model --example families_for_their_libraries -- tests/reference/families OUT
//!     python tests/reference/make_reference.py --returned OUT

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use lethe_model::gradients::gradients;
use lethe_model::loss::contrastive;
use lethe_model::tch::{Kind, Tensor};
use lethe_model::{AdamW, AdamWSettings, Clip, ModelConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [families, out] = arguments.as_slice() else {
        return Err("expected two arguments: the folder of families, and the folder to write".into());
    };
    for entry in std::fs::read_dir(families)? {
        let folder = entry?.path();
        let name = folder.file_name().ok_or("has a name")?;
        train(&folder, &Path::new(out).join(name))?;
    }
    Ok(())
}

fn train(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut clip = load(folder)?;
    let side = clip.config().vision.image_size;
    let given: BTreeMap<_, _> = Tensor::read_safetensors(folder.join("answers.safetensors"))?.into_iter().collect();
    let (pixels, tokens) = (pixels(side), &given["tokens"]);
    let loss = contrastive(&clip.encode_image(&pixels)?, &clip.encode_text(tokens)?, clip.logit_scale())?;
    let gradient = gradients(&loss, &clip)?;
    AdamW::new(&clip, AdamWSettings::default())?.step(&mut clip, &gradient, 1e-3)?;
    let bytes = clip.save()?;
    // What is compared is the file, which is rounded where it came in half precision.
    let read = Clip::load(clip.config(), &bytes)?;
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join("model.safetensors"), bytes)?;
    std::fs::copy(folder.join("config.json"), out.join("config.json"))?;
    let answers = [
        ("side", Tensor::from_slice(&[side])),
        ("tokens", tokens.shallow_clone()),
        ("image", read.encode_image(&pixels)?.detach()),
        ("text", read.encode_text(tokens)?.detach()),
    ];
    Ok(Tensor::write_safetensors(&answers, out.join("answers.safetensors"))?)
}

fn load(folder: &Path) -> Result<Clip, Box<dyn Error>> {
    let config = ModelConfig::from_json(&std::fs::read_to_string(folder.join("config.json"))?)?;
    let index = folder.join("model.safetensors.index.json");
    let bytes = std::fs::read(if index.exists() { index } else { folder.join("model.safetensors") })?;
    Ok(Clip::load_with(&config, &bytes, |file| std::fs::read(folder.join(file)))?)
}

/// The reference's own pixels (families.py).
fn pixels(side: i64) -> Tensor {
    let numbers: Vec<f64> =
        (0..2 * 3 * side * side).map(|i| ((i * i * 31 + i * 7) % 1009) as f64 / 504.5 - 1.0).collect();
    Tensor::from_slice(&numbers).to_kind(Kind::Float).view([2, 3, side, side])
}
