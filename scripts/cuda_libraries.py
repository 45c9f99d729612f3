"""Takes the libraries out of the wheels of a torch with CUDA, laid as a wheel lays them: torch's find NVIDIA's beside themselves.

It must never take Python's half, nor what has no part in a worker; and a wheel goes when it was unpacked, since both are large.
"""

import re
import sys
import zipfile
from pathlib import Path

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
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if WANTED.match(name) and not UNWANTED.search(name)]
            assert names, f"{wheel.name} has no library"
            archive.extractall(out, names)
        wheel.unlink()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
