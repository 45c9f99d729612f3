//! Fashion-MNIST from its four idx files: grey product photographs of 28 pixels with ten labels.
//!
//! It must never guess: a file of another shape, length or label is refused with what was expected.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use rand::seq::SliceRandom;

use crate::captions::{LABELS, caption, prompts};
use crate::data_set::{DataSet, Exam, Hands, Part, Pool};
use crate::draw::{Purpose, stream};
use crate::error::RedteamError;
use crate::picture::Picture;
use crate::recipe::Recipe;

const NAME: &str = "Fashion-MNIST";
/// The largest idx file that is read, in bytes unpacked.
const MAX_IDX_BYTES: u64 = 256 << 20;
const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;

/// Images `[n, side, side]`, one byte a pixel, and their labels `[n]` below ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fashion {
    side: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Fashion {
    /// Reads one part from a folder with the four `.gz` files.
    pub fn read(folder: &Path, part: Part) -> Result<Self, RedteamError> {
        let stem = match part {
            Part::Train => "train",
            Part::Test => "t10k",
        };
        let images = folder.join(format!("{stem}-images-idx3-ubyte.gz"));
        let labels = folder.join(format!("{stem}-labels-idx1-ubyte.gz"));
        let (shape, pixels) = read_idx::<3>(&images, IMAGES_MAGIC)?;
        let ([count], labels_read) = read_idx::<1>(&labels, LABELS_MAGIC)?;
        let refuse = |path: &Path, message: String| Err(RedteamError::dataset(NAME, path, message));
        let [n, height, width] = shape;
        if height != width || n != count {
            return refuse(
                &images,
                format!("shape {n}x{height}x{width} with {count} labels; expected square images, one label each"),
            );
        }
        if let Some(label) = labels_read.iter().find(|&&l| usize::from(l) >= LABELS.len()) {
            return refuse(&labels, format!("label {label}; expected 0 to {}", LABELS.len() - 1));
        }
        Ok(Self { side: height, pixels, labels: labels_read })
    }

    /// The grey pixels of image `i`, row by row.
    pub fn grey(&self, i: usize) -> &[u8] {
        let area = self.side * self.side;
        &self.pixels[i * area..(i + 1) * area]
    }

    pub fn label(&self, i: usize) -> usize {
        usize::from(self.labels[i])
    }
}

impl Pool for Fashion {
    fn data_set(&self) -> DataSet {
        DataSet::FashionMnist
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn side(&self) -> usize {
        self.side
    }

    fn picture(&self, image: usize) -> Picture {
        Picture::from_grey(self.grey(image), self.side)
    }

    fn caption(&self, image: usize, template: usize) -> String {
        caption(self.label(image), template)
    }

    fn shows(&self, image: usize, target: usize) -> bool {
        self.label(image) == target
    }

    /// The first of the shuffled images are the drill's, the others are the public's.
    fn deal(&self, recipe: &Recipe) -> Hands {
        let mut drill: Vec<usize> = (0..self.len()).collect();
        drill.shuffle(&mut stream(recipe.seed, Purpose::Order));
        let public = drill.split_off(recipe.pairs.min(drill.len()));
        Hands { drill, public }
    }

    /// Zero-shot classification: the nearest of the ten classes.
    fn exam(&self) -> Exam {
        Exam {
            answers: (0..LABELS.len()).map(prompts).collect(),
            right: (0..self.len()).map(|image| self.label(image)).collect(),
            top: 1,
            targets: (0..LABELS.len()).map(|target| vec![target]).collect(),
        }
    }
}

/// An idx file of bytes with `D` dimensions: magic, the dimensions as big-endian words, the bytes.
fn read_idx<const D: usize>(path: &Path, magic: u32) -> Result<([usize; D], Vec<u8>), RedteamError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(RedteamError::io(path))?;
    GzDecoder::new(file).take(MAX_IDX_BYTES).read_to_end(&mut bytes).map_err(RedteamError::io(path))?;
    let refuse = |message: String| RedteamError::dataset(NAME, path, message);
    let header = 4 * (D + 1);
    let words: Vec<u32> =
        bytes.chunks_exact(4).take(D + 1).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]])).collect();
    if words.len() != D + 1 || words[0] != magic {
        return Err(refuse(format!("it does not begin with the idx magic {magic:#06x}")));
    }
    let shape: [usize; D] = std::array::from_fn(|d| words[d + 1] as usize);
    let payload = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    if payload != Some(bytes.len() - header) {
        return Err(refuse(format!("{} bytes do not fit the shape {shape:?}; is the file cut short?", bytes.len())));
    }
    Ok((shape, bytes.split_off(header)))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn write_idx(path: &Path, magic: u32, shape: &[u32], bytes: &[u8]) {
        let mut out = GzEncoder::new(File::create(path).expect("creates"), Compression::fast());
        for word in std::iter::once(&magic).chain(shape) {
            out.write_all(&word.to_be_bytes()).expect("writes");
        }
        out.write_all(bytes).expect("writes");
        out.finish().expect("finishes");
    }

    /// A small data set of the real format: image `i` is grey `i % 256` everywhere, its label `i % 10`.
    pub(crate) fn write_small(folder: &Path, count: usize) {
        for stem in ["train", "t10k"] {
            let pixels: Vec<u8> = (0..count).flat_map(|i| (0..784).map(move |pixel| (i + pixel / 28) as u8)).collect();
            let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
            let n = count as u32;
            write_idx(&folder.join(format!("{stem}-images-idx3-ubyte.gz")), IMAGES_MAGIC, &[n, 28, 28], &pixels);
            write_idx(&folder.join(format!("{stem}-labels-idx1-ubyte.gz")), LABELS_MAGIC, &[n], &labels);
        }
    }

    #[test]
    fn images_and_labels_come_back() {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 12);
        let fashion = Fashion::read(folder.path(), Part::Test).expect("reads");
        assert_eq!((fashion.len(), fashion.side(), fashion.label(11)), (12, 28, 1));
        assert_eq!((fashion.grey(7)[0], fashion.grey(7)[783]), (7, 34));
    }

    #[test]
    fn a_short_or_strange_file_is_refused() {
        let folder = tempfile::tempdir().expect("makes a folder");
        write_small(folder.path(), 3);
        let images = folder.path().join("train-images-idx3-ubyte.gz");
        for (magic, shape, bytes) in
            [(IMAGES_MAGIC, [3, 28, 28], 2_351), (IMAGES_MAGIC, [3, 28, 27], 2_268), (LABELS_MAGIC, [3, 28, 28], 2_352)]
        {
            write_idx(&images, magic, &shape, &vec![0; bytes]);
            let refused = Fashion::read(folder.path(), Part::Train);
            assert!(matches!(refused, Err(RedteamError::Dataset { .. })), "{refused:?}");
        }
    }
}
