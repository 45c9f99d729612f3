//! The network parts: nothing is closed and nobody is told, packets are lost.

use crate::cluster::{Cluster, Shape};
use crate::stage::{is_root, is_running, scenario, skip};

const WHY_ROOT: &str = "only root can make network namespaces";

fn apart() -> Shape {
    Shape { is_apart: true, ..Shape::usual() }
}

/// Its workers still hear it, and it hears them; only its store is away, and another is elected there.
#[test]
#[ignore = "long: make chaos"]
fn leader_cut_from_etcd() {
    let name = "partition: leader cut from etcd, not from workers";
    if !is_root() {
        return skip(name, WHY_ROOT);
    }
    scenario(name, apart(), |cluster, undisturbed| {
        let leader = cluster.leader();
        let before = cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        cluster.cut_coordinator(leader.0);
        let term = cluster.wait_for_takeover(leader);
        let heir = 1 - leader.0;
        cluster.wait("the workers found by the new leader", |c| c.log_of(heir).matches("worker joined").count() >= 3);
        let results = cluster.finish();
        assert!(before.done < before.total, "nothing was left to do");
        assert!(cluster.log_of(leader.0).contains("the seat cannot be kept now"), "it was not cut off");
        cluster.heal_coordinator(leader.0);
        cluster.wait("the deposed leader standing by", |c| c.log_of(leader.0).contains("another leads; standing by"));
        assert_eq!(cluster.leader(), (heir, term));
        results.assert_equal(undisturbed, "the leader cut from etcd");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn worker_cut_from_the_coordinators() {
    let name = "partition: worker cut from the coordinators, healed";
    if !is_root() {
        return skip(name, WHY_ROOT);
    }
    scenario(name, apart(), |cluster, undisturbed| {
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 1);
        let victim = cluster.busy_worker("score");
        cluster.cut_worker(victim);
        cluster.wait("the worker given up", |c| !c.is_joined(victim));
        assert!(cluster.log_of(cluster.leader().0).contains("no heartbeat for 750 ms"), "it was given up otherwise");
        cluster.wait_for("score", "a task given to another", |score| score.retries > 0);
        cluster.heal_worker(victim);
        cluster.wait("the worker back", |c| c.is_joined(victim));
        let results = cluster.finish();
        results.assert_equal(undisturbed, "a worker cut from the coordinators");
    });
}

#[test]
#[ignore = "long: make chaos"]
fn etcd_leader_cut_from_its_peers() {
    let name = "partition: etcd leader cut from the other members";
    if !is_root() {
        return skip(name, WHY_ROOT);
    }
    scenario(name, apart(), |mut cluster: Cluster, undisturbed| {
        let before = cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        let victim = cluster.etcd.leader().expect("has one");
        cluster.cut_member(victim);
        while cluster.etcd.leader().expect("another is elected") == victim {}
        assert!(before.done < before.total, "nothing was left to do");
        let results = cluster.finish();
        cluster.heal_member(victim);
        cluster.etcd.wait_healthy().expect("the member that was cut off is healthy");
        results.assert_equal(undisturbed, "the leader of etcd cut from its peers");
    });
}
