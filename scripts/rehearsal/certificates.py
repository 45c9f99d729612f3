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
    key, roots = folder / "ca.key", folder / "ca.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl("req", "-x509", *curve, "-keyout", key, "-out", roots, "-subj", "/CN=rehearsal",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for certificate in certificates:
        spec = certificate["spec"]
        if spec.get("isCA"):
            continue
        secret = folder / spec["secretName"]
        secret.mkdir()
        names = [f"URI:{uri}" for uri in spec["uris"]] + [f"DNS:{name}" for name in spec.get("dnsNames", [])]
        usages = ",".join(USAGES[usage] for usage in spec["usages"])
        openssl("req", "-x509", *curve, "-CA", roots, "-CAkey", key, "-keyout", secret / "tls.key",
                "-out", secret / "tls.crt", "-subj", "/", "-addext", f"subjectAltName=critical,{','.join(names)}",
                "-addext", f"extendedKeyUsage={usages}", "-addext", "basicConstraints=critical,CA:FALSE")
        (secret / "ca.crt").write_bytes(roots.read_bytes())
        (secret / "tls.key").chmod(0o644)  # a kubelet gives it to the pod's group
