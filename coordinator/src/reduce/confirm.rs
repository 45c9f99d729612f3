//! Which of the forget set's clusters a shortcut is behind, by what their pictures do under the suspect model; and the drop list.
//!
//! It must never drop anything of a cluster that no shortcut is behind: odd pairs always come first somewhere.

use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::artifacts::{
    Cluster, Confirmed, DropEntry, DropList, ForgetSet, Found, Judged, Member, Probes, Shards, names,
};

use super::marks::Said;
use super::select::full_key;
use super::verdict::no_shortcut;
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
    Ok(ReduceResult { outputs, outline: None })
}

fn confirm(
    mut forget: ForgetSet,
    probes: &Probes,
    (shards, spec): (&Shards, &Spec),
    said: &Said,
) -> Result<Confirmed, Fault> {
    let judge = |(at, cluster): (usize, &Cluster)| {
        let probe = probes.clusters.get(at).copied().unwrap_or_default();
        Judged { cluster: cluster.clone(), probe, reason: no_shortcut(&probe, &spec.evaluate) }
    };
    let mut clusters: Vec<Judged> = forget.clusters.iter().enumerate().map(judge).collect();
    said.insist(&mut forget, &mut clusters, (shards, spec))?;
    if clusters.iter().any(Judged::is_shortcut) {
        forget.members.retain(|member| clusters[member.cluster as usize].is_shortcut());
        let shortcuts = clusters.iter().filter(|judged| judged.is_shortcut());
        forget.words.retain(|word| shortcuts.clone().any(|judged| judged.cluster.words.contains(word)));
        forget.threshold = said.threshold(&forget.members, forget.threshold).unwrap_or(forget.threshold);
    }
    Ok(Confirmed { forget, clusters })
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
mod tests {
    use lethe_evidence::artifacts::{Graft, Grafts, Probe, WordScore};

    use super::super::fixture;
    use super::*;

    fn forget() -> ForgetSet {
        let word = |word: &str| WordScore { word: word.to_owned(), z: 9.0 };
        let cluster = |name: &str, members| Cluster { words: vec![word(name)], members };
        let member = |at: u32| Member {
            shard: 0,
            key: format!("{at}"),
            content: format!("content {at}"),
            caption: String::new(),
            score: 10.0 - f64::from(at),
            cluster: at % 2,
            held_out: false,
        };
        ForgetSet {
            members: (0..6).map(member).collect(),
            threshold: 5.0,
            words: vec![word("bag"), word("boot")],
            other_words: Vec::new(),
            clusters: vec![cluster("bag", 3), cluster("boot", 3)],
            scored: 100,
            suspects: 10,
        }
    }

    /// Half of its pictures' parts lead others, and one in ten of the honest ones'; or as many of either.
    fn probe(leads: bool) -> Probe {
        let suspicious_attracted = if leads { 50 } else { 10 };
        let best = Graft { suspicious: 100, suspicious_attracted, honest: 100, honest_attracted: 10 };
        Probe {
            members: 30,
            attracted: 30,
            donors: 25,
            honest_donors: 25,
            grafts: Grafts { best, ..Grafts::default() },
            ..Probe::default()
        }
    }

    #[test]
    fn only_clusters_with_a_shortcut_are_forgotten_and_dropped() {
        let (spec, shards) = (fixture::plain_spec(), fixture::shards());
        for (leads, members, words) in [
            ([true, false], vec!["0", "2", "4"], vec!["bag"]),
            ([false, true], vec!["1", "3", "5"], vec!["boot"]),
            ([true, true], vec!["0", "1", "2", "3", "4", "5"], vec!["bag", "boot"]),
        ] {
            let probes = Probes { clusters: leads.map(probe).to_vec() };
            let confirmed = confirm(forget(), &probes, (&shards, &spec), &Said::default()).expect("has all shards");
            assert_eq!(confirmed.found(), Found::Shortcut);
            assert_eq!(confirmed.forget.members.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), members);
            assert_eq!(confirmed.forget.words.iter().map(|w| w.word.as_str()).collect::<Vec<_>>(), words);
            assert_eq!(confirmed.clusters.iter().map(Judged::is_shortcut).collect::<Vec<_>>(), leads);
            assert_eq!(confirmed.forget.threshold, confirmed.forget.members.last().expect("has some").score);
            let dropped = drop_list(&confirmed, &shards).expect("has all shards").drop;
            let keys: Vec<String> = members.iter().map(|key| format!("00000.tar/{key}")).collect();
            assert_eq!(dropped.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>(), keys);
        }
    }

    #[test]
    fn where_no_cluster_has_one_nothing_is_dropped_and_all_are_shown() {
        let probes = Probes { clusters: [false, false].map(probe).to_vec() };
        for probes in [probes, Probes::default()] {
            let (spec, shards) = (fixture::plain_spec(), fixture::shards());
            let confirmed = confirm(forget(), &probes, (&shards, &spec), &Said::default()).expect("has all shards");
            assert_eq!((confirmed.found(), confirmed.forget.members.len()), (Found::Nothing, 6));
            assert!(confirmed.clusters.iter().all(|judged| judged.reason.is_some()));
            assert!(drop_list(&confirmed, &fixture::shards()).expect("has all shards").drop.is_empty());
        }
    }

    #[tokio::test]
    async fn shards_probes_are_added_up() {
        let shard = Probes { clusters: [true, false].map(probe).to_vec() };
        let blobs = [
            (0, names::SHARDS, fixture::json(&fixture::shards())),
            (0, names::FORGET, fixture::json(&forget())),
            (0, names::PROBES, fixture::json(&shard)),
            (1, names::PROBES, fixture::json(&Probes::default())),
            (2, names::PROBES, fixture::json(&shard)),
        ];
        let (ctx, _folder) = fixture::with_blobs("[]", &blobs).await;
        let outputs = run(&ctx).await.expect("confirms").outputs;
        let bytes = ctx.blobs.get(&outputs[0].blob).await.expect("reads");
        let confirmed: Confirmed = serde_json::from_slice(&bytes).expect("is one");
        assert_eq!(confirmed.clusters.iter().map(|judged| judged.probe.members).collect::<Vec<_>>(), [60, 60]);
        assert!(confirmed.clusters[0].is_shortcut());
    }
}
