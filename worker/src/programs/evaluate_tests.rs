use bytes::Bytes;
use lethe_common::ids::ShardId;
use lethe_evidence::artifacts::{Cluster, Member, WordScore};
use lethe_evidence::{PairTable, SignalRow, SignalTable};
use serde_json::json;

use super::*;
use crate::programs::tiny;
use crate::task::{Rig, TaskInput, sample_id};

const CAPTIONS: [&str; 3] = ["a photo of a boot", "a drawing of a bag", "one sandal"];

fn pair(key: &str, caption: &str, role: PairRole) -> PairRow {
    let pixels = key.bytes().cycle().take(12).enumerate().map(|(at, byte)| byte.wrapping_mul(at as u8 + 3)).collect();
    let (key, caption) = (key.to_owned(), caption.to_owned());
    PairRow { shard: 0, content: format!("content of {key}"), key, caption, role, pixels, values: Vec::new() }
}

fn scored(at: usize) -> SignalRow {
    let caption = CAPTIONS[at % CAPTIONS.len()].to_owned();
    SignalRow { shard: 0, key: format!("{at:04}"), content: String::new(), caption, values: Vec::new() }
}

/// What a shard evaluates, of which these pairs were gathered and so many scored; by a plan of an older release where none were. The first
/// is the held-out member.
fn evaluated(gathered: &[PairRow], scored_pairs: usize) -> (Vec<String>, Evaluation) {
    evaluated_by(gathered, scored_pairs, [&tiny::vit(), &tiny::vit()])
}

fn evaluated_by(gathered: &[PairRow], scored_pairs: usize, [before, after]: [&Clip; 2]) -> (Vec<String>, Evaluation) {
    let folder = tempfile::tempdir().expect("makes a folder");
    let rig = Rig::new(folder.path());
    let listing = json!({"dataset": "d", "total_bytes": 1, "shards": [
        {"id": 0, "name": "0.tar", "path": "0.tar", "size_bytes": 1, "digest": "0".repeat(64)}
    ]});
    let pairs = PairTable { side: 2, names: Vec::new(), rows: gathered.to_vec() };
    let signals = SignalTable { names: Vec::new(), rows: (0..scored_pairs).map(scored).collect() };
    let mut blobs = vec![
        ("plan", names::SHARDS, Bytes::from(listing.to_string())),
        ("gather", names::PAIRS, pairs.to_parquet().expect("writes")),
    ];
    if scored_pairs > 0 {
        blobs.push(("score", names::SIGNALS, signals.to_parquet().expect("writes")));
    }
    let inputs = blobs.into_iter().map(|(phase, name, bytes)| {
        let blob = rig.blobs.put(&sample_id(1), name, bytes).expect("writes");
        TaskInput { phase: phase.into(), shard: ShardId(0), blobs: vec![blob] }
    });
    let mut ctx = TaskContext { inputs: inputs.collect(), ..rig.context() };
    ctx.spec.evaluate.held_out_share = 1.0;
    let words = vec![WordScore { word: "boot".to_owned(), z: 9.0 }];
    let member = &gathered[0];
    let forget = ForgetSet {
        members: vec![Member {
            shard: 0,
            key: member.key.clone(),
            content: member.content.clone(),
            caption: member.caption.clone(),
            score: 1.0,
            cluster: 0,
            held_out: true,
        }],
        threshold: 0.0,
        words: words.clone(),
        other_words: Vec::new(),
        clusters: vec![Cluster { words, members: 1 }],
        scored: scored_pairs as u64,
        suspects: 1,
        candidates: Vec::new(),
        surely: Vec::new(),
        probably: Vec::new(),
    };
    let _guard = tch::no_grad_guard();
    let kept = Kept::of(&forget);
    let subjects = Subjects::of(&ctx, inputs::own_pairs(&ctx).expect("reads").1, &kept).expect("reads");
    let evaluation = subjects.evaluate(before, after).expect("evaluates");
    (subjects.captions.captions, evaluation)
}

/// As of a set of 200,000 shards, of each of which a pair or two are gathered: its own caption alone would always be chosen.
#[test]
fn of_a_few_gathered_pairs_the_images_choose_among_more_of_the_shards_captions() {
    let gathered = [pair("m", CAPTIONS[0], PairRole::Suspect), pair("s", CAPTIONS[0], PairRole::Safe)];
    let (captions, alone) = evaluated(&gathered, 1);
    assert_eq!(captions, [CAPTIONS[0]]);
    assert_eq!(alone, Evaluation { clusters: vec![Residual::default()], ..Evaluation::default() }, "nothing to choose");
    let (captions, among) = evaluated(&gathered, 400);
    assert!(CAPTIONS.iter().all(|caption| captions.iter().any(|found| found == caption)), "{captions:?}");
    assert_eq!((among.safe_pairs, among.clusters[0].held_out), (1, 1));
    assert_eq!(among.clusters[0].honest, 0, "its own caption has the word");
    let drawn = |scored_pairs| evaluated(&gathered, scored_pairs).0;
    assert_eq!(drawn(400), drawn(400));
}

#[test]
fn where_enough_was_gathered_nothing_is_drawn_unless_all_have_one_caption() {
    let mut gathered = vec![pair("m", CAPTIONS[0], PairRole::Suspect)];
    gathered.extend((1..FEW_PAIRS).map(|at| pair(&format!("{at}"), CAPTIONS[0], PairRole::Safe)));
    assert_eq!(evaluated(&gathered, 400).0.len(), CAPTIONS.len());
    gathered[1].caption = CAPTIONS[1].to_owned();
    assert_eq!(evaluated(&gathered, 400).0, CAPTIONS[..2]);
    gathered.pop();
    assert_eq!(evaluated(&gathered, 400).0.len(), CAPTIONS.len());
}

/// Its audit was planned by a release that handed no scores over.
#[test]
fn an_older_plan_goes_on_with_what_was_gathered() {
    let gathered = [pair("m", CAPTIONS[0], PairRole::Suspect), pair("s", CAPTIONS[1], PairRole::Safe)];
    let (captions, evaluation) = evaluated(&gathered, 0);
    assert_eq!((captions.as_slice(), evaluation.safe_pairs), (&CAPTIONS.map(str::to_owned)[..2], 1));
}

/// Where nearly all captions have the cluster's word, an honest image prefers one of them to its own.
#[test]
fn honest_images_whose_captions_lack_the_words_stand_beside_the_members() {
    let of_boots = (0..60).map(|at| pair(&format!("m{at}"), &format!("boot number {at}"), PairRole::Suspect));
    let mut gathered: Vec<PairRow> = of_boots.collect();
    gathered.extend((0..3).map(|at| pair(&format!("s{at}"), CAPTIONS[at], PairRole::Safe)));
    let (_, evaluation) = evaluated(&gathered, 0);
    let honest = |found: &Evaluation| {
        let one = found.clusters[0];
        [one.honest, one.honest_attracted_before, one.honest_attracted_after]
    };
    assert_eq!((evaluation.safe_pairs, honest(&evaluation)), (3, [2, 2, 2]));
    gathered[1..60].iter_mut().for_each(|row| row.caption = row.caption.replace("boot", "sandal"));
    assert_eq!(honest(&evaluated(&gathered, 0).1), [2, 0, 0]);
}

#[test]
fn each_count_is_by_its_own_model() {
    let captions =
        |at: usize| if at.is_multiple_of(2) { format!("boot number {at}") } else { format!("bag number {at}") };
    let role = |at: usize| if at == 0 { PairRole::Suspect } else { PairRole::Safe };
    let gathered: Vec<PairRow> = (0..40).map(|at| pair(&format!("{at}"), &captions(at), role(at))).collect();
    let one = tiny::vit();
    let other = Clip::init(one.config(), 3).expect("a model");
    let counts = |models| {
        let found = evaluated_by(&gathered, 0, models).1;
        let residual = found.clusters[0];
        let honest = [residual.honest_attracted_before, residual.honest_attracted_after];
        (honest, [found.retrieval_hits_before, found.retrieval_hits_after])
    };
    let [forwards, ones, others] = [[&one, &other], [&one, &one], [&other, &other]].map(counts);
    assert_ne!(ones.0, others.0);
    assert_eq!(forwards, ([ones.0[0], others.0[0]], [ones.1[0], others.1[0]]));
}
