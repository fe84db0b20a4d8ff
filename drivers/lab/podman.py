"""A container service in a lab host: Podman's Docker-compatible API on a socket that the controller reaches.

The one thing to know: the image is unpacked once, into a store in the cache that hosts use read-only beside their
own, so that bringing a lab up costs no import. Containers join the guests' bridge and get addresses of the lab's
own network.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drivers.lab import cache
from drivers.lab.command import environment, wait
from drivers.lab.enter import daemon, prefix
from drivers.lab.layout import BRIDGE, CONTAINER_IMAGE, CONTAINER_NETWORK, CONTAINERS, NETWORK, Layout, address
from drivers.lab.state import LabState
from harness.errors import LabError

# Root here may lack the right to raise limits, which Podman's own defaults do. What watches over a command in
# a container is to go soon after it: 300 s later, as is usual, it would disturb other measurements.
CONFIG = f"""[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 20
[network]
network_backend = "netavark"
default_network = "{CONTAINER_NETWORK}"
default_subnet = "{NETWORK}"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{own}"
runroot = "/run/containers"
[storage.options]
additionalimagestores = ["{shared}"]
"""
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}
CHANGES = ('ENTRYPOINT ["/usr/bin/tini","--"]', 'CMD ["sleep","infinity"]')
PATIENCE = 60.0
Say = Callable[[str], None]


def store(layout: Layout, image: Path) -> Path:
    """Return the folder of the read-only image store that belongs to a guest image."""
    return layout.cache / "containers" / image.name


def start(layout: Layout, state: LabState, host: str, say: Say) -> str:
    """Start the container service of a running host unless it answers; return its version."""
    if ask(layout.podman_socket(host), "/_ping") is None:
        _fill(store(layout, Path(state.image)), Path(state.image), prefix(state, layout, host, tools=False), say)
        say(f"{host}: starting the container service")
        layout.podman_socket(host).unlink(missing_ok=True)
        service = ["podman", "system", "service", "--time=0", f"unix://{layout.podman_socket(host)}"]
        daemon(state, host, service, layout.cache / "logs" / f"{layout.called(host)}-podman.log")
    wait(lambda: ask(layout.podman_socket(host), "/_ping") is not None, PATIENCE, f"{host}: container service")
    return str(json.loads(ask(layout.podman_socket(host), "/version") or b"{}").get("Version", ""))


def _fill(place: Path, image: Path, inside: Sequence[str], say: Say) -> None:
    """Unpack the image into the store in the cache, by the Podman that will use it."""
    if not cache.whole(place):
        say("container image: importing (about 10 s)")
        cache.build(place, lambda fresh: _import(fresh, image, inside), room=2 * 10**9)


def _import(fresh: Path, image: Path, inside: Sequence[str]) -> dict[str, Any]:
    podman = [*inside, "podman", "--root", str(fresh / "store"), "--runroot", "/run/import", "--storage-driver",
              "overlay", "--events-backend", "none"]
    changes = [word for change in CHANGES for word in ("--change", change)]
    with subprocess.Popen(["tar", "-C", str(image / "root"), "-cf", "-", "."], stdout=subprocess.PIPE) as tar:
        done = subprocess.run([*podman, "import", "--quiet", *changes, "-", CONTAINER_IMAGE], stdin=tar.stdout,
                              capture_output=True, text=True, env=environment(), check=False)
    if done.returncode or tar.returncode:
        said = done.stderr.strip().splitlines()
        raise LabError(f"podman import: {said[-1] if said else 'failed'}")
    return {"image": image.name, "id": done.stdout.strip()}


def configure(layout: Layout, host: str, image: Path) -> None:
    """Write the settings of a host's Podman, which it sees as /etc/containers."""
    own = layout.of(host) / "containers"
    (own / "etc" / "networks").mkdir(parents=True, exist_ok=True)
    (own / "etc" / "containers.conf").write_text(CONFIG)
    storage = STORAGE.format(own=own / "storage", shared=store(layout, image) / "store")
    (own / "etc" / "storage.conf").write_text(storage)
    (own / "etc" / "policy.json").write_text(json.dumps(POLICY))
    (own / "etc" / "registries.conf").write_text("unqualified-search-registries = []\n")
    (own / "etc" / "networks" / f"{CONTAINER_NETWORK}.json").write_text(json.dumps(network(host)))


def network(host: str) -> dict[str, Any]:
    """Return Podman's description of the lab's network: the host's own bridge, no gateway to anywhere else."""
    lease = {"start_ip": str(NETWORK[CONTAINERS[0]]), "end_ip": str(NETWORK[CONTAINERS[-1]])}
    subnet = {"subnet": str(NETWORK), "gateway": address(host), "lease_range": lease}
    return {
        "name": CONTAINER_NETWORK, "id": hashlib.sha256(CONTAINER_NETWORK.encode()).hexdigest(), "driver": "bridge",
        "network_interface": BRIDGE, "created": "2024-01-01T00:00:00Z", "subnets": [subnet], "ipv6_enabled": False,
        "internal": True, "dns_enabled": False, "ipam_options": {"driver": "host-local"},
    }


def ask(path: Path, what: str) -> bytes | None:
    """Return what the service at a unix socket answers to GET `what`; None if there is no service."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60.0)
        try:
            link.connect(str(path))
            link.sendall(f"GET {what} HTTP/1.0\r\nHost: podman\r\n\r\n".encode())
            answer = http.client.HTTPResponse(link)
            answer.begin()
            return answer.read()
        except (OSError, http.client.HTTPException):
            return None
