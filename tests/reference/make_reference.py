"""Writes the answers of open_clip and PyTorch that Lethe's tests compare with, and checks what Lethe wrote.

    python make_reference.py                    writes every answer of this folder anew (last bits vary by CPU)
    python make_reference.py --check FILE       loads a checkpoint of Lethe into open_clip and compares embeddings

Needs open_clip_torch and torch. The tests never run it: they read the stored files and need no Python.
"""

import argparse
import pathlib
import sys

import torch

import density
import models
import pictures
import tokens
import training

HERE = pathlib.Path(__file__).resolve().parent
DECODE = HERE / "../../data/src/decode"


def write_all():
    tokens.write(HERE / "tokens.json")
    models.write(HERE)
    training.write(HERE)
    density.write(HERE)
    pictures.write(DECODE / "pictures.tar")
    pictures.write_resized(DECODE / "resize.json")
    for path in sorted(HERE.glob("*.json")) + sorted(HERE.glob("*.safetensors")):
        print(f"{path.stat().st_size:>9} {path.name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=pathlib.Path, metavar="FILE", help="a checkpoint that Lethe wrote")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.check is None:
        write_all()
    elif not models.check(arguments.check):
        sys.exit(f"open_clip's embeddings of {arguments.check} differ from Lethe's by more than 1e-4")


if __name__ == "__main__":
    main()
