#!/usr/bin/env python3
"""Writes a CycloneDX 1.6 bill of materials of what `make release` ships, to stdout: every crate that the binaries are built
from, by cargo's own account and Cargo.lock's checksums, and the libtorch that they load.

It must never depend on the machine or the hour: the time is SOURCE_DATE_EPOCH's, and no path is in it.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ["lethe-cli", "lethe-coordinator", "lethe-worker"]
TARGET = "x86_64-unknown-linux-gnu"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
LIBTORCH_LICENCES = {
    "torch": "BSD-3-Clause",
    "nvidia-cuda-runtime": "LicenseRef-NVIDIA-Proprietary",
    "nvidia-cuda-cupti": "LicenseRef-NVIDIA-Proprietary",
}


def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def needed(found):
    """The packages that the binaries are built from or with, each with what it needs itself: tests' are left out."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    ours = {package["name"]: package["id"] for package in found["packages"] if package["id"] in found["workspace_members"]}
    left, needs = [ours[name] for name in BINARIES], {}
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


def libtorch():
    """The wheels that scripts/libtorch.sh takes it from."""
    components = []
    for line in (ROOT / "scripts/libtorch.txt").read_text().splitlines():
        match = re.fullmatch(r"([\w-]+)==([\d.]+) --hash=sha256:([0-9a-f]{64})", line.strip())
        if match is None:
            continue
        name, version, digest = match.groups()
        reference = f"pkg:pypi/{name}@{version}"
        components.append({
            "type": "library",
            "bom-ref": reference,
            "name": name,
            "version": version,
            "purl": reference,
            "licenses": [{"license": {"name": LIBTORCH_LICENCES[name]}}],
            "hashes": [{"alg": "SHA-256", "content": digest}],
        })
    assert len(components) == len(LIBTORCH_LICENCES), "scripts/libtorch.txt names other wheels than are licensed here"
    return components


def bill():
    found = metadata()
    packages = {package["id"]: package for package in found["packages"]}
    needs, sums, torch = needed(found), checksums(), libtorch()
    for package in needs:
        source = packages[package]["source"]
        assert source in (None, REGISTRY), f"{package} comes from {source}"
    version = packages[next(p for p in needs if packages[p]["name"] == "lethe-cli")]["version"]
    crates = [crate(packages[p], sums.get((packages[p]["name"], packages[p]["version"]))) for p in needs]
    links = [{"ref": purl(packages[p]), "dependsOn": sorted({purl(packages[d]) for d in deps})} for p, deps in needs.items()]
    for link in links:
        if link["ref"].startswith("pkg:cargo/torch-sys@"):
            link["dependsOn"] = sorted(link["dependsOn"] + [component["bom-ref"] for component in torch])
    roots = sorted(purl(packages[p]) for p in needs if packages[p]["name"] in BINARIES)
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
                "name": "lethe",
                "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": sorted(crates + torch, key=lambda component: component["bom-ref"]),
        "dependencies": sorted(links, key=lambda link: link["ref"]),
    }


if __name__ == "__main__":
    print(json.dumps(bill(), indent=1, sort_keys=True))
