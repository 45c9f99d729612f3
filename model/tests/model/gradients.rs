//! Gradients through gathered features add up to the gradient of the whole batch.

use lethe_model::gradients::{clip_norm, gradients, inner_product, leaf, leaf_gradients};
use lethe_model::loss::contrastive;
use lethe_model::tch::{Tensor, no_grad};

use crate::reference::{Answers, assert_close, clip};

#[test]
fn two_ranks_give_the_gradient_of_one() {
    let (clip, given) = (clip("patch7"), Answers::of("patch7.answers"));
    let (pixels, tokens) = (given.get("pixels"), given.get("tokens"));
    let image = clip.encode_image(pixels).unwrap();
    let text = clip.encode_text(tokens).unwrap();
    let whole = gradients(&contrastive(&image, &text, clip.logit_scale()).unwrap(), &clip).unwrap();

    let (gathered_image, gathered_text) = (leaf(&image).unwrap(), leaf(&text).unwrap());
    let scale = leaf(clip.logit_scale()).unwrap();
    let loss = contrastive(&gathered_image, &gathered_text, &scale).unwrap();
    let slopes = leaf_gradients(&loss, &[&gathered_image, &gathered_text, &scale]).unwrap();
    let world = 2;
    let rank_gradient = |rank: i64| {
        let local_image = clip.encode_image(&pixels.narrow(0, 3 * rank, 3)).unwrap();
        let local_text = clip.encode_text(&tokens.narrow(0, 3 * rank, 3)).unwrap();
        let (image_slope, text_slope) = (slopes[0].narrow(0, 3 * rank, 3), slopes[1].narrow(0, 3 * rank, 3));
        let scale_slope = &slopes[2] / world;
        let pairs = [(&local_image, &image_slope), (&local_text, &text_slope), (clip.logit_scale(), &scale_slope)];
        gradients(&inner_product(&pairs).unwrap().expect("has pairs"), &clip).unwrap()
    };
    assert_close("sum of ranks", &(rank_gradient(0) + rank_gradient(1)), &whole, 2e-6);
}

#[test]
fn parameters_that_a_loss_does_not_reach_get_zero() {
    let (clip, given) = (clip("patch7"), Answers::of("patch7.answers"));
    let loss = clip.encode_text(given.get("tokens")).unwrap().square().mean(lethe_model::tch::Kind::Float);
    let flat = gradients(&loss, &clip).unwrap();
    let mut start = 0;
    for param in clip.params() {
        let length = param.tensor.numel() as i64;
        let reached = flat.narrow(0, start, length).abs().max().double_value(&[]) > 0.0;
        let expected = !param.name.starts_with("visual.") && param.name != "logit_scale";
        assert_eq!(reached, expected, "{}", param.name);
        start += length;
    }
}

#[test]
fn a_loss_without_a_graph_is_refused() {
    let (clip, given) = (clip("patch7"), Answers::of("patch7.answers"));
    let loss = no_grad(|| clip.encode_image(given.get("pixels")).unwrap().mean(lethe_model::tch::Kind::Float));
    let message = gradients(&loss, &clip).unwrap_err().to_string();
    assert!(message.contains("no graph"), "{message}");
}

#[test]
fn a_long_gradient_is_scaled_and_a_short_one_is_kept() {
    let mut gradient = Tensor::from_slice(&[3.0_f32, 4.0]);
    assert!((clip_norm(&mut gradient, 10.0).unwrap() - 5.0).abs() < 1e-6);
    assert_close("kept", &gradient, &Tensor::from_slice(&[3.0_f32, 4.0]), 0.0);
    assert!((clip_norm(&mut gradient, 1.0).unwrap() - 5.0).abs() < 1e-6);
    assert_close("scaled", &gradient, &Tensor::from_slice(&[0.6_f32, 0.8]), 1e-6);
}
