//! The executor of these tests: this test program again, with programs that do what the task's spec says.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use lethe_common::fault::Fault;
use lethe_common::program::{GangProgram, MapProgram};
use lethe_worker::agent::ExecutorCommand;
use lethe_worker::executor::{self, Programs};
use lethe_worker::task::{Counts, GangContext, GangMemory, TaskContext, TaskOutput};

/// Set in the executor only: without it the test that hosts it does nothing.
const ROLE: &str = "LETHE_TEST_ROLE";

/// Starts `test`, a test of this program whose body is [`serve`].
pub fn command(test: &str) -> ExecutorCommand {
    ExecutorCommand {
        program: std::env::current_exe().expect("knows itself"),
        arguments: [test, "--exact", "--nocapture"].map(Into::into).to_vec(),
        variables: vec![(ROLE.to_owned(), "executor".to_owned())],
    }
}

pub fn serve() {
    if std::env::var_os(ROLE).is_some() {
        executor::run(Programs { map: run_map, gang: run_gang }).expect("the agent starts it properly");
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
        "hang" => wait(ctx, |_| false),
        other => Err(Fault::fatal(format!("no instruction {other:?}"))),
    }
}

fn write(ctx: &TaskContext<'_>) -> Result<TaskOutput, Fault> {
    let blob = ctx.put("signals", Bytes::from_static(b"written"))?;
    assert_eq!(ctx.get(&blob)?, "written");
    Ok(TaskOutput { outputs: vec![blob], counts: Counts { read: 3, scored: 2, failed: 1 } })
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
    let group = (gang.connect)()?;
    let mut ranks = tch::Tensor::from_slice(&[1.0_f32]);
    group.all_reduce_sum(&mut ranks)?;
    Ok(TaskOutput { outputs: Vec::new(), counts: Counts { read: seen, ..Counts::default() } })
}
