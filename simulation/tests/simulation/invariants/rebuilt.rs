//! Rebuilt equals durable: the engine, the store, and an engine rebuilt from the store agree.

use lethe_common::ids::Term;
use lethe_engine::{Engine, Record, RecordKey};

use super::Records;

pub fn check(engine: &Engine, stored: &Records) -> Result<(), String> {
    let expected: Vec<Record> = stored.values().cloned().collect();
    let same = |engine: &Engine| {
        let mut durable = engine.durable();
        durable.sort_by_key(Record::key);
        durable.iter().zip(&expected).find(|(a, b)| a != b).map(|(a, _)| a.key()).or_else(|| {
            let longer = if durable.len() > expected.len() { &durable } else { &expected };
            longer.get(durable.len().min(expected.len())).map(Record::key)
        })
    };
    let differs = |who: &str, key: RecordKey| format!("{who} and the store differ at {key:?}");
    same(engine).map_or(Ok(()), |key| Err(differs("the engine", key)))?;
    let rebuilt =
        Engine::restore(Term(u64::MAX), engine.knobs().clone(), expected.clone()).map_err(|e| e.to_string())?;
    same(&rebuilt).map_or(Ok(()), |key| Err(differs("the rebuilt engine", key)))
}
