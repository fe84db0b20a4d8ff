"""Whether hardware virtualization really runs a guest here: found out by booting one.

The one thing to know: /dev/kvm may open, and QEMU and libvirt may list kvm, on machines where no kernel boots with
it. So the guest's own kernel is booted up to its first process, with a time limit that emulation inside KVM misses.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from drivers.lab.cache import key
from drivers.lab.command import environment
from drivers.lab.layout import GUEST_CMDLINE, USERSPACE, Layout
from drivers.lab.state import living

DEVICE = Path("/dev/kvm")
LIMIT = 10.0


def domain_type(layout: Layout | None = None) -> str:
    """Return libvirt's domain type for guests of the lab that is up: "kvm", or "qemu" for emulation (TCG)."""
    return "kvm" if living(layout or Layout.current()).accelerator == "kvm" else "qemu"


def find(layout: Layout, inside: Sequence[str], image: Path) -> str:
    """Return "kvm" or "tcg"; `inside` is the argv prefix of a host. The answer is kept for this kernel and CPU."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    file = layout.cache / "accelerator.json"
    mark = key({"machine": list(os.uname()), "cpu": _processor(), "image": image.name})
    known = _read(file)
    if mark not in known:
        known = {mark: "kvm" if boots(inside, image) else "tcg"}
        file.write_text(json.dumps(known) + "\n")
    return str(known[mark])


def boots(inside: Sequence[str], image: Path, accelerator: str = "kvm", *, limit: float = LIMIT) -> bool:
    """Say whether the guest's kernel reaches its first process within `limit` seconds."""
    argv = [*inside, "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-machine", "q35",
            "-m", "256", "-accel", accelerator, "-cpu", "max", "-kernel", str(image / "vmlinuz"), "-initrd",
            str(image / "initrd.img"), "-append", f"{GUEST_CMDLINE} panic=-1", "-serial", "stdio"]
    deadline = time.monotonic() + limit
    said = b""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=environment()) as guest:
        assert guest.stdout is not None
        try:
            while (left := deadline - time.monotonic()) > 0 and select.select([guest.stdout], [], [], left)[0]:
                chunk = os.read(guest.stdout.fileno(), 65536)
                said += chunk
                if USERSPACE.encode() in said or not chunk:
                    break
        finally:
            guest.kill()
    return USERSPACE.encode() in said


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return "\n".join(line for line in lines[:30] if line.startswith(("model name", "stepping", "microcode", "flags")))


def _read(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
