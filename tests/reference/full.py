"""ViT-B/32 and RN50 in their whole size with random weights, and what open_clip and transformers compute with them.

It must never be part of the repository: the files have 2 GB.
"""

import torch

import families

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}


def whole(config, embed_dim):
    return config | {"embed_dim": embed_dim, "text_cfg": TEXT}


B_32 = whole(families.vit(224, 32, 768, 64, 12), 512)
RN50 = whole(families.resnet(224, 64, [3, 4, 6, 3], 64), 1024)


def write_all(folder):
    families.NOISE = 0.005
    folder.mkdir(parents=True, exist_ok=True)
    families.write_open_clip(folder / "open_clip-full_b_32", B_32 | {"quick_gelu": False}, 1, torch.float32)
    families.write_hugging_face(folder / "hugging_face-full_b_32", B_32, 2, torch.float16, True, "150MB")
    families.write_open_clip(folder / "open_clip-full_rn50", RN50 | {"quick_gelu": False}, 3, torch.float32)
    families.write_openai(folder / "openai-full_rn50", RN50 | {"quick_gelu": True}, 4)
