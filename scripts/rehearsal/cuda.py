"""The workers' image with CUDA, as far as a machine without a GPU can show it: its libraries load, it says what is missing, and
audits run on the CPU with all of CUDA's half in the process.

It must never look at this machine's own CUDA: containers see the image's files alone.
"""

import json
import subprocess
import time
from pathlib import Path

from manifests import Mount, Pod
from updates import ok

IMAGE = "lethe-worker-cuda"
LIBRARIES = "opt/libtorch"
HALF = "libtorch_cuda.so"
NCCL = "/opt/nccl/liblethe_nccl.so"
# Where a GPU is, a worker opens this library itself; where none is, it never would.
VARIABLES = {"LD_PRELOAD": f"/{LIBRARIES}/torch/lib/{HALF}"}
MISSING = "cuda cannot be used here: NVIDIA's driver does not load (libcuda.so.1: "
REFUSE_S = 10
# What needs a library that the image has not: the driver, or one of networks that nothing here uses.
OF_OTHERS = ("libcaffe2_nvrtc.", "libcufile_rdma.", *(f"nvshmem_bootstrap_{kind}." for kind in ("mpi", "pmix", "shmem")),
             *(f"nvshmem_transport_{kind}." for kind in ("ibdevx", "ibgda", "libfabric", "ucx")))


def without_a_gpu(rehearsal) -> None:
    pod = rehearsal.pods["lethe-worker"][0]
    root, _ = rehearsal.cluster.image(pod.image)
    told, _ = listed(rehearsal, Pod("list-devices", pod.image, ["lethe-worker", "--list-devices"]))
    assert told["Missing"].startswith(MISSING), told
    ok(f"the image with CUDA says what is missing: {told['Missing']}")
    found = sorted(path.relative_to(root) for path in (root / LIBRARIES).rglob("*.so*"))
    loaded = [f"/{path}" for path in found if not path.name.startswith(OF_OTHERS)]
    assert any(path.endswith(f"/{HALF}") for path in loaded), found
    variables = {"LD_PRELOAD": ":".join([*loaded, NCCL]), "LD_BIND_NOW": "1"}
    told, complaints = listed(rehearsal, Pod("load-all", pod.image, ["lethe-worker", "--list-devices"], variables))
    assert told["Missing"].startswith(MISSING) and not complaints, complaints
    ok(f"{len(loaded)} of its {len(found)} libraries and NCCL's half load at once, every symbol found; the others need the driver, or libraries of networks that nothing here uses")
    asked = ["--device=cuda" if word == "--device=cpu" else word for word in pod.argv]
    assert asked != pod.argv, pod.argv
    began = time.monotonic()
    refused = Pod("refused", pod.image, asked, {**pod.variables, "LD_PRELOAD": ""}, pod.mounts)
    code = rehearsal.cluster.start(refused).wait(REFUSE_S)
    log = rehearsal.cluster.log("refused")
    assert code == 1 and f"--device cuda:0 is not possible: {MISSING}" in log, (code, log)
    ok(f"--device=cuda ends with {code} after {time.monotonic() - began:.1f} s: {log.strip().splitlines()[-1]}")


def listed(rehearsal, pod) -> tuple:
    """What CUDA a container finds, and what was said on the side."""
    pod.mounts.append(Mount("/tmp", None))
    process = rehearsal.cluster.start(pod, stdout=subprocess.PIPE)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, rehearsal.cluster.log(pod.name)
    return json.loads(told.splitlines()[-1]), rehearsal.cluster.log(pod.name)


def is_loaded(rehearsal) -> None:
    """In every worker, and in the executor that computes for it."""
    for pod in rehearsal.pods["lethe-worker"]:
        agent = rehearsal.cluster.inner(pod.name)
        executors = [int(pid) for task in Path(f"/proc/{agent}/task").iterdir() for pid in (task / "children").read_text().split()]
        assert executors, f"{pod.name} has no executor"
        for pid in [agent, *executors]:
            maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
            assert any(line.endswith(f"/{LIBRARIES}/torch/lib/{HALF}") for line in maps), f"{pod.name}'s process {pid} has no {HALF}"
    ok(f"every worker and executor has the image's {HALF} in its memory: {library_count(maps)} libraries of {LIBRARIES}")


def library_count(maps: list) -> int:
    return len({line.split()[-1] for line in maps if f"/{LIBRARIES}/" in line})
