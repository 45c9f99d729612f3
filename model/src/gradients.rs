//! Gradients of a model's parameters as one flat tensor, also where the loss was taken on gathered features.
//!
//! It must never accumulate into a parameter: there is nothing to zero. Whoever hooks the parameters sees each gradient as
//! it is found.
//!
//! A global batch over ranks: encode local pairs; gather features; turn the gathered matrices and the logit scale
//! into leaves; take this rank's part of a loss of them; [`leaf_gradients`] gives its slopes, which are summed over ranks;
//! [`inner_product`] carries the local rows back into the parameters. The sum of the ranks' results is then exactly the gradient
//! of the global loss. A rank that takes the whole loss instead of a part sums nothing, and divides the slope of the logit
//! scale by the world size.

use tch::Tensor;

use crate::clip::Clip;
use crate::error::{ModelError, Result};

/// d(loss)/d(parameters), `[parameter_count]` in the flat buffer's order; zero where the loss does not reach.
pub fn gradients(loss: &Tensor, clip: &Clip) -> Result<Tensor> {
    let slopes = slopes(loss, &clip.leaves())?;
    let flat: Vec<Tensor> = slopes.iter().map(|s| s.f_reshape([-1])).collect::<std::result::Result<_, _>>()?;
    Ok(Tensor::f_cat(&flat, 0)?)
}

/// A copy of the values that a loss can be differentiated by; it does not lead back to a model.
pub fn leaf(values: &Tensor) -> Result<Tensor> {
    Ok(values.f_detach_copy()?.f_set_requires_grad(true)?)
}

/// d(loss)/d(leaf) for each leaf, in its shape; zero where the loss does not reach.
pub fn leaf_gradients(loss: &Tensor, leaves: &[&Tensor]) -> Result<Vec<Tensor>> {
    slopes(loss, leaves)
}

/// What carries slopes of outputs back into the parameters: sum(output * slope) over all pairs, whose gradient it is.
/// `None` where there is no pair.
///
/// Each pair is an output with a graph into a model (local features, the logit scale) and d(loss)/d(output) in its shape.
pub fn inner_product(pairs: &[(&Tensor, &Tensor)]) -> Result<Option<Tensor>> {
    let mut total: Option<Tensor> = None;
    for (output, slope) in pairs {
        same_shape(output, slope)?;
        let part = output.f_mul(&slope.f_detach()?)?.f_sum(output.f_kind()?)?;
        total = Some(match total {
            Some(sum) => sum.f_add(&part)?,
            None => part,
        });
    }
    Ok(total)
}

/// Scales `gradient` in place to at most `max_norm` in L2; returns the norm it had.
pub fn clip_norm(gradient: &mut Tensor, max_norm: f64) -> Result<f64> {
    let norm = gradient.f_norm()?.f_double_value(&[])?;
    if norm > max_norm {
        let _ = gradient.f_mul_scalar_(max_norm / norm)?;
    }
    Ok(norm)
}

/// Runs backward to the parameters, for the hooks that watch them.
pub fn backward(loss: &Tensor, clip: &Clip) -> Result<()> {
    run(loss, &clip.leaves()).map(drop)
}

fn slopes(loss: &Tensor, leaves: &[&Tensor]) -> Result<Vec<Tensor>> {
    let pairs = run(loss, leaves)?.into_iter().zip(leaves);
    pairs.map(|(slope, leaf)| if slope.defined() { Ok(slope) } else { Ok(leaf.f_zeros_like()?) }).collect()
}

/// A slope is undefined where the loss does not reach.
fn run(loss: &Tensor, leaves: &[&Tensor]) -> Result<Vec<Tensor>> {
    if !loss.requires_grad() {
        return Err(ModelError::Torch(
            "the loss has no graph: it was computed under no_grad or from detached tensors".into(),
        ));
    }
    Ok(Tensor::f_run_backward(&[loss], leaves, false, false)?)
}

fn same_shape(output: &Tensor, slope: &Tensor) -> Result<()> {
    if output.size() == slope.size() {
        return Ok(());
    }
    Err(ModelError::WrongInput { what: "a slope", have: slope.size(), want: format!("{:?}", output.size()) })
}
