"""Secrets as cert-manager makes them of an overlay's Certificates: tls.crt, tls.key and ca.crt, by openssl.

It must never add a name to what the manifest lists: whether that covers what is dialled is what is tried.
"""

import subprocess
from pathlib import Path

USAGES = {"client auth": "clientAuth", "server auth": "serverAuth"}


def openssl(*words) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, stderr=subprocess.DEVNULL)


def make(certificates: list, folder: Path) -> None:
    folder.mkdir(parents=True)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    for certificate in certificates:
        spec = certificate["spec"]
        name = spec["secretName"]
        if spec.get("isCA"):
            openssl("req", "-x509", *curve, "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt",
                    "-subj", f"/CN={spec['commonName']}", "-addext", "basicConstraints=critical,CA:TRUE",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for certificate in certificates:
        spec = certificate["spec"]
        if spec.get("isCA"):
            continue
        # An issuer is called as the secret that it signs with.
        authority = spec["issuerRef"]["name"]
        roots = folder / f"{authority}.crt"
        secret = folder / spec["secretName"]
        secret.mkdir()
        names = [f"URI:{uri}" for uri in spec.get("uris", [])] + [f"DNS:{name}" for name in spec.get("dnsNames", [])]
        named = ["-addext", f"subjectAltName=critical,{','.join(names)}"] if names else []
        usages = ",".join(USAGES[usage] for usage in spec["usages"])
        openssl("req", "-x509", *curve, "-CA", roots, "-CAkey", folder / f"{authority}.key", "-keyout", secret / "tls.key",
                "-out", secret / "tls.crt", "-subj", f"/CN={spec['commonName']}" if "commonName" in spec else "/", *named,
                "-addext", f"extendedKeyUsage={usages}", "-addext", "basicConstraints=critical,CA:FALSE")
        (secret / "ca.crt").write_bytes(roots.read_bytes())
        (secret / "tls.key").chmod(0o644)  # a kubelet gives it to the pod's group
