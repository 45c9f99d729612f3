use lethe_common::ids::WorkerId;
use lethe_common::spec::Spec;
use tempfile::TempDir;

use super::*;
use crate::store::Candidate;

struct Rig {
    store: Store,
    handle: DriverHandle,
    driver: tokio::task::JoinHandle<Result<(), DriverError>>,
    _folder: TempDir,
}

async fn rig() -> Rig {
    let (driver, store, folder) = driver().await;
    let (handle, queue) = Driver::queue();
    let driver = tokio::spawn(driver.run(queue));
    Rig { store, handle, driver, _folder: folder }
}

async fn driver() -> (Driver, Store, TempDir) {
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = Store::open(folder.path()).expect("opens");
    let config = DriverConfig {
        knobs: Knobs::from_heartbeat(20_000).expect("is ordered"),
        blobs: BlobStore::local(&folder.path().join("blobs")).expect("opens"),
        results: ResultFolder::One(folder.path().join("result")),
        metrics: Metrics::default(),
        spans: Spans::off(),
    };
    let reign = store.campaign(&candidate()).await.expect("elects");
    let driver = Driver::new(store.clone(), reign.term, Arc::default(), config).await.expect("leads");
    (driver, store, folder)
}

/// Under load one batch follows the other at once, and time would find one on its way whenever it looks.
#[tokio::test]
async fn what_time_asks_for_while_a_batch_is_on_its_way_is_done_as_it_ends() {
    let (mut driver, _store, _folder) = driver().await;
    let audit = AuditId::new("a").expect("is an id");
    let (plan, options) = (lethe_engine::Plan { phases: Vec::new() }, lethe_engine::Options::default());
    driver.push(Event::Submitted { audit: audit.clone(), plan, spec_json: "{}".to_owned(), options });
    driver.step();
    assert!(driver.saving.is_some(), "a batch is on its way");
    driver.tick();
    driver.publish();
    assert!(driver.backlog.is_empty(), "nothing is stepped on what is not durable");
    let saved = ended(&mut driver.saving).await;
    driver.saved(saved).expect("is durable");
    assert!(!driver.watchers.take_change(), "what changed was shown");
    let before = driver.arrived;
    driver.step();
    assert_eq!((driver.arrived - before, driver.tick_is_due), (1, false), "the tick was stepped");
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
    let spec_json = serde_json::to_string(&spec).expect("is JSON");
    Submission { spec_json, spec: Box::new(spec), submitter: "ann".to_owned(), priority: 0, trace: None }
}

fn greeting() -> Greeting {
    Greeting::of(WorkerId::new("w").expect("is an id"))
}

#[tokio::test]
async fn a_workers_pace_is_its_present_sessions() {
    let rig = rig().await;
    let pace = |samples| Pace { samples, tasks_ms: 10, waited_ms: 1 };
    let told = async || rig.handle.workers().await.expect("answers")[0].1.pace;
    let first = rig.handle.join(greeting()).await.expect("answers").expect("joins").session;
    assert_eq!(told().await, None);
    rig.handle.tell(Input::Pace { session: first.clone(), pace: pace(1) }).await.expect("is told");
    assert_eq!(told().await, Some(pace(1)));
    let second = rig.handle.join(greeting()).await.expect("answers").expect("joins").session;
    rig.handle.tell(Input::Pace { session: first, pace: pace(2) }).await.expect("is told");
    assert_eq!(told().await, None, "the session that said it was replaced");
    rig.handle.tell(Input::Pace { session: second, pace: pace(3) }).await.expect("is told");
    assert_eq!(told().await, Some(pace(3)));
}

#[tokio::test]
async fn a_deposed_driver_changes_nothing_ends_its_sessions_and_says_who_leads() {
    let rig = rig().await;
    let mut joined = rig.handle.join(greeting()).await.expect("answers").expect("joins");
    let usurper = rig.store.campaign(&candidate()).await.expect("elects").term;

    let refused = rig.handle.submit(submission()).await;
    assert!(matches!(refused, Err(AskError::Dropped)), "{refused:?}");
    assert_eq!(records::load(&rig.store).await.expect("loads"), [], "an older term wrote");
    assert_eq!(joined.orders.recv().await, None, "the old term's sessions must end");
    let ended = rig.driver.await.expect("does not panic");
    assert!(matches!(ended, Err(DriverError::Deposed { current, .. }) if current == usurper), "{ended:?}");
}

#[tokio::test]
async fn an_audit_is_durable_before_it_is_shown() {
    let rig = rig().await;
    let status = rig.handle.submit(submission()).await.expect("answers").expect("is taken");
    assert_eq!(status.view.phases.len(), 16);
    assert_eq!(records::load(&rig.store).await.expect("loads").len(), 17, "one record of the audit and one a phase");
}

#[tokio::test]
async fn of_two_specs_under_one_name_one_is_taken_and_the_other_is_told() {
    let rig = rig().await;
    let (first, mut second) = (submission(), submission());
    second.spec.audit.seed += 1;
    second.spec_json = serde_json::to_string(&second.spec).expect("is JSON");
    let (first, second) = tokio::join!(rig.handle.submit(first), rig.handle.submit(second));
    let told = [first.expect("answers"), second.expect("answers")];
    let refused = told.iter().filter(|told| matches!(told, Err(SubmitError::OtherSpec(_)))).count();
    assert_eq!((told.iter().filter(|told| told.is_ok()).count(), refused), (1, 1), "{told:?}");
}

#[tokio::test]
async fn a_replaced_session_speaks_for_nobody() {
    let rig = rig().await;
    let old = rig.handle.join(greeting()).await.expect("answers").expect("joins");
    let mut new = rig.handle.join(greeting()).await.expect("answers").expect("joins");
    let leave = Input::Leave { session: old.session, reason: "it closed".to_owned() };
    rig.handle.tell(leave).await.expect("is told");
    rig.handle.submit(submission()).await.expect("answers").expect("is taken"); // all before it is done
    assert_eq!(new.orders.try_recv().err(), Some(mpsc::error::TryRecvError::Empty), "the new session ended");
}
