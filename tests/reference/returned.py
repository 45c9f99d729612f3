"""Checkpoints of every family that Lethe trained for a step and wrote: their libraries load them whole and agree.

It must never load a part: open_clip loads strictly, and transformers has no key missing and none left over.
"""

import json

import open_clip
import torch
from safetensors.torch import load_file
from transformers import CLIPModel

from families import pixels, pooled
from models import largest_difference

# OpenAI's files have three sizes that open_clip drops before it loads them.
SIZES = ("input_resolution", "context_length", "vocab_size")


def with_open_clip(folder):
    config = json.loads((folder / "config.json").read_text())
    is_custom = config.pop("custom_text", False)
    model = (open_clip.CustomTextCLIP if is_custom else open_clip.CLIP)(**config).eval()
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor for name, tensor in weights.items() if name not in SIZES}
    model.load_state_dict(weights, strict=True)
    return model.float(), lambda m, x: m.encode_image(x), lambda m, x: m.encode_text(x)


def with_transformers(folder):
    model, report = CLIPModel.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    wrong = {key: found for key, found in report.items() if found}
    assert not wrong, f"{folder.name}: {wrong}"
    image = lambda m, x: pooled(m.get_image_features(pixel_values=x))
    return model.eval(), image, lambda m, x: pooled(m.get_text_features(input_ids=x))


@torch.no_grad()
def check(folder):
    load = with_transformers if folder.name.startswith("hugging_face") else with_open_clip
    model, image, text = load(folder)
    answers = load_file(folder / "answers.safetensors")
    found = image(model, pixels(answers["side"].item()))
    images = largest_difference(f"{folder.name} images", answers["image"], found)
    return max(images, largest_difference(f"{folder.name} captions", answers["text"], text(model, answers["tokens"]))) <= 1e-4


def check_all(folder):
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    assert folders, f"{folder} has no checkpoints"
    return all([check(path) for path in folders])
