"""The object store of the overlay `bucket`: a server of its own beside the pods, and the Secret with its variables.

It must never lie in a pod's folder: blobs that pods hand each other by a mount would not show.
"""

import subprocess
import time
import urllib.request
from pathlib import Path

PORT = 9000


class Bucket:
    def __init__(self, server: Path, address: str, name: str, out: Path):
        self.url, self.name = f"http://{address}:{PORT}", name
        log = (out / "logs/bucket.log").open("wb")
        self.process = subprocess.Popen([server, "-H", address, "-p", str(PORT)], stdout=log, stderr=log)
        self.secret = {"AWS_ACCESS_KEY_ID": "rehearsal", "AWS_SECRET_ACCESS_KEY": "rehearsal", "AWS_REGION": "us-east-1",
                       "AWS_ENDPOINT": self.url, "AWS_ALLOW_HTTP": "true"}

    def make(self, folder: Path) -> None:
        """The bucket, once the server answers, and the Secret's files."""
        request = urllib.request.Request(f"{self.url}/{self.name}", method="PUT")
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(request, timeout=5).close()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, "the bucket's server does not answer (logs/bucket.log)"
                time.sleep(0.2)
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in self.secret.items():
            (folder / key).write_text(value)

    def objects(self) -> int:
        """How many there are of the first thousand."""
        with urllib.request.urlopen(f"{self.url}/{self.name}?list-type=2", timeout=30) as listing:
            return listing.read().count(b"<Key>")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
