#!/usr/bin/env python3
"""Writes a CycloneDX 1.6 bill of materials of what `make release` ships, to stdout: every crate that the binaries are built
from, by cargo's own account and Cargo.lock's checksums, and the libtorch that they load. With --cuda, of the worker's image with CUDA.

It must never depend on the machine or the hour: the time is SOURCE_DATE_EPOCH's, and no path is in it.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ["lethe-cli", "lethe-coordinator", "lethe-worker"]
TARGET = "x86_64-unknown-linux-gnu"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
TORCH = "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT"
NVIDIA = "LicenseRef-NVIDIA-Proprietary"
# As the wheels say themselves; what is not named here is NVIDIA's own.
WHEEL_LICENCES = {"torch": TORCH, "nvidia-nvtx": "Apache-2.0"}


def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def needed(found, binaries=BINARIES):
    """The packages that the binaries are built from or with, each with what it needs itself: tests' are left out."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    ours = {package["name"]: package["id"] for package in found["packages"] if package["id"] in found["workspace_members"]}
    left, needs = [ours[name] for name in binaries], {}
    while left:
        package = left.pop()
        if package in needs:
            continue
        built = [dep["pkg"] for dep in nodes[package]["deps"] if any(kind["kind"] in (None, "build") for kind in dep["dep_kinds"])]
        needs[package] = sorted(set(built))
        left += built
    return needs


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def crate(package, checksum):
    component = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if package["license"]:
        # SPDX writes OR where older manifests have a slash.
        component["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return component


def libtorch(wheels):
    """The wheels that scripts/libtorch.sh takes it from, or scripts/libtorch_cuda.sh."""
    components = []
    for line in (ROOT / "scripts" / wheels).read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w-]+)==([\d.]+) --hash=sha256:([0-9a-f]{64})", line.strip())
        assert match, f"scripts/{wheels}: {line}"
        name, version, digest = match.groups()
        assert name in WHEEL_LICENCES or name.startswith("nvidia-"), f"{name} has no licence here"
        reference = f"pkg:pypi/{name}@{version}"
        components.append({
            "type": "library",
            "bom-ref": reference,
            "name": name,
            "version": version,
            "purl": reference,
            "licenses": [{"expression": WHEEL_LICENCES.get(name, NVIDIA)}],
            "hashes": [{"alg": "SHA-256", "content": digest}],
        })
    return components


def bill(name, binaries, wheels):
    found = metadata()
    packages = {package["id"]: package for package in found["packages"]}
    needs, sums, torch = needed(found, binaries), checksums(), libtorch(wheels)
    for package in needs:
        source = packages[package]["source"]
        assert source in (None, REGISTRY), f"{package} comes from {source}"
    version = packages[next(p for p in needs if packages[p]["name"] == binaries[0])]["version"]
    crates = [crate(packages[p], sums.get((packages[p]["name"], packages[p]["version"]))) for p in needs]
    links = [{"ref": purl(packages[p]), "dependsOn": sorted({purl(packages[d]) for d in deps})} for p, deps in needs.items()]
    for link in links:
        if link["ref"].startswith("pkg:cargo/torch-sys@"):
            link["dependsOn"] = sorted(link["dependsOn"] + [component["bom-ref"] for component in torch])
    roots = sorted(purl(packages[p]) for p in needs if packages[p]["name"] in binaries)
    links += [{"ref": "lethe", "dependsOn": roots}]
    links += [{"ref": component["bom-ref"], "dependsOn": []} for component in torch]
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    when = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": "lethe",
                "name": name,
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": sorted(crates + torch, key=lambda component: component["bom-ref"]),
        "dependencies": sorted(links, key=lambda link: link["ref"]),
    }


if __name__ == "__main__":
    if "--cuda" in sys.argv[1:]:
        made = bill("lethe-worker-cuda", ["lethe-worker"], "libtorch_cuda.txt")
    else:
        made = bill("lethe", BINARIES, "libtorch.txt")
    print(json.dumps(made, indent=1, sort_keys=True))
