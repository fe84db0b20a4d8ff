"""The Kubernetes Job that spreads the workers of a load over a cluster: as JSON, which `kubectl apply -f` takes.

The one thing to know: a pod needs nothing but Locust's own image. The generator's files come in a ConfigMap; each pod
calls the machine of the master on a port of its own (see `relay`).
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.errors import InputError

FOLDER = "/virtmark"
FILES = ("__init__.py", "schedule.py", "generator.py", "cluster.py", "precise.py", "visitors.py", "relay.py")
LOCUSTFILE = "locustfile.py"
CALL = 'exec python3 -m drivers.load.relay pod "$MASTER" "$((PORT + 1 + JOB_COMPLETION_INDEX))"'
MOST = 1000         # KiB that a ConfigMap may hold


def image() -> str:
    """Return Locust's image of the version that is installed here, as master and workers need the same one."""
    try:
        return f"docker.io/locustio/locust:{metadata.version('locust')}"
    except metadata.PackageNotFoundError:
        raise InputError("locust: not installed; run: pip install 'virtmark[load]', or name an --image") from None


def manifest(*, workers: int, master: str, port: int, image: str, name: str = "virtmark-load",
             namespace: str = "default", locustfile: Path | None = None) -> str:
    """Return a ConfigMap and a Job of `workers` pods that call `master` on `port` + 1 and following."""
    files = {name: (Path(__file__).parent / name).read_text() for name in FILES}
    if locustfile:
        try:
            files[LOCUSTFILE] = locustfile.read_text()
        except OSError as error:
            raise InputError(f"{locustfile}: {error.strerror}") from None
    if sum(map(len, files.values())) > MOST * 1024:
        raise InputError(f"{locustfile}: is too long; all files together may have {MOST} KiB")
    meta = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}}
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
                "data": {"package": "", **{each.replace("/", "."): text for each, text in files.items()}}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {
        "completions": workers, "parallelism": workers, "completionMode": "Indexed", "backoffLimit": 0,
        "template": {"metadata": {"labels": meta["labels"]}, "spec": _pod(name, master, port, image, files)}}}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [settings, job]}, indent=2) + "\n"


def _pod(name: str, master: str, port: int, image: str, files: dict[str, str]) -> dict[str, Any]:
    """Return what a pod is: one container with the files where Python finds them."""
    items = [{"key": "package", "path": "drivers/__init__.py"},
             *({"key": each, "path": LOCUSTFILE if each == LOCUSTFILE else f"drivers/load/{each}"} for each in files)]
    env = {"MASTER": master, "PORT": str(port), "PYTHONPATH": FOLDER, "PYTHONDONTWRITEBYTECODE": "1"}
    return {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "automountServiceAccountToken": False,
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}}}],
        "containers": [{
            "name": "worker", "image": image, "command": ["sh", "-c", CALL],
            "env": [{"name": key, "value": value} for key, value in env.items()],
            "volumeMounts": [{"name": "files", "mountPath": FOLDER, "readOnly": True}]}],
        "volumes": [{"name": "files", "configMap": {"name": name, "items": items}}]}


__all__ = ["FOLDER", "LOCUSTFILE", "image", "manifest"]
