//! What a running service says of itself: metrics that a real Prometheus scrapes, alerts and a dashboard that name only what is
//! exported, one trace from the client to each step of a training, logs whose ids are fields.

#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/audit.rs"]
mod audit;
#[allow(dead_code, reason = "shared with end_to_end, which uses all of it")]
#[path = "../end_to_end/drill.rs"]
mod drill;

mod collector;
mod http;
mod metrics;
mod names;
mod probes;
mod rules;
mod service;
mod traces;
