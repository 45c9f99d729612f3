//! From the coordinator's assignments to what an executor runs.
//!
//! It must never let through what an executor would stumble over: an unknown program is refused here.

use lethe_common::fault::Fault;
use lethe_common::ids::{Generation, ShardId, TaskId};
use lethe_common::program::{GangProgram, MapProgram, UnknownProgram};
use lethe_proto::{WireError, v1};

use super::phases::Phases;
use crate::frame::{Place, RunTask, Work};
use crate::task::{Checkpoint, TaskInput};

#[derive(Debug, thiserror::Error)]
pub(super) enum AssignError {
    /// The task cannot even be named, so there is nobody to report it to.
    #[error("a task without a name: {0}")]
    Unnamed(#[from] WireError),
    #[error("{}", fault.message)]
    Refused { task: TaskId, fault: Fault },
}

/// A task as version 1 sends it, with all that it needs.
pub(super) fn map(message: v1::MapTask, blob_root: &str) -> Result<RunTask, AssignError> {
    let task = name(message.task)?;
    let build = || -> Result<RunTask, BadTask> {
        let work = Work::Map { program: MapProgram::parse(&message.program)? };
        let run = body(task.clone(), work, (message.params_json, message.inputs), blob_root)?;
        Ok(RunTask { traceparent: traceparent(message.traceparent), ..run })
    };
    build().map_err(|error| refused(task.clone(), &error))
}

/// A lease, joined with what its phase was said to share.
pub(super) fn lease(message: v1::MapLease, phases: &Phases, blob_root: &str) -> Result<RunTask, AssignError> {
    let task = name(message.task)?;
    let build = || -> Result<RunTask, BadTask> {
        let phase = phases.get(&task).ok_or(BadTask::UnknownPhase)?;
        let work = Work::Map { program: MapProgram::parse(&phase.program)? };
        let inputs = phase.inputs.iter().cloned().chain(message.inputs).collect();
        let run = body(task.clone(), work, (phase.params_json.clone(), inputs), blob_root)?;
        let traceparent = traceparent(phase.traceparent.clone());
        Ok(RunTask { batch_halvings: message.batch_halvings, traceparent, ..run })
    };
    build().map_err(|error| refused(task.clone(), &error))
}

pub(super) fn gang(message: v1::GangTask, blob_root: &str) -> Result<RunTask, AssignError> {
    let task = name(message.task)?;
    let v1::GangTask { generation, rank, world_size, timeout_ms, .. } = message;
    let kept = message.checkpoint;
    let place = Place { generation: Generation(generation), rank, world_size, timeout_ms };
    let build = || -> Result<RunTask, BadTask> {
        let checkpoint = kept.map(checkpoint).transpose()?;
        let work = Work::Gang { program: GangProgram::parse(&message.program)?, place, checkpoint };
        let run = body(task.clone(), work, (message.params_json, message.inputs), blob_root)?;
        Ok(RunTask { traceparent: traceparent(message.traceparent), ..run })
    };
    build().map_err(|error| refused(task.clone(), &error))
}

#[derive(Debug, thiserror::Error)]
enum BadTask {
    #[error("this session was not told of the task's phase, or of {} others since", Phases::MAX)]
    UnknownPhase,
    #[error(transparent)]
    Program(#[from] UnknownProgram),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the spec is not UTF-8")]
    Spec(#[from] std::string::FromUtf8Error),
}

/// Retryable, since a worker of another build may know better.
fn refused(task: TaskId, error: &BadTask) -> AssignError {
    let fault = Fault::retryable(format!("{task}: {error}"));
    AssignError::Refused { task, fault }
}

pub(super) fn name(task: Option<v1::TaskId>) -> Result<TaskId, WireError> {
    TaskId::try_from(task.ok_or(WireError::Missing("task"))?)
}

fn body(
    task: TaskId,
    work: Work,
    (spec_json, inputs): (Vec<u8>, Vec<v1::Input>),
    blob_root: &str,
) -> Result<RunTask, BadTask> {
    let inputs = inputs.into_iter().map(input).collect::<Result<_, WireError>>()?;
    let spec_json = String::from_utf8(spec_json)?;
    let (blob_root, traceparent) = (blob_root.to_owned(), None);
    Ok(RunTask { task, work, spec_json, inputs, batch_halvings: 0, blob_root, traceparent })
}

/// An empty one, as an older coordinator's, is none.
fn traceparent(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn checkpoint(message: v1::GangCheckpoint) -> Result<Checkpoint, WireError> {
    let blob = message.blob.ok_or(WireError::Missing("blob"))?.try_into()?;
    Ok(Checkpoint { step: message.step, blob })
}

fn input(message: v1::Input) -> Result<TaskInput, WireError> {
    let blobs = message.outputs.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
    Ok(TaskInput { phase: message.phase, shard: ShardId(message.shard), blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::sample_id;

    #[test]
    fn an_unknown_program_is_refused_with_its_task() {
        let message = v1::MapTask { task: Some(sample_id(1).into()), program: "dream".into(), ..Default::default() };
        let Err(AssignError::Refused { task, fault }) = map(message, "file:///b") else { panic!("was taken") };
        assert_eq!(task, sample_id(1));
        assert!(!fault.is_fatal() && fault.message.contains("\"dream\""), "{fault}");
    }

    #[test]
    fn a_lease_is_joined_with_its_phase() {
        let input = |phase: &str, shard| v1::Input { phase: phase.into(), shard, outputs: Vec::new() };
        let mut phases = Phases::default();
        phases.learn(v1::MapPhase {
            audit: "audit".into(),
            phase: 2,
            program: "rescore".into(),
            params_json: b"{}".to_vec(),
            inputs: vec![input("overfit", 0)],
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
        });
        let inputs = vec![input("gather", 7)];
        let message = v1::MapLease { task: Some(sample_id(1).into()), inputs, batch_halvings: 3 };
        let run = lease(message, &phases, "file:///b").expect("is whole");
        let inputs: Vec<_> = run.inputs.iter().map(|i| (i.phase.as_str(), i.shard.0)).collect();
        assert_eq!(inputs, [("overfit", 0), ("gather", 7)]);
        assert_eq!(run.work, Work::Map { program: MapProgram::Rescore });
        assert!(run.traceparent.is_some_and(|text| text.contains("4bf92f3577b34da6")));
        assert_eq!((run.task, run.spec_json.as_str(), run.batch_halvings), (sample_id(1), "{}", 3));
    }

    #[test]
    fn a_lease_of_an_unknown_phase_is_refused_with_its_task() {
        let message = v1::MapLease { task: Some(sample_id(1).into()), ..Default::default() };
        let refused = lease(message, &Phases::default(), "file:///b");
        let Err(AssignError::Refused { task, fault }) = refused else { panic!("was taken") };
        assert_eq!(task, sample_id(1));
        assert!(!fault.is_fatal() && fault.message.contains("not told of the task's phase"), "{fault}");
    }

    #[test]
    fn a_task_without_an_attempt_cannot_be_reported() {
        let task = v1::TaskId { attempt: None, ..sample_id(1).into() };
        let message = v1::GangTask { task: Some(task), ..Default::default() };
        assert!(matches!(gang(message, ""), Err(AssignError::Unnamed(WireError::Missing("attempt")))));
    }
}
