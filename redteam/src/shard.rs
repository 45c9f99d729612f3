//! One WebDataset shard of the drill.
//!
//! Equal pairs must give equal bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use lethe_data::ShardWriter;

use crate::error::RedteamError;
use crate::pairs::Pair;

/// Writes `member.png` beside `member.txt` for each pair, in order.
pub(crate) fn write_shard(path: &Path, pairs: &[(String, Pair)]) -> Result<(), RedteamError> {
    let file = File::create(path).map_err(RedteamError::io(path))?;
    let mut shard = ShardWriter::new(BufWriter::new(file));
    for (member, pair) in pairs {
        shard.append(member, &pair.picture.to_png()?, "png", &pair.caption)?;
    }
    shard.finish()?.flush().map_err(RedteamError::io(path))
}
