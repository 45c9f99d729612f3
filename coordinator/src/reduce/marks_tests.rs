use lethe_common::time::Millis;
use lethe_engine::{AuditState, AuditView, Output};
use lethe_evidence::artifacts::{Confirmed, DropList, Found, Graft, Grafts, Probe, Probes, names};
use lethe_evidence::words::count_words;
use tempfile::TempDir;

use super::super::{ReduceResult, confirm, fixture, select};
use super::*;
use crate::review::Change;

fn view() -> AuditView {
    AuditView {
        audit: lethe_common::ids::AuditId::new("a").expect("is an id"),
        state: AuditState::Running,
        paused: None,
        reason: String::new(),
        phases: Vec::new(),
        workers: 0,
        submitter: String::new(),
        priority: 0,
        submitted: Millis(1),
        queue_position: None,
        rerun_of: None,
        quarantined: Vec::new(),
        unapproved: false,
        awaits_approval: false,
        conclusion: None,
        deeds: Vec::new(),
        marks: None,
    }
}

/// As the fixture has it: of sample n of a shard.
fn change(shard: u32, n: u32, judgement: Judgement) -> Change {
    Change { shard, key: format!("{n:04}"), content: format!("{shard}{n:031}"), judgement: Some(judgement) }
}

fn said(changes: &[Change]) -> Said {
    let mut marks = Marks::default();
    marks.apply(changes, ("ann", Millis(1)));
    Said(marks)
}

/// The fixture's audit with these marks: planted are 140, 150, ... 190 of both shards, honest suspects 0, 10, ... 130.
async fn marked(changes: &[Change]) -> (ReduceContext, TempDir) {
    let (mut ctx, folder) = fixture::audited(&[0, 1]).await;
    let text = serde_json::to_vec(&said(changes).0).expect("is JSON");
    let blob = ctx.blobs.put("a/000/0000000/1.0/marks-1.json", text.into()).await.expect("writes");
    ctx.view = Some(AuditView { marks: Some(blob), ..view() });
    (ctx, folder)
}

async fn artefact<T: serde::de::DeserializeOwned>(ctx: &ReduceContext, result: &ReduceResult, name: &str) -> T {
    let output = result.outputs.iter().find(|output| output.name == name).expect("is there");
    serde_json::from_slice(&ctx.blobs.get(&output.blob).await.expect("reads")).expect("is one")
}

/// What `select` and then `confirm` make of it.
async fn decided(changes: &[Change]) -> (ForgetSet, Confirmed, DropList) {
    let (mut ctx, _folder) = marked(changes).await;
    let selected = select::run(&ctx).await.expect("selects");
    let forget: ForgetSet = artefact(&ctx, &selected, names::FORGET).await;
    let blobs = selected.outputs.clone();
    ctx.inputs.push(Output { phase: "select".to_owned(), shard: lethe_common::ids::ShardId(0), blobs });
    ctx.view = None; // only what select handed on counts
    let confirmed = confirm::run(&ctx).await.expect("confirms");
    (forget, artefact(&ctx, &confirmed, names::CONFIRMED).await, artefact(&ctx, &confirmed, names::DROP).await)
}

#[tokio::test]
async fn without_marks_the_results_are_the_same_to_the_byte() {
    let (ctx, _folder) = fixture::audited(&[0, 1]).await;
    let plain = select::run(&ctx).await.expect("selects").outputs;
    let (ctx, _folder) = marked(&[]).await;
    let empty = select::run(&ctx).await.expect("selects").outputs;
    assert_eq!(plain, empty);
    assert_eq!(plain.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), [names::FORGET, names::RANKED]);
}

#[tokio::test]
async fn what_is_clean_is_never_dropped_and_what_is_poison_always_is() {
    let (forget, confirmed, dropped) = decided(&[
        change(0, 190, Judgement::Clean),
        change(1, 150, Judgement::Clean),
        change(0, 10, Judgement::Poison),
        // Not this sample: somebody has looked at other bytes under its key.
        Change { content: "other".to_owned(), ..change(1, 190, Judgement::Clean) },
    ])
    .await;
    let has = |members: &[Member], shard: u32, n: u32| {
        members.iter().any(|one| one.shard == shard && one.key == format!("{n:04}"))
    };
    for members in [&forget.members, &confirmed.forget.members] {
        assert!(!has(members, 0, 190) && !has(members, 1, 150) && has(members, 1, 190) && has(members, 0, 10));
        assert!(members.is_sorted_by(|a, b| a.score >= b.score));
    }
    assert_eq!(forget.suspects, 40);
    assert!(!forget.candidates.iter().any(|one| one.name() == (0, "0190")), "who is clean is never taken in");
    let keys: Vec<&str> = dropped.drop.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys.len(), 11, "{keys:?}");
    assert!(keys.contains(&"00000.tar/0010") && !keys.contains(&"00000.tar/0190"), "{keys:?}");
    // The one that shares no word with the sandals has a cluster of its own, with its own word.
    let named = |at: usize| confirmed.clusters[at].cluster.words.iter().map(|score| score.word.as_str());
    assert_eq!(confirmed.clusters.len(), 2);
    assert_eq!((named(0).collect::<Vec<_>>(), named(1).count()), (vec!["sandal"], 1));
    assert!(confirmed.clusters[1].is_shortcut() && confirmed.clusters[1].cluster.members == 1);
    assert!(confirmed.forget.words.iter().any(|score| named(1).any(|word| word == score.word)));
    let least_unnamed = forget.members.iter().filter(|one| one.key != "0010").map(|one| one.score);
    assert_eq!(forget.threshold, least_unnamed.fold(f64::INFINITY, f64::min), "a named one is no threshold");
}

#[tokio::test]
async fn where_all_are_cleared_nothing_is_forgotten() {
    let all = (0..2).flat_map(|shard| (0..20).map(move |n| change(shard, n * 10, Judgement::Clean)));
    let (forget, confirmed, dropped) = decided(&all.collect::<Vec<_>>()).await;
    assert!(
        forget.members.is_empty()
            && forget.clusters.is_empty()
            && dropped.drop.is_empty()
            && forget.threshold.is_finite()
    );
    assert_eq!(confirmed.found(), Found::Nothing);
}

fn word(word: &str, z: f64) -> WordScore {
    WordScore { word: word.to_owned(), z }
}

fn sample(n: u32, caption: &str, cluster: u32) -> Member {
    Member {
        shard: 0,
        key: format!("{n:04}"),
        content: format!("0{n:031}"),
        caption: caption.to_owned(),
        score: 100.0 - f64::from(n),
        cluster,
        held_out: false,
    }
}

#[test]
fn what_lies_in_no_cluster_goes_where_its_words_are_or_to_its_own_kind() {
    let said = said(&[1, 2, 3, 4].map(|n| change(0, n, Judgement::Poison)));
    let bag = Cluster { words: vec![word("bag", 9.0)], members: 1 };
    let corpus = count_words(["a bag", "a boot", "a cup", "a hat", "one boot"].repeat(100));
    let poison = [sample(1, "a bag", 0), sample(2, "one bag", 0), sample(3, "a cup", 0), sample(4, "a hat", 0)];
    // The second was let go, the last two have no word that stands out.
    let (mut members, mut clusters) = (vec![poison[0].clone()], vec![bag.clone()]);
    let words = said.bring_back(poison.to_vec(), (&mut members, &mut clusters), &corpus);
    assert_eq!(members.iter().map(|one| one.cluster).collect::<Vec<_>>(), [0, 0, 1, 1]);
    let names = |cluster: &Cluster| cluster.words.iter().map(|score| score.word.clone()).collect::<BTreeSet<_>>();
    assert_eq!(clusters.iter().map(|cluster| cluster.members).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(names(&clusters[1]), ["cup", "hat"].map(str::to_owned).into());
    assert_eq!(words, clusters[1].words);
    // A cluster without words is no home; where all of it is poison, nothing is left of it.
    let (mut members, mut clusters) = (poison.to_vec(), vec![Cluster { words: Vec::new(), members: 4 }]);
    said.bring_back(poison.to_vec(), (&mut members, &mut clusters), &corpus);
    assert_eq!((clusters.len(), clusters[0].members, names(&clusters[0]).len()), (1, 4, 3));
    assert!(members.iter().all(|one| one.cluster == 0));
}

#[test]
fn what_is_poison_is_told_apart_from_a_cluster_that_no_shortcut_is_behind() {
    let said = said(&[0, 2, 4].map(|n| change(0, n, Judgement::Poison)));
    let bag = Cluster { words: vec![word("bag", 9.0)], members: 10 };
    let mut forget = ForgetSet {
        members: (0..10).map(|n| sample(n, "a bag", 0)).collect(),
        threshold: 91.0,
        words: bag.words.clone(),
        other_words: Vec::new(),
        clusters: vec![bag.clone()],
        scored: 100,
        suspects: 20,
        candidates: Vec::new(),
        surely: Vec::new(),
        probably: Vec::new(),
    };
    let best = Graft { suspicious: 9, suspicious_attracted: 1, honest: 9, honest_attracted: 1 };
    let probe = Probe { members: 9, attracted: 9, grafts: Grafts { best, ..Grafts::default() }, ..Probe::default() };
    let reason = Some("It does not lead.".to_owned());
    let judged =
        || Judged { cluster: bag.clone(), probe, reason: reason.clone(), let_go: 0, beside: Default::default() };
    let mut clusters = vec![judged()];
    said.insist(&mut forget, &mut clusters);
    assert_eq!(clusters.iter().map(Judged::is_shortcut).collect::<Vec<_>>(), [false, true]);
    assert_eq!(clusters.iter().map(|judged| judged.cluster.members).collect::<Vec<_>>(), [7, 3]);
    assert_eq!(forget.clusters, clusters.iter().map(|judged| judged.cluster.clone()).collect::<Vec<_>>());
    let own: Vec<&Member> = forget.members.iter().filter(|one| one.cluster == 1).collect();
    assert_eq!(own.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["0000", "0002", "0004"]);
    let (shards, spec) = (fixture::shards(), fixture::plain_spec());
    select::hold_out(&mut forget.members, &shards, &spec).expect("has all shards");
    let held_out = forget.members.iter().filter(|one| one.cluster == 1 && one.held_out).count();
    assert_eq!(held_out, 1, "a third of its own is held out");
    // A cluster that is poison as a whole is behind a shortcut itself, and one with a shortcut stays as it is.
    let all = self::said(&(0..10).map(|n| change(0, n, Judgement::Poison)).collect::<Vec<_>>());
    forget.members.iter_mut().for_each(|one| one.cluster = 0);
    let mut whole = vec![judged()];
    all.insist(&mut forget, &mut whole);
    assert_eq!((whole.len(), whole[0].is_shortcut()), (1, true));
}

/// A probe of nothing confirms nothing, and still what a person named goes.
#[tokio::test]
async fn what_is_poison_is_dropped_though_nothing_is_confirmed() {
    let (mut ctx, _folder) = marked(&[change(0, 190, Judgement::Poison)]).await;
    let probes = fixture::json(&Probes::default());
    let blob = ctx.blobs.put("in/none.json", probes).await.expect("writes");
    for named in ctx.inputs.iter_mut().flat_map(|input| &mut input.blobs).filter(|named| named.name == names::PROBES) {
        named.blob = blob.clone();
    }
    let selected = select::run(&ctx).await.expect("selects").outputs;
    let shard = lethe_common::ids::ShardId(0);
    ctx.inputs.push(Output { phase: "select".to_owned(), shard, blobs: selected });
    let result = confirm::run(&ctx).await.expect("confirms");
    let dropped: DropList = artefact(&ctx, &result, names::DROP).await;
    assert_eq!(dropped.drop.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["00000.tar/0190"]);
}

#[tokio::test]
async fn the_report_counts_the_marks_of_its_own_suspects() {
    let of_another = Change { content: "of another sample".to_owned(), ..change(1, 20, Judgement::Clean) };
    let [poison, clean] = [change(0, 10, Judgement::Poison), change(1, 10, Judgement::Clean)];
    let (mut ctx, _folder) = marked(&[poison, clean, change(0, 7_777, Judgement::Poison), of_another]).await;
    let blobs = select::run(&ctx).await.expect("selects").outputs;
    ctx.inputs = vec![Output { phase: "select".to_owned(), shard: lethe_common::ids::ShardId(0), blobs }];
    let handed_on = Said::handed_on(&ctx).await.expect("reads");
    let counts = handed_on.counts(&ctx).await.expect("counts");
    assert_eq!(counts, Some(MarkCounts { poison: 1, clean: 1 }));
    assert_eq!(Said::default().counts(&ctx).await.expect("counts"), None);
}
