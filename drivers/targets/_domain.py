"""A guest as libvirt wants to hear of it: pure functions from records to XML."""

from __future__ import annotations

import ipaddress
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

AGENT = "org.qemu.guest_agent.0"
_SPACE = uuid.UUID("6f1dbd2c-7a50-5d8e-9d86-0a8f1f1f7c11")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a guest is made of; paths are those of its host. Memory in B.

    `kind` is kvm, qemu or lxc. `root` is the disk of a virtual machine, or the root folder of a container.
    """

    name: str
    kind: str
    vcpus: int
    memory: int
    root: str
    bridge: str
    address: str = ""
    prefix: int = 24
    arch: str = "x86_64"
    machine: str = "q35"
    cpu: str = "auto"
    cache: str = "none"
    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""
    serial: str = ""
    init: tuple[str, ...] = ()


def claim(address: str) -> str:
    """Return the UUID of the guest that has `address`: a host runs only one domain of a UUID, so it is a claim."""
    return str(uuid.uuid5(_SPACE, address))


def mac(address: str) -> str:
    """Return the hardware address that belongs to an IPv4 address, so that no two guests share one."""
    return "52:54:00:" + ":".join(f"{part:02x}" for part in ipaddress.IPv4Address(address).packed[1:])


def xml(guest: Domain) -> str:
    """Return the domain XML of a guest."""
    domain = ET.Element("domain", type=guest.kind)
    _add(domain, "name", guest.name)
    if guest.address:
        _add(domain, "uuid", claim(guest.address))
    _add(domain, "memory", str(-(-guest.memory // 1024)), unit="KiB")
    _add(domain, "vcpu", str(guest.vcpus))
    (_container if guest.kind == "lxc" else _machine)(domain, guest)
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _add(domain, f"on_{event}", action)
    return ET.tostring(domain, encoding="unicode")


def _machine(domain: ET.Element, guest: Domain) -> None:
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch=guest.arch, machine=guest.machine)
    for name in ("kernel", "initrd", "cmdline"):
        if value := getattr(guest, name):
            _add(system, name, value)
    _add(_add(domain, "features"), "acpi")
    _cpu(domain, guest)
    devices = _add(domain, "devices")
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type="qcow2", cache=guest.cache, discard="unmap")
    _add(disk, "source", file=guest.root)
    _add(disk, "target", dev="vda", bus="virtio")
    _interface(devices, guest, model="virtio")
    serial = _add(devices, "serial", type="file")
    _add(serial, "source", path=guest.serial, append="on")     # another host's QEMU goes on with it
    _add(_add(devices, "channel", type="unix"), "target", type="virtio", name=AGENT)
    _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    _add(devices, "memballoon", model="virtio")
    if "86" in guest.arch:
        _add(devices, "panic", model="isa")  # tells libvirt that the guest's kernel has panicked


def _cpu(domain: ET.Element, guest: Domain) -> None:
    wanted = processor(guest.kind, guest.cpu)
    if wanted in ("maximum", "host-passthrough", "host-model"):
        _add(domain, "cpu", mode=wanted)
    else:
        cpu = _add(domain, "cpu", mode="custom", match="exact", check="none")
        _add(cpu, "model", wanted, fallback="forbid")


def processor(kind: str, wanted: str) -> str:
    """Return libvirt's CPU mode or a model name; auto is all that the accelerator offers."""
    return {"kvm": "host-passthrough"}.get(kind, "maximum") if wanted == "auto" else wanted


def _container(domain: ET.Element, guest: Domain) -> None:
    """A container counts CPUs by a quota: libvirt's lxc driver gives every container all of the host's."""
    tune = _add(domain, "cputune")
    _add(tune, "shares", str(1024 * guest.vcpus))
    _add(tune, "period", "100000")
    _add(tune, "quota", str(100000 * guest.vcpus))
    system = _add(domain, "os")
    _add(system, "type", "exe")
    _add(system, "init", guest.init[0])
    for argument in guest.init[1:]:
        _add(system, "initarg", argument)
    devices = _add(domain, "devices")
    root = _add(devices, "filesystem", type="mount")
    _add(root, "source", dir=guest.root)
    _add(root, "target", dir="/")
    interface = _interface(devices, guest)
    if guest.address:
        _add(interface, "ip", address=guest.address, family="ipv4", prefix=str(guest.prefix))
        _add(interface, "link", state="up")
    _add(devices, "console", type="pty")


def _interface(devices: ET.Element, guest: Domain, model: str = "") -> ET.Element:
    interface = _add(devices, "interface", type="bridge")
    _add(interface, "source", bridge=guest.bridge)
    if guest.address:
        _add(interface, "mac", address=mac(guest.address))
    if model:
        _add(interface, "model", type=model)
    return interface


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: Any) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text or None
    return child
