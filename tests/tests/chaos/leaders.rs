//! The leading coordinator is killed or stopped: the standby goes on, and nothing of the old one becomes real.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::Signal;
use tonic::Code;

use crate::cluster::{AUDIT, Cluster, Shape, spec_json};
use crate::results::Results;
use crate::stage::{drill_spec, is_running, scenario};

#[test]
fn leader_killed_in_mid_score() {
    scenario("leader killed in mid-score", Shape::usual(), |mut cluster, undisturbed| {
        let leader = cluster.leader();
        let before = cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 3);
        cluster.coordinator(leader.0).kill();
        let term = cluster.wait_for_takeover(leader);
        let results = cluster.finish();
        let again = scored_in(&results, term);
        let left = before.total - before.done;
        assert!(
            again <= left,
            "{again} shards were scored again, of {} that were committed {left} were left",
            before.done
        );
        assert!(again > 0, "nothing was left to do: the kill came too late");
        results.assert_equal(undisturbed, "the leader killed while scoring");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn leader_killed_in_mid_unlearn() {
    scenario("leader killed in mid-unlearn", Shape::usual(), |mut cluster, undisturbed| {
        let leader = cluster.leader();
        let before = cluster.wait_for("unlearn", "some steps in", |unlearn| is_running(unlearn) && unlearn.done >= 3);
        assert!(before.done < before.total, "the training was over before the kill: {before:?}");
        cluster.coordinator(leader.0).kill();
        let term = cluster.wait_for_takeover(leader);
        let results = cluster.finish();
        assert_eq!(scored_in(&results, term), 0, "shards were scored again");
        results.assert_equal(undisturbed, "the leader killed while unlearning");
    });
}

/// A person reads the report under one leader and approves under the next; nothing is given away before.
#[test]
fn leader_killed_while_a_person_is_asked() {
    let shape = Shape { approval: true, ..Shape::usual() };
    scenario("leader killed while a person is asked", shape, |mut cluster, undisturbed| {
        cluster.wait("a result to approve", |c| c.operator.view(AUDIT).is_some_and(|view| view.awaits_approval));
        let leader = cluster.leader();
        let folder = tempfile::tempdir().expect("makes a folder");
        let out = folder.path().to_str().expect("is UTF-8");
        let fetched = cluster.lethe(&["fetch", AUDIT, "--out", out]);
        assert!(fetched.status.success(), "{fetched:?}");
        assert!(String::from_utf8_lossy(&fetched.stdout).contains("withheld until it is approved"), "{fetched:?}");
        assert!(folder.path().join("report.html").is_file() && !folder.path().join("clean.safetensors").exists());
        let refused = cluster.lethe(&["fetch", AUDIT, "clean.safetensors", "--out", out]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");

        cluster.coordinator(leader.0).kill();
        cluster.wait_for_takeover(leader);
        cluster.wait("the same question", |c| c.operator.view(AUDIT).is_some_and(|view| view.awaits_approval));
        assert!(!cluster.results().join("report.json").exists(), "it was delivered before anybody approved");
        let approved = cluster.lethe(&["approve", AUDIT, "--by", "ann"]);
        assert!(approved.status.success(), "{approved:?}");
        let results = cluster.finish();
        results.assert_equal(undisturbed, "the leader killed while a person was asked");
        let view = cluster.operator.view(AUDIT).expect("is there");
        let approvals =
            view.history.iter().filter(|deed| (deed.by.as_str(), deed.what.as_str()) == ("ann", "approved"));
        assert_eq!(approvals.count(), 1, "{:?}", view.history);
        let fetched = cluster.lethe(&["fetch", AUDIT, "--out", out]);
        assert!(fetched.status.success(), "{fetched:?}");
        let read = |folder: &Path| std::fs::read(folder.join("clean.safetensors")).expect("lies there");
        assert_eq!(read(folder.path()), read(&cluster.results()), "what is fetched is what is delivered");
    });
}

/// It wakes long after the audit was delivered by another, with a submission in its ears.
#[test]
fn leader_stopped_until_deposed() {
    scenario("leader stopped until deposed, then continued", Shape::usual(), |mut cluster, undisturbed| {
        let leader = cluster.leader();
        let deposed = leader.0;
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        cluster.coordinator(deposed).signal(Signal::SIGSTOP);
        cluster.wait_for_takeover(leader);
        let results = cluster.finish();
        let delivered = files(&cluster.results());
        let ghost = spec_json(&drill_spec(), "ghost");
        let call = cluster.operator.begin_submit(cluster.address(deposed), "ghost", ghost);
        assert_eq!(cluster.log_of(deposed).matches("another leads").count(), 0, "it was deposed too early");

        cluster.coordinator(deposed).signal(Signal::SIGCONT);
        cluster.wait("the deposed leader standing by", |c| c.log_of(deposed).contains("another leads; standing by"));
        cluster.operator.end_submit(call).expect_err("a deposed leader took an audit");
        let heir = cluster.address(1 - deposed).to_owned();
        cluster.wait("the deposed leader names the other", |c| names(c, deposed, &heir));
        assert!(cluster.coordinator(deposed).is_up());
        let audits = cluster.operator.audits().expect("the new leader answers");
        assert!(audits.iter().all(|audit| audit.audit != "ghost"), "a deposed leader's audit is real");
        assert_eq!(files(&cluster.results()), delivered, "a deposed leader touched the results");
        results.assert_equal(undisturbed, "the leader stopped until it was deposed");
    });
}

fn names(cluster: &Cluster, standby: usize, leader: &str) -> bool {
    let Err(refusal) = cluster.operator.cluster(standby) else { return false };
    refusal.code() == Code::Unavailable && refusal.metadata().get("lethe-leader").is_some_and(|l| l == leader)
}

/// Shards that a leader of this term had scored.
fn scored_in(results: &Results, term: u64) -> u64 {
    let prefix = format!("{term}.");
    results.attempts("score").values().filter(|tries| tries.iter().any(|t| t.starts_with(&prefix))).count() as u64
}

/// Every file of a result folder: which it is, how long, and when it was written, to the nanosecond.
fn files(folder: &Path) -> BTreeMap<String, (u64, u64, i64, i64)> {
    let entries = std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("lists"));
    let facts = |entry: std::fs::DirEntry| {
        let facts = entry.metadata().expect("is there");
        (
            entry.file_name().to_string_lossy().into_owned(),
            (facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()),
        )
    };
    entries.map(facts).collect()
}
