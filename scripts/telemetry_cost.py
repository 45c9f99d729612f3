#!/usr/bin/env python3
"""What telemetry costs scoring: instructions of a worker whose metrics are scraped and whose spans are told, and of one without.

    scripts/telemetry_cost.py --config model.json --checkpoint victim.safetensors 0.tar 1.tar 2.tar 3.tar

runs four scorings under callgrind at once: of the first shard and of all, each without and with. An executor does nothing by the clock, so that the
difference between many shards and few, by the samples between them, is what a sample costs whatever else the machine does. An agent works mostly by
the clock: its instructions are told by the second. It must never count a start as a sample's cost, nor a span that was not taken.
"""
import argparse, json, os, pathlib, re, secrets, socket, struct, subprocess, tarfile, tempfile, threading, time, urllib.request

# Everything is some fifty times slower under callgrind, so that this is as often as three times a second.
SCRAPE_EVERY_S = 15
# How many of valgrind's basic blocks are counted at once: what came after the last time is lost.
BLOCKS_A_DUMP = 1_000_000
HEARTBEAT_MS = "60000"


class Collector:
    """Takes OTLP over gRPC, so much of HTTP/2 as that needs, and counts calls."""

    def __init__(self):
        self.calls = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rwb")
        frame = lambda kind, flags, number, body=b"": struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", number) + body
        # Literal fields without indexing: no table is kept.
        field = lambda name, value: b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
        stream.read(24)  # the preface
        stream.write(frame(4, 0, 0))
        stream.flush()
        while head := stream.read(9):
            length, kind, flags, number = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
            body = stream.read(length)
            if kind == 4 and not flags & 1:
                stream.write(frame(4, 1, 0))
            if kind == 6 and not flags & 1:
                stream.write(frame(6, 1, 0, body))
            if kind == 0:
                if length:
                    stream.write(frame(8, 0, 0, struct.pack(">I", length)))
                if flags & 1:
                    self.calls += 1
                    stream.write(frame(1, 4, number, b"\x88" + field(b"content-type", b"application/grpc")))
                    stream.write(frame(0, 0, number, bytes(5)))
                    stream.write(frame(1, 5, number, field(b"grpc-status", b"0")))
            stream.flush()


def spec(folder, options, shards):
    path = folder / "audit.toml"
    quoted = lambda path: json.dumps(str(pathlib.Path(path).resolve()))
    path.write_text(f"""[audit]
id = "cost"
[model]
config = {quoted(options.config)}
checkpoint = {quoted(options.checkpoint)}
[data]
shards = [{", ".join(quoted(shard) for shard in shards)}]
[reference]
samples = 64
""")
    return path


def counts(folder):
    """Instructions by kind of process."""
    found = {"agent": 0, "executor": 0}
    for path in folder.glob("callgrind.*"):
        text = path.read_text(errors="replace")
        kind = "executor" if re.search(r"^cmd: .*--executor", text, re.M) else "agent"
        found[kind] += sum(int(n) for n in re.findall(r"^summary: (\d+)", text, re.M))
    return found


def scrape(log, stop):
    while not stop.wait(SCRAPE_EVERY_S):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        for line in lines:
            if line["fields"].get("message") == "metrics are served":
                urllib.request.urlopen("http://%s/metrics" % line["fields"]["address"]).read()


def run(options, shards, told, results, key):
    with tempfile.TemporaryDirectory(prefix="lethe-cost-") as folder:
        folder = pathlib.Path(folder)
        binary = lambda name: str(pathlib.Path(options.binaries).resolve() / name)
        token = secrets.token_hex(32)
        environment = {**os.environ, "LETHE_TOKEN": token, "LETHE_THREADS": "1", "LETHE_DECODERS": "1"}
        environment.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
        collector = Collector()
        coordinator = subprocess.Popen(
            [binary("lethe-coordinator"), "--work", "work", "--results", "results", "--heartbeat-ms", HEARTBEAT_MS],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=open(folder / "coordinator.log", "w"), text=True)
        address = "http://" + coordinator.stdout.readline().split()[-1]
        log = folder / "worker.log"
        command = ["valgrind", "--tool=callgrind", "--trace-children=yes", "--combine-dumps=yes", f"--dump-every-bb={BLOCKS_A_DUMP}",
                   f"--callgrind-out-file={folder}/callgrind.%p", binary("lethe-worker"), "--coordinator", address, "--id", "w", "--device", "cpu"]
        command += ["--metrics", "127.0.0.1:0", "--otlp", collector.url, "--log-json"] if told else []
        began = time.monotonic()
        worker = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(log, "w"))
        stop = threading.Event()
        if told:
            threading.Thread(target=scrape, args=(log, stop), daemon=True).start()
        try:
            lethe = [binary("lethe")] + (["--otlp", collector.url] if told else [])
            ask = lambda *words: subprocess.run([*lethe, *words, "--coordinator", address, "--output", "json"], env=environment, check=True, capture_output=True, text=True).stdout
            ask("submit", str(spec(folder, options, shards)))
            while True:
                phases = {phase["name"]: phase for phase in json.loads(ask("show", "cost"))["phases"]}
                if phases["score"]["state"] == "succeeded":
                    break
                if worker.poll() is not None:
                    raise SystemExit("the worker ended:\n" + log.read_text()[-2000:])
                time.sleep(2)
            seconds = time.monotonic() - began
            found = counts(folder)
            calls = collector.calls
        finally:
            stop.set()
            for process in (worker, coordinator):
                process.kill()
                process.wait()
        if told and calls < 2:  # the client's own span is one
            raise SystemExit("the worker's spans were not taken")
        results[key] = {**found, "seconds": seconds, "collector_calls": calls}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--binaries", default="target/debug")
    parser.add_argument("shards", nargs="+")
    options = parser.parse_args()
    samples = lambda shards: sum(len({name.split(".")[0] for name in tarfile.open(shard).getnames()}) for shard in shards)
    results, threads = {}, []
    for told in (False, True):
        for shards in (options.shards[:1], options.shards):
            threads.append(threading.Thread(target=run, args=(options, shards, told, results, (told, len(shards) > 1))))
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    between = samples(options.shards) - samples(options.shards[:1])
    a_sample = lambda told: (results[told, True]["executor"] - results[told, False]["executor"]) / between
    a_second = lambda told: results[told, True]["agent"] / results[told, True]["seconds"]
    print(json.dumps({
        "samples": between,
        "executor_instructions_a_sample": {"without": a_sample(False), "with": a_sample(True), "ratio": a_sample(True) / a_sample(False)},
        "agent_instructions_a_second": {"without": a_second(False), "with": a_second(True)},
        "runs": {f"{'with' if told else 'without'}, {'all' if many else 'one'}": found for (told, many), found in sorted(results.items())},
    }, indent=2))


main()
