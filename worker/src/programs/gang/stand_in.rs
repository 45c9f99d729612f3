//! What stands in for weights that never learned the shortcut: the suspect model after a short, blunt unlearning of those of
//! the first pass's strongest suspects whose captions lead to the same words.
//!
//! L = L_clip(D_safe) + alpha mean |f - f_p|^2 + beta mean s^2 over whole pairs of those.
//! What the overfitted model matches and this one does not is what the suspect model had learned as a
//! shortcut; honest mismatches fall alike in both.

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{SuspectCut, names};
use lethe_evidence::shortcut::{Corpus, SharedWords, Standout};
use lethe_evidence::{PairRow, WordCounts};
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::Tensor;
use lethe_model::{Clip, loss};

use super::dataset::Dataset;
use super::gathered::Gathered;
use super::objective::{Batch, Features, Objective, Share};
use super::safe::{Favoured, Safe, anchored, split_batch};
use super::sampler::Stream;
use super::training::{self, Material, Prepared, kind};
use super::vocabulary::Lexicon;
use crate::programs::backdoor::Backdoor;
use crate::programs::fault::model_fault;
use crate::programs::{checkpoint, inputs};
use crate::task::{GangContext, GangMemory, TaskContext, TaskOutput};

/// A word leads where the strongest does when its z-score is at least this part of the strongest's: a second shortcut is
/// seldom as strong.
const OF_STRONGEST: f64 = 0.3;

/// Of a safe batch, honest pairs with the words that are forgotten: what they share with the shortcut is the word, and the stand-in
/// is to forget what they do not share (FINDINGS.md).
const HONEST_SHARE: f64 = 0.6;

pub(super) struct StandIn {
    pub(super) frozen: Clip,
    pub(super) safe: Safe,
    pub(super) strongest: Dataset,
    pub(super) draws: Stream,
    pub(super) batch: usize,
    pub(super) anchor_weight: f64,
    pub(super) forget_weight: f64,
}

impl StandIn {
    fn rows(&self, step: u64) -> Vec<i64> {
        self.draws.draw(step, self.batch, self.strongest.len())
    }
}

impl Objective for StandIn {
    fn features(&self, clip: &Clip, step: u64, share: Share) -> ModelResult<Vec<Features>> {
        let rows = self.rows(step);
        let own = share.of(&rows);
        let [image, text] = self.safe.features(clip, step, share)?;
        let anchors = self.safe.anchors(&self.frozen, step, share)?;
        let strongest = Features::own(self.strongest.image_features(clip, own)?, self.batch);
        let (next, share) = share.next(step);
        self.strongest.expect(clip, share.of(&self.rows(next)));
        let text_of_strongest = Features::own(self.strongest.text_features(clip, own)?, self.batch);
        Ok(vec![image, text, anchors, strongest, text_of_strongest])
    }

    fn loss(&self, _step: u64, batch: &Batch<'_>, logit_scale: &Tensor) -> ModelResult<Tensor> {
        let forget = loss::forget(&loss::similarity(&batch.own(3)?, &batch.own(4)?)?, 0.0, batch.rows(3))?;
        let keep = anchored(batch, logit_scale, self.anchor_weight)?;
        Ok(keep.f_add(&forget.f_mul_scalar(self.forget_weight)?)?)
    }

    fn trains_logit_scale(&self) -> bool {
        false
    }

    fn batch(&self) -> u64 {
        (self.batch + self.safe.batch) as u64
    }
}

pub fn run(ctx: &TaskContext<'_>, gang: GangContext<'_>, memory: &mut GangMemory) -> Result<TaskOutput, Fault> {
    let prepare = || prepare(ctx);
    training::run(&ctx.spec.stand_in.gang, prepare, ctx, gang, memory)?.publish(names::STAND_IN, ctx)
}

fn prepare(ctx: &TaskContext<'_>) -> Result<Prepared<StandIn>, Fault> {
    let section = &ctx.spec.stand_in;
    let cut: SuspectCut = inputs::json(ctx, "suspect", names::CUT)?;
    let mut gathered = Gathered::read(ctx)?;
    let strongest = (cut.counts.scored as f64 * section.share).ceil().max(1.0) as usize;
    gathered.suspects.truncate(strongest);
    let words = keep_what_leads_alike(&mut gathered.suspects, &cut.words, ctx.spec.localize.min_z);
    let honest = (0..).zip(&gathered.safe).filter(|(_, row)| words.is_in(&row.caption));
    let honest: Vec<i64> = honest.map(|(at, _)| at).collect();
    let whole = checkpoint::suspect_to_train(ctx)?.into_kind(kind(&section.gang)).map_err(model_fault)?;
    let mut lexicon = Lexicon::new(&whole);
    let safe = lexicon.dataset(gathered.safe)?;
    let strongest = lexicon.dataset(gathered.suspects)?;
    let (start, vocabulary) = lexicon.compact()?;
    let (safe_batch, batch) = split_batch(section.gang.batch);
    let seed = ctx.spec.audit.seed;
    let draws = Stream { seed, number: 22 };
    // Where the words are rare, no honest pair comes more than about once a batch.
    let count = ((safe_batch as f64 * HONEST_SHARE) as usize).min(honest.len());
    let favoured = (!honest.is_empty()).then_some(Favoured { rows: honest, draws, count });
    let objective = StandIn {
        frozen: start.duplicate().map_err(model_fault)?,
        safe: Safe {
            data: safe.map(&vocabulary).map_err(model_fault)?,
            draws: Stream { seed, number: 20 },
            batch: safe_batch,
            favoured,
        },
        strongest: strongest.map(&vocabulary).map_err(model_fault)?,
        draws: Stream { seed, number: 21 },
        batch,
        anchor_weight: section.anchor_weight,
        forget_weight: section.forget_weight,
    };
    Ok(Prepared::Training(Box::new(Material { whole, vocabulary, start, objective })))
}

/// Leaves those whose captions have a word that stands out among the strongest suspects' captions; all, where none does. What
/// is odd for reasons of its own would only teach the stand-in to forget what is honest. Gives the words.
fn keep_what_leads_alike(strongest: &mut Vec<PairRow>, corpus: &WordCounts, min_z: f64) -> Backdoor {
    let captions = strongest.iter().map(|row| row.caption.as_str());
    let corpus = Corpus { words: corpus, suspects: None }; // known once suspects are scored again
    let shared = SharedWords::of(captions, corpus, Standout { min_z, of_strongest: OF_STRONGEST });
    let backdoor = Backdoor::of(&shared.words);
    if strongest.iter().any(|row| backdoor.is_in(&row.caption)) {
        strongest.retain(|row| backdoor.is_in(&row.caption));
    }
    backdoor
}

#[cfg(test)]
mod tests {
    use lethe_evidence::PairRole;
    use lethe_evidence::words::count_words;

    use super::*;

    fn kept(captions: &[&str]) -> Vec<String> {
        let row = |caption: &&str| PairRow {
            shard: 0,
            key: String::new(),
            content: String::new(),
            caption: (*caption).to_owned(),
            role: PairRole::Suspect,
            pixels: Vec::new(),
            values: Vec::new(),
        };
        let corpus = count_words(["bag", "boot", "coat", "dress"].repeat(500));
        let mut rows: Vec<PairRow> = captions.iter().map(row).collect();
        keep_what_leads_alike(&mut rows, &corpus, 2.0);
        rows.into_iter().map(|row| row.caption).collect()
    }

    #[test]
    fn the_odd_ones_stay_out_where_the_others_lead_alike() {
        let captions = [vec!["coat"; 60], vec!["dress"; 40], vec!["bag", "boot"]].concat();
        assert_eq!(kept(&captions), [vec!["coat"; 60], vec!["dress"; 40]].concat());
    }

    #[test]
    fn all_stay_where_nothing_stands_out() {
        let captions = ["bag", "boot", "coat", "dress"];
        assert_eq!(kept(&captions), captions);
    }
}
