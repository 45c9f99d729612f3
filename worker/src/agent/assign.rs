//! From the coordinator's assignments to what an executor runs.
//!
//! It must never let through what an executor would stumble over: an unknown program is refused here.

use lethe_common::fault::Fault;
use lethe_common::ids::{Generation, ShardId, TaskId};
use lethe_common::program::{GangProgram, MapProgram, UnknownProgram};
use lethe_proto::{WireError, v1};

use crate::frame::{Place, RunTask, Work};
use crate::task::TaskInput;

#[derive(Debug, thiserror::Error)]
pub(super) enum AssignError {
    /// The task cannot even be named, so there is nobody to report it to.
    #[error("a task without a name: {0}")]
    Unnamed(#[from] WireError),
    #[error("{}", fault.message)]
    Refused { task: TaskId, fault: Fault },
}

pub(super) fn map(message: v1::MapTask, blob_root: &str) -> Result<RunTask, AssignError> {
    let task = name(message.task)?;
    let build = || -> Result<RunTask, BadTask> {
        let work = Work::Map { program: MapProgram::parse(&message.program)? };
        body(task.clone(), work, (message.params_json, message.inputs), blob_root)
    };
    build().map_err(|error| refused(task.clone(), &error))
}

pub(super) fn gang(message: v1::GangTask, blob_root: &str) -> Result<RunTask, AssignError> {
    let task = name(message.task)?;
    let v1::GangTask { generation, rank, world_size, timeout_ms, .. } = message;
    let place = Place { generation: Generation(generation), rank, world_size, timeout_ms };
    let build = || -> Result<RunTask, BadTask> {
        let work = Work::Gang { program: GangProgram::parse(&message.program)?, place };
        body(task.clone(), work, (message.params_json, message.inputs), blob_root)
    };
    build().map_err(|error| refused(task.clone(), &error))
}

#[derive(Debug, thiserror::Error)]
enum BadTask {
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
    Ok(RunTask { task, work, spec_json: String::from_utf8(spec_json)?, inputs, blob_root: blob_root.to_owned() })
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
    fn a_task_without_an_attempt_cannot_be_reported() {
        let task = v1::TaskId { attempt: None, ..sample_id(1).into() };
        let message = v1::GangTask { task: Some(task), ..Default::default() };
        assert!(matches!(gang(message, ""), Err(AssignError::Unnamed(WireError::Missing("attempt")))));
    }
}
