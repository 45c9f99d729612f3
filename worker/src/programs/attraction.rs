//! Which of a shard's captions an image prefers: how often that is one with certain words.
//!
//! It must never ask whose caption it is: a caption stands for what it says.

use lethe_evidence::PairRow;
use lethe_model::Clip;
use lethe_model::error::Result;
use lethe_model::loss::normalize;
use lethe_model::tch::Tensor;

use super::captions::Distinct;
use super::pictures::pixels_of;
use super::rows::by_rows;
use crate::task::TaskContext;

/// A batch of scoring, which the machine takes, or less.
fn at_once(ctx: &TaskContext<'_>, rows: usize) -> usize {
    ctx.rows_at_once(rows).min(ctx.batch())
}

/// `[rows, D]`, as many at a time as the machine takes.
pub fn embed_images(ctx: &TaskContext<'_>, rows: &[PairRow], clip: &Clip) -> Result<Tensor> {
    by_rows(rows.len(), at_once(ctx, rows.len()), |some| {
        clip.encode_image(&pixels_of(rows[some].iter().map(|row| row.pixels.as_slice()), clip)?)
    })
}

/// One row a different caption.
pub fn embed_captions(ctx: &TaskContext<'_>, captions: &Distinct, clip: &Clip) -> Result<Tensor> {
    let tokens = captions.tokens(clip.config().text.context_length)?;
    let rows = captions.captions.len();
    by_rows(rows, at_once(ctx, rows), |some| {
        clip.encode_text(&tokens.f_narrow(0, some.start as i64, some.len() as i64)?)
    })
}

/// Which of the images `[rows, D]` prefer one of the captions `[captions, D]` that carry the words to every other.
pub fn attracted(images: &Tensor, captions: &Tensor, carries: &[bool]) -> Result<Vec<bool>> {
    let nearest = normalize(images)?.f_matmul(&normalize(captions)?.f_transpose(0, 1)?)?.f_argmax(-1, false)?;
    let nearest = Vec::<i64>::try_from(&nearest)?;
    Ok(nearest.into_iter().map(|caption| carries[caption as usize]).collect())
}

pub fn count(attracted: &[bool]) -> u64 {
    attracted.iter().filter(|attracted| **attracted).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_prefers_the_caption_in_its_direction_whatever_its_length() {
        let images = Tensor::from_slice(&[3.0_f32, 0.1, 0.2, 5.0, -1.0, -1.0]).view([3, 2]);
        let captions = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 100.0, -0.1, -0.1]).view([3, 2]);
        let found = |carries: [bool; 3]| attracted(&images, &captions, &carries).expect("finds");
        assert_eq!(found([true, false, false]), [true, false, false]);
        assert_eq!(found([false, true, true]), [false, true, true]);
    }

    #[test]
    fn attracted_images_are_counted() {
        assert_eq!((count(&[true, false, true]), count(&[])), (2, 0));
    }
}
