"""What a good user writes to embed shards with open_clip: webdataset, a DataLoader, open_clip's own transform and
tokenizer, batches, no gradients. Prints JSON: samples, processor seconds of all it started, the image tower alone on
batches that lie ready, and Pillow's decoding and resizing alone.

One thread: processor time is compared, so that loader processes would only add the cost of handing tensors over.
"""

import argparse
import io
import json
import resource
import time


def spent():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def timed(work):
    before = time.thread_time()
    done = work()
    return done, time.thread_time() - before


def model_of(given):
    import open_clip
    from safetensors.torch import load_file

    config = json.loads(open(given.config).read())
    model = open_clip.model.CLIP(
        embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=config["text_cfg"], quick_gelu=config.get("quick_gelu", False)
    )
    weights = load_file(given.checkpoint)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and all(name == "attn_mask" for name in missing), (missing, unexpected)
    return model.eval(), config


def embed(given, loaders):
    import open_clip
    import torch
    import webdataset as wds
    from open_clip.transform import image_transform

    model, config = model_of(given)
    side = config["vision_cfg"]["image_size"]
    transform = image_transform(side, is_train=False)
    tokenizer = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    data = (
        wds.WebDataset(given.shards, shardshuffle=False, empty_check=False)
        .decode("pilrgb")
        .to_tuple("jpg;jpeg;png;webp", "txt")
        .map_tuple(transform, lambda text: text)
        .batched(given.batch, partial=True, collation_fn=lambda rows: (torch.stack([r[0] for r in rows]), tokenizer([r[1] for r in rows])))
    )
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=loaders)
    similarities, samples = [], 0
    with torch.inference_mode():
        model.encode_text(tokenizer(["warm up"]))
        before, began = spent(), time.monotonic()
        for images, texts in loader:
            image = model.encode_image(images, normalize=True)
            text = model.encode_text(texts, normalize=True)
            similarities.extend((image * text).sum(-1).tolist())
            samples += len(images)
        del loader
        cpu_s, wall_s = spent() - before, time.monotonic() - began
        tower_s = bare_tower(model, given.batch, side)
    return {"samples": samples, "cpu_s": cpu_s, "wall_s": wall_s, "tower_s": tower_s, "similarities": similarities}


def bare_tower(model, batch, side, batches=4):
    """Processor seconds a picture of the image tower on a batch that lies ready."""
    import torch

    images = torch.randn(batch, 3, side, side)
    model.encode_image(images)
    return min(timed(lambda: model.encode_image(images))[1] for _ in range(batches)) / batch


def pictures(shards, side):
    import tarfile

    from PIL import Image
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    resize, crop = Resize(side, InterpolationMode.BICUBIC), CenterCrop(side)
    files = [
        shard.extractfile(entry).read()
        for path in shards
        for shard in [tarfile.open(path)]
        for entry in shard
        if entry.name.endswith((".jpg", ".jpeg", ".png", ".webp"))
    ]
    decode_and_resize_s = resize_s = 0.0
    for data in files:
        picture, decoding_s = timed(lambda: Image.open(io.BytesIO(data)).convert("RGB"))
        _, resizing_s = timed(lambda: crop(resize(picture)))
        decode_and_resize_s += decoding_s + resizing_s
        resize_s += resizing_s
    return {"pictures": len(files), "decode_and_resize_s": decode_and_resize_s, "resize_s": resize_s}


def main():
    import torch

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--part", choices=["embed", "decode"], required=True)
    arguments.add_argument("--config")
    arguments.add_argument("--checkpoint")
    arguments.add_argument("--batch", type=int, default=64)
    arguments.add_argument("--loaders", type=int, default=0)
    arguments.add_argument("--side", type=int, default=224)
    arguments.add_argument("shards", nargs="+")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(embed(given, given.loaders) if given.part == "embed" else pictures(given.shards, given.side)))


if __name__ == "__main__":
    main()
