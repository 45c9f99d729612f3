//! What an audit said to drop is dropped, and its record vouches for all that it names: on a real result folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use lethe_data::{Limits, open_shard};

use crate::audit::{Audit, binary};
use crate::drill::{Drill, Size};

const SIZE: Size = Size { shards: 3, pairs_per_shard: 100 };

#[test]
fn a_scrubbed_data_set_is_the_audited_one_without_its_drop_list() {
    let drill = Drill::plant(SIZE);
    let spec = drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = 4.into());
    let ended = Audit::run(&drill, &spec, "result");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.said);
    verified(&drill, &spec);
    let text = std::fs::read_to_string(drill.path("result/drop-list.txt")).expect("is there");
    let dropped: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert!(!dropped.is_empty(), "the audit drops nothing, so that this test proves nothing");

    let scrub = |arguments: &[&str]| {
        let mut command = Command::new(binary("lethe"));
        let output =
            command.current_dir(drill.path("")).args(["scrub", "result"]).args(arguments).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    scrub(&["--out", "clean"]);
    scrub(&["--keep-list", "keep.txt"]);
    let mut kept = BTreeSet::new();
    for shard in 0..SIZE.shards {
        let name = format!("{shard}.tar");
        let (before, after) = (keys(&drill.path(&name), &name), keys(&drill.path(&format!("clean/{name}")), &name));
        assert_eq!(after, before.difference(&dropped).cloned().collect());
        kept.extend(after);
    }
    assert_eq!(kept.len(), SIZE.shards * SIZE.pairs_per_shard - dropped.len());
    let list = std::fs::read_to_string(drill.path("keep.txt")).expect("is there");
    assert_eq!(list.lines().map(str::to_owned).collect::<BTreeSet<_>>(), kept);
}

/// As it was delivered, with every shard and the spec; and not with one byte of any file another.
fn verified(drill: &Drill, spec: &Path) {
    let verify = || {
        let mut command = Command::new(binary("lethe"));
        command.current_dir(drill.path("")).args(["verify", "result", "--data", "--spec"]).arg(spec);
        command.env_remove("LETHE_COORDINATOR").output().expect("runs")
    };
    let output = verify();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("not checked"), "{said}");
    let files = std::fs::read_dir(drill.path("result")).expect("lists").map(|entry| entry.expect("lists").path());
    for file in files.filter(|file| file.is_file()) {
        let mut bytes = std::fs::read(&file).expect("is there");
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).expect("is ours");
        assert_eq!(verify().status.code(), Some(1), "{} may be another unnoticed:\n{said}", file.display());
        bytes[at] ^= 1;
        std::fs::write(&file, &bytes).expect("is ours");
    }
    assert!(verify().status.success(), "all is as it was again");
}

fn keys(shard: &Path, name: &str) -> BTreeSet<String> {
    let samples = open_shard(shard, Limits::default()).expect("opens");
    samples.map(|sample| format!("{name}/{}", sample.expect("is whole").key)).collect()
}
