//! An object's bytes in order, read a few chunks ahead; where the connection breaks, the next one goes on from there.
//!
//! It must never wait without end, hold more than its chunks, or join bytes of two versions.

use std::io::{self, Read};
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use crate::error::SourceError;
use crate::objects::{CHUNK_DEADLINE, Version};
use crate::place::Object;
use crate::runtime;
use crate::tries::Tries;

/// Chunks that wait for the reader; one is as large as a read of the connection, of half a MiB at most.
const CHUNKS_AHEAD: usize = 16;
/// A connection that gives less than this for a minute is broken off and made anew.
const MIN_BYTES_A_SECOND: u64 = 16 << 10;
const SLOW_FOR: Duration = Duration::from_secs(60);

pub(crate) struct Streamed {
    chunks: Receiver<Result<Bytes, SourceError>>,
    held: Bytes,
}

impl Streamed {
    pub fn start(object: Object, version: Version, range: Range<u64>) -> Self {
        let (sender, chunks) = channel(CHUNKS_AHEAD);
        runtime::spawn(async move {
            if let Err(error) = feed(&object, &version, range, &sender).await {
                drop(sender.send(Err(error)).await); // the reader may be gone
            }
        });
        Self { chunks, held: Bytes::new() }
    }
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.held.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.held = chunk?,
                None => return Ok(0),
            }
        }
        let taken = self.held.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.held.split_to(taken));
        Ok(taken)
    }
}

/// All bytes of a range at once, for ranges that the caller bounds.
pub(crate) async fn whole(object: &Object, version: &Version, range: Range<u64>) -> Result<Bytes, SourceError> {
    let (sender, mut chunks) = channel(CHUNKS_AHEAD);
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
    let gather = async {
        while let Some(chunk) = chunks.recv().await {
            let chunk: Bytes = chunk?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    let feed = async move { feed(object, version, range, &sender).await };
    let (fed, gathered): (_, Result<(), SourceError>) = tokio::join!(feed, gather);
    fed.and(gathered)?;
    Ok(bytes.into())
}

/// Sends the range, over as many connections as it takes. Ends early where the reader is gone.
async fn feed(
    object: &Object,
    version: &Version,
    range: Range<u64>,
    sender: &Sender<Result<Bytes, SourceError>>,
) -> Result<(), SourceError> {
    let (mut at, mut tries) = (range.start, Tries::new());
    while at < range.end && !sender.is_closed() {
        let before = at;
        let Err(error) = connection(object, version, (&mut at, range.end), sender).await else { continue };
        if at > before {
            tries.progress();
        }
        let pause = if error.passes() { tries.next() } else { None };
        let Some(pause) = pause else { return Err(error) };
        tracing::debug!(object = %object.name, at, %error, ?pause, "reading goes on after a pause");
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// What one connection gives, from `at` on, which moves.
async fn connection(
    object: &Object,
    version: &Version,
    (at, end): (&mut u64, u64),
    sender: &Sender<Result<Bytes, SourceError>>,
) -> Result<(), SourceError> {
    let mut chunks = object.get(version, *at..end).await?;
    let (mut waited, begun) = (Duration::ZERO, *at);
    while *at < end {
        let asked = Instant::now();
        let chunk = timeout(CHUNK_DEADLINE, chunks.next()).await;
        waited += asked.elapsed();
        let chunk = match chunk {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => return Err(object.told(error)),
            Ok(None) => return Err(object.broken(format!("the connection ended {} bytes early", end - *at))),
            Err(_) => return Err(object.broken(format!("no byte came for {} s", CHUNK_DEADLINE.as_secs()))),
        };
        if chunk.len() as u64 > end - *at {
            return Err(object.broken("more bytes came than were asked for".to_owned()));
        }
        *at += chunk.len() as u64;
        if sender.send(Ok(chunk)).await.is_err() {
            *at = end; // nobody reads any more
            return Ok(());
        }
        if waited > SLOW_FOR && *at - begun < MIN_BYTES_A_SECOND * waited.as_secs() {
            return Err(object.broken(format!("fewer than {MIN_BYTES_A_SECOND} bytes a second came")));
        }
    }
    Ok(())
}
