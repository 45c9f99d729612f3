"""Writes the answers of open_clip and PyTorch that Lethe's tests compare with, and checks what Lethe wrote.

    python make_reference.py                    writes every file of this folder anew (deterministic)
    python make_reference.py --check FILE       loads a Lethe checkpoint into open_clip and compares embeddings

It must never be run by the tests themselves: they read the stored files and need no Python.
"""

import argparse
import json
import pathlib

import tokens

HERE = pathlib.Path(__file__).resolve().parent


def main():
    tokens.write(HERE / "tokens.json")


if __name__ == "__main__":
    main()
