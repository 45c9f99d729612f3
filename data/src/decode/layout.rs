//! What a picture's bytes tell before anything is unpacked: whether they end where the picture does, and what unpacking
//! takes beside the pixels.
//!
//! Decoders fill what is missing with grey, while Pillow refuses such a file, so that a model never learned from it. What
//! follows a picture must never be refused: cameras and editors append things.

const START_OF_SCAN: u8 = 0xda;
/// A frame whose coefficients come in several scans.
const PROGRESSIVE: [u8; 4] = [0xc2, 0xc6, 0xca, 0xce];
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
/// A coefficient of each of three components, in two bytes.
const COEFFICIENT_BYTES: u64 = 6;
/// Luma of every pixel, chroma of every fourth, before they become RGB.
const YUV_HALF_BYTES: u64 = 3;
/// A canvas, or what a lossless picture is unpacked to.
const RGBA_BYTES: u64 = 4;

/// The reason where a JPEG's or WebP's end is missing; other formats' decoders see it themselves.
pub(super) fn check_end(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0xff, 0xd8, ..] => match Jpeg::of(bytes) {
            Some(jpeg) if !jpeg.scans.windows(2).rev().any(|pair| pair == END_OF_IMAGE) => {
                Err(format!("the jpeg ends early: {} bytes without an end marker", bytes.len()))
            }
            // Without a scan the decoder has more to say.
            Some(_) | None => Ok(()),
        },
        [b'R', b'I', b'F', b'F', a, b, c, d, ..] => {
            let size = u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8;
            match bytes.len() as u64 {
                have if have < size => Err(format!("the webp ends early: {have} of {size} bytes")),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Bytes that a decoder holds beside the pixels that it gives.
pub(super) fn bytes_beside(bytes: &[u8], pixels: u64) -> u64 {
    match bytes {
        [0xff, 0xd8, ..] if Jpeg::of(bytes).is_some_and(|jpeg| jpeg.is_progressive) => COEFFICIENT_BYTES * pixels,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', b'8', b' ', ..] => {
            YUV_HALF_BYTES * pixels / 2
        }
        [b'R', b'I', b'F', b'F', ..] => RGBA_BYTES * pixels,
        _ => 0,
    }
}

struct Jpeg<'a> {
    is_progressive: bool,
    /// From the first scan on: what comes before may hold a thumbnail with an end of its own.
    scans: &'a [u8],
}

impl<'a> Jpeg<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (mut rest, mut is_progressive) = (bytes.get(2..)?, false);
        loop {
            let marker = rest.iter().position(|byte| *byte != 0xff)?;
            let (name, body) = (rest[marker], &rest[marker + 1..]);
            if name == START_OF_SCAN {
                return Some(Self { is_progressive, scans: body });
            }
            is_progressive |= PROGRESSIVE.contains(&name);
            let length = body.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)))?;
            rest = body.get(length..)?;
        }
    }
}
