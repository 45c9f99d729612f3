use lethe_common::ids::WorkerId;
use lethe_common::spec::Spec;
use tempfile::TempDir;

use super::*;

struct Rig {
    store: Store,
    handle: DriverHandle,
    _folder: TempDir,
}

async fn rig() -> Rig {
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = Store::open(folder.path()).expect("opens");
    let config = DriverConfig {
        knobs: Knobs::from_heartbeat(20_000).expect("is ordered"),
        blobs: BlobStore::local(&folder.path().join("blobs")).expect("opens"),
        result_folder: folder.path().join("result"),
        candidate: candidate(),
    };
    let driver = Driver::new(store.clone(), Arc::default(), config).await.expect("leads");
    let (handle, queue) = Driver::queue();
    tokio::spawn(driver.run(queue));
    Rig { store, handle, _folder: folder }
}

fn candidate() -> Candidate {
    Candidate { address: "here".to_owned(), ttl: Duration::from_secs(10) }
}

fn submission() -> Submission {
    let json = serde_json::json!({
        "audit": { "id": "a" },
        "model": { "config": "/nowhere/model.json", "checkpoint": "/nowhere/model.safetensors" },
        "data": { "shards": ["/nowhere/0.tar"] },
    });
    let spec: Spec = serde_json::from_value(json).expect("is a spec");
    Submission { spec_json: serde_json::to_string(&spec).expect("is JSON"), spec: Box::new(spec) }
}

fn worker() -> WorkerId {
    WorkerId::new("w").expect("is an id")
}

#[tokio::test]
async fn a_batch_that_conflicts_changes_nothing_and_the_driver_leads_anew() {
    let rig = rig().await;
    let mut joined = rig.handle.join(worker()).await.expect("joins");
    let usurper = rig.store.campaign(&candidate()).await.expect("elects").term;

    let refused = rig.handle.submit(submission()).await.expect("answers");
    assert!(matches!(refused, Err(SubmitError::NotTaken(_))), "{refused:?}");
    assert_eq!(records::load(&rig.store).await.expect("loads"), [], "an older term wrote");
    assert_eq!(joined.orders.recv().await, None, "the old term's sessions must end");

    let again = rig.handle.join(worker()).await.expect("joins");
    assert!(joined.term < usurper && usurper < again.term, "{} {usurper} {}", joined.term, again.term);
    rig.handle.submit(submission()).await.expect("answers").expect("is taken now");
    assert!(!records::load(&rig.store).await.expect("loads").is_empty());
}

#[tokio::test]
async fn an_audit_is_durable_before_it_is_shown() {
    let rig = rig().await;
    let status = rig.handle.submit(submission()).await.expect("answers").expect("is taken");
    assert_eq!(status.view.phases.len(), 13);
    assert_eq!(records::load(&rig.store).await.expect("loads").len(), 14, "one record of the audit and one a phase");
}

#[tokio::test]
async fn a_replaced_session_speaks_for_nobody() {
    let rig = rig().await;
    let old = rig.handle.join(worker()).await.expect("joins");
    let mut new = rig.handle.join(worker()).await.expect("joins");
    let leave = Input::Leave { session: old.session, reason: "it closed".to_owned() };
    rig.handle.tell(leave).await.expect("is told");
    rig.handle.submit(submission()).await.expect("answers").expect("is taken"); // all before it is done
    assert_eq!(new.orders.try_recv().err(), Some(mpsc::error::TryRecvError::Empty), "the new session ended");
}
