"""Takes the libraries out of the wheels of a torch with CUDA, laid as a wheel lays them: torch's find NVIDIA's beside themselves. And
their licences.

It must never take Python's half, nor what has no part in a worker; and a wheel goes when it was unpacked, since both are large.
"""

import re
import sys
from pathlib import Path

import wheels as of_wheels

WANTED = re.compile(r"(torch|nvidia/[^/]+)/lib/[^/]+\.so[.0-9]*$")
# Python's; and what no other library needs or names: CUDA's for several GPUs in one call, for BLAS and FFTW programs, for
# checkpoints and profilers, and a second compiler.
UNWANTED = re.compile(
    r"/lib(torch_python|shm"
    r"|cusolverMg|nvblas|cufftw|checkpoint|pcsamplingutil"
    r"|nvrtc\.alt|nvrtc-builtins\.alt)\.so"
)


def take(wheels: Path, out: Path) -> None:
    for wheel in sorted(wheels.glob("*.whl")):
        of_wheels.take(wheel, lambda name: WANTED.match(name) and not UNWANTED.search(name), out)
        wheel.unlink()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
