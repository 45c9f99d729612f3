//! The list of samples to keep.

use lethe_data::content_hash;
use lethe_evidence::artifacts::{KeepRow, read_keep};

use crate::audited::{Audited, tar};

fn audited() -> Audited {
    let shards: Vec<(String, Vec<u8>)> = (0..12).map(|n| (format!("part/{n:02}.tar"), tar(n, 20 + n))).collect();
    let shards: Vec<(&str, Vec<u8>)> = shards.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    Audited::of(&shards, &[(0, "0-003"), (11, "11-030"), (11, "11-000")])
}

#[test]
fn every_kept_sample_is_listed_in_the_audits_order() {
    let audited = audited();
    let summary = audited.scrub(&["--keep-list", "keep.parquet", "--jobs", "5", "--output", "json"]).json();
    let mut expected = Vec::new();
    for n in 0..12 {
        let name = format!("part/{n:02}.tar");
        for sample in audited.samples(&format!("shards/{name}")) {
            let content = content_hash(&sample.image, &sample.caption);
            expected.push((name.clone(), KeepRow { key: sample.key, content }));
        }
    }
    expected.retain(|(_, row)| !["0-003", "11-030", "11-000"].contains(&row.key.as_str()));
    assert_eq!(read_keep(audited.bytes("keep.parquet").into()).expect("is a list"), expected);
    assert_eq!((&summary["kept"], &summary["dropped"]), (&expected.len().into(), &3.into()));
    audited.scrub(&["--keep-list", "keep.txt"]);
    let lines: String = expected.iter().map(|(shard, row)| format!("{shard}/{}\n", row.key)).collect();
    assert_eq!(String::from_utf8(audited.bytes("keep.txt")).expect("is text"), lines);
}

#[test]
fn a_list_that_would_lack_a_shard_is_not_written() {
    let audited = audited();
    std::fs::write(audited.path("shards/part/07.tar"), tar(7, 3)).expect("changes");
    let error = audited.scrub(&["--keep-list", "keep.parquet"]).error(1);
    assert!(error.contains("07.tar changed since the audit"), "{error}");
    let left: Vec<_> = std::fs::read_dir(audited.path("")).expect("lists").filter_map(Result::ok).collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().contains("keep")), "{left:?}");
}
