"""Writes checksums of open_clip's token ids for 100,000 strings that both sides draw alike.

The strings are pieces in a row: words, characters of many scripts, emoji, character references, text that was read in
the wrong encoding, spaces of all kinds. It must never draw a character that is newer than Unicode 12: Python and Rust
know different versions, and what changed its class between them is no difference of ours.

`many_tokens.py N` prints the strings of block N and their ids, one JSON line each: what to compare where its checksum differs.
"""

import json
import struct
import sys
import zlib

CONTEXT_LENGTH = 77
STRINGS, BLOCK = 100_000, 1_000
SEED = 0x1E7E
LONG_EVERY, LONG_TIMES = 1_000, 200
MOST_PIECES = 24

WORDS = """a photo of the dog's don't they'll we've I'm it'd you're CAFÉ naïve Straße ǅungla İstanbul 3.14 1,000 #1 b&w
<start_of_text> <end_of_text> t-shirt rock'n'roll http://a.b/c?d=e&f=g x__y (c) 50% e-mail@example.org supercalifragilistic""".split()
REFERENCES = """&amp; &lt; &gt &quot; &#39; &#x27; &nbsp; &eacute; &NTILDE; &notit; &#128512; &#x1F600; &#0; &#150; &amp;amp; &amp;lt;
&copy &hearts; &CounterClockwiseContourIntegral; &; &# &bogus;""".split()
MISREAD = """Ã© Ã¼ â€™ â€œ â€\u009d ðŸ˜€ Â£ Ã\u00a0 l’humanitÃ© Ð¿ÑÐ¸Ð²ÐµÑ ï»¿ â\u0080\u0099 schÃ¶n ã\u0081\u0082""".split(" ")
SPACES = [" ", " ", " ", " ", "", "", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2009", "  "]
RANGES = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x01, 0x1F), (0x80, 0x9F), (0xA0, 0xFF), (0x100, 0x17F), (0x180, 0x24F),
    (0x300, 0x36F), (0x391, 0x3A1), (0x3A3, 0x3C9), (0x400, 0x45F), (0x5D0, 0x5EA), (0x621, 0x64A), (0x905, 0x939),
    (0xE01, 0xE2E), (0x10A0, 0x10C5), (0x1E00, 0x1EFF), (0x200B, 0x200F), (0x2010, 0x2027), (0x2030, 0x205E),
    (0x2070, 0x2071), (0x20A0, 0x20BF), (0x2100, 0x214F), (0x2150, 0x2182), (0x2190, 0x22FF), (0x2460, 0x24FF),
    (0x2500, 0x27BF), (0x3041, 0x3096), (0x30A1, 0x30FA), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0xE000, 0xE0FF),
    (0xFB00, 0xFB06), (0xFE00, 0xFE0F), (0xFF01, 0xFF5E), (0xFF66, 0xFF9D), (0xFFFD, 0xFFFD), (0x1D400, 0x1D454),
    (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F910, 0x1F93E), (0x20000, 0x2A6D6),
]  # fmt: skip


class Draw:
    """Knuth's 64-bit linear congruential generator; the upper bits of its state."""

    def __init__(self):
        self.state = SEED

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def of(self, table):
        return table[self.below(len(table))]


def piece(draw):
    kind = draw.below(10)
    if kind < 4:
        return draw.of(WORDS)
    if kind < 7:
        first, last = draw.of(RANGES)
        return chr(first + draw.below(last - first + 1))
    return draw.of(REFERENCES if kind == 7 else MISREAD if kind == 8 else SPACES)


def strings():
    draw = Draw()
    for number in range(STRINGS):
        text = ""
        for _ in range(draw.below(MOST_PIECES)):
            text += piece(draw)
            text += draw.of(SPACES)
        yield text * (LONG_TIMES if number % LONG_EVERY == 0 else 1)


def blocks():
    import open_clip

    block = []
    for text in strings():
        block.append((text, open_clip.tokenize([text], CONTEXT_LENGTH)[0].tolist()))
        if len(block) == BLOCK:
            yield block
            block = []


def checksum(block):
    return zlib.crc32(b"".join(struct.pack(f"<{CONTEXT_LENGTH}H", *ids) for _, ids in block))


def write(path):
    found = [checksum(block) for block in blocks()]
    drawn = {
        "seed": SEED, "strings": STRINGS, "block": BLOCK, "most_pieces": MOST_PIECES, "long_every": LONG_EVERY,
        "long_times": LONG_TIMES, "words": WORDS, "references": REFERENCES, "misread": MISREAD, "spaces": SPACES, "ranges": RANGES,
    }  # fmt: skip
    path.write_text(json.dumps(drawn | {"crc32": found}) + "\n")


if __name__ == "__main__":
    for number, block in enumerate(blocks()):
        if number == int(sys.argv[1]):
            print("\n".join(json.dumps([text, ids]) for text, ids in block))
            break
