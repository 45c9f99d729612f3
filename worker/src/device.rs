//! The device that an executor computes on: what was asked for, against what is there.
//!
//! The agent must never look itself: looking loads torch. It starts this program again for that, and so knows before it
//! registers.

use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use lethe_collective::cuda;
use lethe_model::exact::CUBLAS_VARIABLE;
use lethe_model::tch;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::agent::{ExecutorCommand, TOKEN_VARIABLE};

/// The hidden word that makes this program say what it finds.
pub const LIST_WORD: &str = "--list-devices";

/// The CUDA driver of a machine with many GPUs takes seconds to start.
const LIST_DEADLINE: Duration = Duration::from_secs(60);

/// What a worker is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// The first GPU, or the CPU where CUDA cannot be used.
    #[default]
    Auto,
    Cpu,
    Cuda(u32),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no device; expected auto, cpu, cuda or cuda:N")]
pub struct DeviceError(String);

impl FromStr for Asked {
    type Err = DeviceError;
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
        match (text, text.strip_prefix("cuda:").and_then(number)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(number)) => Ok(Self::Cuda(number)),
            (_, None) => Err(DeviceError(text.to_owned())),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The CUDA of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// The models of its GPUs, in libtorch's order, at least one.
    Gpus(Vec<String>),
    /// Why CUDA cannot be used, and what to do about it.
    Missing(String),
}

impl Found {
    /// Looks, which opens libtorch's CUDA half where there is one.
    pub fn here() -> Self {
        match cuda::gpus() {
            Ok(gpus) => Self::Gpus(gpus.into_iter().map(|gpu| gpu.name).collect()),
            Err(error) => Self::Missing(error.to_string()),
        }
    }

    /// Has another process look, started as executors are.
    async fn elsewhere(executor: &ExecutorCommand) -> anyhow::Result<Self> {
        let mut command = Command::new(&executor.program);
        command
            .arg(LIST_WORD)
            .env_remove(TOKEN_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let listed = tokio::time::timeout(LIST_DEADLINE, command.spawn()?.wait_with_output()).await;
        let listed = listed.with_context(|| format!("CUDA did not answer within {} s", LIST_DEADLINE.as_secs()))??;
        // What libraries print comes before it.
        let last = String::from_utf8_lossy(&listed.stdout).lines().last().unwrap_or_default().to_owned();
        serde_json::from_str(&last).with_context(|| format!("looking for CUDA ended with {}", listed.status))
    }
}

/// A device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    Cpu,
    Cuda { number: u32, model: String },
}

impl Chosen {
    pub fn of(asked: Asked, found: &Found) -> anyhow::Result<Self> {
        let (number, wanted) = match asked {
            Asked::Cpu => return Ok(Self::Cpu),
            Asked::Auto => (0, false),
            Asked::Cuda(number) => (number, true),
        };
        match found {
            Found::Gpus(models) => match models.get(number as usize) {
                Some(model) => Ok(Self::Cuda { number, model: model.clone() }),
                None => {
                    bail!("--device {asked} does not exist; this machine has {} GPUs, counted from 0", models.len())
                }
            },
            Found::Missing(_) if !wanted => Ok(Self::Cpu),
            Found::Missing(why) => bail!("--device {asked} is not possible: {why}; or start with --device cpu"),
        }
    }

    /// For an agent: asks another process where CUDA may be used.
    pub async fn ask(asked: Asked, executor: &ExecutorCommand) -> anyhow::Result<Self> {
        // Most machines have no driver, and none of them has to load torch to know.
        let is_out = asked == Asked::Cpu || asked == Asked::Auto && !cuda::has_driver();
        if is_out {
            return Ok(Self::Cpu);
        }
        let found = Found::elsewhere(executor).await.unwrap_or_else(|error| Found::Missing(format!("{error:#}")));
        if let (Asked::Auto, Found::Missing(why)) = (asked, &found) {
            tracing::warn!(why, "this worker computes on the CPU");
        }
        Self::of(asked, &found)
    }

    /// For an executor: looks where it has to, before torch is asked for CUDA.
    pub fn open(asked: Asked) -> anyhow::Result<Self> {
        match asked {
            Asked::Cpu => Ok(Self::Cpu),
            Asked::Auto | Asked::Cuda(_) => Self::of(asked, &Found::here()),
        }
    }

    /// Where torch computes.
    pub fn device(&self) -> tch::Device {
        match self {
            Self::Cpu => tch::Device::Cpu,
            Self::Cuda { number, .. } => tch::Device::Cuda(*number as usize),
        }
    }

    /// What the coordinator knows workers of one kind by: the GPU's model whatever its number, since it decides limits and the
    /// last bits of results.
    pub fn kind(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Cuda { model, .. } => format!("cuda {model}"),
        }
    }

    /// What an executor on it has in its environment, where the operator chose nothing else.
    pub fn variables(&self) -> Option<(String, String)> {
        let (name, value) = CUBLAS_VARIABLE;
        let is_wanted = matches!(self, Self::Cuda { .. }) && std::env::var_os(name).is_none();
        is_wanted.then(|| (name.to_owned(), value.to_owned()))
    }

    /// The words that start an executor on it.
    pub fn words(&self) -> [OsString; 2] {
        let asked = match self {
            Self::Cpu => Asked::Cpu,
            Self::Cuda { number, .. } => Asked::Cuda(*number),
        };
        ["--device".into(), asked.to_string().into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Found {
        Found::Gpus(vec!["NVIDIA H100".to_owned(), "NVIDIA H100".to_owned()])
    }

    fn none() -> Found {
        Found::Missing("there is no driver".to_owned())
    }

    #[test]
    fn devices_are_read_and_written() {
        let table =
            [("auto", Asked::Auto), ("cpu", Asked::Cpu), ("cuda:0", Asked::Cuda(0)), ("cuda:11", Asked::Cuda(11))];
        for (text, asked) in table {
            assert_eq!(text.parse(), Ok(asked));
            assert_eq!(asked.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Asked::Cuda(0)));
        for bad in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:+1", "cuda0", "CPU", "cuda:99999999999"] {
            let refusal = bad.parse::<Asked>().expect_err(bad).to_string();
            assert!(refusal.contains("expected auto, cpu, cuda or cuda:N"), "{refusal}");
        }
    }

    #[test]
    fn auto_takes_the_first_gpu_or_else_the_cpu() {
        let first = Chosen::Cuda { number: 0, model: "NVIDIA H100".to_owned() };
        assert_eq!(Chosen::of(Asked::Auto, &two()).expect("is there"), first);
        assert_eq!(Chosen::of(Asked::Auto, &none()).expect("is there"), Chosen::Cpu);
        assert_eq!(Chosen::of(Asked::Cpu, &two()).expect("is there"), Chosen::Cpu);
    }

    #[test]
    fn gpus_of_one_model_are_workers_of_one_kind() {
        let [first, second] = [0, 1].map(|number| Chosen::of(Asked::Cuda(number), &two()).expect("is there"));
        assert_eq!((first.kind(), first.device()), ("cuda NVIDIA H100".to_owned(), tch::Device::Cuda(0)));
        assert_eq!((second.kind(), second.device()), ("cuda NVIDIA H100".to_owned(), tch::Device::Cuda(1)));
        assert_eq!(second.words(), ["--device", "cuda:1"]);
    }

    #[test]
    fn what_is_not_there_is_refused_in_one_line_with_what_to_do() {
        let table = [(Asked::Cuda(2), two(), "has 2 GPUs, counted from 0"), (Asked::Cuda(0), none(), "--device cpu")];
        for (asked, found, words) in table {
            let line = Chosen::of(asked, &found).expect_err("is not there").to_string();
            assert!(line.contains(&asked.to_string()) && line.contains(words) && !line.contains('\n'), "{line}");
        }
    }
}
