//! Shards in, plain buffers out: listing, reading, decoding, hashing and tokenising of image-caption
//! pairs.
//!
//! It must never touch a tensor or a socket, and nothing in the data may name a path to write to or
//! cause a panic: what cannot be read is a [`BadSample`] with its reason.

mod braces;
mod decode;
mod ending;
mod entries;
mod error;
mod filter;
mod format;
mod gunzip;
mod hash;
mod keys;
mod local;
mod location;
mod manifest;
mod origin;
mod parquet;
mod png;
mod prefetch;
mod reader;
mod sample;
mod shard;
pub mod tokenizer;
mod writer;

pub use braces::{MAX_SHARDS, braces};
pub use decode::{JpegScale, MAX_DECODE_BYTES, MAX_PIXELS, Target, decode, resize, unpack};
pub use ending::{BrokenOff, Ending};
pub use error::DataError;
pub use filter::{Account, Listed, Meeting, filter};
pub use format::{ENDINGS, Format, Kind};
pub use hash::{content_hash, key_hash};
pub use keys::MAX_SAMPLES;
pub use local::{LocalFile, picture as local_picture};
pub use location::Location;
pub use origin::{Origin, Pending, Unfetched};
pub use png::encode_png;
pub use prefetch::{Decoded, Prefetch, decode_shard};
pub use sample::{BadSample, Limits, Sample};
pub use shard::{Shard, open_shard};
pub use tokenizer::{Tokenizer, Word};
pub use writer::ShardWriter;
