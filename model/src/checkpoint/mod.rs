//! Checkpoints: safetensors in OpenCLIP's, OpenAI's and Hugging Face's names, in one file or several, in and out.
//!
//! It must never unpickle, and never load a part: a checkpoint fits its config whole or is refused.

mod carried;
mod entries;
mod fit;
mod form;
mod header;
mod index;
mod naming;
mod read;
mod write;

use std::collections::BTreeMap;
use std::io;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::clip::Clip;
use crate::config::{Hints, ModelConfig, infer};
use crate::error::{ModelError, Result};
pub(crate) use form::Form;
use index::Index;
pub(crate) use naming::Naming;

/// The tensors of a checkpoint by the names that they have there.
type Tensors<'a> = BTreeMap<String, TensorView<'a>>;

impl Clip {
    /// Reads a safetensors checkpoint of one file; f16 and bf16 are widened for computing and written back as they were.
    ///
    /// # Errors
    /// Every variant of [`ModelError`] that names a checkpoint, a tensor or an index.
    pub fn load(config: &ModelConfig, bytes: &[u8]) -> Result<Self> {
        Self::load_with(config, bytes, |_| Err(io::Error::other("the files that an index names are not at hand here")))
    }

    /// Reads a checkpoint of one file, or that of an index (model.safetensors.index.json): `read` is asked for each file
    /// that the index names, which is always a plain name without a folder. It is written back as one file.
    ///
    /// # Errors
    /// As [`Clip::load`].
    pub fn load_with(
        config: &ModelConfig,
        bytes: &[u8],
        read: impl FnMut(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Self> {
        if !index::is_one(bytes) {
            return read::clip(config, &open(bytes)?);
        }
        let index = Index::parse(bytes)?;
        let files = index.read(read).collect::<Result<Vec<_>>>()?;
        let mut tensors = Tensors::new();
        for (file, bytes) in &files {
            let part = open(bytes).map_err(|e| ModelError::InFile { file: (*file).clone(), source: Box::new(e) })?;
            index.agrees(file, part.keys())?;
            tensors.extend(part);
        }
        read::clip(config, &tensors)
    }

    /// The checkpoint as safetensors, which `open_clip` loads with `strict=True` and transformers without a missing key. The
    /// same values give the same bytes, and a tensor that did not change has the bytes it came with.
    pub fn save(&self) -> Result<Vec<u8>> {
        write::bytes(self)
    }
}

impl ModelConfig {
    /// The architecture of a checkpoint by its config file, or by its tensors where that file has hints alone.
    ///
    /// # Errors
    /// As [`ModelConfig::from_json`] and [`ModelConfig::infer`].
    pub fn for_checkpoint(text: &str, bytes: &[u8], read: impl FnMut(&str) -> io::Result<Vec<u8>>) -> Result<Self> {
        match Hints::from_json(text) {
            Some(hints) => Self::infer(bytes, &hints, read),
            None => Self::from_json(text),
        }
    }

    /// The architecture that the tensors of a checkpoint show. `bytes` are its file or index, and `read` is asked for the
    /// files that an index names, as in [`Clip::load_with`]; of a file its first bytes are enough, as far as its header goes.
    ///
    /// # Errors
    /// Those of a header and an index, and `Config` for what neither tensors nor hints tell.
    pub fn infer(bytes: &[u8], hints: &Hints, read: impl FnMut(&str) -> io::Result<Vec<u8>>) -> Result<Self> {
        let shapes = if index::is_one(bytes) { listed_shapes(bytes, read)? } else { shapes(bytes)? };
        infer::config(&shapes, naming_of(&shapes), hints)
    }
}

/// By name, of a file or of its first bytes.
fn shapes(bytes: &[u8]) -> Result<BTreeMap<String, Vec<i64>>> {
    let (_, entries) = header::read(bytes)?;
    Ok(entries.into_iter().map(|(name, entry)| (name, entry.shape)).collect())
}

/// Of all files of an index, of which one is held at a time.
fn listed_shapes(index: &[u8], read: impl FnMut(&str) -> io::Result<Vec<u8>>) -> Result<BTreeMap<String, Vec<i64>>> {
    let index = Index::parse(index)?;
    let mut all = BTreeMap::new();
    for found in index.read(read) {
        let (file, bytes) = found?;
        let own = shapes(&bytes).map_err(|e| ModelError::InFile { file: file.clone(), source: Box::new(e) })?;
        index.agrees(file, own.keys())?;
        all.extend(own);
    }
    Ok(all)
}

fn naming_of<T>(tensors: &BTreeMap<String, T>) -> Naming {
    Naming::of(tensors.keys().map(String::as_str))
}

fn open(bytes: &[u8]) -> Result<Tensors<'_>> {
    header::whole(bytes)?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| ModelError::NotSafetensors(e.to_string()))?;
    Ok(file.tensors().into_iter().collect())
}
