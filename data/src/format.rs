//! What a shard is, by the ending of its name.
//!
//! It must never look into the shard: the plan judges all names before a byte is read.

/// Endings that are read, as messages show them.
pub const ENDINGS: &str = ".tar, .tgz, .parquet, .csv, .tsv, .jsonl (all but .parquet also with .gz)";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// WebDataset.
    Tar,
    /// As img2dataset and Hugging Face's datasets write it.
    Parquet,
    /// Separated by commas, or by tabs where the first line has one.
    Csv,
    Tsv,
    JsonLines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub kind: Kind,
    /// By gzip, as a whole.
    pub packed: bool,
}

impl Format {
    /// Of a path or URL.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        if name.ends_with(".tgz") {
            return Some(Self { kind: Kind::Tar, packed: true });
        }
        let (inner, packed) = name.strip_suffix(".gz").map_or((name.as_str(), false), |inner| (inner, true));
        let kind = match inner.rsplit_once('.')?.1 {
            "tar" => Kind::Tar,
            "parquet" if !packed => Kind::Parquet,
            "csv" => Kind::Csv,
            "tsv" => Kind::Tsv,
            "jsonl" | "ndjson" => Kind::JsonLines,
            _ => return None,
        };
        Some(Self { kind, packed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format() {
        for (name, expected) in [
            ("a/0.tar", Some((Kind::Tar, false))),
            ("0.TAR.GZ", Some((Kind::Tar, true))),
            ("s3://b/0.tgz", Some((Kind::Tar, true))),
            ("0.parquet", Some((Kind::Parquet, false))),
            ("0.csv.gz", Some((Kind::Csv, true))),
            ("0.tsv", Some((Kind::Tsv, false))),
            ("0.jsonl", Some((Kind::JsonLines, false))),
            ("0.parquet.gz", None),
            ("0.zip", None),
            ("tar", None),
        ] {
            assert_eq!(Format::of(name).map(|format| (format.kind, format.packed)), expected, "{name}");
        }
    }
}
