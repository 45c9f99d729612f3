//! Broken samples in an audit's data: counted, listed with their reasons, and within a limit no obstacle.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use crate::audit::{Audit, Ended};
use crate::drill::{Drill, Size, set};
use crate::results::Results;

const GOOD: u64 = 600;
const SIZE: Size = Size { shards: 3, pairs_per_shard: 200 };

/// The broken samples, and what each one's reason must say.
const BROKEN: [(&str, &str); 5] = [
    ("bad/jpeg", "image"),
    ("bad/caption", "its caption is not UTF-8"),
    ("bad/lonely-text", "it has no image"),
    ("bad/lonely-image", "it has no caption"),
    ("bad/cut", "the tar ends"),
];

#[test]
fn broken_samples_are_counted_and_listed() {
    let drill = drill();
    let spec = drill.spec(|spec| {
        set(spec, "data", "shards", vec![drill.pattern(), "broken.tar".to_owned()]);
        spec["unlearn"]["gang"]["steps"] = 4.into();
    });
    let Ended { status, said } = Audit::run(&drill, &spec, "result");
    assert_eq!(status.code(), Some(0), "{said}");
    let results = Results::of(drill.path("result"));
    let report = results.report();
    let counts = (report.samples.read, report.samples.scored, report.samples.failed);
    assert_eq!(counts, (GOOD + 5, GOOD, 5), "{:?}", report.bad);
    assert_eq!((results.scores().len() as u64, report.bad.count), (GOOD, 5));
    let reasons: BTreeMap<&str, &str> = report.bad.listed.iter().map(|b| (b.key.as_str(), b.reason.as_str())).collect();
    for (key, reason) in BROKEN {
        assert!(reasons.get(key).is_some_and(|found| found.contains(reason)), "{key}: {reasons:?}");
    }
}

#[test]
fn too_many_broken_samples_end_the_audit() {
    let drill = drill();
    let spec = drill.spec(|spec| {
        set(spec, "data", "shards", vec![drill.pattern(), "broken.tar".to_owned()]);
        set(spec, "data", "max_failed_share", 0.001);
    });
    let Ended { status, said } = Audit::run(&drill, &spec, "result");
    assert_eq!(status.code(), Some(1), "{said}");
    let error =
        said.lines().rfind(|line| line.starts_with("error:")).unwrap_or_else(|| panic!("no error line: {said}"));
    for part in ["5 of 605 samples could not be read", "data.max_failed_share is 0.001", "bad/"] {
        assert!(error.contains(part), "{error} does not say {part:?}");
    }
    assert!(!drill.path("result/report.json").exists(), "a failed audit published a report");
}

fn drill() -> Drill {
    let drill = Drill::plant(SIZE);
    write_broken(&drill.path("broken.tar"));
    drill
}

/// A shard of broken samples only; its last member lacks its end.
fn write_broken(path: &Path) {
    let mut tar = tar::Builder::new(File::create(path).expect("creates a shard"));
    let jpeg = b"\xff\xd8\xff\xe0 no picture follows".as_slice();
    let picture = lethe_data::encode_png(&[128; 28 * 28 * 3], 28).expect("encodes");
    for (name, body) in [
        ("bad/jpeg.jpg", jpeg),
        ("bad/jpeg.txt", b"a coat"),
        ("bad/caption.png", &picture),
        ("bad/caption.txt", b"a \xff\xfe coat"),
        ("bad/lonely-text.txt", b"a coat"),
        ("bad/lonely-image.png", &picture),
        ("bad/cut.png", &[7; 4_096]),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, body).expect("writes a member");
    }
    let whole = tar.into_inner().and_then(|file| Ok(file.metadata()?.len())).expect("ends the shard");
    let end_blocks = 1_024;
    File::options().write(true).open(path).and_then(|file| file.set_len(whole - end_blocks - 2_000)).expect("cuts");
}
