//! An objective that goes wrong once, at a step, on the rank that has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lethe_model::Clip;
use lethe_model::error::{ModelError, Result};
use lethe_model::tch::Tensor;

use crate::programs::gang::objective::{Batch, Features, Objective, Share};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An error, which ends the rank's generation.
    Lost,
    /// Features that are no numbers.
    Spoilt,
}

#[derive(Debug, Clone)]
pub struct Slip {
    pub kind: Kind,
    pub step: u64,
    pub fired: Arc<AtomicBool>,
}

pub struct Slipping {
    pub inner: Box<dyn Objective>,
    pub slip: Option<Slip>,
}

impl Slipping {
    fn fires(&self, step: u64) -> Option<Kind> {
        let slip = self.slip.as_ref().filter(|slip| slip.step == step)?;
        (!slip.fired.swap(true, Ordering::SeqCst)).then_some(slip.kind)
    }
}

impl Objective for Slipping {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> Result<Vec<Features>> {
        let fires = self.fires(step);
        if fires == Some(Kind::Lost) {
            return Err(ModelError::Torch("this rank is lost".to_owned()));
        }
        let mut features = self.inner.features(clip, step, share)?;
        if fires == Some(Kind::Spoilt) {
            features[0].local = features[0].local.f_mul_scalar(f64::NAN)?;
        }
        Ok(features)
    }

    fn loss(&self, step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> Result<Tensor> {
        self.inner.loss(step, batch, logit_scale)
    }

    fn trains_logit_scale(&self) -> bool {
        self.inner.trains_logit_scale()
    }

    fn batch(&self) -> u64 {
        self.inner.batch()
    }
}
