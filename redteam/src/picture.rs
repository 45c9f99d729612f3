//! A square picture in memory, before it becomes a file.
//!
//! It must never lose a bit: PNG is the only encoding, since a trigger is exact pixels.

use crate::error::RedteamError;

/// RGB bytes `[side, side, 3]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    side: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// Repeats grey pixels `[side, side]` in the three channels.
    pub fn from_grey(grey: &[u8], side: usize) -> Self {
        assert_eq!(grey.len(), side * side, "a square picture");
        Self { side, rgb: grey.iter().flat_map(|&p| [p; 3]).collect() }
    }

    pub fn side(&self) -> usize {
        self.side
    }

    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The three channels of one pixel.
    pub fn pixel_mut(&mut self, row: usize, column: usize) -> &mut [u8] {
        let at = 3 * (row * self.side + column);
        &mut self.rgb[at..at + 3]
    }

    /// # Errors
    /// A picture too large to encode.
    pub fn to_png(&self) -> Result<Vec<u8>, RedteamError> {
        Ok(lethe_data::encode_png(&self.rgb, self.side as u32)?)
    }
}
