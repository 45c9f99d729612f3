"""k-distance, SLOF and DAO by their definition (METHOD.md; arXiv 2502.01385), in float64 and without any product of matrices.

The authors' published code (backdoor_sample_detector/dao.py) departs from it: it takes the (k+1)-th distance, counts a reference
point among its own neighbours, keeps the other half of its pair, and, behind the column it left out, looks up the neighbour one
place off, which in a shuffled batch is any point at all. None of that is copied here.
"""

import torch
from safetensors.torch import save_file

K = 16


def settled(mean):
    return torch.nan_to_num(mean, nan=1000.0, posinf=1000.0, neginf=0.0)


def nearest(x, own, images, texts, k):
    """Distances [B, k] and places [B, k]; `own` [B] is the row's own pair, or -1."""
    points = torch.cat([images, texts]).double()
    distances = torch.stack([(row - points).square().sum(-1).sqrt() for row in x.double()])
    for row, pair in enumerate(own.tolist()):
        if pair >= 0:
            distances[row, [pair, len(images) + pair]] = torch.inf
    a, places = torch.sort(distances, dim=1, stable=True)
    return a[:, :k], places[:, :k]


def lid(a):
    return -a.shape[1] / torch.log(a / a[:, -1:] + 1e-4).sum(1)


def densities(x, own, images, texts, k=K):
    pairs = torch.arange(len(images))
    reference, _ = nearest(torch.cat([images, texts]), torch.cat([pairs, pairs]), images, texts, k)
    d_k, lids = reference[:, -1], lid(reference)
    a, places = nearest(x, own, images, texts, k)
    ratio = a[:, -1:] / d_k[places]
    return a[:, -1], settled(ratio.mean(1)), settled((lids[places] * torch.log(ratio)).mean(1))


def clusters(count, width, generator):
    """Pairs in clusters of many sizes, with a gap between images and texts, as CLIP's are: neither unit vectors nor centred."""
    centres = 6 * torch.randn(24, width, generator=generator)
    of = torch.randint(0, 24, (count,), generator=generator)
    spread = torch.rand(24, 1, generator=generator)[of] + 0.2
    noise = lambda: spread * torch.randn(count, width, generator=generator)
    return centres[of] + noise() + 3, centres[of] + noise() - 1


def answers(name, x, own, images, texts):
    k_distance, slof, dao = densities(x, own, images, texts)
    found = {"x": x, "own": own, "images": images, "texts": texts, "k_distance": k_distance, "slof": slof, "dao": dao}
    return {f"{name}.{column}": tensor.clone() for column, tensor in found.items()}


def write(folder):
    generator = torch.Generator().manual_seed(5)
    images, texts = clusters(300, 48, generator)
    strangers, _ = clusters(40, 48, generator)
    x = torch.cat([images, strangers])
    own = torch.cat([torch.arange(300), torch.full((40,), -1)])
    stored = answers("plain", x, own, images, texts)
    # Forty equal images and ninety equal captions, a query on top of them, and whole numbers, so that many distances tie.
    tied, tied_texts = torch.randint(-2, 3, (120, 6), generator=generator).float(), torch.ones(120, 6)
    tied[:40], tied_texts[90:] = 2.0, torch.randint(-2, 3, (30, 6), generator=generator).float()
    stored |= answers("tied", tied, torch.arange(120), tied, tied_texts)
    save_file(stored, folder / "density.safetensors")
