//! `lethe bench control-plane --tls`: the coordinator's CPU time for a lease and its commit, with TLS and without.
//!
//! It must never compare runs that did not take turns: a machine that others use is another one a minute later.

use serde_json::{Value, json};

use super::figures::{self, spread};
use super::load::{Load, Row, measure_behind};
use super::pki::Pki;
use super::storage::Kind;
use crate::arguments::ControlPlane;
use crate::exit::Ending;

/// Pairs of runs where none are asked for.
const PAIRS: u32 = 5;
const WORKERS: u32 = 100;
const SHARDS: u32 = 200_000;
/// By the clock, and far below what is sustained: the same work in both runs, in batches of the same size.
const SHARDS_PER_S: f64 = 1_000.0;
const SECONDS: u64 = 8;

pub fn run(options: &ControlPlane) -> anyhow::Result<Ending> {
    // As many workers as a connection has are one handshake; real ones have one each.
    let options = ControlPlane { workers_per_connection: 1, ..options.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let pairs = runtime.block_on(measured(&options))?;
    Ok(figures::show(options.output, || text(&pairs), || as_json(&pairs)))
}

/// In the clear, and over TLS.
type Pair = (Row, Row);

async fn measured(options: &ControlPlane) -> anyhow::Result<Vec<Pair>> {
    let (pki, mut pairs) = (Pki::make()?, Vec::new());
    let load = Load {
        kind: Kind::Embedded,
        workers: WORKERS,
        audits: 1,
        shards: SHARDS,
        rate: Some(SHARDS_PER_S),
        seconds: options.seconds.unwrap_or(SECONDS) as f64,
        until_commits: Load::nearly(SHARDS),
    };
    for pair in 0..options.repetitions.unwrap_or(PAIRS).max(1) {
        // Each goes first as often as the other.
        let (plain, secure) = if pair.is_multiple_of(2) {
            let plain = measure_behind(load, options, None).await?;
            (plain, measure_behind(load, options, Some(&pki)).await?)
        } else {
            let secure = measure_behind(load, options, Some(&pki)).await?;
            (measure_behind(load, options, None).await?, secure)
        };
        let (before, after) = (plain.coordinator_cpu_us_per_shard, secure.coordinator_cpu_us_per_shard);
        eprintln!("pair {}: {before:.0} us a shard in the clear, {after:.0} us over TLS", pair + 1);
        pairs.push((plain, secure));
    }
    Ok(pairs)
}

/// The median, the least and the most of TLS over none, of each pair.
fn ratios(pairs: &[Pair]) -> [f64; 3] {
    let ratio = |(plain, secure): &Pair| secure.coordinator_cpu_us_per_shard / plain.coordinator_cpu_us_per_shard;
    spread(pairs.iter().map(ratio)).expect("at least one pair was measured")
}

fn text(pairs: &[Pair]) -> String {
    let [middle, least, most] = ratios(pairs);
    let line = |(plain, secure): &Pair| {
        format!(
            "  {:>8.1}  {:>8.1}  {:>6.3}\n",
            plain.coordinator_cpu_us_per_shard,
            secure.coordinator_cpu_us_per_shard,
            secure.coordinator_cpu_us_per_shard / plain.coordinator_cpu_us_per_shard
        )
    };
    format!(
        "The coordinator's CPU time for a shard leased and committed, us; {WORKERS} workers with a connection each, {SHARDS_PER_S} shards/s\n  \
         in clear  over TLS   ratio\n{}TLS takes {middle:.3} times as much ({least:.3} to {most:.3} over {} pairs)\n",
        pairs.iter().map(line).collect::<String>(),
        pairs.len()
    )
}

fn as_json(pairs: &[Pair]) -> Value {
    let [median, least, most] = ratios(pairs);
    let pair = |(plain, secure): &Pair| json!({"in_the_clear": plain, "over_tls": secure});
    json!({
        "ratio": {"median": median, "least": least, "most": most},
        "pairs": pairs.iter().map(pair).collect::<Vec<_>>(),
        "setting": figures::setting(),
    })
}
