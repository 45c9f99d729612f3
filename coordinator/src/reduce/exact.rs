//! A second counting pass over all first-pass scores, where the cap on the suspects decides: the cut then takes exactly as
//! many, and not as many as the luck of the key hashes gives.
//!
//! It must never hold more key hashes than the cap allows suspects.

use std::pin::pin;

use futures::TryStreamExt;
use lethe_common::fault::Fault;
use lethe_evidence::artifacts::{Shards, names};
use lethe_evidence::cut::{Cut, LeastHashes};
use lethe_evidence::{KeyedScore, RowBatches};

use super::ReduceContext;
use super::io::{blocking, evidence_fault};

/// The same cut with the key hash up to which the tied bucket gives what is left of `wanted`. A key that occurs twice in a
/// shard counts once, as it is gathered.
pub(super) async fn settled(ctx: &ReduceContext, cut: Cut, wanted: u64) -> Result<Cut, Fault> {
    let shards: Shards = ctx.only_json(names::SHARDS).await?;
    let mut least = LeastHashes::new(wanted.saturating_sub(cut.above));
    let mut tables = pin!(ctx.each(names::SIGNALS, |input| ctx.first_scores(input)));
    while let Some((input, scores)) = tables.try_next().await? {
        let entry = shards.shards.get(input.shard as usize);
        let entry = entry.ok_or_else(|| Fault::fatal(format!("the listing has no shard {}", input.shard)))?;
        let (seed, dataset, shard) = (ctx.spec.audit.seed, shards.dataset.clone(), entry.name().to_owned());
        let hash = move |row: &KeyedScore| lethe_data::key_hash(seed, &dataset, &shard, &row.key);
        least = blocking(move || show(scores, cut, least, hash)).await?;
    }
    Ok(Cut { tied_key_hash: least.last(), ..cut })
}

fn show(
    scores: RowBatches<KeyedScore>,
    cut: Cut,
    mut least: LeastHashes,
    hash: impl Fn(&KeyedScore) -> u64,
) -> Result<LeastHashes, Fault> {
    for batch in scores {
        let batch = batch.map_err(evidence_fault)?;
        batch.iter().filter(|row| cut.is_tied(row.score)).for_each(|row| least.push(hash(row)));
    }
    Ok(least)
}
