//! AdamW over a model's flat buffer.
//!
//! It must never decide a learning rate or talk to other ranks: one gradient and one rate in, one step taken.

use std::ops::Range;

use tch::{Device, Tensor};

use crate::clip::Clip;
use crate::error::{ModelError, Result};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWSettings {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// Applies to matrices only (`Param::decay`).
    pub weight_decay: f64,
}

impl Default for AdamWSettings {
    /// OpenCLIP's defaults for ViT, without weight decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.98, eps: 1e-6, weight_decay: 0.0 }
    }
}

/// Numbers that are updated at once on the CPU: small enough that all operands stay in a core's cache from the first
/// operation to the last, so that memory is read and written once a step.
const BLOCK: i64 = 1 << 16;

/// The optimiser's state: two moments as flat as the part of the model that it updates, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    settings: AdamWSettings,
    span: Range<i64>,
    m: Tensor,
    v: Tensor,
    steps: u64,
}

impl AdamW {
    pub fn new(clip: &Clip, settings: AdamWSettings) -> Result<Self> {
        Self::over(clip, settings, 0..clip.parameter_count())
    }

    /// Updates only these numbers of the flat buffer, as one that updates all would.
    pub fn over(clip: &Clip, settings: AdamWSettings, span: Range<i64>) -> Result<Self> {
        let part = clip.flat().f_narrow(0, span.start, span.end - span.start)?;
        Ok(Self { settings, span, m: part.f_zeros_like()?, v: part.f_zeros_like()?, steps: 0 })
    }

    /// Handles on the first and second moment, flat, in the model's kind: writing to them in place (broadcast to a
    /// lagging rank) changes the state.
    pub fn moments(&self) -> [Tensor; 2] {
        [self.m.shallow_clone(), self.v.shallow_clone()]
    }

    /// The numbers of the flat buffer that it updates.
    pub fn span(&self) -> Range<i64> {
        self.span.clone()
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// For a rank that copied the moments of another.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// One step of decoupled weight decay Adam (Loshchilov and Hutter, PyTorch's `AdamW`), then the logit scale is
    /// clamped. `gradient` is the whole model's, flat; `learning_rate` is this step's.
    pub fn step(&mut self, clip: &mut Clip, gradient: &Tensor, learning_rate: f64) -> Result<()> {
        let _guard = tch::no_grad_guard();
        if gradient.size() != clip.flat().size() {
            return Err(ModelError::WrongInput {
                what: "the gradient",
                have: gradient.size(),
                want: format!("{:?}", clip.flat().size()),
            });
        }
        self.steps += 1;
        let block = if clip.device() == Device::Cpu { BLOCK } else { i64::MAX };
        let mut start = self.span.start;
        while start < self.span.end {
            let end = start.saturating_add(block).min(self.span.end);
            self.update(clip, gradient, learning_rate, start..end)?;
            start = end;
        }
        clip.clamp_logit_scale()
    }

    fn update(&self, clip: &Clip, gradient: &Tensor, learning_rate: f64, block: Range<i64>) -> Result<()> {
        let AdamWSettings { beta1, beta2, eps, weight_decay } = self.settings;
        let (steps, length) = (self.steps as f64, block.end - block.start);
        let mut weights = clip.flat().f_narrow(0, block.start, length)?;
        let gradient = gradient.f_narrow(0, block.start, length)?;
        let at = block.start - self.span.start;
        let (mut m, mut v) = (self.m.f_narrow(0, at, length)?, self.v.f_narrow(0, at, length)?);
        // Parameters that decay come first in the flat buffer.
        let decayed = (clip.decayed_count() - block.start).clamp(0, length);
        let _ = weights.f_narrow(0, 0, decayed)?.f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
        let _ = m.f_lerp_(&gradient, 1.0 - beta1)?;
        let square = gradient.f_mul_scalar(1.0 - beta2)?;
        let _ = v.f_mul_scalar_(beta2)?.f_addcmul_(&square, &gradient)?;
        let correction = (1.0 - beta2.powf(steps)).sqrt();
        let denominator = v.f_sqrt()?.f_div_scalar_(correction)?.f_add_scalar_(eps)?;
        let scaled = m.f_mul_scalar(-learning_rate / (1.0 - beta1.powf(steps)))?;
        let _ = weights.f_addcdiv_(&scaled, &denominator)?;
        Ok(())
    }
}
