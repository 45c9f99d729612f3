use std::path::PathBuf;

use lethe_common::blob::{BlobRef, NamedBlob};
use lethe_common::ids::PhaseIndex;
use lethe_common::pin::Pin;
use lethe_common::record::{Data, Deed, Found, ModelFile, OutputFile, SPEC};
use lethe_common::time::Millis;
use lethe_coordinator::store::{Candidate, Fence, Outcome, Store, records};
use lethe_engine::{Change, PhaseRecord, Record as Stored};
use lethe_evidence::artifacts::{ShardEntry, Shards, names};
use tempfile::TempDir;

use super::*;

/// A byte of the record is flipped at every so many: each costs a copy of the store.
const STRIDE: usize = 41;

/// A delivered result with its state, its model and its shards.
struct Delivered {
    folder: TempDir,
}

impl Delivered {
    fn new() -> Self {
        let delivered = Self { folder: tempfile::tempdir().expect("makes a folder") };
        std::fs::create_dir_all(delivered.path("march/.lethe")).expect("makes the result");
        for n in 0..2 {
            std::fs::write(delivered.path(&format!("{n}.tar")), format!("shard {n}")).expect("writes");
        }
        std::fs::write(delivered.path("m.safetensors"), "weights").expect("writes");
        delivered.write("report.json", b"{}");
        delivered.write("clean.safetensors", b"clean weights");
        delivered.write("empty.txt", b"");
        delivered.write(names::SHARDS, &serde_json::to_vec(&delivered.shards()).expect("is JSON"));
        delivered.write(SPEC, delivered.spec().as_bytes());
        let record = serde_json::to_vec_pretty(&delivered.record()).expect("is JSON");
        delivered.write(RECORD, &record);
        delivered.keep(Digest::of(&record));
        delivered
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path("march").join(name), bytes).expect("writes");
    }

    fn spec(&self) -> String {
        let shards = [0, 1].map(|n| self.path(&format!("{n}.tar")));
        format!(
            r#"{{"audit": {{"id": "march"}}, "model": {{"checkpoint": "m", "config": "c", "trusted": null}}, "data": {{"shards": {shards:?}}}}}"#
        )
    }

    fn shards(&self) -> Shards {
        let shard = |id: u32| ShardEntry {
            id,
            name: format!("{id}.tar"),
            path: self.path(&format!("{id}.tar")).display().to_string(),
            size_bytes: 7,
            pin: Pin::Digest(Digest::of(format!("shard {id}").as_bytes())),
        };
        Shards { dataset: "march".to_owned(), shards: vec![shard(0), shard(1)], total_bytes: 14 }
    }

    fn record(&self) -> Record {
        let output = |name: &str| {
            let bytes = std::fs::read(self.path("march").join(name)).expect("is there");
            OutputFile { name: name.to_owned(), size_bytes: bytes.len() as u64, blake3: Digest::of(&bytes) }
        };
        let found = Found::Whole { size_bytes: 7, blake3: Digest::of(b"weights") };
        Record {
            version: VERSION,
            audit: lethe_common::ids::AuditId::new("march").expect("is an id"),
            rerun_of: None,
            code: lethe_coordinator::code::built(),
            history: vec![Deed { at_ms: 1, by: "ann".to_owned(), what: "submitted".to_owned() }],
            model: vec![ModelFile { field: "model.checkpoint".to_owned(), path: self.path("m.safetensors"), found }],
            data: Some(Data {
                listing: names::SHARDS.to_owned(),
                shards: 2,
                size_bytes: 14,
                pinned: [("BLAKE3".to_owned(), 2)].into(),
            }),
            outputs: ["report.json", "clean.safetensors", "empty.txt", names::SHARDS, SPEC].map(output).to_vec(),
        }
    }

    /// The audit's state, as the coordinator of `lethe audit` leaves it.
    fn keep(&self, record: Digest) {
        let blob = BlobRef { path: "march/001/0000000/1.0/record.json".to_owned(), size_bytes: 1, digest: record };
        let outputs = vec![NamedBlob { name: RECORD.to_owned(), blob }];
        let phase = PhaseRecord { outputs, started: Some(Millis(1)), ..PhaseRecord::waiting() };
        let audit = lethe_common::ids::AuditId::new("march").expect("is an id");
        let store = Store::open(&self.path("march/.lethe")).expect("opens");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
        runtime.block_on(async {
            let ttl = std::time::Duration::from_secs(4);
            let reign = store.campaign(&Candidate { address: "http://test.invalid:1".to_owned(), ttl }).await;
            let fence = Fence { term: reign.expect("is elected").term, batch: 1 };
            let batch = records::batch(&[Change::Put(Stored::Phase(audit, PhaseIndex(1), phase))]);
            assert!(matches!(store.commit(fence, &batch).await, Outcome::Applied));
        });
    }

    fn verify(&self, data: bool) -> anyhow::Result<Vec<Finding>> {
        let arguments = Verify {
            result: self.path("march"),
            data,
            shards: Vec::new(),
            spec: None,
            record: None,
            coordinator: Vec::new(),
            tls: None,
            output: Format::Json,
        };
        let (record, digest) = read(&arguments.result)?;
        findings(&arguments, &record, digest)
    }

    /// Whether something is noticed while one byte of a file is another; it is put back afterwards.
    fn notices(&self, file: &str, at: usize) -> bool {
        let path = self.path(file);
        let whole = std::fs::read(&path).expect("is there");
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).expect("is ours");
        let noticed = self.verify(true).map_or(true, |findings| findings.iter().any(Finding::fails));
        std::fs::write(&path, whole).expect("is ours");
        noticed
    }
}

fn failing(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.fails()).collect()
}

#[test]
fn a_result_as_it_was_delivered_is_well() {
    let delivered = Delivered::new();
    for data in [false, true] {
        let findings = delivered.verify(data).expect("has a record");
        assert!(failing(&findings).is_empty(), "{findings:#?}");
        let left_out = findings.iter().filter(|finding| finding.state == State::NotChecked).count();
        assert_eq!(left_out, usize::from(!data), "only shards are left out, and that is said: {findings:#?}");
    }
}

#[test]
fn a_byte_that_is_another_is_noticed_in_every_file() {
    let delivered = Delivered::new();
    let result = ["report.json", "clean.safetensors", names::SHARDS, SPEC].map(|name| format!("march/{name}"));
    let inputs = ["0.tar", "1.tar", "m.safetensors"].map(str::to_owned);
    for file in result.iter().chain(&inputs) {
        for at in [0, 1] {
            assert!(delivered.notices(file, at), "byte {at} of {file} may be another unnoticed");
        }
    }
    let record_bytes = std::fs::metadata(delivered.path("march/record.json")).expect("is there").len() as usize;
    for at in (0..record_bytes).step_by(STRIDE).chain([record_bytes - 1]) {
        assert!(delivered.notices("march/record.json", at), "byte {at} of the record may be another unnoticed");
    }
    assert!(failing(&delivered.verify(true).expect("has a record")).is_empty(), "all is as it was again");
}

#[test]
fn what_is_gone_cut_or_grown_is_told_by_name() {
    for (name, bytes, state) in [
        ("report.json", None, State::Missing),
        ("clean.safetensors", Some(&b"clean"[..]), State::Changed),
        ("empty.txt", Some(b"x"), State::Changed),
    ] {
        let delivered = Delivered::new();
        match bytes {
            Some(bytes) => delivered.write(name, bytes),
            None => std::fs::remove_file(delivered.path("march").join(name)).expect("goes"),
        }
        let findings = delivered.verify(false).expect("has a record");
        let found: Vec<_> = failing(&findings).iter().map(|finding| (finding.what.as_str(), finding.state)).collect();
        assert_eq!(found, [(name, state)]);
    }
}

#[test]
fn a_record_with_no_witness_says_so_and_fails_only_where_one_was_named() {
    let delivered = Delivered::new();
    std::fs::remove_dir_all(delivered.path("march/.lethe")).expect("goes");
    let findings = delivered.verify(false).expect("has a record");
    let record = findings.iter().find(|finding| finding.what == RECORD).expect("is told");
    assert!(record.state == State::NotChecked && record.why.contains("--coordinator"), "{record:?}");
    assert!(failing(&findings).is_empty());
}

#[test]
fn a_record_of_a_later_form_is_not_guessed_at() {
    let delivered = Delivered::new();
    let mut record = serde_json::to_value(delivered.record()).expect("is JSON");
    record["version"] = (VERSION + 1).into();
    delivered.write(RECORD, record.to_string().as_bytes());
    let refused = delivered.verify(false).expect_err("is refused").to_string();
    assert!(refused.contains("the release that wrote it"), "{refused}");
}
