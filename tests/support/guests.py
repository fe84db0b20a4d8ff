"""A guest on a disk that outlives it: its QEMU is killed as a power cut would, and it boots again from the same disk.

It needs no lab, only the lab's guest image; it reaches this machine as 10.0.2.2 through QEMU's own network.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drivers.lab import cache, image
from drivers.lab.layout import Layout
from drivers.shell import Local, Ssh
from harness.clock import RealClock
from harness.errors import TargetError

HERE, GUEST = "10.0.2.2", "10.0.2.15"
BOOT = 120.0


@dataclass
class Outside:
    """What a workload needs of a lab, with this machine for the client."""

    clock: RealClock = field(default_factory=RealClock)
    rng: random.Random = field(default_factory=lambda: random.Random(4))

    def client(self):
        return Local("client", address=HERE)


def picture():
    """Return the folder of the guest image as it is now, or skip."""
    folder = image.folder(Layout.current())
    if not cache.whole(folder):
        pytest.skip("the guest image is not built; run: virtmark lab up")
    return folder


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Kept:
    """A guest with a disk of its own in `folder`, a copy on write of the image; `cache` as QEMU calls it."""

    def __init__(self, folder: Path, *, cache="none", memory=384, forwards=()):
        self.folder, self.cache, self.memory = folder, cache, memory
        self.ports = {port: free_port() for port in (22, *forwards)}
        self.image, self.disk, self._process = picture(), folder / "disk.qcow2", None
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.image / "base.qcow2",
                        self.disk, "2G"], check=True)

    def start(self):
        """Boot it."""
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in self.ports.items())
        argv = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", str(self.memory), "-accel", "tcg",
                "-cpu", "max", "-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd.img",
                "-drive", f"file={self.disk},if=virtio,cache={self.cache}", "-device", "virtio-rng-pci",
                "-nic", f"user,model=virtio-net-pci{forwards}", "-serial", f"file:{self.folder}/serial",
                "-append", f"console=ttyS0 quiet mitigations=off virtmark.ip={GUEST}/24 virtmark.name=sut"]
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdout=sys.stderr)

    def kill(self):
        """End its QEMU at once, as kill -9 does; what it had not given to the disk is gone."""
        if self._process and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @contextmanager
    def machine(self):
        """Yield it when it takes commands."""
        options = ("-p", str(self.ports[22]), "-i", str(self.image / "id_ed25519"), "-o", "IdentitiesOnly=yes",
                   "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no")
        until = time.monotonic() + BOOT
        with Ssh("root@127.0.0.1", options=options, name="sut") as machine:
            while True:
                try:
                    machine.run(["true"], timeout=60).checked()
                    break
                except TargetError:
                    if time.monotonic() > until or self._process.poll() is not None:
                        raise
                    time.sleep(0.2)
            yield machine


@contextmanager
def kept(folder, **how):
    """Yield a guest that runs; it is killed at the end."""
    guest = Kept(folder, **how)
    guest.start()
    try:
        yield guest
    finally:
        guest.kill()
