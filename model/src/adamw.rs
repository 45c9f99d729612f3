//! AdamW over a model's flat buffer.
//!
//! It must never decide a learning rate or talk to other ranks: one gradient and one rate in, one step taken.

use tch::Tensor;

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

/// The optimiser's state: two moments as flat as the model, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    settings: AdamWSettings,
    m: Tensor,
    v: Tensor,
    steps: u64,
}

impl AdamW {
    pub fn new(clip: &Clip, settings: AdamWSettings) -> Result<Self> {
        let flat = clip.flat();
        Ok(Self { settings, m: flat.f_zeros_like()?, v: flat.f_zeros_like()?, steps: 0 })
    }

    /// Handles on the first and second moment, `[parameter_count]` f32: writing to them in place (broadcast to a
    /// lagging rank) changes the state.
    pub fn moments(&self) -> [Tensor; 2] {
        [self.m.shallow_clone(), self.v.shallow_clone()]
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// For a rank that copied the moments of another.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// One step of decoupled weight decay Adam (Loshchilov and Hutter, PyTorch's `AdamW`), then the logit scale is
    /// clamped. `gradient` is flat; `learning_rate` is this step's.
    pub fn step(&mut self, clip: &mut Clip, gradient: &Tensor, learning_rate: f64) -> Result<()> {
        let _guard = tch::no_grad_guard();
        self.check(gradient)?;
        self.steps += 1;
        self.decay(clip, learning_rate)?;
        self.update(clip, gradient, learning_rate)?;
        clip.clamp_logit_scale()
    }

    fn check(&self, gradient: &Tensor) -> Result<()> {
        if gradient.size() == self.m.size() {
            return Ok(());
        }
        Err(ModelError::WrongInput {
            what: "the gradient",
            have: gradient.size(),
            want: format!("{:?}", self.m.size()),
        })
    }

    /// Parameters that decay come first in the flat buffer.
    fn decay(&self, clip: &Clip, learning_rate: f64) -> Result<()> {
        let factor = 1.0 - learning_rate * self.settings.weight_decay;
        let _ = clip.flat().f_narrow(0, 0, clip.decayed_count())?.f_mul_scalar_(factor)?;
        Ok(())
    }

    fn update(&mut self, clip: &Clip, gradient: &Tensor, learning_rate: f64) -> Result<()> {
        let AdamWSettings { beta1, beta2, eps, weight_decay: _ } = self.settings;
        let steps = self.steps as f64;
        let _ = self.m.f_lerp_(gradient, 1.0 - beta1)?;
        let square = gradient.f_mul_scalar(1.0 - beta2)?;
        let _ = self.v.f_mul_scalar_(beta2)?.f_addcmul_(&square, gradient)?;
        let correction = (1.0 - beta2.powf(steps)).sqrt();
        let denominator = self.v.f_sqrt()?.f_div_scalar_(correction)?.f_add_scalar_(eps)?;
        let scaled = self.m.f_mul_scalar(-learning_rate / (1.0 - beta1.powf(steps)))?;
        let _ = clip.flat().f_addcdiv_(&scaled, &denominator)?;
        Ok(())
    }
}
