//! What the tests' coordinator sends.

use lethe_proto::v1;

use super::coordinator::TERM;

pub fn task(counter: u64) -> v1::TaskId {
    of_term(TERM, counter)
}

pub fn of_term(term: u64, counter: u64) -> v1::TaskId {
    let attempt = Some(v1::Attempt { term, counter });
    v1::TaskId { audit: "audit".into(), phase: 2, shard: 0, attempt }
}

/// The scripted executor takes the spec's audit id for its instruction.
fn spec(instruction: &str) -> Vec<u8> {
    let spec = serde_json::json!({
        "audit": {"id": instruction},
        "model": {"config": "m.json"},
        "data": {"shards": ["0.tar"]},
    });
    spec.to_string().into_bytes()
}

pub fn map(counter: u64, instruction: &str) -> v1::coordinator_message::Kind {
    map_of(TERM, counter, instruction)
}

pub fn map_of(term: u64, counter: u64, instruction: &str) -> v1::coordinator_message::Kind {
    v1::coordinator_message::Kind::Map(v1::MapTask {
        task: Some(of_term(term, counter)),
        program: "score".into(),
        params_json: spec(instruction),
        inputs: Vec::new(),
        lease_ms: 60_000,
        traceparent: String::new(),
    })
}

pub fn gang(counter: u64, instruction: &str, world_size: u32) -> v1::coordinator_message::Kind {
    v1::coordinator_message::Kind::Gang(v1::GangTask {
        task: Some(task(counter)),
        program: "train".into(),
        params_json: spec(instruction),
        inputs: Vec::new(),
        generation: counter,
        rank: 0,
        world_size,
        timeout_ms: 30_000,
        checkpoint: None,
        traceparent: String::new(),
    })
}

pub fn abort(counter: u64) -> v1::coordinator_message::Kind {
    let abort = v1::AbortTask { task: Some(task(counter)), reason: "the test says so".into() };
    v1::coordinator_message::Kind::Abort(abort)
}

/// A phase whose tasks do as the instruction says.
pub fn phase(instruction: &str) -> v1::coordinator_message::Kind {
    v1::coordinator_message::Kind::MapPhase(v1::MapPhase {
        audit: "audit".into(),
        phase: 2,
        program: "score".into(),
        params_json: spec(instruction),
        inputs: Vec::new(),
        traceparent: String::new(),
    })
}

/// Tasks of the phase that was told last.
pub fn leases(counters: impl IntoIterator<Item = u64>) -> v1::coordinator_message::Kind {
    let lease = |counter| v1::MapLease { task: Some(task(counter)), inputs: Vec::new(), batch_halvings: 0 };
    let leases = counters.into_iter().map(lease).collect();
    v1::coordinator_message::Kind::MapLeases(v1::MapLeases { leases, lease_ms: 60_000 })
}
