"""Cuts a drill's shards into smaller ones, so that a small drill has many tasks.

It must never change a sample: members are copied as they are, and stay together.
"""

import io
import tarfile
from pathlib import Path


def cut(folder: Path, pairs_each: int) -> int:
    """Replaces the folder's shards; how many there are now."""
    samples = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as shard:
            for member in shard:
                stem = member.name.split(".")[0]
                if not samples or samples[-1][0] != stem:
                    samples.append((stem, []))
                samples[-1][1].append((member, shard.extractfile(member).read()))
        path.unlink()
    cuts = [samples[at : at + pairs_each] for at in range(0, len(samples), pairs_each)]
    for number, part in enumerate(cuts):
        with tarfile.open(folder / f"{number:05}.tar", "w") as shard:
            for _, members in part:
                for member, data in members:
                    shard.addfile(member, io.BytesIO(data))
    return len(cuts)
