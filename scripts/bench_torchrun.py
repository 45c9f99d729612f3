"""kill -9 of one of four ranks under torchrun: how long until the next step that all ranks take.

The job is the one of `lethe bench collective`: the same towers, the same rows of the word table, a global batch of 16 pairs, the true contrastive
loss over the global batch, AdamW, Gloo through DistributedDataParallel. A rank checkpoints every step, as a job that loses
no step must; after the restart all ranks read it. One thread a rank.
"""

import argparse
import ctypes
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time

RANKS, BATCH, WIDTH, LAYERS, TOKENS = 4, 16, 128, 8, 10
SETTLE_STEPS = 6
WAIT_S = 600


def end_with_parent():
    """A rank is the leader of its own session: without this it would outlive a torchrun that was killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def train(scratch, words):
    end_with_parent()
    import torch
    import torch.distributed as dist
    import torch.nn.functional as F
    from torch.distributed.nn.functional import all_gather
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    with open(f"{scratch}/rank-{rank}.pid", "w") as file:
        file.write(str(os.getpid()))

    class Clip(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layer = lambda: torch.nn.TransformerEncoderLayer(
                WIDTH, WIDTH // 64, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            tower = lambda: torch.nn.TransformerEncoder(layer(), LAYERS, enable_nested_tensor=False)
            self.patch = torch.nn.Conv2d(3, WIDTH, 7, 7)
            self.words = torch.nn.Embedding(words, WIDTH)
            self.image, self.text = tower(), tower()
            self.scale = torch.nn.Parameter(torch.tensor(2.66))

        def forward(self, pixels, tokens):
            image = self.image(self.patch(pixels).flatten(2).transpose(1, 2)).mean(1)
            text = self.text(self.words(tokens)).mean(1)
            return F.normalize(image, dim=-1), F.normalize(text, dim=-1), self.scale.exp()

    torch.manual_seed(1)
    model = DistributedDataParallel(Clip())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    path, step = f"{scratch}/checkpoint.pt", 0
    if os.path.exists(path):
        state = torch.load(path)
        step = state["step"]
        model.module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    local = BATCH // world
    while True:
        draws = torch.Generator().manual_seed(step)
        pixels = torch.rand(BATCH, 3, 28, 28, generator=draws)[rank * local : (rank + 1) * local]
        tokens = torch.randint(words, (BATCH, TOKENS), generator=draws)[rank * local : (rank + 1) * local]
        image, text, scale = model(pixels, tokens)
        image, text = torch.cat(all_gather(image)), torch.cat(all_gather(text))
        logits, own = scale * image @ text.T, torch.arange(BATCH)
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if rank == 0:
            torch.save({"step": step, "model": model.module.state_dict(), "optimizer": optimizer.state_dict()}, path + ".new")
            os.replace(path + ".new", path)
            with open(f"{scratch}/steps", "a") as file:
                file.write(f"{step} {time.time()} {os.getpid()}\n")


def steps(scratch):
    try:
        with open(f"{scratch}/steps") as file:
            return [(int(a), float(b), int(c)) for a, b, c in (line.split() for line in file if line.endswith("\n"))]
    except FileNotFoundError:
        return []


def fail(scratch, message):
    with open(f"{scratch}/log") as file:
        sys.exit(f"{message}\n" + "".join(file.readlines()[-40:]))


def measure(scratch, losses, words):
    # torchrun's agent keeps one store through all restarts, in which restarted ranks find the addresses of the ended
    # ones: "connectFullMesh failed", or they wait for each other (pytorch/pytorch issue 135712). With the sharing switched
    # off the new rank 0 serves an empty store on a new port. The rest is as by default: the agent looks at its ranks every
    # 0.1 s, and survivors end on SIGTERM within half a second, far from the 30 s after which they would be killed.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    command += [f"--max-restarts={10 * losses}", __file__, "--train", "--scratch", scratch, "--words", str(words)]
    env = os.environ | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "GLOO_SOCKET_IFNAME": "lo"}
    with open(f"{scratch}/log", "w") as log:
        job = subprocess.Popen(command, env=env, stdout=log, stderr=log, preexec_fn=end_with_parent)

    def wait(holds, what):
        deadline = time.time() + WAIT_S
        while not holds():
            if job.poll() is not None:
                fail(scratch, f"torchrun ended with {job.returncode} before {what}")
            if time.time() > deadline:
                fail(scratch, f"{what} did not come within {WAIT_S} s")
            time.sleep(0.02)

    recoveries, durations = [], []
    try:
        for loss in range(losses):
            taken = len(steps(scratch))
            wait(lambda: len(steps(scratch)) >= taken + SETTLE_STEPS, "the next step")
            time.sleep(random.random() * 0.5)
            before = steps(scratch)
            with open(f"{scratch}/rank-{random.randrange(RANKS)}.pid") as file:
                os.kill(int(file.read()), signal.SIGKILL)
            killed = time.time()
            leader = before[-1][2]
            # After a restart every rank is another process.
            later = lambda: [at for _, at, pid in steps(scratch) if pid != leader and at > killed]
            wait(later, "the step after the restart")
            undisturbed = [b[1] - a[1] for a, b in zip(before, before[1:]) if a[2] == b[2]]
            durations.append(statistics.median(undisturbed))
            recoveries.append(min(later()) - killed - durations[-1])
            print(f"loss {loss + 1} of {losses}: {recoveries[-1]:.2f} s", file=sys.stderr)
    finally:
        # torchrun ends its ranks on SIGTERM and itself thereafter.
        job.terminate()
        try:
            job.wait(60)
        except subprocess.TimeoutExpired:
            job.kill()
    print(json.dumps({
        "median_s": statistics.median(recoveries),
        "all_s": recoveries,
        "step_s": statistics.median(durations),
        "ranks": RANKS,
    }))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--losses", type=int, default=5)
    parser.add_argument("--words", type=int, default=18, help="rows of the word table")
    parser.add_argument("--train", action="store_true")
    given = parser.parse_args()
    train(given.scratch, given.words) if given.train else measure(given.scratch, given.losses, given.words)
