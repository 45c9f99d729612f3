"""DAO over many embeddings as one would write it with PyTorch: a product of matrices and a topk a chunk.

    python bench_dao.py --data data.safetensors --out scores.safetensors

The definition is METHOD.md's, the one that Lethe computes: k = 16, features as they are, a pair's own image and text left out,
for reference points too. Distances are those of the product, |x|^2 + |y|^2 - 2<x, y> in f32, which is what makes this fast.
Prints the processor seconds of the computation alone as JSON.
"""

import argparse
import json
import time

import torch
from safetensors.torch import load_file, save_file

K = 16
# Rows of a chunk.
ROWS = 512


def nearest(x, own, points, squares):
    """The k nearest of a chunk: distances [B, k], nearest first, and places [B, k]."""
    distances = torch.addmm(squares, x, points.T, alpha=-2)
    pairs = len(points) // 2
    rows = (own >= 0).nonzero().squeeze(1)
    distances[rows, own[rows]] = torch.inf
    distances[rows, own[rows] + pairs] = torch.inf
    least, places = distances.topk(K, largest=False)
    return (least + x.square().sum(1, keepdim=True)).clamp_min_(0).sqrt_(), places


def lid(a):
    return -K / torch.log(a / a[:, -1:] + 1e-4).sum(1)


def dao(x, own, images, texts):
    points = torch.cat([images, texts])
    squares = points.square().sum(1)
    pairs = torch.arange(len(images)).repeat(2)
    d_k, lids = [], []
    for rows, same in zip(points.split(ROWS), pairs.split(ROWS)):
        a, _ = nearest(rows, same, points, squares)
        d_k.append(a[:, -1])
        lids.append(lid(a))
    d_k, lids, scores = torch.cat(d_k), torch.cat(lids), []
    for rows, same in zip(x.split(ROWS), own.split(ROWS)):
        a, places = nearest(rows, same, points, squares)
        scores.append((lids[places] * torch.log(a[:, -1:] / d_k[places])).mean(1))
    return torch.nan_to_num(torch.cat(scores), nan=1000.0, posinf=1000.0, neginf=0.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_file(arguments.data)
    with torch.inference_mode():
        dao(data["x"][: 4 * ROWS], data["own"][: 4 * ROWS], data["images"], data["texts"])  # warms the libraries up
        began = time.process_time()
        scores = dao(data["x"], data["own"], data["images"], data["texts"])
        took = time.process_time() - began
    save_file({"dao": scores.clone()}, arguments.out)
    print(json.dumps({"cpu_s": took}))


if __name__ == "__main__":
    main()
