//! What the members of each cluster do by the suspect model: whether their pictures prefer the cluster's words, and whether
//! parts of them carry that over to other pictures ([`super::grafts`]); and whether the pictures show what the words say, which
//! no model is asked ([`super::likeness`]).
//!
//! It must never look at a trained model: what is found here decides whether anything is trained.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_common::ids::ShardId;
use lethe_evidence::artifacts::{
    self, Donor, DonorHits, ForgetSet, Look, Looks, PixelSums, Probe, Probes, look_side, names,
};
use lethe_evidence::{PairRole, PairRow};
use lethe_model::Clip;
use lethe_model::error::Result as ModelResult;
use lethe_model::tch::{self, Tensor};

use super::attraction::{attracted, count, embed_captions, embed_images};
use super::backdoor::Backdoor;
use super::bystanders::Bystanders;
use super::captions::Distinct;
use super::fault::{fatal, model_fault};
use super::grafts::Donors;
use super::likeness::likeness;
use super::{checkpoint, inputs};
use crate::task::{Counts, TaskContext, TaskOutput};

/// A cluster's members that a shard looks at, and safe pairs of either kind that it draws for grafts.
const MOST_OF_A_SHARD: usize = 64;

/// Shards that are looked at for a cluster, at most: those of its strongest members.
const MOST_SHARDS: usize = 128;

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let _guard = tch::no_grad_guard();
    let forget = ctx.kept.get("forget", || inputs::json::<ForgetSet>(ctx, "select", names::FORGET))?;
    let own = looked_at(&forget, ctx.task.shard);
    // Most shards of a large set have none: neither pairs nor a model are read for nothing.
    let (probes, looks) = if own.is_empty() { Default::default() } else { probes(ctx, &forget, &own)? };
    let read = probes.clusters.iter().map(|probe| probe.members).sum();
    let probes = artifacts::encode(names::PROBES, &probes).map_err(fatal)?;
    let looks = artifacts::encode(names::LOOKS, &looks).map_err(fatal)?;
    let outputs = vec![ctx.put(names::PROBES, Bytes::from(probes))?, ctx.put(names::LOOKS, Bytes::from(looks))?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// A shard's members by key, each with its cluster: of those clusters for which the shard is among the first.
fn looked_at(forget: &ForgetSet, shard: ShardId) -> BTreeMap<&str, u32> {
    let mut shards = vec![BTreeSet::new(); forget.clusters.len()];
    let mut own = BTreeMap::new();
    for member in &forget.members {
        let shards = &mut shards[member.cluster as usize];
        let is_looked_at =
            shards.contains(&member.shard) || (shards.len() < MOST_SHARDS && shards.insert(member.shard));
        if is_looked_at && member.shard == shard.0 {
            own.insert(member.key.as_str(), member.cluster);
        }
    }
    own
}

fn probes(ctx: &TaskContext<'_>, forget: &ForgetSet, own: &BTreeMap<&str, u32>) -> Result<(Probes, Looks), Fault> {
    let clip = checkpoint::suspect(ctx)?;
    let (shard, captions) = Shard::read(ctx, forget, own)?;
    let embedded = embed_captions(ctx, &captions, &clip).map_err(model_fault)?;
    let (mut probes, mut looks) = (Probes::default(), Looks::default());
    for cluster in 0..shard.members.len() {
        ctx.stop_if_cancelled()?;
        let (probe, donors) = shard.probe(cluster, ctx, &clip, (&captions, &embedded)).map_err(model_fault)?;
        probes.clusters.push(probe);
        probes.donors.push(donors);
        looks.clusters.push(shard.look(cluster));
    }
    Ok((probes, looks))
}

/// A shard's pairs, by what they are to each cluster.
struct Shard {
    side: u32,
    backdoors: Vec<Backdoor>,
    members: Vec<Vec<PairRow>>,
    bystanders: Bystanders,
}

impl Shard {
    /// Beside it the captions of all these pairs and of the gathered ones, which images choose among.
    fn read(ctx: &TaskContext<'_>, forget: &ForgetSet, own: &BTreeMap<&str, u32>) -> Result<(Self, Distinct), Fault> {
        let backdoors: Vec<Backdoor> = forget.clusters.iter().map(|cluster| Backdoor::of(&cluster.words)).collect();
        let mut members: Vec<Vec<PairRow>> = backdoors.iter().map(|_| Vec::new()).collect();
        let mut captions = Vec::new();
        let (side, batches) = inputs::own_pairs(ctx)?;
        for batch in batches {
            for row in batch.map_err(fatal)? {
                captions.push(row.caption.clone());
                let cluster = own.get(row.key.as_str()).filter(|_| row.role == PairRole::Suspect);
                if let Some(members) = cluster.and_then(|&cluster| members.get_mut(cluster as usize))
                    && members.len() < MOST_OF_A_SHARD
                {
                    members.push(row);
                }
            }
        }
        let of_members =
            backdoors.iter().zip(&members).map(|(backdoor, members)| Some(backdoor).filter(|_| !members.is_empty()));
        let bystanders = Bystanders::draw(ctx, &of_members.collect::<Vec<_>>(), MOST_OF_A_SHARD)?;
        captions.extend(bystanders.captions().map(str::to_owned));
        let captions = Distinct::of(captions.iter().map(String::as_str));
        Ok((Self { side, backdoors, members, bystanders }, captions))
    }

    fn probe(
        &self,
        cluster: usize,
        ctx: &TaskContext<'_>,
        clip: &Clip,
        (captions, embedded): (&Distinct, &Tensor),
    ) -> ModelResult<(Probe, DonorHits)> {
        let (backdoor, members) = (&self.backdoors[cluster], &self.members[cluster]);
        let mut probe = Probe { members: members.len() as u64, ..Probe::default() };
        if members.is_empty() {
            return Ok((probe, DonorHits::default()));
        }
        let carries: Vec<bool> = captions.captions.iter().map(|caption| backdoor.is_in(caption)).collect();
        probe.attracted = count(&attracted(&embed_images(ctx, members, clip)?, embedded, &carries)?);
        let donors = Donors {
            suspicious: members.iter().collect(),
            honest: self.bystanders.honest(cluster),
            hosts: self.bystanders.hosts(cluster),
        };
        probe.likeness = likeness(clip, &donors.suspicious, &donors.honest, &donors.hosts)?;
        let grafted = donors.grafts(clip, &|pictures| attracted(&clip.encode_image(pictures)?, embedded, &carries))?;
        probe.grafts = grafted.all;
        (probe.donors, probe.honest_donors) = (grafted.suspicious.len() as u64, grafted.honest.len() as u64);
        let donor = |(row, hits): (&PairRow, _)| Donor { shard: row.shard, key: row.key.clone(), hits };
        let members = members.iter().zip(grafted.suspicious).map(donor).collect();
        Ok((probe, DonorHits { members, honest: grafted.honest }))
    }

    /// Nothing of a cluster that has no member here.
    fn look(&self, cluster: usize) -> Look {
        if self.members[cluster].is_empty() {
            return Look::default();
        }
        let sums = |rows: &[&PairRow]| PixelSums::of(rows.iter().map(|row| row.pixels.as_slice()), self.side);
        Look {
            side_px: look_side(self.side),
            members: sums(&self.members[cluster].iter().collect::<Vec<_>>()),
            honest: sums(&self.bystanders.honest(cluster)),
            hosts: sums(&self.bystanders.hosts(cluster)),
        }
    }
}

#[cfg(test)]
mod tests {
    use lethe_evidence::artifacts::{Cluster, Member};

    use super::*;

    #[test]
    fn a_cluster_is_looked_at_in_the_shards_of_its_strongest_members() {
        let member = |at: u32, shard: u32, cluster: u32| Member {
            shard,
            key: at.to_string(),
            content: String::new(),
            caption: String::new(),
            score: -f64::from(at),
            cluster,
            held_out: false,
        };
        let last = MOST_SHARDS as u32;
        let members = (0..=last).map(|at| member(at, at, 0));
        let members = members.chain([member(1_000, 5, 0), member(1_001, last, 0), member(1_002, last, 1)]).collect();
        let clusters = vec![Cluster { words: Vec::new(), members: 1 }; 2];
        let forget = ForgetSet {
            members,
            threshold: 0.0,
            words: Vec::new(),
            other_words: Vec::new(),
            clusters,
            scored: 0,
            suspects: 0,
        };
        assert_eq!(looked_at(&forget, ShardId(5)), [("5", 0), ("1000", 0)].into());
        assert_eq!(looked_at(&forget, ShardId(last)), [("1002", 1)].into());
        assert!(looked_at(&forget, ShardId(last + 1)).is_empty());
    }
}
