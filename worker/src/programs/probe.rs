//! What the members of each cluster do by the suspect model: whether their pictures prefer the cluster's words, and whether
//! parts of them carry that over to other pictures ([`super::grafts`]).
//!
//! It must never look at a trained model: what is found here decides whether anything is trained.

use std::collections::BTreeMap;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{self, ForgetSet, Probe, Probes, names};
use lethe_evidence::{PairRole, PairRow};
use lethe_model::Clip;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};

use super::attraction::{attracted, embed_captions, embed_images};
use super::backdoor::Backdoor;
use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::grafts::Donors;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// A cluster's members that a shard looks at, and safe pairs of either kind that it keeps for grafts.
const MOST_OF_A_SHARD: usize = 64;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let _guard = tch::no_grad_guard();
    let forget = ctx.kept.get("forget", || inputs::json::<ForgetSet>(ctx, "select", names::FORGET))?;
    let own = forget.members.iter().filter(|member| member.shard == ctx.task.shard.0).count();
    // Most shards of a large set have none: neither pairs nor a model are read for nothing.
    let probes = if own == 0 { Probes::default() } else { probes(ctx, &forget)? };
    let read = probes.clusters.iter().map(|probe| probe.members).sum();
    let bytes = artifacts::encode(names::PROBES, &probes).map_err(fatal)?;
    let outputs = vec![ctx.put(names::PROBES, Bytes::from(bytes))?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

fn probes(ctx: &TaskContext<'_>, forget: &ForgetSet) -> Result<Probes, Fault> {
    let clip = checkpoint::suspect(ctx)?;
    let (shard, captions) = Shard::read(ctx, forget)?;
    let embedded = embed_captions(ctx, &captions, &clip).map_err(model_fault)?;
    let mut clusters = Vec::new();
    for subjects in &shard.clusters {
        ctx.stop_if_cancelled()?;
        clusters.push(subjects.probe(ctx, &clip, (&captions, &embedded)).map_err(model_fault)?);
    }
    Ok(Probes { clusters })
}

/// A shard's gathered pairs, by what they are to each cluster.
struct Shard {
    clusters: Vec<Subjects>,
}

struct Subjects {
    backdoor: Backdoor,
    members: Vec<PairRow>,
    /// Safe pairs with a word of the cluster, and without.
    honest: Vec<PairRow>,
    hosts: Vec<PairRow>,
}

impl Shard {
    /// Beside it the captions of all the shard's gathered pairs, which images choose among.
    fn read(ctx: &TaskContext<'_>, forget: &ForgetSet) -> Result<(Self, Distinct), Fault> {
        let mut clusters: Vec<Subjects> = forget.clusters.iter().map(|cluster| Subjects::of(&cluster.words)).collect();
        let own = forget.members.iter().filter(|member| member.shard == ctx.task.shard.0);
        let own: BTreeMap<&str, u32> = own.map(|member| (member.key.as_str(), member.cluster)).collect();
        let mut captions = Vec::new();
        for batch in inputs::own_pairs(ctx)?.1 {
            for row in batch.map_err(fatal)? {
                captions.push(row.caption.clone());
                match row.role {
                    PairRole::Suspect => {
                        let cluster = own.get(row.key.as_str()).copied();
                        if let Some(subjects) = cluster.and_then(|cluster| clusters.get_mut(cluster as usize))
                            && subjects.members.len() < MOST_OF_A_SHARD
                        {
                            subjects.members.push(row);
                        }
                    }
                    PairRole::Safe => clusters.iter_mut().for_each(|subjects| subjects.meet(&row)),
                }
            }
        }
        Ok((Self { clusters }, Distinct::of(captions.iter().map(String::as_str))))
    }
}

impl Subjects {
    fn of(words: &[artifacts::WordScore]) -> Self {
        Self { backdoor: Backdoor::of(words), members: Vec::new(), honest: Vec::new(), hosts: Vec::new() }
    }

    /// A safe pair, which is kept while more are of use.
    fn meet(&mut self, row: &PairRow) {
        let kept = if self.backdoor.is_in(&row.caption) { &mut self.honest } else { &mut self.hosts };
        if kept.len() < MOST_OF_A_SHARD {
            kept.push(row.clone());
        }
    }

    fn probe(
        &self,
        ctx: &TaskContext<'_>,
        clip: &Clip,
        (captions, embedded): (&Distinct, &Tensor),
    ) -> ModelResult<Probe> {
        let mut probe = Probe { members: self.members.len() as u64, ..Probe::default() };
        if self.members.is_empty() {
            return Ok(probe);
        }
        let carries: Vec<bool> = captions.captions.iter().map(|caption| self.backdoor.is_in(caption)).collect();
        probe.attracted = attracted(&embed_images(ctx, &self.members, clip)?, embedded, &carries)?;
        let donors = Donors {
            suspicious: self.members.iter().collect(),
            honest: self.honest.iter().collect(),
            hosts: self.hosts.iter().collect(),
        };
        (probe.donors, probe.honest_donors) = donors.counts();
        probe.grafts = donors.grafts(clip, &|pictures| attracted(&clip.encode_image(pictures)?, embedded, &carries))?;
        Ok(probe)
    }
}
