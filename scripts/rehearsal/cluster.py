"""Pods on one machine: a network namespace each, on a bridge, and in it a container without a right, whose root nobody writes.

It must run in network and mount namespaces of its own (scripts/rehearsal.sh), and leave nothing behind: every process ends with
this one.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

# The block for benchmarks (RFC 2544): nobody's.
NETWORK = "198.18.77"
USER = "65532"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


class Cluster:
    def __init__(self, tools: Path, images: Path, folder: Path):
        self.tools, self.images, self.folder = tools, images, folder
        self.roots, self.places, self.running = {}, {}, {}
        self.mounted, self.tagged = {}, []
        self.names, self.places_made = {}, 0
        (folder / "logs").mkdir(parents=True)
        self.hosts = folder / "hosts"
        self.outside = f"{NETWORK}.1"  # what lies beyond the pods
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "pods", "type", "bridge")
        run("ip", "address", "add", f"{NETWORK}.1/24", "dev", "pods")
        run("ip", "link", "set", "pods", "up")

    def buildah(self, *words) -> str:
        libraries = f"{self.tools}/usr/lib/x86_64-linux-gnu:{self.tools}/lib/x86_64-linux-gnu"
        environment = dict(os.environ, LD_LIBRARY_PATH=libraries, CONTAINERS_REGISTRIES_CONF="/dev/null")
        where = ["--root", self.images / "store", "--runroot", self.images / "run", "--storage-driver", "vfs"]
        command = [self.tools / "usr/bin/buildah", *where, *words]
        return run(*command, stdout=subprocess.PIPE, env=environment, text=True).stdout

    def image(self, name: str) -> tuple:
        """An image's root folder and its configuration."""
        if name not in self.roots:
            told = json.loads(self.buildah("inspect", "--type", "image", name))
            configuration, identity = told["OCIv1"]["config"], told["FromImageID"]
            # One image under two names is one folder: with CUDA it holds 4 GB.
            if identity in self.mounted:
                self.roots[name] = self.mounted[identity]
                return self.roots[name][:2]
            assert configuration["User"].split(":")[0] not in ("", "0", "root"), f"{name} runs as root"
            policy = self.images / "policy.json"
            container = self.buildah("from", "--pull-never", "--signature-policy", policy, name).split()[-1]
            root = Path(self.buildah("mount", container).strip())
            assert not (root / "bin/sh").exists() and not (root / "usr/bin/sh").exists(), f"{name} has a shell"
            files = [path for path in root.rglob("*") if not path.is_symlink() and path.is_file()]
            risen = [path for path in files if path.stat().st_mode & 0o6000]
            assert not risen, f"{name}: {risen} run as others than who starts them"
            hidden = [path for path in files if not path.stat().st_mode & 0o004]
            assert not hidden, f"{name}: {hidden} cannot be read by the containers' user"
            # The containers' user must get there.
            for folder in [root, *root.parents]:
                if folder.is_relative_to(self.images):
                    folder.chmod(folder.stat().st_mode | 0o111)
            self.roots[name] = self.mounted[identity] = root, configuration, container
        return self.roots[name][:2]

    def another_name(self, images) -> str:
        """The same images under a tag of their own, for an update that has no next version."""
        for image in images:
            self.tagged.append(f"{image.rsplit(':', 1)[0]}:again")
            self.buildah("tag", image, self.tagged[-1])
        return "again"

    def place(self, name: str) -> str:
        """The address of a pod, whose namespace is made on the first call."""
        if name not in self.places:
            self.places_made += 1
            number = self.places_made + 1
            link = f"pod{number}"
            run("ip", "netns", "add", link)
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", link)
            run("ip", "link", "set", link, "master", "pods", "up")
            for words in (["address", "add", f"{NETWORK}.{number}/24", "dev", "eth0"],
                          ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
                run("ip", "-n", link, *words)
            self.places[name] = link, f"{NETWORK}.{number}"
        return self.places[name][1]

    def name_pods(self, names: dict) -> None:
        """A cluster's DNS: pods by the service that names them. Pods that run see the change."""
        self.names = names
        lines = ["127.0.0.1 localhost"]
        for pod, service in names.items():
            lines.append(f"{self.place(pod)} {pod}.{service} {pod}.{service}.lethe.svc {pod}")
        self.hosts.write_text("\n".join(lines) + "\n")

    def command(self, pod) -> list:
        root, configuration = self.image(pod.image)
        self.place(pod.name)
        # As a runtime does it: the places to mount at.
        (root / "etc/hosts").touch()
        for mount in pod.mounts:
            (root / mount.path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        words = ["ip", "netns", "exec", self.places[pod.name][0],
                 "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs",
                 self.tools / "usr/bin/bwrap", "--unshare-all", "--share-net", "--die-with-parent", "--clearenv",
                 "--hostname", pod.name, "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev",
                 "--ro-bind", self.hosts, "/etc/hosts", "--chdir", "/"]
        variables = dict(variable.split("=", 1) for variable in configuration.get("Env", []))
        for name, value in (variables | pod.variables).items():
            words += ["--setenv", name, value]
        for mount in pod.mounts:
            if mount.source is None:
                words += ["--size", str(mount.bytes_at_most)] if mount.bytes_at_most else []
                words += ["--tmpfs", mount.path]
            else:
                words += ["--ro-bind" if mount.is_read_only else "--bind", mount.source, mount.path]
        return [str(word) for word in [*words, "--", *pod.argv]]

    def start(self, pod, **streams):
        log = (self.folder / "logs" / f"{pod.name}.log").open("ab")
        libraries = f"{self.tools}/usr/lib/x86_64-linux-gnu:{self.tools}/lib/x86_64-linux-gnu"
        environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries}
        process = subprocess.Popen(self.command(pod), stdin=subprocess.DEVNULL, stderr=log, env=environment,
                                   **{"stdout": log, **streams})
        self.running[pod.name] = process
        return process

    def log(self, name: str) -> str:
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def inner(self, name: str) -> int:
        """The program's own pid: bwrap's child keeps the namespace, and its child is the program."""
        pid = self.running[name].pid
        for _ in range(2):
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return pid

    def terminate(self, name: str, grace_s: float) -> tuple:
        """SIGTERM as a kubelet sends it: the exit code, and how long it took."""
        began = time.monotonic()
        os.kill(self.inner(name), signal.SIGTERM)
        return self.running[name].wait(grace_s), time.monotonic() - began

    def end(self, name: str, grace_s: float) -> tuple:
        """As [`terminate`], and SIGKILL where the grace was not enough."""
        began = time.monotonic()
        try:
            return self.terminate(name, grace_s)
        except subprocess.TimeoutExpired:
            self.running[name].kill()
            return self.running[name].wait(), time.monotonic() - began
        except (IndexError, FileNotFoundError, ProcessLookupError):
            # It ended by itself before it was told.
            return self.running[name].wait(grace_s), time.monotonic() - began

    def move(self, name: str) -> None:
        """A pod that is made anew has another address."""
        run("ip", "link", "set", self.places.pop(name)[0], "nomaster")
        self.name_pods(self.names)

    def lose(self, name: str) -> None:
        """A node that is gone: nobody says goodbye, and its address answers nothing any more."""
        run("ip", "link", "set", self.places[name][0], "nomaster")
        self.running[name].kill()
        self.running[name].wait()
        del self.places[name]
        self.name_pods(self.names)  # where it is started again

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        for _, _, container in self.mounted.values():
            self.buildah("rm", container)
        # A name that stayed would keep the image when it is built again.
        for name in self.tagged:
            self.buildah("rmi", name)
