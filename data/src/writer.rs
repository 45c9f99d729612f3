//! Writes WebDataset tars: the same samples give the same bytes.
//!
//! It must never write a clock, a user or a name that a reader would refuse.

use std::io::Write;
use std::path::{Component, Path};

use tar::{Builder, Header};

use crate::error::DataError;
use crate::reader::IMAGE_SUFFIXES;

pub struct ShardWriter<W: Write> {
    tar: Builder<W>,
}

impl<W: Write> ShardWriter<W> {
    pub fn new(writer: W) -> Self {
        Self { tar: Builder::new(writer) }
    }

    /// Appends `key.extension` and `key.txt`. Errors: a key that is empty, escapes its folder or has a
    /// dot in its last part; an extension no reader takes for an image; a failed write.
    pub fn append(&mut self, key: &str, image: &[u8], extension: &str, caption: &str) -> Result<(), DataError> {
        let refuse = |problem: &str| DataError::Unwritable { key: key.to_owned(), problem: problem.to_owned() };
        let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
        let base = key.rsplit('/').next().unwrap_or_default();
        if base.is_empty() || base.contains('.') || !Path::new(key).components().all(normal) {
            return Err(refuse("expected a relative name without '..' and without a dot in its last part"));
        }
        if !IMAGE_SUFFIXES.contains(&extension) {
            return Err(refuse(&format!("extension {extension:?} is not one of {}", IMAGE_SUFFIXES.join(", "))));
        }
        self.member(&format!("{key}.{extension}"), image)?;
        self.member(&format!("{key}.txt"), caption.as_bytes())
    }

    /// Ends the tar and gives the writer back.
    pub fn finish(self) -> Result<W, DataError> {
        Ok(self.tar.into_inner()?)
    }

    fn member(&mut self, name: &str, body: &[u8]) -> Result<(), DataError> {
        let mut header = Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        Ok(self.tar.append_data(&mut header, name, body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::reader::TarReader;

    fn shard(keys: &[&str]) -> Vec<u8> {
        let mut writer = ShardWriter::new(Vec::new());
        for key in keys {
            writer.append(key, key.as_bytes(), "png", &format!("caption of {key}")).expect("writes");
        }
        writer.finish().expect("ends")
    }

    #[test]
    fn what_is_written_is_read_back_and_bytes_repeat() {
        let long = "x".repeat(180);
        let keys = ["00000", "a/b/00001", "ünï/çode", &long];
        let bytes = shard(&keys);
        assert_eq!(bytes, shard(&keys));
        let read: Vec<_> =
            TarReader::new(&bytes[..], Limits::default()).map(|sample| sample.expect("is whole")).collect();
        assert_eq!(read.iter().map(|sample| sample.key.as_str()).collect::<Vec<_>>(), keys);
        assert_eq!(read[1].caption, "caption of a/b/00001");
        assert_eq!(&read[3].image[..], long.as_bytes());
    }

    #[test]
    fn unsafe_names_are_refused() {
        let mut writer = ShardWriter::new(Vec::new());
        for key in ["", "/a", "../a", "a/../b", "a.b", "a/"] {
            assert!(matches!(writer.append(key, b"", "png", ""), Err(DataError::Unwritable { .. })), "{key}");
        }
        assert!(writer.append("a", b"", "exe", "").is_err());
    }
}
