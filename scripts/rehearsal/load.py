"""Keeps a cluster at work: as many audits as may run at once, one after the other, until it is told to stop.

It must never hide an audit that was refused or failed: the thread's error is raised where it is stopped.
"""

import threading
from pathlib import Path

# Seeds of the audits, in turn. As many run at once as one submitter may have.
SEEDS = (1, 2, 3, 4)
# Of a training: so that some are always in one.
STEPS = 400


class Load:
    def __init__(self, rehearsal):
        self.r, self.submitted, self.stopping, self.error = rehearsal, [], threading.Event(), None

    def submit(self, name: str, seed: int, by: str) -> bool:
        return self.r.ask("submit", self.spec(name, seed), by=by) is not None

    def spec(self, name: str, seed: int) -> str:
        """A spec in the data volume; the path as pods see it."""
        folder = Path(self.r.folder("claim", "lethe-data")) / "drill"
        own = {"id": f'id = "{name}"', "seed": f"seed = {seed}"}
        lines, section = [], ""
        for line in (folder / "audit.toml").read_text().splitlines():
            section = line if line.startswith("[") else section
            key = line.split(" ")[0]
            if (section, key) == ("[unlearn.gang]", "steps"):
                line = f"steps = {STEPS}"
            lines.append(own.get(key, line) if section == "[audit]" else line)
        (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")
        return f"/data/drill/{name}.toml"

    def start(self) -> None:
        self.thread = threading.Thread(target=self.keep, daemon=True)
        self.thread.start()

    def keep(self) -> None:
        try:
            # A submit whose answer was lost is made again: the same spec twice is one audit.
            while not self.stopping.wait(0.5):
                told = self.r.ask("list", by="feeder")
                if told is None or len(told["audits"]) >= len(SEEDS):
                    continue
                number = len(self.submitted)
                name, seed = f"rolled-{number}", SEEDS[number % len(SEEDS)]
                if self.submit(name, seed, "feeder"):
                    self.submitted.append((name, seed))
        except BaseException as error:
            self.error = error

    def stop(self) -> list:
        """Every audit that was submitted, with its seed."""
        self.stopping.set()
        self.thread.join()
        if self.error:
            raise self.error
        return self.submitted
