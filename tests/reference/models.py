"""Three small random OpenCLIP models, and what open_clip computes with them.

It must never round or rename anything: tensors are stored as open_clip names and computes them.
"""

import json
import math

import open_clip
import torch
from safetensors.torch import load_file, save_file

CLIP_STD = {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)}
PAIRS = 6

# 17 image tokens and real captions' shape, GELU; the plain model config form.
PATCH7 = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 28, "layers": 2, "width": 64, "head_width": 32, "patch_size": 7},
    "text_cfg": {"context_length": 16, "vocab_size": 300, "width": 32, "heads": 2, "layers": 2},
}
# Quick GELU, three heads, other MLP ratios, own pixel statistics; the open_clip_config.json form.
PATCH8 = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 96, "head_width": 32, "patch_size": 8, "mlp_ratio": 2.0},
    "text_cfg": {"context_length": 77, "vocab_size": 200, "width": 36, "heads": 3, "layers": 3, "mlp_ratio": 1.5},
}
# The whole vocabulary and real captions, stored in half precision; a grid that does not divide the image; one text layer.
FULL_VOCABULARY = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 30, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 4, "heads": 2, "layers": 1},
}
CAPTIONS = ["a photo of a dress", "", "Ankle boot!", "an emoji 😀 caption", "word " * 100, "t-shirt/top, size 42"]


def build(config, seed, dtype=torch.float32):
    """A model whose every parameter matters: noise on top of OpenCLIP's first values, many of which are 0 or 1."""
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
            parameter.copy_(parameter.to(dtype).float())
    return model


def random_tokens(config, generator):
    """Rows of random length: start of text, words, end of text, padding with 0 (one row fills the context)."""
    text = config["text_cfg"]
    rows = torch.zeros(PAIRS, text["context_length"], dtype=torch.long)
    for i, row in enumerate(rows):
        words = (text["context_length"] - 2) if i == 0 else int(torch.randint(0, 9, (1,), generator=generator))
        row[0] = text["vocab_size"] - 2
        row[1 : words + 1] = torch.randint(0, text["vocab_size"] - 2, (words,), generator=generator)
        row[words + 1] = text["vocab_size"] - 1
    return rows


def inputs(config, tokens, preprocess):
    generator = torch.Generator().manual_seed(7)
    side = config["vision_cfg"]["image_size"]
    images = torch.randint(0, 256, (PAIRS, side, side, 3), generator=generator, dtype=torch.uint8)
    mean, std = (torch.tensor(preprocess[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    pixels = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
    tokens = random_tokens(config, generator) if tokens is None else tokens
    return {"images": images, "pixels": pixels.contiguous(), "tokens": tokens}


def after_ln_pre(visual, tokens):
    return visual._pool(visual.transformer(tokens))[0] @ visual.proj


def opened_tower(model, given):
    """Embeddings with image tokens dropped after ln_pre, and d(sum of similarities)/d(token)."""
    generator = torch.Generator().manual_seed(11)
    tokens = model.visual._embeds(given["pixels"]).detach().requires_grad_()
    kept = torch.stack([torch.randperm(tokens.shape[1] - 1, generator=generator)[:5] for _ in range(PAIRS)])
    index = torch.cat([torch.zeros(PAIRS, 1, dtype=torch.long), kept + 1], dim=1).unsqueeze(-1)
    dropped = after_ln_pre(model.visual, tokens.gather(1, index.expand(-1, -1, tokens.shape[2])))
    image = torch.nn.functional.normalize(after_ln_pre(model.visual, tokens), dim=-1)
    similarity = (image * model.encode_text(given["tokens"], normalize=True)).sum(-1)
    (slope,) = torch.autograd.grad(similarity.sum(), tokens)
    return {"image_tokens": tokens, "kept": kept, "kept_embedding": dropped, "similarity": similarity, "token_slope": slope}


def answers(model, given):
    embeddings = {"image": model.encode_image(given["pixels"]), "text": model.encode_text(given["tokens"])}
    both = embeddings | opened_tower(model, given)
    return {name: tensor.detach().contiguous() for name, tensor in both.items()}


def write_model(folder, name, config, model, given, dtype=torch.float32):
    weights = {key: value.to(dtype).contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(given | answers(model, given), folder / f"{name}.answers.safetensors")


def write(folder):
    given = inputs(PATCH7, None, CLIP_STD)
    write_model(folder, "patch7", PATCH7, build(PATCH7, 1), given)

    own_statistics = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 0.2]}
    wrapped = {"model_cfg": PATCH8, "preprocess_cfg": own_statistics | {"interpolation": "bicubic"}}
    given = inputs(PATCH8, None, own_statistics)
    write_model(folder, "patch8", wrapped, build(PATCH8, 2), given)

    given = inputs(FULL_VOCABULARY, open_clip.tokenize(CAPTIONS), CLIP_STD)
    model = build(FULL_VOCABULARY, 3, torch.float16)
    write_model(folder, "full_vocabulary", FULL_VOCABULARY, model, given, torch.float16)


def largest_difference(name, want, have):
    difference = (want - have).abs().max().item()
    print(f"{name}: largest difference {difference:.2e}")
    return difference if math.isfinite(difference) else math.inf


def check(path):
    """Whether open_clip loads FILE strictly and computes what FILE's answers say; FILE.json and the answers lie beside it."""
    config = json.loads(path.with_suffix(".json").read_text())
    model = open_clip.CLIP(**config.get("model_cfg", config)).eval()
    open_clip.load_checkpoint(model, str(path), strict=True)
    stored = load_file(path.with_suffix(".answers.safetensors"))
    with torch.no_grad():
        image = largest_difference("image embeddings", model.encode_image(stored["pixels"]), stored["image"])
        text = largest_difference("text embeddings", model.encode_text(stored["tokens"]), stored["text"])
    return max(image, text) <= 1e-4
