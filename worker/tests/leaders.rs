//! How a worker finds the coordinator that leads, and notices that it is gone.

mod support;

use support::coordinator::Coordinator;
use support::proxy::Proxy;
use support::scripted;
use support::worker::Worker;
use tokio::net::TcpListener;

/// Not a test of its own: the executor process of the others.
#[test]
fn executor_process() {
    scripted::serve();
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    format!("http://{}", listener.local_addr().expect("has an address"))
}

#[tokio::test]
async fn addresses_are_tried_until_one_answers() {
    let mut leader = Coordinator::start().await;
    let addresses = vec![nobody().await, "no address".to_owned(), leader.url.clone()];
    Worker::start_with(&mut leader, addresses).await.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_does_not_lead_says_who_does() {
    let mut leader = Coordinator::start().await;
    let standby = Coordinator::start().await;
    standby.follow(&leader);
    let addresses = vec![standby.url.clone()];
    Worker::start_with(&mut leader, addresses).await.stop().await;
}

#[tokio::test]
async fn a_deposed_leader_is_passed_over() {
    let mut old = Coordinator::start().await;
    let mut new = Coordinator::start().await;
    new.elect(9);
    let addresses = vec![new.url.clone(), old.url.clone()];
    let worker = Worker::start_with(&mut new, addresses).await;
    new.follow(&old);
    new.hang_up();
    old.hello().await; // term 7, which is over
    old.session_end().await;
    old.elect(10);
    old.hello().await;
    old.send(support::messages::map_of(10, 1, "write")).await;
    assert_eq!(old.commit().await.task, Some(support::messages::of_term(10, 1)));
    worker.stop().await;
}

#[tokio::test]
async fn a_leader_that_is_gone_without_a_word_is_noticed() {
    let mut leader = Coordinator::start().await;
    let mut successor = Coordinator::start().await;
    successor.elect(8);
    let proxy = Proxy::start(&leader.url).await;
    let addresses = vec![proxy.url.clone(), successor.url.clone()];
    let worker = Worker::start_with(&mut leader, addresses).await;
    leader.send(support::messages::map(1, "wait")).await;
    leader.progress_of(1).await; // the session is open to the worker too
    proxy.stall();
    successor.hello().await;
    worker.stop().await;
}
