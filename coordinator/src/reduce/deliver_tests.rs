use std::future::poll_fn;
use std::task::Poll;

use lethe_common::blob::Digest;
use lethe_common::pin::Pin;
use lethe_common::program::ReduceProgram;
use lethe_common::record::{Data, Deed, Found, OutputFile, Record};
use lethe_common::spec::Spec;
use lethe_common::time::Millis;
use lethe_engine::{AuditState, AuditView, Control, Counts, PhaseState, PhaseView, Tally, What};
use tempfile::TempDir;

use super::super::fixture;
use super::*;

const BLOBS: [(u32, &str, &str); 3] =
    [(0, "report.json", "new report"), (0, "report.html", "new page"), (0, "drop-list.txt", "new list")];

async fn context() -> (ReduceContext, TempDir) {
    let (mut ctx, folder) = fixture::context("[]", &BLOBS).await;
    ctx.program = ReduceProgram::Deliver;
    (ctx, folder)
}

fn next_attempt(ctx: &mut ReduceContext) {
    ctx.task.attempt.counter += 1;
}

fn found(ctx: &ReduceContext, name: &str) -> Option<String> {
    fs::read_to_string(ctx.result_folder.join(name)).ok()
}

/// An earlier result, which delivery replaces.
fn leave_old_files(ctx: &ReduceContext) {
    fs::create_dir_all(&ctx.result_folder).expect("makes");
    for (_, name, text) in BLOBS {
        fs::write(ctx.result_folder.join(name), text.replace("new", "old")).expect("writes");
    }
}

fn assert_delivered(ctx: &ReduceContext) {
    for (_, name, text) in BLOBS {
        assert_eq!(found(ctx, name).as_deref(), Some(text));
    }
    assert!(found(ctx, SPEC).is_some() && found(ctx, RECORD).is_some());
    assert_eq!(fs::read_dir(&ctx.result_folder).expect("lists").count(), BLOBS.len() + 2, "something else is there");
}

#[tokio::test]
async fn delivery_puts_every_file_in_its_place_and_nothing_else() {
    let (mut ctx, _folder) = context().await;
    run(&ctx).await.expect("delivers");
    assert_delivered(&ctx);
    next_attempt(&mut ctx);
    run(&ctx).await.expect("delivers once more");
    assert_delivered(&ctx);
}

/// Polls a delivery until it has waited so often, then drops it, as a kill would. Whether it came to its end.
async fn killed_after(ctx: &ReduceContext, waits: usize) -> bool {
    let (mut delivery, mut left) = (Box::pin(run(ctx)), waits);
    poll_fn(|cx| match delivery.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.is_ok()),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_kill_at_any_wait_leaves_whole_files_and_the_next_run_mends_all() {
    for waits in 0.. {
        let (mut ctx, _folder) = context().await;
        leave_old_files(&ctx);
        let ended = killed_after(&ctx, waits).await;
        for (_, name, text) in BLOBS {
            let held = found(&ctx, name).unwrap_or_else(|| panic!("{name} is gone after {waits} waits"));
            assert!(held == text || held == text.replace("new", "old"), "{name} holds {held:?} after {waits} waits");
        }
        next_attempt(&mut ctx);
        mended(&mut ctx).await;
        if ended {
            assert!(waits >= BLOBS.len(), "every file is waited for");
            return;
        }
    }
}

/// Runs it again until it succeeds: the killed attempt's last step may go on beside it.
async fn mended(ctx: &mut ReduceContext) {
    while let Err(fault) = run(ctx).await {
        assert!(!fault.is_fatal() && ctx.task.attempt.counter < 1_000, "{fault}");
        next_attempt(ctx);
    }
    for (_, name, text) in BLOBS {
        assert_eq!(found(ctx, name).as_deref(), Some(text));
    }
}

#[tokio::test]
async fn a_move_that_fails_half_way_is_finished_by_the_next_run() {
    let (mut ctx, _folder) = context().await;
    leave_old_files(&ctx);
    let obstacle = ctx.result_folder.join("drop-list.txt");
    fs::remove_file(&obstacle).and_then(|()| fs::create_dir(&obstacle)).expect("stands in the way");
    let fault = run(&ctx).await.expect_err("cannot replace a folder");
    assert!(!fault.is_fatal() && fault.message.contains("drop-list.txt"), "{fault}");
    assert_eq!(found(&ctx, "report.html").as_deref(), Some("new page"), "it was moved before");
    assert_eq!(found(&ctx, "report.json").as_deref(), Some("old report"), "the last one waits for all others");

    fs::remove_dir(&obstacle).expect("goes");
    next_attempt(&mut ctx);
    run(&ctx).await.expect("delivers");
    assert_delivered(&ctx);
}

#[tokio::test]
async fn a_damaged_blob_is_refused_and_leaves_the_old_files() {
    let (ctx, folder) = context().await;
    leave_old_files(&ctx);
    let path = &ctx.only("drop-list.txt").expect("is there").blob.path;
    fs::write(folder.path().join("blobs").join(path), "bad list").expect("damages");
    let fault = run(&ctx).await.expect_err("is noticed");
    assert!(fault.is_fatal() && fault.message.contains("damaged"), "{fault}");
    for (_, name, text) in BLOBS {
        assert_eq!(found(&ctx, name), Some(text.replace("new", "old")));
    }
}

#[tokio::test]
async fn a_late_run_of_an_older_attempt_changes_no_byte_and_no_newer_staging() {
    let (mut ctx, _folder) = context().await;
    next_attempt(&mut ctx);
    run(&ctx).await.expect("the newer delivers");
    let newer = ctx.result_folder.join(".staging-a-0-2.1");
    fs::create_dir(&newer).expect("a newer one still stages");
    ctx.task.attempt.counter -= 1;
    run(&ctx).await.expect("the older delivers late");
    assert!(newer.is_dir());
    fs::remove_dir(&newer).expect("is empty");
    assert_delivered(&ctx);
}

#[tokio::test]
async fn only_known_names_are_delivered_and_each_once() {
    for blobs in [&[(0, "../evil", "x")][..], &[(0, "report.json", "1"), (1, "report.json", "2")], &[]] {
        let (ctx, _folder) = fixture::context("[]", blobs).await;
        assert!(run(&ctx).await.expect_err("is refused").is_fatal(), "{blobs:?}");
        assert!(!ctx.result_folder.exists(), "{blobs:?}");
    }
}

fn phase(name: &str, started: Option<Millis>, outputs: Vec<NamedBlob>) -> PhaseView {
    PhaseView {
        name: name.to_owned(),
        kind: "reduce",
        state: PhaseState::Running,
        started,
        done: 0,
        total: 1,
        retries: 0,
        counts: Counts::default(),
        reason: String::new(),
        outputs,
        eta: None,
        quarantined: 0,
        tally: Tally::default(),
        notes: Vec::new(),
    }
}

/// An audit whose delivery began at 50, with what was done to it before and since.
fn view(ctx: &ReduceContext, planned: NamedBlob) -> AuditView {
    let deed = |at, what| lethe_engine::Deed { at: Millis(at), by: "ann".to_owned(), what };
    AuditView {
        audit: ctx.audit.clone(),
        state: AuditState::Running,
        paused: None,
        reason: String::new(),
        phases: vec![phase("plan", Some(Millis(2)), vec![planned]), phase("deliver", Some(Millis(50)), Vec::new())],
        workers: 0,
        submitter: "ann".to_owned(),
        priority: 0,
        submitted: Millis(1),
        queue_position: None,
        rerun_of: None,
        quarantined: Vec::new(),
        unapproved: false,
        awaits_approval: false,
        conclusion: None,
        deeds: vec![
            deed(1, What::Submitted),
            deed(40, What::Controlled(Control::Approve)),
            deed(60, What::Controlled(Control::Pause)),
        ],
        marks: None,
    }
}

#[tokio::test]
async fn the_record_names_what_the_result_came_from_and_every_file_of_it() {
    let listing = serde_json::to_string(&fixture::shards()).expect("is JSON");
    let (mut ctx, _folder) = fixture::context("[]", &[(0, names::SHARDS, &listing), (0, "report.json", "r")]).await;
    ctx.program = ReduceProgram::Deliver;
    let model = vec![ModelFile {
        field: "model.checkpoint".to_owned(),
        path: "/m".into(),
        found: Found::Whole { size_bytes: 3, blake3: Digest::of(b"abc") },
    }];
    let planned = ctx.write_json(MODEL_FILES, &model).await.expect("writes");
    ctx.view = Some(view(&ctx, planned));
    let result = run(&ctx).await.expect("delivers");
    let kept: Vec<(&str, Digest)> = result.outputs.iter().map(|out| (out.name.as_str(), out.blob.digest)).collect();
    let bytes = |name: &str| found(&ctx, name).unwrap_or_default();
    let expected = [SPEC, RECORD].map(|name| (name, Digest::of(bytes(name).as_bytes())));
    assert_eq!(kept, expected, "the store knows both by digest");

    let record: Record = serde_json::from_str(&bytes(RECORD)).expect("is a record");
    assert_eq!(record.model, model);
    assert_eq!(serde_json::from_str::<Spec>(&bytes(SPEC)).expect("is a spec"), ctx.spec);
    let deed = |at_ms, what: &str| Deed { at_ms, by: "ann".to_owned(), what: what.to_owned() };
    assert_eq!(record.history, [deed(1, "submitted"), deed(40, "approved")], "what came later depends on who is late");
    assert!(matches!(fixture::shards().shards[0].pin, Pin::Digest(_)));
    let pinned = [("BLAKE3".to_owned(), 2)].into();
    assert_eq!(record.data, Some(Data { listing: names::SHARDS.to_owned(), shards: 2, size_bytes: 20, pinned }));
    let file = |name: &str| {
        let bytes = bytes(name);
        OutputFile { name: name.to_owned(), size_bytes: bytes.len() as u64, blake3: Digest::of(bytes.as_bytes()) }
    };
    assert_eq!(record.outputs, [names::SHARDS, "report.json", SPEC].map(file));
    assert_eq!(record.code.method.len(), 12);

    let first = bytes(RECORD);
    next_attempt(&mut ctx);
    if let Some(view) = &mut ctx.view {
        view.deeds.pop();
    }
    run(&ctx).await.expect("delivers once more");
    assert_eq!(found(&ctx, RECORD), Some(first));
}
