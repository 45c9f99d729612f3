"""Parquet files as pyarrow writes them, in every codec and page version, into data/tests/parquet_shards.tar.gz.

Row n has the key k0000n and the image b"image n " n + 1 times; the third row has no caption, the sixth no image. `python
tests/reference/parquet_shards.py` writes it again; it needs nothing but pyarrow.
"""

import gzip
import io
import pathlib
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 12
TARGET = pathlib.Path(__file__).parents[2] / "data/tests/parquet_shards.tar.gz"


def columns():
    rows = range(ROWS)
    return {
        "key": [f"k{n:05}" for n in rows],
        "image": [None if n == 5 else f"image {n} ".encode() * (n + 1) for n in rows],
        "caption": [None if n == 2 else f"caption {n}, ünïcode" for n in rows],
        "url": [f"https://example.org/{n}.jpg" for n in rows],
    }


def img2dataset():
    found = columns()
    schema = pa.schema(
        [("jpg", pa.binary()), ("key", pa.string()), ("caption", pa.string()), ("url", pa.string()), ("width", pa.int32())]
    )
    values = {"jpg": found["image"], "key": found["key"], "caption": found["caption"], "url": found["url"]}
    return pa.table(values | {"width": list(range(ROWS))}, schema=schema)


def hugging_face():
    found = columns()
    image = [None if image is None else {"bytes": image, "path": None} for image in found["image"]]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array(image, kind), "text": pa.array(found["caption"], pa.large_string())})


def written(table, **options):
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=5, **options)
    return file.getvalue()


def files():
    for codec in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]:
        for version in ["1.0", "2.0"]:
            for dictionary in [False, True]:
                name = f"good-{codec}-v{version[0]}-{'dictionary' if dictionary else 'plain'}"
                yield name, written(img2dataset(), compression=codec, data_page_version=version, use_dictionary=dictionary)
    yield "good-small-pages", written(img2dataset(), data_page_size=1, write_batch_size=1, write_page_index=True)
    yield "rows-hugging-face", written(hugging_face())
    delta = {"column_encoding": {"caption": "DELTA_BYTE_ARRAY"}, "use_dictionary": False}
    yield "delta", written(img2dataset(), **delta)
    yield "other-columns", written(pa.table({"picture": [b"x"], "label": ["y"]}))
    yield "lists", written(pa.table({"jpg": [[b"x"]], "caption": ["y"]}))
    yield "numbers", written(pa.table({"jpg": [b"x"], "caption": [7]}))


def main():
    with gzip.GzipFile(TARGET, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, body in files():
            header = tarfile.TarInfo(name)
            header.size = len(body)
            tar.addfile(header, io.BytesIO(body))


main()
