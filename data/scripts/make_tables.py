"""Writes the tokenizer's tables from Python's html.entities (the HTML standard's names) and from ftfy (Apache-2.0).

It must never be needed to build: its two outputs are kept. Run it with the ftfy that open_clip uses:

    python data/scripts/make_tables.py
"""

import html.entities
import pathlib

from ftfy import badness, chardata

TABLES = pathlib.Path(__file__).parent.parent / "src" / "tokenizer" / "tables"


def escaped(char):
    return char if " " < char < "\x7f" else f"\\x{{{ord(char):X}}}"


def plain(pattern):
    """A verbose Python pattern as one line of ASCII that Rust's regex crate reads the same way."""
    out, in_class, in_comment = [], False, False
    for char in pattern:
        if in_comment:
            in_comment = char != "\n"
        elif in_class:
            out.append(escaped(char))
            in_class = char != "]"
        elif char == "#":
            in_comment = True
        elif not char.isspace() or char == "\xa0":
            out.append(escaped(char))
            in_class = char == "["
    return "".join(out)


def entities():
    for name, text in sorted(html.entities.html5.items()):
        yield f"{name} {' '.join(f'{ord(char):X}' for char in text)}"


def mojibake():
    yield f"badness {plain(badness.BADNESS_RE.pattern)}"
    lookbehind, detector = chardata.UTF8_DETECTOR_RE.pattern.split(")", 1)
    yield f"detector {plain(detector)}"
    yield f"before {plain(lookbehind.split('(?<!')[1])}"
    for encoding in chardata.CHARMAP_ENCODINGS:
        upper = bytes([0x1A, *range(0x80, 0x100)]).decode(encoding)
        yield f"{encoding} {' '.join(f'{ord(char):X}' for char in upper)}"


for name, lines in [("entities.txt", entities()), ("mojibake.txt", mojibake())]:
    (TABLES / name).write_text("\n".join(lines) + "\n", encoding="ascii")
