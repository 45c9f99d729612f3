//! Members of etcd are killed or stopped, one or all: the control plane waits, and goes on.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Shape};
use crate::results::Results;
use crate::stage::{is_running, patient_scenario, scenario};

#[test]
fn etcd_leader_killed() {
    scenario("etcd leader killed in mid-score", Shape::usual(), |mut cluster, undisturbed| {
        let victim = member_killed(&mut cluster, |leader| leader, undisturbed);
        assert_ne!(cluster.etcd.leader().expect("has one"), victim, "the killed member leads");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn etcd_member_killed() {
    scenario("etcd member killed in mid-score", Shape::usual(), |mut cluster, undisturbed| {
        let victim = member_killed(&mut cluster, |leader| (leader + 1) % 3, undisturbed);
        cluster.etcd.restart(victim).expect("starts again");
        cluster.etcd.wait_healthy().expect("the member that was away is healthy");
    });
}

/// The killed one, chosen by which member leads.
fn member_killed(cluster: &mut Cluster, choose: impl Fn(usize) -> usize, undisturbed: &Results) -> usize {
    let before = cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
    let victim = choose(cluster.etcd.leader().expect("has one"));
    cluster.etcd.kill(victim);
    let score = cluster.wait_for("score", "going on", |score| score.done > before.done);
    assert!(before.done < before.total, "nothing was left to do: {score:?}");
    let results = cluster.finish();
    results.assert_equal(undisturbed, "a member of etcd killed");
    assert_all_up(cluster);
    victim
}

#[test]
#[ignore = "long: make chaos"]
fn etcd_stopped_for_10_s() {
    scenario("all etcd members stopped for 10 s", Shape::usual(), |cluster, undisturbed| {
        all_stopped(cluster, undisturbed, Duration::from_secs(10));
    });
}

#[test]
#[ignore = "long: make chaos"]
fn etcd_stopped_for_60_s() {
    patient_scenario("all etcd members stopped for 60 s", Shape::usual(), |cluster, undisturbed| {
        all_stopped(cluster, undisturbed, Duration::from_secs(60));
    });
}

fn all_stopped(mut cluster: Cluster, undisturbed: &Results, outage: Duration) {
    let (leader, term) = cluster.leader();
    cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
    let sessions = sessions(&cluster);
    (0..3).for_each(|member| cluster.etcd.stop_signal(member));
    let began = Instant::now();
    cluster.wait("the outage noticed", |c| c.log_of(leader).contains("the seat cannot be kept now"));
    cluster.wait("the outage's end", |_| began.elapsed() >= outage);
    (0..3).for_each(|member| cluster.etcd.cont(member));
    cluster.etcd.wait_healthy().expect("is healthy again");
    let results = cluster.finish();
    assert_all_up(&mut cluster);
    // An etcd that is back may renew the leader's lease or find it expired; only then may another be elected.
    let elections = usize::try_from(cluster.leader().1 - term).expect("is small");
    assert!(elections <= 1, "{elections} elections for one outage");
    let expected: Vec<usize> = sessions.iter().map(|before| before + elections).collect();
    assert_eq!(self::sessions(&cluster), expected, "workers registered anew without an election");
    results.assert_equal(undisturbed, "etcd stopped");
}

/// How many sessions each worker opened.
fn sessions(cluster: &Cluster) -> Vec<usize> {
    cluster.workers().iter().map(|part| part.log().matches("session opened").count()).collect()
}

fn assert_all_up(cluster: &mut Cluster) {
    for n in 0..2 {
        assert!(cluster.coordinator(n).is_up(), "coordinator {n} ended");
    }
    for n in 0..3 {
        assert!(cluster.worker(n).is_up(), "worker {n} ended");
    }
}
