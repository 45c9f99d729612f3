"""Renders overlays, and holds documents to Kubernetes' own schemas, for tests/tests/manifests.

It must never ask a cluster, nor pass over a document for which there is a schema.

    kube.py render FOLDER           the overlay's documents, as a JSON array
    kube.py validate MINOR          what is wrong with each of a JSON array's documents (from standard input): an array of
                                    lists of messages, or null where this minor version has no schema of the kind
    kube.py monitoring              writes ops/'s alerts and dashboard where the component monitoring has them
    kube.py read FILE               a file's documents, as a JSON array
"""

import json
import os
import subprocess
import sys
from pathlib import Path

TOOLS = Path(os.environ["KUBE"])
sys.path.insert(0, str(TOOLS))

import kubernetes_validate  # noqa: E402
import yaml  # noqa: E402


def render(folder: str) -> list:
    command = [TOOLS / "bin/kubectl", "kustomize", folder]
    rendered = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return [document for document in yaml.safe_load_all(rendered) if document]


def monitoring() -> None:
    """The operator's kind around Prometheus' own rules, whose text stays as it is."""
    root = Path(__file__).resolve().parent.parent
    component = root / "k8s/components/monitoring"
    groups = (root / "ops/alerts.yaml").read_text()
    groups = groups[groups.index("groups:\n") :]
    head = (
        "# Written by `scripts/kube.py monitoring` from ops/alerts.yaml, which is the place to change.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: lethe\nspec:\n"
    )
    (component / "rules.yaml").write_text(head + "".join(f"  {line}" for line in groups.splitlines(keepends=True)))
    (component / "dashboard.json").write_bytes((root / "ops/dashboard.json").read_bytes())


def problems(document: dict, minor: str) -> list | None:
    try:
        used = kubernetes_validate.validate(document, minor, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return None
    except kubernetes_validate.ValidationError as error:
        return ["/".join(map(str, error.absolute_path)) + ": " + error.message]
    # Of a version that it does not know it takes the next older one.
    return [] if used == minor else [f"there are no schemas of {minor}"]


def main() -> None:
    match sys.argv[1:]:
        case ["render", folder]:
            answer = render(folder)
        case ["read", file]:
            answer = [document for document in yaml.safe_load_all(Path(file).read_text()) if document]
        case ["monitoring"]:
            return monitoring()
        case ["validate", minor]:
            answer = [problems(document, minor) for document in json.load(sys.stdin)]
        case _:
            sys.exit(__doc__)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
