//! A shard that lies in memory, read to its end: what every format owes.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use lethe_data::{Limits, Location, Origin, Pending, Shard, Unfetched};

/// Small, so that a reader that ignores them is soon above the memory that a run may take.
const LIMITS: Limits = Limits { image_bytes: 1 << 16, caption_bytes: 1 << 10, json_bytes: 1 << 12 };

struct Memory {
    name: String,
    bytes: Bytes,
}

impl Origin for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.bytes.clone())))
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let start = usize::try_from(start).expect("was asked for within the size");
        assert!(start + length <= self.bytes.len(), "asked for {start}+{length} of {}", self.bytes.len());
        Ok(self.bytes.slice(start..start + length))
    }

    fn picture(&self, location: &Location, _: u64) -> Pending {
        let text = location.to_string();
        if let Location::Under(_) = location {
            assert!(!text.starts_with('/') && text.split('/').all(|part| part != ".."), "asked for {text:?}");
        }
        Box::new(move || if text.len() % 7 == 0 { Err(Unfetched::Refused(text)) } else { Ok(Bytes::from(text)) })
    }
}

/// Reads it all. A sample is within the limits and has a key that no other has and that names nothing outside a folder.
pub fn read(ending: &str, data: &[u8]) {
    let origin = Memory { name: format!("0.{ending}"), bytes: Bytes::copy_from_slice(data) };
    let Ok(shard) = Shard::open(Arc::new(origin), LIMITS) else { return };
    let mut keys = std::collections::HashSet::new();
    for sample in shard.flatten() {
        assert!(sample.image.len() as u64 <= LIMITS.image_bytes, "an image of {} bytes", sample.image.len());
        assert!(sample.caption.len() as u64 <= LIMITS.caption_bytes, "a caption of {} bytes", sample.caption.len());
        assert!(!sample.key.starts_with('/') && sample.key.split('/').all(|part| part != ".."), "{:?}", sample.key);
        assert!(keys.insert(sample.key), "a key came twice");
    }
}
