//! Verdict, report and clean checkpoint, as blobs of this attempt.
//!
//! It must never write where the operator looks: that is `deliver`'s, once the store points at these.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::TryStreamExt;
use lethe_common::blob::{Digest, NamedBlob};
use lethe_common::earlier::{Basis, Drops, EARLIER, SinceEarlier, Taken};
use lethe_common::fault::Fault;
use lethe_common::program::MapProgram;
use lethe_common::spec::Pictures;
use lethe_engine::{Conclusion, PhaseState, PhaseView};
use lethe_evidence::artifacts::{
    Confirmed, DropList, Evaluation, Exhibit, Exhibits, HandedBack, Interval, Look, Looks, MarkCounts, PhaseSeconds,
    Picture, Report, Shards, SuspectCut, Training, encode, names,
};

use super::io::{blocking, evidence_fault};
use super::marks::Said;
use super::package::{Package, model_config, suspect_checkpoint};
use super::ranking::Ranking;
use super::verdict::{judge, retrieval_loss};
use super::{ReduceContext, ReduceResult};
use crate::report::{Page, render};

/// All that earlier phases decided.
struct Evidence {
    shards: Shards,
    cut: SuspectCut,
    confirmed: Confirmed,
    drop: DropList,
    sums: Evaluation,
    ranking: Ranking,
    exhibits: Exhibits,
    trainings: Vec<(String, Training)>,
    marks: Option<MarkCounts>,
    since: Option<SinceEarlier>,
}

pub(super) async fn run(ctx: &ReduceContext) -> Result<ReduceResult, Fault> {
    let evidence = gather(ctx).await?;
    let report = assemble(ctx, &evidence);
    let outputs = pack(ctx, &evidence, &report).await?;
    let conclusion = Conclusion { verdict: report.verdict.as_str().to_owned(), headline: report.headline };
    Ok(ReduceResult { conclusion: Some(conclusion), ..ReduceResult::of(outputs) })
}

async fn gather(ctx: &ReduceContext) -> Result<Evidence, Fault> {
    Ok(Evidence {
        shards: ctx.only_json(names::SHARDS).await?,
        cut: ctx.only_json(names::CUT).await?,
        confirmed: ctx.only_json(names::CONFIRMED).await?,
        drop: ctx.only_json(names::DROP).await?,
        sums: sums(ctx).await?,
        ranking: Ranking::read(ctx).await?,
        exhibits: Exhibits { exhibits: exhibits(ctx).await?, in_common: in_common(ctx).await? },
        trainings: trainings(ctx).await?,
        marks: Said::handed_on(ctx).await?.counts(ctx).await?,
        since: since(ctx).await?,
    })
}

/// What is new since the earlier audit that the spec names.
async fn since(ctx: &ReduceContext) -> Result<Option<SinceEarlier>, Fault> {
    let basis: Option<Basis> = match ctx.named(EARLIER).first() {
        Some(_) => Some(ctx.only_json(EARLIER).await?),
        None => None, // planned by an older release
    };
    // A run again from scoring on goes on from nothing, whatever the plan that it took over says.
    let since = basis.and_then(|basis| basis.since).filter(|_| ctx.spec.audit.since.is_some());
    let Some(since) = since else { return Ok(None) };
    let drops = match &since.drop_list {
        // Swept, or damaged, it is none of this audit's results.
        Some(before) => match ctx.blobs.get(&before.blob).await {
            Ok(bytes) => Some(drops(&String::from_utf8_lossy(&bytes), &lines(&ctx.only_json(names::DROP).await?))),
            Err(_) => None,
        },
        None => None,
    };
    // As they were committed: what was gone from the earlier audit was computed after all, and is the same only where it is.
    let committed: BTreeMap<u32, Digest> =
        ctx.named(names::SIGNALS).into_iter().map(|input| (input.shard, input.blob.digest)).collect();
    let is_kept = |one: &&Taken| {
        let signals = one.outputs.iter().find(|output| output.name == names::SIGNALS);
        one.phase == MapProgram::Score.as_str()
            && signals.is_some_and(|was| committed.get(&one.shard.0) == Some(&was.blob.digest))
    };
    let kept = since.taken.iter().filter(is_kept).count() as u64;
    let audit = since.audit.to_string();
    Ok(Some(SinceEarlier { audit, shards: since.changes, kept, anew: since.anew, drops }))
}

fn drops(before: &str, now: &str) -> Drops {
    let [before, now]: [BTreeSet<&str>; 2] = [before, now].map(|list| list.lines().collect());
    Drops { new: now.difference(&before).count() as u64, no_longer: before.difference(&now).count() as u64 }
}

/// In order of shard, so that the sum of floats is the same every time.
async fn sums(ctx: &ReduceContext) -> Result<Evaluation, Fault> {
    let mut sums = Evaluation::default();
    let mut all = pin!(ctx.each(names::EVALUATION, |input| ctx.json(names::EVALUATION, input)));
    while let Some((_, shard)) = all.try_next().await? {
        sums = sums.plus(shard);
    }
    Ok(sums)
}

/// The most suspicious of all shards, never more than the page shows plus one shard's.
async fn exhibits(ctx: &ReduceContext) -> Result<Vec<Exhibit>, Fault> {
    let mut best: Vec<Exhibit> = Vec::new();
    let mut all = pin!(ctx.each(names::EXHIBITS, |input| ctx.json::<Exhibits>(names::EXHIBITS, input)));
    while let Some((_, shard)) = all.try_next().await? {
        best.extend(shard.exhibits);
        best.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (a.shard, &a.key).cmp(&(b.shard, &b.key))));
        best.truncate(ctx.spec.localize.exhibits as usize);
    }
    Ok(best)
}

/// Of each of the clusters.
async fn in_common(ctx: &ReduceContext) -> Result<Vec<Option<Picture>>, Fault> {
    let mut looks = Looks::default();
    let mut all = pin!(ctx.each(names::LOOKS, |input| ctx.json(names::LOOKS, input)));
    while let Some((_, shard)) = all.try_next().await? {
        looks = looks.plus(&shard);
    }
    looks.clusters.iter().map(picture).collect()
}

fn picture(look: &Look) -> Result<Option<Picture>, Fault> {
    let picture = |pixels: Vec<u8>| {
        let png = lethe_data::encode_png(&pixels, look.side_px).map_err(|e| Fault::fatal(e.to_string()))?;
        Ok(Picture { side_px: look.side_px, png_base64: STANDARD.encode(png) })
    };
    look.in_common().map(picture).transpose()
}

async fn trainings(ctx: &ReduceContext) -> Result<Vec<(String, Training)>, Fault> {
    let mut trainings = Vec::new();
    for input in ctx.named(names::TRAINING) {
        trainings.push((input.phase.to_owned(), ctx.json(names::TRAINING, input).await?));
    }
    let place = |name: &str| ctx.phase_names.iter().position(|phase| phase == name);
    trainings.sort_by_key(|(phase, _)| place(phase));
    Ok(trainings)
}

fn assemble(ctx: &ReduceContext, evidence: &Evidence) -> Report {
    let Evidence { shards, cut, confirmed, sums, ranking, .. } = evidence;
    let (judgement, forget) = (judge(sums, confirmed, &ctx.spec), &confirmed.forget);
    let safe = |hits: u64| Interval::of(hits, sums.safe_pairs);
    let residual = sums.residual();
    let held_out = |hits: u64| Interval::of(hits, residual.held_out);
    let mut histograms = cut.histograms.clone();
    histograms.push(ranking.histogram(forget));
    Report {
        audit: ctx.audit.to_string(),
        verdict: judgement.verdict,
        found: judgement.found,
        handed_back: judgement.handed_back,
        headline: judgement.headline.to_owned(),
        reasons: judgement.reasons,
        shards: shards.shards.len() as u64,
        data_bytes: shards.total_bytes,
        samples: cut.counts,
        suspects: forget.suspects,
        forget: forget.members.len() as u64,
        held_out: forget.held_out().count() as u64,
        attraction_before: held_out(residual.attracted_before),
        attraction_after: held_out(residual.attracted_after),
        clusters: confirmed.clusters.clone(),
        retrieval_before: safe(sums.retrieval_hits_before),
        retrieval_after: safe(sums.retrieval_hits_after),
        retrieval_loss: retrieval_loss(sums),
        mean_drift: sums.drift_sum / (sums.safe_pairs.max(1) as f64),
        words: forget.words.clone(),
        other_words: forget.other_words.clone(),
        histograms,
        phases: ctx.view.iter().flat_map(|view| &view.phases).filter_map(seconds).collect(),
        compared_with: compared_with(ctx).to_owned(),
        bad: cut.bad.clone(),
        marks: evidence.marks,
        since: evidence.since.clone(),
    }
}

/// Of phases that ended; the report's own has not.
fn seconds(phase: &PhaseView) -> Option<PhaseSeconds> {
    let (started, ended) = match phase.state {
        PhaseState::Done { at } => (phase.started?, at),
        PhaseState::Waiting | PhaseState::Running | PhaseState::Failed { .. } => return None,
    };
    Some(PhaseSeconds {
        name: phase.name.clone(),
        kind: phase.kind.to_owned(),
        seconds: ended.since_ms(started) as f64 / 1000.0,
        retries: phase.retries,
    })
}

fn compared_with(ctx: &ReduceContext) -> &'static str {
    match &ctx.spec.model.trusted {
        Some(_) => {
            "the suspect model itself after unlearning its strongest suspects, and in the first pass with the trusted weights"
        }
        None => "the suspect model itself after unlearning its strongest suspects",
    }
}

/// The report for machines comes last: where it is, all the others are.
async fn pack(ctx: &ReduceContext, evidence: &Evidence, report: &Report) -> Result<Vec<NamedBlob>, Fault> {
    let Evidence { shards, cut, confirmed, drop, ranking, exhibits, trainings, .. } = evidence;
    let Exhibits { exhibits: samples, in_common } = exhibits;
    let page = Page { report, exhibits: samples, in_common, spec: &ctx.spec, shards, trainings };
    let mut package = Package::begin(ctx).await?;
    package.put("report.html", render(&page).into()).await?;
    let table = ranking.table(&confirmed.forget, report.found);
    let table = blocking(move || table.to_parquet().map_err(evidence_fault)).await?;
    package.put("suspects.parquet", table).await?;
    ranking.write_scores(ctx, (cut, confirmed), package.create("scores.parquet")?).await?;
    package.put_created("scores.parquet").await?;
    package.put(names::EXHIBITS, shown(exhibits, ctx.spec.report.pictures)?.into()).await?;
    // What `lethe scrub` writes the shards again by.
    package.put_input(names::SHARDS, ctx.only(names::SHARDS)?).await?;
    package.put_file("clean.json", model_config(ctx)).await?;
    package.put("drop-list.txt", lines(drop).into()).await?;
    match report.handed_back {
        HandedBack::Trained => package.put_input(names::CLEAN, ctx.only(names::CLEAN)?).await?,
        HandedBack::Given => package.put_file(names::CLEAN, suspect_checkpoint(ctx)?).await?,
    }
    let json = encode(names::REPORT, report).map_err(|e| Fault::fatal(e.to_string()))?;
    package.put(names::REPORT, json.into()).await?;
    Ok(package.finish())
}

/// The exhibits for machines, without the pictures that the spec does not want shown.
fn shown(exhibits: &Exhibits, pictures: Pictures) -> Result<Vec<u8>, Fault> {
    let mut exhibits = exhibits.clone();
    if pictures != Pictures::Show {
        let samples = exhibits.exhibits.iter_mut().map(|exhibit| &mut exhibit.picture);
        samples.chain(exhibits.in_common.iter_mut().flatten()).for_each(|picture| picture.png_base64.clear());
    }
    encode(names::EXHIBITS, &exhibits).map_err(|e| Fault::fatal(e.to_string()))
}

/// One key a line. A key cannot break its line: a tar member's name may hold a newline.
fn lines(drop: &DropList) -> String {
    drop.drop.iter().map(|entry| format!("{}\n", entry.key.replace(['\n', '\r'], "?"))).collect()
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
