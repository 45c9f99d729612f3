//! What can be said of the shards that an audit judged.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use super::Format;

/// Shards that are written at once, at most: each has a few files open and a few MiB in memory.
const MAX_JOBS: i64 = 64;

#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("written").required(true).args(["out", "keep_list"])),
    after_help = "Example:\n  lethe scrub march --out clean-shards\n  lethe scrub march --keep-list keep.parquet\n\n\
Ctrl-C stops; the same command goes on where it stopped, and does again what is broken. The folder's scrub.jsonl says what \
was read, kept and dropped, with BLAKE3 hashes. It writes to files alone: copy them to a store with its own tool.\n\
Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted."
)]
pub struct Scrub {
    /// The audit's result folder
    pub result: PathBuf,
    /// Write every shard again into this folder, under its name
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the list of samples to keep: Parquet, or text where the name ends in .txt
    #[arg(long, value_name = "FILE")]
    pub keep_list: Option<PathBuf>,
    /// Where the shards lie now, as in data.shards; once for each pattern [default: where the audit read them]
    #[arg(long, value_name = "PATTERN")]
    pub shards: Vec<String>,
    /// Another drop list: text as drop-list.txt, Parquet as suspects.parquet, or JSON [default: the result's drop-list.txt]
    #[arg(long, value_name = "FILE")]
    pub drop: Option<PathBuf>,
    /// The audit's shards.json, where the result folder does not have it (docs/data.md)
    #[arg(long, value_name = "FILE")]
    pub listing: Option<PathBuf>,
    /// The audit's spec; its [data.stores] says how shards in stores are read
    #[arg(long, value_name = "SPEC")]
    pub spec: Option<PathBuf>,
    /// Go on where samples on the drop list are not in their shards
    #[arg(long)]
    pub allow_missing: bool,
    /// Scrub by the drop list of a result that the audit itself rejected
    #[arg(long)]
    pub rejected: bool,
    /// Shards that are read and written at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=MAX_JOBS))]
    pub jobs: u32,
    /// What to print at the end
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

impl Scrub {
    /// The command with `--out` and nothing else.
    pub fn plain(result: &Path, out: &Path) -> Self {
        Self {
            result: result.to_owned(),
            out: Some(out.to_owned()),
            keep_list: None,
            shards: Vec::new(),
            drop: None,
            listing: None,
            spec: None,
            allow_missing: false,
            rejected: false,
            jobs: 2,
            output: Format::default(),
        }
    }
}
