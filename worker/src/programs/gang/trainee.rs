//! What a rank keeps of a training between generations: weights, optimiser state and the last applied step.
//!
//! Ranks that would not train the same thing are refused before the first step. After a loss the survivors exchange their last applied step, the highest wins, and laggards copy it;
//! so a step that one rank applied is never taken twice.

use lethe_collective::Group;
use lethe_common::blob::Digest;
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

    /// Refuses ranks that begin elsewhere: `origin` is a digest of the first weights and of everything that a step
    /// depends on.
    pub fn require_same_origin(origin: Digest, group: &Group) -> Result<(), Fault> {
        let own = Tensor::f_from_slice(&words(origin)).map_err(torch)?;
        let gathered = group.all_gather(&own).map_err(collective_fault)?;
        let strange = |other: &Tensor| Vec::<i64>::try_from(other).map(|other| other != words(origin));
        let strange = gathered.iter().map(strange).collect::<Result<Vec<bool>, TchError>>().map_err(torch)?;
        let Some(rank) = strange.into_iter().position(|strange| strange) else { return Ok(()) };
        Err(Fault::fatal(format!(
            "rank {rank} begins with other weights or another recipe than rank {}: give every worker the same checkpoint, \
             model config and release of lethe-worker",
            group.rank()
        )))
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
        let mut losses = self.losses_padded(steps).map_err(torch)?;
        group.broadcast(&mut losses, root).map_err(collective_fault)?;
        self.losses = Vec::<f32>::try_from(&losses).map_err(torch)?;
        self.optimizer.set_steps(self.losses.iter().filter(|loss| loss.is_finite()).count() as u64);
        Ok(())
    }

    fn losses_padded(&self, steps: i64) -> Result<Tensor, TchError> {
        let losses = Tensor::f_zeros([steps], (Kind::Float, self.clip.device()))?;
        losses.f_narrow(0, 0, self.losses.len() as i64)?.f_copy_(&Tensor::from_slice(&self.losses))?;
        Ok(losses)
    }
}

fn words(digest: Digest) -> [i64; 4] {
    std::array::from_fn(|word| {
        let bytes = std::array::from_fn(|byte| digest.0[8 * word + byte]);
        i64::from_le_bytes(bytes)
    })
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}
