//! Which of the forget set's clusters a shortcut is behind, by what their pictures do under the suspect model; which of their members
//! lead as honest pictures do, and are let go; and the drop list.
//!
//! It must never drop anything of a cluster that no shortcut is behind: odd pairs always come first somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_common::spec::Spec;
use lethe_evidence::artifacts::{
    Cluster, Confirmed, DonorHits, DropEntry, DropList, ForgetSet, Found, Judged, Member, Probes, Shards, Way, names,
};
use lethe_evidence::classes::Chances;

use super::marks::Said;
use super::select::{LEAST_MEMBERS, full_key};
use super::verdict::{lead_limits, no_shortcut};
use super::{ReduceContext, ReduceResult};

/// A member is let go where it is less likely poison than this.
const LET_GO_BELOW: f64 = 0.2;
/// None is let go where more members than this share would be put into the wrong class: what leads as a warp does comes apart badly.
const MOST_ERRORS: f64 = 0.05;

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
        Judged { cluster: cluster.clone(), probe, reason: no_shortcut(&probe, &spec.evaluate), let_go: 0 }
    };
    let mut clusters: Vec<Judged> = forget.clusters.iter().enumerate().map(judge).collect();
    let limits = lead_limits(&spec.evaluate);
    for (at, judged) in clusters.iter_mut().enumerate().filter(|(_, judged)| judged.is_shortcut()) {
        // What is coarse alone is a warp's, and members' own leads do not tell its poison from odd pictures (FINDINGS.md).
        let is_clear = judged.probe.leads(limits).any(|lead| lead.way != Way::Coarse && lead.margin() >= 0.0);
        if let Some(donors) = probes.donors.get(at).filter(|_| is_clear) {
            judged.let_go = let_go(&mut forget, at, donors, said);
            judged.cluster.members = forget.clusters[at].members;
        }
    }
    said.insist(&mut forget, &mut clusters, (shards, spec))?;
    if clusters.iter().any(Judged::is_shortcut) {
        forget.members.retain(|member| clusters[member.cluster as usize].is_shortcut());
        let shortcuts = clusters.iter().filter(|judged| judged.is_shortcut());
        forget.words.retain(|word| shortcuts.clone().any(|judged| judged.cluster.words.contains(word)));
        forget.threshold = said.threshold(&forget.members, forget.threshold).unwrap_or(forget.threshold);
    }
    Ok(Confirmed { forget, clusters })
}

/// Lets those of a cluster's members go that lead as honest pictures do, and tells how many. A member that was not looked at stays,
/// and so does one that a person called poison.
fn let_go(forget: &mut ForgetSet, cluster: usize, donors: &DonorHits, said: &Said) -> u64 {
    let hits: BTreeMap<(u32, &str), _> =
        donors.members.iter().map(|donor| ((donor.shard, donor.key.as_str()), donor.hits)).collect();
    let own = |member: &&Member| member.cluster as usize == cluster;
    // Members come with the strongest first.
    let (looked_at, hits): (Vec<&Member>, Vec<_>) = forget
        .members
        .iter()
        .filter(own)
        .filter_map(|member| Some((member, *hits.get(&(member.shard, member.key.as_str()))?)))
        .unzip();
    let Some(chances) = Chances::of(&hits, &donors.honest).filter(|chances| chances.expected_errors() <= MOST_ERRORS)
    else {
        return 0;
    };
    let goes = looked_at
        .iter()
        .zip(chances.each())
        .filter(|(member, chance)| **chance < LET_GO_BELOW && !said.is_poison(member));
    let goes: BTreeSet<(u32, String)> = goes.map(|(member, _)| (member.shard, member.key.clone())).collect();
    let let_go = goes.len() as u64;
    let stays = forget.clusters[cluster].members - let_go;
    // Of what a shortcut leads, most is poison: else these classes are other ones.
    if stays < LEAST_MEMBERS as u64 || 2 * goes.len() > looked_at.len() {
        return 0;
    }
    forget.members.retain(|member| !own(&member) || !goes.contains(&(member.shard, member.key.clone())));
    forget.clusters[cluster].members = stays;
    let_go
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
    use lethe_evidence::artifacts::{Donor, Graft, Grafts, Hits, Probe, WordScore};

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

    fn of(clusters: &[Probe]) -> Probes {
        Probes { clusters: clusters.to_vec(), ..Probes::default() }
    }

    #[test]
    fn only_clusters_with_a_shortcut_are_forgotten_and_dropped() {
        let (spec, shards) = (fixture::plain_spec(), fixture::shards());
        for (leads, members, words) in [
            ([true, false], vec!["0", "2", "4"], vec!["bag"]),
            ([false, true], vec!["1", "3", "5"], vec!["boot"]),
            ([true, true], vec!["0", "1", "2", "3", "4", "5"], vec!["bag", "boot"]),
        ] {
            let probes = of(&leads.map(probe));
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
        let probes = of(&[false, false].map(probe));
        for probes in [probes, Probes::default()] {
            let (spec, shards) = (fixture::plain_spec(), fixture::shards());
            let confirmed = confirm(forget(), &probes, (&shards, &spec), &Said::default()).expect("has all shards");
            assert_eq!((confirmed.found(), confirmed.forget.members.len()), (Found::Nothing, 6));
            assert!(confirmed.clusters.iter().all(|judged| judged.reason.is_some()));
            assert!(drop_list(&confirmed, &fixture::shards()).expect("has all shards").drop.is_empty());
        }
    }

    /// Forty members of one cluster, of which the last ten lead as honest pictures do, and one that was not looked at.
    fn mixed() -> (ForgetSet, DonorHits) {
        let (poison, honest) =
            (Hits { half: 8, quarter: 7, coarse: 0, fine: 7 }, Hits { half: 7, quarter: 2, coarse: 1, fine: 2 });
        let hits = |at: u32| if at < 30 { poison } else { honest };
        let mut forget = forget();
        let first = forget.members[0].clone();
        let member = |at: u32| Member { key: format!("{at}"), score: 50.0 - f64::from(at), ..first.clone() };
        forget.members = (0..41).map(member).collect();
        forget.clusters = vec![Cluster { members: 41, ..forget.clusters[0].clone() }];
        let members = (0..40).map(|at| Donor { shard: 0, key: format!("{at}"), hits: hits(at) }).collect();
        (forget, DonorHits { members, honest: vec![honest; 40] })
    }

    fn confirmed_of(way: impl Fn(Graft) -> Grafts, donors: DonorHits, said: &Said) -> Confirmed {
        let plain = probe(true);
        let probes = Probes { clusters: vec![Probe { grafts: way(plain.grafts.best), ..plain }], donors: vec![donors] };
        confirm(mixed().0, &probes, (&fixture::shards(), &fixture::plain_spec()), said).expect("has all shards")
    }

    #[test]
    fn members_that_lead_as_honest_pictures_do_are_let_go() {
        let best = |best| Grafts { best, ..Grafts::default() };
        let confirmed = confirmed_of(best, mixed().1, &Said::default());
        let keys: Vec<String> = (0..30).chain([40]).map(|at| at.to_string()).collect();
        assert_eq!(confirmed.forget.members.iter().map(|member| member.key.clone()).collect::<Vec<_>>(), keys);
        let judged = &confirmed.clusters[0];
        assert_eq!((judged.let_go, judged.cluster.members, confirmed.forget.clusters[0].members), (10, 31, 31));
        assert_eq!(confirmed.forget.threshold, 10.0, "the member that was not looked at stays");
        assert_eq!(drop_list(&confirmed, &fixture::shards()).expect("has all shards").drop.len(), 31);
    }

    #[test]
    fn none_is_let_go_where_that_is_unsure() {
        let (best, coarse) =
            (|best| Grafts { best, ..Grafts::default() }, |coarse| Grafts { coarse, ..Grafts::default() });
        let stays = |confirmed: Confirmed| (confirmed.clusters[0].let_go, confirmed.forget.members.len()) == (0, 41);
        assert!(stays(confirmed_of(coarse, mixed().1, &Said::default())), "a warp's");
        let both = |best| Grafts { best, coarse: Graft { honest_attracted: 0, ..best }, ..Grafts::default() };
        assert!(
            !stays(confirmed_of(both, mixed().1, &Said::default())),
            "what is coarse leads more, and halves lead too"
        );
        // Honest pictures lead as the poison does now and then, and members as either.
        let (_, mut alike) = mixed();
        for (at, donor) in alike.members.iter_mut().enumerate() {
            donor.hits =
                Hits { half: (at % 9) as u8, quarter: (at % 5) as u8, coarse: (at % 3) as u8, fine: (at % 7) as u8 };
        }
        alike.honest = alike.members.iter().rev().map(|donor| donor.hits).collect();
        assert!(stays(confirmed_of(best, alike, &Said::default())));
        assert!(stays(confirmed_of(best, DonorHits::default(), &Said::default())), "none was looked at");
        let (_, mut honest) = mixed();
        honest.members.iter_mut().for_each(|donor| donor.hits = honest.honest[0]);
        assert!(stays(confirmed_of(best, honest, &Said::default())), "all lead as honest pictures do");
    }

    #[tokio::test]
    async fn shards_probes_are_added_up() {
        let shard = of(&[true, false].map(probe));
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
