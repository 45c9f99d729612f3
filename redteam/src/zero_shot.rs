//! Zero-shot classification: a class is the mean of its prompts, a picture belongs to the nearest.

use lethe_data::Tokenizer;
use lethe_model::tch::{Kind, TchError, Tensor};
use lethe_model::{Clip, ModelError, loss, pixels};

use crate::captions::LABELS;
use crate::error::RedteamError;
use crate::picture::Picture;

/// Images of one forward pass.
const BATCH: usize = 500;

/// `[classes, D]`: the normalised mean of the normalised embeddings of each class's prompts.
pub(crate) fn class_weights(clip: &Clip, prompts: impl FnMut(usize) -> Vec<String>) -> Result<Tensor, RedteamError> {
    let length = usize::try_from(clip.config().text.context_length).unwrap_or(0);
    let tokenizer = Tokenizer::new();
    let ids: Vec<i64> =
        (0..LABELS.len()).flat_map(prompts).flat_map(|prompt| tokenizer.encode(&prompt, length)).collect();
    let tokens = Tensor::f_from_slice(&ids).and_then(|ids| ids.f_view([-1, length as i64]));
    let texts = clip.encode_text(&tokens.map_err(ModelError::from)?)?;
    Ok(ensemble(&texts, LABELS.len() as i64)?)
}

fn ensemble(texts: &Tensor, classes: i64) -> Result<Tensor, ModelError> {
    let (_, dimensions) = texts.size2()?;
    let mean = loss::normalize(texts)?.f_view([classes, -1, dimensions])?.f_mean_dim(1, false, Kind::Float)?;
    loss::normalize(&mean)
}

/// The class of each picture: the nearest of the rows of `classes`.
pub(crate) fn classify(clip: &Clip, classes: &Tensor, pictures: &[Picture]) -> Result<Vec<i64>, RedteamError> {
    let mut found = Vec::with_capacity(pictures.len());
    for batch in pictures.chunks(BATCH) {
        let rgb: Vec<u8> = batch.iter().flat_map(|picture| picture.rgb().iter().copied()).collect();
        let input = pixels::to_model_input(&rgb, batch[0].side(), &clip.config().normalization)?;
        found.extend(nearest(&clip.encode_image(&input)?, classes).map_err(ModelError::from)?);
    }
    Ok(found)
}

/// The row of `classes` with the greatest product, for each image. An image's length does not matter.
fn nearest(images: &Tensor, classes: &Tensor) -> Result<Vec<i64>, TchError> {
    images.f_matmul(&classes.f_tr()?)?.f_argmax(1, false)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1)).expect("is f32")
    }

    #[test]
    fn a_class_is_the_normalised_mean_of_normalised_prompts() {
        // Class 0: (1, 0) and (0, 1) whatever their lengths; class 1: twice (-1, 0).
        let texts = Tensor::from_slice(&[5.0_f32, 0.0, 0.0, 0.1, -2.0, 0.0, -3.0, 0.0]).view([4, 2]);
        let classes = ensemble(&texts, 2).expect("computes");
        let half = 0.5_f32.sqrt();
        for (found, expected) in values(&classes).iter().zip([half, half, -1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let images = Tensor::from_slice(&[0.1_f32, 0.2, -9.0, 1.0]).view([2, 2]);
        assert_eq!(nearest(&images, &classes).expect("computes"), [0, 1]);
    }
}
