"""Many small tasks on Ray, one node: how many no-op tasks a second it schedules and sees completed.

It must never be read as the same guarantee: a Ray task is scheduled and its completion recorded in memory; a shard of
Lethe is granted with a deadline, fenced by an attempt and committed durably. The JSON on stdout says so too.
"""

import argparse
import json
import os
import sys
import time
from collections import deque

COMPARED = (
    "a Ray task is scheduled to a worker process and its completion recorded in the memory of its owner; a shard of "
    "Lethe is granted to a worker with a deadline, fenced by an attempt and committed to a durable store"
)
# Units of a task in the mode `batched`, which is another load and is never part of the ratio.
BATCH = 100

MODES = {
    "tasks": "no-op tasks from one driver, any free worker takes the next (as Ray's many_tasks and its microbenchmark "
    "'single client tasks async')",
    "tasks_quarter_cpu": "the same with num_cpus=0.25 a task, as Ray's many_tasks asks for",
    "tasks_multi_client": "the same from one submitting actor per CPU (Ray's microbenchmark 'multi client tasks async')",
    "actor_calls": "no-op calls of one actor per CPU, chosen by the driver in turn: nothing is scheduled (Ray's "
    "microbenchmark '1:n actor calls async')",
    "batched": f"tasks of {BATCH} no-op units each, counted in units: NOT the same load, since the units of a task share "
    "one schedule, one retry and one completion",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=20_000, help="of one repetition")
    parser.add_argument("--repetitions", type=int, default=3, help="of every mode; modes alternate")
    parser.add_argument("--in-flight", type=int, default=2_000, help="tasks submitted and not yet seen completed")
    parser.add_argument("--cpus", type=int, default=os.cpu_count(), help="num_cpus that Ray is told")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    return parser.parse_args()


def bounded(submit, count: int, in_flight: int) -> None:
    """Submits `count` tasks in two waves that overlap, so that workers never wait for the driver's ray.get."""
    wave = max(1, in_flight // 2)
    waves: deque = deque()
    for first in range(0, count, wave):
        if len(waves) == 2:
            ray.get(waves.popleft())
        waves.append([submit() for _ in range(min(wave, count - first))])
    while waves:
        ray.get(waves.popleft())


def loads(cpus: int, in_flight: int) -> dict:
    """Each mode as a function of the number of tasks that returns how many units it did."""

    @ray.remote
    def nothing():
        pass

    @ray.remote(num_cpus=0.25)
    def nothing_quarter():
        pass

    @ray.remote
    def nothing_often(units):
        for _ in range(units):
            pass

    @ray.remote(num_cpus=0)
    class Server:
        def nothing(self):
            pass

    @ray.remote(num_cpus=0)
    class Client:
        def submit(self, count, in_flight):
            bounded(nothing.remote, count, in_flight)

    clients = [Client.remote() for _ in range(cpus)]
    servers = [Server.remote() for _ in range(cpus)]

    def multi_client(count):
        share = count // len(clients)
        ray.get([client.submit.remote(share, max(2, in_flight // len(clients))) for client in clients])
        return share * len(clients)

    def actor_calls(count):
        turn = iter(range(count))
        bounded(lambda: servers[next(turn) % len(servers)].nothing.remote(), count, in_flight)
        return count

    def tasks(remote, units=1):
        def run(count):
            bounded(remote, count // units, in_flight)
            return count // units * units

        return run

    return {
        "tasks": tasks(nothing.remote),
        "tasks_quarter_cpu": tasks(nothing_quarter.remote),
        "tasks_multi_client": multi_client,
        "actor_calls": actor_calls,
        "batched": tasks(lambda: nothing_often.remote(BATCH), BATCH),
    }


def rate(load, count: int) -> float:
    start = time.perf_counter()
    done = load(count)
    return done / (time.perf_counter() - start)


def median(values: list) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def measure(options: argparse.Namespace) -> dict:
    run = loads(options.cpus, options.in_flight)
    for mode in options.modes:
        rate(run[mode], min(options.tasks, 2_000))  # worker processes start here, outside the clock
    rates: dict = {mode: [] for mode in options.modes}
    for _ in range(options.repetitions):
        for mode in options.modes:
            rates[mode].append(round(rate(run[mode], options.tasks), 1))
    return {
        mode: {"tasks_per_s": round(median(rates[mode]), 1), "repetitions": rates[mode], "what": MODES[mode]}
        for mode in options.modes
    }


def main() -> None:
    options = arguments()
    ray.init(num_cpus=options.cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    load_before = os.getloadavg()[0]
    modes = measure(options)
    ray.shutdown()
    same_load = {mode: found["tasks_per_s"] for mode, found in modes.items() if mode != "batched"}
    result = {
        "ray_version": ray.__version__,
        "num_cpus": options.cpus,
        "tasks": options.tasks,
        "in_flight": options.in_flight,
        "load_average_before": round(load_before, 2),
        "modes": modes,
        "best_mode": max(same_load, key=same_load.get, default=None),
        "best_tasks_per_s": max(same_load.values(), default=None),
        "compared": COMPARED,
    }
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    import ray

    main()
