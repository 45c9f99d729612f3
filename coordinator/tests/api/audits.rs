//! What clients see: submit, look, watch, cancel.

use lethe_common::spec::Spec;
use lethe_proto::v1;
use tonic::Code;

use crate::rig::{Rig, audit, soon, spec};

fn submit(spec: &Spec) -> v1::SubmitRequest {
    v1::SubmitRequest {
        audit: spec.audit.id.to_string(),
        spec_json: serde_json::to_vec_pretty(spec).expect("is JSON"),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_same_spec_again_is_the_same_audit_and_another_is_refused() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let reply = audits.submit(submit(&spec())).await.expect("is the same").into_inner();
    let phases = reply.audit.expect("has a view").phases;
    assert_eq!(phases[0].state(), v1::RunState::Succeeded, "the audit began anew");

    let mut other = spec();
    other.audit.seed += 1;
    let refusal = audits.submit(submit(&other)).await.expect_err("is refused");
    assert_eq!(refusal.code(), Code::AlreadyExists);
    assert!(refusal.message().contains("drill"), "{refusal}");
}

#[tokio::test]
async fn a_new_audit_is_stored_before_its_answer() {
    let rig = Rig::calm().await;
    let mut spec = spec();
    spec.audit.id = lethe_common::ids::AuditId::new("second").expect("is an id");
    let reply = rig.audits().await.submit(submit(&spec)).await.expect("is taken").into_inner();
    assert_eq!(reply.audit.expect("has a view").phases.len(), 5);

    let rig = rig.restart().await;
    let request = v1::GetAuditRequest { audit: "second".to_owned() };
    rig.audits().await.get_audit(request).await.expect("is kept");
}

#[tokio::test]
async fn an_unknown_audit_and_a_bad_spec_are_named() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let missing = audits.get_audit(v1::GetAuditRequest { audit: "nobody".to_owned() }).await.expect_err("is unknown");
    assert_eq!(missing.code(), Code::NotFound);

    let bad = v1::SubmitRequest { audit: "x".to_owned(), spec_json: b"{\"audit\":{}}".to_vec(), ..Default::default() };
    let refusal = audits.submit(bad).await.expect_err("is refused");
    assert_eq!(refusal.code(), Code::InvalidArgument);

    let mut long = spec();
    long.data.shards = (0..8_000).map(|n| format!("/nowhere/{n:06}.tar")).collect();
    let refusal = audits.submit(submit(&long)).await.expect_err("would not fit the store");
    assert!(refusal.code() == Code::InvalidArgument && refusal.message().contains("patterns"), "{refusal}");

    let other_id = v1::SubmitRequest { audit: "x".to_owned(), ..submit(&spec()) };
    let refusal = audits.submit(other_id).await.expect_err("is refused");
    assert!(refusal.message().contains("drill"), "{refusal}");
}

#[tokio::test]
async fn a_watch_shows_the_audit_at_once_and_ends_with_it() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let request = v1::WatchAuditRequest { audit: audit().to_string() };
    let mut views = audits.watch_audit(request).await.expect("is watched").into_inner();
    let first = soon("the first view", views.message()).await.expect("streams").expect("comes");
    assert_eq!(first.audit.expect("is there").state(), v1::RunState::Running);

    let cancel = v1::CancelAuditRequest { audit: audit().to_string(), by: String::new() };
    let reply = audits.cancel_audit(cancel).await.expect("is cancelled").into_inner();
    assert_eq!(reply.audit.expect("is there").state(), v1::RunState::Cancelled);
    let mut last = None;
    while let Some(reply) = soon("the end", views.message()).await.expect("streams") {
        last = reply.audit;
    }
    assert_eq!(last.expect("a view came").state(), v1::RunState::Cancelled);
}

#[tokio::test]
async fn a_stopping_coordinator_ends_its_watches() {
    let rig = Rig::calm().await;
    let request = v1::WatchAuditRequest { audit: audit().to_string() };
    let mut views = rig.audits().await.watch_audit(request).await.expect("is watched").into_inner();
    soon("the first view", views.message()).await.expect("streams");
    rig.stop().await;
    let end = loop {
        // What changed before the end may still be shown.
        if let Err(end) = soon("the end", views.message()).await.map(|view| view.expect("is told why it ends")) {
            break end;
        }
    };
    assert_eq!(end.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_paused_audit_starts_nothing_until_it_is_resumed() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let request = v1::PauseAuditRequest { audit: audit().to_string(), by: "ann".to_owned() };
    let paused = audits.pause_audit(request).await.expect("is paused");
    let view = paused.into_inner().audit.expect("is there");
    assert_eq!(view.state(), v1::RunState::Paused);
    assert!(view.reason.contains("lethe resume"), "{}", view.reason);
    let mut worker = rig.worker("w1").await;
    let request = v1::ResumeAuditRequest { audit: audit().to_string(), by: "bob".to_owned() };
    let resumed = audits.resume_audit(request).await.expect("is resumed").into_inner().audit.expect("is there");
    assert_eq!(resumed.state(), v1::RunState::Running);
    let deeds: Vec<(&str, &str)> = resumed.history.iter().map(|deed| (deed.by.as_str(), deed.what.as_str())).collect();
    assert_eq!(deeds[1..], [("ann", "paused"), ("bob", "resumed")]);
    worker.map().await;
}

#[tokio::test]
async fn what_needs_no_approval_or_has_no_result_is_refused_with_what_to_do() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let by = |by: &str| v1::ApproveAuditRequest { audit: audit().to_string(), by: by.to_owned() };
    let refused = audits.approve_audit(by("ann")).await.expect_err("waits for nobody");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("report.approval"), "{refused}");
    let nobody = audits.approve_audit(by("a\nb")).await.expect_err("is no name");
    assert_eq!(nobody.code(), Code::InvalidArgument);
    let request = v1::FetchResultRequest { audit: audit().to_string(), name: String::new() };
    let early = audits.fetch_result(request).await.expect_err("has no result");
    assert!(early.code() == Code::FailedPrecondition && early.message().contains("lethe watch drill"), "{early}");
}

#[tokio::test]
async fn a_rerun_takes_over_what_was_done_and_is_refused_by_name_where_it_cannot() {
    let rig = Rig::calm().await;
    let mut audits = rig.audits().await;
    let rerun = |id: &str, from: &str| v1::RerunAuditRequest {
        audit: id.to_owned(),
        of: audit().to_string(),
        from_phase: from.to_owned(),
        ..Default::default()
    };
    let reply = audits.rerun_audit(rerun("again", "pack")).await.expect("is taken").into_inner();
    let view = reply.audit.expect("has a view");
    assert_eq!((view.rerun_of.as_str(), view.phases[0].state()), ("drill", v1::RunState::Succeeded));
    for (id, from, code, says) in [
        ("third", "publish", Code::FailedPrecondition, "pack"),
        ("again", "pack", Code::AlreadyExists, "again"),
        ("third", "dream", Code::InvalidArgument, "plan, pack"),
    ] {
        let refusal = audits.rerun_audit(rerun(id, from)).await.expect_err("is refused");
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.message().contains(says), "{refusal}");
    }
}
