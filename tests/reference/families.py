"""Every family of checkpoints that Lethe reads, shrunken, as open_clip and transformers write them, and what they compute.

It must never rename or reorder what the libraries write: `save_pretrained` and `state_dict` give the files.
"""

import copy
import json
import shutil

import open_clip
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

PAIRS, WORDS = 2, 96
# Added to every parameter; wide layers need less.
NOISE = 0.05
STATISTICS_IMAGES = 16
TEXT = {"context_length": 12, "vocab_size": WORDS, "width": 24, "heads": 3, "layers": 2}


def vit(image_size, patch_size, width, head_width, layers, mlp_ratio=4.0):
    vision = {"image_size": image_size, "patch_size": patch_size, "width": width, "head_width": head_width}
    return {"embed_dim": 16, "vision_cfg": vision | {"layers": layers, "mlp_ratio": mlp_ratio}, "text_cfg": dict(TEXT)}


def resnet(image_size, width, layers, head_width):
    vision = {"image_size": image_size, "layers": layers, "width": width, "head_width": head_width, "patch_size": None}
    return {"embed_dim": 16, "vision_cfg": vision, "text_cfg": dict(TEXT)}


# The published sides, patches and blocks; shrunken widths and, for ViTs, depths.
FAMILIES = {
    "vit_b_32": vit(224, 32, 16, 8, 2),
    "vit_b_16": vit(224, 16, 16, 8, 2),
    "vit_l_14": vit(224, 14, 16, 4, 3),
    "vit_l_14_336": vit(336, 14, 16, 4, 3),
    "vit_h_14": vit(224, 14, 20, 10, 4),
    "rn50": resnet(224, 4, [3, 4, 6, 3], 32),
    "rn101": resnet(224, 2, [3, 4, 23, 3], 16),
    "rn50x4": resnet(288, 2, [4, 6, 10, 6], 16),
}
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
OPEN_CLIP = {
    "vit_b_32": (SINGLE, False),
    "vit_b_16": (BRAIN, False),
    "vit_l_14": (HALF, True),
    "vit_l_14_336": (SINGLE, True),
    "vit_h_14": (SINGLE, False),
    "rn50": (SINGLE, False),
    "rn101": (HALF, False),
    "rn50x4": (BRAIN, True),
}
OPENAI = [family for family in FAMILIES if family != "vit_h_14"]
# The last is the size of a shard, where there is more than one.
HUGGING_FACE = {
    "vit_b_32": (SINGLE, True, None),
    "vit_b_16": (HALF, True, None),
    "vit_l_14": (SINGLE, True, "30KB"),
    "vit_l_14_336": (BRAIN, True, None),
    "vit_h_14": (HALF, False, "20KB"),
}


def numbers(count):
    """Scattered numbers from -1 to 1, exact in f64, that a test in another language can make too."""
    i = torch.arange(count, dtype=torch.int64)
    return ((i * i * 31 + i * 7) % 1009).double() / 504.5 - 1


def pixels(image_size, pairs=PAIRS):
    return numbers(pairs * 3 * image_size**2).view(pairs, 3, image_size, image_size).float()


def tokens(text):
    """One row that fills the context and one that does not; start and end of text are the last two words."""
    rows = torch.zeros(PAIRS, text["context_length"], dtype=torch.long)
    for row, length in zip(rows, [text["context_length"], 5]):
        row[:length] = torch.arange(length) * 7 % (text["vocab_size"] - 2)
        row[0], row[length - 1] = text["vocab_size"] - 2, text["vocab_size"] - 1
    return rows


@torch.no_grad()
def disturb(model, dtype):
    """Every parameter matters: noise on first values of 0 and 1, and statistics that pictures left. Rounded to dtype."""
    for parameter in model.parameters():
        parameter.add_(NOISE * torch.randn_like(parameter))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if norms:
        for norm in norms:
            norm.momentum = None
        model.train().encode_image(torch.randn(STATISTICS_IMAGES, 3, *[model.visual.image_size] * 2))
        model.eval()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.to(dtype).float())
    return model


def build(config, seed, dtype):
    torch.manual_seed(seed)
    return disturb(open_clip.CLIP(**copy.deepcopy(config)).eval(), dtype)


def stored(model, dtype):
    cast = {name: t.to(dtype) if t.is_floating_point() else t for name, t in model.state_dict().items()}
    return {name: tensor.contiguous() for name, tensor in cast.items()}


def openai(model, config):
    """OpenAI's own files: convolutions and projections in half precision, the rest in single, and three sizes."""
    half = copy.deepcopy(model)
    open_clip.model.convert_weights_to_fp16(half)
    vision, text = config["vision_cfg"], config["text_cfg"]
    sizes = {"input_resolution": vision["image_size"]} | {k: text[k] for k in ("context_length", "vocab_size")}
    weights = {name: tensor.contiguous() for name, tensor in half.state_dict().items()}
    return weights | {name: torch.tensor(size) for name, size in sizes.items()}


def opened_pool(model, given):
    """A ResNet's grid before its pool: with cells dropped, and d(sum of similarities)/d(cell)."""
    visual, pool = model.visual, model.visual.attnpool
    x = visual.stem(given["pixels"])
    for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = stage(x)
    cells = x.flatten(2).transpose(1, 2).detach().requires_grad_()
    kept = torch.tensor([[0, 3, 5, 48], [7, 2, 40, 11]])
    places = pool.positional_embedding

    def pooled(cells, places):
        first = cells.mean(1, keepdim=True) + places[:, :1]
        whole = torch.cat([first, cells + places[:, 1:]], 1)
        heads = lambda x: x.unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        q, k, v = heads(pool.q_proj(first)), heads(pool.k_proj(whole)), heads(pool.v_proj(whole))
        weights = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
        return pool.c_proj((weights @ v).transpose(1, 2).flatten(2))[:, 0]

    own = torch.cat([torch.zeros(PAIRS, 1, dtype=torch.long), kept + 1], 1)
    dropped = pooled(torch.stack([row[index] for row, index in zip(cells, kept)]), places[own])
    whole = pooled(cells, places[None])
    assert (whole - model.encode_image(given["pixels"])).abs().max() < 1e-5, "this is not open_clip's pool"
    image = torch.nn.functional.normalize(whole, dim=-1)
    similarity = (image * model.encode_text(given["tokens"], normalize=True)).sum(-1)
    (slope,) = torch.autograd.grad(similarity.sum(), cells)
    return {"kept": kept, "kept_embedding": dropped, "similarity": similarity, "cell_slope": slope}


def write(folder, config, weights, answers):
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    save_answers(folder, answers)


def save_answers(folder, answers):
    save_file({name: tensor.detach().contiguous() for name, tensor in answers.items()}, folder / "answers.safetensors")


def answers_of(model, config):
    given = {"pixels": pixels(config["vision_cfg"]["image_size"]), "tokens": tokens(config["text_cfg"])}
    found = {"image": model.encode_image(given["pixels"]), "text": model.encode_text(given["tokens"])}
    return given, {"tokens": given["tokens"]} | found


def write_open_clip(folder, config, seed, dtype):
    model = build(config, seed, dtype)
    given, answers = answers_of(model, config)
    if folder.name == "open_clip-rn50":
        answers |= opened_pool(model, given)
    write(folder, config, stored(model, dtype), answers)


def write_openai(folder, config, seed):
    model = build(config, seed, torch.float16)
    write(folder, config, openai(model, config), answers_of(model, config)[1])


def write_custom_text(folder, config, seed):
    torch.manual_seed(seed)
    model = disturb(open_clip.CustomTextCLIP(**copy.deepcopy(config)).eval(), torch.float32)
    write(folder, config | {"custom_text": True}, stored(model, torch.float32), answers_of(model, config)[1])


def clip_config(config, quick_gelu):
    vision, text = config["vision_cfg"], config["text_cfg"]
    activation = {"hidden_act": "quick_gelu" if quick_gelu else "gelu"}
    towers = {}
    for name, tower, heads in (("vision", vision, vision["width"] // vision["head_width"]), ("text", text, text["heads"])):
        sizes = {"hidden_size": tower["width"], "intermediate_size": int(tower["width"] * tower.get("mlp_ratio", 4))}
        towers[name] = activation | sizes | {"num_hidden_layers": tower["layers"], "num_attention_heads": heads}
    words = text["vocab_size"]
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": 0}
    towers["text"] |= ends | {"vocab_size": words, "max_position_embeddings": text["context_length"]}
    towers["vision"] |= {key: vision[key] for key in ("image_size", "patch_size")}
    return CLIPConfig(text_config=towers["text"], vision_config=towers["vision"], projection_dim=config["embed_dim"])


def pooled(features):
    """transformers 5 wraps what transformers 4 returned."""
    return features if isinstance(features, torch.Tensor) else features.pooler_output


def write_hugging_face(folder, config, seed, dtype, quick_gelu, shard):
    torch.manual_seed(seed)
    model = disturb(CLIPModel(clip_config(config, quick_gelu)).eval(), dtype)
    rows, images = tokens(config["text_cfg"]), pixels(config["vision_cfg"]["image_size"])
    image = pooled(model.get_image_features(pixel_values=images))
    answers = {"tokens": rows, "image": image, "text": pooled(model.get_text_features(input_ids=rows))}
    copy.deepcopy(model).to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    save_answers(folder, answers)


def write_all(folder):
    shutil.rmtree(folder, ignore_errors=True)
    for seed, (family, config) in enumerate(FAMILIES.items()):
        dtype, quick_gelu = OPEN_CLIP[family]
        write_open_clip(folder / f"open_clip-{family}", config | {"quick_gelu": quick_gelu}, seed, dtype)
        if family in OPENAI:
            write_openai(folder / f"openai-{family}", config | {"quick_gelu": True}, 100 + seed)
        if family in HUGGING_FACE:
            write_hugging_face(folder / f"hugging_face-{family}", config, 200 + seed, *HUGGING_FACE[family])
    write_custom_text(folder / "custom_text-vit_b_32", FAMILIES["vit_b_32"], 300)
