use std::path::Path;

use lethe_common::ids::AuditId;
use lethe_common::time::Millis;
use lethe_engine::{AuditState, AuditView, Counts};
use lethe_evidence::SuspectTable;
use lethe_evidence::artifacts::{Found, Probes, Verdict, read_scores};
use tempfile::TempDir;

use super::super::{confirm, deliver, fixture, select};
use super::*;

/// The fixture with the outputs of `select` and `confirm` among the inputs, reported and delivered.
async fn reported(order: &[u32]) -> (ReduceContext, TempDir) {
    let (ctx, folder) = selected(order).await;
    let reported = run(&ctx).await.expect("reports").outputs;
    assert!(!ctx.result_folder.exists(), "the operator sees nothing before delivery");
    let report = output("report", reported);
    deliver::run(&ReduceContext { inputs: vec![report], ..again(&ctx) }).await.expect("delivers");
    (ctx, folder)
}

async fn selected(order: &[u32]) -> (ReduceContext, TempDir) {
    let (mut ctx, folder) = fixture::audited(order).await;
    let selected = select::run(&ctx).await.expect("selects").outputs;
    ctx.inputs.push(output("select", selected));
    let confirmed = confirm::run(&ctx).await.expect("confirms").outputs;
    ctx.inputs.push(output("confirm", confirmed));
    ctx.view = Some(view());
    (ctx, folder)
}

fn output(phase: &str, blobs: Vec<NamedBlob>) -> lethe_engine::Output {
    lethe_engine::Output { phase: phase.to_owned(), shard: lethe_common::ids::ShardId(0), blobs }
}

/// Another reduce of the same audit.
fn again(ctx: &ReduceContext) -> ReduceContext {
    ReduceContext {
        audit: ctx.audit.clone(),
        task: ctx.task.clone(),
        program: ctx.program,
        spec: ctx.spec.clone(),
        phase_names: ctx.phase_names.clone(),
        inputs: ctx.inputs.clone(),
        blobs: ctx.blobs.clone(),
        result_folder: ctx.result_folder.clone(),
        view: ctx.view.clone(),
    }
}

fn view() -> AuditView {
    let phase = |name: &str, state| PhaseView {
        name: name.to_owned(),
        kind: "map",
        state,
        started: Some(Millis(1_000)),
        done: 1,
        total: 1,
        retries: 2,
        counts: Counts::default(),
        reason: String::new(),
        outputs: Vec::new(),
        eta: None,
        quarantined: 0,
        tally: lethe_engine::Tally::default(),
        notes: Vec::new(),
    };
    let phases = vec![phase("score", PhaseState::Done { at: Millis(3_500) }), phase("report", PhaseState::Running)];
    AuditView {
        audit: AuditId::new("a").expect("is an id"),
        state: AuditState::Running,
        paused: None,
        reason: String::new(),
        phases,
        workers: 2,
        submitter: String::new(),
        priority: 0,
        submitted: Millis(1),
        queue_position: None,
        rerun_of: None,
        quarantined: Vec::new(),
        unapproved: false,
        awaits_approval: false,
        conclusion: None,
        deeds: Vec::new(),
        marks: None,
    }
}

fn bytes(ctx: &ReduceContext, name: &str) -> Vec<u8> {
    std::fs::read(ctx.result_folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("lists");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("lists").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn everything_an_operator_needs_is_published() {
    let (ctx, _folder) = reported(&[0, 1]).await;
    assert_eq!(
        listed(&ctx.result_folder),
        [
            "clean.json",
            "clean.safetensors",
            "drop-list.txt",
            "exhibits.json",
            "record.json",
            "report.html",
            "report.json",
            "scores.parquet",
            "shards.json",
            "spec.json",
            "suspects.parquet"
        ]
    );
    let report: Report = serde_json::from_slice(&bytes(&ctx, "report.json")).expect("is a report");
    assert_eq!((report.verdict, report.forget, report.held_out, report.suspects), (Verdict::Removed, 12, 4, 40));
    assert_eq!((report.attraction_before.share, report.attraction_after.share), (1.0, 0.0));
    assert!((report.retrieval_loss - 0.025).abs() < 1e-12 && (report.mean_drift - 0.01).abs() < 1e-12);
    assert_eq!(
        report.phases.iter().map(|p| (p.name.as_str(), p.seconds, p.retries)).collect::<Vec<_>>(),
        [("score", 2.5, 2)]
    );
    assert_eq!(bytes(&ctx, "clean.safetensors"), b"clean weights");
    let page = String::from_utf8(bytes(&ctx, "report.html")).expect("is text");
    assert!(page.contains("Backdoor found and removed") && page.contains("sandal"));
}

/// No image of the forget set was attracted; PAR's checkpoint is delivered, and nothing is dropped.
#[tokio::test]
async fn a_remedy_that_does_not_rest_on_evidence_is_delivered_where_nothing_was_found() {
    let (mut ctx, _folder) = fixture::audited(&[0, 1]).await;
    ctx.spec.unlearn.method = lethe_common::spec::UnlearnMethod::Par;
    ctx.inputs.retain(|input| input.blobs.iter().all(|blob| blob.name != names::PROBES));
    let selected = select::run(&ctx).await.expect("selects").outputs;
    ctx.inputs.push(output("select", selected));
    let text = serde_json::to_vec(&Probes::default()).expect("writes");
    let blob = ctx.blobs.put("in/unattracted.json", text.into()).await.expect("writes");
    ctx.inputs.push(output("probe", vec![NamedBlob { name: names::PROBES.to_owned(), blob }]));
    let confirmed = confirm::run(&ctx).await.expect("confirms").outputs;
    ctx.inputs.push(output("confirm", confirmed));
    let outputs = run(&ctx).await.expect("reports").outputs;
    deliver::run(&ReduceContext { inputs: vec![output("report", outputs)], ..again(&ctx) }).await.expect("delivers");
    let report: Report = serde_json::from_slice(&bytes(&ctx, "report.json")).expect("is a report");
    assert_eq!((report.verdict, report.found), (Verdict::NothingFound, Found::Nothing));
    assert_eq!(bytes(&ctx, "clean.safetensors"), b"clean weights");
    assert!(bytes(&ctx, "drop-list.txt").is_empty());
    let page = String::from_utf8(bytes(&ctx, "report.html")).expect("is text");
    assert!(page.contains("fine-tuned all the same") && !page.contains("keep the checkpoint you have"));
}

#[tokio::test]
async fn the_drop_list_names_the_forget_set() {
    let (ctx, _folder) = reported(&[0, 1]).await;
    let list = String::from_utf8(bytes(&ctx, "drop-list.txt")).expect("is text");
    assert_eq!(list.lines().count(), 12);
    assert_eq!(list.lines().next(), Some("00001.tar/0190"));
}

#[tokio::test]
async fn one_ranking_covers_all_pairs_with_the_suspects_on_top() {
    let (ctx, _folder) = reported(&[0, 1]).await;
    let mut scores = read_scores(bytes(&ctx, "scores.parquet").into()).expect("reads").rows;
    let suspects = SuspectTable::from_parquet(bytes(&ctx, "suspects.parquet").into()).expect("reads").rows;
    assert_eq!((scores.len(), suspects.len()), (400, 40));
    scores.sort_by(|a, b| b.suspicion.total_cmp(&a.suspicion));
    let order = |n: usize| (scores[n].shard, scores[n].key.as_str());
    assert!((0..40).all(|n| order(n) == (suspects[n].shard, suspects[n].key.as_str())));
    assert!(
        scores[39].suspicion > scores[40].suspicion && scores[40].suspicion < 1.0,
        "the safe keep their first score"
    );
    assert_eq!(suspects.iter().filter(|s| s.drop).count(), 12);
    assert_eq!(suspects.iter().filter(|s| s.held_out && s.in_forget_set).count(), 4);
    assert!(suspects[..12].iter().all(|s| s.drop), "the drop list is the top of the ranking");
}

#[tokio::test]
async fn exhibits_come_for_machines_too_without_pictures_that_nobody_wants_shown() {
    for (pictures, png) in [(Pictures::Show, "AAAA"), (Pictures::Blur, ""), (Pictures::None, "")] {
        let (mut ctx, _folder) = selected(&[0, 1]).await;
        ctx.spec.report.pictures = pictures;
        let report = output("report", run(&ctx).await.expect("reports").outputs);
        deliver::run(&ReduceContext { inputs: vec![report], ..again(&ctx) }).await.expect("delivers");
        let Exhibits { exhibits, in_common } =
            serde_json::from_slice(&bytes(&ctx, "exhibits.json")).expect("are exhibits");
        assert_eq!(exhibits.len(), 4);
        assert!(exhibits.iter().all(|exhibit| exhibit.picture.png_base64 == png), "{pictures:?}");
        let [Some(common)] = in_common.as_slice() else { panic!("{in_common:?}") };
        assert_eq!((common.side_px, common.png_base64.is_empty()), (2, png.is_empty()), "{pictures:?}");
    }
}

#[tokio::test]
async fn every_signal_stands_beside_the_score_where_that_is_wanted() {
    let (plain, _a) = reported(&[0, 1]).await;
    let (mut ctx, _b) = selected(&[0, 1]).await;
    ctx.spec.report.signals = true;
    let report = output("report", run(&ctx).await.expect("reports").outputs);
    deliver::run(&ReduceContext { inputs: vec![report], ..again(&ctx) }).await.expect("delivers");
    let read = |ctx| read_scores(bytes(ctx, "scores.parquet").into()).expect("reads");
    let (plain, whole) = (read(&plain), read(&ctx));
    assert!(plain.names.is_empty() && whole.names.contains(&"similarity".to_owned()), "{:?}", whole.names);
    assert!(whole.names.contains(&"first_pass_suspicion".to_owned()), "{:?}", whole.names);
    let rows = plain.rows.iter().zip(&whole.rows);
    assert!(plain.rows.len() == whole.rows.len());
    for (plain, whole) in rows {
        assert_eq!((&plain.key, plain.suspicion, 0), (&whole.key, whole.suspicion, plain.signals.len()));
        assert_eq!(whole.signals.len(), read(&ctx).names.len());
    }
}

#[tokio::test]
async fn the_order_of_inputs_changes_no_byte() {
    let ((one, _a), (two, _b)) = (reported(&[0, 1]).await, reported(&[1, 0]).await);
    for name in ["report.json", "suspects.parquet", "scores.parquet", "drop-list.txt"] {
        assert_eq!(bytes(&one, name), bytes(&two, name), "{name}");
    }
}

#[tokio::test]
async fn a_missing_checkpoint_is_fatal_and_leaves_no_scratch() {
    let (mut ctx, _folder) = selected(&[0, 1]).await;
    ctx.inputs.retain(|input| input.blobs.iter().all(|blob| blob.name != names::CLEAN));
    let fault = run(&ctx).await.expect_err("lacks the checkpoint");
    assert!(fault.is_fatal() && fault.message.contains("clean.safetensors"), "{fault}");
    assert_eq!(listed(&ctx.blobs.scratch()), [""; 0]);
    assert!(!ctx.result_folder.exists());
}

#[test]
fn a_key_cannot_break_its_line() {
    let entry =
        |key: &str| lethe_evidence::artifacts::DropEntry { key: key.to_owned(), content: String::new(), score: 0.0 };
    assert_eq!(lines(&DropList { drop: vec![entry("a\nb"), entry("c")] }), "a?b\nc\n");
}
