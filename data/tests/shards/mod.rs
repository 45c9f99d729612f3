//! Shards of every format with the same pairs, for the tests beside this.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use lethe_data::{Location, Origin, Pending, ShardWriter, Unfetched};

/// A shard in memory whose manifest's pictures are `picture n`, and whose bytes may stop coming.
pub struct Memory {
    pub name: String,
    pub bytes: Bytes,
    /// From where on there is only an error.
    pub breaks_at: u64,
}

impl Memory {
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: Bytes::copy_from_slice(bytes), breaks_at: u64::MAX }
    }
}

fn cut() -> io::Error {
    io::Error::other("the line was cut")
}

impl Origin for Memory {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        let there = self.bytes.slice(..(self.breaks_at as usize).min(self.bytes.len()));
        let breaks = there.len() < self.bytes.len();
        Ok(if breaks { Box::new(io::Cursor::new(there).chain(Cut)) } else { Box::new(io::Cursor::new(there)) })
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start + length as u64;
        if end > self.breaks_at { Err(cut()) } else { Ok(self.bytes.slice(start as usize..end as usize)) }
    }

    fn picture(&self, location: &Location, limit_bytes: u64) -> Pending {
        let bytes = location.to_string().trim_end_matches(".jpg").as_bytes().to_vec();
        let found = match bytes.len() as u64 <= limit_bytes {
            true => Ok(Bytes::from(bytes)),
            false => Err(Unfetched::Refused("too long".to_owned())),
        };
        Box::new(move || found)
    }
}

struct Cut;

impl Read for Cut {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(cut())
    }
}

pub fn caption(n: usize) -> String {
    format!("a caption, \"quoted\"\tof {n}")
}

/// The pairs `picture n` and its caption.
pub fn tar(pairs: usize) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new());
    for n in 0..pairs {
        writer.append(&format!("picture {n}"), format!("picture {n}").as_bytes(), "jpg", &caption(n)).expect("writes");
    }
    writer.finish().expect("ends")
}

pub fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(bytes).expect("writes");
    gz.finish().expect("ends")
}

pub fn table(pairs: usize, separator: char) -> Vec<u8> {
    let row = |n: usize| format!("picture {n}.jpg{separator}\"{}\"\n", caption(n).replace('"', "\"\""));
    let rows: String = (0..pairs).map(row).collect();
    format!("filepath{separator}title\n{rows}").into_bytes()
}

pub fn json_lines(pairs: usize) -> Vec<u8> {
    let row =
        |n: usize| format!("{}\n", serde_json::json!({"image": format!("picture {n}.jpg"), "caption": caption(n)}));
    (0..pairs).map(row).collect::<String>().into_bytes()
}

pub fn parquet(pairs: usize) -> Vec<u8> {
    let pairs = 0..pairs;
    let images: Vec<String> = pairs.clone().map(|n| format!("picture {n}")).collect();
    let captions: Vec<String> = pairs.map(caption).collect();
    let images = arrow_array::BinaryArray::from_iter_values(images.iter().map(String::as_bytes));
    let captions = arrow_array::StringArray::from_iter_values(&captions);
    columns(&[("jpg", Arc::new(images)), ("caption", Arc::new(captions))], 5)
}

/// A Parquet file of these columns, in row groups of so many rows.
pub fn columns(columns: &[(&str, arrow_array::ArrayRef)], group: usize) -> Vec<u8> {
    let batch = arrow_array::RecordBatch::try_from_iter(columns.iter().cloned()).expect("are columns");
    let zstd = parquet::basic::Compression::ZSTD(Default::default());
    let builder = parquet::file::properties::WriterProperties::builder();
    let properties = builder.set_compression(zstd).set_max_row_group_row_count(Some(group)).build();
    let mut file = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).expect("is a schema");
    writer.write(&batch).expect("writes");
    writer.close().expect("ends");
    file
}

/// The same pairs in every format.
pub fn every_format(pairs: usize) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("0.tar", tar(pairs)),
        ("0.tar.gz", packed(&tar(pairs))),
        ("0.parquet", parquet(pairs)),
        ("0.csv", table(pairs, ',')),
        ("0.tsv", table(pairs, '\t')),
        ("0.jsonl", json_lines(pairs)),
        ("0.jsonl.gz", packed(&json_lines(pairs))),
    ]
}

/// What pyarrow wrote (tests/reference/parquet_shards.py).
pub fn by_pyarrow() -> Vec<(String, Vec<u8>)> {
    let packed = &include_bytes!("../parquet_shards.tar.gz")[..];
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let read = |entry: io::Result<tar::Entry<'_, flate2::read::GzDecoder<&[u8]>>>| {
        let mut entry = entry.expect("is whole");
        let (name, mut bytes) = (entry.path().expect("has a name").display().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).expect("is whole");
        (name, bytes)
    };
    tar.entries().expect("is a tar").map(read).collect()
}
