"""Writes src/decode/resize.json: what open_clip's evaluation transform makes of a computed picture (torchvision, Pillow).

It must never be needed to build: its output is kept. Run it with open_clip_torch installed:

    python data/scripts/resize_reference.py
"""

import json
import pathlib

import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

OUT = pathlib.Path(__file__).parent.parent / "src" / "decode" / "resize.json"
SIZES = [(28, 28, 16), (40, 30, 16), (31, 47, 16), (17, 33, 16), (9, 12, 16), (200, 57, 16), (101, 100, 16), (16, 61, 16)]


def wave(width, height):
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * (7 + c) + y * (13 - c) + x * y % (11 + c) * 5) % 256 for c in range(3)]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def case(width, height, side):
    transform = Compose([Resize(side, interpolation=InterpolationMode.BICUBIC), CenterCrop(side)])
    return [width, height, side, np.asarray(transform(wave(width, height))).ravel().tolist()]


OUT.write_text("[\n" + ",\n".join(json.dumps(case(*size), separators=(",", ":")) for size in SIZES) + "\n]\n")
