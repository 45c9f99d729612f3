//! A compacted word table changes nothing but the cost.

use lethe_model::gradients::gradients;
use lethe_model::loss::contrastive;
use lethe_model::tch::Tensor;
use lethe_model::{AdamW, AdamWSettings, Clip};

use crate::reference::{Answers, clip, numbers};

fn train(mut clip: Clip, given: &Answers, tokens: &Tensor) -> Clip {
    let mut optimizer = AdamW::new(&clip, AdamWSettings::default()).unwrap();
    for _ in 0..3 {
        let image = clip.encode_image(given.get("pixels")).unwrap();
        let text = clip.encode_text(tokens).unwrap();
        let loss = contrastive(&image, &text, clip.logit_scale()).unwrap();
        let gradient = gradients(&loss, &clip).unwrap();
        optimizer.step(&mut clip, &gradient, 1e-3).unwrap();
    }
    clip
}

#[test]
fn training_without_weight_decay_is_bit_identical() {
    let (whole, given) = (clip("patch7"), Answers::of("patch7.answers"));
    let tokens = given.get("tokens");
    let words: Vec<i64> = Vec::try_from(tokens.flatten(0, -1)).unwrap();
    let (compact, vocabulary) = whole.compact_vocabulary(&words).unwrap();
    assert!(compact.parameter_count() < whole.parameter_count());
    assert!(vocabulary.rows().is_sorted() && vocabulary.rows().contains(&0) && vocabulary.rows().contains(&299));

    let trained = train(compact, &given, &vocabulary.map(tokens).unwrap());
    let expanded = whole.expand_vocabulary(&trained, &vocabulary).unwrap();
    let plain = train(whole.duplicate().unwrap(), &given, tokens);
    assert_eq!(numbers(&expanded.flat()), numbers(&plain.flat()));
    assert_ne!(numbers(&expanded.flat()), numbers(&whole.flat()));
}

#[test]
fn words_that_were_left_out_are_named() {
    let whole = clip("patch7");
    let (_, vocabulary) = whole.compact_vocabulary(&[5, 7]).unwrap();
    assert_eq!(vocabulary.rows(), [0, 5, 7, 298, 299]);
    let mapped = vocabulary.map(&Tensor::from_slice(&[298_i64, 7, 5, 299, 0])).unwrap();
    assert_eq!(numbers(&mapped), [3.0, 2.0, 1.0, 4.0, 0.0]);
    for stranger in [6_i64, 300] {
        let message = vocabulary.map(&Tensor::from_slice(&[5, stranger])).unwrap_err().to_string();
        assert!(message.starts_with(&format!("token {stranger} is not among the 5 rows")), "{message}");
    }
    let message = whole.compact_vocabulary(&[300]).unwrap_err().to_string();
    assert_eq!(message, "token ids: 300 is outside of 0 to 299");
}
