//! How much an image prefers some words to other captions, and the loss that takes the preference away.
//!
//! It must never run a tower: features in, scalars out.

use tch::Tensor;

use crate::error::Result;
use crate::loss::{mean_part, normalize};

/// The captions that the words compete with.
#[derive(Debug, Clone, Copy)]
pub struct Negatives<'a> {
    /// `[N, D]`.
    pub text: &'a Tensor,
    /// `[N]` bool: captions that have the words themselves and so do not compete.
    pub excluded: &'a Tensor,
}

/// mean softplus(z) with z = tau <f, q> - ln (1/N sum_j exp(tau <f, g_j>)): the unlikelihood of the words `words`
/// `[B, D]` given the images `image` `[B, D]`, against the average caption; tau = exp(logit_scale). A scalar,
/// at least 0; 0 where no image prefers its words. The mean is over `batch` rows, of which these may be some.
pub fn unlikelihood(
    image: &Tensor,
    words: &Tensor,
    negatives: Negatives<'_>,
    (logit_scale, batch): (&Tensor, usize),
) -> Result<Tensor> {
    let tau = logit_scale.f_exp()?;
    let image = normalize(image)?;
    let own =
        image.f_mul(&normalize(words)?)?.f_sum_dim_intlist([-1].as_slice(), false, image.f_kind()?)?.f_mul(&tau)?;
    let others = image.f_matmul(&normalize(negatives.text)?.f_transpose(0, 1)?)?.f_mul(&tau)?;
    let others = others.f_masked_fill(&negatives.excluded.f_unsqueeze(0)?, f64::NEG_INFINITY)?;
    let count = negatives.text.size()[0] as f64;
    let average = others.f_logsumexp([-1].as_slice(), false)?.f_sub_scalar(count.ln())?;
    mean_part(&own.f_sub(&average)?.f_softplus()?, batch)
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn it_equals_its_formula_in_f64() {
        let image = Tensor::from_slice(&[1.0_f64, 0.0, 0.6, 0.8]).view([2, 2]);
        let words = Tensor::from_slice(&[0.0_f64, 1.0, 0.8, 0.6]).view([2, 2]);
        let text = Tensor::from_slice(&[1.0_f64, 0.0, 0.0, 1.0, -1.0, 0.0]).view([3, 2]);
        let excluded = Tensor::from_slice(&[0_i64, 1, 0]).to_kind(Kind::Bool);
        let scale = Tensor::from(2.0_f64.ln());
        let z = |own: f64, a: f64, b: f64| 2.0 * own - (((2.0 * a).exp() + (2.0 * b).exp()) / 3.0).ln();
        let softplus = |x: f64| x.exp().ln_1p();
        let expected = (softplus(z(0.0, 1.0, -1.0)) + softplus(z(0.96, 0.6, -0.6))) / 2.0;
        let negatives = Negatives { text: &text, excluded: &excluded };
        let found = unlikelihood(&image, &words, negatives, (&scale, 2)).expect("computes").double_value(&[]);
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}
