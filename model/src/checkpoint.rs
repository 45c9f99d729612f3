//! Checkpoints: safetensors in OpenCLIP's names, in and out.
//!
//! It must never unpickle, and never load a part: a checkpoint fits its config whole or is refused.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView, View};
use safetensors::{SafeTensorError, SafeTensors};
use tch::{Device, Kind, Tensor};

use crate::clip::{Clip, Param};
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::layout::{Slot, layout};

/// Bytes of a safetensors file before its header: the header's length, u64 little-endian.
const LENGTH_BYTES: usize = 8;

impl Clip {
    /// Reads a safetensors checkpoint; f16 and bf16 are widened for computing and written back as they were.
    ///
    /// # Errors
    /// `Pickle`, `Truncated`, `NotSafetensors`, `MissingTensors`, `WrongShape`, `UnknownTensors`, `WrongDtype`,
    /// `NotFinite`.
    pub fn load(config: &ModelConfig, bytes: &[u8]) -> Result<Self> {
        let file = open(bytes)?;
        fits(&file, &layout(config))?;
        let mut clip = Self::blank(config, (Kind::Float, Device::Cpu))?;
        for param in clip.params_mut() {
            read(&file, param)?;
        }
        Ok(clip)
    }

    /// The checkpoint as safetensors, which `open_clip` loads with `strict=True`. The same values give the same bytes.
    pub fn save(&self) -> Result<Vec<u8>> {
        let stored = self.params().iter().map(Stored::of).collect::<Result<Vec<_>>>()?;
        let named = self.params().iter().map(|p| p.name.as_str()).zip(stored);
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        safetensors::serialize(named, Some(metadata)).map_err(|e| ModelError::NotSafetensors(e.to_string()))
    }
}

fn open(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    // A safetensors header starts with a brace at its ninth byte, whatever its length looks like.
    let header = bytes.get(LENGTH_BYTES) == Some(&b'{');
    if !header && (bytes.starts_with(b"PK") || bytes.first() == Some(&0x80)) {
        return Err(ModelError::Pickle);
    }
    SafeTensors::deserialize(bytes).map_err(|error| refused(bytes, &error))
}

/// A truncated file is told apart from one that never was safetensors by what its header promises.
fn refused(bytes: &[u8], error: &SafeTensorError) -> ModelError {
    let have = bytes.len() as u64;
    match promised(bytes) {
        Some(want) if want > have => ModelError::Truncated { have, want },
        Some(_) | None => ModelError::NotSafetensors(error.to_string()),
    }
}

/// The bytes that a file should have by its own header, as far as that can be read.
fn promised(bytes: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(bytes.get(..LENGTH_BYTES)?.try_into().ok()?);
    let start = length.checked_add(LENGTH_BYTES as u64)?;
    if bytes.get(LENGTH_BYTES).is_some_and(|first| *first != b'{') {
        return None;
    }
    let Some(header) = bytes.get(LENGTH_BYTES..usize::try_from(start).ok()?) else {
        return Some(start);
    };
    let header: HashMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let ends = header.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    start.checked_add(ends.max().unwrap_or(0))
}

/// Every tensor that the config wants is there in its shape, and no other.
fn fits(file: &SafeTensors<'_>, slots: &[Slot]) -> Result<()> {
    let mut missing = Vec::new();
    for slot in slots {
        match file.tensor(&slot.name) {
            Ok(tensor) => fits_slot(&tensor, slot)?,
            Err(_) => missing.push(slot.name.clone()),
        }
    }
    let known: std::collections::BTreeSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let mut unknown: Vec<String> = file.names().into_iter().filter(|n| !known.contains(n)).map(str::to_owned).collect();
    unknown.sort();
    // Names of another kind of checkpoint explain missing ones, so they come first when nothing fits.
    if missing.len() < slots.len() && !missing.is_empty() {
        return Err(ModelError::MissingTensors { names: missing, of: slots.len() });
    }
    if unknown.is_empty() { Ok(()) } else { Err(ModelError::UnknownTensors { names: unknown }) }
}

fn fits_slot(tensor: &TensorView<'_>, slot: &Slot) -> Result<()> {
    let have: Vec<i64> = tensor.shape().iter().map(|side| *side as i64).collect();
    if have != slot.shape {
        return Err(ModelError::WrongShape { name: slot.name.clone(), have, want: slot.shape.clone() });
    }
    kind(&slot.name, tensor.dtype()).map(|_| ())
}

fn kind(name: &str, dtype: Dtype) -> Result<Kind> {
    match dtype {
        Dtype::F64 => Ok(Kind::Double),
        Dtype::F32 => Ok(Kind::Float),
        Dtype::F16 => Ok(Kind::Half),
        Dtype::BF16 => Ok(Kind::BFloat16),
        other => Err(ModelError::WrongDtype { name: name.to_owned(), dtype: format!("{other:?}") }),
    }
}

fn read(file: &SafeTensors<'_>, param: &mut Param) -> Result<()> {
    let view = file.tensor(&param.name).map_err(|e| ModelError::NotSafetensors(e.to_string()))?;
    let kind = kind(&param.name, view.dtype())?;
    let values = Tensor::f_from_data_size(view.data(), &param.tensor.size(), kind)?;
    if values.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
        return Err(ModelError::NotFinite { name: param.name.clone() });
    }
    param.tensor.f_detach()?.f_copy_(&values)?;
    param.stored = kind;
    Ok(())
}

/// A parameter as the file will have it: on the CPU, contiguous, in its stored dtype.
struct Stored {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Stored {
    fn of(param: &Param) -> Result<Self> {
        let tensor = param.tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(param.stored)?.f_contiguous()?;
        let dtype = match param.stored {
            Kind::Double => Dtype::F64,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            _ => Dtype::F32,
        };
        let shape = tensor.size().into_iter().map(|side| side as usize).collect();
        Ok(Self { tensor, dtype, shape })
    }
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
