//! An audit of a data set in four formats: every pair is scored, and is the same pair to it as in a tar.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use lethe_data::{Limits, Sample, content_hash, open_shard};
use lethe_evidence::SuspectTable;
use parquet::arrow::ArrowWriter;

use crate::audit::{Audit, Ended};
use crate::drill::{Drill, Size, set};
use crate::results::Results;

const SIZE: Size = Size { shards: 4, pairs_per_shard: 100 };

#[test]
fn an_audit_reads_every_format_as_the_same_pairs() {
    let drill = Drill::plant(SIZE);
    let mut hashes = BTreeSet::new();
    for (shard, write) in [(1, parquet as Write), (2, csv as Write), (3, json_lines as Write)] {
        let path = drill.path(&format!("{shard}.tar"));
        write(&path, &pairs(&path));
    }
    for shard in 0..SIZE.shards {
        hashes.extend(pairs(&drill.path(&format!("{shard}.tar"))).iter().map(|p| content_hash(&p.image, &p.caption)));
    }
    let spec = drill.spec(|spec| {
        set(spec, "data", "shards", vec!["0.tar", "1.parquet", "2.csv", "3.json?"]);
        spec["unlearn"]["gang"]["steps"] = 4.into();
    });
    let Ended { status, said } = Audit::run(&drill, &spec, "result");
    assert_eq!(status.code(), Some(0), "{said}");
    let results = Results::of(drill.path("result"));
    let report = results.report();
    assert_eq!((report.samples.scored, report.samples.failed), (400, 0), "{:?}", report.bad);
    let suspects =
        SuspectTable::from_parquet(std::fs::read(drill.path("result/suspects.parquet")).expect("reads").into());
    let suspects = suspects.expect("is a table").rows;
    assert!(suspects.iter().all(|suspect| hashes.contains(&suspect.content)), "a pair is another than in its tar");
    let shards: BTreeSet<&str> = suspects.iter().filter_map(|suspect| suspect.key.split('/').next()).collect();
    assert!(shards.len() > 2, "suspects come from {shards:?} only");
}

type Write = fn(&Path, &[Sample]);

fn pairs(shard: &Path) -> Vec<Sample> {
    open_shard(shard, Limits::default()).expect("opens").map(|pair| pair.expect("is whole")).collect()
}

fn parquet(shard: &Path, pairs: &[Sample]) {
    let text = |of: fn(&Sample) -> &String| Arc::new(StringArray::from_iter_values(pairs.iter().map(of))) as ArrayRef;
    let images = Arc::new(BinaryArray::from_iter_values(pairs.iter().map(|pair| &pair.image))) as ArrayRef;
    let columns = [("key", text(|pair| &pair.key)), ("png", images), ("caption", text(|pair| &pair.caption))];
    let batch = RecordBatch::try_from_iter(columns).expect("are columns");
    let file = std::fs::File::create(shard.with_extension("parquet")).expect("creates");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("is a schema");
    writer.write(&batch).expect("writes");
    writer.close().expect("ends");
}

fn csv(shard: &Path, pairs: &[Sample]) {
    let row = |pair: &Sample| format!("{},\"{}\"\n", image_file(shard, pair), pair.caption);
    let rows: String = pairs.iter().map(row).collect();
    std::fs::write(shard.with_extension("csv"), format!("filepath,title\n{rows}")).expect("writes");
}

fn json_lines(shard: &Path, pairs: &[Sample]) {
    let row = |pair: &Sample| {
        let object = serde_json::json!({"key": pair.key, "image": image_file(shard, pair), "text": pair.caption});
        format!("{object}\n")
    };
    std::fs::write(shard.with_extension("jsonl"), pairs.iter().map(row).collect::<String>()).expect("writes");
}

/// Writes a pair's image beside the manifest; gives its name there.
fn image_file(shard: &Path, pair: &Sample) -> String {
    let name = format!("images/{}.png", pair.key);
    let path = shard.with_file_name(&name);
    std::fs::create_dir_all(path.parent().expect("has a folder")).expect("makes it");
    std::fs::write(path, &pair.image).expect("writes");
    name
}
