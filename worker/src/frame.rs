//! What agent and executor say to each other, and how it is cut into frames: a length in four
//! little-endian bytes, then JSON.
//!
//! It must never carry samples or tensors; those go through the blob store.

use std::io::{self, Read, Write};

use lethe_common::fault::Fault;
use lethe_common::ids::{Generation, TaskId};
use lethe_common::program::{GangProgram, MapProgram};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::task::{Checkpoint, StepTime, TaskInput, TaskOutput, Whereabouts};

/// The largest frame, in bytes: a gather task lists the outputs of every shard.
pub const MAX_FRAME_BYTES: u32 = 256 << 20;

/// From the agent to the executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToExecutor {
    /// Sent only to an executor that is ready and runs nothing.
    Run(RunTask),
    /// What probably runs next, so that its shard can be opened meanwhile. It may never run.
    Expect(RunTask),
    Abort {
        task: TaskId,
    },
    RendezvousReply {
        call: u64,
        reply: RendezvousReply,
    },
}

/// From the executor to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromExecutor {
    /// Once, when torch is loaded.
    Ready,
    Progress {
        task: TaskId,
        done: u64,
        total: u64,
    },
    Done {
        task: TaskId,
        output: TaskOutput,
        /// By the clock.
        took_ms: u64,
    },
    Failed {
        task: TaskId,
        fault: Fault,
    },
    /// The task failed since the device did, and the process ends after this.
    Broken {
        task: TaskId,
        fault: Fault,
    },
    /// Where a rank of a gang is, told by another thread than the one that trains.
    Whereabouts {
        task: TaskId,
        place: Whereabouts,
    },
    /// Steps of a training that ended since the last ones were told.
    Steps {
        task: TaskId,
        steps: Vec<StepTime>,
    },
    /// Written; it is real once the coordinator has stored where it lies.
    Checkpoint {
        task: TaskId,
        checkpoint: Checkpoint,
    },
    Rendezvous {
        call: u64,
        task: TaskId,
        generation: Generation,
        request: RendezvousRequest,
    },
}

/// All that an executor needs to run one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTask {
    pub task: TaskId,
    pub work: Work,
    /// The audit spec, as the coordinator stores it.
    pub spec_json: String,
    pub inputs: Vec<TaskInput>,
    /// How often batches are halved, since this kind of worker ran out of memory.
    pub batch_halvings: u32,
    /// `file:///…`
    pub blob_root: String,
    /// The span of its phase, where anybody traces.
    pub traceparent: Option<String>,
}

impl RunTask {
    /// The part of it that is enough to open its shard ahead of it, where its program reads a whole one.
    pub fn to_expect(&self) -> Option<Self> {
        let opens = match self.work {
            Work::Map { program: MapProgram::Score | MapProgram::Pack } => true,
            Work::Map {
                program:
                    MapProgram::Reference
                    | MapProgram::Gather
                    | MapProgram::Rescore
                    | MapProgram::Probe
                    | MapProgram::Localize
                    | MapProgram::Evaluate,
            }
            | Work::Gang { .. } => false,
        };
        let listing = self.inputs.iter().filter(|input| input.phase == LISTING);
        opens.then(|| Self { inputs: listing.cloned().collect(), ..self.without_inputs() })
    }

    fn without_inputs(&self) -> Self {
        let Self { task, work, spec_json, inputs: _, batch_halvings, blob_root, traceparent } = self;
        Self {
            task: task.clone(),
            work: work.clone(),
            spec_json: spec_json.clone(),
            inputs: Vec::new(),
            batch_halvings: *batch_halvings,
            blob_root: blob_root.clone(),
            traceparent: traceparent.clone(),
        }
    }
}

/// The phase whose output says where a shard lies.
const LISTING: &str = "plan";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    Map { program: MapProgram },
    Gang { program: GangProgram, place: Place, checkpoint: Option<Checkpoint> },
}

/// A rank's place in one generation of a gang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub generation: Generation,
    pub rank: u32,
    pub world_size: u32,
    /// The time-out of every collective call.
    pub timeout_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RendezvousRequest {
    Set { key: String, value: Vec<u8> },
    Get { key: String, timeout_ms: u64 },
    Add { key: String, amount: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RendezvousReply {
    Set,
    Value(Vec<u8>),
    Sum(i64),
    TimedOut,
    Unavailable(String),
}

fn too_large(bytes: u64) -> io::Error {
    let message = format!("a frame of {bytes} bytes exceeds the limit of {MAX_FRAME_BYTES}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn encode<T: Serialize>(frame: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, frame)?;
    let body = bytes.len() as u64 - 4;
    let length = u32::try_from(body).ok().filter(|&n| n <= MAX_FRAME_BYTES).ok_or_else(|| too_large(body))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// An empty buffer for the body that a header announces.
fn body_of(header: [u8; 4]) -> io::Result<Vec<u8>> {
    let length = u32::from_le_bytes(header);
    if length > MAX_FRAME_BYTES { Err(too_large(length.into())) } else { Ok(vec![0; length as usize]) }
}

/// Writes one frame, blocking.
pub fn write<T: Serialize>(to: &mut impl Write, frame: &T) -> io::Result<()> {
    to.write_all(&encode(frame)?)?;
    to.flush()
}

/// Reads one frame, blocking; the end of the stream is an error of kind `UnexpectedEof`.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut body = body_of(header)?;
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// As [`write`].
pub async fn write_async<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), frame: &T) -> io::Result<()> {
    to.write_all(&encode(frame)?).await?;
    to.flush().await
}

/// As [`read`]. Not cancel-safe: one task must own the reading end.
pub async fn read_async<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut header = [0; 4];
    from.read_exact(&mut header).await?;
    let mut body = body_of(header)?;
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_one_by_one() {
        let frames = [
            FromExecutor::Ready,
            FromExecutor::Rendezvous {
                call: 3,
                task: crate::task::sample_id(0),
                generation: Generation(2),
                request: RendezvousRequest::Set { key: "rank0".into(), value: vec![0, 255] },
            },
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            write(&mut bytes, frame).expect("writes");
        }
        let mut rest = bytes.as_slice();
        for frame in frames {
            assert_eq!(read::<FromExecutor>(&mut rest).expect("reads"), frame);
        }
        let end = read::<FromExecutor>(&mut rest).expect_err("is at its end");
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_header_that_is_not_one_is_refused_before_memory_is_taken() {
        let error = read::<FromExecutor>(&mut b"oops, a line of a library".as_slice()).expect_err("is no frame");
        assert!(error.to_string().contains("exceeds the limit"), "{error}");
    }
}
