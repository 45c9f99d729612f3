//! What a rank keeps of a training between generations: weights, optimiser state and the last applied step.
//!
//! After a loss the survivors exchange their last applied step, the highest wins, and laggards copy it;
//! so a step that one rank applied is never taken twice.

use lethe_collective::Group;
use lethe_common::fault::Fault;
use lethe_model::tch::{Kind, TchError, Tensor};
use lethe_model::{AdamW, Clip};

use crate::programs::fault::{collective_fault, model_fault};

pub struct Trainee {
    pub clip: Clip,
    pub optimizer: AdamW,
    /// The loss of each step that all ranks took; NaN where they skipped it.
    pub losses: Vec<f32>,
}

impl Trainee {
    pub fn applied(&self) -> u64 {
        self.losses.len() as u64
    }

    /// Brings every rank to the highest applied step among them.
    pub fn agree(&mut self, group: &Group) -> Result<(), Fault> {
        let own = Tensor::from_slice(&[self.applied() as i64]);
        let gathered = group.all_gather(&own).map_err(collective_fault)?;
        let steps: Vec<i64> = gathered.iter().map(|step| step.int64_value(&[0])).collect();
        let highest = steps.iter().copied().max().unwrap_or(0);
        if steps.iter().all(|&step| step == highest) {
            return Ok(());
        }
        let root = steps.iter().position(|&step| step == highest).unwrap_or(0) as u32;
        tracing::info!(step = highest, root, ?steps, "copying the last applied step to the ranks that lag");
        self.copy_from(root, highest, group)
    }

    fn copy_from(&mut self, root: u32, steps: i64, group: &Group) -> Result<(), Fault> {
        let [first, second] = self.optimizer.moments();
        for mut buffer in [self.clip.flat(), first, second] {
            group.broadcast(&mut buffer, root).map_err(collective_fault)?;
        }
        let mut losses = self.losses_padded(steps).map_err(|e| model_fault(e.into()))?;
        group.broadcast(&mut losses, root).map_err(collective_fault)?;
        self.losses = Vec::<f32>::try_from(&losses).map_err(|e| model_fault(e.into()))?;
        self.optimizer.set_steps(self.losses.iter().filter(|loss| loss.is_finite()).count() as u64);
        Ok(())
    }

    fn losses_padded(&self, steps: i64) -> Result<Tensor, TchError> {
        let losses = Tensor::f_zeros([steps], (Kind::Float, self.clip.device()))?;
        losses.f_narrow(0, 0, self.losses.len() as i64)?.f_copy_(&Tensor::from_slice(&self.losses))?;
        Ok(losses)
    }
}
