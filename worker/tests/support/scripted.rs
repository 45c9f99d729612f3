//! The executor of these tests: this test program again, with programs that do what the task's spec says.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;
use lethe_common::program::{GangProgram, MapProgram};
use lethe_worker::agent::ExecutorCommand;
use lethe_worker::executor::{self, Programs};
use lethe_worker::task::{Counts, GangContext, GangMemory, TaskContext, TaskOutput};

/// Set in processes that a test starts: without it the test that hosts one does nothing.
const ROLE: &str = "LETHE_TEST_ROLE";

/// The folder whose files let gated tasks end.
const GATES: &str = "LETHE_TEST_GATES";

/// Starts `test`, a test of this program whose body is [`serve`].
pub fn command(test: &str, gates: &Path) -> ExecutorCommand {
    ExecutorCommand {
        program: std::env::current_exe().expect("knows itself"),
        arguments: words(test).map(Into::into).to_vec(),
        variables: vec![
            (ROLE.to_owned(), "executor".to_owned()),
            (GATES.to_owned(), gates.to_str().expect("is text").to_owned()),
        ],
    }
}

/// Starts `test` as an agent's process, which finds `variables` in its environment.
pub fn agent_process(test: &str, variables: &[(&str, &str)]) -> tokio::process::Child {
    tokio::process::Command::new(std::env::current_exe().expect("knows itself"))
        .args(words(test))
        .env(ROLE, "agent")
        .envs(variables.iter().copied())
        .stdin(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts")
}

fn words(test: &str) -> [&str; 3] {
    [test, "--exact", "--nocapture"]
}

pub fn is_agent() -> bool {
    std::env::var(ROLE).is_ok_and(|role| role == "agent")
}

/// Lets a gated task end.
pub fn open_gate(gates: &Path, counter: u64) {
    std::fs::write(gates.join(format!("gate-{counter}")), "").expect("is ours");
}

fn is_open(task: &TaskId) -> bool {
    let gates = std::env::var_os(GATES).expect("the test says where");
    Path::new(&gates).join(format!("gate-{}", task.attempt.counter)).exists()
}

pub fn serve() {
    if std::env::var(ROLE).is_ok_and(|role| role == "executor") {
        executor::run(
            Programs { map: run_map, open: |_, _| Ok(None), gang: run_gang },
            tch::Device::Cpu,
            String::new(),
        )
        .expect("the agent starts it properly");
    }
}

fn run_map(_: MapProgram, ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    match ctx.spec.audit.id.as_str() {
        "write" => write(ctx),
        "noisy" => {
            // Past the test harness's capture, as a C++ library prints.
            let noise = std::fs::OpenOptions::new().write(true).open("/dev/stdout");
            let noise = noise.and_then(|mut out| out.write_all(b"a library says hello\n"));
            noise.map_err(|e| Fault::fatal(format!("cannot make noise: {e}")))?;
            println!("and once more");
            write(ctx)
        }
        "panic" => panic!("a bad shape\nand a long backtrace"),
        "wait" => wait(ctx, |ctx| ctx.is_cancelled()),
        "gated" => {
            wait(ctx, |ctx| ctx.is_cancelled() || is_open(&ctx.task))?;
            write(ctx)
        }
        "hang" => wait(ctx, |_| false),
        "device-fails" => Err(Fault::fatal("CUDA error: uncorrectable ECC error encountered")),
        other => Err(Fault::fatal(format!("no instruction {other:?}"))),
    }
}

fn write(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let blob = ctx.put("signals", Bytes::from_static(b"written"))?;
    assert_eq!(ctx.get(&blob)?, "written");
    Ok(TaskOutput { outputs: vec![blob], counts: Counts { read: 3, scored: 2, failed: 1 }, waited_ms: 7 })
}

/// Reports the process id as progress, then waits to be told.
fn wait(ctx: &TaskContext<'_>, over: impl Fn(&TaskContext<'_>) -> bool) -> Result<TaskOutput, Fault> {
    (ctx.progress)(0, u64::from(std::process::id()));
    while !over(ctx) {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    ctx.stop_if_cancelled()?;
    Ok(TaskOutput::default())
}

/// Counts the generations that this process has seen, as the number of samples read.
fn run_gang(
    _: GangProgram,
    ctx: &TaskContext<'_>,
    gang: GangContext<'_>,
    memory: &mut GangMemory,
) -> Result<TaskOutput, Fault> {
    let seen = memory.take::<u64>().unwrap_or(0) + 1;
    memory.keep(seen);
    (ctx.progress)(seen, u64::from(gang.world_size));
    let group = (gang.connect.expect("meets once"))()?;
    let mut ranks = tch::Tensor::from_slice(&[1.0_f32]);
    group.all_reduce_sum(&mut ranks)?;
    Ok(TaskOutput { counts: Counts { read: seen, ..Counts::default() }, ..TaskOutput::default() })
}
