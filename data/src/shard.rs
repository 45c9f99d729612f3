//! One shard of any format as a stream of samples.
//!
//! It must never panic on what a shard holds, and never take a broken disk or connection for a broken sample.

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use crate::ending::{Ending, Watched};
use crate::error::DataError;
use crate::format::{Format, Kind};
use crate::gunzip::Gunzip;
use crate::keys::Distinct;
use crate::local::LocalFile;
use crate::manifest::{Manifest, Separator, json_rows, table_rows};
use crate::origin::Origin;
use crate::parquet::ParquetReader;
use crate::reader::TarReader;
use crate::sample::{BadSample, Limits, Sample};

const READ_BYTES: usize = 1 << 20;

type Outcome = Result<Sample, BadSample>;

/// Yields the samples in the order of the shard; each key once.
pub struct Shard {
    samples: Box<dyn Iterator<Item = Outcome> + Send>,
    ending: Ending,
}

/// Opens a file.
///
/// # Errors
/// As [`Shard::open`].
pub fn open_shard(path: &Path, limits: Limits) -> Result<Shard, DataError> {
    let file = LocalFile::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    Shard::open(Arc::new(file), limits)
}

impl Shard {
    /// Reads as much as tells whether the shard can be used at all.
    ///
    /// # Errors
    /// A name of no known format, columns that are not there, a damaged footer; bytes that cannot be had.
    pub fn open(origin: Arc<dyn Origin>, limits: Limits) -> Result<Self, DataError> {
        let ending = Ending::default();
        let format = Format::of(origin.name()).ok_or_else(|| DataError::Unknown { name: origin.name().to_owned() })?;
        let opened = samples(&origin, (format, limits), &ending);
        // What broke off says so, whatever its reader made of it.
        let broken = |reason: String| DataError::Broken { name: origin.name().to_owned(), reason };
        ending.whole().map_err(|broken_off| broken(broken_off.to_string()))?;
        Ok(Self { samples: opened?, ending })
    }

    /// To be asked once the samples are through.
    pub fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

impl Iterator for Shard {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        self.samples.next()
    }
}

fn samples(
    origin: &Arc<dyn Origin>,
    (format, limits): (Format, Limits),
    ending: &Ending,
) -> Result<Box<dyn Iterator<Item = Outcome> + Send>, DataError> {
    let stream = || stream(origin, format, ending);
    let layout = |problem: String| DataError::Layout { name: origin.name().to_owned(), problem };
    let table = |separator| {
        let rows = table_rows(stream()?, separator).map_err(layout)?;
        Ok::<_, DataError>(Manifest::new(rows, origin.clone(), (limits, ending.clone())))
    };
    Ok(match format.kind {
        Kind::Tar => Box::new(Distinct::new(TarReader::new(stream()?, limits))),
        Kind::Parquet => {
            let rows = ParquetReader::open(origin.clone(), limits, ending.clone()).map_err(layout)?;
            Box::new(Distinct::new(rows))
        }
        Kind::Csv => Box::new(Distinct::new(table(Separator::Told)?)),
        Kind::Tsv => Box::new(Distinct::new(table(Separator::Tab)?)),
        Kind::JsonLines => {
            let rows = json_rows(stream()?);
            Box::new(Distinct::new(Manifest::new(rows, origin.clone(), (limits, ending.clone()))))
        }
    })
}

/// All bytes of a shard, unpacked where it is packed.
pub(crate) fn stream(
    origin: &Arc<dyn Origin>,
    format: Format,
    ending: &Ending,
) -> Result<BufReader<Box<dyn Read + Send>>, DataError> {
    let broken = |e: std::io::Error| DataError::Broken { name: origin.name().to_owned(), reason: e.to_string() };
    let watched = Watched::new(origin.stream().map_err(broken)?, origin.size_bytes(), ending.clone());
    let plain: Box<dyn Read + Send> =
        if format.packed { Box::new(Gunzip::new(watched, READ_BYTES)) } else { Box::new(watched) };
    Ok(BufReader::with_capacity(READ_BYTES, plain))
}
