#!/usr/bin/env python3
"""Draws docs/scoring.svg: the stages of scoring as bars, from what `lethe bench score --output json` printed.

    lethe bench score --only embedding --output json | scripts/score_stages.py > docs/scoring.svg

Nothing is drawn that was not measured: a missing stage ends it.
"""

import json
import sys
from html import escape

# In the order of the pipeline; what is left of "in all" is read and decoded.
STAGES = [("reading and decoding", "#8c6bb1"), ("text tower", "#41ab5d"), ("image tower", "#4292c6")]
WIDTH, LEFT, BAR, GAP = 860, 190, 26, 12


def bars(model, ms):
    """(label, parts) of each bar; a part is (name, milliseconds, colour)."""
    yield f"{model}: Lethe", [(name, ms[name], colour) for name, colour in STAGES]
    theirs, tower = ms["open_clip, in all"], ms["open_clip's bare image tower"]
    yield f"{model}: open_clip", [
        ("all but the image tower", theirs - tower, "#bdbdbd"),
        ("its image tower, alone", tower, "#9ecae1"),
    ]


def draw(found):
    lines, y = [], 34
    for model, ms in found["stages_ms"].items():
        both = list(bars(model, ms))
        scale = (WIDTH - LEFT - 90) / max(sum(part[1] for part in parts) for _, parts in both)
        for label, parts in both:
            x, total = LEFT, sum(part[1] for part in parts)
            lines.append(f'<text x="{LEFT - 8}" y="{y + 18}" text-anchor="end">{escape(label)}</text>')
            for name, value, colour in parts:
                title = f"{name}: {value:.2f} ms"
                lines.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="{BAR}" fill="{colour}"><title>{escape(title)}</title></rect>'
                )
                x += value * scale
            lines.append(f'<text x="{x + 6:.1f}" y="{y + 18}">{total:.2f} ms</text>')
            y += BAR + GAP
        y += GAP
    legend, x = [], LEFT
    for name, colour in STAGES + [("open_clip: its image tower", "#9ecae1"), ("open_clip: the rest", "#bdbdbd")]:
        legend.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{colour}"/><text x="{x + 17}" y="18">{escape(name)}</text>')
        x += 30 + 6.4 * len(name)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="12">'
    described = "<title>Processor time of a sample, by stage</title>"
    return "\n".join([head, described, '<rect width="100%" height="100%" fill="white"/>', *legend, *lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(draw(json.load(sys.stdin)))
