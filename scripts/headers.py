"""Takes the headers out of NVIDIA's wheels.

It must never take a library: those of the machine's own torch are the ones that run.
"""

import sys
import zipfile
from pathlib import Path


def take(wheels: Path, out: Path) -> None:
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(out, [name for name in archive.namelist() if "/include/" in name])


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
