//! What a kubelet asks of coordinators on an etcd: one that follows, one that takes over, and one whose store is away.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use lethe_servers::{EtcdCluster, EtcdOptions};

use crate::audit::DEADLINE;
use crate::http::{Answer, get};
use crate::service::{LOOK, Part, coordinator};

/// The answer to `/readyz`, once it has this status and says this.
fn wait_until_ready_says(address: SocketAddr, status: u16, part: &str) -> Answer {
    let by = Instant::now() + DEADLINE;
    loop {
        let answer = get(address, "/readyz");
        if answer.status == status && answer.body.contains(part) {
            return answer;
        }
        assert!(Instant::now() < by, "waited for {status} {part:?}, the last: {} {}", answer.status, answer.body);
        std::thread::sleep(LOOK);
    }
}

/// Waits for a scrape with all of these lines: for a second, askers are given the last one.
fn wait_until_counted(address: SocketAddr, lines: &[&str]) {
    let by = Instant::now() + DEADLINE;
    loop {
        let counted = get(address, "/metrics").body;
        let Some(missing) = lines.iter().find(|line| !counted.contains(**line)) else { return };
        assert!(Instant::now() < by, "waited for {missing:?}, the last: {counted}");
        std::thread::sleep(LOOK);
    }
}

fn start(folder: &Path, name: &str, store: &str) -> Part {
    coordinator(folder, name, &["--store", store, "--heartbeat-ms", "500"]).0
}

#[test]
fn life_does_not_depend_on_the_store_and_a_standby_that_takes_over_is_seen() {
    let mut etcd =
        EtcdCluster::start(1, EtcdOptions { unsafe_no_fsync: true, ..EtcdOptions::default() }).expect("starts");
    let store = etcd.endpoints()[0].replace("http://", "etcd://");
    let folder = tempfile::tempdir().expect("makes a folder");
    let first = start(folder.path(), "first", &store);
    wait_until_ready_says(first.metrics, 200, "leading in term 1; the store answers");
    let second = start(folder.path(), "second", &store);
    wait_until_ready_says(second.metrics, 200, "following; the store answers");
    assert!(get(second.metrics, "/metrics").body.contains("lethe_leading 0\n"), "two lead");

    first.stop();
    wait_until_ready_says(second.metrics, 200, "leading in term 2; the store answers");
    wait_until_counted(second.metrics, &["lethe_leading 1\n", "lethe_term 2\n", "lethe_elections_won_total 1\n"]);

    etcd.kill(0);
    wait_until_ready_says(second.metrics, 503, "the store does not answer");
    assert_eq!(get(second.metrics, "/healthz").status, 200, "it was to be restarted for another's sake");
    etcd.restart(0).and_then(|()| etcd.wait_healthy()).expect("comes back");
    wait_until_ready_says(second.metrics, 200, "leading in term");
}
