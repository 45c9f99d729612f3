"""A short training with PyTorch's autograd and AdamW, open_clip's loss and its rule of weight decay.

It must never use more than one thread: the numbers are stored.
"""

import math

import open_clip
import torch
from safetensors.torch import load_file, save_file

import models

STEPS, WARMUP, PEAK, WEIGHT_DECAY = 6, 2, 2e-3, 0.1


def groups(model):
    """open_clip_train's rule: gains, biases and the logit scale do not decay."""
    named = list(model.named_parameters())
    excluded = [p for n, p in named if p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n or "logit_scale" in n]
    included = [p for _, p in named if not any(p is e for e in excluded)]
    return [{"params": excluded, "weight_decay": 0.0}, {"params": included, "weight_decay": WEIGHT_DECAY}]


def rate(step):
    """open_clip_train's cosine_lr."""
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * PEAK


def write(folder):
    """Trains patch7 on its own six pairs; stores the first gradient, each step's loss and rate, and the last weights' embeddings."""
    model = models.build(models.PATCH7, 1)
    given = load_file(folder / "patch7.answers.safetensors")
    optimizer = torch.optim.AdamW(groups(model), lr=PEAK, betas=(0.9, 0.98), eps=1e-6)
    loss_of = open_clip.ClipLoss()
    stored, losses, rates = {}, [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        image = model.encode_image(given["pixels"], normalize=True)
        text = model.encode_text(given["tokens"], normalize=True)
        loss = loss_of(image, text, model.logit_scale.exp())
        loss.backward()
        if step == 0:
            stored = {f"slope.{name}": p.grad.clone() for name, p in model.named_parameters()}
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())
        rates.append(rate(step))
    with torch.no_grad():
        last = {"image": model.encode_image(given["pixels"]), "text": model.encode_text(given["tokens"])}
    numbers = {"losses": torch.tensor(losses, dtype=torch.float64), "rates": torch.tensor(rates, dtype=torch.float64)}
    save_file(stored | last | numbers, folder / "training.safetensors")
