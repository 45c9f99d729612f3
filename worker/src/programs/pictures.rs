//! Pictures on their way to a model's device, and a data set's next batch on its way while the current one computes.
//!
//! It must never compute anything but pixels, so that one thread alone runs models; and what it gives must not depend on
//! whether a batch was expected.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lethe_model::error::{ModelError, Result};
use lethe_model::pixels::{images, normalized};
use lethe_model::tch::{Device, Kind, Tensor};
use lethe_model::{Clip, ModelConfig};

/// Normalised pixels `[B, 3, S, S]` of pictures of the model's side, on its device.
pub fn pixels_of<'a>(pictures: impl Iterator<Item = &'a [u8]>, clip: &Clip) -> Result<Tensor> {
    let bytes: Vec<u8> = pictures.flatten().copied().collect();
    pixels(&staged(&bytes, clip.config(), clip.device())?, clip)
}

/// A batch as bytes, in memory that a GPU copies from by itself.
fn staged(bytes: &[u8], config: &ModelConfig, device: Device) -> Result<Tensor> {
    let images = images(bytes, config.vision.image_size as usize)?;
    Ok(if device.is_cuda() { images.f_pin_memory(device)? } else { images })
}

/// The copy from pinned memory is queued before what needs it, and nobody waits for it; the memory is not used again before
/// it ended (libtorch's allocator of pinned memory sees to that).
fn on_device(staged: &Tensor, device: Device) -> Result<Tensor> {
    Ok(match device {
        Device::Cpu => staged.shallow_clone(),
        device => staged.f_to_device_(device, Kind::Uint8, true, false)?,
    })
}

fn pixels(staged: &Tensor, clip: &Clip) -> Result<Tensor> {
    normalized(&on_device(staged, clip.device())?, &clip.config().normalization)
}

/// The pictures of a data set.
pub struct Pictures {
    all: Arc<Vec<Vec<u8>>>,
    /// At most one batch.
    ahead: RefCell<Option<Ahead>>,
}

/// A batch that a thread assembles.
struct Ahead {
    rows: Vec<i64>,
    staged: JoinHandle<Result<Tensor>>,
}

impl Pictures {
    pub fn new(all: Vec<Vec<u8>>) -> Self {
        Self { all: Arc::new(all), ahead: RefCell::default() }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Normalised pixels of some rows, `[rows, 3, S, S]`, on the model's device.
    pub fn pixels(&self, rows: &[i64], clip: &Clip) -> Result<Tensor> {
        pixels(&self.staged(rows, clip)?, clip)
    }

    /// Some rows as bytes `[rows, S, S, 3]`, on the model's device.
    pub fn images(&self, rows: &[i64], clip: &Clip) -> Result<Tensor> {
        on_device(&self.staged(rows, clip)?, clip.device())
    }

    fn staged(&self, rows: &[i64], clip: &Clip) -> Result<Tensor> {
        let ahead = self.ahead.borrow_mut().take_if(|ahead| ahead.rows == rows);
        match ahead {
            Some(ahead) => {
                let panicked = |_| ModelError::Torch("the thread that assembles pictures panicked".to_owned());
                ahead.staged.join().map_err(panicked)?
            }
            None => assemble(&self.all, rows, clip.config(), clip.device()),
        }
    }

    /// Begins to assemble what [`Self::pixels`] is probably asked for next; another guess takes the place of the last.
    pub fn expect(&self, rows: Vec<i64>, clip: &Clip) {
        let (all, of, config, device) = (Arc::clone(&self.all), rows.clone(), clip.config().clone(), clip.device());
        let staged = thread::spawn(move || assemble(&all, &of, &config, device));
        self.ahead.replace(Some(Ahead { rows, staged }));
    }
}

fn assemble(all: &[Vec<u8>], rows: &[i64], config: &ModelConfig, device: Device) -> Result<Tensor> {
    let bytes: Vec<u8> = rows.iter().flat_map(|&row| all[row as usize].iter().copied()).collect();
    staged(&bytes, config, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::tiny;

    #[test]
    fn a_batch_is_the_same_whether_it_was_expected_or_not() {
        let clip = tiny::vit();
        let pictures = Pictures::new((0..4).map(|n| (n * 12..n * 12 + 12).collect()).collect());
        let values = |rows: &[i64]| {
            let pixels = pictures.pixels(rows, &clip).expect("are there");
            Vec::<f32>::try_from(pixels.reshape([-1])).expect("is flat")
        };
        let plain = values(&[3, 0]);
        pictures.expect(vec![3, 0], &clip);
        assert_eq!(values(&[1]).len(), 12, "another than expected");
        assert_eq!(values(&[3, 0]), plain, "as expected");
        assert!(pictures.ahead.borrow().is_none(), "it was taken");
        pictures.expect(vec![2], &clip);
        pictures.expect(vec![3, 0], &clip);
        assert_eq!(values(&[3, 0]), plain, "the last guess");
    }
}
