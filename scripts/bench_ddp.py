"""What a step of CLIP ViT-B/32 costs under DistributedDataParallel with Gloo, one thread a rank, all ranks on this machine.

Every measured step is followed by a solo step: the same processes compute the same share side by side, with the loss on
their own features and without a word to each other. A step begins when all ranks are ready and ends when all are done;
noise for inputs is drawn outside of it. Two steps warm up, since DistributedDataParallel lays out its buckets anew in the
second.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

START_S, STEP_S = 300, 300
BUCKET_MB = 25


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def train(given):
    from contextlib import nullcontext
    from datetime import timedelta

    import torch
    import torch.distributed as dist
    from open_clip import ClipLoss
    from open_clip.model import CLIP
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    rank, world = given.rank, given.ranks
    dist.init_process_group(
        "gloo", init_method=f"file://{given.scratch}/store", rank=rank, world_size=world, timeout=timedelta(seconds=STEP_S)
    )
    torch.manual_seed(given.seed)
    # CLIP adds its whole table of positions to the words: the text tower runs on as many tokens as the context is long.
    model = CLIP(
        embed_dim=512,
        vision_cfg={"image_size": 224, "patch_size": 32, "width": 768, "layers": 12},
        text_cfg={"context_length": given.tokens, "vocab_size": given.words, "width": 512, "heads": 8, "layers": 12},
    )
    parameters = list(model.parameters())
    model = DistributedDataParallel(
        model, forward_sync_buffers=False, gradient_as_bucket_view=True, static_graph=True, bucket_cap_mb=BUCKET_MB
    )
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.2},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=1e-4, betas=(0.9, 0.98), eps=1e-6, fused=True,
    )
    whole = ClipLoss(local_loss=True, gather_with_grad=True, rank=rank, world_size=world)
    own = ClipLoss()
    draws = torch.Generator().manual_seed(given.seed * world + rank)

    def step(solo):
        """Wall seconds until all ranks are done, and the CPU seconds of all ranks."""
        pixels = torch.rand(given.batch // world, 3, 224, 224, generator=draws)
        tokens = torch.randint(given.words, (given.batch // world, given.tokens), generator=draws)
        dist.barrier()
        began, cpu = time.perf_counter(), time.process_time()
        with model.no_sync() if solo else nullcontext():
            (own if solo else whole)(*model(pixels, tokens)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        cpu = torch.tensor(time.process_time() - cpu, dtype=torch.float64)
        dist.all_reduce(cpu)
        return time.perf_counter() - began, cpu.item()

    step(solo=False), step(solo=False), step(solo=True)
    together, alone = zip(*[(step(solo=False), step(solo=True)) for _ in range(given.steps)])
    if rank == 0:
        with open(f"{given.scratch}/result", "w") as file:
            json.dump({
                "ranks": world,
                "batch": given.batch,
                "parameters": sum(p.numel() for p in parameters),
                "step_s": [wall for wall, _ in together],
                "cpu_s": [cpu for _, cpu in together],
                "solo_step_s": [wall for wall, _ in alone],
                "solo_cpu_s": [cpu for _, cpu in alone],
            }, file)
    dist.destroy_process_group()


def measure(given):
    command = [sys.executable, __file__, *sys.argv[1:], "--rank"]
    env = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    start = lambda rank: subprocess.Popen([*command, str(rank)], env=env, stdout=sys.stderr, preexec_fn=end_with_parent)
    ranks = [start(rank) for rank in range(given.ranks)]
    seconds = START_S + 2 * (given.steps + 2) * STEP_S
    deadline = time.time() + seconds
    try:
        while any(rank.poll() is None for rank in ranks):
            if failed := {number: rank.poll() for number, rank in enumerate(ranks) if rank.poll()}:
                sys.exit(f"ranks ended with an error, so all were ended: {failed} (rank: exit code, or minus the signal)")
            if time.time() > deadline:
                sys.exit(f"the ranks were not done within {seconds} s, so all were ended")
            time.sleep(0.1)
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait()
    with open(f"{given.scratch}/result") as file:
        print(file.read())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True, help="of all ranks together")
    parser.add_argument("--steps", type=int, required=True, help="that are measured")
    parser.add_argument("--words", type=int, required=True, help="in the vocabulary")
    parser.add_argument("--tokens", type=int, required=True, help="of a caption")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.batch % given.ranks:
        parser.error("the batch is not a multiple of the ranks")
    measure(given) if given.rank is None else train(given)
