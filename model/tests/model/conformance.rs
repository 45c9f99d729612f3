//! Embeddings equal open_clip's on the same weights, images and captions.

use lethe_model::gradients::{leaf, leaf_gradients};
use lethe_model::loss::similarity;
use lethe_model::pixels::to_model_input;
use lethe_model::tch::{Kind, Tensor};

use crate::reference::{Answers, TOLERANCE, assert_close, clip};

const MODELS: [&str; 3] = ["patch7", "patch8", "full_vocabulary"];

#[test]
fn embeddings_equal_open_clips() {
    for name in MODELS {
        let (clip, answers) = (clip(name), Answers::of(&format!("{name}.answers")));
        let image = clip.encode_image(answers.get("pixels")).unwrap();
        assert_close(&format!("{name} images"), &image, answers.get("image"), TOLERANCE);
        let text = clip.encode_text(answers.get("tokens")).unwrap();
        assert_close(&format!("{name} captions"), &text, answers.get("text"), TOLERANCE);
    }
}

#[test]
fn a_caption_embeds_the_same_alone_and_beside_longer_ones() {
    let (clip, answers) = (clip("patch8"), Answers::of("patch8.answers"));
    for row in 0..6 {
        let alone = clip.encode_text(&answers.get("tokens").narrow(0, row, 1)).unwrap();
        assert_close("caption", &alone, &answers.get("text").narrow(0, row, 1), TOLERANCE);
    }
}

#[test]
fn bytes_become_the_pixels_of_torchvision() {
    for name in MODELS {
        let (clip, answers) = (clip(name), Answers::of(&format!("{name}.answers")));
        let images = answers.get("images");
        let mut bytes = vec![0; images.numel()];
        images.copy_data_u8(&mut bytes, images.numel());
        let config = clip.config();
        let pixels = to_model_input(&bytes, config.vision.image_size as usize, &config.normalization).unwrap();
        assert_close(name, &pixels, answers.get("pixels"), 1e-6);
    }
}

#[test]
fn dropped_tokens_and_token_slopes_equal_open_clips() {
    for name in MODELS {
        let (clip, answers) = (clip(name), Answers::of(&format!("{name}.answers")));
        let tokens = leaf(&clip.embed_patches(answers.get("pixels")).unwrap()).unwrap();
        assert_close("tokens", &tokens, answers.get("image_tokens"), TOLERANCE);

        let kept = clip.keep_patches(&tokens, answers.get("kept")).unwrap();
        let image = clip.encode_tokens(&kept).unwrap();
        assert_close("kept", &image, answers.get("kept_embedding"), TOLERANCE);

        let text = clip.encode_text(answers.get("tokens")).unwrap();
        let s = similarity(&clip.encode_tokens(&tokens).unwrap(), &text).unwrap();
        assert_close("similarity", &s, answers.get("similarity"), TOLERANCE);
        let slope = leaf_gradients(&s.sum(Kind::Float), &[&tokens]).unwrap();
        assert_close("token slopes", &slope[0], answers.get("token_slope"), TOLERANCE);
    }
}

#[test]
fn wrong_inputs_are_named() {
    let clip = clip("patch7");
    let message = |result: lethe_model::Result<Tensor>| result.unwrap_err().to_string();
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, lethe_model::tch::Device::Cpu));
    assert_eq!(
        message(clip.encode_image(&zeros(&[2, 3, 32, 32]))),
        "pixels has shape [2, 3, 32, 32], expected [B, 3, 28, 28]"
    );
    assert!(message(clip.encode_text(&zeros(&[2, 17]).to_kind(Kind::Int64))).contains("L from 1 to 16"));
    let message = message(clip.encode_text(&Tensor::from_slice(&[298_i64, 300, 299]).view([1, 3])));
    assert_eq!(message, "token ids: 298 to 300 is outside of 0 to 299");
}
