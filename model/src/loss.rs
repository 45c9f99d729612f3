//! The losses of training, overfitting and unlearning, on feature matrices.
//!
//! Every loss is a mean over the rows of a batch, and is given in parts: a call takes some of the rows and the size of the
//! whole batch, and the sum over calls that together have every row once is the loss. So each rank holds a block of its
//! own rows, never the whole square of logits.
//!
//! It must never run a tower: features in, scalars out, so that they can be gathered from any number of ranks first.

use std::ops::Range;

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
    let rows = image.size().first().map_or(0, |rows| *rows);
    contrastive_part(image, text, 0..rows, logit_scale)
}

/// The part of [`contrastive`] that some rows have: their images against all captions, and their captions against all
/// images, `[rows, B]` logits each. A scalar.
pub fn contrastive_part(image: &Tensor, text: &Tensor, rows: Range<i64>, logit_scale: &Tensor) -> Result<Tensor> {
    same_rows(image, text)?;
    let batch = image.size()[0];
    let (image, text, tau) = (normalize(image)?, normalize(text)?, logit_scale.f_exp()?);
    let both = choices(&image, &text, rows.clone(), &tau)?.f_add(&choices(&text, &image, rows, &tau)?)?;
    Ok(both.f_mul_scalar(0.5 / batch as f64)?)
}

/// CleanCLIP's self-supervision of one tower, CE(tau f v^T) where row i of the views `v` was made from what row i of `f` was
/// (ICCV 2023, L_SS; its mean over the two towers is the whole): the part that some rows of a batch `[B, D]` have. A scalar.
pub fn self_supervised_part(
    features: &Tensor,
    views: &Tensor,
    rows: Range<i64>,
    logit_scale: &Tensor,
) -> Result<Tensor> {
    same_rows(features, views)?;
    let batch = features.size()[0];
    let chosen = choices(&normalize(features)?, &normalize(views)?, rows, &logit_scale.f_exp()?)?;
    Ok(chosen.f_mul_scalar(1.0 / batch as f64)?)
}

/// The sum over some rows of minus the log of how much each prefers its own among all others: unit vectors, `[rows, B]` logits.
fn choices(own: &Tensor, others: &Tensor, rows: Range<i64>, tau: &Tensor) -> Result<Tensor> {
    let target = Tensor::f_arange_start(rows.start, rows.end, (Kind::Int64, own.device()))?;
    let own = own.f_narrow(0, rows.start, rows.end - rows.start)?;
    let logits = own.f_matmul(&others.f_transpose(0, 1)?)?.f_mul(tau)?;
    Ok(logits.f_cross_entropy_loss(&target, None::<&Tensor>, Reduction::Sum, -100, 0.0)?)
}

/// The overfitting pull mean (s - 1)^2 over suspects (METHOD.md, stage 2), of a batch of so many rows; a scalar.
pub fn pull(similarity: &Tensor, batch: usize) -> Result<Tensor> {
    forget(similarity, -1.0, batch)
}

/// The forgetting push mean (s + u)^2 (METHOD.md, stage 4), of a batch of so many rows: u = 0 wants no relation, u = 1
/// the opposite; a scalar.
pub fn forget(similarity: &Tensor, u: f64, batch: usize) -> Result<Tensor> {
    mean_part(&similarity.f_add_scalar(u)?.f_square()?, batch)
}

/// How far features moved from a frozen model's: mean over a batch of so many rows of |f - f0|^2 of unit vectors, 0 to 4;
/// a scalar.
pub fn drift(features: &Tensor, frozen: &Tensor, batch: usize) -> Result<Tensor> {
    same_rows(features, frozen)?;
    let moved = normalize(features)?.f_sub(&normalize(frozen)?)?;
    let rows = moved.f_square()?.f_sum_dim_intlist([-1].as_slice(), false, features_kind(features)?)?;
    mean_part(&rows, batch)
}

/// What PAR pushes apart (arXiv 2412.00727): S = mean over the batch `[B, D]` of |f - f0|^2 of unit vectors, as long as it is at
/// most `limit`, and 0 beyond; the part that some rows have. A scalar.
pub fn perturbation_part(features: &Tensor, frozen: &Tensor, rows: Range<i64>, limit: f64) -> Result<Tensor> {
    same_rows(features, frozen)?;
    let batch = features.size()[0] as usize;
    let is_near = drift(&features.f_detach()?, frozen, batch)?.f_le(limit)?.f_to_kind(features_kind(features)?)?;
    let own = |matrix: &Tensor| matrix.f_narrow(0, rows.start, rows.end - rows.start);
    Ok(drift(&own(features)?, &own(frozen)?, batch)?.f_mul(&is_near)?)
}

/// What some rows add to the mean over a batch.
pub(crate) fn mean_part(rows: &Tensor, batch: usize) -> Result<Tensor> {
    Ok(rows.f_sum(rows.f_kind()?)?.f_mul_scalar(1.0 / batch as f64)?)
}

fn features_kind(features: &Tensor) -> Result<Kind> {
    Ok(features.f_kind()?)
}

fn same_rows(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dim() == 2 && a.size() == b.size() {
        return Ok(());
    }
    Err(ModelError::WrongInput { what: "features", have: b.size(), want: format!("[B, D] like {:?}", a.size()) })
}
