"""The pods of a rendered overlay, as a kubelet would start them.

It must never change what a manifest says but as an operator does: what cannot be played here (limits, policies) is left out and told.
"""

import uuid
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Mount:
    """A folder of a pod: tmpfs where it has no source."""

    path: str
    source: str | None
    is_read_only: bool = False
    bytes_at_most: int | None = None


@dataclass
class Pod:
    name: str
    image: str
    argv: list
    variables: dict = field(default_factory=dict)
    mounts: list = field(default_factory=list)
    grace_s: int = 30
    probes: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)


UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class Overlay:
    def __init__(self, documents: list, folders, addresses, api):
        self.documents = documents
        # What a kubelet gives pods of the cluster's API: variables, and the folder of an account.
        self.account, self.of_cluster = api.account, api.variables()
        # addresses(pod) gives a pod's.
        self.addresses = addresses
        # Where volumes lie on this machine: folders(kind, name) gives the folder.
        self.folders = folders

    def of_kind(self, kind: str) -> list:
        return [document for document in self.documents if document["kind"] == kind]

    def find(self, kind: str, name: str) -> dict:
        return next(d for d in self.of_kind(kind) if d["metadata"]["name"] == name)

    def scale(self, name: str, replicas: int) -> None:
        self.find("StatefulSet", name)["spec"]["replicas"] = replicas

    def update(self, name: str, tag: str) -> None:
        """Another tag of the image, as an overlay's `images` has it."""
        container = self.container(name)
        container["image"] = f"{container['image'].rsplit(':', 1)[0]}:{tag}"

    def replace(self, name: str, image: str, variables: dict) -> None:
        """Another image of the same tag, as an overlay's `images` has it, and variables by a patch."""
        container = self.container(name)
        container["image"] = f"{image}:{container['image'].rsplit(':', 1)[1]}"
        container["env"] = container.get("env", []) + [{"name": key, "value": value} for key, value in variables.items()]

    def container(self, name: str) -> dict:
        return self.find("StatefulSet", name)["spec"]["template"]["spec"]["containers"][0]

    def pods(self, name: str) -> list:
        """Of a StatefulSet, one a replica."""
        owner = self.find("StatefulSet", name)
        spec = owner["spec"]
        return [self.pod(spec["template"]["spec"], f"{name}-{n}", spec) for n in range(spec["replicas"])]

    def initial(self, name: str, patch: dict) -> list:
        """Of each replica the init container that a patch of the StatefulSet gives it, as a pod that ends."""
        owner, added = self.find("StatefulSet", name), patch["spec"]["template"]["spec"]
        spec = owner["spec"]["template"]["spec"]
        [container] = added["initContainers"]
        container = container | {"image": spec["containers"][0]["image"]}
        spec = spec | {"containers": [container], "volumes": spec["volumes"] + added["volumes"]}
        pods = [self.pod(spec, f"{name}-{n}", owner["spec"]) for n in range(owner["spec"]["replicas"])]
        for pod in pods:
            pod.name = f"{container['name']}-{pod.name}"
        return pods

    def job(self, name: str, minute: int, attempt: str) -> Pod:
        """The pod of the Job that a CronJob's controller makes for a minute."""
        spec = self.find("CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        pod = self.pod(spec, f"{name}-{minute}", {})
        pod.name += f"-{attempt}"
        return pod

    def pod(self, spec: dict, name: str, owner: dict) -> Pod:
        container = spec["containers"][0]
        variables = {key: value for source in container.get("envFrom", []) for key, value in self.secret(source).items()}
        variables |= self.of_cluster
        variables |= {each["name"]: self.value(each, name) for each in container.get("env", [])}
        claims = {each["metadata"]["name"] for each in owner.get("volumeClaimTemplates", [])}
        volumes = {each["name"]: each for each in spec.get("volumes", [])}
        mounts = []
        for mount in container.get("volumeMounts", []):
            if mount["name"] in claims:
                source = self.folders("claim", f"{mount['name']}-{name}")
                mounts.append(Mount(mount["mountPath"], source))
                continue
            mounts.append(self.mount(mount, volumes[mount["name"]]))
        argv = [self.expanded(word, variables) for word in container["command"] + container["args"]]
        probes = {kind: container[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in container}
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        return Pod(name, container["image"], argv, variables, mounts, spec["terminationGracePeriodSeconds"], probes, ports)

    def secret(self, source: dict) -> dict:
        """A Secret's keys as variables: its files, as whoever installs made them."""
        files = list(Path(self.folders("secret", source["secretRef"]["name"])).iterdir())
        assert files, f"nobody made the Secret {source['secretRef']['name']}"
        return {file.name: file.read_text() for file in files}

    def mount(self, mount: dict, volume: dict) -> Mount:
        path, is_read_only = mount["mountPath"], mount.get("readOnly", False)
        if "emptyDir" in volume:
            size = volume["emptyDir"]["sizeLimit"]
            return Mount(path, None, bytes_at_most=int(size[:-2]) * UNITS[size[-2:]])
        if "secret" in volume:
            return Mount(path, self.folders("secret", volume["secret"]["secretName"]), True)
        if "configMap" in volume:
            return Mount(path, self.folders("settings", volume["configMap"]["name"]), True)
        if "projected" in volume:
            kinds = {kind for source in volume["projected"]["sources"] for kind in source}
            assert kinds == {"serviceAccountToken", "configMap", "downwardAPI"}, kinds
            return Mount(path, self.account, True)
        claim = volume["persistentVolumeClaim"]
        return Mount(path, self.folders("claim", claim["claimName"]), is_read_only or claim.get("readOnly", False))

    def value(self, variable: dict, pod: str) -> str:
        if "value" in variable:
            return variable["value"]
        source = variable["valueFrom"]
        if "configMapKeyRef" in source:
            return self.find("ConfigMap", source["configMapKeyRef"]["name"])["data"][source["configMapKeyRef"]["key"]]
        match source["fieldRef"]["fieldPath"]:
            case "status.podIP":
                return self.addresses(pod)
            case "metadata.name" | "metadata.labels['batch.kubernetes.io/job-name']":
                return pod
            case "metadata.labels['batch.kubernetes.io/controller-uid']":
                return str(uuid.uuid5(uuid.NAMESPACE_URL, pod))
            case other:
                raise ValueError(f"nobody knows the field {other}")

    @staticmethod
    def expanded(word: str, variables: dict) -> str:
        for name, value in variables.items():
            word = word.replace(f"$({name})", value)
        return word
