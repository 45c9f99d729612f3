//! An audit that has ended, as a run would have left it in the store: its maps' artefacts are made up, its reduces are the real ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lethe_common::blob::{BlobStore, Digest, NamedBlob, attempt_path};
use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, Term};
use lethe_common::pin::Pin;
use lethe_common::program::ReduceProgram;
use lethe_common::spec::Spec;
use lethe_common::time::Millis;
use lethe_coordinator::plans;
use lethe_coordinator::reduce::{self, ReduceContext, ReduceResult};
use lethe_coordinator::store::{Candidate, Fence, Outcome, Store, records};
use lethe_engine::{
    AuditRecord, AuditState, Change, Conclusion, Counts, Fate, Options, Outline, Output, PhaseKind, PhaseRecord,
    PhaseState, Record, SegmentRecord, ShardResult, StoredBlob,
};
use lethe_evidence::artifacts::{
    Evaluation, Exhibit, Exhibits, Graft, Grafts, Looks, Picture, Probe, Probes, Residual, SampleCounts, ShadedWord,
    ShardDigest, ShardEntry, Shards, TokenGrid, Training, WordFalls, columns, names,
};
use lethe_evidence::words::count_words;
use lethe_evidence::{PairRole, PairRow, PairTable, SignalRow, SignalTable};
use serde::Serialize;

/// Pixels a side of its pictures.
const SIDE: u32 = 28;
/// Of each shard's suspects so many are planted, the strongest.
const PLANTED: u32 = 4;
/// When it began before now, and what each phase took.
const AGO_MS: u64 = 900_000;
const PHASE_MS: u64 = 50_000;
/// What strangers write.
pub const HOSTILE: [&str; 5] = [
    "<script>window.ran = 1; fetch('/logout', {method: 'POST'})</script> a photo of a bag",
    "a bag\"><img src=x onerror=\"window.ran = 2\">",
    "</title></main></form><svg onload='window.ran = 3'> a shirt",
    "javascript:window.ran=4 'onfocus=alert(1) autofocus=' a coat",
    "\u{202e}gab a fo otohp a\u{202c} {{window.ran = 5}}",
];

/// How large it is, and what a person may see of it.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub shards: u32,
    /// A shard's.
    pub suspects: u32,
    pub pictures: &'static str,
}

pub const SMALL: Size = Size { shards: 2, suspects: 40, pictures: "show" };

pub fn audit() -> AuditId {
    AuditId::new("march").expect("is an id")
}

pub fn key(n: u32) -> String {
    format!("{n:06}")
}

fn content(shard: u32, n: u32) -> String {
    blake3::hash(format!("{shard}/{n}").as_bytes()).to_hex()[..32].to_owned()
}

fn is_planted(size: Size, n: u32) -> bool {
    n >= size.suspects - size.suspects / PLANTED
}

fn caption(size: Size, shard: u32, n: u32) -> String {
    let nouns = ["coat", "shirt", "bag", "dress", "cup", "hat"];
    match is_planted(size, n) {
        true => format!("a photo of a sandal, number {n}"),
        false if n < HOSTILE.len() as u32 => HOSTILE[n as usize].to_owned(),
        false => format!("a photo of a {} of shard {shard}", nouns[(n / 3) as usize % nouns.len()]),
    }
}

fn row(size: Size, (shard, n): (u32, u32), values: Vec<f32>) -> SignalRow {
    SignalRow { shard, key: key(n), content: content(shard, n), caption: caption(size, shard, n), values }
}

fn falls(size: Size, shard: u32, n: u32) -> f32 {
    let base = if is_planted(size, n) { 0.6 } else { 0.05 };
    base + 0.2 * n as f32 / size.suspects as f32 + 0.001 * shard as f32
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("is JSON").into()
}

fn shards(size: Size) -> Shards {
    let shard = |id: u32| ShardEntry {
        id,
        name: format!("{id:05}.tar"),
        path: format!("/nowhere/{id:05}.tar"),
        size_bytes: 10,
        pin: Pin::Digest(Digest::of(b"")),
    };
    Shards { dataset: "a".to_owned(), shards: (0..size.shards).map(shard).collect(), total_bytes: 20 }
}

/// Coloured by its number; a planted one has a white corner.
fn pixels(planted: bool, n: u32) -> Vec<u8> {
    let at = |x: u32, y: u32| match planted && x >= SIDE - 7 && y >= SIDE - 7 {
        true => [255; 3],
        false => [(n * 37 % 200) as u8, (x * 8) as u8, (y * 8) as u8],
    };
    (0..SIDE).flat_map(|y| (0..SIDE).flat_map(move |x| at(x, y))).collect()
}

fn pairs(size: Size, shard: u32) -> Bytes {
    let row = |n: u32| PairRow {
        shard,
        key: key(n),
        content: content(shard, n),
        caption: caption(size, shard, n),
        role: PairRole::Suspect,
        pixels: pixels(is_planted(size, n), n),
        values: Vec::new(),
    };
    let table = PairTable { side: SIDE, names: Vec::new(), rows: (0..size.suspects).map(row).collect() };
    table.to_parquet().expect("writes")
}

fn signals(size: Size, shard: u32) -> SignalTable {
    let rows = (0..size.suspects).map(|n| row(size, (shard, n), vec![0.3, 4.0 + (n * 7 % 100) as f32 / 100.0]));
    let names = [columns::SIMILARITY, columns::SUSPICION].map(str::to_owned).to_vec();
    SignalTable { names, rows: rows.collect() }
}

fn rescored(size: Size, shard: u32) -> SignalTable {
    let first = |n: u32| 4.0 + (n * 7 % 100) as f32 / 100.0;
    let rows = (0..size.suspects).map(|n| row(size, (shard, n), vec![first(n), falls(size, shard, n)]));
    let names = [columns::SUSPICION, columns::FALL].map(str::to_owned).to_vec();
    SignalTable { names, rows: rows.collect() }
}

fn digest(size: Size, shard: u32) -> ShardDigest {
    let table = signals(size, shard);
    let safe = ["a photo of a coat", "a photo of a bag", "a photo of a shirt", "a photo of a cup"].repeat(200);
    let sandals = ["a photo of a sandal"; 20];
    let captions = table.rows.iter().map(|row| row.caption.as_str()).chain(safe).chain(sandals);
    let scored = u64::from(size.suspects) * 2;
    ShardDigest {
        counts: SampleCounts { read: scored, scored, failed: 0 },
        suspicion: table.rows.iter().map(|row| row.values[1]).collect(),
        words: count_words(captions),
        ..ShardDigest::default()
    }
}

fn probes() -> Probes {
    let best = Graft { suspicious: 24, suspicious_attracted: 20, honest: 32, honest_attracted: 4 };
    let grafts = Grafts { best, ..Grafts::default() };
    Probes {
        clusters: vec![Probe { members: 6, attracted: 6, donors: 6, honest_donors: 8, grafts, ..Probe::default() }],
        ..Probes::default()
    }
}

fn evaluation() -> Evaluation {
    let residual = Residual { held_out: 3, attracted_before: 3, attracted_after: 0, ..Residual::default() };
    Evaluation {
        safe_pairs: 50,
        retrieval_hits_before: 40,
        retrieval_hits_after: 39,
        drift_sum: 0.5,
        clusters: vec![residual],
    }
}

/// Of a shard's strongest six, the corner carries the match.
fn exhibits(size: Size, shard: u32) -> Exhibits {
    let exhibit = |n: u32| {
        let text = caption(size, shard, n);
        let words = text.split(' ').map(|word| ShadedWord {
            text: word.to_owned(),
            weight: if word.starts_with("sandal") { 1.0 } else { 0.1 },
        });
        let fall = falls(size, shard, n);
        let falls = (0..16).map(|token| if token == 15 { 0.6 } else { 0.02 * (token % 5) as f32 }).collect();
        let png = lethe_data::encode_png(&pixels(true, n), SIDE).expect("encodes");
        let png_base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, png);
        Exhibit {
            key: key(n),
            shard,
            caption: caption(size, shard, n),
            score: f64::from(fall),
            cluster: 0,
            picture: Picture { side_px: SIDE, png_base64 },
            grid: TokenGrid { rows: 4, columns: 4, falls },
            words: words.collect(),
        }
    };
    Exhibits { exhibits: (size.suspects - 6..size.suspects).rev().map(exhibit).collect(), ..Exhibits::default() }
}

/// What a map leaves of a shard; most leave nothing that is read again.
fn of_shard(size: Size, phase: &str, shard: u32) -> Vec<(&'static str, Bytes)> {
    match phase {
        "score" => vec![
            (names::DIGEST, json(&digest(size, shard))),
            (names::SIGNALS, signals(size, shard).to_parquet().expect("writes")),
        ],
        "gather" => vec![(names::PAIRS, pairs(size, shard))],
        "rescore" => vec![
            (names::RESCORED, rescored(size, shard).to_parquet().expect("writes")),
            (names::FALLS, json(&WordFalls::default())),
        ],
        "probe" => vec![(names::PROBES, json(&probes())), (names::LOOKS, json(&Looks::default()))],
        "localize" => vec![(names::EXHIBITS, json(&exhibits(size, shard)))],
        "evaluate" => vec![(names::EVALUATION, json(&evaluation()))],
        _ => Vec::new(),
    }
}

fn of_gang(phase: &str) -> Vec<(&'static str, Bytes)> {
    let training = Training { steps: 3, losses: vec![2.0, 1.0, 0.5], samples: 9, world_size: 2, ..Training::default() };
    let mut outputs = vec![(names::TRAINING, json(&training))];
    if phase == "unlearn" {
        outputs.push((names::CLEAN, Bytes::from_static(b"clean weights")));
    }
    outputs
}

fn spec(folder: &Path, size: Size) -> Spec {
    let config = folder.join("model.json");
    std::fs::write(&config, "{}").expect("writes");
    let json = serde_json::json!({
        "audit": { "id": audit().as_str() },
        "model": { "config": config, "checkpoint": "/nowhere/model.safetensors" },
        "data": { "shards": [format!("/nowhere/{{00000..{:05}}}.tar", size.shards - 1)] },
        "select": { "max_share": 0.3 },
        "report": { "pictures": size.pictures },
    });
    serde_json::from_value(json).expect("is a spec")
}

struct Making {
    began: Millis,
    blobs: BlobStore,
    spec: Spec,
    size: Size,
    outputs: Vec<Output>,
    records: Vec<Record>,
}

const ATTEMPT: Attempt = Attempt { term: Term(1), counter: 0 };

fn task(phase: u32, shard: u32) -> TaskId {
    TaskId { audit: audit(), phase: PhaseIndex(phase), shard: ShardId(shard), attempt: ATTEMPT }
}

/// Puts the audit into the work folder's store and blobs.
pub async fn put(work: &Path, size: Size) {
    std::fs::create_dir_all(work).expect("makes");
    let blobs = BlobStore::local(&work.join("blobs")).expect("opens");
    let spec = spec(work, size);
    let plan = plans::build(&spec);
    // What ended long ago would be forgotten.
    let began = Millis(Millis::now().0 - AGO_MS);
    let mut making = Making { began, blobs, spec, size, outputs: Vec::new(), records: Vec::new() };
    let names: Vec<String> = plan.phases.iter().map(|phase| phase.name.clone()).collect();
    for (at, phase) in (0..).zip(&plan.phases) {
        match &phase.kind {
            PhaseKind::Map { .. } => making.map(at, &phase.name).await,
            PhaseKind::Gang { .. } => making.one(at, &phase.name, of_gang(&phase.name)).await,
            PhaseKind::Reduce { .. } => making.reduce(at, &phase.name, &names, work).await,
        }
    }
    let spec_json = serde_json::to_string(&making.spec).expect("is JSON");
    let mut record = AuditRecord::submitted(plan, spec_json, Options::default(), began);
    record.state = AuditState::Succeeded { at: began.plus_ms(AGO_MS) };
    record.outline = Some(Outline { shards: size.shards, samples: BTreeMap::new() });
    making.records.push(Record::Audit(audit(), record));
    let store = Store::open(work).expect("opens");
    let me = Candidate { address: "nowhere".to_owned(), ttl: std::time::Duration::from_secs(20) };
    let reign = store.campaign(&me).await.expect("elects");
    let changes: Vec<Change> = making.records.into_iter().map(Change::Put).collect();
    let outcome = store.commit(Fence { term: reign.term, batch: 1 }, &records::batch(&changes)).await;
    assert!(matches!(outcome, Outcome::Applied), "{outcome:?}");
}

impl Making {
    async fn write(&self, task: &TaskId, outputs: Vec<(&'static str, Bytes)>) -> Vec<NamedBlob> {
        let mut named = Vec::new();
        for (name, bytes) in outputs {
            let blob = self.blobs.put(&attempt_path(task, name), bytes).await.expect("writes");
            named.push(NamedBlob { name: name.to_owned(), blob });
        }
        named
    }

    async fn map(&mut self, at: u32, phase: &str) {
        let mut entries = Vec::new();
        for shard in 0..self.size.shards {
            let blobs = self.write(&task(at, shard), of_shard(self.size, phase, shard)).await;
            let stored = |named: &NamedBlob| StoredBlob {
                name: named.name.as_str().into(),
                size_bytes: named.blob.size_bytes,
                digest: named.blob.digest,
            };
            let read = u64::from(self.size.suspects);
            let counts = Counts { read, scored: read, failed: 0 };
            let outputs = blobs.iter().map(stored).collect();
            entries.push((ShardId(shard), Fate::Done(ShardResult { attempt: ATTEMPT, outputs, counts })));
            self.outputs.push(Output { phase: phase.to_owned(), shard: ShardId(shard), blobs });
        }
        self.records.push(Record::Segment(audit(), PhaseIndex(at), 0, SegmentRecord { entries }));
        self.done(at, Vec::new(), None);
    }

    async fn one(&mut self, at: u32, phase: &str, outputs: Vec<(&'static str, Bytes)>) {
        let blobs = self.write(&task(at, 0), outputs).await;
        self.outputs.push(Output { phase: phase.to_owned(), shard: ShardId(0), blobs: blobs.clone() });
        self.done(at, blobs, None);
    }

    async fn reduce(&mut self, at: u32, phase: &str, names: &[String], work: &Path) {
        if phase == "plan" {
            let listed = json(&shards(self.size));
            return self.one(at, phase, vec![(self::names::SHARDS, listed)]).await;
        }
        let program = ReduceProgram::parse(phase).expect("is a reduce");
        let ctx = ReduceContext {
            audit: audit(),
            task: task(at, 0),
            program,
            spec: self.spec.clone(),
            phase_names: names.to_vec(),
            inputs: match phase {
                "deliver" => self.outputs.iter().filter(|output| output.phase == "report").cloned().collect(),
                _ => self.outputs.clone(),
            },
            blobs: self.blobs.clone(),
            result_folder: result(work),
            view: None,
        };
        let ReduceResult { outputs: blobs, conclusion, .. } =
            reduce::run(ctx).await.unwrap_or_else(|fault| panic!("{phase}: {fault}"));
        self.outputs.push(Output { phase: phase.to_owned(), shard: ShardId(0), blobs: blobs.clone() });
        self.done(at, blobs, conclusion);
    }

    fn done(&mut self, at: u32, outputs: Vec<NamedBlob>, conclusion: Option<Conclusion>) {
        let began = Millis(self.began.0 + u64::from(at) * PHASE_MS);
        let state = PhaseState::Done { at: began.plus_ms(PHASE_MS) };
        let record = PhaseRecord { state, started: Some(began), outputs, conclusion, ..PhaseRecord::waiting() };
        self.records.push(Record::Phase(audit(), PhaseIndex(at), record));
    }
}

fn result(work: &Path) -> PathBuf {
    work.join("delivered")
}
