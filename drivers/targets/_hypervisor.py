"""One libvirt daemon: its connection, the disks of our guests, what runs there and what was left there.

Disks are made through libvirt's own storage calls, so that nothing needs to be installed beside the daemon, be it
here or on another machine. The folder of disks is a transient storage pool, shared by all controllers.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libvirt

from drivers.shell import owner
from drivers.targets import _domain
from harness.errors import TargetError

TAIL = 1 << 14


@dataclass
class Hypervisor:
    """The daemon at `uri`, which keeps disks in `images`."""

    uri: str
    images: str
    _opened: Any = field(default=None, repr=False, compare=False)

    @property
    def connection(self) -> Any:
        """Connect, again if the daemon was started again since; what libvirt would print as errors is raised anyway."""
        if self._opened is not None:
            with contextlib.suppress(libvirt.libvirtError):
                self._opened.getLibVersion()
                return self._opened
        libvirt.registerErrorHandler(lambda *_: None, None)
        try:
            self._opened = libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            raise TargetError(f"{self.uri}: {error}; does libvirtd run there?") from None
        return self._opened

    def close(self) -> None:
        """Disconnect; guests that are still there go with it."""
        if self._opened is not None:
            with contextlib.suppress(libvirt.libvirtError):
                pool = self._opened.storagePoolLookupByTargetPath(self.images)
                ours = not pool.isPersistent() and pool.name().startswith(owner.PREFIX)
                if ours and not any(name.startswith(owner.PREFIX) for name in pool.listVolumes()):
                    pool.destroy()  # forgets the folder; the next one who needs it makes it again
            with contextlib.suppress(libvirt.libvirtError):
                self._opened.close()
            self._opened = None

    def start(self, guest: _domain.Domain, *, tied: bool = True) -> Any:
        """Start a guest, `tied` to end with this connection; None if its address was taken meanwhile."""
        try:
            return self.connection.createXML(_domain.xml(guest), libvirt.VIR_DOMAIN_START_AUTODESTROY if tied else 0)
        except libvirt.libvirtError as error:
            if "already exists with uuid" in str(error) or "already being started" in str(error):
                return None
            raise TargetError(f"{self.uri}: guest {guest.name} does not start: {error}") from None

    def taken(self) -> set[str]:
        """Return the UUIDs and hardware addresses of all domains, whoever made them."""
        found: set[str] = set()
        for domain in self._domains():
            with contextlib.suppress(libvirt.libvirtError):
                found.add(domain.UUIDString())
                found.update(re.findall(r"<mac address='([^']+)'", domain.XMLDesc()))
        return found

    @contextlib.contextmanager
    def disk(self, name: str, base: str, size: int) -> Iterator[str]:
        """Make an overlay of at least `size` bytes on the image `base`; yield its path; remove it at the end."""
        path = self.volume(name, size, base)
        try:
            yield path
        finally:
            self.remove(name)

    def volume(self, name: str, size: int, base: str = "") -> str:
        """Make a disk of at least `size` bytes, an overlay on the image `base` if there is one; return its path."""
        volume = ET.Element("volume")
        ET.SubElement(volume, "name").text = name
        ET.SubElement(volume, "capacity").text = str(size)
        target = ET.SubElement(volume, "target")
        ET.SubElement(target, "format", type="qcow2")
        ET.SubElement(target, "compat").text = "1.1"
        if base:
            backing = ET.SubElement(volume, "backingStore")
            ET.SubElement(backing, "path").text = base
            ET.SubElement(backing, "format", type="qcow2")
        try:
            return str(self._pool().createXML(ET.tostring(volume, encoding="unicode")).path())
        except libvirt.libvirtError as error:
            on = f" on {base}" if base else ""
            raise TargetError(f"{self.uri}: no disk{on} can be made in {self.images}: {error}") from None

    def tail(self, name: str) -> str:
        """Return the end of a file in the folder of disks, such as a guest's console."""
        try:
            volume = self._refreshed().storageVolLookupByName(name)
            size = volume.info()[1]
            stream = self.connection.newStream()
            volume.download(stream, max(0, size - TAIL), min(size, TAIL))
            pieces = []
            while piece := stream.recv(TAIL):
                pieces.append(piece)
            stream.finish()
        except libvirt.libvirtError:
            return ""
        return b"".join(pieces).decode(errors="replace")

    def remove(self, name: str) -> bool:
        """Remove a file from the folder of disks; tell whether it was there."""
        try:
            self._refreshed().storageVolLookupByName(name).delete()
        except libvirt.libvirtError:
            return False
        return True

    def clean(self) -> list[str]:
        """Remove what controllers of this machine left that are gone."""
        removed = []
        for domain in self._domains():
            with contextlib.suppress(libvirt.libvirtError):
                if owner.left_behind(domain.name()):
                    removed.append(f"{self.uri}: guest {domain.name()}")
                    domain.destroy()
        for volume in self._refreshed().listAllVolumes():
            with contextlib.suppress(libvirt.libvirtError):
                if owner.left_behind(volume.name()):
                    volume.delete()
                    removed.append(f"{self.uri}: file {volume.name()}")
        return removed

    def _domains(self) -> list[Any]:
        try:
            return list(self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))
        except libvirt.libvirtError as error:
            raise TargetError(f"{self.uri}: {error}") from None

    def _refreshed(self) -> Any:
        """Return the pool, knowing of files that were not made through it; one that vanishes meanwhile is no error."""
        pool = self._pool()
        with contextlib.suppress(libvirt.libvirtError):
            pool.refresh()
        return pool

    def _pool(self) -> Any:
        """Return the pool of the folder of disks; whoever comes first makes it."""
        path = ET.Element("pool", type="dir")
        ET.SubElement(path, "name").text = f"{owner.PREFIX}{hashlib.sha256(self.images.encode()).hexdigest()[:8]}"
        ET.SubElement(ET.SubElement(path, "target"), "path").text = self.images
        with contextlib.suppress(libvirt.libvirtError):
            return self.connection.storagePoolLookupByTargetPath(self.images)
        try:
            return self.connection.storagePoolCreateXML(ET.tostring(path, encoding="unicode"))
        except libvirt.libvirtError as error:
            with contextlib.suppress(libvirt.libvirtError):  # another controller was quicker
                return self.connection.storagePoolLookupByTargetPath(self.images)
            raise TargetError(f"{self.uri}: {self.images} cannot hold disks: {error}") from None


def own_address(domain: Any) -> str:
    """Return the IPv4 address that a guest gave itself, as its agent, libvirt's leases or the host's ARP table tell."""
    for source in (libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
                   libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP):
        with contextlib.suppress(libvirt.libvirtError):
            for interface in domain.interfaceAddresses(source).values():
                for entry in interface["addrs"] or ():
                    if entry["type"] == libvirt.VIR_IP_ADDR_TYPE_IPV4 and not entry["addr"].startswith("127."):
                        return str(entry["addr"])
    raise TargetError(f"{domain.name()}: has no address yet")
