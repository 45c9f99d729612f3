//! First values of parameters, drawn from a seed and the parameter's name.
//!
//! It must never use libtorch's generator: a draw may not depend on what was drawn before or on the device.

use crate::layout::{Init, Slot};

const SEED_DOMAIN: &[u8] = b"lethe model init 1";

/// The values of one parameter: the same seed and name give the same numbers in any order of calls.
pub(crate) fn draw(slot: &Slot, seed: u64) -> Vec<f32> {
    let count = slot.len() as usize;
    match slot.init {
        Init::Constant(value) => vec![value as f32; count],
        Init::Uniform(bound) => {
            Uniform::new(slot, seed).take(count).map(|u| ((2.0 * u - 1.0) * bound) as f32).collect()
        }
        Init::Normal(std) => normals(Uniform::new(slot, seed), count).map(|n| (n * std) as f32).collect(),
    }
}

/// Box and Muller's transform: two uniform numbers become two normal ones.
fn normals(mut uniform: Uniform, count: usize) -> impl Iterator<Item = f64> {
    let pairs = count.div_ceil(2);
    (0..pairs)
        .flat_map(move |_| {
            let radius = (-2.0 * uniform.draw().ln()).sqrt();
            let angle = std::f64::consts::TAU * uniform.draw();
            [radius * angle.cos(), radius * angle.sin()]
        })
        .take(count)
}

/// Numbers strictly between 0 and 1 from BLAKE3's extendable output.
struct Uniform {
    reader: blake3::OutputReader,
    block: [u8; 4096],
    used: usize,
}

impl Uniform {
    fn new(slot: &Slot, seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(SEED_DOMAIN).update(&seed.to_le_bytes()).update(slot.name.as_bytes());
        Self { reader: hasher.finalize_xof(), block: [0; 4096], used: 4096 }
    }

    fn draw(&mut self) -> f64 {
        if self.used == self.block.len() {
            self.reader.fill(&mut self.block);
            self.used = 0;
        }
        let mut word = [0; 4];
        word.copy_from_slice(&self.block[self.used..self.used + 4]);
        self.used += 4;
        (f64::from(u32::from_le_bytes(word)) + 0.5) / 4_294_967_296.0
    }
}

impl Iterator for Uniform {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        Some(self.draw())
    }
}
