//! One step's traffic: features to everybody, slopes back into local parameters, gradients summed.
//!
//! Gathered features are leaves: each rank takes the whole loss of them, keeps the slopes of its own rows
//! and carries those into its parameters; the sum over ranks is the exact gradient of the global loss.

use lethe_collective::Group;
use lethe_common::fault::Fault;
use lethe_model::error::Result as ModelResult;
use lethe_model::gradients::{leaf, leaf_gradients, through};
use lethe_model::tch::{Kind, TchError, Tensor};
use lethe_model::{Clip, ModelError};

use super::objective::{Features, Objective, Share};
use super::sampler::rank_rows;
use crate::programs::fault::{collective_fault, model_fault};

/// The summed gradient of one step, the same bits on every rank.
pub struct Reduced {
    pub loss: f32,
    /// `[parameter_count]`, in the flat buffer's order.
    pub gradient: Tensor,
}

/// Computes one step's global gradient.
pub fn gradient(clip: &Clip, objective: &dyn Objective, step: u64, group: &Group) -> Result<Reduced, Fault> {
    let share = Share { rank: group.rank() as usize, world_size: group.world_size() as usize };
    let local = objective.features(clip, step, share).map_err(model_fault)?;
    let gathered = gather(&local, share, group)?;
    let (loss, mut gradient) = slopes(clip, objective, step, &local, gathered, share).map_err(model_fault)?;
    group.all_reduce_sum(&mut gradient).map_err(collective_fault)?;
    Ok(Reduced { loss, gradient })
}

fn slopes(
    clip: &Clip,
    objective: &dyn Objective,
    step: u64,
    local: &[Features],
    gathered: Vec<Tensor>,
    share: Share,
) -> ModelResult<(f32, Tensor)> {
    let leaves = gathered.iter().map(leaf).collect::<ModelResult<Vec<Tensor>>>()?;
    let scale = leaf(clip.logit_scale())?;
    let loss = objective.loss(step, &leaves, &scale)?;
    let mut with: Vec<&Tensor> = leaves.iter().collect();
    with.push(&scale);
    let mut slopes = leaf_gradients(&loss, &with)?;
    let scale_slope = slopes.pop().ok_or_else(|| ModelError::Torch("no slope of the logit scale".to_owned()))?;
    let scale_slope = scale_slope.f_div_scalar(share.world_size as f64)?;
    let mut back = Vec::new();
    for (features, slope) in local.iter().zip(&slopes).filter(|(features, _)| features.local.requires_grad()) {
        let own = rank_rows(features.rows, share.rank, share.world_size);
        back.push((&features.local, slope.f_narrow(0, own.start as i64, own.len() as i64)?));
    }
    if objective.trains_logit_scale() {
        back.push((clip.logit_scale(), scale_slope));
    }
    let pairs: Vec<(&Tensor, &Tensor)> = back.iter().map(|(output, slope)| (*output, slope)).collect();
    Ok((loss.f_double_value(&[])? as f32, through(&pairs, clip)?))
}

/// Every matrix whole, rows in global order, in one collective call: shares are padded to equal size for the
/// wire and cut again.
fn gather(local: &[Features], share: Share, group: &Group) -> Result<Vec<Tensor>, Fault> {
    let own = pack(local, share).map_err(torch)?;
    let parts = group.all_gather(&own).map_err(collective_fault)?;
    unpack(local, &parts).map_err(torch)
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}

fn padded_rows(features: &Features, world_size: usize) -> usize {
    features.rows.div_ceil(world_size)
}

fn pack(local: &[Features], share: Share) -> Result<Tensor, TchError> {
    let mut blocks = Vec::new();
    for features in local {
        let rows = features.local.f_detach()?;
        let missing = padded_rows(features, share.world_size) as i64 - rows.size()[0];
        blocks.push(rows.f_constant_pad_nd([0, 0, 0, missing])?.f_to_kind(Kind::Float)?);
    }
    Tensor::f_cat(&blocks, 0)?.f_contiguous()
}

fn unpack(local: &[Features], parts: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
    let mut start = 0;
    let mut whole = Vec::new();
    for features in local {
        let mut blocks = Vec::new();
        for (rank, part) in parts.iter().enumerate() {
            let rows = rank_rows(features.rows, rank, parts.len()).len();
            blocks.push(part.f_narrow(0, start, rows as i64)?);
        }
        whole.push(Tensor::f_cat(&blocks, 0)?);
        start += padded_rows(features, parts.len()) as i64;
    }
    Ok(whole)
}
