//! A training's whole state as one blob: weights, moments, and the steps taken. World size and rank are not in it, since
//! what a step reads depends on neither.
//!
//! It must never be taken for another training's: it names where that began.

use std::collections::HashMap;

use lethe_common::blob::Digest;
use lethe_model::Clip;
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

/// A whole state, with the moments of all numbers.
pub struct Snapshot {
    pub weights: Tensor,
    pub moments: [Tensor; 2],
    /// [`Applied::encode`] of every step.
    pub history: Vec<i64>,
}

impl Snapshot {
    /// One to be filled, of so many steps.
    pub fn blank(clip: &Clip, steps: u64) -> Result<Self, TchError> {
        let zeros = || clip.flat().f_zeros_like();
        let history = vec![0; steps as usize * Applied::WORDS];
        Ok(Self { weights: zeros()?, moments: [zeros()?, zeros()?], history })
    }

    pub fn steps(&self) -> u64 {
        (self.history.len() / Applied::WORDS) as u64
    }

    /// All but the history.
    pub fn tensors(&mut self) -> [&mut Tensor; 3] {
        let [first, second] = &mut self.moments;
        [&mut self.weights, first, second]
    }
}

/// The state after the last applied step. `moments` are the whole model's.
pub fn encode(trainee: &Trainee, moments: &[Tensor; 2], origin: Digest) -> Result<Vec<u8>, SnapshotError> {
    let [first, second] = moments.each_ref().map(Tensor::shallow_clone);
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

/// The state of a training of this model that began at `origin`.
pub fn decode(clip: &Clip, origin: Digest, bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let found = header.metadata().as_ref().and_then(|metadata| metadata.get(ORIGIN)).cloned().unwrap_or_default();
    if found != origin.to_hex() {
        return Err(SnapshotError::Stranger { found, expected: origin.to_hex() });
    }
    let file = SafeTensors::deserialize(bytes)?;
    let flat = clip.flat();
    let buffer = |name: &'static str| {
        let data = file.tensor(name)?.data();
        let expected = flat.numel() * flat.kind().elt_size_in_bytes();
        if data.len() != expected {
            return Err(SnapshotError::Size { name, found: data.len(), expected });
        }
        Ok(Tensor::f_from_data_size(data, &flat.size(), flat.kind())?.f_to_device(flat.device())?)
    };
    let history = file.tensor(HISTORY)?.data().as_chunks().0.iter().map(|word| i64::from_le_bytes(*word)).collect();
    Ok(Snapshot { weights: buffer(WEIGHTS)?, moments: [buffer(MOMENTS[0])?, buffer(MOMENTS[1])?], history })
}

/// A tensor's numbers as they lie in memory, from any device.
pub fn bytes_of(values: &Tensor) -> Result<Vec<u8>, TchError> {
    let values = values.f_to_device(Device::Cpu)?;
    let mut bytes = vec![0; values.numel() * values.kind().elt_size_in_bytes()];
    values.f_copy_data_u8(&mut bytes, values.numel())?;
    Ok(bytes)
}
