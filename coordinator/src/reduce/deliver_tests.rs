use std::future::poll_fn;
use std::task::Poll;

use lethe_common::program::ReduceProgram;
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

fn read(ctx: &ReduceContext, name: &str) -> Option<String> {
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
        assert_eq!(read(ctx, name).as_deref(), Some(text));
    }
    assert_eq!(fs::read_dir(&ctx.result_folder).expect("lists").count(), BLOBS.len(), "something else is there");
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
            let found = read(&ctx, name).unwrap_or_else(|| panic!("{name} is gone after {waits} waits"));
            assert!(found == text || found == text.replace("new", "old"), "{name} holds {found:?} after {waits} waits");
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
        assert_eq!(read(ctx, name).as_deref(), Some(text));
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
    assert_eq!(read(&ctx, "report.html").as_deref(), Some("new page"), "it was moved before");
    assert_eq!(read(&ctx, "report.json").as_deref(), Some("old report"), "the last one waits for all others");

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
        assert_eq!(read(&ctx, name), Some(text.replace("new", "old")));
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
