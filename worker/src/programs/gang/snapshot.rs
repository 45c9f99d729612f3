//! A training's whole state as one blob: weights, moments, and the steps taken. World size and rank are not in it, since
//! what a step reads depends on neither.
//!
//! It must never be taken for another training's: it names where that began.

use std::collections::HashMap;

use lethe_common::blob::Digest;
use lethe_model::tch::{Device, Kind, TchError, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::trainee::{Applied, Trainee};

const ORIGIN: &str = "origin";
const WEIGHTS: &str = "weights";
const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];
const HISTORY: &str = "history";

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("it is no snapshot of a training: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    #[error("it belongs to another training: it began at {found}, this one at {expected}")]
    Stranger { found: String, expected: String },
    #[error("its {name} has {found} bytes; expected {expected}")]
    Size { name: &'static str, found: usize, expected: usize },
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// The state after the last applied step.
pub fn encode(trainee: &Trainee, origin: Digest) -> Result<Vec<u8>, SnapshotError> {
    let [first, second] = trainee.optimizer.moments();
    let flats = [trainee.clip.flat(), first, second];
    let buffers = flats.iter().map(bytes_of).collect::<Result<Vec<_>, TchError>>()?;
    let words: Vec<u8> = trainee.history.iter().flat_map(Applied::encode).flat_map(i64::to_le_bytes).collect();
    let dtype = if trainee.clip.kind() == Kind::Double { Dtype::F64 } else { Dtype::F32 };
    let mut views = Vec::new();
    for (name, buffer) in [WEIGHTS, MOMENTS[0], MOMENTS[1]].into_iter().zip(&buffers) {
        views.push((name, TensorView::new(dtype, vec![flats[0].numel()], buffer)?));
    }
    views.push((HISTORY, TensorView::new(Dtype::I64, vec![trainee.history.len(), Applied::WORDS], &words)?));
    let metadata = HashMap::from([(ORIGIN.to_owned(), origin.to_hex())]);
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Puts a state in place of the trainee's own. Nothing is changed where an error is returned.
pub fn restore(trainee: &mut Trainee, origin: Digest, bytes: &[u8]) -> Result<(), SnapshotError> {
    let (values, words) = read(trainee, origin, bytes)?;
    let [first, second] = trainee.optimizer.moments();
    for (mut target, value) in [trainee.clip.flat(), first, second].into_iter().zip(&values) {
        target.f_copy_(value)?;
    }
    trainee.take_history(&words);
    Ok(())
}

/// Whether a state would fit the trainee.
pub fn check(trainee: &Trainee, origin: Digest, bytes: &[u8]) -> Result<(), SnapshotError> {
    read(trainee, origin, bytes).map(drop)
}

fn read(trainee: &Trainee, origin: Digest, bytes: &[u8]) -> Result<(Vec<Tensor>, Vec<i64>), SnapshotError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let found = header.metadata().as_ref().and_then(|metadata| metadata.get(ORIGIN)).cloned().unwrap_or_default();
    if found != origin.to_hex() {
        return Err(SnapshotError::Stranger { found, expected: origin.to_hex() });
    }
    let file = SafeTensors::deserialize(bytes)?;
    let [first, second] = trainee.optimizer.moments();
    let targets = [(WEIGHTS, trainee.clip.flat()), (MOMENTS[0], first), (MOMENTS[1], second)];
    let mut values = Vec::new();
    for (name, target) in &targets {
        let data = file.tensor(name)?.data();
        let expected = target.numel() * target.kind().elt_size_in_bytes();
        if data.len() != expected {
            return Err(SnapshotError::Size { name, found: data.len(), expected });
        }
        values.push(Tensor::f_from_data_size(data, &target.size(), target.kind())?);
    }
    let words: Vec<i64> =
        file.tensor(HISTORY)?.data().as_chunks().0.iter().map(|word| i64::from_le_bytes(*word)).collect();
    Ok((values, words))
}

/// A tensor's numbers as they lie in memory, from any device.
pub fn bytes_of(values: &Tensor) -> Result<Vec<u8>, TchError> {
    let values = values.f_to_device(Device::Cpu)?;
    let mut bytes = vec![0; values.numel() * values.kind().elt_size_in_bytes()];
    values.f_copy_data_u8(&mut bytes, values.numel())?;
    Ok(bytes)
}
