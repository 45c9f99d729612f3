//! The loss that a pair had early in training, which ABL ranks by: what is learned first is suspicious (Li et al., NeurIPS
//! 2021, arXiv 2110.11571).
//!
//! It must never depend on the batch that a pair is scored in: its rivals are the reference set's pairs.

use lethe_common::fault::Fault;
use lethe_data::Decoded;
use lethe_model::Clip;
use lethe_model::error::Result as ModelResult;
use lethe_model::loss::normalize;
use lethe_model::tch::{self, Kind, Tensor};

use super::captions::Distinct;
use super::fault::model_fault;
use super::pictures::pixels_of;
use super::tensors::torch;

/// Unit features of pictures and captions by the early checkpoint, `[B, D]` each.
pub struct Early {
    pub image: Tensor,
    pub text: Tensor,
}

impl Early {
    pub fn of(clip: &Clip, pairs: &[Decoded]) -> Result<Self, Fault> {
        let _guard = tch::no_grad_guard();
        let compute = || -> ModelResult<Self> {
            let pixels = pixels_of(pairs.iter().map(|pair| pair.pixels.as_slice()), clip)?;
            let text = Distinct::of(pairs.iter().map(|pair| pair.caption.as_str())).embed_each(clip)?;
            Ok(Self { image: normalize(&clip.encode_image(&pixels)?)?, text: normalize(&text)? })
        };
        compute().map_err(model_fault)
    }

    /// L_clip's part of each pair among those of the reference set, `[B]`: the mean over both directions of
    /// CE(tau f(v) g^T) with the pair's own caption, or picture, as the right one. `itself` `[B, reference]` leaves a pair of
    /// the reference set out of its rivals.
    pub fn loss(&self, reference: &Self, itself: &Tensor, scale: f64) -> Result<Tensor, Fault> {
        let one_way = |query: &Tensor, own: &Tensor, rivals: &Tensor| -> Result<Tensor, tch::TchError> {
            let right = query.f_mul(own)?.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
            let others = query.f_matmul(&rivals.f_transpose(0, 1)?)?;
            let others = others.f_masked_fill(itself, f64::NEG_INFINITY)?;
            let all = Tensor::f_cat(&[&right, &others], 1)?.f_mul_scalar(scale)?;
            all.f_logsumexp([-1].as_slice(), false)?.f_sub(&right.f_squeeze_dim(1)?.f_mul_scalar(scale)?)
        };
        let both = || {
            let by_picture = one_way(&self.image, &self.text, &reference.text)?;
            by_picture.f_add(&one_way(&self.text, &self.image, &reference.image)?)?.f_mul_scalar(0.5)
        };
        both().map_err(torch)
    }
}

#[cfg(test)]
mod tests {
    use lethe_model::tch::Device;

    use super::*;

    fn unit(angles: &[f64]) -> Tensor {
        let rows: Vec<f64> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        Tensor::from_slice(&rows).view([-1, 2]).to_kind(Kind::Float)
    }

    #[test]
    fn the_loss_is_that_of_a_classifier_over_the_rivals() {
        let (images, texts) = ([0.1, 1.2, 2.0], [0.3, 1.0, 2.9]);
        let reference = Early { image: unit(&images), text: unit(&texts) };
        let pair = Early { image: unit(&[0.5]), text: unit(&[0.9]) };
        let (scale, none) = (7.0, Tensor::zeros([1, 3], (Kind::Bool, Device::Cpu)));
        let cross_entropy = |from: f64, right: f64, rivals: &[f64]| {
            let logit = |to: f64| (scale * (from - to).cos()).exp();
            -(logit(right) / (logit(right) + rivals.iter().map(|to| logit(*to)).sum::<f64>())).ln()
        };
        let of = |rivals: &[usize]| {
            let part = |all: &[f64; 3]| rivals.iter().map(|at| all[*at]).collect::<Vec<_>>();
            (cross_entropy(0.5, 0.9, &part(&texts)) + cross_entropy(0.9, 0.5, &part(&images))) / 2.0
        };
        let found = pair.loss(&reference, &none, scale).expect("has a loss").double_value(&[0]);
        assert!((found - of(&[0, 1, 2])).abs() < 1e-5, "{found}");
        let itself = Tensor::from_slice(&[false, true, false]).view([1, 3]);
        let found = pair.loss(&reference, &itself, scale).expect("has a loss").double_value(&[0]);
        assert!((found - of(&[0, 2])).abs() < 1e-5, "{found}");
    }
}
