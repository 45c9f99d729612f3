#!/usr/bin/env python3
"""Where a drill's drop list could end (FINDINGS.md, "Where a list ends that pictures do not tell").

    pip install numpy pyarrow
    scripts/list_ends.py DRILL RESULT [DRILL RESULT ...]
    scripts/list_ends.py --after DRILL RESULT AFTER [DRILL RESULT AFTER ...]

DRILL is a drill's folder with its truth/, RESULT that of its audit. A line for each cluster that was found: its members and how many of them are
poison, and how many suspects with its words (and poison among them) are discoveries by their scores, at false discovery rates of 0.05 to 0.5, against
the suspects that have no cluster's words. With --after, AFTER is the result of a second audit, of the checkpoint that the first handed back, both with
`report.signals = true`: how well the suspects that have the words and are no members come apart by their scores, by the fall of their similarity
from one checkpoint to the other, and by the first pass (AUROC).
"""
import json
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

RATES = (0.05, 0.1, 0.2, 0.3, 0.5)


def discoveries(scores, honest, rate):
    """Benjamini and Hochberg's among conformal p-values."""
    p = (1 + len(honest) - np.searchsorted(np.sort(honest), scores, side="left")) / (len(honest) + 1)
    order = np.argsort(p)
    accepted = np.nonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))[0]
    found = np.zeros(len(p), bool)
    found[order[: accepted[-1] + 1 if len(accepted) else 0]] = True
    return found


def auroc(score, poisoned):
    below = np.argsort(np.argsort(score))[poisoned].sum()
    count = poisoned.sum()
    pairs = count * (len(score) - count)
    return "%.3f" % ((below - count * (count - 1) / 2) / pairs) if pairs else "-"


def names(table):
    return [f"{shard:05}.tar/{key}" for shard, key in zip(table["shard"], table["key"])]


def similarities(result):
    table = pq.read_table(Path(result) / "scores.parquet", columns=["shard", "key", "similarity"]).to_pydict()
    return dict(zip(names(table), table["similarity"]))


def clusters(drill, result):
    """Of each cluster that was found: its words, whether each suspect has one, is a member, is poison; its scores, first scores, and names."""
    table = pq.read_table(Path(result) / "suspects.parquet").to_pydict()
    found = json.loads((Path(result) / "report.json").read_text())["clusters"]
    of = [{word["word"] for word in one["cluster"]["words"]} for one in found]
    captions = [set(re.findall(r"[\w-]+", caption.lower())) for caption in table["caption"]]
    any_word = np.array([bool(words & set().union(*of)) for words in captions])
    truth = set((Path(drill) / "truth/poisoned_keys.txt").read_text().split("\n"))
    poisoned = np.array([name in truth for name in names(table)])
    score, first = (np.array(table[name]) for name in ("rank_score", "first_pass_suspicion"))
    for one, own in zip(found, of):
        if one["reason"] is None:
            has = np.array([bool(words & own) for words in captions])
            yield sorted(own), has, any_word, np.array(table["drop"]), poisoned, score, first, np.array(names(table))


def main(arguments):
    after = arguments[:1] == ["--after"]
    arguments = arguments[after:]
    each = 3 if after else 2
    if not arguments or len(arguments) % each:
        sys.exit(__doc__)
    for at in range(0, len(arguments), each):
        drill, result = arguments[at : at + 2]
        for words, has, any_word, member, poisoned, score, first, key in clusters(drill, result):
            listed = has & member
            line = [f"{Path(drill).name} {','.join(words)}: {listed.sum()} ({(listed & poisoned).sum()}) of {has.sum()} ({(has & poisoned).sum()})"]
            if after:
                before, then = similarities(result), similarities(arguments[at + 2])
                rest = has & ~member
                fall = np.array([before[name] - then[name] for name in key])
                line += ["%s %s" % (name, auroc(by[rest], poisoned[rest])) for name, by in (("score", score), ("fall", fall), ("first pass", first))]
            else:
                for rate in RATES:
                    found = discoveries(score[has], score[~any_word], rate)
                    line.append(f"{rate}: {found.sum()} ({(found & poisoned[has]).sum()})")
            print(" | ".join(line))


main(sys.argv[1:])
