"""Where guests go and what they are made of: the records of a target file, and what the embedded lab fills in."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from drivers import shell
from drivers.shell import Shell
from harness.errors import InputError
from harness.model import Record

SCRATCH = "/var/tmp"


class Host(Record, frozen=True, kw_only=True):
    """A machine that runs guests. With `lab`, the name of a host of the embedded lab, nothing else is needed.

    `uri` is libvirt's, `migration` the one by which the other hosts reach it; `shell` a shell spec for the machine
    itself; `images` the folder for disks there, `private` one that no other host shares; `bridge` the guests' network;
    `addresses` what guests may have, as "first-last" (else they are asked for theirs).
    """

    lab: str = ""
    uri: str = ""
    migration: str = ""
    shell: str = ""
    images: str = "/var/lib/libvirt/images"
    private: str = ""
    bridge: str = "br0"
    addresses: str = ""
    prefix: int = 24
    gateway: str = ""
    directory: str = SCRATCH


class Image(Record, frozen=True, kw_only=True):
    """What guests run; paths are those of the hosts, but for `key`.

    `disk` is a qcow2 file with a guest agent in it (or an ssh daemon that takes `user` with `key`); with `kernel` it
    is booted directly, `cmdline` may hold {address}, {prefix}, {gateway} and {name}. `root` is the root folder of
    containers. `directory` is where tools may write.
    """

    disk: str = ""
    root: str = ""
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    user: str = "root"
    key: str = ""
    known_hosts: str = ""
    directory: str = SCRATCH
    hash: str = ""


@dataclass(frozen=True)
class Site:
    """A host with everything filled in."""

    host: Host
    addresses: tuple[str, ...]

    @functools.cached_property
    def tools(self) -> Shell:
        """The host as the baseline of an overhead: in the lab with the very programs of the guest."""
        return _machine(self.host, tools=True)

    @functools.cached_property
    def system(self) -> Shell:
        """The host with its own programs."""
        return _machine(self.host, tools=False)


def site(host: Host, kind: str, where: str) -> Site:
    """Return `host` with everything filled in; `kind` is the domain type."""
    full = _in_lab(host, kind) if host.lab else host
    if not full.uri:
        raise InputError(f"{where}: give either lab, a host of the embedded lab, or uri, libvirt's connection")
    return Site(full, _addresses(full.addresses, where))


def lab_image() -> Image:
    """Return the image of the embedded lab."""
    from drivers.lab.layout import SCRATCH as LAB_SCRATCH
    from drivers.lab.layout import Layout
    from drivers.lab.state import living

    layout = Layout.current()
    living(layout)
    folder = layout.image.resolve()
    return Image(
        disk=str(folder / "base.qcow2"), root=str(folder / "root"), kernel=str(folder / "vmlinuz"),
        initrd=str(folder / "initrd.img"), key=str(folder / "id_ed25519"), known_hosts=str(folder / "known_hosts"),
        cmdline="console=ttyS0 quiet mitigations=off virtmark.ip={address}/{prefix} virtmark.name={name}",
        directory=LAB_SCRATCH, hash=folder.name)


def ssh_options(image: Image) -> Sequence[str]:
    """Return options of an ssh client for guests; without a file of known hosts any host key will do."""
    key = ("-i", image.key, "-o", "IdentitiesOnly=yes") if image.key else ()
    trust = ("-o", f"UserKnownHostsFile={image.known_hosts}") if image.known_hosts else (
        "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no")
    return (*key, *trust)


def _machine(host: Host, *, tools: bool) -> Shell:
    return shell.lab_machine(host.lab, tools=tools) if host.lab else shell.open(host.shell or "local")


def _in_lab(host: Host, kind: str) -> Host:
    """Return what the lab knows; its address pool is shared out, so that hosts and drivers never meet in it."""
    from drivers.lab import layout as lab

    layout = lab.Layout.current()
    driver = "lxc" if kind == "lxc" else "qemu"
    lanes = [(name, each) for name in lab.HOSTS for each in ("qemu", "lxc")]
    width = len(lab.GUESTS) // len(lanes)
    first = width * lanes.index((lab.find_machine(host.lab), driver))
    return msgspec.structs.replace(
        host, uri=layout.libvirt_uri(host.lab, driver), migration=layout.migration_uri(host.lab),
        shell=f"lab:{host.lab}", bridge=lab.BRIDGE,
        images=str(layout.private if driver == "lxc" else layout.shared), private=str(layout.private),
        prefix=lab.NETWORK.prefixlen,
        addresses=f"{lab.guest_address(first)}-{lab.guest_address(first + width - 1)}", directory=lab.SCRATCH)


def _addresses(span: str, where: str) -> tuple[str, ...]:
    """Read "10.0.0.10-10.0.0.19"."""
    if not span:
        return ()
    try:
        first, last = (int(ipaddress.IPv4Address(part.strip())) for part in span.split("-"))
    except ValueError:
        raise InputError(f"{where}.addresses: {span!r} is no range; write, say, \"10.0.0.10-10.0.0.99\"") from None
    if not 0 <= last - first < 65536:
        raise InputError(f"{where}.addresses: {span!r} must run upwards and hold at most 65536 addresses")
    return tuple(str(ipaddress.IPv4Address(number)) for number in range(first, last + 1))
