"""From one version to the next while audits run: pods are replaced one by one as a StatefulSet's rolling update does it.

It must never pass where nothing was at work: every step looks that audits ran when it began and when it ended, and what they deliver is
compared with the same audits in a cluster that nobody touched.
"""

import os
import signal
import subprocess
import time

from load import SEEDS, Load

READY_S = 180
WAIT_S = 1500


def ok(what: str) -> None:
    print(f"ok  {what}", flush=True)


class Updates:
    def __init__(self, rehearsal, owners, until, delivered):
        self.r, self.owners, self.until, self.delivered = rehearsal, owners, until, delivered
        self.load = Load(rehearsal)

    def run(self, tag: str) -> None:
        still = self.audits_to_the_end("still", SEEDS)
        ok(f"{len(SEEDS)} audits at once in a cluster that nobody touches end well")
        began = time.monotonic()
        self.load.start()
        self.until("four audits to run", lambda: len(self.running()) >= len(SEEDS), READY_S)
        before = self.r.ask("cluster")
        for owner in self.owners:
            self.at_work(f"{owner} updated", lambda owner=owner: self.roll(owner, tag))
        self.is_of(tag)
        self.at_work("one worker more", lambda: self.scale_up(3))
        self.at_work("a member of etcd lost and back", self.lose_a_member)
        self.at_work("a member of etcd lost with its claim", self.lose_a_claim)
        self.at_work("a worker that hangs", self.hang)
        self.at_work("one worker fewer", lambda: self.scale_down(2))
        names = self.load.stop()
        self.wait_for(names)
        took_s = time.monotonic() - began
        self.compare(still, names)
        after = self.r.ask("cluster")
        ok(f"{len(names)} audits went through all of it in {took_s:.0f} s, terms {before['term']} to {after['term']}; none failed, "
                "none lost or counted a shard twice, and each delivers the bits of the one that nobody disturbed")
        self.table()

    # ------------------------------------------------------------------ audits

    def audits_to_the_end(self, prefix: str, seeds) -> dict:
        names = [(f"{prefix}-{seed}", seed) for seed in seeds]
        for name, seed in names:
            assert self.load.submit(name, seed, "person"), f"{name} was not taken: {self.r.cluster.log('person')[-2000:]}"
        self.wait_for(names)
        return {seed: self.audit(name) for name, seed in names}

    def audit(self, name: str) -> dict:
        return next(audit for audit in self.r.audits() if audit["audit"] == name)

    def wait_for(self, names) -> None:
        wanted = {name for name, _ in names}

        def ended():
            told = self.r.ask("list", "--all")
            states = {a["audit"]: a["state"] for a in told["audits"]} if told else {}
            failed = [name for name in wanted if states.get(name) in ("failed", "cancelled")]
            assert not failed, f"{failed} failed: {[a['reason'] for a in told['audits'] if a['audit'] in failed]}"
            return all(states.get(name) == "succeeded" for name in wanted)

        self.until(f"{', '.join(sorted(wanted))} to end", ended, WAIT_S)

    def running(self) -> list:
        told = self.r.ask("list")
        return [a["audit"] for a in told["audits"] if a["state"] == "running"] if told else []

    def compare(self, still: dict, names) -> None:
        for name, seed in names:
            audit, wanted = self.audit(name), still[seed]
            assert self.delivered(audit) == self.delivered(wanted), f"{name} delivers other bits than the one undisturbed"
            for phase, undisturbed in zip(audit["phases"], wanted["phases"], strict=True):
                counted = ("name", "done", "total", "samples_read", "samples_scored", "samples_failed", "quarantined")
                same = [(phase[key], undisturbed[key]) for key in counted]
                assert all(a == b for a, b in same), f"{name}: {phase['name']} counted {same}"
                assert phase["done"] == phase["total"], f"{name}: {phase['name']} has {phase['done']} of {phase['total']}"
        phases = [phase for name, _ in names for phase in self.audit(name)["phases"]]
        self.commits = sum(phase["done"] for phase in phases)
        self.again = {key: sum(phase[key] for phase in phases) for key in ("retries", "late", "speculated", "quarantined")}

    # ------------------------------------------------------------------ what is done to the cluster

    def at_work(self, what: str, deed) -> None:
        assert self.running(), f"nothing ran before: {what}"
        began = time.monotonic()
        told = deed()
        took_s, left = time.monotonic() - began, self.running()
        assert left, f"nothing ran any more after: {what}"
        ok(f"{what} in {took_s:.0f} s, while {len(left)} audits run: {told}")

    def roll(self, owner: str, tag: str) -> str:
        """Highest ordinal first; the next only when this one is ready by its own probe."""
        self.r.overlay.update(owner, tag)
        self.r.cluster.image(self.r.overlay.pods(owner)[0].image)  # pulled before
        told = []
        for ordinal in reversed(range(len(self.r.pods[owner]))):
            name = self.r.pods[owner][ordinal].name
            code, ended_s = self.r.kubelet.stop(name)
            assert code == 0, f"{name} ended with {code} after {ended_s:.1f} s"
            self.r.cluster.move(name)
            self.r.pods[owner] = self.r.overlay.pods(owner)
            self.r.kubelet.run(self.r.pods[owner][ordinal])
            self.until(f"{name} to be ready", lambda name=name: self.r.kubelet.is_ready(name), READY_S)
            told.append(f"{name} ended with 0 after {ended_s:.1f} s, ready {self.r.kubelet.kept[name].ready_after_s:.1f} s after its start")
        return "; ".join(told)

    def is_of(self, tag: str) -> None:
        cluster, workers = self.r.ask("cluster"), self.r.ask("workers")["workers"]
        releases = {cluster["release"], *(worker["release"] for worker in workers)}
        if self.r.is_next:
            assert releases == {tag}, releases
        ok(f"coordinators and workers say that they are of release {', '.join(sorted(releases))}"
                + ("" if self.r.is_next else ": THE SAME BINARIES under another tag, since no next version was built (make image-next)"))

    def registered(self) -> set:
        told = self.r.ask("workers")
        return {worker["worker"] for worker in told["workers"] if worker["state"] != "gone"} if told else set()

    def scale_up(self, replicas: int) -> str:
        self.r.overlay.scale("lethe-worker", replicas)
        self.r.pods["lethe-worker"] = self.r.overlay.pods("lethe-worker")
        self.r.name_pods()
        new = self.r.pods["lethe-worker"][-1]
        self.r.kubelet.run(new)
        self.until(f"{new.name} to work", lambda: any(
            worker["worker"] == new.name and worker["committed"] > 0 for worker in (self.r.ask("workers") or {"workers": []})["workers"]), READY_S)
        return f"{new.name} is ready and has committed"

    def scale_down(self, replicas: int) -> str:
        gone = self.r.pods["lethe-worker"][-1]
        self.r.overlay.scale("lethe-worker", replicas)
        code, took_s = self.r.kubelet.stop(gone.name)
        assert code == 0, f"{gone.name} ended with {code}"
        self.r.pods["lethe-worker"] = self.r.overlay.pods("lethe-worker")
        return f"{gone.name} drained and ended with 0 after {took_s:.1f} s"

    def lose_a_member(self) -> str:
        """Its node goes without a word; the member starts elsewhere with its claim."""
        lost = self.r.pods["lethe-etcd"][0]
        self.r.kubelet.lose(lost.name)
        done = self.progress()
        self.until("audits to get on by two of three members", lambda: self.progress() > done, READY_S)
        self.r.pods["lethe-etcd"] = self.r.overlay.pods("lethe-etcd")
        self.r.kubelet.run(self.r.pods["lethe-etcd"][0])
        self.until(f"{lost.name} to be ready", lambda: self.r.kubelet.is_ready(lost.name), READY_S)
        return f"audits got on by two of three members; {lost.name} is back at another address with its claim"

    def lose_a_claim(self) -> str:
        """Its disk goes with its node: by the steps of docs/operations.md another takes its place, which begins with nothing."""
        lost, settings = self.r.pods["lethe-etcd"][1], self.r.overlay.find("ConfigMap", "lethe-settings")["data"]
        self.r.kubelet.lose(lost.name)
        done = self.progress()
        self.until("audits to get on, so that etcd has a leader", lambda: self.progress() > done, READY_S)
        settings["etcd-state"] = "existing"
        self.r.to_the_end(self.r.etcdctl("member", "remove", self.member(lost.name)))
        self.r.to_the_end(self.r.etcdctl("member", "add", lost.name, f"--peer-urls=https://{lost.name}.lethe-etcd:2380"))
        self.r.delete_claims(lost)
        self.r.kubelet.run(self.r.overlay.pods("lethe-etcd")[1])
        self.until(f"{lost.name} to be ready", lambda: self.r.kubelet.is_ready(lost.name), READY_S)
        settings["etcd-state"] = "new"
        self.r.pods["lethe-etcd"] = self.r.overlay.pods("lethe-etcd")
        return f"{lost.name} was removed and added, and is ready with an empty claim"

    def member(self, name: str) -> str:
        """A member's id, as etcd lists it."""
        told, _ = self.r.cluster.start(self.r.etcdctl("member", "list"), stdout=subprocess.PIPE).communicate(timeout=READY_S)
        lines = [line.split(", ") for line in told.decode().splitlines()]
        return next(fields[0] for fields in lines if fields[2] == name)

    def progress(self) -> int:
        told = self.r.ask("list", "--all")
        return sum(phase["done"] for audit in told["audits"] for phase in audit["phases"]) if told else 0

    def hang(self) -> str:
        """A process that stands still: its probes are not answered, and the kubelet ends it."""
        name = self.r.pods["lethe-worker"][0].name
        kept = self.r.kubelet.kept[name]
        os.kill(self.r.cluster.inner(name), signal.SIGSTOP)
        began = time.monotonic()
        self.until(f"{name} not to be ready", lambda: not kept.ready, READY_S)
        unready_s, done = time.monotonic() - began, self.progress()
        self.until("audits to get on without it", lambda: self.progress() > done, READY_S)
        assert kept.restarts == 0, f"{name} was back before audits got on without it"
        self.until(f"{name} to be started again", lambda: kept.restarts == 1 and kept.ready, READY_S)
        assert kept.killed_by == ["livenessProbe"], kept.killed_by
        return f"{name} stood still: not ready after {unready_s:.0f} s, audits got on without it, ended by liveness, ready again after {time.monotonic() - began:.0f} s"

    # ------------------------------------------------------------------ what there is to say

    def table(self) -> None:
        asked, refused = {}, {}
        for kept in self.r.kubelet.seen:
            for kind, count in kept.asked.items():
                asked[kind] = asked.get(kind, 0) + count
            for kind, count in kept.refused.items():
                refused[kind] = refused.get(kind, 0) + count
        print(f"    commits of tasks that count: {self.commits}; " + ", ".join(f"{key} {count}" for key, count in self.again.items()))
        for kind in sorted(asked):
            print(f"    {kind}: {asked[kind]} passed, {refused.get(kind, 0)} not")
        print(f"    containers started again: {sum(kept.restarts for kept in self.r.kubelet.seen)}", flush=True)
