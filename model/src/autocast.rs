//! Automatic mixed precision: what a forward pass multiplies is cast to bf16, and what needs the range stays f32.
//!
//! tch's own autocast knows no other type than f16 on CUDA. It must never outlive its pass: backward follows what forward
//! did, and losses are taken in f32.

use std::ffi::{c_int, c_void};

use tch::Device;

use crate::error::Result;
use crate::ffi;

/// Autocast to bf16 on this thread, until it is dropped.
#[derive(Debug)]
pub struct Autocast {
    /// A C++ `Autocast*` that this value owns. Being a pointer it keeps the value on its thread, whose settings it changed.
    raw: *mut c_void,
}

impl Autocast {
    /// Casts what is computed on this kind of device.
    pub fn bf16(device: Device) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: `raw` is written on success.
        ffi::check(unsafe { ffi::lethe_autocast_new(c_int::from(device.is_cuda()), &mut raw) })?;
        Ok(Self { raw })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the shim on this thread and is freed once.
        unsafe { ffi::lethe_autocast_free(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    /// On the CPU, where it can be tried without a GPU; too slow there for more.
    #[test]
    fn products_are_bf16_while_it_lives_and_gradients_are_those_of_f32() {
        let weight = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]).set_requires_grad(true);
        let input = Tensor::from_slice(&[0.5_f32, 0.25]).view([1, 2]);
        let frozen = {
            let _guard = tch::no_grad_guard();
            let _autocast = Autocast::bf16(Device::Cpu).expect("casts");
            input.matmul(&weight)
        };
        assert_eq!((frozen.kind(), frozen.requires_grad()), (Kind::BFloat16, false));
        let product = {
            let _autocast = Autocast::bf16(Device::Cpu).expect("casts");
            input.matmul(&weight)
        };
        assert_eq!((product.kind(), input.matmul(&weight).kind()), (Kind::BFloat16, Kind::Float));
        product.to_kind(Kind::Float).sum(Kind::Float).backward();
        assert_eq!(weight.grad().kind(), Kind::Float);
        assert_eq!(Vec::<f32>::try_from(weight.grad().view([-1])).expect("is flat"), [0.5, 0.5, 0.25, 0.25]);
    }
}
