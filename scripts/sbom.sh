#!/usr/bin/env bash
# Writes the bill of materials to the file that it is given, and checks it against CycloneDX's own schema (whose checker is kept in a
# venv of the cache, 20 MB). With --cuda as second argument, that of the worker's image with CUDA.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"
. "$here/locked_venv.sh"

out=${1:?a file to write}
venv=$(locked_venv "$here/cyclonedx.txt" cyclonedx "CycloneDX's checker (20 MB)")
python3 "$here/sbom.py" ${2:+"$2"} >"$out.part"
"$venv/bin/python" - "$out.part" <<'PYTHON' || fail "the bill of materials is not valid CycloneDX (above); it is $out.part"
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = open(sys.argv[1]).read()
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if problem is not None:
    sys.exit(str(problem)[:2000])
bill = json.loads(text)
known = {component["bom-ref"] for component in bill["components"]} | {"lethe"}
lost = {ref for link in bill["dependencies"] for ref in [link["ref"], *link["dependsOn"]]} - known
if lost or {link["ref"] for link in bill["dependencies"]} != known:
    sys.exit(f"its graph and its components differ: {sorted(lost)[:5]}")
PYTHON
mv "$out.part" "$out"
say "$out: $(grep -c '"bom-ref"' "$out") components"
