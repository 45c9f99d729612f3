//! What is refused, and what the messages say to do.

use crate::audited::{Audited, tar};

fn two() -> Audited {
    Audited::of(&[("0.tar", tar(0, 8)), ("1.tar", tar(1, 8))], &[(0, "0-003"), (1, "1-001")])
}

#[test]
fn a_changed_shard_is_refused_and_the_others_are_written() {
    let audited = two();
    std::fs::write(audited.path("shards/1.tar"), tar(1, 9)).expect("changes");
    let error = audited.scrub(&["--out", "clean"]).error(1);
    assert!(error.contains("1 of 2 shards") && error.contains("1.tar changed since the audit was planned"), "{error}");
    assert_eq!(audited.files("clean").into_keys().collect::<Vec<_>>(), ["0.tar", "scrub.jsonl"]);
    std::fs::write(audited.path("shards/1.tar"), tar(1, 8)).expect("is as it was");
    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    assert_eq!((&summary["already_there"], &summary["dropped"]), (&1.into(), &2.into()));
}

#[test]
fn entries_that_are_nowhere_are_told_unless_that_is_allowed() {
    let audited = two();
    let list = String::from_utf8(audited.bytes("march/drop-list.txt")).expect("is text");
    std::fs::write(audited.path("mine.txt"), format!("{list}0.tar/gone\n")).expect("writes");
    let mine = ["--out", "clean", "--drop", "mine.txt"];
    let error = audited.scrub(&mine).error(1);
    assert!(error.contains("1 samples of the drop list are not in it") && error.contains("first: gone"), "{error}");
    assert!(error.contains("--allow-missing"), "{error}");
    assert!(!audited.path("clean/0.tar").exists() && audited.path("clean/1.tar").exists());
    let allowed = audited.scrub(&[&mine[..], &["--allow-missing", "--output", "json"]].concat()).json();
    assert_eq!((&allowed["missing"], &allowed["dropped"]), (&1.into(), &2.into()));
    // What was allowed once is not taken as done without it.
    audited.scrub(&mine).error(1);
}

#[test]
fn a_sample_of_another_content_is_not_the_listed_one() {
    let mut audited = two();
    // The audit's list is of another state of the shard than its listing.
    let changed = {
        let mut writer = lethe_data::ShardWriter::new(Vec::new());
        writer.append("0-003", b"another picture", "jpg", "caption 3").expect("writes");
        writer.finish().expect("ends")
    };
    std::fs::write(audited.path("shards/0.tar"), &changed).expect("changes");
    audited.shards()[0].size_bytes = changed.len() as u64;
    audited.shards()[0].pin = lethe_common::pin::Pin::Digest(lethe_common::blob::Digest::of(&changed));
    audited.plan_again();
    for arguments in [&["--out", "clean"][..], &["--out", "clean", "--allow-missing"]] {
        let error = audited.scrub(arguments).error(1);
        assert!(error.contains("sample \"0-003\" has the content hash"), "{error}");
    }
    assert!(!audited.path("clean/0.tar").exists());
}

#[test]
fn bad_input_is_told_before_anything_is_written() {
    let audited = two();
    let refused = |arguments: &[&str], expected: &str| {
        let error = audited.scrub(arguments).error(2);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    };
    refused(&["--out", "shards"], "would write over the shard");
    refused(&[], "--keep-list");
    refused(&["--out", "clean", "--keep-list", "keep.txt"], "cannot be used with");
    refused(&["--out", "clean", "--drop", "nowhere.txt"], "nowhere.txt");
    refused(
        &["--out", "clean", "--shards", "shards/1.tar"],
        "1 shards of the audit are not among the files, the first: 0.tar",
    );
    std::fs::write(audited.path("other.txt"), "april/0.tar/0-003\n").expect("writes");
    refused(&["--out", "clean", "--drop", "other.txt"], "is it another audit's list?");
    std::fs::remove_dir_all(audited.path("march/.lethe")).expect("is ours");
    refused(&["--out", "clean"], "blobs/march/000/0000000/*/shards.json");
    std::fs::write(audited.path("shards.json"), audited.listing()).expect("writes");
    assert!(!audited.path("clean").exists());
    assert_eq!(audited.scrub(&["--out", "clean", "--listing", "shards.json"]).code, Some(0));
    std::fs::remove_file(audited.path("march/report.json")).expect("is ours");
    refused(&["--out", "clean"], "expected the result folder of an audit");
}

/// What an audit does not stand by may name honest samples.
#[test]
fn the_list_of_a_rejected_result_is_not_followed_unless_told() {
    let audited = Audited::of(&[("0.csv", "filepath,title\na.jpg,one\nb.jpg,two\n".into())], &[]);
    for name in ["a.jpg", "b.jpg"] {
        std::fs::write(audited.path("shards").join(name), name).expect("writes");
    }
    let path = audited.path("march/report.json");
    let mut report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("reads")).expect("is JSON");
    report["verdict"] = "rejected".into();
    std::fs::write(&path, report.to_string()).expect("writes");
    let error = audited.scrub(&["--keep-list", "keep.txt"]).error(2);
    assert!(error.contains("rejected its own result") && error.contains("--rejected"), "{error}");
    assert!(!audited.path("keep.txt").exists());
    assert_eq!(audited.scrub(&["--keep-list", "keep.txt", "--rejected"]).code, Some(0));
    std::fs::write(audited.path("mine.txt"), "0.csv/a.jpg\n").expect("writes");
    let mine = ["--keep-list", "mine-kept.txt", "--drop", "mine.txt"];
    assert_eq!(audited.scrub(&mine).code, Some(0), "a list of one's own is one's own");
}

#[test]
fn a_manifest_can_only_be_listed() {
    let rows = "filepath,title\na.jpg,one\nb.jpg,two\n";
    let audited = Audited::of(&[("0.csv", rows.into())], &[]);
    for name in ["a.jpg", "b.jpg"] {
        std::fs::write(audited.path("shards").join(name), name).expect("writes");
    }
    let error = audited.scrub(&["--out", "clean"]).error(2);
    assert!(error.contains("--keep-list"), "{error}");
    std::fs::write(audited.path("mine.txt"), "0.csv/a.jpg\n").expect("writes");
    assert_eq!(audited.scrub(&["--keep-list", "keep.txt", "--drop", "mine.txt"]).code, Some(0));
    assert_eq!(audited.bytes("keep.txt"), b"0.csv/b.jpg\n");
}
