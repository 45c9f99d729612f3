"""Small files of every kind that shards hold, each with the RGB pixels that Pillow reads from it, and what resizing makes.

What Pillow cannot write (16 bit colour, interlaced PNG) is put together here.
"""

import io
import json
import pathlib
import random
import struct
import tarfile
import zlib

from PIL import Image

WIDTH, HEIGHT = 23, 17
RESIZED = [(28, 28, 16), (40, 30, 16), (31, 47, 16), (17, 33, 16), (9, 12, 16), (200, 57, 16), (101, 100, 16), (16, 61, 16)]


def picture(mode="RGB", seed=1):
    """Smooth waves with some noise, every channel another, odd in both lengths."""
    bands = Image.new(mode, (1, 1)).getbands()
    draw = random.Random(seed)
    value = lambda x, y, c: (x * (7 + c) + y * (13 - 2 * c) + draw.randrange(12)) % 256
    image = Image.new(mode, (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            values = tuple(value(x, y, c) for c in range(len(bands)))
            image.putpixel((x, y), values if len(values) > 1 else values[0])
    return image


def smooth(mode="RGB", seed=2):
    """Without noise, as the chroma of photographs is: what libraries do between its samples shows less."""
    return picture(mode, seed).resize((5, 4)).resize((WIDTH, HEIGHT), Image.BICUBIC)


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png(depth, colour, samples, width=WIDTH, height=HEIGHT, interlaced=False, extra=()):
    """A PNG from samples(x, y) -> its channels, of any depth, with Adam7 where asked for."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = b""
    for x0, y0, dx, dy in passes if interlaced else [(0, 0, 1, 1)]:
        for y in range(y0, height, dy):
            bits = "".join(f"{value:0{depth}b}" for x in range(x0, width, dx) for value in samples(x, y))
            if bits:
                bits += "0" * (-len(bits) % 8)
                raw += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    chunk = lambda name, body: struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    middle = b"".join(chunk(name, body) for name, body in extra)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def jpegs():
    rgb, even = picture(), smooth()
    yield "baseline-444", saved(rgb, "JPEG", quality=90, subsampling=0)
    for name, subsampling in [("422", 1), ("420", 2)]:
        yield f"baseline-{name}", saved(even, "JPEG", quality=90, subsampling=subsampling)
        yield f"progressive-{name}", saved(even, "JPEG", quality=90, subsampling=subsampling, progressive=True)
    yield "progressive-444", saved(rgb, "JPEG", quality=90, subsampling=0, progressive=True)
    yield "grey", saved(picture("L"), "JPEG", quality=90)
    yield "progressive-grey", saved(picture("L"), "JPEG", quality=90, progressive=True)
    yield "cmyk", saved(picture("CMYK"), "JPEG", quality=95)
    yield "restarts", saved(even, "JPEG", quality=75, restart_marker_blocks=1)
    yield "optimized", saved(even, "JPEG", quality=30, optimize=True)
    yield "rgb-kept", saved(rgb, "JPEG", quality=95, keep_rgb=True)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "turned-by-exif", saved(even, "JPEG", quality=90, exif=turned)
    yield "with-a-profile-and-comment", saved(even, "JPEG", quality=90, icc_profile=b"p" * 300, comment=b"c" * 70)


def pngs():
    rgb = picture()
    palette = rgb.quantize(200)
    for name, image in [("rgb", rgb), ("grey", picture("L")), ("grey-alpha", picture("LA")), ("rgba", picture("RGBA"))]:
        yield name, saved(image, "PNG")
    yield "palette", saved(palette, "PNG")
    yield "palette-clear", saved(palette, "PNG", transparency=bytes(range(200)))
    for bits in (1, 2, 4):
        yield f"palette-{bits}", saved(rgb.quantize(2**bits), "PNG", bits=bits)
        yield f"grey-{bits}", png(bits, 0, lambda x, y: [(x + 3 * y) % 2**bits])
    yield "black-and-white", saved(rgb.convert("1"), "PNG")
    yield "rgb-clear-colour", saved(rgb, "PNG", transparency=rgb.getpixel((3, 3)))
    deep = lambda channels: lambda x, y: [(x * 2501 + y * 3307 + c * 9001) % 65536 for c in range(channels)]
    for name, colour, channels in [("rgb-16", 2, 3), ("rgba-16", 6, 4)]:
        yield name, png(16, colour, deep(channels))
    yield "grey-16", png(16, 0, deep(1))
    yield "grey-alpha-16", png(16, 4, deep(2))
    flat = lambda x, y: rgb.getpixel((x, y))
    yield "interlaced", png(8, 2, flat, interlaced=True)
    yield "interlaced-16", png(16, 2, deep(3), interlaced=True)
    yield "with-text", png(8, 2, flat, extra=[(b"tEXt", b"Comment\0a caption"), (b"gAMA", struct.pack(">I", 45455))])
    yield "one-pixel", png(8, 2, lambda x, y: [1, 2, 3], 1, 1)


def webps():
    rgb, clear = picture(), picture("RGBA")
    yield "lossless", saved(rgb, "WEBP", lossless=True)
    yield "lossless-clear", saved(clear, "WEBP", lossless=True, exact=True)
    yield "lossy", saved(smooth(), "WEBP", quality=90)
    yield "lossy-clear", saved(smooth("RGBA"), "WEBP", quality=90)
    yield "animated", saved(rgb, "WEBP", lossless=True, save_all=True, append_images=[picture(seed=5)], duration=100)


def gifs():
    rgb = picture()
    palette = rgb.quantize(64)
    yield "plain", saved(palette, "GIF")
    yield "not-interlaced", saved(palette, "GIF", interlace=0)
    yield "clear", saved(palette, "GIF", transparency=palette.getpixel((2, 2)))
    yield "animated", saved(palette, "GIF", save_all=True, append_images=[picture(seed=5).quantize(64)], duration=100)
    yield "two-colours", saved(rgb.convert("1"), "GIF")


def write(path: pathlib.Path):
    """Members `kind-name` and `kind-name.png`, the pixels."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for kind, files in [("jpeg", jpegs()), ("png", pngs()), ("webp", webps()), ("gif", gifs())]:
            for name, body in files:
                pixels = saved(Image.open(io.BytesIO(body)).convert("RGB"), "PNG", optimize=True)
                for member, content in [(f"{kind}-{name}", body), (f"{kind}-{name}.png", pixels)]:
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))


def wave(width, height):
    """The picture of data/src/decode/tests.rs."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            image.putpixel((x, y), tuple((x * (7 + c) + y * (13 - c) + x * y % (11 + c) * 5) % 256 for c in range(3)))
    return image


def write_resized(path: pathlib.Path):
    """Width, height, side, and the bytes that open_clip's transform makes of a wave before it normalises."""
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    cases = []
    for width, height, side in RESIZED:
        transform = Compose([Resize(side, InterpolationMode.BICUBIC), CenterCrop(side)])
        cases.append([width, height, side, list(transform(wave(width, height)).tobytes())])
    lines = (json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
