//! From a model to the bytes of a file, in the names and dtypes that it came in.
//!
//! It must never write a tensor that the file it came from lacked.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, View};
use tch::{Device, Kind, Tensor};

use super::naming::Piece;
use super::read::part_of;
use crate::clip::Clip;
use crate::error::{ModelError, Result};

pub(super) fn bytes(clip: &Clip) -> Result<Vec<u8>> {
    let mut named = Vec::new();
    for piece in clip.form.pieces(clip.config()) {
        named.push((piece.name.clone(), Stored::of(clip, &piece)?));
    }
    for carried in &clip.form.carried {
        let tensor = Tensor::f_from_data_size(&carried.bytes, &sides(&carried.shape), Kind::Int64)?;
        named.push((carried.name.clone(), Stored::new(tensor)?));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(named, Some(metadata)).map_err(|e| ModelError::NotSafetensors(e.to_string()))
}

fn sides(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|side| *side as i64).collect()
}

/// A tensor as the file will have it: on the CPU, contiguous, in its stored dtype.
struct Stored {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Stored {
    fn of(clip: &Clip, piece: &Piece) -> Result<Self> {
        let kind = clip.form.kind(&piece.name);
        let values = part_of(&clip.slot(&piece.slot), piece.part)?.f_to_device(Device::Cpu)?;
        let stored = values.f_to_kind(kind)?.f_contiguous()?;
        if stored.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            return Err(ModelError::TooLarge { name: piece.name.clone(), kind });
        }
        match clip.form.wide.get(&piece.name) {
            Some(bytes) if bytes.len() == stored.numel() * size_of::<f64>() => Self::new(untouched(&stored, bytes)?),
            Some(_) | None => Self::new(stored),
        }
    }

    fn new(tensor: Tensor) -> Result<Self> {
        let kind = tensor.kind();
        let dtype = match kind {
            Kind::Double => Dtype::F64,
            Kind::Float => Dtype::F32,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int64 => Dtype::I64,
            other => return Err(ModelError::Torch(format!("a checkpoint has no tensors of {other:?}"))),
        };
        let shape = tensor.size().into_iter().map(|side| side as usize).collect();
        Ok(Self { tensor, dtype, shape })
    }
}

/// The f64 numbers that came, where the f32 ones that were made of them are still the same.
fn untouched(stored: &Tensor, came: &[u8]) -> Result<Tensor> {
    let came = Tensor::f_from_data_size(came, &stored.size(), Kind::Double)?;
    let same = came.f_to_kind(Kind::Float)?.f_eq_tensor(&stored.f_to_kind(Kind::Float)?)?;
    Ok(came.f_where_self(&same, stored)?)
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.tensor.copy_data_u8(&mut bytes, self.tensor.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}
