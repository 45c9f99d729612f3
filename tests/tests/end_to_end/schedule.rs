//! Audits of one schedule, each of which keeps the scores of shards that have not changed since the one before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lethe_common::earlier::{Changes, Drops, SinceEarlier};

use crate::drill::{Drill, Size, set};
use crate::results::Results;
use crate::service::{Service, said};

/// What the phase `score` left of each of an audit's shards, by shard and name.
fn scores(service: &Service, day: u32) -> BTreeMap<(String, String), Vec<u8>> {
    let phase = service.folder.join(format!("work/blobs/nightly-202611{day}t0200z/002"));
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        entries.map(|entry| entry.expect("lists").path()).collect()
    };
    let name = |path: &Path| path.file_name().expect("has a name").to_string_lossy().into_owned();
    let mut found = BTreeMap::new();
    for shard in list(&phase) {
        for blob in list(&shard).iter().flat_map(|attempt| list(attempt)) {
            found.insert((name(&shard), name(&blob)), std::fs::read(&blob).expect("reads"));
        }
    }
    found
}

#[test]
fn the_next_of_a_schedule_scores_what_is_new_and_tells_it() {
    let drill = Drill::plant(Size { shards: 6, pairs_per_shard: 100 });
    let service = Service::start(&drill, &[], &[]);
    let fired = |day: u32, shards: &str, more: &[&str]| {
        let spec = drill.spec(|spec| {
            spec["unlearn"]["gang"]["steps"] = 4.into();
            set(spec, "data", "shards", toml::Value::Array(vec![shards.into()]));
        });
        let (spec, time) = (spec.to_string_lossy().into_owned(), format!("2026-11-{day}T02:00:00Z"));
        let words = ["submit", &spec, "--schedule", "nightly", "--scheduled-at", &time, "--follow"];
        let ended = service.lethe("ann", &[&words[..], more].concat());
        assert!(matches!(ended.status.code(), Some(0 | 3)), "{}\n{}", said(&ended), service.account());
        let id = format!("nightly-202611{day}t0200z");
        let results = Results::of(service.folder.join(format!("results/{id}")));
        let report = results.report();
        assert_eq!(ended.status.success(), report.verdict.is_accepted(), "{:?}: {}", report.verdict, said(&ended));
        let shown = service.lethe("ann", &["show", &id, "--output", "json"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("is JSON");
        assert_eq!((&shown["verdict"], &shown["headline"]), (&report.verdict.as_str().into(), &report.headline.into()));
        results
    };
    let first = fired(27, "{1..5}.tar", &[]);
    assert_eq!(first.report().since, None);
    let second = fired(28, "{0..5}.tar", &[]);
    let since = SinceEarlier {
        audit: "nightly-20261127t0200z".to_owned(),
        shards: Some(Changes { unchanged: 5, changed: 0, new: 1, gone: 0 }),
        kept: 5,
        anew: None,
        drops: second.report().since.and_then(|since| since.drops),
    };
    assert_eq!(second.report().since, Some(since));
    let (before, after) = (scores(&service, 27), scores(&service, 28));
    assert_eq!((before.len() % 5, after.len() / 6), (0, before.len() / 5));
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "a score is another");
    let Some(Drops { new, no_longer }) = second.report().since.and_then(|since| since.drops) else {
        panic!("the earlier drop list is not known")
    };
    let dropped = |results: &Results| results.report().forget;
    assert_eq!(dropped(&second) + no_longer, dropped(&first) + new, "what came and what went");

    // Nothing is new: the same, whoever fires it again.
    let third = fired(29, "{0..5}.tar", &[]);
    let since = third.report().since.expect("goes on from the second");
    assert_eq!((since.audit.as_str(), since.kept), ("nightly-20261128t0200z", 6));
    assert!(scores(&service, 29) == after, "a score is another");

    // Another reference set gives other scores.
    let full = fired(30, "{0..5}.tar", &["--full"]);
    assert_eq!(full.report().since, None);
    assert!(scores(&service, 30) != after, "it was drawn from six shards");

    // Who scores again has all of it computed, by whatever plan.
    let again = service.lethe("ann", &["rerun", "nightly-20261128t0200z", "--from", "score", "--id", "again"]);
    assert!(again.status.success(), "{}", said(&again));
    let watched = service.lethe("ann", &["watch", "again"]);
    assert!(matches!(watched.status.code(), Some(0 | 3)), "{}", said(&watched));
    assert_eq!(Results::of(service.folder.join("results/again")).report().since, None);
}
