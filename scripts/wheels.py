"""Takes files out of wheels, and with them the licences that they come under."""

import re
import zipfile
from pathlib import Path

LICENCE = re.compile(r"(?P<wheel>[^/]+)\.dist-info/licenses/(?P<path>.+)|(?P<folder>nvidia/[^/]+)/(?P<file>LICENSE\.txt)")


def take(wheel: Path, wanted, out: Path) -> None:
    """Whatever `wanted` says of its name, and each licence as licences/WHEEL/PATH."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if wanted(name)]
        assert names, f"{wheel.name} has nothing that is wanted"
        archive.extractall(out, names)
        licences = 0
        for entry in archive.infolist():
            match = LICENCE.fullmatch(entry.filename)
            if match is None or entry.is_dir():
                continue
            into = out / "licences" / (match["wheel"] or match["folder"]) / (match["path"] or match["file"])
            assert out.resolve() in into.resolve().parents, f"{wheel.name} names {entry.filename}"
            into.parent.mkdir(parents=True, exist_ok=True)
            into.write_bytes(archive.read(entry))
            licences += 1
        assert licences, f"{wheel.name} has no licence"
