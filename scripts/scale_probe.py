"""Numbers of docs/scale.md that a machine without a GPU can give; needs torch 2.13 (`scripts/reference.sh` makes a venv).

How many calls and bytes c10d's Gloo asks of a store until its ranks are connected.
"""

import datetime
import os
import threading
import time
from collections import Counter

import torch
import torch.distributed as dist

DEADLINE_S = 60
GROUPS = []  # kept to the end: a group that is collected while others connect waits for them


class Counting(dist.Store):
    """A store in memory, shared by threads as ranks, that has only what Lethe's has."""

    def __init__(self, keys, changed, tally):
        super().__init__()
        self.keys, self.changed, self.tally = keys, changed, tally

    def clone(self):
        return Counting(self.keys, self.changed, self.tally)

    def set(self, key, value):
        with self.changed:
            self.tally["sets"] += 1
            self.keys[key] = bytes(value)
            self.changed.notify_all()

    def fetch(self, key, what):
        with self.changed:
            assert self.changed.wait_for(lambda: key in self.keys, DEADLINE_S), key
            self.tally[what] += 1
            self.tally["bytes"] += len(self.keys[key])
            return self.keys[key]

    def get(self, key):
        return self.fetch(key, "gets")

    def wait(self, keys, timeout=None):
        for key in keys:
            self.fetch(key, "waits")

    def has_extended_api(self):
        return False


def meet(ranks):
    shared, wait = ({}, threading.Condition(), Counter()), datetime.timedelta(seconds=DEADLINE_S)

    def connect(rank):
        GROUPS.append(dist.ProcessGroupGloo(Counting(*shared), rank, ranks, wait))

    threads = [threading.Thread(target=connect, args=(rank,)) for rank in range(ranks)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return dict(shared[2])


if __name__ == "__main__":
    for ranks in (2, 4, 8, 16):
        print(f"Gloo, {ranks} ranks: {meet(ranks)}", flush=True)
    os._exit(0)  # connected groups in threads do not end by themselves
