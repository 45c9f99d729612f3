//! The index of a checkpoint in several files, model.safetensors.index.json.
//!
//! It must never let an index name a file outside of its own folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Deserialize;

use super::entries::Entries;
use crate::error::{ModelError, Result};

/// Hugging Face's shards of 5 GB: no CLIP model fills so many.
const MAX_FILES: usize = 256;
/// An index of the largest CLIP models has 150 KB.
const MAX_BYTES: usize = 8 << 20;

/// Which tensors each file has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    pub files: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Raw {
    weight_map: Entries<String>,
}

/// Whether these bytes are JSON: read as the length of a safetensors header, text is above every limit.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    let length = bytes.get(..8).map(|length| length.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)));
    length.is_none_or(|length| length > 1 << 40) && bytes.trim_ascii_start().first() == Some(&b'{')
}

impl Index {
    /// # Errors
    /// `Index`, `DuplicateTensor`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(ModelError::Index(format!("it has {} bytes, more than the {MAX_BYTES} allowed", bytes.len())));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| ModelError::Index(e.to_string()))?;
        let mut names = BTreeSet::new();
        let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, file) in raw.weight_map.0 {
            is_plain(&file)?;
            if !names.insert(name.clone()) {
                return Err(ModelError::DuplicateTensor { name, place: "the index".to_owned() });
            }
            files.entry(file).or_default().insert(name);
        }
        match files.len() {
            0 => Err(ModelError::Index("its weight_map is empty".to_owned())),
            1..=MAX_FILES => Ok(Self { files }),
            more => Err(ModelError::Index(format!("it names {more} files, more than the {MAX_FILES} allowed"))),
        }
    }

    /// Each file's name and bytes, as the caller reads them; one at a time, for whoever need not hold all.
    pub fn read<'a>(
        &'a self,
        mut read: impl FnMut(&str) -> io::Result<Vec<u8>> + 'a,
    ) -> impl Iterator<Item = Result<(&'a String, Vec<u8>)>> {
        self.files.keys().map(move |file| match read(file) {
            Ok(bytes) => Ok((file, bytes)),
            Err(e) => Err(ModelError::Index(format!("it names {file}, which cannot be read: {e}"))),
        })
    }

    /// The file has the tensors that the index promises, and no other.
    ///
    /// # Errors
    /// `Index`, with the first tensor that is missing, or that only the file knows.
    pub fn agrees<'a>(&self, file: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
        let have: BTreeSet<&String> = names.collect();
        let want: BTreeSet<&String> = self.files.get(file).into_iter().flatten().collect();
        if let Some(name) = want.difference(&have).next() {
            return Err(ModelError::Index(format!("it places tensor {name} in {file}, which lacks it")));
        }
        if let Some(name) = have.difference(&want).next() {
            return Err(ModelError::Index(format!("{file} has tensor {name}, which the index does not place there")));
        }
        Ok(())
    }
}

/// A plain name of a file beside the index.
fn is_plain(file: &str) -> Result<()> {
    let is_plain = file.ends_with(".safetensors") && !file.contains(['/', '\\', ':', '\0']) && !file.starts_with('.');
    if is_plain {
        return Ok(());
    }
    Err(ModelError::Index(format!("it names the file {file:?}, expected the name of a .safetensors file beside it")))
}
