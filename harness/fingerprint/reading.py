"""From what `facts.sh` printed to facts: raw lines are turned into numbers in base units, hashes and plain words."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping

from harness.fingerprint.keys import FLAGS, KEYS, covers

_LINE = re.compile(r"([A-Za-z][\w.+ \-()]*?)=(.*)")
# Facts that are one raw value under another name: fact -> raw keys, of which the first that was printed counts.
_RENAMED = {
    "cpu.model": ("cpuinfo.model name", "cpuinfo.Model", "cpuinfo.cpu", "cpuinfo.CPU part"),
    "cpu.vendor": ("cpuinfo.vendor_id", "cpuinfo.CPU implementer"),
    "cpu.family": ("cpuinfo.cpu family", "cpuinfo.CPU architecture"),
    "cpu.modelnumber": ("cpuinfo.model", "cpuinfo.CPU variant"),
    "cpu.stepping": ("cpuinfo.stepping", "cpuinfo.CPU revision"),
    "cpu.microcode": ("cpuinfo.microcode",),
    "cpu.bugs": ("cpuinfo.bugs",),
    "memory.hugepages": ("meminfo.HugePages_Total",),
    "cgroup.memory": ("cgroup.memory.max",),
}
# Facts that are a number in another unit: fact -> raw key, and how many B or Hz its unit has.
_SCALED = {
    "memory.total": ("meminfo.MemTotal", 1024),
    "memory.swap": ("meminfo.SwapTotal", 1024),
    "memory.hugepagesize": ("meminfo.Hugepagesize", 1024),
    "scratch.free": ("scratch.free", 1024),
    "cpu.frequency.max": ("cpu.frequency.max", 1000),
}


def read(text: str) -> dict[str, str]:
    """Return the facts in what the script printed, in the order of the table of keys; other lines are passed over."""
    raw: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            raw[match[1]].append(match[2].strip())
    once = {key: values[0] for key, values in raw.items() if values[0]}
    facts = {key: value for key, value in once.items() if any(covers(entry, key) for entry in KEYS)}
    facts |= {key: next((once[name] for name in names if name in once), "") for key, names in _RENAMED.items()}
    facts |= {key: str(int(once[name]) * unit) for key, (name, unit) in _SCALED.items() if once.get(name, "").isdigit()}
    facts |= _flags(once) | _counts(raw) | _settings(once) | _levels(once) | _state(once) | _tools(facts)
    order = {key: rank for rank, entry in enumerate(KEYS) for key in facts if covers(entry, key)}
    return {key: facts[key] for key in sorted(order, key=lambda key: (order[key], key)) if facts[key]}


def _flags(once: Mapping[str, str]) -> dict[str, str]:
    flags = sorted((once.get("cpuinfo.flags") or once.get("cpuinfo.Features") or "").split())
    if not flags:
        return {}
    digest = hashlib.sha256(" ".join(flags).encode()).hexdigest()[:16]
    return {"cpu.flags.sha256": digest, "cpu.flags": " ".join(flag for flag in flags if flag in FLAGS)}


def _counts(raw: Mapping[str, list[str]]) -> dict[str, str]:
    places = raw.get("topology", [])
    sockets = {place.split(" ")[0] for place in places}
    counted = {"cpu.threads": len(places), "cpu.cores": len(set(places)), "cpu.sockets": len(sockets)}
    counted["numa.nodes"] = len(raw.get("node", []))
    return {key: str(count) for key, count in counted.items() if count}


def _settings(once: Mapping[str, str]) -> dict[str, str]:
    """Return settings that machines spell differently; of a list of choices, the one in brackets."""
    found = {}
    if "cpu.no_turbo" in once or "cpu.boost" in once:
        found["cpu.turbo"] = "on" if once.get("cpu.no_turbo") == "0" or once.get("cpu.boost") == "1" else "off"
    quota = once.get("cgroup.cpu.max") or f"{once.get('cgroup.cpu.quota', '')} {once.get('cgroup.cpu.period', '')}"
    if match := re.fullmatch(r"(\d+) (\d+)", quota):
        found["cgroup.cpu"] = f"{int(match[1]) / int(match[2]):g}" if int(match[2]) else ""
    # The folders that an overlay is made of are in its options; they are no setting.
    found["scratch.options"] = ",".join(word for word in once.get("scratch.options", "").split(",") if "/" not in word)
    for key, value in once.items():
        if (key == "memory.thp" or key.endswith(".scheduler")) and (chosen := re.search(r"\[(.+?)\]", value)):
            found[key] = chosen[1]
    return found


def _levels(once: Mapping[str, str]) -> dict[str, str]:
    """Return on what this machine runs; it is nested where it is a guest that sees the CPU's virtualization."""
    flags = set((once.get("cpuinfo.flags") or "").split())
    guest, container = "hypervisor" in flags or "virt.vendor" in once, "virt.container" in once
    if not flags and not guest and not container:
        return {}
    emulated = "TCG" if "QEMU TCG" in once.get("cpuinfo.model name", "") else ""
    vendor = once.get("virt.vendor") or emulated or once.get("dmi.vendor")
    level = {(False, False): "metal", (True, False): "guest", (False, True): "container"}.get(
        (guest, container), "container in guest")
    nested = {"virt.nested": "offered" if flags & {"vmx", "svm"} or "virt.kvm" in once else "no"} if guest else {}
    return {"virt.level": level} | nested | ({"virt.vendor": vendor} if guest and vendor else {})


def _state(once: Mapping[str, str]) -> dict[str, str]:
    found = {"state.load": " ".join(once.get("state.load", "").split()[:3])}
    found["state.uptime"] = (once.get("state.uptime", "").split() or [""])[0]
    ticks = [int(word) for word in once.get("state.cpu", "").split()[1:9] if word.isdigit()]
    if len(ticks) == 8 and any(ticks):
        found["state.steal"] = f"{ticks[7] / sum(ticks):.6f}"
    return found


def _tools(facts: Mapping[str, str]) -> dict[str, str]:
    """Return tool versions without the kernel that the tool was run on, which some mention."""
    kernel = facts.get("kernel.release") or "\0"
    running = re.compile(rf",? ?\S* Linux {re.escape(kernel)}")
    return {key: running.sub("", value) for key, value in facts.items() if key.startswith("tool.")}
