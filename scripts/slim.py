"""Takes out of the wheels what a CPU build of Lethe needs: headers, five libraries, two links, and the licences.

It must never install anything: the wheels hold 1.2 GB, a build needs 0.5 GB of it.
"""

import re
import sys
from pathlib import Path

import wheels as of_wheels

WANTED = re.compile(
    r"torch/include/"
    r"|torch/lib/(libtorch_cpu|libc10)\.so$"
    r"|torch/lib/libgomp\.so\.1$"
    r"|nvidia/cu13/lib/lib(cudart|cupti)\.so\.13$"
)
# torch-sys links these names; the wheel has them only in its CUDA form.
LINKS = {"libtorch.so": "libtorch_cpu.so", "libgomp.so": "libgomp.so.1"}


def slim(wheels: Path, out: Path) -> None:
    for wheel in sorted(wheels.glob("*.whl")):
        of_wheels.take(wheel, WANTED.match, out)
    for link, library in LINKS.items():
        (out / "torch/lib" / link).symlink_to(library)
    # torch-sys compares this file with the version it was generated for.
    (out / "torch/build-version").write_text("2.13.0+cpu\n")


if __name__ == "__main__":
    slim(Path(sys.argv[1]), Path(sys.argv[2]))
