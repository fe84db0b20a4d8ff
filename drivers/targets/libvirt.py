"""Virtual machines and containers through libvirt, with libvirt-python against real libvirt daemons.

Guests are transient domains that end with the controller's connection, so a killed controller leaves none running;
what it leaves in folders goes at the next start. A guest's UUID is made of its address, and libvirt runs only one
domain of a UUID: that is how several controllers share a host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import libvirt

from drivers import shell
from drivers.shell import Local, Shell, Ssh, owner
from drivers.targets import _faults, _lxc, _migration, _protected
from drivers.targets._agent import Agent
from drivers.targets._disturbing import Disturbing
from drivers.targets._domain import Domain, claim, mac, processor
from drivers.targets._hypervisor import Hypervisor, own_address
from drivers.targets._living import Wherever, roaming
from drivers.targets._real import Real, system
from drivers.targets._site import Host, Image, Site, lab_image, site, ssh_options
from harness.errors import InputError, TargetError, Unsupported
from harness.model import Event
from harness.protocols import Fault, GuestSpec, Injected, Machine, Migration, Moved
from harness.units import Seconds

T = TypeVar("T")
ACCELERATOR = {"kvm": "kvm", "qemu": "tcg", "lxc": "container"}


class Begun(NamedTuple):
    """A guest that was started and may still be booting."""

    place: Site
    daemon: Hypervisor
    domain: Any
    guest: Domain
    role: str


class Libvirt(Real, Disturbing, frozen=True, kw_only=True, dict=True):
    """Guests on `hosts`; see `Host` and `Image` for their keys.

    `domain_type` auto is kvm where a guest really boots with it, else qemu, which is emulation; lxc is containers.
    `cpu` is auto (all that the accelerator offers), a libvirt mode or a model name. `commands` says how guests are
    spoken to. `client_machine` is the shell spec of the machine that looks from outside.
    """

    hosts: tuple[Host, ...]
    image: Literal["lab"] | Image = "lab"
    domain_type: Literal["auto", "kvm", "qemu", "lxc"] = "auto"
    arch: str = "x86_64"
    machine: str = "q35"
    cpu: str = "auto"
    cache: Literal["none", "writeback", "writethrough", "directsync"] = "none"
    commands: Literal["agent", "ssh"] = "agent"
    boot: Seconds = Seconds(180)
    client_machine: str = ""

    def __post_init__(self) -> None:
        if not self.hosts:
            raise ValueError("hosts: is empty; name at least one")

    def facts(self) -> Mapping[str, str]:
        """Return what runs the guests on the first host, and how many hosts there are."""
        place, connection, kind = self._site(0), self._daemon(0).connection, self._kind
        found = system(place.system, "host_")
        libvirt_version = _dotted(connection.getLibVersion())
        version = f"libvirt {libvirt_version}"
        return self.described({
            "vendor": found["host_os_vendor"], "product": f"libvirt {'lxc' if kind == 'lxc' else 'qemu'}",
            "version": version if kind == "lxc" else f"QEMU {_dotted(connection.getVersion())}, {version}",
            "libvirt_version": libvirt_version, "accelerator": ACCELERATOR[kind], "domain_type": kind,
            "hosts": str(len(self.hosts)), "image_hash": self._image_hash,
            } | ({} if kind == "lxc" else self._machine_facts(connection)) | found)

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator[Shell]:
        """Boot a guest on a disk of its own; TargetError with the end of its console if it does not come up."""
        with self.guests((spec,)) as (machine,):
            yield machine

    @contextmanager
    def guests(self, specs: Sequence[GuestSpec]) -> Iterator[Sequence[Shell]]:
        """Start all guests, then wait for each."""
        with ExitStack() as stack:
            begun = [stack.enter_context(self._begun(spec)) for spec in specs]
            yield [stack.enter_context(self._ready(*one)) for one in begun]

    @contextmanager
    def _begun(self, spec: GuestSpec) -> Iterator[Begun]:
        """Start a guest on a disk of its own."""
        place, kind = self._site(spec.host), self._kind
        if kind == "lxc" and spec.life != "plain":
            raise Unsupported(f"libvirt: its containers cannot be {spec.life}")
        daemon = self._store(spec.host) if spec.life == "carried" else self._daemon(spec.host)
        self._clean_once()
        name = owner.new_name(spec.role)
        root = _lxc.root(place, self._image.root, name) if kind == "lxc" else daemon.disk(
            f"{name}.qcow2", self._image.disk, int(spec.size.disk))
        with root as path:
            guest = Domain(
                name=name, kind=kind, vcpus=spec.size.vcpus, memory=int(spec.size.memory), root=path,
                bridge=place.host.bridge, prefix=place.host.prefix, arch=self.arch, machine=self.machine, cpu=self.cpu,
                cache=self.cache, kernel=self._image.kernel, initrd=self._image.initrd,
                serial=f"{place.host.images}/{name}.serial", init=_lxc.INIT)
            try:
                with self._running(place, daemon, guest, spec) as (domain, guest):
                    yield Begun(place, daemon, domain, guest, spec.role)
            finally:
                self._daemon(spec.host).remove(f"{name}.serial")

    @contextmanager
    def host(self, index: int = 0) -> Iterator[Shell]:
        """Yield the machine below the guests, in a directory of its own."""
        place = self._site(index)
        if not place.host.shell:
            raise Unsupported(f"libvirt: hosts[{index}] has no `shell`")
        with place.tools.private(place.host.directory) as machine:
            yield machine

    @contextmanager
    def client(self) -> Iterator[Shell]:
        """Yield the machine that looks from outside, in a directory of its own."""
        if not self.client_machine:
            raise Unsupported("libvirt: there is no client; name it as `client_machine`")
        with shell.open(self.client_machine) as machine, machine.private(self._site(0).host.directory) as inside:
            yield inside

    def migrate(self, guest: Machine, to: int, how: Migration) -> Moved:
        """Migrate a guest that may move; a disk that goes along is made on the destination before, and removed here."""
        domain = guest.channel.domain if isinstance(guest, Agent) else None
        if not isinstance(domain, Wherever):
            raise Unsupported("libvirt: only virtual machines of life movable, carried or protected can be migrated")
        place, file, own = self._site(to), f"{domain.name()}.qcow2", how.storage == "copied"
        if not place.host.migration:
            raise Unsupported(f"libvirt: hosts[{to}] has no `migration`, the URI by which other hosts reach it")
        if own and not domain.carried:
            raise Unsupported("libvirt: storage = copied is for guests of life carried; the disk of this one is shared")
        before = self.whereabouts(guest)
        if own:
            self._store(to).remove(file)
            self._store(to).volume(file, domain.blockInfo("vda")[0])
        moved = _migration.move(domain, self._daemon(to).connection, place.host.migration, "", how, self.clock,
                                same_path=bool(place.host.lab))
        for index in (to if moved.error else each for each in before if own):
            self._store(index).remove(file)
        return moved

    def faults(self) -> Mapping[str, str]:
        """Return what can be broken here, and by what means."""
        return _faults.kinds(self)

    def fault(self, fault: Fault, guest: Machine | None) -> AbstractContextManager[Injected]:
        """Break it; leaving the context heals."""
        return _faults.inject(self, fault, guest)

    def whereabouts(self, guest: Machine) -> Sequence[int]:
        """Return the indices of all hosts on which a guest that may move runs now."""
        domain = guest.channel.domain if isinstance(guest, Agent) else None
        return tuple(domain.found()) if isinstance(domain, Wherever) else ()

    def chronicle(self, guest: Machine, since: float) -> Sequence[Event]:
        """Return what the cluster's own logs tell of hosts and of a protected guest."""
        domain = guest.channel.domain if isinstance(guest, Agent) else None
        if not isinstance(domain, Wherever):
            return ()
        return _protected.chronicle(self.hosts, domain.name(), since, self.clock.now())

    def management(self, index: int = 0) -> str:
        """Return the URI of the daemon on a host."""
        return str(self._site(index).host.uri)

    @contextmanager
    def console(self) -> Iterator[Shell]:
        """Yield the controller itself, which has what it takes to speak to libvirt."""
        path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        yield Local("controller", environment={"PATH": path})

    def clean(self) -> Sequence[str]:
        """Heal what controllers that are gone left broken, and remove their guests and files."""
        removed = _faults.mend(self) + _protected.clean(self.hosts)
        for index in range(len(self.hosts)):
            place = self._site(index)
            if place.host.shell:
                removed += place.tools.clean(place.host.directory)
            if self._kind == "lxc":
                removed += _lxc.clean(place)
            removed += self._daemon(index).clean()
            if place.host.private and self._kind != "lxc":
                removed += self._store(index).clean()
        return removed

    def close(self) -> None:
        """Disconnect from all hosts; guests go with the connections."""
        for daemon in (*self._daemons.values(), *self._stores.values()):
            daemon.close()

    def _start(self, place: Site, daemon: Hypervisor, guest: Domain, role: str, *, tied: bool) -> tuple[Any, Domain]:
        """Start the domain under the first free address."""
        if not place.addresses:
            guest = dataclasses.replace(guest, cmdline=self._command_line(place, "", role))
            return daemon.start(guest, tied=tied), guest
        taken = self._taken()
        for address in place.addresses:
            if claim(address) in taken or mac(address) in taken:
                continue
            addressed = dataclasses.replace(guest, address=address, cmdline=self._command_line(place, address, role))
            if domain := daemon.start(addressed, tied=tied):
                return domain, addressed
        raise TargetError(f"{daemon.uri}: no address of {place.host.addresses} is free; other guests have them")

    @contextmanager
    def _running(self, place: Site, daemon: Hypervisor, guest: Domain, spec: GuestSpec) -> Iterator[tuple[Any, Domain]]:
        """Start the domain, or have the platform start it; at the end it is gone."""
        if spec.life == "protected":
            _protected.refuse(self.hosts)
            address = _protected.free(place.addresses, self._taken(), guest.name)
            guest = dataclasses.replace(guest, address=address, cmdline=self._command_line(place, address, spec.role))
            with _protected.caring(guest, place.host.lab):
                yield Wherever(guest.name, self._connections), guest
            return
        domain, guest = self._start(place, daemon, guest, spec.role, tied=spec.life == "plain")
        if spec.life != "plain":
            uris = [self._site(index).host.uri for index in range(len(self.hosts))]
            found = Wherever(guest.name, self._connections, carried=spec.life == "carried")
            with self._own_disks(guest, spec), roaming(found, uris):
                yield found, guest
            return
        try:
            yield domain, guest
        finally:
            with contextlib.suppress(libvirt.libvirtError, TargetError):  # by name: the daemon may be another one now
                daemon.connection.lookupByName(guest.name).destroy()

    @contextmanager
    def _own_disks(self, guest: Domain, spec: GuestSpec) -> Iterator[None]:
        """At the end remove the disk of a guest that carries it along, on whatever host it is."""
        try:
            yield
        finally:
            for index in range(len(self.hosts) if spec.life == "carried" else 0):
                self._store(index).remove(f"{guest.name}.qcow2")

    def _taken(self) -> set[str]:
        return set[str]().union(*(self._daemon(index).taken() for index in range(len(self.hosts))))

    def _connections(self) -> Iterator[tuple[int, Any]]:
        """Yield the hosts whose daemon answers now, with a connection to each."""
        for index in range(len(self.hosts)):
            with contextlib.suppress(TargetError):
                yield index, self._daemon(index).connection

    @contextmanager
    def _ready(self, place: Site, daemon: Hypervisor, domain: Any, guest: Domain, role: str) -> Iterator[Shell]:
        """Yield the guest when it takes commands."""
        def wait(answers: Callable[[], T]) -> T:
            return self._wait(daemon, domain, guest, answers)

        def address() -> str:
            return guest.address or wait(lambda: own_address(domain))

        if guest.kind == "lxc":
            yield _lxc.machine(place, domain, role, address(), self._image.directory)
        elif self.commands == "agent":
            agent = Agent(domain, role, guest.address, self._image.directory)
            wait(agent.channel.await_agent)
            yield agent if guest.address else agent.at(address())
        else:
            via = shell.lab_machine("client", tools=False) if place.host.lab else Local()
            with Ssh(f"{self._image.user}@{address()}", options=ssh_options(self._image), via=via,
                     name=role) as machine:
                wait(lambda: machine.address)
                machine.cwd = self._image.directory
                yield machine

    def _wait(self, daemon: Hypervisor, domain: Any, guest: Domain, answers: Callable[[], T]) -> T:
        """Return what `answers` returns once it raises no TargetError; if that takes too long, tell how far it came."""
        deadline = time.monotonic() + self.boot
        while True:
            try:
                return answers()
            except TargetError as error:
                gone = not _active(domain)
                if gone or time.monotonic() > deadline:
                    lines = daemon.tail(f"{guest.name}.serial").strip().splitlines()[-5:]
                    console = " | ".join(line.strip() for line in lines) or "nothing"
                    why = "ended while it booted" if gone else f"takes no commands after {self.boot:g} s"
                    raise TargetError(f"guest {guest.name} {why} ({error}); its console said: {console}") from None
            time.sleep(0.1)

    def _command_line(self, place: Site, address: str, role: str) -> str:
        try:
            return self._image.cmdline.format(
                address=address, prefix=place.host.prefix, gateway=place.host.gateway, name=role)
        except (KeyError, IndexError, ValueError):
            raise InputError(f"image.cmdline: {self._image.cmdline!r}: only {{address}}, {{prefix}}, {{gateway}} and "
                             "{name} stand for something; write {{ and }} for braces") from None

    def _machine_facts(self, connection: Any) -> dict[str, str]:
        offered = ET.fromstring(connection.getDomainCapabilities(None, self.arch, self.machine, self._kind))
        return {"qemu_version": _dotted(connection.getVersion()), "cpu_model": processor(self._kind, self.cpu),
                "machine_type": offered.findtext("machine") or self.machine, "disk_cache": self.cache,
                "commands": self.commands, "guest_cmdline": self._image.cmdline or "its own boot loader's"}

    @functools.cached_property
    def _kind(self) -> str:
        """The domain type; auto is decided by booting a guest."""
        if self.domain_type != "auto":
            return self.domain_type
        if any(host.lab for host in self.hosts):
            from drivers.lab.accelerator import domain_type

            return domain_type()
        raise InputError("domain_type: auto is known for hosts of the embedded lab only; write kvm, qemu or lxc")

    @functools.cached_property
    def _image(self) -> Image:
        return lab_image() if self.image == "lab" else self.image

    @functools.cached_property
    def _image_hash(self) -> str:
        """The image's own hash, or the SHA-256 of its disk as the first host tells it."""
        place, image = self._site(0), self._image
        if image.hash or not (image.disk and place.host.shell):
            return image.hash or "unknown"
        done = place.system.run(["sha256sum", "--", image.disk], timeout=3600)
        return done.stdout.split()[0] if not done.code else "unknown"

    @functools.cached_property
    def _daemons(self) -> dict[int, Hypervisor]:
        return {}

    @functools.cached_property
    def _stores(self) -> dict[int, Hypervisor]:
        return {}

    @functools.cached_property
    def _sites(self) -> dict[int, Site]:
        return {}

    @functools.cached_property
    def _cleaned(self) -> list[bool]:
        return []

    def _clean_once(self) -> None:
        if not self._cleaned:
            self._cleaned.append(True)
            self.clean()

    def _site(self, index: int) -> Site:
        if index >= len(self.hosts):
            raise Unsupported(f"libvirt: there is no host {index}; name it under `hosts`")
        if index not in self._sites:
            self._sites[index] = site(self.hosts[index], self._kind, f"hosts[{index}]")
        return self._sites[index]

    def _daemon(self, index: int) -> Hypervisor:
        if index not in self._daemons:
            host = self._site(index).host
            self._daemons[index] = Hypervisor(host.uri, host.images)
        return self._daemons[index]

    def _store(self, index: int) -> Hypervisor:
        """Return the daemon of a host as the keeper of disks that no other host shares."""
        host = self._site(index).host
        if not host.private:
            raise Unsupported(f"libvirt: hosts[{index}] has no `private`, a folder for disks that no other host shares")
        if index not in self._stores:
            self._stores[index] = Hypervisor(host.uri, host.private)
        return self._stores[index]


def _active(domain: Any) -> bool:
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError:
        return False


def _dotted(number: int) -> str:
    """Read libvirt's way of writing versions: 9000000 is 9.0.0."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
