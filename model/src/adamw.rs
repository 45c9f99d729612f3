//! AdamW over a model's flat buffer.
//!
//! It must never decide a learning rate or talk to other ranks: one gradient and one rate in, one step taken.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::clip::Clip;
use crate::error::{ModelError, Result};
use crate::ffi::{self, AdamWStep};

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

    /// One step of decoupled weight decay Adam (Loshchilov and Hutter) by PyTorch's fused kernel, then the logit scale is
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
        let steps = Tensor::f_full([1], self.steps as f64, (Kind::Float, clip.device()))?;
        // Parameters that decay come first in the flat buffer.
        let decayed = clip.decayed_count().clamp(self.span.start, self.span.end);
        let weight_decay = self.settings.weight_decay;
        let spans = [(self.span.start..decayed, weight_decay), (decayed..self.span.end, 0.0)];
        for (span, weight_decay) in spans.into_iter().filter(|(span, _)| !span.is_empty()) {
            self.update(clip, gradient, (&steps, learning_rate, weight_decay), span)?;
        }
        clip.clamp_logit_scale()
    }

    fn update(
        &self,
        clip: &Clip,
        gradient: &Tensor,
        (steps, learning_rate, weight_decay): (&Tensor, f64, f64),
        span: Range<i64>,
    ) -> Result<()> {
        let AdamWSettings { beta1, beta2, eps, .. } = self.settings;
        let (at, length) = (span.start - self.span.start, span.end - span.start);
        let weights = clip.flat().f_narrow(0, span.start, length)?;
        let gradient = gradient.f_narrow(0, span.start, length)?;
        let (m, v) = (self.m.f_narrow(0, at, length)?, self.v.f_narrow(0, at, length)?);
        let step = AdamWStep { learning_rate, beta1, beta2, eps, weight_decay };
        let [weights, gradient, m, v, steps] =
            [&weights, &gradient, &m, &v, steps].map(|tensor| tensor.as_ptr().cast_mut().cast());
        // SAFETY: five live tensors, which the call neither keeps nor frees.
        ffi::check(unsafe { ffi::lethe_adamw(weights, gradient, m, v, steps, &step) })
    }
}
