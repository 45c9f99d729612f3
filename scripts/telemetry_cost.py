#!/usr/bin/env python3
"""What telemetry costs scoring: processor time of a worker whose metrics are scraped and whose spans are told, and of one without.

    scripts/telemetry_cost.py --config model.json --checkpoint victim.safetensors 0.tar 1.tar 2.tar 3.tar

scores the shards again and again, in turns without and with, and tells agent and executor apart: while it scores, an executor does the same either way but
for one span of its log a task, and all else is the agent's. It must never count a start, nor spans that were not taken.
"""
import argparse, json, os, pathlib, secrets, socket, statistics, struct, subprocess, sys, tempfile, threading, time, urllib.request

SCRAPE_EVERY_S = 1
LOOK_EVERY_S = 0.2
HEARTBEAT_MS = "5000"


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


def spec(folder, options):
    path = folder / "audit.toml"
    quoted = lambda path: json.dumps(str(pathlib.Path(path).resolve()))
    path.write_text(f"""[audit]
id = "cost"
[model]
config = {quoted(options.config)}
checkpoint = {quoted(options.checkpoint)}
[data]
shards = [{", ".join(quoted(shard) for shard in options.shards)}]
[reference]
samples = 64
""")
    return path


def cpu_seconds(pid):
    """User and system time since its start, of all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def executor_of(worker):
    children = pathlib.Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    return int(children[0]) if children else None


def spent(worker):
    executor = executor_of(worker)
    return {"agent": cpu_seconds(worker), "executor": cpu_seconds(executor) if executor else 0.0}


def scrape(log, stop):
    while not stop.wait(SCRAPE_EVERY_S):
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        for line in lines:
            if line["fields"].get("message") == "metrics are served":
                urllib.request.urlopen("http://%s/metrics" % line["fields"]["address"]).read()


def run(options, told):
    """Processor time of agent and executor while all shards were scored."""
    with tempfile.TemporaryDirectory(prefix="lethe-cost-") as folder:
        folder = pathlib.Path(folder)
        binary = lambda name: str(pathlib.Path(options.binaries).resolve() / name)
        environment = {**os.environ, "LETHE_TOKEN": secrets.token_hex(32), "LETHE_THREADS": "1", "LETHE_DECODERS": "1"}
        environment.pop("OTEL_EXPORTER_OTLP_ENDPOINT", None)
        collector = Collector()
        coordinator = subprocess.Popen(
            [binary("lethe-coordinator"), "--work", "work", "--results", "results", "--heartbeat-ms", HEARTBEAT_MS],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=open(folder / "coordinator.log", "w"), text=True)
        address = "http://" + coordinator.stdout.readline().split()[-1]
        log = folder / "worker.log"
        command = [binary("lethe-worker"), "--coordinator", address, "--id", "w", "--device", "cpu"]
        command += ["--metrics", "127.0.0.1:0", "--otlp", collector.url, "--log-json"] if told else []
        worker = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(log, "w"))
        stop = threading.Event()
        if told:
            threading.Thread(target=scrape, args=(log, stop), daemon=True).start()
        try:
            lethe = [binary("lethe")] + (["--otlp", collector.url] if told else [])
            ask = lambda *words: subprocess.run([*lethe, *words, "--coordinator", address, "--output", "json"], env=environment, check=True, capture_output=True, text=True).stdout
            ask("submit", str(spec(folder, options)))
            began, state = None, None
            while state != "succeeded":
                state = {phase["name"]: phase for phase in json.loads(ask("show", "cost"))["phases"]}["score"]["state"]
                if state == "running" and began is None:
                    began = spent(worker.pid)
                if worker.poll() is not None or state == "failed":
                    raise SystemExit("it cannot score:\n" + log.read_text()[-2000:])
                time.sleep(LOOK_EVERY_S)
            if began is None:
                raise SystemExit("scoring was over before it was seen; give it more shards")
            ended = spent(worker.pid)
        finally:
            stop.set()
            for process in (worker, coordinator):
                process.kill()
                process.wait()
        if told and collector.calls < 2:  # the client's own span is one
            raise SystemExit("the worker's spans were not taken")
        return {kind: ended[kind] - began[kind] for kind in ended}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--binaries", default="target/debug")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("shards", nargs="+")
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        rounds.append({"without": run(options, False), "with": run(options, True)})
        print(f"round {number + 1} of {options.rounds}: {rounds[-1]}", file=sys.stderr)
    middle = lambda way, kind: statistics.median(found[way][kind] for found in rounds)
    whole = middle("without", "agent") + middle("without", "executor")
    print(json.dumps({
        "rounds": rounds,
        "agent_s": {way: middle(way, "agent") for way in ("without", "with")},
        "executor_s": {way: middle(way, "executor") for way in ("without", "with")},
        "agent_cost": (middle("with", "agent") - middle("without", "agent")) / whole,
        "executor_cost": (middle("with", "executor") - middle("without", "executor")) / whole,
    }, indent=2))


main()
