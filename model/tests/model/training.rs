//! Six steps of training follow PyTorch's: autograd, AdamW, open_clip's loss, schedule and rule of weight decay.

use lethe_model::gradients::gradients;
use lethe_model::loss::contrastive;
use lethe_model::schedule::Cosine;
use lethe_model::tch::Tensor;
use lethe_model::{AdamW, AdamWSettings, Clip};

use crate::reference::{Answers, assert_close, clip, numbers};

const SCHEDULE: Cosine = Cosine { peak: 2e-3, warmup_steps: 2, steps: 6 };

fn loss(clip: &Clip, given: &Answers) -> Tensor {
    let image = clip.encode_image(given.get("pixels")).unwrap();
    let text = clip.encode_text(given.get("tokens")).unwrap();
    contrastive(&image, &text, clip.logit_scale()).unwrap()
}

#[test]
fn every_gradient_equals_pytorchs() {
    let (clip, given, want) = (clip("patch7"), Answers::of("patch7.answers"), Answers::of("training"));
    let flat = gradients(&loss(&clip, &given), &clip).unwrap();
    let mut start = 0;
    for param in clip.params() {
        let length = param.tensor.numel() as i64;
        let have = flat.narrow(0, start, length).view_as(&param.tensor);
        assert_close(&param.name, &have, want.get(&format!("slope.{}", param.name)), 1e-5);
        start += length;
    }
    assert_eq!(start, clip.parameter_count());
}

#[test]
fn a_training_follows_pytorchs() {
    let (mut clip, given, want) = (clip("patch7"), Answers::of("patch7.answers"), Answers::of("training"));
    let settings = AdamWSettings { weight_decay: 0.1, ..AdamWSettings::default() };
    let mut optimizer = AdamW::new(&clip, settings).unwrap();
    let (losses, rates) = (numbers(want.get("losses")), numbers(want.get("rates")));
    for step in 0..SCHEDULE.steps {
        let rate = SCHEDULE.rate(step);
        assert!((rate - rates[step as usize]).abs() < 1e-15);
        let loss = loss(&clip, &given);
        let have = loss.double_value(&[]);
        assert!((have - losses[step as usize]).abs() < 1e-4, "step {step}: loss {have}, PyTorch {losses:?}");
        let gradient = gradients(&loss, &clip).unwrap();
        optimizer.step(&mut clip, &gradient, rate).unwrap();
    }
    assert_close("images", &clip.encode_image(given.get("pixels")).unwrap(), want.get("image"), 1e-4);
    assert_close("captions", &clip.encode_text(given.get("tokens")).unwrap(), want.get("text"), 1e-4);
    assert!(losses[0] - losses[5] > 0.5, "the stored training learned something: {losses:?}");
}
