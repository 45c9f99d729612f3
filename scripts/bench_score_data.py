"""Shards for `lethe bench score`: photographs of scikit-image, cropped and scaled to sizes as the web has them, as JPEGs
of several qualities, with captions about as long as the web's. Which is which does not matter here: only what they cost.
"""

import argparse
import io
import json
import random
import tarfile
from pathlib import Path

PHOTOGRAPHS = ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png", "rocket.jpg"]
# Shorter sides and shapes that image-text sets have much of, once downloaded at their own size or resized to 512.
SHORTER_SIDES = (256, 683)
SHAPES = ((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9))
QUALITIES = (75, 80, 85, 90, 95)
# Captions of LAION-400M have about ten words, with a long tail.
WORDS_MEDIAN, WORDS_SIGMA, WORDS_MOST = 9, 0.6, 60
WORDS = """vintage blue ceramic vase with floral pattern for sale modern kitchen interior design ideas small white dog
running on the beach at sunset portrait of young woman smiling stock photo black leather jacket men's size large
how to make chocolate cake from scratch recipe new york city skyline night view poster canvas print wall art set of
three wooden chairs outdoor garden furniture 2019 ford mustang gt red front wedding dress lace sleeves bohemian style
hand drawn vector illustration seamless watercolor background baby shower invitation template free download mountain
lake reflection autumn forest wallpaper hd stainless steel water bottle 750 ml insulated""".split()


def caption(rng):
    words = min(WORDS_MOST, max(1, round(rng.lognormvariate(0, WORDS_SIGMA) * WORDS_MEDIAN)))
    return " ".join(rng.choice(WORDS) for _ in range(words)).capitalize()


def picture(photographs, rng, side):
    from PIL import Image

    photograph = rng.choice(photographs)
    wide, high = rng.choice(SHAPES)
    shorter = side or rng.randint(*SHORTER_SIDES)
    width, height = shorter * wide // min(wide, high), shorter * high // min(wide, high)
    share = rng.uniform(0.5, 1.0) * min(photograph.width / width, photograph.height / height)
    box_width, box_height = share * width, share * height
    left, top = rng.uniform(0, photograph.width - box_width), rng.uniform(0, photograph.height - box_height)
    box = (left, top, left + box_width, top + box_height)
    made = photograph.resize((width, height), Image.Resampling.LANCZOS, box=box)
    if rng.random() < 0.5:
        made = made.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    stored = io.BytesIO()
    made.save(stored, "JPEG", quality=rng.choice(QUALITIES), progressive=rng.random() < 0.1)
    return stored.getvalue()


def add(shard, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    shard.addfile(entry, io.BytesIO(data))


def main():
    import skimage
    from PIL import Image

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", required=True, type=Path)
    arguments.add_argument("--samples", type=int, default=512)
    arguments.add_argument("--shards", type=int, default=2)
    arguments.add_argument("--side", type=int, default=0, help="the shorter side of every picture; 0: of web size")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    rng = random.Random(given.seed)
    folder = Path(skimage.__file__).parent / "data"
    photographs = [Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS]
    given.out.mkdir(parents=True, exist_ok=True)
    paths = [given.out / f"{number:05}.tar" for number in range(given.shards)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as shard:
            for n in range(number, given.samples, given.shards):
                add(shard, f"{n:09}.jpg", picture(photographs, rng, given.side))
                add(shard, f"{n:09}.txt", caption(rng).encode())
    print(json.dumps([str(path) for path in paths]))


if __name__ == "__main__":
    main()
