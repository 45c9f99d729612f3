//! One ranking of all pairs: the suspects by their second score, above all others by their first.
//!
//! It must never hold more than the capped suspects and a batch of rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{ForgetSet, Found, Histogram, ScoreRow, ScoresWriter, SuspectCut, columns, names};
use lethe_evidence::{KeyedScore, RowBatches, ScoreDigest, SignalRow, SignalTable, Suspect, SuspectTable};

use super::ReduceContext;
use super::histogram::histogram;
use super::io::{blocking, evidence_fault};

/// The suspects in order, the most suspicious first.
#[derive(Debug)]
pub(super) struct Ranking {
    names: Vec<String>,
    rows: Vec<SignalRow>,
    rank_score: usize,
}

impl Ranking {
    pub async fn read(ctx: &ReduceContext) -> Result<Self, Fault> {
        let mut all = SignalTable::default();
        for input in ctx.named(names::RESCORED) {
            let table = ctx.signals(input).await?;
            if !all.names.is_empty() && all.names != table.names {
                return Err(Fault::fatal(format!(
                    "{} of shard {} has other columns than the first",
                    names::RESCORED,
                    input.shard
                )));
            }
            all.names = table.names;
            all.rows.extend(table.rows);
        }
        let rank_score = all.position(columns::RANK_SCORE);
        let rank_score =
            rank_score.ok_or_else(|| Fault::fatal(format!("{} lacks {}", names::RESCORED, columns::RANK_SCORE)))?;
        Ok(Self::sorted(all, rank_score))
    }

    /// Rows without a number for a score come last.
    fn sorted(mut all: SignalTable, rank_score: usize) -> Self {
        let score =
            |row: &SignalRow| Some(row.values[rank_score]).filter(|score| !score.is_nan()).unwrap_or(f32::NEG_INFINITY);
        all.rows.sort_by(|a, b| score(b).total_cmp(&score(a)).then_with(|| (a.shard, &a.key).cmp(&(b.shard, &b.key))));
        Self { names: all.names, rows: all.rows, rank_score }
    }

    /// How the second scores fell, with the forget set's threshold.
    pub fn histogram(&self, forget: &ForgetSet) -> Histogram {
        let digest: ScoreDigest = self.rows.iter().map(|row| row.values[self.rank_score]).collect();
        histogram(columns::RANK_SCORE, &digest, Some(forget.threshold))
    }

    /// suspects.parquet.
    pub fn table(&self, forget: &ForgetSet, found: Found) -> SuspectTable {
        let members: BTreeMap<(u32, &str), bool> =
            forget.members.iter().map(|member| ((member.shard, member.key.as_str()), member.held_out)).collect();
        let suspect = |(at, row): (usize, &SignalRow)| {
            let member = members.get(&(row.shard, row.key.as_str())).copied();
            Suspect {
                rank: at as u32 + 1,
                key: row.key.clone(),
                shard: row.shard,
                url: String::new(),
                content: row.content.clone(),
                caption: row.caption.clone(),
                suspicion: row.values[self.rank_score],
                in_forget_set: member.is_some(),
                held_out: member == Some(true),
                drop: member.is_some() && found == Found::Shortcut,
                values: row.values.clone(),
            }
        };
        let names = self.names.iter().map(|name| first_pass_name(name)).collect();
        SuspectTable { names, rows: self.rows.iter().enumerate().map(suspect).collect() }
    }

    /// scores.parquet, shard by shard.
    pub async fn write_scores(&self, ctx: &ReduceContext, cut: &SuspectCut, file: File) -> Result<(), Fault> {
        let base = above_all(cut);
        let most = self.rows.len();
        let places = self.rows.iter().enumerate();
        let lifted: BTreeMap<(u32, String), f64> =
            places.map(|(at, row)| ((row.shard, row.key.clone()), base + (most - at) as f64)).collect();
        let lifted = Arc::new(lifted);
        match ctx.spec.report.signals {
            true => write_with_signals(ctx, &lifted, file).await,
            false => write_plain(ctx, &lifted, file).await,
        }
    }
}

async fn write_plain(ctx: &ReduceContext, lifted: &Lifted, file: File) -> Result<(), Fault> {
    let mut writer = ScoresWriter::new(file, &[]).map_err(evidence_fault)?;
    for input in ctx.named(names::SIGNALS) {
        let (batches, lifted) = (ctx.first_scores(input).await?, lifted.clone());
        let plain = move |row: KeyedScore| lift((row.shard, row.key), row.score, Vec::new(), &lifted);
        writer = blocking(move || write_shard(writer, batches, plain)).await?;
    }
    blocking(move || writer.finish().map(drop).map_err(evidence_fault)).await
}

/// With every signal of the first pass; all shards have the same.
async fn write_with_signals(ctx: &ReduceContext, lifted: &Lifted, file: File) -> Result<(), Fault> {
    let mut file = Some(file);
    let mut begun = None;
    for input in ctx.named(names::SIGNALS) {
        let (batches, lifted) = (ctx.first_signals(input).await?, lifted.clone());
        if let Some(file) = file.take() {
            begun = Some(with_signals(file, &batches.names)?);
        }
        let Some((writer, at)) = begun.take() else { break };
        let whole = move |mut row: SignalRow| {
            let score = row.values.remove(at);
            lift((row.shard, row.key), score, row.values, &lifted)
        };
        begun = Some((blocking(move || write_shard(writer, batches, whole)).await?, at));
    }
    let (writer, _) = begun.ok_or_else(|| Fault::fatal(format!("the first pass left no {}", names::SIGNALS)))?;
    blocking(move || writer.finish().map(drop).map_err(evidence_fault)).await
}

/// A table with every signal but the score, and the score's place among them.
fn with_signals(file: File, found: &[String]) -> Result<(ScoresWriter<File>, usize), Fault> {
    let at = found.iter().position(|name| name == columns::SUSPICION);
    let at = at.ok_or_else(|| Fault::fatal(format!("{} lacks {}", names::SIGNALS, columns::SUSPICION)))?;
    let signals: Vec<String> = found.iter().filter(|name| *name != columns::SUSPICION).cloned().collect();
    Ok((ScoresWriter::new(file, &signals).map_err(evidence_fault)?, at))
}

/// The suspects' places, by shard and key.
type Lifted = Arc<BTreeMap<(u32, String), f64>>;

/// The suspects' table has a column `suspicion` of its own, which is the second score.
fn first_pass_name(name: &str) -> String {
    if name == columns::SUSPICION { format!("first_pass_{name}") } else { name.to_owned() }
}

/// More than any first-pass score: the highest is known but for a bucket's width.
fn above_all(cut: &SuspectCut) -> f64 {
    let highest = cut.histograms.first().map_or(0.0, |first| first.high);
    (highest + highest.abs() * f64::from(lethe_evidence::digest::RELATIVE_ERROR) * 2.0).ceil() + 1.0
}

fn write_shard<R>(
    mut writer: ScoresWriter<File>,
    batches: RowBatches<R>,
    place: impl Fn(R) -> ScoreRow,
) -> Result<ScoresWriter<File>, Fault> {
    for batch in batches {
        let rows: Vec<ScoreRow> = batch.map_err(evidence_fault)?.into_iter().map(&place).collect();
        writer.append(&rows).map_err(evidence_fault)?;
    }
    writer.end_shard().map_err(evidence_fault)?;
    Ok(writer)
}

/// A suspect's place above all others, or the first score.
fn lift(name: (u32, String), score: f32, signals: Vec<f32>, lifted: &Lifted) -> ScoreRow {
    let suspicion = lifted.get(&name).copied().unwrap_or(f64::from(score));
    ScoreRow { shard: name.0, key: name.1, suspicion, signals }
}
