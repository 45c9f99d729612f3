//! What an audit would do and cost, without starting anything.
//!
//! Its sample counts are estimates from sizes, and say so.

use lethe_common::spec::{GangSection, PlanName, Spec};
use lethe_coordinator::plans;
use lethe_data::{Limits, Shard};
use lethe_source::{Source, SourceError};

use crate::exit::bad_input;

/// Passes of one pair through the image tower while it is scored: forward, and backward to its tokens alone.
const SCORE_PASSES: u64 = 2;
/// Shards whose size is asked for; beyond them it is estimated.
const MAX_ASKED: usize = 64;

/// The phases, the data's size, and the cost in passes of a pair through the model.
///
/// # Errors
/// Shards that are not there, or a first shard that cannot be read.
pub fn describe(spec: &Spec) -> anyhow::Result<String> {
    let data = Data::measure(spec)?;
    let Cost { forward, backward } = cost(spec, data.samples);
    Ok(format!(
        "{}\n{} shards, {:.1} MB, about {} pairs (estimated from the first shard)\n\
         cost: about {forward} passes of a pair through the model, {backward} of them with a backward pass, over {} workers\n",
        plans::describe(&plans::build(spec)),
        data.shards,
        data.bytes as f64 / 1e6,
        data.samples,
        spec.workers.count,
    ))
}

struct Data {
    shards: usize,
    bytes: u64,
    samples: u64,
}

impl Data {
    fn measure(spec: &Spec) -> anyhow::Result<Self> {
        let bad = |e: SourceError| bad_input(e.to_string());
        let source = Source::of(&spec.data).map_err(bad)?;
        let paths = source.expand(&spec.data.shards).map_err(bad)?;
        let asked = &paths[..paths.len().min(MAX_ASKED)];
        let bytes = asked.iter().map(|path| source.size_bytes(path).map_err(bad)).collect::<Result<Vec<_>, _>>()?;
        let first = source.open(&paths[0], &source.pin(&paths[0]).map_err(bad)?).map_err(bad)?;
        let shard = Shard::open(first, Limits::default()).map_err(|e| bad_input(e.to_string()))?;
        let ending = shard.ending();
        let first = shard.filter(Result::is_ok).count() as u64;
        ending.whole().map_err(|e| bad_input(e.to_string()))?;
        let measured: u64 = bytes.iter().sum();
        let total = (measured as f64 * paths.len() as f64 / asked.len() as f64).round() as u64;
        let samples = (first as f64 * total as f64 / bytes[0].max(1) as f64).round() as u64;
        Ok(Self { shards: paths.len(), bytes: total, samples })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// All passes.
    forward: u64,
    /// Those of trainings, which also go backward.
    backward: u64,
}

fn cost(spec: &Spec, samples: u64) -> Cost {
    let read = |gang: &GangSection| gang.steps * u64::from(gang.batch);
    let (scored, backward) = match spec.audit.plan {
        PlanName::Train => (0, read(&spec.train.gang)),
        PlanName::Ubt => {
            let suspects = ((samples as f64 * spec.suspect.share) as u64).min(spec.suspect.max_suspects);
            let rescored = 2 * (suspects + spec.suspect.max_safe.min(samples)) + u64::from(spec.reference.samples);
            let gangs = [&spec.overfit.gang, &spec.stand_in.gang, &spec.unlearn.gang];
            (SCORE_PASSES * samples + rescored, gangs.into_iter().map(read).sum())
        }
    };
    Cost { forward: scored + backward, backward }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(plan: &str) -> Spec {
        let text = serde_json::json!({
            "audit": {"id": "a", "plan": plan}, "model": {"config": "m.json"}, "data": {"shards": ["0.tar"]},
        });
        serde_json::from_value(text).expect("is a spec")
    }

    #[test]
    fn an_audit_costs_more_the_more_it_reads() {
        let (small, large) = (cost(&spec("ubt"), 1_000), cost(&spec("ubt"), 100_000));
        assert!(large.forward > small.forward + SCORE_PASSES * 99_000 && large.backward == small.backward);
        let train = spec("train");
        let steps = train.train.gang.steps * u64::from(train.train.gang.batch);
        assert_eq!(cost(&train, 100_000), Cost { forward: steps, backward: steps });
    }

    #[test]
    fn missing_shards_are_bad_input() {
        let error = describe(&spec("ubt")).expect_err("0.tar is not here");
        assert!(error.is::<crate::exit::BadInput>(), "{error}");
    }
}
