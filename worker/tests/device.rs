//! What becomes of `--device` before a worker registers.

use std::process::{Command, Output};

use lethe_collective::cuda;
use lethe_worker::agent::ExecutorCommand;
use lethe_worker::device::{Asked, Chosen, Found, LIST_WORD};

fn worker(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe-worker"));
    command.args(words).env("RUST_BACKTRACE", "1").output().expect("starts")
}

/// An agent whose coordinator is nowhere, which it must not come to ask.
fn agent_on(device: &str) -> (Option<i32>, String) {
    let output = worker(&["--coordinator", "http://127.0.0.1:9", "--id", "w0", "--device", device]);
    (output.status.code(), String::from_utf8(output.stderr).expect("is text"))
}

fn has_gpu() -> bool {
    let has_driver = cuda::has_driver();
    if has_driver {
        eprintln!("SKIPPED: worker, CUDA where there is none: this machine has NVIDIA's driver");
    }
    has_driver
}

#[test]
fn cuda_where_there_is_none_ends_a_worker_with_one_line() {
    if has_gpu() {
        return;
    }
    for device in ["cuda", "cuda:3"] {
        let (code, said) = agent_on(device);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        let expected =
            ["--device cuda:", "libcuda.so.1", "run where nvidia-smi shows a GPU", "or start with --device cpu"];
        assert!(expected.iter().all(|words| said.contains(words)), "{said}");
    }
}

#[test]
fn what_is_no_device_is_bad_usage() {
    let (code, said) = agent_on("gpu");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("expected auto, cpu, cuda or cuda:N"), "{said}");
}

#[test]
fn the_list_says_why_there_is_none() {
    if has_gpu() {
        return;
    }
    let output = worker(&[LIST_WORD]);
    let found: Found = serde_json::from_slice(&output.stdout).expect("is a list");
    assert!(matches!(&found, Found::Missing(why) if why.contains("nvidia-smi")), "{found:?}");
}

#[tokio::test]
async fn auto_without_a_driver_is_the_cpu_and_asks_nobody() {
    if has_gpu() {
        return;
    }
    let nobody = ExecutorCommand { program: "/no/such/program".into(), arguments: Vec::new(), variables: Vec::new() };
    assert_eq!(Chosen::ask(Asked::Auto, &nobody).await.expect("is chosen"), Chosen::Cpu);
    assert!(Chosen::ask(Asked::Cuda(0), &nobody).await.is_err(), "it asked somebody");
}
