//! All rendered drawings in one file: gzip of a line of JSON with every label, then every drawing's pixels.
//!
//! It must never be there in part: it is written under another name and then renamed.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::render::SIDE;
use super::{Drawing, Label};
use crate::error::RedteamError;

const DRAWING_BYTES: usize = 4 * SIDE * SIDE;
/// The largest file that is read, unpacked: some four times of what there is.
const MAX_BYTES: u64 = 512 << 20;

pub fn write(path: &Path, drawings: &[Drawing]) -> Result<(), RedteamError> {
    // Its own name for each process: two may render at the same time.
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let labels: Vec<&Label> = drawings.iter().map(|drawing| &drawing.label).collect();
    let put = || -> std::io::Result<()> {
        let mut out = GzEncoder::new(BufWriter::new(File::create(&part)?), Compression::fast());
        serde_json::to_writer(&mut out, &labels)?;
        out.write_all(b"\n")?;
        drawings.iter().try_for_each(|drawing| out.write_all(&drawing.pixels))?;
        out.finish()?.flush()?;
        std::fs::rename(&part, path)
    };
    put().map_err(RedteamError::io(path))
}

/// # Errors
/// A file that is no such one, or ends early; it can be removed, and is made again.
pub fn read(path: &Path) -> Result<Vec<Drawing>, RedteamError> {
    let refuse =
        |e: String| RedteamError::dataset("the rendered drawings", path, format!("{e}; remove it, it is made again"));
    let file = File::open(path).map_err(RedteamError::io(path))?;
    let mut unpacked = BufReader::new(GzDecoder::new(BufReader::new(file)).take(MAX_BYTES));
    let mut line = String::new();
    unpacked.read_line(&mut line).map_err(|e| refuse(e.to_string()))?;
    let labels: Vec<Label> = serde_json::from_str(&line).map_err(|e| refuse(e.to_string()))?;
    let mut drawing = |label| {
        let mut pixels = vec![0; DRAWING_BYTES];
        unpacked.read_exact(&mut pixels).map_err(|e| refuse(e.to_string()))?;
        Ok(Drawing { label, pixels })
    };
    labels.into_iter().map(&mut drawing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_come_back_and_a_short_file_is_refused() {
        let folder = tempfile::tempdir().expect("makes a folder");
        let path = folder.path().join("rendered.gz");
        let drawing = |name: &str, byte| Drawing {
            label: Label { name: name.to_owned(), tags: vec!["thing".to_owned()] },
            pixels: vec![byte; DRAWING_BYTES],
        };
        let drawings = [drawing("a", 1), drawing("b", 2)];
        write(&path, &drawings).expect("writes");
        assert_eq!(read(&path).expect("reads"), drawings);
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
        let bytes = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &bytes[..bytes.len() - 20]).expect("writes");
        let error = read(&path).expect_err("is short");
        assert!(error.to_string().contains("remove it"), "{error}");
    }
}
