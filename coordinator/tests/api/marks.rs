//! Marks over the wire: kept whole or not at all, by whom they are to be kept, and heeded by the next run.

use lethe_evidence::artifacts::{ForgetSet, names};
use lethe_proto::v1;
use tonic::Code;

use crate::finished::{self, SMALL, audit, key};
use crate::rig::{Audits, Rig, soon};

async fn rig() -> Rig {
    let folder = tempfile::tempdir().expect("makes a folder");
    finished::put(&folder.path().join("work"), SMALL).await;
    Rig::over_folder(folder).await
}

fn said(shard: u32, n: u32, judgement: v1::Judgement) -> v1::Mark {
    v1::Mark { shard, key: key(n), judgement: judgement.into(), ..v1::Mark::default() }
}

async fn mark(audits: &mut Audits, by: &str, marks: Vec<v1::Mark>) -> Result<(u64, u64), tonic::Status> {
    let request = v1::MarkSuspectsRequest { audit: audit().to_string(), marks, by: by.to_owned() };
    let reply = audits.mark_suspects(request).await?.into_inner();
    Ok((reply.poison, reply.clean))
}

async fn listed(audits: &mut Audits, audit: &str) -> Vec<(u32, String, v1::Judgement, String)> {
    let request = v1::ListMarksRequest { audit: audit.to_owned() };
    let marks = audits.list_marks(request).await.expect("lists").into_inner().marks;
    marks.into_iter().map(|mark| (mark.shard, mark.key.clone(), mark.judgement(), mark.by)).collect()
}

fn blobs_of_marks(rig: &Rig) -> usize {
    let folder = rig.work().join("blobs/march/000/0000000");
    let attempts = std::fs::read_dir(folder)
        .expect("lists")
        .flat_map(|entry| std::fs::read_dir(entry.expect("is one").path()).expect("lists"));
    attempts.filter(|entry| entry.as_ref().expect("is one").file_name().to_string_lossy().starts_with("marks-")).count()
}

const POISON: v1::Judgement = v1::Judgement::Poison;
const CLEAN: v1::Judgement = v1::Judgement::Clean;

#[tokio::test]
async fn marks_are_kept_by_the_next_leader_and_in_one_blob() {
    let rig = rig().await;
    let mut audits = rig.audits().await;
    assert_eq!(mark(&mut audits, "ann", vec![said(0, 39, CLEAN), said(1, 3, POISON)]).await.expect("are kept"), (1, 1));
    assert_eq!(mark(&mut audits, "bob", vec![said(0, 39, POISON)]).await.expect("is kept"), (2, 0));
    assert_eq!(mark(&mut audits, "ann", vec![said(1, 3, v1::Judgement::Unspecified)]).await.expect("is kept"), (1, 0));
    assert_eq!(blobs_of_marks(&rig), 1, "what was replaced is gone");
    let rig = rig.restart().await;
    let mut audits = rig.audits().await;
    assert_eq!(listed(&mut audits, "march").await, [(0, key(39), POISON, "bob".to_owned())]);
    let view = audits.get_audit(v1::GetAuditRequest { audit: "march".to_owned() }).await.expect("is there");
    let history = view.into_inner().audit.expect("has a view").history;
    let told: Vec<(&str, &str)> = history.iter().map(|deed| (deed.by.as_str(), deed.what.as_str())).collect();
    assert_eq!(told[1..], [("ann", "marked 1 as poison and 1 as clean, took back 1"), ("bob", "marked 1 as poison")]);
}

#[tokio::test]
async fn marks_of_what_is_no_suspect_change_nothing() {
    let rig = rig().await;
    let mut audits = rig.audits().await;
    let other = v1::Mark { content: "of another sample".to_owned(), ..said(0, 1, CLEAN) };
    for wrong in [said(0, 999, CLEAN), said(7, 1, CLEAN), other, v1::Mark { judgement: 9, ..said(0, 1, CLEAN) }] {
        let error = mark(&mut audits, "ann", vec![said(0, 39, CLEAN), wrong]).await.expect_err("is none");
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    assert!(listed(&mut audits, "march").await.is_empty());
    let request = v1::ListMarksRequest { audit: "april".to_owned() };
    assert_eq!(audits.list_marks(request).await.expect_err("is not there").code(), Code::NotFound);
}

#[tokio::test]
async fn marks_of_many_at_once_are_all_kept() {
    let rig = rig().await;
    let one = |n: u32| {
        let rig = &rig;
        async move { mark(&mut rig.audits().await, &format!("person {n}"), vec![said(0, n, POISON)]).await }
    };
    let kept = soon("all marks", futures::future::join_all((0..6).map(one))).await;
    assert!(kept.iter().all(Result::is_ok), "{kept:?}");
    assert_eq!(listed(&mut rig.audits().await, "march").await.len(), 6);
}

#[tokio::test]
async fn a_run_from_the_selection_heeds_them() {
    let rig = rig().await;
    let mut audits = rig.audits().await;
    mark(&mut audits, "ann", vec![said(0, 39, CLEAN), said(1, 3, POISON)]).await.expect("are kept");
    let (audit, of, from_phase) = ("march-2".to_owned(), "march".to_owned(), "select".to_owned());
    let request = v1::RerunAuditRequest { audit, of, from_phase, ..Default::default() };
    audits.rerun_audit(request).await.expect("runs again");
    let request = v1::WatchAuditRequest { audit: "march-2".to_owned() };
    let mut views = audits.watch_audit(request).await.expect("is watched").into_inner();
    let found = soon("its selection", async {
        loop {
            let view = views.message().await.expect("streams").expect("goes on").audit.expect("has a view");
            let outputs =
                view.phases.into_iter().filter(|phase| phase.name == "select").flat_map(|phase| phase.outputs);
            if let Some(forget) = outputs.into_iter().find(|output| output.name == names::FORGET) {
                return forget.blob.expect("lies somewhere").path;
            }
        }
    });
    let path = rig.work().join("blobs").join(found.await);
    let forget: ForgetSet = serde_json::from_slice(&std::fs::read(path).expect("reads")).expect("is one");
    let has = |shard: u32, n: u32| forget.members.iter().any(|member| member.shard == shard && member.key == key(n));
    assert!(has(1, 39) && !has(0, 39) && has(1, 3), "{:?}", forget.members);
    // It began with the marks of the one before, and has its own from here on.
    assert_eq!(listed(&mut audits, "march-2").await.len(), 2);
    mark(&mut audits, "ann", vec![said(1, 3, v1::Judgement::Unspecified)]).await.expect("is kept");
    assert_eq!((listed(&mut audits, "march").await.len(), listed(&mut audits, "march-2").await.len()), (1, 2));
}
