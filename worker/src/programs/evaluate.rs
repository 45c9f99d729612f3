//! Both checkpoints on what no training saw: safe pairs that were held out, and the held-out third of the
//! forget set.
//!
//! The defender does not know the trigger, but those suspects carry it: how many of them still prefer the
//! backdoor's words estimates attack success (METHOD.md, stage 5). Whether it is a backdoor at all, parts of them on other
//! pictures say ([`super::grafts`]).

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{self, Evaluation, ForgetSet, Grafts, names};
use lethe_evidence::{PairRole, PairRow, RowBatches};
use lethe_model::Clip;
use lethe_model::error::Result as ModelResult;
use lethe_model::loss::{normalize, similarity};
use lethe_model::tch::{self, Kind, Tensor};

use super::backdoor::Backdoor;
use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::grafts::Donors;
use super::held_out::HeldOut;
use super::pictures::pixels_of;
use super::rows::by_rows;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// A pair is retrieved when its caption is among this share of the shard's captions that its image prefers.
const RETRIEVED_SHARE: f64 = 0.1;
/// Safe pairs of either kind that a shard keeps for grafting.
const MOST_OF_A_SHARD: usize = 64;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let _guard = tch::no_grad_guard();
    let forget: ForgetSet = inputs::json(ctx, "select", names::FORGET)?;
    let subjects = Subjects::of(ctx, inputs::own_pairs(ctx)?.1, &forget)?;
    let [before, after] = [checkpoint::suspect(ctx)?, checkpoint::of_phase(ctx, "unlearn", names::CLEAN)?];
    let evaluation = subjects.evaluate(&before, &after).map_err(model_fault)?;
    let bytes = artifacts::encode(names::EVALUATION, &evaluation).map_err(fatal)?;
    let outputs = vec![ctx.put(names::EVALUATION, Bytes::from(bytes))?];
    let read = evaluation.safe_pairs + evaluation.held_out_forget;
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

struct Subjects<'a> {
    ctx: &'a TaskContext<'a>,
    /// Held-out safe pairs.
    safe: Vec<PairRow>,
    /// Held-out members of the forget set.
    forget: Vec<PairRow>,
    /// Other safe pairs, as many as grafting may take: with a word of the backdoor, and without.
    honest: Vec<PairRow>,
    hosts: Vec<PairRow>,
    /// The captions of all the shard's gathered pairs, which the images choose among.
    captions: Distinct,
    /// For each of those captions, whether it has a word of the backdoor.
    carries: Vec<bool>,
}

impl<'a> Subjects<'a> {
    fn of(ctx: &'a TaskContext<'a>, pairs: RowBatches<PairRow>, forget: &ForgetSet) -> Result<Self, Fault> {
        let (backdoor, held_out) = (Backdoor::of(&forget.words), HeldOut::of(&ctx.spec));
        let mut all_captions = Vec::new();
        let member = |row: &PairRow| forget.held_out().any(|m| m.shard == row.shard && m.key == row.key);
        let (mut safe, mut held, mut honest, mut hosts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for batch in pairs {
            for row in batch.map_err(fatal)? {
                all_captions.push(row.caption.clone());
                match row.role {
                    PairRole::Safe if held_out.contains(&row.content) => safe.push(row),
                    PairRole::Suspect if member(&row) => held.push(row),
                    PairRole::Suspect => {}
                    PairRole::Safe => {
                        let kept = if backdoor.is_in(&row.caption) { &mut honest } else { &mut hosts };
                        if kept.len() < MOST_OF_A_SHARD {
                            kept.push(row);
                        }
                    }
                }
            }
        }
        let captions = Distinct::of(all_captions.iter().map(String::as_str));
        let carries = captions.captions.iter().map(|caption| backdoor.is_in(caption)).collect();
        Ok(Self { ctx, safe, forget: held, honest, hosts, captions, carries })
    }

    fn evaluate(&self, before: &Clip, after: &Clip) -> ModelResult<Evaluation> {
        let mut evaluation = Evaluation {
            safe_pairs: self.safe.len() as u64,
            held_out_forget: self.forget.len() as u64,
            ..Evaluation::default()
        };
        if self.safe.is_empty() && self.forget.is_empty() {
            return Ok(evaluation); // a shard of broken samples only may have no captions either
        }
        let [old, new] =
            [before, after].map(|clip| Ok::<_, lethe_model::ModelError>((clip, self.embed_captions(clip)?)));
        let (old, new) = (old?, new?);
        if !self.safe.is_empty() {
            let [was, is] = [self.images(before, &self.safe)?, self.images(after, &self.safe)?];
            evaluation.drift_sum =
                similarity(&was, &is)?.f_neg()?.f_add_scalar(1.0)?.f_sum(Kind::Double)?.f_double_value(&[])?;
            evaluation.retrieval_hits_before = self.retrieved(&was, &old.1)?;
            evaluation.retrieval_hits_after = self.retrieved(&is, &new.1)?;
        }
        if !self.forget.is_empty() {
            evaluation.attracted_before = self.attracted(&self.images(old.0, &self.forget)?, &old.1)?;
            evaluation.grafts = self.grafts(old.0, &old.1)?;
            evaluation.attracted_after = self.attracted(&self.images(new.0, &self.forget)?, &new.1)?;
        }
        Ok(evaluation)
    }

    fn grafts(&self, clip: &Clip, captions: &Tensor) -> ModelResult<Grafts> {
        let donors = Donors {
            suspicious: self.forget.iter().collect(),
            honest: self.honest.iter().collect(),
            hosts: self.hosts.iter().collect(),
        };
        donors.grafts(clip, &|pictures| self.attracted(&clip.encode_image(pictures)?, captions))
    }

    fn images(&self, clip: &Clip, rows: &[PairRow]) -> ModelResult<Tensor> {
        by_rows(rows.len(), self.ctx.rows_at_once(rows.len()), |some| {
            clip.encode_image(&pixels_of(rows[some].iter().map(|row| row.pixels.as_slice()), clip)?)
        })
    }

    fn embed_captions(&self, clip: &Clip) -> ModelResult<Tensor> {
        let tokens = self.captions.tokens(clip.config().text.context_length)?;
        let rows = self.captions.captions.len();
        by_rows(rows, self.ctx.rows_at_once(rows), |some| {
            clip.encode_text(&tokens.f_narrow(0, some.start as i64, some.len() as i64)?)
        })
    }

    /// Safe pairs whose own caption is among the share of captions that their image prefers.
    fn retrieved(&self, images: &Tensor, captions: &Tensor) -> ModelResult<u64> {
        let scores = normalize(images)?.f_matmul(&normalize(captions)?.f_transpose(0, 1)?)?;
        let own: Vec<i64> = self.safe.iter().filter_map(|row| self.captions.find(&row.caption)).collect();
        let own = Tensor::f_from_slice(&own)?.f_unsqueeze(1)?.f_to_device(scores.device())?;
        let own = scores.f_gather(1, &own, false)?;
        let better = scores.f_gt_tensor(&own)?.f_sum_dim_intlist([-1].as_slice(), false, Kind::Int64)?;
        let within = (self.captions.captions.len() as f64 * RETRIEVED_SHARE).ceil().max(1.0);
        Ok(better.f_lt(within)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as u64)
    }

    /// Held-out members whose image prefers a caption with a word of the backdoor to every other.
    fn attracted(&self, images: &Tensor, captions: &Tensor) -> ModelResult<u64> {
        let nearest = normalize(images)?.f_matmul(&normalize(captions)?.f_transpose(0, 1)?)?.f_argmax(-1, false)?;
        let nearest = Vec::<i64>::try_from(&nearest)?;
        Ok(nearest.into_iter().filter(|&caption| self.carries[caption as usize]).count() as u64)
    }
}
