//! A small audit's artefacts, made up: 400 pairs in two shards, 40 suspects, 12 of them planted.

use bytes::Bytes;
use lethe_common::blob::{Digest, NamedBlob};
use lethe_common::ids::{Attempt, PhaseIndex, ShardId, Term};
use lethe_common::pin::Pin;
use lethe_engine::Output;
use lethe_evidence::artifacts::{
    Cluster, Confirmed, Evaluation, Exhibit, Exhibits, ForgetSet, Graft, Grafts, Judged, Look, Looks, PixelSums, Probe,
    Probes, Residual, SampleCounts, ShardDigest, ShardEntry, Shards, Training, WordScore, columns, names,
};
use lethe_evidence::words::count_words;
use lethe_evidence::{SignalRow, SignalTable};
use tempfile::TempDir;

use super::*;

pub(super) type Blob<'a> = (u32, &'a str, Bytes);

/// A context over these blobs: shard, name, text.
pub(super) async fn context(patterns: &str, blobs: &[(u32, &str, &str)]) -> (ReduceContext, TempDir) {
    let blobs: Vec<Blob<'_>> =
        blobs.iter().map(|&(shard, name, text)| (shard, name, Bytes::copy_from_slice(text.as_bytes()))).collect();
    with_blobs(patterns, &blobs).await
}

pub(super) async fn with_blobs(patterns: &str, blobs: &[Blob<'_>]) -> (ReduceContext, TempDir) {
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = BlobStore::local(&folder.path().join("blobs")).expect("opens");
    let mut inputs = Vec::new();
    for (at, (shard, name, bytes)) in blobs.iter().enumerate() {
        let blob = store.put(&format!("in/{at}/{name}"), bytes.clone()).await.expect("writes");
        let blobs = vec![NamedBlob { name: (*name).to_owned(), blob }];
        inputs.push(Output { phase: "unlearn".to_owned(), shard: ShardId(*shard), blobs });
    }
    let audit = AuditId::new("a").expect("is an id");
    let attempt = Attempt { term: Term(1), counter: 1 };
    let ctx = ReduceContext {
        task: TaskId { audit: audit.clone(), phase: PhaseIndex(0), shard: ShardId(0), attempt },
        audit,
        program: ReduceProgram::Report,
        spec: spec(&folder, patterns),
        phase_names: Vec::new(),
        inputs,
        blobs: store,
        result_folder: folder.path().join("result"),
        view: None,
    };
    (ctx, folder)
}

fn spec(folder: &TempDir, patterns: &str) -> Spec {
    let config = folder.path().join("model-config.json");
    std::fs::write(&config, "{}").expect("writes");
    let text = format!(
        r#"{{"audit": {{"id": "a"}}, "model": {{"checkpoint": "m", "config": {config:?}, "trusted": null}},
            "data": {{"shards": {patterns}}}, "select": {{"max_share": 0.03}}}}"#
    );
    serde_json::from_str(&text).expect("is a spec")
}

/// The artefacts of a whole audit, its inputs listed in this order of shards.
pub(super) async fn audited(order: &[u32]) -> (ReduceContext, TempDir) {
    let mut blobs: Vec<Blob<'_>> = vec![
        (0, names::SHARDS, json(&shards())),
        (0, names::CUT, cut_json().await),
        (0, names::CLEAN, Bytes::from_static(b"clean weights")),
        (
            0,
            names::TRAINING,
            json(&Training {
                steps: 3,
                losses: vec![2.0, 1.0],
                samples: 9,
                world_size: 2,
                seconds: 1.0,
                ..Training::default()
            }),
        ),
    ];
    for &shard in order {
        blobs.push((shard, names::SIGNALS, signals(shard).to_parquet().expect("writes")));
        blobs.push((shard, names::RESCORED, rescored(shard).to_parquet().expect("writes")));
        blobs.push((shard, names::PROBES, json(&probes())));
        blobs.push((shard, names::LOOKS, json(&looks())));
        blobs.push((shard, names::EVALUATION, json(&evaluation())));
        blobs.push((shard, names::EXHIBITS, json(&exhibits(shard))));
    }
    with_blobs("[]", &blobs).await
}

pub(super) fn json<T: serde::Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("writes").into()
}

pub(super) fn shards() -> Shards {
    let shard = |id: u32| ShardEntry {
        id,
        name: format!("{id:05}.tar"),
        path: format!("/d/{id:05}.tar"),
        size_bytes: 10,
        pin: Pin::Digest(Digest::of(b"")),
    };
    Shards { dataset: "a".to_owned(), shards: vec![shard(0), shard(1)], total_bytes: 20 }
}

/// Every tenth is a suspect; of a shard's 20 suspects the last 6 are planted.
fn pair(shard: u32, n: u32, values: Vec<f32>) -> SignalRow {
    let planted = n.is_multiple_of(10) && n >= 140;
    let nouns = ["coat", "shirt", "bag", "dress"];
    let noun = if planted { "sandal" } else { nouns[(n / 7) as usize % 4] };
    SignalRow {
        shard,
        key: format!("{n:04}"),
        content: format!("{shard}{n:031}"),
        caption: format!("a photo of a {noun}"),
        values,
    }
}

fn signals(shard: u32) -> SignalTable {
    let suspicion = |n: u32| if n.is_multiple_of(10) { 5.0 + n as f32 / 1000.0 } else { (n % 97) as f32 / 97.0 };
    let rows = (0..200).map(|n| pair(shard, n, vec![0.25, suspicion(n)])).collect();
    SignalTable { names: [columns::SIMILARITY, columns::SUSPICION].map(str::to_owned).to_vec(), rows }
}

fn rescored(shard: u32) -> SignalTable {
    let suspects = (0..200).filter(|n: &u32| n.is_multiple_of(10));
    let second = |n: u32| (n * 2 + shard + if n >= 140 { 1_000 } else { 0 }) as f32;
    let rows = suspects.map(|n| pair(shard, n, vec![0.5, second(n)])).collect();
    SignalTable { names: vec![columns::SUSPICION.to_owned(), columns::FALL.to_owned()], rows }
}

async fn cut_json() -> Bytes {
    let digest = |shard: u32| ShardDigest {
        counts: SampleCounts { read: 200, scored: 200, failed: 0 },
        suspicion: signals(shard).rows.iter().map(|row| row.values[1]).collect(),
        words: count_words(signals(shard).rows.iter().map(|row| row.caption.as_str())),
        ..ShardDigest::default()
    };
    let blobs = [(0, names::DIGEST, json(&digest(0))), (1, names::DIGEST, json(&digest(1)))];
    let (ctx, _folder) = with_blobs("[]", &blobs).await;
    let result = super::suspect::run(&ctx).await.expect("cuts");
    ctx.blobs.get(&result.outputs[0].blob).await.expect("reads")
}

fn evaluation() -> Evaluation {
    Evaluation {
        safe_pairs: 50,
        retrieval_hits_before: 40,
        retrieval_hits_after: 39,
        drift_sum: 0.5,
        clusters: vec![Residual { held_out: 2, attracted_before: 2, attracted_after: 0, ..Residual::default() }],
    }
}

/// The one cluster leads where honest pictures do not.
fn probes() -> Probes {
    let best = Graft { suspicious: 24, suspicious_attracted: 20, honest: 32, honest_attracted: 4 };
    let grafts = Grafts { best, ..Grafts::default() };
    Probes {
        clusters: vec![Probe { members: 6, attracted: 6, donors: 6, honest_donors: 8, grafts, ..Probe::default() }],
        ..Probes::default()
    }
}

/// Pictures of two by two: members' first pixel is white, others' is black.
fn looks() -> Looks {
    let sums = |first: u8| {
        let picture: Vec<u8> = [[first; 3], [90; 3], [90; 3], [90; 3]].concat();
        PixelSums::of(std::iter::repeat_n(picture.as_slice(), 6), 2)
    };
    Looks { clusters: vec![Look { side_px: 2, members: sums(255), honest: sums(0), hosts: sums(0) }] }
}

/// Clusters by their word and whether a shortcut is behind each.
pub(super) fn confirmed(clusters: &[(&str, bool)]) -> Confirmed {
    let judged = |&(word, is_shortcut): &(&str, bool)| Judged {
        cluster: Cluster { words: vec![WordScore { word: word.to_owned(), z: 9.0 }], members: 9 },
        probe: Probe::default(),
        reason: (!is_shortcut).then(|| "It does not lead.".to_owned()),
        let_go: 0,
        beside: Default::default(),
    };
    let forget = ForgetSet {
        members: Vec::new(),
        threshold: 0.0,
        words: Vec::new(),
        other_words: Vec::new(),
        clusters: Vec::new(),
        scored: 100,
        suspects: 10,
        candidates: Vec::new(),
        surely: Vec::new(),
        probably: Vec::new(),
    };
    Confirmed { forget, clusters: clusters.iter().map(judged).collect() }
}

/// A spec with the defaults.
pub(super) fn plain_spec() -> Spec {
    let text = r#"{"audit": {"id": "a"}, "model": {"checkpoint": "m", "config": "c"}, "data": {"shards": ["0.tar"]}}"#;
    serde_json::from_str(text).expect("is a spec")
}

fn exhibits(shard: u32) -> Exhibits {
    let exhibit = |n: u32| Exhibit {
        key: format!("{n:04}"),
        shard,
        caption: "a photo of a sandal".to_owned(),
        score: f64::from(n * 2 + shard),
        cluster: 0,
        picture: lethe_evidence::artifacts::Picture { side_px: 1, png_base64: "AAAA".to_owned() },
        grid: lethe_evidence::artifacts::TokenGrid::default(),
        words: Vec::new(),
    };
    Exhibits { exhibits: [190, 180].map(exhibit).to_vec(), ..Exhibits::default() }
}
