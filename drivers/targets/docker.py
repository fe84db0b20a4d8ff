"""Containers of Docker or Podman, through the Docker SDK and whatever socket speaks that API.

The first process of a container reads from a connection that the controller holds; when the controller ends, however
it ends, that process ends with it, and the engine removes the container.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import docker

from drivers import shell
from drivers.shell import Shell, owner
from drivers.targets._exec import Container, hang_up, told
from drivers.targets._real import Real, system
from harness.errors import TargetError, Unsupported
from harness.model import Record
from harness.protocols import GuestSpec

LABEL = "virtmark"
PATIENCE = 120
_FIRST = ["sh", "-c", "cat >/dev/null; :"]


class Engine(Record, frozen=True, kw_only=True):
    """A machine that runs containers. With `lab`, the name of a host of the embedded lab, nothing else is needed.

    `socket` is the engine's, such as unix:///run/docker.sock (else DOCKER_HOST, else Docker's usual one); `shell` a
    shell spec for the machine itself, which may write below `directory`.
    """

    lab: str = ""
    socket: str = ""
    shell: str = ""
    directory: str = "/var/tmp"


class Docker(Real, frozen=True, kw_only=True, dict=True):
    """Containers of `image` on `hosts`; size and number of CPUs are limits of their control groups.

    `image` lab is the embedded lab's, with all tools; any other needs them, and sh. `storage` says where tools write:
    on a volume, or in the container's own layer. `capabilities` are added (SYS_NICE lets cyclictest set its priority).
    """

    hosts: tuple[Engine, ...] = (Engine(),)
    image: str = "lab"
    directory: str = "/scratch"
    storage: Literal["volume", "layer"] = "volume"
    runtime: str = ""
    network: str = ""
    capabilities: tuple[str, ...] = ()
    client_machine: str = ""

    def __post_init__(self) -> None:
        if not self.hosts:
            raise ValueError("hosts: is empty; name at least one")

    def facts(self) -> Mapping[str, str]:
        """Return what runs the containers on the first host."""
        api = self._api(0)
        with told(self._url(0)):
            version, info = api.version(), api.info()
            image = api.inspect_image(self._image)["Id"]
        parts = {part["Name"].split(" (")[0]: part["Version"].splitlines()[0] for part in version.get("Components", ())}
        podman = "Podman Engine" in parts
        options = info.get("SecurityOptions") or []
        found = {
            "vendor": "Podman" if podman else "Docker", "product": "Podman" if podman else "Docker Engine",
            "version": version["Version"], "accelerator": "container", "hosts": str(len(self.hosts)),
            "runtime": self.runtime or info.get("DefaultRuntime") or "unknown", "storage_driver": info.get("Driver"),
            "storage": self.storage, "rootless": str(any("rootless" in option for option in options)).lower(),
            "cgroups": f"v{info.get('CgroupVersion', '?')} {info.get('CgroupDriver', '?')}",
            "host_os": info.get("OperatingSystem"), "host_kernel": info.get("KernelVersion"), "image": self._image,
            "image_hash": image.removeprefix("sha256:")}
        runtimes = {f"{name.lower().replace(' ', '_')}_version": number for name, number in parts.items()
                    if name in ("OCI Runtime", "runc", "crun", "containerd", "Conmon")}
        below = system(self._below(0), "host_") if self._engine(0).shell or self._engine(0).lab else {}
        return self.described({key: str(value) for key, value in {**found, **runtimes, **below}.items() if value})

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator[Shell]:
        """Start a container that ends with this context, and at the latest with the controller."""
        api = self._api(spec.host)
        self._clean_once()
        name = owner.new_name(spec.role)
        with told(self._url(spec.host)), contextlib.ExitStack() as stack:
            identity = self._create(api, name, spec)
            stack.callback(_remove, api, identity)
            line = api.attach_socket(identity, params={"stdin": 1, "stream": 1})
            stack.callback(hang_up, line)
            api.start(identity)
            state = api.inspect_container(identity)
            address = self._checked(state)
            stack_of_guest = stack.pop_all()
        with stack_of_guest:
            yield Container(api, identity, spec.role, address=address, cwd=self.directory)

    @contextmanager
    def host(self, index: int = 0) -> Iterator[Shell]:
        """Yield the machine below the containers, in a directory of its own."""
        engine = self._engine(index)
        if not (engine.lab or engine.shell):
            raise Unsupported(f"docker: hosts[{index}] has no `shell`")
        with self._below(index).private(self._below_directory(index)) as machine:
            yield machine

    @contextmanager
    def client(self) -> Iterator[Shell]:
        """Yield the machine that looks from outside, in a directory of its own."""
        if not self.client_machine:
            raise Unsupported("docker: there is no client; name it as `client_machine`")
        parent = self.directory if self.client_machine.startswith("lab:") else self._engine(0).directory
        with shell.open(self.client_machine) as machine, machine.private(parent) as inside:
            yield inside

    def clean(self) -> Sequence[str]:
        """Remove the containers of controllers that are gone."""
        removed: list[str] = []
        for index in range(len(self.hosts)):
            api = self._api(index)
            if self._engine(index).lab or self._engine(index).shell:
                removed += self._below(index).clean(self._below_directory(index))
            with told(self._url(index)):
                for container in api.containers(all=True, filters={"label": LABEL}):
                    name = container["Names"][0].removeprefix("/")
                    if owner.left_behind(name):
                        _remove(api, container["Id"])
                        removed.append(f"{self._url(index)}: container {name}")
        return removed

    def close(self) -> None:
        """Disconnect from all engines."""
        for api in self._clients.values():
            api.close()
        self._clients.clear()

    def _create(self, api: Any, name: str, spec: GuestSpec) -> str:
        memory = int(spec.size.memory)
        limits = api.create_host_config(
            nano_cpus=spec.size.vcpus * 10**9, mem_limit=memory, memswap_limit=memory, auto_remove=True,
            cap_add=list(self.capabilities) or None, runtime=self.runtime or None,
            network_mode=self.network or None)
        made = api.create_container(
            self._image, name=name, entrypoint=_FIRST, stdin_open=True, labels={LABEL: "guest"}, host_config=limits,
            hostname=spec.role, volumes=[self.directory] if self.storage == "volume" else None)
        return str(made["Id"])

    def _checked(self, state: Mapping[str, Any]) -> str:
        """Return the address of a container that runs as it was asked to."""
        used = state["HostConfig"].get("Runtime")
        if self.runtime and used != self.runtime:  # Podman's API takes the name and ignores it
            raise TargetError(f"docker: runtime {self.runtime!r} was asked for, but the engine took {used!r}")
        if not state["State"]["Running"]:
            raise TargetError(f"container {state['Name']} ended at once; has its image a shell?")
        return _address(state)

    def _api(self, index: int) -> Any:
        """Return the connection to an engine; TargetError if there is none."""
        url = self._url(index)
        if index not in self._clients:
            _listens(url)
            with told(url):
                client = docker.DockerClient(base_url=url, timeout=PATIENCE)
                client.ping()
                self._clients[index] = client.api
        return self._clients[index]

    def _url(self, index: int) -> str:
        engine = self._engine(index)
        if engine.lab:
            from drivers.lab.layout import Layout
            from drivers.lab.state import living

            layout = Layout.current()
            living(layout)
            return f"unix://{layout.podman_socket(engine.lab)}"
        return engine.socket or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"

    def _engine(self, index: int) -> Engine:
        if index >= len(self.hosts):
            raise Unsupported(f"docker: there is no host {index}; name it under `hosts`")
        return self.hosts[index]

    def _below(self, index: int) -> Shell:
        engine = self._engine(index)
        return shell.lab_machine(engine.lab) if engine.lab else shell.open(engine.shell)

    def _below_directory(self, index: int) -> str:
        engine = self._engine(index)
        return self.directory if engine.lab else engine.directory

    @property
    def _image(self) -> str:
        if self.image != "lab":
            return self.image
        from drivers.lab.layout import CONTAINER_IMAGE

        return CONTAINER_IMAGE

    @functools.cached_property
    def _clients(self) -> dict[int, Any]:
        return {}

    @functools.cached_property
    def _cleaned(self) -> list[bool]:
        return []

    def _clean_once(self) -> None:
        if not self._cleaned:
            self._cleaned.append(True)
            self.clean()


def _remove(api: Any, identity: str) -> None:
    with contextlib.suppress(docker.errors.APIError):  # it may be gone by itself
        api.remove_container(identity, force=True, v=True)


def _address(state: Mapping[str, Any]) -> str:
    """Return a container's address; one that shares its host's network has none of its own."""
    settings = state["NetworkSettings"]
    found = [net["IPAddress"] for net in (settings.get("Networks") or {}).values() if net.get("IPAddress")]
    return str((found or [settings.get("IPAddress") or "127.0.0.1"])[0])


def _listens(url: str) -> None:
    """Raise TargetError if nobody listens on a unix socket; the SDK would say so in a page and leave its own open."""
    if url.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as link:
            try:
                link.connect(url.removeprefix("unix://"))
            except OSError as error:
                raise TargetError(f"{url}: {error.strerror or error}; does Docker or Podman run there?") from None
