#!/usr/bin/env python3
"""How other mixtures of the first pass's signals would rank a drill's poison (FINDINGS.md, "Less poison").

    pip install numpy pyarrow
    scripts/first_pass_mixtures.py DRILL RESULT [DRILL RESULT ...]

DRILL is a drill's folder with its truth/, RESULT that of its audit with `report.signals = true`. A line for each mixture: for each drill the AUROC over
all pairs and the poisoned pairs among the first 50, 100 and 200 and among the tenth that would be suspects. Ranks are over all pairs, where an audit
takes those of its reference set.
"""
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


def ranks(values):
    """Each value's share of values below it, ties at their middle."""
    order = np.sort(values)
    low, high = (np.searchsorted(order, values, side) for side in ("left", "right"))
    return (low + high) / 2 / len(values)


def surprise(values):
    """-ln(1 - rank): what Fisher's combination sums."""
    return -np.log(1 - np.minimum(ranks(values), 1 - 0.5 / len(values)))


def auroc(score, poisoned):
    count = poisoned.sum()
    below = ranks(score)[poisoned].sum() * len(score)
    return (below - count * count / 2) / (count * (len(score) - count))


def mixtures(table):
    named = {
        "gap": table["agreement"] - table["thumbnail_agreement"],
        "flat": -table["token_gradient"],
        "kdist": table["k_distance"],
        "slof": table["slof"],
        "forest": table["isolation"],
        "odd": -table["thumbnail_agreement"],
    }
    gap, flat, kdist, slof, forest, odd = (surprise(values) for values in named.values())
    yield "2 gap + flat (the first pass)", 2 * gap + flat
    yield "gap", gap
    for weight in (0.5, 1, 2):
        yield f"2 gap + flat + {weight} kdist", 2 * gap + flat + weight * kdist
    yield "2 gap + kdist", 2 * gap + kdist
    yield "gap + kdist", gap + kdist
    yield "2 gap + 0.5 flat + kdist", 2 * gap + 0.5 * flat + kdist
    yield "2 gap + max(flat, kdist)", 2 * gap + np.maximum(flat, kdist)
    yield "2 gap + max(flat, slof)", 2 * gap + np.maximum(flat, slof)
    yield "2 gap + max(flat, kdist, forest)", 2 * gap + np.maximum(np.maximum(flat, kdist), forest)
    yield "odd + kdist", odd + kdist
    yield "gap + odd + kdist", gap + odd + kdist
    yield "2 gap + odd", 2 * gap + odd
    yield "2 gap + odd + max(flat, kdist)", 2 * gap + odd + np.maximum(flat, kdist)


def read(drill, result):
    columns = pq.read_table(Path(result) / "scores.parquet")
    table = {name: np.array(columns[name].to_pylist()) for name in columns.column_names}
    truth = set((Path(drill) / "truth/poisoned_keys.txt").read_text().split("\n"))
    names = (f"{shard:05}.tar/{key}" for shard, key in zip(table["shard"], table["key"]))
    poisoned = np.array([name in truth for name in names])
    if not poisoned.any():
        sys.exit(f"none of {drill}'s poison is among {result}'s pairs; is it another drill's result?")
    return table, poisoned


def main(arguments):
    if not arguments or len(arguments) % 2:
        sys.exit(__doc__)
    drills = [read(*pair) for pair in zip(arguments[::2], arguments[1::2])]
    lines = {}
    for table, poisoned in drills:
        for name, score in mixtures(table):
            leading = poisoned[np.argsort(-score, kind="stable")]
            found = [int(leading[:count].sum()) for count in (50, 100, 200, len(leading) // 10)]
            lines.setdefault(name, []).append("%.3f %s of %d" % (auroc(score, poisoned), found, poisoned.sum()))
    for name, line in lines.items():
        print(f"{name:34}", " | ".join(line))


main(sys.argv[1:])
