//! Zero-shot answers: an answer is the mean of its prompts, a picture belongs to the nearest.

use lethe_data::Tokenizer;
use lethe_model::tch::{Kind, TchError, Tensor};
use lethe_model::{Clip, ModelError, loss, pixels};

use crate::error::RedteamError;
use crate::picture::Picture;

/// Images of one forward pass.
const BATCH: usize = 500;
/// Answers of one forward pass.
const ANSWERS: usize = 100;

/// `[answers, D]`: the normalised mean of the normalised embeddings of each answer's prompts, of which each has as many.
pub(crate) fn answer_weights(clip: &Clip, answers: &[Vec<String>]) -> Result<Tensor, RedteamError> {
    let length = usize::try_from(clip.config().text.context_length).unwrap_or(0);
    let tokenizer = Tokenizer::new();
    let mut weights = Vec::new();
    for some in answers.chunks(ANSWERS) {
        let ids: Vec<i64> = some.iter().flatten().flat_map(|prompt| tokenizer.encode(prompt, length)).collect();
        let tokens = Tensor::f_from_slice(&ids).and_then(|ids| ids.f_view([-1, length as i64]));
        let texts = clip.encode_text(&tokens.map_err(ModelError::from)?)?;
        weights.push(ensemble(&texts, some.len() as i64)?);
    }
    Ok(Tensor::f_cat(&weights, 0).map_err(ModelError::from)?)
}

fn ensemble(texts: &Tensor, answers: i64) -> Result<Tensor, ModelError> {
    let (_, dimensions) = texts.size2()?;
    let mean = loss::normalize(texts)?.f_view([answers, -1, dimensions])?.f_mean_dim(1, false, Kind::Float)?;
    loss::normalize(&mean)
}

/// For each picture the nearest of the rows of `answers`, so many, the nearest first.
pub(crate) fn nearest(
    clip: &Clip,
    answers: &Tensor,
    pictures: &[Picture],
    top: usize,
) -> Result<Vec<Vec<i64>>, RedteamError> {
    let mut found = Vec::with_capacity(pictures.len());
    for batch in pictures.chunks(BATCH) {
        let rgb: Vec<u8> = batch.iter().flat_map(|picture| picture.rgb().iter().copied()).collect();
        let input = pixels::to_model_input(&rgb, batch[0].side(), &clip.config().normalization)?;
        found.extend(nearest_rows(&clip.encode_image(&input)?, answers, top).map_err(ModelError::from)?);
    }
    Ok(found)
}

/// The rows of `answers` with the greatest products, for each image. An image's length does not matter.
fn nearest_rows(images: &Tensor, answers: &Tensor, top: usize) -> Result<Vec<Vec<i64>>, TchError> {
    let top = (top as i64).min(answers.size()[0]);
    let (_, rows) = images.f_matmul(&answers.f_tr()?)?.f_topk(top, 1, true, true)?;
    Vec::<Vec<i64>>::try_from(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1)).expect("is f32")
    }

    #[test]
    fn an_answer_is_the_normalised_mean_of_normalised_prompts() {
        // Answer 0: (1, 0) and (0, 1) whatever their lengths; answer 1: twice (-1, 0).
        let texts = Tensor::from_slice(&[5.0_f32, 0.0, 0.0, 0.1, -2.0, 0.0, -3.0, 0.0]).view([4, 2]);
        let classes = ensemble(&texts, 2).expect("computes");
        let half = 0.5_f32.sqrt();
        for (found, expected) in values(&classes).iter().zip([half, half, -1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let images = Tensor::from_slice(&[0.1_f32, 0.2, -9.0, 1.0]).view([2, 2]);
        assert_eq!(nearest_rows(&images, &classes, 1).expect("computes"), [[0], [1]]);
        assert_eq!(nearest_rows(&images, &classes, 9).expect("computes"), [[0, 1], [1, 0]]);
    }
}
