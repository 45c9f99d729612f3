"""Writes open_clip's token ids for the strings of captions.py.

It must never normalise a string itself: the stored text is exactly what open_clip was given.
"""

import json

import open_clip

from captions import captions

CONTEXT_LENGTHS = (77, 16)
END_OF_TEXT = 49407


def rows(texts, context_length):
    """Token ids of each text, cut after the last end-of-text token: what follows it is padding with 0."""
    ids = open_clip.tokenize(texts, context_length).tolist()
    return [row[: context_length - row[::-1].index(END_OF_TEXT)] for row in ids]


def write(path):
    texts = captions()
    by_length = {length: rows(texts, length) for length in CONTEXT_LENGTHS}
    lines = [
        json.dumps({"text": text} | {f"ids_{length}": by_length[length][i] for length in CONTEXT_LENGTHS})
        for i, text in enumerate(texts)
    ]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
