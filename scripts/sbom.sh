#!/usr/bin/env bash
# Writes the bill of materials to the file that it is given, and checks it against CycloneDX's own schema (whose checker is kept in a
# venv of the cache, 20 MB).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/say.sh"

out=${1:?a file to write}
venv=$(cache_folder)/cyclonedx-venv
pins='cyclonedx-python-lib[json-validation]==11.12.0'

if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$pins" ]; then
    say "installing $pins in $venv (once)"
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || fail "python3 cannot make a venv (Debian: apt-get install python3-venv)"
    "$venv/bin/pip" install --no-cache-dir --disable-pip-version-check -q "$pins" >&2 ||
        fail "CycloneDX's checker could not be installed (pip's message is above)"
    printf '%s\n' "$pins" >"$venv/.complete"
fi
python3 "$here/sbom.py" >"$out.part"
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
