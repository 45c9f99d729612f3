//! First values: deterministic, and drawn as OpenCLIP draws them.

use lethe_model::tch::Tensor;
use lethe_model::{Clip, ModelConfig};

use crate::reference::{config, numbers, tiny};

fn param<'a>(clip: &'a Clip, name: &str) -> &'a Tensor {
    &clip.params().iter().find(|p| p.name == name).unwrap().tensor
}

#[test]
fn a_seed_decides_every_bit() {
    let flat = |seed| numbers(&Clip::init(&tiny(), seed).unwrap().flat());
    assert_eq!(flat(1), flat(1));
    assert_ne!(flat(1), flat(2));
}

#[test]
fn values_are_spread_as_open_clip_spreads_them() {
    let clip = Clip::init(&config("patch7"), 1).unwrap();
    let (width, text_width, text_layers) = (64.0_f64, 32.0_f64, 2.0_f64);
    let depth = (2.0 * text_layers).powf(-0.5);
    // A uniform draw up to a bound has standard deviation bound / sqrt 3.
    let bound = |fan_in: f64| (fan_in * 3.0).powf(-0.5);
    let spread = [
        ("visual.positional_embedding", width.powf(-0.5)),
        ("visual.proj", width.powf(-0.5)),
        ("visual.conv1.weight", bound(3.0 * 49.0)),
        ("visual.transformer.resblocks.1.attn.in_proj_weight", (6.0 / (4.0 * width)).sqrt() / 3.0_f64.sqrt()),
        ("visual.transformer.resblocks.0.attn.out_proj.weight", bound(width)),
        ("visual.transformer.resblocks.0.mlp.c_proj.weight", bound(4.0 * width)),
        ("token_embedding.weight", 0.02),
        ("positional_embedding", 0.01),
        ("text_projection", text_width.powf(-0.5)),
        ("transformer.resblocks.0.attn.in_proj_weight", text_width.powf(-0.5)),
        ("transformer.resblocks.1.attn.out_proj.weight", text_width.powf(-0.5) * depth),
        ("transformer.resblocks.0.mlp.c_fc.weight", (2.0 * text_width).powf(-0.5)),
        ("transformer.resblocks.0.mlp.c_proj.weight", text_width.powf(-0.5) * depth),
    ];
    for (name, want) in spread {
        let have = param(&clip, name).std(true).double_value(&[]);
        assert!((have / want - 1.0).abs() < 0.12, "{name}: standard deviation {have}, expected {want}");
    }
    assert!((clip.logit_scale().double_value(&[]) - (1.0_f64 / 0.07).ln()).abs() < 1e-6);
    assert_eq!(numbers(param(&clip, "ln_final.weight")), vec![1.0; 32]);
    assert_eq!(numbers(param(&clip, "visual.transformer.resblocks.0.attn.in_proj_bias")), vec![0.0; 192]);
}

#[test]
fn matrices_decay_and_come_first() {
    let clip = Clip::init(&tiny(), 1).unwrap();
    let first_other = clip.params().iter().position(|p| !p.decay).unwrap();
    for (i, param) in clip.params().iter().enumerate() {
        assert_eq!(param.decay, i < first_other, "{}", param.name);
        assert_eq!(param.decay, param.tensor.dim() >= 2, "{}", param.name);
    }
}

#[test]
fn writing_to_the_flat_buffer_changes_the_model_and_not_its_copy() {
    let clip = Clip::init(&tiny(), 1).unwrap();
    let copy = clip.duplicate().unwrap();
    let _ = clip.flat().fill_(0.5);
    assert_eq!(numbers(param(&clip, "visual.class_embedding")), vec![0.5; 4]);
    assert_ne!(numbers(param(&copy, "visual.class_embedding")), vec![0.5; 4]);
}

#[test]
fn a_config_survives_being_written() {
    for name in ["patch7", "patch8", "full_vocabulary"] {
        let config = config(name);
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
    }
}
