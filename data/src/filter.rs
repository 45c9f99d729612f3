//! A shard again, without the samples of some keys: every other byte as it was.
//!
//! It must never encode a kept sample anew, nor leave out what no listed key names: what cannot be read is kept as it is.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::ending::Ending;
use crate::entries::Entries;
use crate::error::DataError;
use crate::format::{Format, Kind};
use crate::keys::Distinct;
use crate::origin::Origin;
use crate::parquet;
use crate::reader::TarReader;
use crate::sample::Limits;
use crate::shard::stream;

mod meeting;
mod tap;

pub use meeting::{Account, Listed, Meeting};
use tap::Tap;

/// Writes a shard's bytes without the samples whose keys are listed, and says which of them were there. A listed key takes all
/// that lies under it: also what an audit never scored since the key was taken. A shard that gzip packed is packed anew.
///
/// # Errors
/// A format that cannot be written again; a shard that cannot be read as far as that needs; bytes that cannot be had; a failed
/// write. What was written by then is of no use.
pub fn filter<'a>(
    origin: &Arc<dyn Origin>,
    (limits, listed): (Limits, &'a Listed),
    output: &mut (dyn Write + Send),
) -> Result<Meeting<'a>, DataError> {
    let name = origin.name().to_owned();
    let format = Format::of(&name).ok_or_else(|| DataError::Unknown { name: name.clone() })?;
    let (ending, mut meeting) = (Ending::default(), Meeting::new(listed));
    let written = match (format.kind, format.packed) {
        (Kind::Tar, false) => tar(origin, (limits, &ending), (&mut meeting, output)),
        (Kind::Tar, true) => packed(origin, (limits, &ending), (&mut meeting, output)),
        (Kind::Parquet, _) => parquet::filter(origin, (limits, &ending), (&mut meeting, output)),
        (Kind::Csv | Kind::Tsv | Kind::JsonLines, _) => Err(DataError::Layout {
            name: name.clone(),
            problem: "a manifest is not written again, since its pictures lie beside it; take the keep list".to_owned(),
        }),
    };
    // What broke off says so, whatever its reader made of it.
    ending.whole().map_err(|broken| DataError::Broken { name, reason: broken.to_string() })?;
    written.map(|()| meeting)
}

fn packed(
    origin: &Arc<dyn Origin>,
    read: (Limits, &Ending),
    (meeting, output): (&mut Meeting<'_>, &mut (dyn Write + Send)),
) -> Result<(), DataError> {
    // Without a name or a time, so that the same samples give the same bytes.
    let mut gzip = GzEncoder::new(output, Compression::default());
    tar(origin, read, (meeting, &mut gzip))?;
    gzip.finish()?;
    Ok(())
}

fn tar(
    origin: &Arc<dyn Origin>,
    (limits, ending): (Limits, &Ending),
    (meeting, output): (&mut Meeting<'_>, &mut (dyn Write + Send)),
) -> Result<(), DataError> {
    let format = Format::of(origin.name()).expect("was looked up by whoever calls");
    let tap = Tap::new(stream(origin, format, ending)?, output, meeting.listed());
    let mut reader = TarReader::over(Entries::with_turns(tap, Tap::turn), limits);
    for outcome in Distinct::new(reader.by_ref()) {
        meeting.see(&outcome);
    }
    // Beyond the limit of samples nothing counts, but keys are keys.
    reader.by_ref().for_each(drop);
    reader.into_reader().finish(origin.name())
}
