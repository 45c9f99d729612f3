#!/usr/bin/env python3
"""Writes the licence texts of every crate that the binaries are built from to stdout, each text once with those that have it.

It must never leave a crate out: one that ships no text is named with its SPDX expression.
"""

import collections
import pathlib
import sys

sys.argv = sys.argv[:1]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import sbom  # noqa: E402

NAMES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE")


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(NAMES))
    return [path.read_text(errors="replace").strip() for path in files]


found = sbom.metadata()
packages = {package["id"]: package for package in found["packages"]}
holders, without = collections.defaultdict(list), []
for package in (packages[package] for package in sbom.needed(found)):
    if package["source"] is None:
        continue
    name = f"{package['name']} {package['version']}"
    own = texts(package)
    if not own:
        without.append(f"{name}: {package['license']}")
    for text in own:
        holders[text].append(name)
print("What Lethe is built from, beside its own code (LICENSE) and libtorch (whose licences lie with it, as licences/).\n")
for text, names in sorted(holders.items(), key=lambda entry: sorted(entry[1])):
    print("=" * 80, *sorted(names), "-" * 80, text, sep="\n", end="\n\n")
print("=" * 80, "Without a text of their own; under the licence that each names:", *sorted(without), sep="\n")
