//! What the suspect model has learned and trusted weights have not: s under theta_p minus s under theta_0.

use lethe_common::fault::Fault;
use lethe_data::Decoded;
use lethe_model::tch::{self, Tensor};
use lethe_model::{Clip, loss};

use super::captions::Distinct;
use super::fault::model_fault;
use super::pictures::pixels_of;

/// One value a pair, `[B]`.
pub fn gain(trusted: &Clip, pairs: &[Decoded], suspect_similarity: &Tensor) -> Result<Tensor, Fault> {
    let _guard = tch::no_grad_guard();
    let compute = || {
        let pixels = pixels_of(pairs.iter().map(|pair| pair.pixels.as_slice()), trusted)?;
        let text = Distinct::of(pairs.iter().map(|pair| pair.caption.as_str())).embed_each(trusted)?;
        let similarity = loss::similarity(&trusted.encode_image(&pixels)?, &text)?;
        Ok(suspect_similarity.f_sub(&similarity)?)
    };
    compute().map_err(model_fault)
}
