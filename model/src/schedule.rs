//! Learning rates over a training.
//!
//! It must never keep state: a step number in, a rate out, so that a training can go on anywhere.

/// Linear warm-up, then half a cosine down to zero (OpenCLIP's `cosine_lr`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cosine {
    pub peak: f64,
    pub warmup_steps: u64,
    pub steps: u64,
}

impl Cosine {
    /// The rate of step `step`, counted from 0; zero from `steps` on.
    pub fn rate(&self, step: u64) -> f64 {
        if step >= self.steps {
            return 0.0;
        }
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / self.warmup_steps as f64;
        }
        let done = (step - self.warmup_steps) as f64 / (self.steps - self.warmup_steps) as f64;
        0.5 * (1.0 + (std::f64::consts::PI * done).cos()) * self.peak
    }
}
