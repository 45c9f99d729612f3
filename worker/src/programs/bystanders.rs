//! Pairs of a shard that the cut left alone, drawn to compare the members of clusters with.
//!
//! A cluster's words may be rare, and what was gathered for training is a few pairs a shard of a large set: the draw is
//! from all that the shard has. It must never draw a suspect.

use std::collections::{BTreeMap, BTreeSet};

use lethe_common::fault::Fault;
use lethe_data::key_hash;
use lethe_evidence::artifacts::{SuspectCut, columns, names};
use lethe_evidence::{PairRow, SignalRow};

use super::backdoor::Backdoor;
use super::fault::fatal;
use super::inputs;
use super::least::Least;
use super::shard::{self, Batches, safe_row};
use crate::task::TaskContext;

/// Sets the draw apart from other draws by key hash.
const SALT: &str = "bystander";
/// Pairs decoded at a time.
const BATCH: usize = 64;

/// One cluster's draws; a pair may be of several clusters'. Of each its key and content.
#[derive(Debug, PartialEq)]
struct Draws {
    /// With a word of the cluster.
    honest: Least<(String, String)>,
    /// Without.
    hosts: Least<(String, String)>,
}

impl Draws {
    fn of(most: usize) -> Self {
        Self { honest: Least::of(most), hosts: Least::of(most) }
    }
}

/// The pairs that were drawn, each once, and which of them are of which cluster.
#[derive(Debug, Default)]
pub struct Bystanders {
    rows: BTreeMap<String, PairRow>,
    draws: Vec<Draws>,
}

impl Bystanders {
    /// At most so many of either kind for each cluster; none for one that is absent. A pair whose picture is broken, or has
    /// changed, is left out.
    pub fn draw(ctx: &TaskContext<'_>, clusters: &[Option<&Backdoor>], most: usize) -> Result<Self, Fault> {
        let (listing, entry) = inputs::shard_entry(ctx, ctx.task.shard)?;
        let cut = ctx.kept.get("cut", || inputs::json::<SuspectCut>(ctx, "suspect", names::CUT))?;
        let signals = inputs::own_signals(ctx)?;
        let column = inputs::position(&signals.names, columns::SUSPICION)?;
        let seed = ctx.spec.audit.seed;
        let hash = |salt: &str, key: &str| key_hash(seed, salt, entry.name(), key);
        let mut draws: Vec<Draws> = clusters.iter().map(|_| Draws::of(most)).collect();
        let is_honest = |row: &SignalRow| cut.is_honest(row.values[column], hash(&listing.dataset, &row.key));
        for batch in signals {
            for row in batch.map_err(fatal)? {
                if is_honest(&row) {
                    show(&row, hash(SALT, &row.key), (clusters, &mut draws));
                }
            }
        }
        let rows = read(ctx, &draws)?;
        Ok(Self { rows, draws })
    }

    /// Of all that were drawn.
    pub fn captions(&self) -> impl Iterator<Item = &str> {
        self.rows.values().map(|row| row.caption.as_str())
    }

    pub fn honest(&self, cluster: usize) -> Vec<&PairRow> {
        self.rows_of(&self.draws[cluster].honest)
    }

    pub fn hosts(&self, cluster: usize) -> Vec<&PairRow> {
        self.rows_of(&self.draws[cluster].hosts)
    }

    fn rows_of(&self, draw: &Least<(String, String)>) -> Vec<&PairRow> {
        draw.drawn().filter_map(|(key, _)| self.rows.get(key)).collect()
    }
}

/// A pair of the shard, which may be drawn.
fn show(row: &SignalRow, hash: u64, (clusters, draws): (&[Option<&Backdoor>], &mut [Draws])) {
    for (backdoor, draws) in clusters.iter().zip(draws) {
        let Some(backdoor) = backdoor else { continue };
        let draw = if backdoor.is_in(&row.caption) { &mut draws.honest } else { &mut draws.hosts };
        draw.show(hash, || (row.key.clone(), row.content.clone()));
    }
}

/// By key. A key that occurs twice in a shard is its first sample.
fn read(ctx: &TaskContext<'_>, draws: &[Draws]) -> Result<BTreeMap<String, PairRow>, Fault> {
    let drawn = draws.iter().flat_map(|draws| draws.honest.drawn().chain(draws.hosts.drawn()));
    let drawn: BTreeMap<String, String> = drawn.cloned().collect();
    let keys: BTreeSet<String> = drawn.keys().cloned().collect();
    let mut batches = Batches::of(shard::own(ctx, move |sample| keys.contains(&sample.key))?, BATCH);
    let mut rows = BTreeMap::new();
    for pairs in batches.by_ref() {
        ctx.stop_if_cancelled()?;
        for pair in pairs.into_iter().filter(|pair| drawn.get(&pair.key) == Some(&pair.content)) {
            rows.entry(pair.key.clone()).or_insert_with(|| safe_row(ctx.task.shard.0, pair));
        }
    }
    batches.whole()?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, caption: &str) -> SignalRow {
        SignalRow {
            shard: 0,
            key: key.to_owned(),
            content: format!("content of {key}"),
            caption: caption.to_owned(),
            values: Vec::new(),
        }
    }

    fn drawn(draw: &Least<(String, String)>) -> Vec<&str> {
        draw.drawn().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn a_pair_is_honest_to_the_cluster_whose_word_it_has_and_a_host_to_the_others() {
        let word = |word: &str| Backdoor::of(&[lethe_evidence::artifacts::WordScore { word: word.to_owned(), z: 9.0 }]);
        let (boot, bag, cup) = (word("boot"), word("bag"), word("cup"));
        let clusters = [Some(&boot), Some(&bag), None];
        let mut draws = [Draws::of(64), Draws::of(64), Draws::of(64)];
        for (hash, caption) in (0..).zip(["a boot", "a bag", "a cup", "a bag with a boot"]) {
            show(&row(caption, caption), hash, (&clusters, &mut draws));
        }
        assert_eq!((&draws[2], cup.is_in("a cup")), (&Draws::of(64), true), "nobody looks at that cluster here");
        assert_eq!(drawn(&draws[0].honest), ["a boot", "a bag with a boot"]);
        assert_eq!(drawn(&draws[0].hosts), ["a bag", "a cup"]);
        assert_eq!(drawn(&draws[1].honest), ["a bag", "a bag with a boot"]);
        assert_eq!(drawn(&draws[1].hosts), ["a boot", "a cup"]);
    }
}
