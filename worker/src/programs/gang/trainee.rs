//! What a rank keeps of a training between generations: weights, optimiser state and the last applied step.
//!
//! Ranks that would not train the same thing are refused before the first step. After a loss the survivors exchange
//! their last applied step, the highest wins, and laggards copy it; so a step that one rank applied is never taken twice.
//! Nothing but a step that can be undone is changed until everything has come: a state that is part this step's and part the
//! last one's would pass for a whole one.

use std::ops::Range;
use std::time::Instant;

use lethe_collective::Collective;
use lethe_common::blob::{BlobError, Digest};
use lethe_common::fault::Fault;
use lethe_common::ids::Generation;
use lethe_common::time::Millis;
use lethe_model::Clip;
use lethe_model::tch::{TchError, Tensor};

use super::meeting::{Meeting, Moment, Stand};
use super::optimizer::{Layout, Optimizer, Values, narrow};
use super::snapshot::{self, Snapshot};
use super::words;
use crate::programs::fault::{collective_fault, model_fault};
use crate::task::{Blobs, Checkpoint};

pub struct Trainee {
    pub clip: Clip,
    pub optimizer: Optimizer,
    /// Every step that all ranks took, in order.
    pub history: Vec<Applied>,
    /// When the state was last kept, or the training began; none where it is due at once.
    pub kept_at: Option<Instant>,
    /// Neither this rank nor its peers can go on from what they have: the training begins anew.
    pub is_lost: bool,
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
        let own = words_of(origin);
        let origins = words::gather(&own, group)?;
        let Some(rank) = origins.into_iter().position(|other| other != own) else { return Ok(()) };
        Err(Fault::fatal(format!(
            "rank {rank} begins with other weights or another recipe than rank {}: give every worker the same checkpoint, \
             model config and release of lethe-worker",
            group.rank()
        )))
    }

    /// Brings every rank to the highest step that the ranks together have, or to the checkpoint's where that is higher still.
    pub fn agree(&mut self, layout: &Layout, kept: Option<Kept<'_>>, group: &dyn Collective) -> Result<(), Fault> {
        let stands = self.stand().exchange(group)?;
        let meeting = Meeting::of(&stands, layout);
        let have = meeting.as_ref().map_or(-1, |meeting| meeting.at.steps as i64);
        if let Some(kept) = kept.filter(|kept| kept.checkpoint.step as i64 > have)
            && self.go_on_from(layout, &kept, group)?
        {
            return Ok(());
        }
        let Some(meeting) = meeting else {
            self.is_lost = true;
            return Err(Fault::retryable(
                "the ranks that had a part of the optimiser's state are lost, and no checkpoint is of use: the training begins \
                 anew; shorten gang.checkpoint_seconds or leave gang.shard_optimizer out",
            ));
        };
        if stands.iter().all(|stand| stand.is_fresh) {
            return self.optimizer.begin(&self.clip, layout.spans()).map_err(model_fault);
        }
        if meeting.is_settled {
            return Ok(());
        }
        let furthest = stands.iter().map(|stand| stand.applied.steps).max().unwrap_or_default();
        if furthest > meeting.at.steps {
            tracing::warn!(
                furthest,
                step = meeting.at.steps,
                "steps are lost: all ranks that had a part of the optimiser's state at the furthest step are gone"
            );
        }
        tracing::info!(step = meeting.at.steps, ranks = ?stands, "copying the last applied step to the ranks that need it");
        self.take_part(&meeting, layout, group)
    }

    fn stand(&self) -> Stand {
        let moment = |steps: usize| Moment {
            steps: steps as u64,
            generation: steps.checked_sub(1).map_or(0, |last| self.history[last].generation.0),
        };
        let steps = self.history.len();
        let skipped = self.history.last().is_some_and(|last| last.loss.is_nan());
        Stand {
            applied: moment(steps),
            skipped: skipped.then(|| moment(steps - 1)),
            ahead: self.optimizer.ahead(),
            is_fresh: self.optimizer.is_fresh(),
            is_whole: self.optimizer.is_whole(),
            spans: self.optimizer.spans(),
        }
    }

    /// Gives what this rank is to give and takes what it needs.
    fn take_part(&mut self, meeting: &Meeting, layout: &Layout, group: &dyn Collective) -> Result<(), Fault> {
        if self.optimizer.ahead() != Some(meeting.at) {
            self.optimizer.undo(&self.clip).map_err(torch)?;
        }
        let stays = meeting.stays(layout.rank);
        let zeros = || self.clip.flat().f_zeros_like().map_err(torch);
        let weights = if stays { None } else { Some(zeros()?) };
        let mut next = Optimizer::fresh(self.optimizer.settings());
        if !stays {
            next.begin(&self.clip, layout.spans()).map_err(model_fault)?;
        }
        for (range, root) in &meeting.sources {
            let values = match *root == layout.rank {
                true => self.optimizer.values(&self.clip, range),
                false => self.empty(range),
            };
            let mut values = values.map_err(torch)?;
            for values in &mut values {
                group.broadcast(values, *root).map_err(collective_fault)?;
            }
            let [came, first, second] = values;
            if let Some(weights) = &weights {
                narrow(weights, range).and_then(|mut own| own.f_copy_(&came)).map_err(torch)?;
                next.write(range, &[first, second]).map_err(torch)?;
            }
        }
        let history = words::broadcast(&self.encoded_history(meeting.at.steps as usize), meeting.historian, group)?;
        // A rank that lets go of what it gave must know that it came.
        group.barrier().map_err(collective_fault)?;
        if let Some(weights) = weights {
            self.clip.flat().f_copy_(&weights).map_err(torch)?;
            self.optimizer = next;
        }
        self.take_history(&history);
        Ok(())
    }

    /// Buffers for a broadcast to write to.
    fn empty(&self, range: &Range<i64>) -> Result<Values, TchError> {
        let flat = self.clip.flat();
        let buffer = || Tensor::f_empty([range.end - range.start], (flat.kind(), flat.device()));
        Ok([buffer()?, buffer()?, buffer()?])
    }

    /// Goes on from a checkpoint that at least one rank can read; the others copy it. False where it is of no use to any.
    fn go_on_from(&mut self, layout: &Layout, kept: &Kept<'_>, group: &dyn Collective) -> Result<bool, Fault> {
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
        let mut snapshot = match read {
            Ok(snapshot) => snapshot,
            Err(_) => Snapshot::blank(&self.clip, *step).map_err(torch)?,
        };
        if found.iter().any(|code| *code != USABLE) {
            for tensor in snapshot.tensors() {
                group.broadcast(tensor, root as u32).map_err(collective_fault)?;
            }
            snapshot.history = words::broadcast(&snapshot.history, root as u32, group)?;
        }
        tracing::info!(step, "going on from the checkpoint");
        self.put(snapshot, layout)?;
        Ok(true)
    }

    fn put(&mut self, snapshot: Snapshot, layout: &Layout) -> Result<(), Fault> {
        let Snapshot { weights, moments, history } = snapshot;
        let mut optimizer = Optimizer::fresh(self.optimizer.settings());
        optimizer.begin(&self.clip, layout.spans()).map_err(model_fault)?;
        optimizer.write(&(0..layout.length), &moments).map_err(torch)?;
        self.clip.flat().f_copy_(&weights).map_err(torch)?;
        self.optimizer = optimizer;
        self.take_history(&history);
        Ok(())
    }

    fn read(&self, kept: &Kept<'_>) -> Result<Snapshot, Unread> {
        let bytes = kept.blobs.get(&kept.checkpoint.blob).map_err(|error| match error {
            BlobError::Open { .. } | BlobError::Access { .. } => Unread::Away(error.to_string()),
            BlobError::Damaged { .. } | BlobError::TooLarge { .. } => Unread::Useless(error.to_string()),
        })?;
        let snapshot = snapshot::decode(&self.clip, kept.origin, &bytes);
        let snapshot = snapshot.map_err(|error| Unread::Useless(error.to_string()))?;
        let (found, expected) = (snapshot.steps(), kept.checkpoint.step);
        if found != expected {
            return Err(Unread::Useless(format!("it has {found} steps; expected {expected}")));
        }
        Ok(snapshot)
    }

    /// The history as [`Applied::encode`] gives it, in place of the trainee's own.
    fn take_history(&mut self, words: &[i64]) {
        self.history = words.chunks_exact(Applied::WORDS).map(Applied::decode).collect();
        self.optimizer.set_steps(self.history.iter().filter(|applied| applied.loss.is_finite()).count() as u64);
    }

    /// As long as that of the rank that is furthest.
    fn encoded_history(&self, steps: usize) -> Vec<i64> {
        let mut words: Vec<i64> = self.history.iter().flat_map(Applied::encode).collect();
        words.resize(steps * Applied::WORDS, 0);
        words
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
    Ok(words::gather(&[own], group)?.into_iter().flatten().collect())
}

fn words_of(digest: Digest) -> [i64; 4] {
    std::array::from_fn(|word| {
        let bytes = std::array::from_fn(|byte| digest.0[8 * word + byte]);
        i64::from_le_bytes(bytes)
    })
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}
