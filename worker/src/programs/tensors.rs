//! Named tensors as bytes (safetensors) between phases, from any device and to the CPU.

use std::collections::BTreeMap;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_model::tch::{Kind, TchError, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::fault::{fatal, model_fault};

/// f32 tensors by name. Equal values give equal bytes.
pub fn encode(tensors: &[(&str, &Tensor)]) -> Result<Bytes, Fault> {
    let raw = tensors.iter().map(|(name, tensor)| Ok((*name, raw(tensor)?))).collect::<Result<Vec<_>, TchError>>();
    let raw: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = raw.map_err(torch)?.into_iter().collect();
    let views = raw
        .iter()
        .map(|(name, (shape, bytes))| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (*name, view)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(fatal)?;
    safetensors::serialize(views, None).map(Bytes::from).map_err(fatal)
}

fn raw(tensor: &Tensor) -> Result<(Vec<usize>, Vec<u8>), TchError> {
    let flat = tensor.f_detach()?.f_to_kind(Kind::Float)?.f_contiguous()?.f_reshape([-1])?;
    let values = Vec::<f32>::try_from(&flat)?;
    let shape = tensor.size().iter().map(|&n| n as usize).collect();
    Ok((shape, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
}

/// The tensors that [`encode`] wrote.
pub struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        SafeTensors::deserialize(bytes).map(Self).map_err(fatal)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Result<Tensor, Fault> {
        let view = self.0.tensor(name).map_err(fatal)?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        Tensor::f_from_data_size(view.data(), &shape, Kind::Float).map_err(torch)
    }
}

pub fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}

/// The values of a one-dimensional tensor, from any device.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>, Fault> {
    Vec::<f32>::try_from(tensor).map_err(torch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_bit_by_bit() {
        let (a, b) =
            (Tensor::from_slice(&[0.1_f32, -0.0, f32::MIN_POSITIVE]), Tensor::from_slice(&[2.5_f32]).view([1, 1]));
        let bytes = encode(&[("b", &b), ("a", &a)]).expect("encodes");
        let tensors = Tensors::decode(&bytes).expect("decodes");
        assert_eq!(values(&tensors.get("a").expect("is there")).expect("is flat"), [0.1, -0.0, f32::MIN_POSITIVE]);
        assert_eq!(tensors.get("b").expect("is there").size(), [1, 1]);
        assert!(tensors.get("c").is_err());
    }
}
