use lethe_evidence::artifacts::{Donor, DonorHits, Graft, Grafts, Hits, Probe, WordScore};

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
        candidates: Vec::new(),
        surely: Vec::new(),
        probably: Vec::new(),
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

/// Forty members of one cluster, of which the last ten lead as honest pictures do, and one that was not looked at; and twenty
/// candidates, of which every fourth leads as poison does, and one that was not looked at.
fn mixed() -> (ForgetSet, DonorHits) {
    let (poison, honest) =
        (Hits { half: 8, quarter: 7, coarse: 0, fine: 7 }, Hits { half: 7, quarter: 2, coarse: 1, fine: 2 });
    let hits = |at: u32| if at < 30 || (at > 40 && at.is_multiple_of(4)) { poison } else { honest };
    let mut forget = forget();
    let first = forget.members[0].clone();
    let member = |at: u32| Member {
        key: format!("{at}"),
        content: format!("content {at}"),
        score: 50.0 - f64::from(at),
        ..first.clone()
    };
    forget.members = (0..41).map(member).collect();
    forget.candidates = (41..62).map(member).collect();
    forget.clusters = vec![Cluster { members: 41, ..forget.clusters[0].clone() }];
    forget.scored = 10_000;
    let donor = |at: u32| Donor { shard: 0, key: format!("{at}"), hits: hits(at) };
    let (members, candidates) = ((0..40).map(donor).collect(), (41..61).map(donor).collect());
    (forget, DonorHits { members, candidates, honest: vec![honest; 40] })
}

fn confirmed_of(way: impl Fn(Graft) -> Grafts, donors: DonorHits, spec: &Spec) -> Confirmed {
    confirmed(mixed().0, way, donors, spec)
}

fn confirmed(forget: ForgetSet, way: impl Fn(Graft) -> Grafts, donors: DonorHits, spec: &Spec) -> Confirmed {
    let plain = probe(true);
    let probes = Probes { clusters: vec![Probe { grafts: way(plain.grafts.best), ..plain }], donors: vec![donors] };
    confirm(forget, &probes, (&fixture::shards(), spec), &Said::default()).expect("has all shards")
}

/// Honest pictures lead as the poison does now and then, and members as either.
fn alike() -> DonorHits {
    let (_, mut alike) = mixed();
    for (at, donor) in alike.members.iter_mut().enumerate() {
        donor.hits =
            Hits { half: (at % 9) as u8, quarter: (at % 5) as u8, coarse: (at % 3) as u8, fine: (at % 7) as u8 };
    }
    alike.honest = alike.members.iter().rev().map(|donor| donor.hits).collect();
    alike
}

fn keys(confirmed: &Confirmed) -> Vec<u32> {
    confirmed.forget.members.iter().map(|member| member.key.parse().expect("is a number")).collect()
}

fn best(best: Graft) -> Grafts {
    Grafts { best, ..Grafts::default() }
}

#[test]
fn members_go_that_lead_as_honest_pictures_do_and_candidates_come_that_lead_as_poison_does() {
    let confirmed = confirmed_of(best, mixed().1, &fixture::plain_spec());
    // Of those that were not looked at the member stays, and the candidate stays away.
    let expected: Vec<u32> = (0..30).chain([40]).chain((44..61).step_by(4)).collect();
    assert_eq!(keys(&confirmed), expected);
    let judged = &confirmed.clusters[0];
    assert_eq!(
        (judged.let_go, judged.beside),
        (10, Beside { suspects: 21, looked_at: 20, taken_in: 5, ..Beside::default() })
    );
    assert_eq!((judged.cluster.members, confirmed.forget.clusters[0].members), (36, 36));
    assert_eq!(confirmed.forget.held_out().count(), 12, "a third of those that are left is held out");
    assert_eq!(confirmed.forget.threshold, 10.0, "where those end that needed no second look");
    assert!(confirmed.forget.candidates.is_empty());
    assert_eq!(drop_list(&confirmed, &fixture::shards()).expect("has all shards").drop.len(), 36);
}

#[test]
fn no_more_come_than_may_be_forgotten() {
    let mut spec = fixture::plain_spec();
    spec.select.max_share = 0.0033;
    let confirmed = confirmed_of(best, mixed().1, &spec);
    assert_eq!(keys(&confirmed)[30..], [40, 44, 48], "the strongest");
    assert_eq!((confirmed.clusters[0].beside.taken_in, confirmed.clusters[0].cluster.members), (2, 33));
}

/// Three surely lead as poison does, but twelve lead by halves as poison and by halves as honest pictures.
#[test]
fn none_comes_where_candidates_do_not_come_apart() {
    let (_, mut unsure) = mixed();
    let [poison, honest] = [unsure.members[0].hits, unsure.honest[0]];
    let between = Hits { coarse: honest.coarse, fine: honest.fine, ..poison };
    let hits = |at: usize| match at {
        0..3 => poison,
        3..15 => between,
        _ => honest,
    };
    unsure.candidates.iter_mut().enumerate().for_each(|(at, donor)| donor.hits = hits(at));
    let taken_in = |donors| confirmed_of(best, donors, &fixture::plain_spec()).clusters[0].beside.taken_in;
    assert_eq!(taken_in(unsure.clone()), 0);
    unsure.candidates.iter_mut().filter(|donor| donor.hits == between).for_each(|donor| donor.hits = honest);
    assert_eq!(taken_in(unsure), 3, "without those in between");
}

#[test]
fn whom_a_person_called_poison_stays() {
    let (forget, donors) = mixed();
    let probes = Probes { clusters: vec![probe(true)], donors: vec![donors] };
    let said = Said::poison_is(&forget.members[35]);
    let confirmed = confirm(forget, &probes, (&fixture::shards(), &fixture::plain_spec()), &said);
    let confirmed = confirmed.expect("has all shards");
    assert_eq!((confirmed.clusters[0].let_go, keys(&confirmed)[30]), (9, 35));
}

/// Of two clusters with a candidate each and room for one.
#[test]
fn the_strongest_come_first_whosever_they_are() {
    let (mut forget, _) = mixed();
    let candidate = |at: usize, cluster| Member { cluster, ..forget.candidates[at].clone() };
    forget.candidates = vec![candidate(0, 1), candidate(1, 0)];
    forget.clusters.push(Cluster { members: 0, ..forget.clusters[0].clone() });
    let names = forget.candidates.iter().map(|one| (one.shard, one.key.clone())).collect();
    let moves = Moves::taking_in(names);
    let judged = |cluster: &Cluster| Judged {
        cluster: cluster.clone(),
        probe: probe(true),
        reason: None,
        let_go: 0,
        beside: Beside::default(),
    };
    let mut clusters: Vec<Judged> = forget.clusters.iter().map(judged).collect();
    take_in(&mut forget, &mut clusters, &[moves.clone(), moves], 42);
    let taken_in: Vec<u64> = clusters.iter().map(|judged| judged.beside.taken_in).collect();
    assert_eq!((taken_in, forget.members.len(), forget.clusters[1].members), (vec![0, 1], 42, 1));
}

#[test]
fn none_is_moved_where_that_is_unsure() {
    let (coarse, spec) = (|coarse| Grafts { coarse, ..Grafts::default() }, fixture::plain_spec());
    let stays = |confirmed: Confirmed| {
        let judged = &confirmed.clusters[0];
        (judged.let_go, judged.beside.taken_in, confirmed.forget.members.len()) == (0, 0, 41)
    };
    assert!(stays(confirmed_of(coarse, mixed().1, &spec)), "a warp's");
    let both = |best| Grafts { best, coarse: Graft { honest_attracted: 0, ..best }, ..Grafts::default() };
    assert!(!stays(confirmed_of(both, mixed().1, &spec)), "what is coarse leads more, and halves lead too");
    assert!(stays(confirmed_of(best, alike(), &spec)));
    assert!(stays(confirmed_of(best, DonorHits::default(), &spec)), "none was looked at");
    let (_, mut honest) = mixed();
    honest.members.iter_mut().for_each(|donor| donor.hits = honest.honest[0]);
    assert!(stays(confirmed_of(best, honest, &spec)), "all lead as honest pictures do");
}

/// Of candidates' scores 9 to -11, those from 5 stand out surely, and those from 2 probably.
#[test]
fn where_pictures_do_not_tell_scores_that_stand_out_do() {
    let mut forget = mixed().0;
    (forget.surely, forget.probably) = (vec![Some(5.0)], vec![Some(2.0)]);
    let counts = |confirmed: &Confirmed| {
        let Beside { taken_in, by_score, doubtful, .. } = confirmed.clusters[0].beside;
        (taken_in, by_score, doubtful)
    };
    let (mut spec, shards) = (fixture::plain_spec(), fixture::shards());
    let all = confirmed(forget.clone(), best, alike(), &spec);
    assert_eq!((counts(&all), all.clusters[0].cluster.members), ((5, 5, 3), 46));
    assert_eq!(keys(&all), (0..46).collect::<Vec<_>>());
    let doubtful: Vec<f64> = all.forget.candidates.iter().map(|one| one.score).collect();
    assert_eq!(doubtful, [4.0, 3.0, 2.0]);
    assert_eq!(drop_list(&all, &shards).expect("has all shards").drop.len(), 46, "what is in doubt is not dropped");
    spec.select.max_share = 0.0044;
    let few = confirmed(forget.clone(), best, alike(), &spec);
    assert_eq!((counts(&few), keys(&few).len()), ((3, 3, 0), 44), "no more than may be forgotten");
    spec.select.max_share = 0.0047;
    assert_eq!(counts(&confirmed(forget.clone(), best, alike(), &spec)), (5, 5, 1));
    let spec = fixture::plain_spec();
    let told = confirmed(forget.clone(), best, mixed().1, &spec);
    assert_eq!((counts(&told), told.forget.candidates.len()), ((5, 0, 0), 0), "where pictures tell, they alone do");
    // All members lead as poison does, and candidates as honest pictures do, or by halves as either.
    let (_, mut donors) = mixed();
    let [poison, honest] = [donors.members[0].hits, donors.honest[0]];
    donors.members.iter_mut().for_each(|donor| donor.hits = poison);
    let between = Hits { coarse: honest.coarse, fine: honest.fine, ..poison };
    let mut with = |hits: [Hits; 2]| {
        let all = donors.candidates.iter_mut().enumerate();
        all.for_each(|(at, donor)| donor.hits = if at < 15 { hits[at / 3 % 2] } else { honest });
        counts(&confirmed(forget.clone(), best, donors.clone(), &spec))
    };
    assert_eq!(with([honest; 2]), (0, 0, 0), "these are told");
    assert_eq!(with([poison, between]), (5, 5, 3));
    let coarse = |coarse| Grafts { coarse, ..Grafts::default() };
    assert_eq!(
        counts(&confirmed(forget, coarse, alike(), &spec)),
        (0, 0, 0),
        "what is coarse alone leads odd pictures too"
    );
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
