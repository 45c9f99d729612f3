//! What a rank keeps of a training between generations: weights, optimiser state and the last applied step.
//!
//! Ranks that would not train the same thing are refused before the first step. After a loss the survivors exchange their last applied step, the highest wins, and laggards copy it;
//! so a step that one rank applied is never taken twice.

use lethe_collective::Group;
use lethe_common::blob::Digest;
use lethe_common::fault::Fault;
use lethe_common::ids::Generation;
use lethe_common::time::Millis;
use lethe_model::tch::{TchError, Tensor};
use lethe_model::{AdamW, Clip};

use crate::programs::fault::{collective_fault, model_fault};

pub struct Trainee {
    pub clip: Clip,
    pub optimizer: AdamW,
    /// Every step that all ranks took, in order.
    pub history: Vec<Applied>,
}

/// A step that was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Applied {
    /// NaN where all ranks skipped it.
    pub loss: f32,
    /// By the clock of the rank that took it first of those whose history this is.
    pub at: Millis,
    pub generation: Generation,
}

impl Applied {
    const WORDS: usize = 3;

    fn encode(&self) -> [i64; Self::WORDS] {
        [i64::from(self.loss.to_bits()), self.at.0 as i64, self.generation.0 as i64]
    }

    fn decode(words: &[i64]) -> Self {
        let loss = f32::from_bits(words[0] as u32);
        Self { loss, at: Millis(words[1] as u64), generation: Generation(words[2] as u64) }
    }
}

impl Trainee {
    pub fn applied(&self) -> u64 {
        self.history.len() as u64
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
        let mut history = self.encoded_history(steps as usize).map_err(torch)?;
        group.broadcast(&mut history, root).map_err(collective_fault)?;
        let words = Vec::<i64>::try_from(&history).map_err(torch)?;
        self.history = words.chunks_exact(Applied::WORDS).map(Applied::decode).collect();
        self.optimizer.set_steps(self.history.iter().filter(|applied| applied.loss.is_finite()).count() as u64);
        Ok(())
    }

    /// As long as that of the rank that is furthest.
    fn encoded_history(&self, steps: usize) -> Result<Tensor, TchError> {
        let mut words: Vec<i64> = self.history.iter().flat_map(Applied::encode).collect();
        words.resize(steps * Applied::WORDS, 0);
        Tensor::f_from_slice(&words)
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
