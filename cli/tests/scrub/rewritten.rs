//! What lies in the folder of clean shards, against what the audit read.

use std::io::{Read, Write};
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float64Array, RecordBatch, StringArray};
use tar::{EntryType, Header};

use crate::audited::{Audited, tar};

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).expect("packs");
    gzip.finish().expect("packs")
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("unpacks");
    plain
}

/// A member as GNU tar and pax write it, with a name that takes an extension where it is long.
fn member(name: &str, body: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = if name.contains("pax") { Header::new_ustar() } else { Header::new_gnu() };
    header.set_size(body.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(1_700_000_000);
    header.set_uid(1_000);
    header.set_username("somebody").expect("is short");
    if name.contains("pax") {
        builder.append_pax_extensions([("path", name.as_bytes()), ("comment", &b"kept"[..])]).expect("writes");
        header.set_entry_type(EntryType::Regular);
        header.set_path("short").expect("is short");
        header.set_cksum();
        builder.append(&header, body).expect("writes");
    } else {
        builder.append_data(&mut header, name, body).expect("writes");
    }
    let bytes = builder.into_inner().expect("ends");
    bytes[..bytes.len() - 1_024].to_vec()
}

fn members(key: &str) -> Vec<u8> {
    let body = |ending: &str| format!("{ending} of {key}").into_bytes();
    let json = br#"{"caption": "ignored", "more": [1, 2]}"#;
    [
        member(&format!("{key}.jpg"), &body("jpg")),
        member(&format!("{key}.txt"), &body("txt")),
        member(&format!("{key}.json"), json),
        member(&format!("{key}.embedding.npy"), &vec![7; 5_000]),
    ]
    .concat()
}

fn ended(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1_024]].concat()
}

#[test]
fn members_of_any_kind_and_name_stay_as_they_are() {
    let (gnu, pax) = (format!("{}/one", "gnu".repeat(60)), format!("{}/two", "pax".repeat(60)));
    let (gnu_kept, pax_kept) = (format!("{gnu}-kept"), format!("{pax}-kept"));
    let index = member("__index__", b"of the shard");
    let broken = member("broken.jpg", b"has no caption");
    let whole = [
        index.clone(),
        members(&gnu),
        members("a"),
        members(&gnu_kept),
        broken.clone(),
        members(&pax),
        members(&pax_kept),
    ];
    let audited = Audited::of(&[("0.tar", ended(&whole))], &[(0, &pax), (0, &gnu)]);
    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    let expected = ended(&[index, members("a"), members(&gnu_kept), broken, members(&pax_kept)]);
    assert!(audited.bytes("clean/0.tar") == expected, "other bytes than the kept members'");
    let counts =
        ["shards", "read", "kept", "dropped", "unreadable", "missing", "bytes_written"].map(|name| &summary[name]);
    assert_eq!(counts.map(|count| count.as_u64().expect("is a count")), [1, 6, 3, 2, 1, 0, expected.len() as u64]);
}

#[test]
fn a_shard_without_a_dropped_sample_is_the_same_file() {
    let packed = packed(&tar(2, 5));
    let cut = tar(3, 5)[..4_000].to_vec();
    let shards = [
        ("a/0.tar", tar(0, 5)),
        ("b/0.tar", tar(1, 5)),
        ("2.tar.gz", packed),
        ("cut.tar", cut),
        ("4.parquet", b"no Parquet".to_vec()),
    ];
    let audited = Audited::of(&shards, &[(0, "0-003")]);
    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    for (name, bytes) in &shards[1..] {
        assert!(audited.bytes(&format!("clean/{name}")) == *bytes, "{name} is another");
    }
    let kept: Vec<String> = audited.samples("clean/a/0.tar").into_iter().map(|sample| sample.key).collect();
    assert_eq!(kept, ["0-000", "0-001", "0-002", "0-004"]);
    assert_eq!((&summary["unreadable_shards"], &summary["dropped"]), (&1.into(), &1.into()), "{summary}");
    let record = String::from_utf8(audited.bytes("clean/scrub.jsonl")).expect("is text");
    let lines: Vec<serde_json::Value> =
        record.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    assert_eq!(
        lines.iter().map(|line| line["shard"].as_str().expect("is a name")).collect::<Vec<_>>(),
        shards.each_ref().map(|shard| shard.0)
    );
    for line in lines {
        let count = |name: &str| line[name].as_u64().expect("is a count");
        assert_eq!(count("read"), count("kept") + count("dropped") + count("unreadable"), "{line}");
        assert_eq!(line["input"] == line["output"], line["dropped"] == 0, "{line}");
    }
}

#[test]
fn a_packed_tar_loses_its_samples_too() {
    let audited = Audited::of(&[("0.tar.gz", packed(&tar(0, 6)))], &[(0, "0-000"), (0, "0-005")]);
    assert_eq!(audited.scrub(&["--out", "clean"]).code, Some(0));
    let keys: Vec<String> = audited.samples("clean/0.tar.gz").into_iter().map(|sample| sample.key).collect();
    assert_eq!(keys, ["0-001", "0-002", "0-003", "0-004"]);
    let plain = tar(0, 6);
    let kept = unpacked(&audited.bytes("clean/0.tar.gz"));
    assert!(plain.windows(kept.len() - 1_024).any(|part| *part == kept[..kept.len() - 1_024]), "members changed");
}

#[test]
fn parquet_loses_its_rows() {
    let rows = 0..30;
    let text = |of: fn(i32) -> String| Arc::new(StringArray::from_iter_values(rows.clone().map(of))) as ArrayRef;
    let images = BinaryArray::from_iter_values(rows.clone().map(|n| format!("image {n}").repeat(50)));
    let columns = [
        ("key", text(|n| format!("{n:09}"))),
        ("jpg", Arc::new(images) as ArrayRef),
        ("caption", text(|n| format!("caption {n}"))),
        ("similarity", Arc::new(Float64Array::from_iter(rows.clone().map(|n| (n % 3 > 0).then_some(f64::from(n)))))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("are columns");
    let properties =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(8)).build();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).expect("begins");
    writer.write(&batch).expect("writes");
    writer.close().expect("ends");
    let audited = Audited::of(&[("0.parquet", bytes)], &[(0, "000000009"), (0, "000000029")]);
    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    assert_eq!((&summary["read"], &summary["kept"]), (&30.into(), &28.into()));
    let kept: Vec<RecordBatch> = opened(&audited.bytes("clean/0.parquet")).collect::<Result<_, _>>().expect("reads");
    let kept = kept.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| batch.slice(at, 1))).collect::<Vec<_>>();
    let expected: Vec<RecordBatch> =
        rows.filter(|n| ![9, 29].contains(n)).map(|n| batch.slice(n as usize, 1)).collect();
    assert_eq!(kept, expected);
}

fn opened(bytes: &[u8]) -> parquet::arrow::arrow_reader::ParquetRecordBatchReader {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).expect("is Parquet");
    builder.build().expect("reads")
}

#[test]
fn a_twin_under_a_dropped_key_goes_as_well() {
    let shard = ended(&[members("a"), members("b"), members("a")]);
    let audited = Audited::of(&[("0.tar", shard)], &[(0, "a")]);
    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    assert_eq!((&summary["dropped"], &summary["kept"]), (&2.into(), &1.into()), "nobody scored the second one");
    assert!(audited.bytes("clean/0.tar") == ended(&[members("b")]));
}
