"""The part of the cluster's API that takes events: TLS by the cluster's authority, a token, and the checks that a real one makes of an Event.

It must never take what a real one would refuse: a schema sees the fields, and what it does not see is listed here.
"""

import json
import re
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from certificates import openssl

HERE = Path(__file__).resolve().parent
PORT = 6443
NAMESPACE = "lethe"
PATH = f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events"
MINORS = ("1.35", "1.37")
TOKEN = "a-token-of-the-rehearsal"


def wrong(event: dict) -> list:
    """What the API's own validation has against a new Event (its strategy for events.k8s.io/v1)."""
    checks = {
        "metadata.namespace": event["metadata"].get("namespace") == NAMESPACE,
        "metadata.name": re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", event["metadata"].get("name", "")),
        "eventTime": re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.get("eventTime", "")),
        "reportingController": re.fullmatch(r"[a-zA-Z0-9]([-\w.]{0,61}[a-zA-Z0-9])?", event.get("reportingController", "")),
        "reportingInstance": 0 < len(event.get("reportingInstance", "")) <= 128,
        "action": 0 < len(event.get("action", "")) <= 128,
        "reason": 0 < len(event.get("reason", "")) <= 128,
        "note": len(event.get("note", "").encode()) < 1024,
        "type": event.get("type") in ("Normal", "Warning"),
        "regarding.namespace": event.get("regarding", {}).get("namespace") == NAMESPACE,
    }
    return [name for name, holds in checks.items() if not holds]


def by_schema(event: dict) -> list:
    problems = []
    for minor in MINORS:
        command = [sys.executable, HERE.parent / "kube.py", "validate", minor]
        answer = subprocess.run(command, input=json.dumps([event]).encode(), stdout=subprocess.PIPE, check=True).stdout
        found = json.loads(answer)[0]
        problems += [f"{minor} knows no such kind"] if found is None else found
    return problems


class Api:
    def __init__(self, address: str, out: Path):
        self.address, self.events, self.refused, self.lock = address, {}, [], threading.Lock()
        own, self.account = out / "api", out / "account"
        for folder in (own, self.account):
            folder.mkdir()
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        authority = own / "ca.crt"
        openssl("req", "-x509", *curve, "-keyout", own / "ca.key", "-out", authority, "-subj", "/CN=kubernetes",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", "-x509", *curve, "-CA", authority, "-CAkey", own / "ca.key", "-keyout", own / "tls.key", "-out", own / "tls.crt",
                "-subj", "/CN=kube-apiserver", "-addext", f"subjectAltName=IP:{address}", "-addext", "extendedKeyUsage=serverAuth",
                "-addext", "basicConstraints=critical,CA:FALSE")
        for name, text in (("ca.crt", authority.read_text()), ("namespace", NAMESPACE), ("token", TOKEN)):
            (self.account / name).write_text(text)
        self.server = ThreadingHTTPServer((address, PORT), self.handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own / "tls.crt", own / "tls.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def variables(self) -> dict:
        """What a kubelet gives every container."""
        return {"KUBERNETES_SERVICE_HOST": self.address, "KUBERNETES_SERVICE_PORT": str(PORT)}

    def take(self, path: str, token: str, body: bytes) -> tuple:
        if token != f"Bearer {TOKEN}":
            return 401, "Unauthorized", "Unauthorized"
        if path != PATH:
            return 404, "NotFound", f"nobody serves {path}"
        event = json.loads(body)
        if problems := wrong(event) + by_schema(event):
            return 422, "Invalid", f"Event is invalid: {problems}"
        with self.lock:
            if event["metadata"]["name"] in self.events:
                return 409, "AlreadyExists", f"events {event['metadata']['name']!r} already exists"
            self.events[event["metadata"]["name"]] = event
        return 201, "", ""

    def handler(api) -> type:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code, reason, message = api.take(self.path, self.headers.get("Authorization", ""), body)
                if code >= 400 and code != 409:
                    api.refused.append(message)
                status = {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}
                answer = json.dumps(status).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        return Handler

    def close(self) -> None:
        self.server.shutdown()
