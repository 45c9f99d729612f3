//! Pictures of suspects, as the model saw them: from what `gather` packed, a shard at a time.
//!
//! It must never hold more of a shard than the pictures that a page on somebody's screen has, nor give away the picture where it
//! gives a blurred one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lethe_common::blob::{BlobRef, BlobStore, Digest};
use lethe_common::ids::{AuditId, ShardId};
use lethe_engine::AuditView;
use lethe_evidence::artifacts::names;
use lethe_evidence::{PairRole, PairRow, PairTable};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;

use super::PAGE;
use crate::api::Lead;
use crate::api::limits::Place;
use crate::review::{Flights, Reviewed};

/// Pictures that are kept: a few pages'. Of 224 pixels a side they take some 100 MiB.
const MOST: usize = 10 * PAGE;
/// Shards that are read at once, for whoever looks: each may take as much memory as its packed pairs have bytes.
const AT_ONCE: usize = 2;
/// Others wait for their turn meanwhile.
const DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Reads that a picture may take: somebody else's of its shard that began before it was wanted, and its own; then its own again where so
/// many others came in between that it was put out.
const LOOKS: usize = 3;
/// Pixels a side of what is left of a blurred picture.
const BLURRED_SIDE: u32 = 8;
/// A larger picture is made smaller by whole blocks of pixels.
const MOST_SIDE: u32 = 256;

/// Gives the room that a read takes of whoever asks, where there is some left.
pub(super) type Room<'r> = &'r (dyn Fn() -> Result<Option<Place>, Status> + Sync);

/// A suspect's number in the table of this digest.
type Name = (Digest, usize);

#[derive(Clone)]
pub(crate) struct Pictures {
    inner: Arc<Mutex<Inner>>,
    /// By the table of the suspects, and their shard.
    flights: Flights<(Digest, u32), Result<(), Status>>,
    reading: Arc<Semaphore>,
}

#[derive(Default)]
struct Inner {
    /// Nothing for one that is not among what was gathered.
    kept: BTreeMap<Name, Option<Picture>>,
    /// The first to go first.
    order: VecDeque<Name>,
    /// On pages that were shown lately.
    expected: VecDeque<Name>,
}

#[derive(Debug, Clone)]
struct Picture {
    plain: Bytes,
    blurred: Bytes,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { inner: Arc::default(), flights: Flights::default(), reading: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Pictures {
    /// A page was shown: these will be asked for, one by one, and their shards had best be read once.
    pub fn expect(&self, of: Digest, numbers: &[usize]) {
        let mut inner = self.lock();
        inner.expected.extend(numbers.iter().map(|number| (of, *number)));
        let more = inner.expected.len().saturating_sub(MOST / 2);
        inner.expected.drain(..more);
    }

    /// # Errors
    /// NOT_FOUND where nobody packed the picture, or its shard is gone.
    pub async fn take(
        &self,
        (lead, view, room): (&Lead, &AuditView, Room<'_>),
        reviewed: &Arc<Reviewed>,
        number: usize,
        blurred: bool,
    ) -> Result<Bytes, Status> {
        let name = (reviewed.of, number);
        let row = number.checked_sub(1).and_then(|at| reviewed.suspects.rows.get(at));
        let row = row.ok_or_else(|| Status::not_found(format!("there is no suspect {number}")))?;
        let gone = || Status::not_found(format!("the picture of suspect {number} is not among what was gathered"));
        for _ in 0..LOOKS {
            if let Some(found) = self.find(&name) {
                let picture = found.ok_or_else(gone)?;
                return Ok(if blurred { picture.blurred } else { picture.plain });
            }
            // Whoever leaves before his read has ended has the room for it all the same.
            let place = room()?;
            let read = || {
                let (pictures, reviewed, shard) = (self.clone(), Arc::clone(reviewed), row.shard);
                let (lead, audit) = (lead.clone(), view.audit.clone());
                async move {
                    let read = pictures.read((&lead, audit), &reviewed, (shard, number)).await;
                    drop(place);
                    read
                }
            };
            // One that was under way already may bring others of the shard; then it is asked for again.
            let landed = self.flights.join((reviewed.of, row.shard), read).await;
            landed.unwrap_or_else(|| Err(Status::internal("reading the pictures of a shard panicked")))?;
        }
        Err(gone())
    }

    /// The pictures of a shard that are wanted, with this one.
    async fn read(
        &self,
        (lead, audit): (&Lead, AuditId),
        reviewed: &Reviewed,
        (shard, number): (u32, usize),
    ) -> Result<(), Status> {
        let _place = self.reading.acquire().await;
        // A read that landed while this one began.
        if self.find(&(reviewed.of, number)).is_some() {
            return Ok(());
        }
        let asked = lead.driver.shard_outputs(audit.clone(), "gather".to_owned(), ShardId(shard)).await;
        let outputs = asked.map_err(|error| Status::unavailable(error.to_string()))?;
        let pairs = outputs.into_iter().find(|output| output.name == names::PAIRS);
        let pairs = pairs.ok_or_else(|| {
            Status::not_found(format!("{audit} has gathered nothing of shard {shard}, or no longer has it"))
        })?;
        let wanted = self.wanted(reviewed, shard, number);
        let numbers: Vec<usize> = wanted.values().map(|(_, number)| *number).collect();
        let late =
            |_| Status::deadline_exceeded(format!("the store took more than {} minutes", DEADLINE.as_secs() / 60));
        let mut found = timeout(DEADLINE, read(&lead.blobs, &pairs.blob, wanted)).await.map_err(late)??;
        self.keep(reviewed.of, numbers.into_iter().map(|number| (number, found.remove(&number))));
        Ok(())
    }

    fn find(&self, name: &Name) -> Option<Option<Picture>> {
        self.lock().kept.get(name).cloned()
    }

    /// Of a shard's suspects the one that is asked for and those that are expected, by key, with content and number.
    fn wanted(&self, reviewed: &Reviewed, shard: u32, number: usize) -> BTreeMap<String, (String, usize)> {
        let inner = self.lock();
        let expected = inner
            .expected
            .iter()
            .filter(|(of, number)| *of == reviewed.of && !inner.kept.contains_key(&(*of, *number)));
        let numbers: BTreeSet<usize> = expected.map(|(_, number)| *number).chain([number]).collect();
        let rows = numbers.into_iter().filter_map(|number| Some((number, reviewed.suspects.rows.get(number - 1)?)));
        let own = rows.filter(|(_, row)| row.shard == shard);
        own.map(|(number, row)| (row.key.clone(), (row.content.clone(), number))).collect()
    }

    fn keep(&self, of: Digest, found: impl Iterator<Item = (usize, Option<Picture>)>) {
        let mut inner = self.lock();
        for (number, picture) in found {
            if inner.kept.insert((of, number), picture).is_none() {
                inner.order.push_back((of, number));
            }
        }
        while inner.order.len() > MOST
            && let Some(first) = inner.order.pop_front()
        {
            inner.kept.remove(&first);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each step leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Through a file, so that no more than a batch of it is in memory.
async fn read(
    blobs: &BlobStore,
    blob: &BlobRef,
    wanted: BTreeMap<String, (String, usize)>,
) -> Result<BTreeMap<usize, Picture>, Status> {
    let unreadable = |what: &dyn std::fmt::Display| Status::data_loss(format!("the picture cannot be read: {what}"));
    let scratch = blobs.scratch();
    let made = std::fs::create_dir_all(&scratch).and_then(|()| tempfile::NamedTempFile::new_in(&scratch));
    let file = made.map_err(|error| unreadable(&error))?;
    blobs.get_file(blob, file.path()).await.map_err(|error| unreadable(&error))?;
    let opened = file.reopen().map_err(|error| unreadable(&error))?;
    let picked = tokio::task::spawn_blocking(move || pick(opened, &wanted)).await;
    picked.map_err(|panic| unreadable(&panic))?.map_err(|error| unreadable(&error))
}

fn pick(file: std::fs::File, wanted: &BTreeMap<String, (String, usize)>) -> Result<BTreeMap<usize, Picture>, String> {
    let (side, batches) = PairTable::batches(file).map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    for batch in batches {
        for PairRow { key, content, role, pixels, .. } in batch.map_err(|error| error.to_string())? {
            let number = wanted.get(&key).filter(|(known, _)| role == PairRole::Suspect && *known == content);
            if let Some((_, number)) = number {
                found.insert(*number, picture(&pixels, side)?);
            }
        }
        if found.len() == wanted.len() {
            break;
        }
    }
    Ok(found)
}

fn picture(pixels: &[u8], side: u32) -> Result<Picture, String> {
    let png = |(pixels, side): (Vec<u8>, u32)| {
        lethe_data::encode_png(&pixels, side).map(Bytes::from).map_err(|error| error.to_string())
    };
    let plain = png(smaller(pixels, side, MOST_SIDE))?;
    Ok(Picture { plain, blurred: png(smaller(pixels, side, BLURRED_SIDE))? })
}

/// The means of whole blocks of pixels, so that no side is longer than this; what is left over at the edges goes.
fn smaller(pixels: &[u8], side: u32, most: u32) -> (Vec<u8>, u32) {
    let block = side.div_ceil(most).max(1) as usize;
    let (side, small) = (side as usize, side as usize / block);
    let mut means = Vec::with_capacity(small * small * 3);
    for (y, x) in (0..small).flat_map(|y| (0..small).map(move |x| (y, x))) {
        for channel in 0..3 {
            let rows =
                (y * block..(y + 1) * block).flat_map(|y| (x * block..(x + 1) * block).map(move |x| y * side + x));
            let sum: u32 = rows.map(|at| u32::from(pixels[at * 3 + channel])).sum();
            means.push((sum / (block * block) as u32) as u8);
        }
    }
    (means, small as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blurred_picture_has_few_pixels_and_a_large_one_not_too_many() {
        let striped: Vec<u8> =
            (0..28 * 28).flat_map(|at| if at % 2 == 0 { [200, 0, 10] } else { [100, 0, 10] }).collect();
        let (small, side) = smaller(&striped, 28, BLURRED_SIDE);
        assert_eq!((side, small.len()), (7, 7 * 7 * 3));
        assert!(small.chunks(3).all(|pixel| pixel == [150, 0, 10]), "stripes are gone: {small:?}");
        assert_eq!(smaller(&striped, 28, MOST_SIDE), (striped, 28));
        let side = |side: u32| smaller(&vec![7; (side * side * 3) as usize], side, MOST_SIDE).1;
        assert_eq!([256, 257, 336, 513].map(side), [256, 128, 168, 171]);
    }

    #[test]
    fn the_first_to_come_are_the_first_to_go() {
        let pictures = Pictures::default();
        let (of, picture) =
            (Digest([1; 32]), Picture { plain: Bytes::from_static(b"p"), blurred: Bytes::from_static(b"b") });
        let picture = |number| (number, (number != 3).then(|| picture.clone()));
        pictures.keep(of, (1..=MOST + 1).map(picture));
        assert!(pictures.find(&(of, 1)).is_none());
        assert_eq!(pictures.find(&(of, 2)).flatten().map(|found| found.blurred).as_deref(), Some(b"b".as_slice()));
        assert!(pictures.find(&(of, 3)).is_some_and(|found| found.is_none()), "that there is none is known");
        assert!(pictures.find(&(Digest([2; 32]), 2)).is_none(), "another table's");
    }
}
