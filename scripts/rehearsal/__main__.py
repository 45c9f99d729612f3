"""Plays a Kubernetes installation on one machine: the overlay's own command lines, in the images that `make image` built.

    python3 rehearsal TOOLS IMAGES FASHION_MNIST OUT OVERLAY WORKER [NEXT]

WORKER is the image of the workers, lethe-worker or lethe-worker-cuda. NEXT is the tag of the next version's images (`make image-next`);
without it, the same images are given another name.

It must never count as seen what was not: each line it prints as `ok` was waited for, and what a real cluster alone can show
(scheduling, policies, cert-manager, Kueue) is in docs/operations.md.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import certificates
import cuda
import shards
from api import Api
from bucket import Bucket
from cluster import Cluster
from kubelet import Kubelet
from manifests import Mount, Overlay, Pod
from updates import Updates, ok

HERE = Path(__file__).resolve().parent
K8S = HERE.parent.parent / "k8s"
READER = HERE.parent / "kube.py"
# 2026-11-29T02:00:00Z in minutes since 1970: the Job's name ends in it.
NIGHT, DAY = 29931960, 24 * 60
WAIT_S = 900
# Pairs of a shard: an audit of 600 has twelve tasks a map.
SHARD_PAIRS = 50
# Exit codes of who follows an audit: what a drill of this size comes to is its own affair (3: it rejected its result).
ENDED_WELL = {0, 3}
# What an update replaces.
UPDATED = ("lethe-coordinator", "lethe-worker")
# What an audit delivers that knows neither its id nor the time.
SAME = ("clean.safetensors", "scores.parquet", "exhibits.json", "drop-list.txt")


def until(what: str, holds, seconds: float = WAIT_S):
    end = time.monotonic() + seconds
    while True:
        if answer := holds():
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for: {what}")
        time.sleep(0.2)


class Rehearsal:
    def __init__(self, tools: Path, images: Path, data: Path, out: Path, overlay: str, worker: str):
        self.out, self.data, self.bucket = out, data, None
        self.has_cuda = worker == cuda.IMAGE
        rendered = documents("render", K8S / "overlays" / overlay)
        self.cluster = Cluster(tools, images, out)
        self.api = Api(self.cluster.outside, out)
        self.overlay = Overlay(rendered, self.folder, self.cluster.place, self.api)
        self.overlay.replace("lethe-worker", worker, cuda.VARIABLES if self.has_cuda else {})
        certificates.make(self.overlay.of_kind("Certificate"), out / "secret")
        settings = self.overlay.find("ConfigMap", "lethe-settings")["data"]
        if blobs := settings.get("blobs"):
            self.bucket = Bucket(Path(os.environ["MOTO_SERVER"]), self.cluster.outside, blobs.split("/")[2], out)
            self.bucket.make(out / "secret/lethe-bucket")
        self.pods = {name: self.overlay.pods(name) for name in ("lethe-etcd", "lethe-coordinator", "lethe-worker")}
        self.name_pods()
        self.kubelet = Kubelet(self.cluster)
        self.coordinators = settings["coordinators"]
        self.image = self.overlay.job("lethe-schedule", NIGHT, "").image

    def name_pods(self) -> None:
        self.cluster.name_pods({pod.name: name for name, pods in self.pods.items() for pod in pods})

    def folder(self, kind: str, name: str) -> str:
        folder = self.out / kind / name
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "claim":
            folder.chmod(0o777)  # a driver gives it to the pod's group
        return str(folder)

    def client(self, name: str, *words) -> Pod:
        """A pod of the command's image, as a person starts one."""
        mounts = [Mount("/tls", self.folder("secret", "lethe-admin-tls"), True), Mount("/tmp", None)]
        mounts.append(Mount("/data", self.folder("claim", "lethe-data"), True))
        reach = ["--coordinator", self.coordinators, "--tls", "/tls"]
        return Pod(name, self.image, ["lethe", *words, *reach], mounts=mounts)

    def ask(self, *words, by: str = "person"):
        process = self.cluster.start(self.client(by, *words, "--output", "json"), stdout=subprocess.PIPE)
        told, _ = process.communicate(timeout=120)
        return json.loads(told) if process.returncode == 0 else None

    def plant(self) -> None:
        mounts = [Mount("/data", self.folder("claim", "lethe-data")), Mount("/fashion", str(self.data), True), Mount("/tmp", None)]
        words = ["lethe", "redteam", "plant", "--attack", "badnet", "--pairs", "600", "--epochs", "1", "--data", "/fashion", "--out", "/data/drill"]
        self.to_the_end(Pod("drill", self.image, words, mounts=mounts))
        drill = Path(self.folder("claim", "lethe-data")) / "drill"
        count = shards.cut(drill / "shards", SHARD_PAIRS)
        lines = (drill / "audit.toml").read_text().splitlines()
        named = f'shards = ["/data/drill/shards/{{00000..{count - 1:05}}}.tar"]'
        spec = "\n".join(named if line.startswith("shards = ") else line for line in lines) + "\n"
        (drill / "audit.toml").write_text(spec)
        # What an operator does in his overlay: the schedule's spec.
        for settings in self.overlay.of_kind("ConfigMap"):
            if "audit.toml" in settings["data"]:
                (Path(self.folder("settings", settings["metadata"]["name"])) / "audit.toml").write_text(spec)
        ok("the command's image plants a drill into the data volume")

    def install(self) -> None:
        everybody = [pod for pods in self.pods.values() for pod in pods]
        for pod in everybody:
            self.kubelet.run(pod)
        workers = len(self.pods["lethe-worker"])
        until("every worker to register", lambda: len((self.ask("workers") or {"workers": []})["workers"]) == workers, 180)
        ok("etcd, coordinators and workers run by the manifests' command lines: not root, no right, root read-only")
        assert all(pod.probes for pod in everybody), "a pod has no probes"
        self.until_ready()
        ok("every pod is ready by the manifest's own probes, asked as often as it says")

    def until_ready(self) -> None:
        until("every pod to be ready", lambda: self.kubelet.all_ready(pod for pods in self.pods.values() for pod in pods), 180)

    def audits(self) -> list:
        return self.ask("list", "--all")["audits"]

    def fire_twice(self) -> None:
        """At one time, as a controller does that lost its memory in between; nodes are lost meanwhile."""
        fired = [self.cluster.start(self.overlay.job("lethe-schedule", NIGHT, attempt)) for attempt in ("a", "b")]
        until("the audit to score", lambda: any(a["state"] == "running" for a in self.audits()))
        leader = self.ask("cluster")["leader"].split("//")[1].split(".")[0]
        self.kubelet.lose(leader)
        lost = self.pods["lethe-worker"][0]
        self.kubelet.lose(lost.name)
        ok(f"the nodes of {leader}, which led, and of {lost.name} are lost")
        # Elsewhere, at another address, as a StatefulSet's controller does.
        self.pods["lethe-worker"] = self.overlay.pods("lethe-worker")
        self.kubelet.run(self.pods["lethe-worker"][0])
        codes = [process.wait(WAIT_S) for process in fired]
        assert set(codes) <= ENDED_WELL, f"the Job's pods ended with {codes}"
        found = [audit["audit"] for audit in self.audits()]
        assert found == ["nightly-20261129t0200z"], found
        ok("a schedule that fired twice at one time is one audit, which ends well; both pods followed it to its end")
        settings = self.overlay.job("lethe-schedule", NIGHT, "").mounts
        spec = next(Path(mount.source) / "audit.toml" for mount in settings if mount.path == "/spec")
        written = spec.read_text()
        changed = written.replace("max_failed_share = 0.02", "max_failed_share = 0.5")
        assert changed != written
        spec.write_text(changed)
        edited = self.overlay.job("lethe-schedule", NIGHT, "edited")
        assert self.cluster.start(edited).wait(WAIT_S) in ENDED_WELL
        assert "it stands" in self.cluster.log(edited.name), self.cluster.log(edited.name)
        assert len(self.audits()) == 1
        spec.write_text(written)
        ok("a third time, with another spec by then: the first stands")

    def miss_a_day(self) -> None:
        """Two times were missed: a controller that is back starts the latest alone."""
        caught_up = self.cluster.start(self.overlay.job("lethe-schedule", NIGHT + 2 * DAY, "late"))
        assert caught_up.wait(WAIT_S) in ENDED_WELL
        found = sorted(audit["audit"] for audit in self.audits())
        assert found == ["nightly-20261129t0200z", "nightly-20261201t0200z"], found
        ok("a schedule that was missed for a day is one catch-up")
        self.told_as_events()
        undisturbed, disturbed = (delivered(audit) for audit in self.audits())
        assert set(undisturbed) == set(SAME), undisturbed
        assert undisturbed == disturbed, f"{undisturbed} is not {disturbed}"
        ok(f"the audit among losses delivers the same bits as the one without: {', '.join(SAME)}")

    def told_as_events(self) -> None:
        """Each audit's end once, though several pods told it, and what it says is what the audit came to."""
        events = [(event["regarding"]["name"], event["note"]) for event in self.api.events.values()]
        expected = [(f"lethe-schedule-{minute}", f"{audit['audit']} {audit['state']}: {audit['headline']}")
                    for audit, minute in zip(sorted(self.audits(), key=lambda audit: audit["audit"]), (NIGHT, NIGHT + 2 * DAY))]
        assert sorted(events) == expected and not self.api.refused, f"{events}, refused: {self.api.refused}"
        logs = {log.name: log.read_text() for log in (self.out / "logs").glob("lethe-schedule-*.log")}
        assert len(logs) == 4 and not any("warning: " in log for log in logs.values()), logs
        ok(f"each audit's end is one Event of its Job, by a token that creates events alone: {events[0][1]!r}")

    def bring_back(self) -> None:
        """The coordinator whose node was lost, on another."""
        self.pods["lethe-coordinator"] = self.overlay.pods("lethe-coordinator")
        for pod in self.pods["lethe-coordinator"]:
            if pod.name not in self.kubelet.kept:
                self.kubelet.run(pod)
        self.until_ready()

    def drain(self) -> None:
        pod = self.pods["lethe-worker"][1]
        code, took_s = self.kubelet.stop(pod.name)
        assert code == 0, code
        ok(f"{pod.name} drains and ends with 0 after {took_s:.1f} s, within its {pod.grace_s} s")

    def no_folder(self) -> None:
        """Blobs are in the bucket, and in no folder that pods share."""
        objects = self.bucket.objects()
        assert objects > 0, "the bucket is empty"
        assert not (self.out / "claim/lethe-work").exists(), "somebody mounted the work folder"
        ok(f"blobs lie in the bucket (its first page lists {objects}), and no pod mounts a work folder")

    def etcdctl(self, *words) -> Pod:
        """Asks the first member, as whoever has its certificate; what it writes goes where a courier would carry it."""
        member = self.pods["lethe-etcd"][0]
        mounts = [mount for mount in member.mounts if mount.path == "/tls"]
        mounts.append(Mount("/results", self.folder("claim", "lethe-results")))
        reach = ["--endpoints=https://lethe-etcd-0.lethe-etcd:2379", "--cacert=/tls/ca.crt", "--cert=/tls/tls.crt", "--key=/tls/tls.key"]
        return Pod("etcdctl", member.image, ["etcdctl", *reach, *words], mounts=mounts)

    def delete_claims(self, member: Pod) -> None:
        """A member's own: a new one is empty."""
        for mount in [mount for mount in member.mounts if not mount.is_read_only]:
            shutil.rmtree(mount.source)
            self.folder("claim", Path(mount.source).name)

    def back_up_and_restore(self) -> None:
        """By the steps of docs/operations.md: all pods stopped, etcd's claims deleted, and each member restored by the patch."""
        before = self.told()
        self.to_the_end(self.etcdctl("snapshot", "save", "/results/backup.db"))
        everybody = [pod for pods in self.pods.values() for pod in pods]
        for pod in everybody:
            if pod.name in self.kubelet.kept:
                self.kubelet.stop(pod.name)
        for member in self.pods["lethe-etcd"]:
            self.delete_claims(member)
        [patch] = documents("read", K8S / "by-hand/restore.yaml")
        for pod in self.overlay.initial("lethe-etcd", patch):
            self.to_the_end(pod)
        for pod in everybody:
            self.kubelet.run(pod)
        until("a leader", lambda: self.ask("list", "--all"), 180)
        assert self.told() == before, "audits are others than before"
        ok("etcd is restored from a snapshot into new claims: every audit is as it was")

    def told(self) -> list:
        """All that is known of every audit, but for how many have a session now."""
        return [{key: value for key, value in audit.items() if key != "workers"} for audit in self.audits()]

    def to_the_end(self, pod) -> None:
        assert self.cluster.start(pod).wait(WAIT_S) == 0, self.cluster.log(pod.name)


def documents(deed: str, path: Path) -> list:
    return json.loads(subprocess.run([sys.executable, READER, deed, path], check=True, stdout=subprocess.PIPE).stdout)


def delivered(audit: dict) -> dict:
    outputs = next(phase["outputs"] for phase in audit["phases"] if phase["name"] == "report")
    return {output["name"]: output["blake3"] for output in outputs if output["name"] in SAME}


def main() -> None:
    tools, images, data, out = (Path(word).resolve() for word in sys.argv[1:5])
    rehearsal = Rehearsal(tools, images, data, out, *sys.argv[5:7])
    rehearsal.is_next = len(sys.argv) > 7
    tag = sys.argv[7] if rehearsal.is_next else rehearsal.cluster.another_name(rehearsal.pods[name][0].image for name in UPDATED)
    try:
        if rehearsal.has_cuda:
            cuda.without_a_gpu(rehearsal)
        rehearsal.plant()
        rehearsal.install()
        if rehearsal.has_cuda:
            cuda.is_loaded(rehearsal)
        rehearsal.fire_twice()
        rehearsal.miss_a_day()
        rehearsal.bring_back()
        Updates(rehearsal, UPDATED, until, delivered).run(tag)
        rehearsal.drain()
        if rehearsal.bucket:
            rehearsal.no_folder()
        rehearsal.back_up_and_restore()
    finally:
        rehearsal.kubelet.close()
        rehearsal.cluster.close()
        rehearsal.api.close()
        if rehearsal.bucket:
            rehearsal.bucket.close()


if __name__ == "__main__":
    main()
