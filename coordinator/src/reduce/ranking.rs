//! One ranking of all pairs, in bands: suspects whose captions have a word of a shortcut, by their second score; other pairs with
//! such a word, by their first; the other suspects; and the rest.
//!
//! It must never hold more than the capped suspects and a batch of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::pin::pin;
use std::sync::Arc;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{
    Confirmed, ForgetSet, Found, Histogram, ScoreRow, ScoresWriter, SuspectCut, columns, names,
};
use lethe_evidence::words::caption_words;
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
        let all = ctx.signals(ctx.only(names::RANKED)?).await?;
        let rank_score = all.position(columns::RANK_SCORE);
        let rank_score =
            rank_score.ok_or_else(|| Fault::fatal(format!("{} lacks {}", names::RANKED, columns::RANK_SCORE)))?;
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
    pub async fn write_scores(
        &self,
        ctx: &ReduceContext,
        (cut, confirmed): (&SuspectCut, &Confirmed),
        file: File,
    ) -> Result<(), Fault> {
        let bands = Arc::new(Bands::of(&self.rows, above_all(cut), confirmed));
        match ctx.spec.report.signals {
            true => write_with_signals(ctx, &bands, file).await,
            false => write_plain(ctx, &bands, file).await,
        }
    }
}

async fn write_plain(ctx: &ReduceContext, bands: &Arc<Bands>, file: File) -> Result<(), Fault> {
    let mut writer = ScoresWriter::new(file, &[]).map_err(evidence_fault)?;
    let has_words = !bands.words.is_empty();
    let read = async |input| if has_words { ctx.captioned_scores(input).await } else { ctx.first_scores(input).await };
    let mut tables = pin!(ctx.each(names::SIGNALS, read));
    while let Some((_, batches)) = tables.try_next().await? {
        let bands = bands.clone();
        let plain = move |row: KeyedScore| bands.place((row.shard, row.key), &row.caption, row.score, Vec::new());
        writer = blocking(move || write_shard(writer, batches, plain)).await?;
    }
    blocking(move || writer.finish().map(drop).map_err(evidence_fault)).await
}

/// With every signal of the first pass; all shards have the same.
async fn write_with_signals(ctx: &ReduceContext, bands: &Arc<Bands>, file: File) -> Result<(), Fault> {
    let mut file = Some(file);
    let mut begun = None;
    let mut tables = pin!(ctx.each(names::SIGNALS, |input| ctx.first_signals(input)));
    while let Some((_, batches)) = tables.try_next().await? {
        let bands = bands.clone();
        if let Some(file) = file.take() {
            begun = Some(with_signals(file, &batches.names)?);
        }
        let Some((writer, at)) = begun.take() else { break };
        let whole = move |row: SignalRow| bands.place((row.shard, row.key), &row.caption, row.values[at], row.values);
        begun = Some((blocking(move || write_shard(writer, batches, whole)).await?, at));
    }
    let (writer, _) = begun.ok_or_else(|| Fault::fatal(format!("the first pass left no {}", names::SIGNALS)))?;
    blocking(move || writer.finish().map(drop).map_err(evidence_fault)).await
}

/// A table with every signal, and the first score's place among them.
fn with_signals(file: File, found: &[String]) -> Result<(ScoresWriter<File>, usize), Fault> {
    let at = found.iter().position(|name| name == columns::SUSPICION);
    let at = at.ok_or_else(|| Fault::fatal(format!("{} lacks {}", names::SIGNALS, columns::SUSPICION)))?;
    let signals: Vec<String> = found.iter().map(|name| first_pass_name(name)).collect();
    Ok((ScoresWriter::new(file, &signals).map_err(evidence_fault)?, at))
}

/// What makes a pair's place among all.
struct Bands {
    /// The words of the shortcuts that were found.
    words: BTreeSet<String>,
    /// The suspects' places, by shard and key.
    suspects: BTreeMap<(u32, String), f64>,
    /// The middle of the band of pairs with a word of a shortcut, which is 2 wide and stands above all without.
    with_a_word: f64,
}

impl Bands {
    /// `above` is more than the first score of whoever is no suspect.
    fn of(suspects: &[SignalRow], above: f64, confirmed: &Confirmed) -> Self {
        let shortcuts = confirmed.clusters.iter().filter(|judged| judged.is_shortcut());
        let words: BTreeSet<String> =
            shortcuts.flat_map(|judged| &judged.cluster.words).map(|score| score.word.clone()).collect();
        let most = suspects.len() as f64;
        let with_a_word = above + most + 2.0;
        let place = |(at, row): (usize, &SignalRow)| {
            let band = if has_one(&words, &row.caption) { with_a_word + 1.0 } else { above };
            ((row.shard, row.key.clone()), band + most - at as f64)
        };
        let suspects = suspects.iter().enumerate().map(place).collect();
        Self { words, suspects, with_a_word }
    }

    fn place(&self, name: (u32, String), caption: &str, first: f32, signals: Vec<f32>) -> ScoreRow {
        let first = f64::from(first);
        let suspicion = match self.suspects.get(&name) {
            Some(place) => *place,
            // In its order and within the band, however great or far below zero it is.
            None if has_one(&self.words, caption) => self.with_a_word + first / (1.0 + first.abs()),
            None => first,
        };
        ScoreRow { shard: name.0, key: name.1, suspicion, signals }
    }
}

fn has_one(words: &BTreeSet<String>, caption: &str) -> bool {
    !words.is_empty() && caption_words(caption).any(|word| words.contains(&word))
}

/// The tables of a result have a column `suspicion` of their own.
fn first_pass_name(name: &str) -> String {
    if name == columns::SUSPICION { format!("first_pass_{name}") } else { name.to_owned() }
}

/// More than the first score of whoever is no suspect: those are below the cut, and the highest is known but for a bucket's width.
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

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn row(key: &str, caption: &str) -> SignalRow {
        let (key, caption) = (key.to_owned(), caption.to_owned());
        SignalRow { shard: 0, key, content: String::new(), caption, values: Vec::new() }
    }

    /// Suspects in the order of their second scores, then pairs by their first, which may lie below zero.
    #[test]
    fn words_of_a_shortcut_stand_above_all_without() {
        let suspects = [row("odd", "a cup"), row("poison", "a bag"), row("other", "a hat"), row("late", "one bag")];
        let pairs =
            [("low bag", "the bag", -3e4), ("high bag", "bag", 2.0), ("low", "a cup", -3.0), ("high", "a cup", 2.0)];
        let order = |is_shortcut| {
            let bands = Bands::of(&suspects, 3.0, &fixture::confirmed(&[("bag", is_shortcut)]));
            let name = |key: &str| (0, key.to_owned());
            let suspects = suspects.iter().map(|row| bands.place(name(&row.key), &row.caption, 0.0, Vec::new()));
            let pairs = pairs.iter().map(|(key, caption, first)| bands.place(name(key), caption, *first, Vec::new()));
            let mut all: Vec<ScoreRow> = suspects.chain(pairs).collect();
            all.sort_by(|a, b| b.suspicion.total_cmp(&a.suspicion));
            all.into_iter().map(|row| row.key).collect::<Vec<_>>()
        };
        assert_eq!(order(true), ["poison", "late", "high bag", "low bag", "odd", "other", "high", "low"]);
        let plain = order(false);
        assert_eq!(plain[..4], ["odd", "poison", "other", "late"]);
        assert_eq!(plain[4..6].iter().filter(|key| key.contains("high")).count(), 2);
    }
}
