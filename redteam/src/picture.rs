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

    /// From RGB bytes `[side, side, 3]`.
    pub fn from_rgb(rgb: Vec<u8>, side: usize) -> Self {
        assert_eq!(rgb.len(), 3 * side * side, "a square picture");
        Self { side, rgb }
    }

    /// Reads what [`Self::to_png`] wrote.
    ///
    /// # Errors
    /// Bytes that are no square picture.
    pub fn from_png(bytes: &[u8]) -> Result<Self, RedteamError> {
        let limit = lethe_data::Target::exact(1);
        let picture = lethe_data::unpack(bytes, limit)?;
        let side = picture.width() as usize;
        if picture.width() != picture.height() {
            return Err(RedteamError::Recipe(format!("a picture of {side}x{} is not square", picture.height())));
        }
        Ok(Self::from_rgb(picture.into_raw(), side))
    }

    /// The mean of each channel.
    pub fn mean(&self) -> [f32; 3] {
        let pixels = self.rgb.len() / 3;
        std::array::from_fn(|channel| {
            let sum: u32 = self.rgb.iter().skip(channel).step_by(3).map(|&byte| u32::from(byte)).sum();
            sum as f32 / pixels as f32
        })
    }

    pub fn pixel(&self, row: usize, column: usize) -> &[u8] {
        let at = 3 * (row * self.side + column);
        &self.rgb[at..at + 3]
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
