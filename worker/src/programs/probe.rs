//! What the members of each cluster do by the suspect model: whether their pictures prefer the cluster's words, and whether
//! parts of them carry that over to other pictures ([`super::grafts`]); and whether the pictures show what the words say, which
//! no model is asked ([`super::likeness`]).
//!
//! It must never look at a trained model: what is found here decides whether anything is trained.

use std::collections::BTreeMap;
use std::iter::repeat;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{
    self, Donor, DonorHits, ForgetSet, Hits, Look, Looks, MOST_OF_A_SHARD, PixelSums, Probe, Probes, look_side, names,
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

pub fn run(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let _guard = tch::no_grad_guard();
    let wanted = ctx.kept.get("wanted", || Wanted::read(ctx))?;
    // Most shards of a large set have none: neither pairs nor a model are read for nothing.
    let own = wanted.suspects.get(&ctx.task.shard.0);
    let (probes, looks) = own.map_or_else(|| Ok(Default::default()), |own| probes(ctx, &wanted.backdoors, own))?;
    let candidates = probes.donors.iter().map(|donors| donors.candidates.len() as u64);
    let read = probes.clusters.iter().map(|probe| probe.members).chain(candidates).sum();
    let probes = artifacts::encode(names::PROBES, &probes).map_err(fatal)?;
    let looks = artifacts::encode(names::LOOKS, &looks).map_err(fatal)?;
    let outputs = vec![ctx.put(names::PROBES, Bytes::from(probes))?, ctx.put(names::LOOKS, Bytes::from(looks))?];
    Ok(TaskOutput { outputs, counts: Counts::all(read), waited_ms: 0 })
}

/// What a suspect is to the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    cluster: usize,
    is_member: bool,
}

/// A shard's suspects whose pictures are looked at, by key and content.
type Own = BTreeMap<(String, String), Place>;

/// What all shards' tasks need of the forget set, of which a large set's has a million members.
struct Wanted {
    /// Each cluster's.
    backdoors: Vec<Backdoor>,
    /// By shard.
    suspects: BTreeMap<u32, Own>,
}

impl Wanted {
    fn read(ctx: &TaskContext<'_>) -> Result<Self, Fault> {
        Ok(Self::of(&inputs::json::<ForgetSet>(ctx, "select", names::FORGET)?))
    }

    fn of(forget: &ForgetSet) -> Self {
        let (members, candidates) = forget.looked_at();
        let all = members.into_iter().zip(repeat(true)).chain(candidates.into_iter().zip(repeat(false)));
        let mut suspects: BTreeMap<u32, Own> = BTreeMap::new();
        for (one, is_member) in all {
            let own = suspects.entry(one.shard).or_default();
            own.insert((one.key.clone(), one.content.clone()), Place { cluster: one.cluster as usize, is_member });
        }
        Self { backdoors: forget.clusters.iter().map(|cluster| Backdoor::of(&cluster.words)).collect(), suspects }
    }
}

fn probes(ctx: &TaskContext<'_>, backdoors: &[Backdoor], own: &Own) -> Result<(Probes, Looks), Fault> {
    let clip = checkpoint::suspect(ctx)?;
    let (shard, captions) = Shard::read(ctx, backdoors, own)?;
    let embedded = embed_captions(ctx, &captions, &clip).map_err(model_fault)?;
    let (mut probes, mut looks) = (Probes::default(), Looks::default());
    for cluster in 0..shard.suspects.len() {
        ctx.stop_if_cancelled()?;
        let (probe, donors) = shard.probe(cluster, ctx, &clip, (&captions, &embedded)).map_err(model_fault)?;
        probes.clusters.push(probe);
        probes.donors.push(donors);
        looks.clusters.push(shard.look(cluster));
    }
    Ok((probes, looks))
}

/// A shard's pairs, by what they are to each cluster.
struct Shard<'a> {
    side: u32,
    backdoors: &'a [Backdoor],
    suspects: Vec<Suspects>,
    bystanders: Bystanders,
}

/// Those of one cluster.
#[derive(Default)]
struct Suspects {
    members: Vec<PairRow>,
    candidates: Vec<PairRow>,
}

impl Suspects {
    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.candidates.is_empty()
    }
}

impl<'a> Shard<'a> {
    /// Beside it the captions of all these pairs and of the gathered ones, which images choose among.
    fn read(ctx: &TaskContext<'_>, backdoors: &'a [Backdoor], own: &Own) -> Result<(Self, Distinct), Fault> {
        let mut suspects: Vec<Suspects> = backdoors.iter().map(|_| Suspects::default()).collect();
        let mut captions = Vec::new();
        let (side, batches) = inputs::own_pairs(ctx)?;
        for batch in batches {
            for row in batch.map_err(fatal)? {
                captions.push(row.caption.clone());
                let place = own.get(&(row.key.clone(), row.content.clone()));
                if let Some(&Place { cluster, is_member }) = place.filter(|_| row.role == PairRole::Suspect) {
                    let Suspects { members, candidates } = &mut suspects[cluster];
                    if is_member { members.push(row) } else { candidates.push(row) }
                }
            }
        }
        let of_suspects = backdoors.iter().zip(&suspects);
        let of_suspects = of_suspects.map(|(backdoor, suspects)| Some(backdoor).filter(|_| !suspects.is_empty()));
        let bystanders = Bystanders::draw(ctx, &of_suspects.collect::<Vec<_>>(), MOST_OF_A_SHARD)?;
        captions.extend(bystanders.captions().map(str::to_owned));
        let captions = Distinct::of(captions.iter().map(String::as_str));
        Ok((Self { side, backdoors, suspects, bystanders }, captions))
    }

    fn probe(
        &self,
        cluster: usize,
        ctx: &TaskContext<'_>,
        clip: &Clip,
        (captions, embedded): (&Distinct, &Tensor),
    ) -> ModelResult<(Probe, DonorHits)> {
        let (backdoor, suspects) = (&self.backdoors[cluster], &self.suspects[cluster]);
        if suspects.is_empty() {
            return Ok(Default::default());
        }
        let carries: Vec<bool> = captions.captions.iter().map(|caption| backdoor.is_in(caption)).collect();
        let Suspects { members, candidates } = suspects;
        let donors = Donors {
            suspicious: members.iter().collect(),
            candidates: candidates.iter().collect(),
            honest: self.bystanders.honest(cluster),
            hosts: self.bystanders.hosts(cluster),
        };
        let grafted = donors.grafts(clip, &|pictures| attracted(&clip.encode_image(pictures)?, embedded, &carries))?;
        let mut probe = Probe::default();
        if !members.is_empty() {
            probe = Probe {
                members: members.len() as u64,
                attracted: count(&attracted(&embed_images(ctx, members, clip)?, embedded, &carries)?),
                donors: grafted.suspicious.len() as u64,
                honest_donors: grafted.honest.len() as u64,
                grafts: grafted.all,
                likeness: likeness(clip, &donors.suspicious, &donors.honest, &donors.hosts)?,
            };
        }
        let (members, candidates) = (each(members, grafted.suspicious), each(candidates, grafted.candidates));
        Ok((probe, DonorHits { members, candidates, honest: grafted.honest }))
    }

    /// Nothing of a cluster that has no member here.
    fn look(&self, cluster: usize) -> Look {
        let Suspects { members, .. } = &self.suspects[cluster];
        if members.is_empty() {
            return Look::default();
        }
        let sums = |rows: &[&PairRow]| PixelSums::of(rows.iter().map(|row| row.pixels.as_slice()), self.side);
        Look {
            side_px: look_side(self.side),
            members: sums(&members.iter().collect::<Vec<_>>()),
            honest: sums(&self.bystanders.honest(cluster)),
            hosts: sums(&self.bystanders.hosts(cluster)),
        }
    }
}

/// Nothing where none was put on others.
fn each(rows: &[PairRow], hits: Vec<Hits>) -> Vec<Donor> {
    rows.iter().zip(hits).map(|(row, hits)| Donor { shard: row.shard, key: row.key.clone(), hits }).collect()
}
