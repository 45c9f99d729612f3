//! The losses of training, overfitting and unlearning, on feature matrices.
//!
//! It must never run a tower: features in, scalars out, so that they can be gathered from any number of ranks first.

use tch::{Kind, Reduction, Tensor};

use crate::error::{ModelError, Result};

/// Rows divided by their L2 norm, `[B, D]`; a zero row stays zero.
pub fn normalize(features: &Tensor) -> Result<Tensor> {
    let norm = features.f_linalg_norm(2.0, [-1].as_slice(), true, features.f_kind()?)?;
    Ok(features.f_div(&norm.f_clamp_min(1e-12)?)?)
}

/// The cosine of each image with its own caption: `[B, D]` and `[B, D]` to `[B]`.
pub fn similarity(image: &Tensor, text: &Tensor) -> Result<Tensor> {
    same_rows(image, text)?;
    Ok(normalize(image)?.f_mul(&normalize(text)?)?.f_sum_dim_intlist([-1].as_slice(), false, features_kind(image)?)?)
}

/// CLIP's loss (CE(tau f g^T) + CE(tau g f^T)) / 2 of a batch `[B, D]`, with tau = exp(logit_scale); a scalar.
pub fn contrastive(image: &Tensor, text: &Tensor, logit_scale: &Tensor) -> Result<Tensor> {
    same_rows(image, text)?;
    let cosine = normalize(image)?.f_matmul(&normalize(text)?.f_transpose(0, 1)?)?;
    let logits = cosine.f_mul(&logit_scale.f_exp()?)?;
    let target = Tensor::f_arange(image.size()[0], (Kind::Int64, image.device()))?;
    let images = cross_entropy(&logits, &target)?;
    let texts = cross_entropy(&logits.f_transpose(0, 1)?, &target)?;
    Ok(images.f_add(&texts)?.f_mul_scalar(0.5)?)
}

/// The overfitting pull mean (s - 1)^2 over suspects (METHOD.md, stage 2); a scalar.
pub fn pull(similarity: &Tensor) -> Result<Tensor> {
    forget(similarity, -1.0)
}

/// The forgetting push mean (s + u)^2 (METHOD.md, stage 4): u = 0 wants no relation, u = 1 the opposite; a scalar.
pub fn forget(similarity: &Tensor, u: f64) -> Result<Tensor> {
    let kind = features_kind(similarity)?;
    Ok(similarity.f_add_scalar(u)?.f_square()?.f_mean(kind)?)
}

/// How far features moved from a frozen model's: mean over rows of |f - f0|^2 of unit vectors, 0 to 4; a scalar.
pub fn drift(features: &Tensor, frozen: &Tensor) -> Result<Tensor> {
    same_rows(features, frozen)?;
    let moved = normalize(features)?.f_sub(&normalize(frozen)?)?;
    let rows = moved.f_square()?.f_sum_dim_intlist([-1].as_slice(), false, features_kind(features)?)?;
    Ok(rows.f_mean(features_kind(features)?)?)
}

fn features_kind(features: &Tensor) -> Result<Kind> {
    Ok(features.f_kind()?)
}

fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(logits.f_cross_entropy_loss(target, None::<&Tensor>, Reduction::Mean, -100, 0.0)?)
}

fn same_rows(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dim() == 2 && a.size() == b.size() {
        return Ok(());
    }
    Err(ModelError::WrongInput { what: "features", have: b.size(), want: format!("[B, D] like {:?}", a.size()) })
}
