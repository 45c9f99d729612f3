"""A kubelet's part for each pod: starts its container, asks its probes by the manifest's timing, and starts again what ends or no longer answers.

It must never ask more gently than the manifest says, nor count as ready what no readiness probe has passed.
"""

import socket
import threading
import time
import urllib.request
from dataclasses import dataclass, field

# What the API server puts in where a manifest says nothing.
USUAL = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}
# Between starts of a container that ends again and again: none, then ten seconds, then twice as long each time.
FIRST_BACKOFF_S, MOST_BACKOFF_S = 10, 300


class Probe:
    def __init__(self, kind: str, manifest: dict, ports: dict, address: str):
        self.kind, self.manifest = kind, USUAL | manifest
        self.due = time.monotonic() + self.manifest["initialDelaySeconds"]
        self.failed_in_a_row = 0
        action = manifest.get("httpGet") or manifest["tcpSocket"]
        self.place = address, ports.get(action["port"], action["port"])
        self.path = manifest["httpGet"]["path"] if "httpGet" in manifest else None

    def ask(self) -> bool:
        self.due = time.monotonic() + self.manifest["periodSeconds"]
        passed = self.answers()
        self.failed_in_a_row = 0 if passed else self.failed_in_a_row + 1
        return passed

    def answers(self) -> bool:
        timeout = self.manifest["timeoutSeconds"]
        try:
            if self.path is None:
                socket.create_connection(self.place, timeout).close()
                return True
            url = f"http://{self.place[0]}:{self.place[1]}{self.path}"
            return 200 <= urllib.request.urlopen(url, timeout=timeout).status < 400
        except OSError:
            return False

    def given_up(self) -> bool:
        return self.failed_in_a_row >= self.manifest["failureThreshold"]


@dataclass
class Kept:
    """A pod that is to run, and what was seen of it."""

    pod: object
    wanted: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    ready: bool = False
    restarts: int = 0
    asked: dict = field(default_factory=dict)
    refused: dict = field(default_factory=dict)
    ready_after_s: float | None = None
    killed_by: list = field(default_factory=list)


class Kubelet:
    def __init__(self, cluster):
        self.cluster, self.kept, self.lock = cluster, {}, threading.Lock()
        self.seen = []  # every pod that ever ran, for the table

    def run(self, pod) -> None:
        kept = Kept(pod)
        kept.wanted.set()
        # A container ends with the thread that started it, so that each pod has one of its own.
        kept.thread = threading.Thread(target=self.keep, args=(kept,), daemon=True)
        self.kept[pod.name] = kept
        self.seen.append(kept)
        kept.thread.start()

    def keep(self, kept: Kept) -> None:
        while kept.wanted.is_set():
            with self.lock:
                process = self.cluster.start(kept.pod)
            self.watch(kept, process)
            kept.ready = False
            if not kept.wanted.is_set():
                return
            backoff = 0 if kept.restarts == 0 else min(FIRST_BACKOFF_S << (kept.restarts - 1), MOST_BACKOFF_S)
            kept.restarts += 1
            end = time.monotonic() + backoff
            while kept.wanted.is_set() and time.monotonic() < end:
                time.sleep(0.1)

    def watch(self, kept: Kept, process) -> None:
        """Until the container has ended, by itself or by us."""
        began, pod = time.monotonic(), kept.pod
        address = self.cluster.place(pod.name)
        probes = {kind: Probe(kind, manifest, pod.ports, address) for kind, manifest in pod.probes.items()}
        started = "startupProbe" not in probes
        while not self.ended(process):
            kinds = ["startupProbe"] if not started else ["livenessProbe", "readinessProbe"]
            for probe in [probes[kind] for kind in kinds if kind in probes]:
                if time.monotonic() < probe.due or not kept.wanted.is_set():
                    continue
                passed = probe.ask()
                counts = kept.asked if passed else kept.refused
                counts[probe.kind] = counts.get(probe.kind, 0) + 1
                match probe.kind:
                    case "startupProbe":
                        started = passed
                    case "readinessProbe" if passed:
                        kept.ready = True
                        kept.ready_after_s = kept.ready_after_s or time.monotonic() - began
                    case "readinessProbe":
                        kept.ready = kept.ready and not probe.given_up()
                if probe.kind != "readinessProbe" and probe.given_up():
                    kept.killed_by.append(probe.kind)
                    self.cluster.end(pod.name, pod.grace_s)
                    return

    @staticmethod
    def ended(process) -> bool:
        try:
            process.wait(0.1)
            return True
        except Exception:
            return process.poll() is not None

    def stop(self, name: str) -> tuple:
        """As the API's delete: SIGTERM, and SIGKILL after the grace. The exit code, and how long it took."""
        kept = self.kept.pop(name)
        kept.wanted.clear()
        kept.ready = False
        ended = self.cluster.end(name, kept.pod.grace_s)
        kept.thread.join()
        return ended

    def lose(self, name: str) -> None:
        """The node is gone, and its kubelet with it."""
        kept = self.kept.pop(name)
        kept.wanted.clear()
        kept.ready = False
        self.cluster.lose(name)
        kept.thread.join()

    def is_ready(self, name: str) -> bool:
        return name in self.kept and self.kept[name].ready

    def all_ready(self, pods) -> bool:
        return all(self.is_ready(pod.name) for pod in pods)

    def close(self) -> None:
        """Nobody is started again; who runs is ended by the cluster."""
        for kept in self.kept.values():
            kept.wanted.clear()
