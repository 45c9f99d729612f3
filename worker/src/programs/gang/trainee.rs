//! What a rank keeps of a training between generations: weights, optimiser state and the last applied step.
//!
//! Ranks that would not train the same thing are refused before the first step. After a loss the survivors exchange
//! their last applied step, the highest wins, and laggards copy it; so a step that one rank applied is never taken twice.

use std::time::Instant;

use bytes::Bytes;
use lethe_collective::Collective;
use lethe_common::blob::{BlobError, Digest};
use lethe_common::fault::Fault;
use lethe_common::ids::Generation;
use lethe_common::time::Millis;
use lethe_model::tch::{TchError, Tensor};
use lethe_model::{AdamW, Clip};

use super::snapshot;
use crate::programs::fault::{collective_fault, model_fault};
use crate::task::{Blobs, Checkpoint};

pub struct Trainee {
    pub clip: Clip,
    pub optimizer: AdamW,
    /// Every step that all ranks took, in order.
    pub history: Vec<Applied>,
    /// When the state was last kept, or the training began; none where it is due at once.
    pub kept_at: Option<Instant>,
}

/// A checkpoint that an earlier generation left, and how to read it.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    pub checkpoint: &'a Checkpoint,
    pub blobs: &'a Blobs,
    pub origin: Digest,
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
    pub const WORDS: usize = 3;

    pub fn encode(&self) -> [i64; Self::WORDS] {
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

    /// Refuses ranks that begin elsewhere: `origin` is a digest of the first weights and of the spec.
    pub fn require_same_origin(origin: Digest, group: &dyn Collective) -> Result<(), Fault> {
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

    /// Brings every rank to the highest applied step among them, or to the checkpoint's where that is higher still.
    pub fn agree(&mut self, kept: Option<Kept<'_>>, group: &dyn Collective) -> Result<(), Fault> {
        let steps = every(self.applied() as i64, group)?;
        let highest = steps.iter().copied().max().unwrap_or(0);
        if let Some(kept) = kept.filter(|kept| kept.checkpoint.step as i64 > highest)
            && self.go_on_from(&kept, group)?
        {
            return Ok(());
        }
        if steps.iter().all(|&step| step == highest) {
            return Ok(());
        }
        let root = steps.iter().position(|&step| step == highest).unwrap_or(0) as u32;
        tracing::info!(step = highest, root, ?steps, "copying the last applied step to the ranks that lag");
        self.copy_from(root, highest, group)
    }

    /// Goes on from a checkpoint that at least one rank can read; the others copy it. False where it is of no use to any.
    fn go_on_from(&mut self, kept: &Kept<'_>, group: &dyn Collective) -> Result<bool, Fault> {
        let Checkpoint { step, blob } = kept.checkpoint;
        let read = self.read(kept);
        let found = every(read.as_ref().map_or_else(Unread::code, |_| USABLE), group)?;
        let root = found.iter().position(|code| *code == USABLE);
        let Some(root) = root else {
            let reason = read.err().map(|unread| unread.to_string()).unwrap_or_default();
            if found.contains(&Unread::AWAY) {
                return Err(Fault::retryable(format!("the checkpoint {} cannot be read now: {reason}", blob.path)));
            }
            tracing::error!(
                step,
                path = blob.path,
                reason,
                "the checkpoint is of no use; the training goes on without it"
            );
            return Ok(false);
        };
        if let Ok(bytes) = read {
            snapshot::restore(self, kept.origin, &bytes).map_err(|error| Fault::retryable(error.to_string()))?;
        }
        tracing::info!(step, "going on from the checkpoint");
        if found.iter().any(|code| *code != USABLE) {
            self.copy_from(root as u32, *step as i64, group)?;
        }
        Ok(true)
    }

    fn read(&self, kept: &Kept<'_>) -> Result<Bytes, Unread> {
        let bytes = kept.blobs.get(&kept.checkpoint.blob).map_err(|error| match error {
            BlobError::Open { .. } | BlobError::Access { .. } => Unread::Away(error.to_string()),
            BlobError::Damaged { .. } | BlobError::TooLarge { .. } => Unread::Useless(error.to_string()),
        })?;
        match snapshot::check(self, kept.origin, &bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(Unread::Useless(error.to_string())),
        }
    }

    /// Nothing is changed until everything has come: a state that is part this step's and part the last one's would pass
    /// for a whole one.
    fn copy_from(&mut self, root: u32, steps: i64, group: &dyn Collective) -> Result<(), Fault> {
        let [first, second] = self.optimizer.moments();
        let own = [self.clip.flat(), first, second];
        let mut came = own.each_ref().map(|buffer| buffer.f_detach_copy());
        for buffer in &mut came {
            let buffer = buffer.as_mut().map_err(|error| Fault::retryable(error.to_string()))?;
            group.broadcast(buffer, root).map_err(collective_fault)?;
        }
        let mut history = self.encoded_history(steps as usize).map_err(torch)?;
        group.broadcast(&mut history, root).map_err(collective_fault)?;
        let words = Vec::<i64>::try_from(&history).map_err(torch)?;
        for (mut own, came) in own.into_iter().zip(came) {
            own.f_copy_(&came.map_err(torch)?).map_err(torch)?;
        }
        self.take_history(&words);
        Ok(())
    }

    /// The history as [`Applied::encode`] gives it, in place of the trainee's own.
    pub fn take_history(&mut self, words: &[i64]) {
        self.history = words.chunks_exact(Applied::WORDS).map(Applied::decode).collect();
        self.optimizer.set_steps(self.history.iter().filter(|applied| applied.loss.is_finite()).count() as u64);
    }

    /// As long as that of the rank that is furthest.
    fn encoded_history(&self, steps: usize) -> Result<Tensor, TchError> {
        let mut words: Vec<i64> = self.history.iter().flat_map(Applied::encode).collect();
        words.resize(steps * Applied::WORDS, 0);
        Tensor::f_from_slice(&words)
    }
}

/// What a rank says of a checkpoint that it can go on from.
const USABLE: i64 = 2;

/// Why a rank cannot go on from a checkpoint.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// Another try may fare better.
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Useless(String),
}

impl Unread {
    const AWAY: i64 = 1;

    fn code(&self) -> i64 {
        match self {
            Self::Away(_) => Self::AWAY,
            Self::Useless(_) => 0,
        }
    }
}

/// Every rank's number, in order of rank.
fn every(own: i64, group: &dyn Collective) -> Result<Vec<i64>, Fault> {
    let gathered = group.all_gather(&Tensor::from_slice(&[own])).map_err(collective_fault)?;
    gathered.iter().map(|number| number.f_int64_value(&[0])).collect::<Result<_, TchError>>().map_err(torch)
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
