//! Which of the forget set's clusters a shortcut is behind, by what their pictures do under the suspect model; who belongs to these
//! ([`super::regroup`]); and the drop list.
//!
//! It must never drop anything of a cluster that no shortcut is behind: odd pairs always come first somewhere.

use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::artifacts::{
    Beside, Cluster, Confirmed, DropEntry, DropList, ForgetSet, Found, Judged, Member, Probes, Shards, Way, names,
};

use super::marks::Said;
use super::regroup::Moves;
use super::select::{full_key, hold_out, most_forgotten, strongest_first};
use super::verdict::{lead_limits, no_shortcut};
use super::{ReduceContext, ReduceResult};

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let shards: Shards = ctx.only_json(names::SHARDS).await?;
    let forget: ForgetSet = ctx.only_json(names::FORGET).await?;
    let mut probes = Probes::default();
    let mut all = pin!(ctx.each(names::PROBES, |input| ctx.json(names::PROBES, input)));
    while let Some((_, shard)) = all.try_next().await? {
        probes = probes.plus(&shard);
    }
    let said = Said::handed_on(ctx).await?;
    let confirmed = confirm(forget, &probes, (&shards, &ctx.spec), &said)?;
    let drop = drop_list(&confirmed, &shards)?;
    let outputs = vec![ctx.write_json(names::CONFIRMED, &confirmed).await?, ctx.write_json(names::DROP, &drop).await?];
    Ok(ReduceResult::of(outputs))
}

fn confirm(
    mut forget: ForgetSet,
    probes: &Probes,
    (shards, spec): (&Shards, &Spec),
    said: &Said,
) -> Result<Confirmed, Fault> {
    let judge = |(at, cluster): (usize, &Cluster)| {
        let probe = probes.clusters.get(at).copied().unwrap_or_default();
        Judged {
            cluster: cluster.clone(),
            probe,
            reason: no_shortcut(&probe, &spec.evaluate),
            let_go: 0,
            beside: Beside::default(),
        }
    };
    let mut clusters: Vec<Judged> = forget.clusters.iter().enumerate().map(judge).collect();
    let mut moves: Vec<Moves> = clusters.iter().map(|_| Moves::default()).collect();
    for (at, judged) in clusters.iter_mut().enumerate() {
        let donors = probes.donors.get(at);
        judged.beside.suspects = forget.candidates.iter().filter(|one| one.cluster as usize == at).count() as u64;
        judged.beside.looked_at = donors.map_or(0, |donors| donors.candidates.len() as u64);
        if let Some(donors) = donors.filter(|_| judged.is_shortcut() && is_clear(judged, spec)) {
            moves[at] = Moves::of(&forget, at, donors, said);
            judged.let_go = moves[at].let_go(&mut forget, at);
            judged.cluster.members -= judged.let_go;
        }
    }
    said.insist(&mut forget, &mut clusters);
    if clusters.iter().any(Judged::is_shortcut) {
        forget.members.retain(|member| clusters[member.cluster as usize].is_shortcut());
        let shortcuts = clusters.iter().filter(|judged| judged.is_shortcut());
        forget.words.retain(|word| shortcuts.clone().any(|judged| judged.cluster.words.contains(word)));
        forget.threshold = said.threshold(&forget.members, forget.threshold).unwrap_or(forget.threshold);
    }
    let most = most_forgotten(forget.scored, spec);
    take_in(&mut forget, &mut clusters, &moves, most);
    hold_out(&mut forget.members, shards, spec)?;
    Ok(Confirmed { forget, clusters })
}

/// Takes the strongest in that come, for so many members of all clusters; of the candidates those are left that are forgotten
/// with them, as far as there is room.
fn take_in(forget: &mut ForgetSet, clusters: &mut [Judged], moves: &[Moves], most: usize) {
    let of = |one: &Member| moves.get(one.cluster as usize);
    let candidates = std::mem::take(&mut forget.candidates);
    let (come, others): (Vec<Member>, Vec<Member>) =
        candidates.into_iter().partition(|one| of(one).is_some_and(|moves| moves.takes_in(one)));
    for one in come.into_iter().take(most.saturating_sub(forget.members.len())) {
        let at = one.cluster as usize;
        let (judged, cluster) = (&mut clusters[at], &mut forget.clusters[at]);
        moves[at].count_in(&mut judged.beside);
        judged.cluster.members += 1;
        cluster.members += 1;
        forget.members.push(one);
    }
    let doubtful = others.into_iter().filter(|one| of(one).is_some_and(|moves| moves.doubts(one)));
    forget.candidates = doubtful.take(most.saturating_sub(forget.members.len())).collect();
    forget.candidates.iter().for_each(|one| clusters[one.cluster as usize].beside.doubtful += 1);
    strongest_first(&mut forget.members);
}

/// Whether members' own leads tell the cluster's poison from odd pictures. What is coarse alone is a warp's, whose do not (FINDINGS.md).
fn is_clear(judged: &Judged, spec: &Spec) -> bool {
    judged.probe.leads(lead_limits(&spec.evaluate)).any(|lead| lead.way != Way::Coarse && lead.margin() >= 0.0)
}

/// Nothing, where nothing was found.
fn drop_list(confirmed: &Confirmed, shards: &Shards) -> Result<DropList, Fault> {
    let entry = |member: &Member| {
        Ok(DropEntry { key: full_key(shards, member)?, content: member.content.clone(), score: member.score })
    };
    let members = match confirmed.found() {
        Found::Shortcut => confirmed.forget.members.as_slice(),
        Found::Nothing => &[],
    };
    Ok(DropList { drop: members.iter().map(entry).collect::<Result<_, Fault>>()? })
}

#[cfg(test)]
#[path = "confirm_tests.rs"]
mod tests;
