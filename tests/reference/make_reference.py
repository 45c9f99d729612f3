"""Writes the answers of open_clip and PyTorch that Lethe's tests compare with, and checks what Lethe wrote.

    python make_reference.py                    writes every answer of this folder anew (last bits vary by CPU)
    python make_reference.py --check FILE       loads a checkpoint of Lethe into open_clip and compares embeddings
    python make_reference.py --returned FOLDER  the same for one of every family, with the library that it came from
    python make_reference.py --full FOLDER      writes ViT-B/32 and RN50 in their whole size with their answers (2 GB)

Needs open_clip_torch, transformers and torch. The tests never run it: they read the stored files and need no Python.
"""

import argparse
import pathlib
import sys

import torch

import density
import families
import full
import many_tokens
import models
import pictures
import returned
import tokens
import training

HERE = pathlib.Path(__file__).resolve().parent
DECODE = HERE / "../../data/src/decode"


def write_all():
    tokens.write(HERE / "tokens.json")
    many_tokens.write(HERE / "many_tokens.json")
    models.write(HERE)
    training.write(HERE)
    families.write_all(HERE / "families")
    density.write(HERE)
    pictures.write(DECODE / "pictures.tar")
    pictures.write_resized(DECODE / "resize.json")
    for path in sorted(HERE.glob("*.json")) + sorted(HERE.rglob("*.safetensors")):
        print(f"{path.stat().st_size:>9} {path.relative_to(HERE)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=pathlib.Path, metavar="FILE", help="a checkpoint that Lethe wrote")
    parser.add_argument("--returned", type=pathlib.Path, metavar="FOLDER", help="families that Lethe trained and wrote")
    parser.add_argument("--full", type=pathlib.Path, metavar="FOLDER", help="where models of whole size go")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if arguments.full:
        full.write_all(arguments.full)
    elif arguments.returned:
        if not returned.check_all(arguments.returned):
            sys.exit(f"a checkpoint in {arguments.returned} is not what its library expects (see above)")
    elif arguments.check is None:
        write_all()
    elif not models.check(arguments.check):
        sys.exit(f"open_clip's embeddings of {arguments.check} differ from Lethe's by more than 1e-4")


if __name__ == "__main__":
    main()
