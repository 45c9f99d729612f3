use std::path::PathBuf;

use lethe_common::ids::ShardId;
use lethe_common::pin::Pin;

use super::*;

fn id(text: &str) -> AuditId {
    AuditId::new(text).expect("is an id")
}

fn spec(since: Option<&str>) -> Spec {
    let json = serde_json::json!({
        "audit": {"id": "tuesday", "since": since},
        "model": {"config": "m.json"},
        "data": {"shards": ["*.tar"]},
    });
    serde_json::from_value(json).expect("is a spec")
}

fn model(bytes: &[u8]) -> Vec<ModelFile> {
    let found = Found::Whole { size_bytes: bytes.len() as u64, blake3: Digest::of(bytes) };
    vec![ModelFile { field: "model.checkpoint".to_owned(), path: PathBuf::from("m.safetensors"), found }]
}

/// Of these names, each with what it holds, in order; all of a hundred bytes.
fn shards(dataset: &str, held: &[(&str, &str)]) -> Shards {
    let entry = |(id, (name, held)): (usize, &(&str, &str))| ShardEntry {
        id: id as u32,
        name: (*name).to_owned(),
        path: format!("/data/{name}"),
        size_bytes: 100,
        pin: Pin::Digest(Digest::of(held.as_bytes())),
    };
    let shards: Vec<ShardEntry> = held.iter().enumerate().map(entry).collect();
    Shards { dataset: dataset.to_owned(), total_bytes: 100 * shards.len() as u64, shards }
}

const MONDAY: [(&str, &str); 8] =
    [("b", "b"), ("c", "c"), ("d", "d"), ("e", "e"), ("f", "f"), ("g", "g"), ("h", "h"), ("i", "i")];

/// An audit of those, whose reference set was drawn from some of them.
fn monday(reference: &[u32]) -> Before {
    let old = shards("monday", &MONDAY);
    let of = |phase: &'static str| {
        move |shard: u32| Taken {
            shard: ShardId(shard),
            phase: phase.to_owned(),
            read: 10,
            scored: 10,
            failed: 0,
            outputs: Vec::new(),
        }
    };
    let taken = reference.iter().copied().map(of("reference")).chain((0..8).map(of("score"))).collect();
    let basis = Basis {
        scored_by: scored_by(&spec(None), &model(b"weights")),
        reference_of: id("monday"),
        drawn_from_bytes: old.total_bytes,
        turned_over_bytes: 0,
        since: None,
    };
    Before { shards: old, basis, taken, drop_list: None }
}

fn tuesday(held: &[(&str, &str)], before: Before) -> Settled {
    settle(&spec(Some("monday")), shards("tuesday", held), &model(b"weights"), Some((id("monday"), Ok(before))))
}

/// The names in the order of their numbers, and the numbers of those that keep their score.
fn places(settled: &Settled) -> (String, Vec<u32>) {
    let (shards, _) = settled.rearranged.as_ref().expect("scores are kept");
    assert!(shards.shards.iter().zip(0..).all(|(shard, id)| shard.id == id), "numbers have no gap");
    let names: Vec<&str> = shards.shards.iter().map(|shard| shard.name.as_str()).collect();
    let since = settled.basis.since.as_ref().expect("there is an earlier one");
    let kept = since.taken.iter().filter(|one| one.phase == "score").map(|one| one.shard.0);
    (names.concat(), kept.collect())
}

fn why(settled: &Settled) -> &str {
    assert!(settled.rearranged.is_none(), "scores are kept");
    let since = settled.basis.since.as_ref().expect("there is an earlier one");
    assert!(since.taken.is_empty() && settled.basis.reference_of == id("tuesday"), "{:?}", settled.basis);
    since.anew.as_deref().expect("it says why")
}

#[test]
fn new_shards_come_behind_whatever_their_names_and_the_others_keep_their_scores() {
    let held: Vec<_> = [("a", "a")].into_iter().chain(MONDAY).collect();
    let settled = tuesday(&held, monday(&[0, 3]));
    assert_eq!(places(&settled), ("bcdefghia".to_owned(), (0..8).collect()));
    let (shards, sample) = settled.rearranged.as_ref().expect("scores are kept");
    assert_eq!((shards.dataset.as_str(), shards.total_bytes, sample.as_slice()), ("monday", 900, [0, 3].as_slice()));
    let Basis { reference_of, drawn_from_bytes, turned_over_bytes, since, .. } = settled.basis;
    assert_eq!((reference_of, drawn_from_bytes, turned_over_bytes), (id("monday"), 800, 100));
    let changes = since.expect("there is one").changes;
    assert_eq!(changes, Some(Changes { unchanged: 8, changed: 0, new: 1, gone: 0 }));
}

#[test]
fn one_that_changed_or_takes_the_place_of_one_that_is_gone_is_scored() {
    let mut held = MONDAY.to_vec();
    held[2] = ("d", "another d");
    let settled = tuesday(&held, monday(&[0]));
    assert_eq!(places(&settled), ("bcdefghi".to_owned(), vec![0, 1, 3, 4, 5, 6, 7]));
    let changes = settled.basis.since.expect("there is one").changes;
    assert_eq!(changes, Some(Changes { unchanged: 7, changed: 1, new: 0, gone: 0 }));
    let mut held = MONDAY.to_vec();
    held.remove(4);
    held.push(("z", "z"));
    let settled = tuesday(&held, monday(&[0]));
    assert_eq!(places(&settled), ("bcdezghi".to_owned(), vec![0, 1, 2, 3, 5, 6, 7]));
    let Basis { turned_over_bytes, since, .. } = settled.basis;
    let changes = since.expect("there is one").changes;
    assert_eq!((changes, turned_over_bytes), (Some(Changes { unchanged: 7, changed: 0, new: 1, gone: 1 }), 200));
    // Where there are fewer, the last fill the gaps, and are scored there.
    let fewer: Vec<_> = MONDAY.into_iter().filter(|(name, _)| *name != "c").collect();
    assert_eq!(places(&tuesday(&fewer, monday(&[0]))), ("bidefgh".to_owned(), vec![0, 2, 3, 4, 5, 6]));
}

#[test]
fn where_the_reference_set_is_another_nothing_is_kept() {
    let mut held = MONDAY.to_vec();
    held[3] = ("e", "another e");
    assert!(why(&tuesday(&held, monday(&[0, 3]))).starts_with("e, from which the reference set was drawn"));
    let fewer: Vec<_> = MONDAY.into_iter().filter(|(name, _)| *name != "c").collect();
    // It would have another number.
    assert!(why(&tuesday(&fewer, monday(&[7]))).starts_with("i, from which"));
    assert_eq!(why(&tuesday(&MONDAY, monday(&[]))), "it has no reference set");
}

#[test]
fn data_that_grew_too_much_get_a_reference_set_of_their_own() {
    let mut held = MONDAY.to_vec();
    held.extend([("x", "x"), ("y", "y")]);
    assert_eq!(places(&tuesday(&held, monday(&[0]))).1.len(), 8, "by a quarter");
    held.push(("z", "z"));
    let grown = tuesday(&held, monday(&[0]));
    assert!(why(&grown).contains("are 38 %") && why(&grown).contains("monday"), "{}", why(&grown));
    // What came on one day and went on another counts too.
    let mut restless = monday(&[0]);
    restless.basis.turned_over_bytes = 200;
    let held: Vec<_> = MONDAY.into_iter().chain([("x", "x")]).collect();
    assert!(why(&tuesday(&held, restless)).contains("are 38 %"));
}

#[test]
fn a_time_of_change_is_no_digest_and_another_name_is_another() {
    let modified = |mut shards: Shards| {
        shards.shards.iter_mut().for_each(|shard| shard.pin = Pin::Modified("Sun, 29 Nov 2026".to_owned()));
        shards
    };
    let before = Before { shards: modified(shards("monday", &MONDAY)), ..monday(&[0]) };
    let now = modified(shards("tuesday", &MONDAY));
    let settled = settle(&spec(Some("monday")), now, &model(b"weights"), Some((id("monday"), Ok(before))));
    assert!(why(&settled).starts_with("b, from which"), "{}", why(&settled));
    let mut now = shards("tuesday", &MONDAY);
    now.shards.iter_mut().for_each(|shard| shard.name = format!("november/{}", shard.name));
    let settled = settle(&spec(Some("monday")), now, &model(b"weights"), Some((id("monday"), Ok(monday(&[0])))));
    assert!(why(&settled).starts_with("the folder that all shards have in common"), "{}", why(&settled));
}

#[test]
fn what_else_a_score_depends_on_must_be_the_same() {
    let settled = |spec: &Spec, model: &[ModelFile]| {
        settle(spec, shards("tuesday", &MONDAY), model, Some((id("monday"), Ok(monday(&[0])))))
    };
    let own = spec(Some("monday"));
    assert!(settled(&own, &model(b"weights")).rearranged.is_some());
    assert!(why(&settled(&own, &model(b"other weights"))).starts_with("the model, this release"));
    for change in [
        |spec: &mut Spec| spec.audit.seed += 1,
        |spec: &mut Spec| spec.score.batch += 1,
        |spec: &mut Spec| spec.reference.samples += 1,
    ] {
        let mut other = own.clone();
        change(&mut other);
        assert!(why(&settled(&other, &model(b"weights"))).starts_with("the model, this release"));
    }
    let mut other = own.clone();
    other.unlearn.anchor_weight += 1.0;
    assert!(settled(&other, &model(b"weights")).rearranged.is_some(), "no score depends on the unlearning");
    let mut unread = model(b"weights");
    unread[0].found = Found::Unread { problem: "gone".to_owned() };
    assert_eq!(why(&settled(&own, &unread)), "a file of the model could not be read");
}

#[test]
fn an_earlier_audit_that_is_of_no_use_is_told_and_without_one_nothing_is() {
    let gone = Some((id("monday"), Err("there is no audit monday any more".to_owned())));
    let settled = settle(&spec(Some("monday")), shards("tuesday", &MONDAY), &model(b"weights"), gone);
    assert_eq!(why(&settled), "there is no audit monday any more");
    let alone = settle(&spec(None), shards("tuesday", &MONDAY), &model(b"weights"), None);
    assert_eq!((alone.basis.since, alone.basis.reference_of), (None, id("tuesday")));
}
