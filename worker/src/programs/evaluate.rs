//! Both checkpoints on what no training saw: safe pairs that were held out, and the held-out third of the
//! forget set.
//!
//! The defender does not know the trigger, but those suspects carry it: how many of them still prefer the
//! backdoor's words estimates attack success (METHOD.md, stage 5). Whether it is a backdoor at all was decided before
//! ([`super::probe`]).

use std::collections::BTreeMap;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_data::key_hash;
use lethe_evidence::artifacts::{self, Confirmed, Evaluation, ForgetSet, Residual, names};
use lethe_evidence::{PairRole, PairRow, RowBatches};
use lethe_model::Clip;
use lethe_model::error::Result as ModelResult;
use lethe_model::loss::{normalize, similarity};
use lethe_model::tch::{self, Kind, Tensor};

use super::attraction::{attracted, count, embed_captions, embed_images};
use super::backdoor::Backdoor;
use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::held_out::HeldOut;
use super::least::Least;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// A pair is retrieved when its caption is among this share of the shard's captions that its image prefers, and among so many: of a
/// few hundred that all differ, nearly every model has the right one among a tenth.
const RETRIEVED_SHARE: f64 = 0.1;
const RETRIEVED_MOST: f64 = 8.0;
/// Where fewer pairs were gathered of a shard, as of a large set's, the captions of so many others are drawn, for its images to choose
/// among. They are as well where all that were gathered have the same caption.
const FEW_PAIRS: usize = 256;
/// Sets the draw of captions apart from other draws by key hash.
const SALT: &str = "caption";

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let _guard = tch::no_grad_guard();
    let kept = ctx.kept.get("kept from unlearning", || Kept::read(ctx))?;
    let subjects = Subjects::of(ctx, inputs::own_pairs(ctx)?.1, &kept)?;
    let [before, after] = [checkpoint::suspect(ctx)?, checkpoint::of_phase(ctx, "unlearn", names::CLEAN)?];
    let evaluation = subjects.evaluate(&before, &after).map_err(model_fault)?;
    let bytes = artifacts::encode(names::EVALUATION, &evaluation).map_err(fatal)?;
    let outputs = vec![ctx.put(names::EVALUATION, Bytes::from(bytes))?];
    let read = evaluation.safe_pairs + evaluation.residual().held_out;
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// What all shards' tasks need of the forget set, of which a large set's has a million members.
struct Kept {
    /// Each cluster's.
    backdoors: Vec<Backdoor>,
    /// By shard and key, the cluster of each held-out member.
    members: BTreeMap<u32, BTreeMap<String, u32>>,
}

impl Kept {
    fn read(ctx: &TaskContext<'_>) -> Result<Self, Fault> {
        Ok(Self::of(&inputs::json::<Confirmed>(ctx, "confirm", names::CONFIRMED)?.forget))
    }

    fn of(forget: &ForgetSet) -> Self {
        let mut members: BTreeMap<u32, BTreeMap<String, u32>> = BTreeMap::new();
        for member in forget.held_out() {
            members.entry(member.shard).or_default().insert(member.key.clone(), member.cluster);
        }
        Self { backdoors: forget.clusters.iter().map(|cluster| Backdoor::of(&cluster.words)).collect(), members }
    }
}

struct Subjects<'a> {
    ctx: &'a TaskContext<'a>,
    /// Held-out safe pairs.
    safe: Vec<PairRow>,
    /// Held-out members of the forget set, a cluster each.
    clusters: Vec<Led<'a>>,
    /// Those of all the shard's gathered pairs, and where these are few, of others: which the images choose among.
    captions: Distinct,
}

struct Led<'a> {
    members: Vec<PairRow>,
    backdoor: &'a Backdoor,
}

impl<'a> Subjects<'a> {
    fn of(ctx: &'a TaskContext<'a>, pairs: RowBatches<PairRow>, kept: &'a Kept) -> Result<Self, Fault> {
        let held_out = HeldOut::of(&ctx.spec);
        let mut all_captions = Vec::new();
        let own = kept.members.get(&ctx.task.shard.0);
        let led = |backdoor| Led { members: Vec::new(), backdoor };
        let (mut safe, mut clusters) = (Vec::new(), kept.backdoors.iter().map(led).collect::<Vec<_>>());
        for batch in pairs {
            for row in batch.map_err(fatal)? {
                all_captions.push(row.caption.clone());
                match row.role {
                    PairRole::Safe if held_out.contains(&row.content) => safe.push(row),
                    PairRole::Safe => {}
                    PairRole::Suspect => {
                        let cluster = own.and_then(|own| own.get(&row.key)).copied();
                        if let Some(led) = cluster.and_then(|cluster| clusters.get_mut(cluster as usize)) {
                            led.members.push(row);
                        }
                    }
                }
            }
        }
        let distinct = |captions: &[String]| Distinct::of(captions.iter().map(String::as_str));
        let mut subjects = Self { ctx, safe, clusters, captions: distinct(&all_captions) };
        if subjects.are_there() && (all_captions.len() < FEW_PAIRS || !subjects.can_choose()) {
            all_captions.extend(drawn_captions(ctx)?);
            subjects.captions = distinct(&all_captions);
        }
        Ok(subjects)
    }

    fn are_there(&self) -> bool {
        !self.safe.is_empty() || self.clusters.iter().any(|led| !led.members.is_empty())
    }

    /// Of one caption an image can only choose that, which says nothing.
    fn can_choose(&self) -> bool {
        self.captions.captions.len() >= 2
    }

    fn evaluate(&self, before: &Clip, after: &Clip) -> ModelResult<Evaluation> {
        let clusters = vec![Residual::default(); self.clusters.len()];
        let mut evaluation = Evaluation { clusters, ..Evaluation::default() };
        if !self.are_there() || !self.can_choose() {
            return Ok(evaluation);
        }
        evaluation.safe_pairs = self.safe.len() as u64;
        let [old, new] = [before, after]
            .map(|clip| Ok::<_, lethe_model::ModelError>((clip, embed_captions(self.ctx, &self.captions, clip)?)));
        let (old, new) = (old?, new?);
        let mut honest = None;
        if !self.safe.is_empty() {
            let [was, is] = [embed_images(self.ctx, &self.safe, before)?, embed_images(self.ctx, &self.safe, after)?];
            evaluation.drift_sum =
                similarity(&was, &is)?.f_neg()?.f_add_scalar(1.0)?.f_sum(Kind::Double)?.f_double_value(&[])?;
            evaluation.retrieval_hits_before = self.retrieved(&was, &old.1)?;
            evaluation.retrieval_hits_after = self.retrieved(&is, &new.1)?;
            honest = Some([(was, &old.1), (is, &new.1)]);
        }
        for (led, residual) in self.clusters.iter().zip(&mut evaluation.clusters) {
            if led.members.is_empty() {
                continue;
            }
            residual.held_out = led.members.len() as u64;
            let carries: Vec<bool> = self.captions.captions.iter().map(|caption| led.backdoor.is_in(caption)).collect();
            let members = |(clip, captions): &(&Clip, Tensor)| {
                ModelResult::Ok(count(&attracted(&embed_images(self.ctx, &led.members, clip)?, captions, &carries)?))
            };
            (residual.attracted_before, residual.attracted_after) = (members(&old)?, members(&new)?);
            if let Some([was, is]) = &honest {
                let others: Vec<bool> = self.safe.iter().map(|row| !led.backdoor.is_in(&row.caption)).collect();
                let among = |(images, captions): &(Tensor, &Tensor)| {
                    let attracted = attracted(images, captions, &carries)?;
                    ModelResult::Ok(
                        attracted.iter().zip(&others).filter(|(attracted, other)| **attracted && **other).count(),
                    )
                };
                residual.honest = count(&others);
                residual.honest_attracted_before = among(was)? as u64;
                residual.honest_attracted_after = among(is)? as u64;
            }
        }
        Ok(evaluation)
    }

    /// Safe pairs whose own caption is among the share of captions that their image prefers.
    fn retrieved(&self, images: &Tensor, captions: &Tensor) -> ModelResult<u64> {
        let scores = normalize(images)?.f_matmul(&normalize(captions)?.f_transpose(0, 1)?)?;
        let own: Vec<i64> = self.safe.iter().filter_map(|row| self.captions.find(&row.caption)).collect();
        let own = Tensor::f_from_slice(&own)?.f_unsqueeze(1)?.f_to_device(scores.device())?;
        let own = scores.f_gather(1, &own, false)?;
        let better = scores.f_gt_tensor(&own)?.f_sum_dim_intlist([-1].as_slice(), false, Kind::Int64)?;
        let within = (self.captions.captions.len() as f64 * RETRIEVED_SHARE).ceil().clamp(1.0, RETRIEVED_MOST);
        Ok(better.f_lt(within)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as u64)
    }
}

/// Captions of the task's own shard, poison's among them as there are: those of the least key hashes, in their order.
fn drawn_captions(ctx: &TaskContext<'_>) -> Result<Vec<String>, Fault> {
    if ctx.inputs_of("score").next().is_none() {
        return Ok(Vec::new()); // a plan of an older release
    }
    let (_, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
    let mut least = Least::of(FEW_PAIRS);
    for batch in inputs::own_signals(ctx)? {
        for row in batch.map_err(fatal)? {
            let hash = key_hash(ctx.spec.audit.seed, SALT, entry.name(), &row.key);
            least.show(hash, || row.caption);
        }
    }
    Ok(least.drawn().cloned().collect())
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
