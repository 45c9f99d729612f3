//! What an audit wants of memory and storage.
//!
//! It must never leave out what grows with the data.

use super::inputs::Inputs;
use super::shape::Shape;
use super::words::{number, size};
use super::work::Work;

/// Of a GPU's memory, which others take too.
const USABLE: f64 = 0.9;
/// Weights, the frozen model, gradient and two moments, f32: bytes a parameter.
const TRAINED: f64 = 24.0;
/// A worker that scores, without what it trains on: 241 MB (docs/memory.md), and libtorch's own.
const WORKER_BYTES: f64 = 1e9;
/// Signals and tables, a pair; checkpoints that are kept, in checkpoints (docs/operations.md).
const SIGNAL_BYTES: f64 = 100.0;
const CHECKPOINTS: f64 = 10.0;
/// Outputs of all maps, of one shard: signals, digest, pairs, rescored, falls, probes, looks, exhibits, evaluation.
const OUTPUTS: f64 = 9.0;

#[derive(Debug, Clone, serde::Serialize)]
pub struct Need {
    pub what: &'static str,
    pub bytes: f64,
    pub because: String,
}

pub fn needs(work: &Work, shape: &Shape, inputs: &Inputs) -> Vec<Need> {
    let parameters = shape.parameters();
    let a_rank = (work.recipe.unlearn.batch / work.gang).ceil();
    let pictures = work.gathered() * shape.picture_bytes();
    let room = USABLE * inputs.gpu_bytes.value - 4.0 * parameters;
    let fits = (room / shape.image_activations()).floor().max(0.0);
    let need = |what, bytes, because| Need { what, bytes, because };
    vec![
        need(
            "GPU, training",
            TRAINED * parameters + a_rank * shape.activations(),
            format!("24 bytes a parameter, {} pairs of a batch; f32", number(a_rank)),
        ),
        need(
            "GPU, scoring",
            4.0 * parameters + work.recipe.score_batch.min(fits) * shape.image_activations(),
            format!(
                "{} pairs of score.batch ({}) at once",
                number(work.recipe.score_batch.min(fits)),
                number(work.recipe.score_batch)
            ),
        ),
        need("host, a worker", WORKER_BYTES + pictures, "a training's rank holds all that was gathered".to_owned()),
        need(
            "shared folder",
            work.samples * SIGNAL_BYTES + pictures + CHECKPOINTS * 4.0 * parameters,
            "an audit that is kept".to_owned(),
        ),
        need(
            "etcd",
            work.shards * OUTPUTS * inputs.state.value,
            format!("{} shards, 9 outputs each", number(work.shards)),
        ),
    ]
}

/// One line of the table.
pub fn cells(need: &Need) -> [String; 3] {
    [need.what.to_owned(), size(need.bytes), need.because.clone()]
}
