"""Judging what was seen: pure functions from the data of `probes` to parts, each with its standing and its remedy.

MISSING is what the main job (`make certify`: lab, virtual machines, containers, report) needs; WARN is what makes
numbers worse, or closes one road of several.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from harness.doctor.probes import Tried
from harness.model import Record
from harness.units import show

GIB = 2**30
PYTHON = (3, 11)
INSTALL = "apt-get install --no-install-recommends"
Table = Sequence[tuple[str, str, str]]
QUICK_CLOCKS = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "xen", "arch_sys_counter", "tod", "timebase"}


class Standing(StrEnum):
    """How a part stands."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


class Part(Record, frozen=True, kw_only=True):
    """One part that was looked at: what was seen, and where it is not well, how to fix it."""

    name: str
    status: Standing
    seen: str
    fix: str = ""


def ok(name: str, seen: str) -> Part:
    """Return a part that is well."""
    return Part(name=name, status=Standing.OK, seen=seen)


def warn(name: str, seen: str, fix: str) -> Part:
    """Return a part that makes results worse or closes one road."""
    return Part(name=name, status=Standing.WARN, seen=seen, fix=fix)


def missing(name: str, seen: str, fix: str) -> Part:
    """Return a part without which the main job cannot be done."""
    return Part(name=name, status=Standing.MISSING, seen=seen, fix=fix)


def python(seen: tuple[tuple[int, ...], str]) -> Iterator[Part]:
    """Judge version and environment of Python."""
    version, kind = seen
    text = ".".join(map(str, version))
    if version < PYTHON:
        yield missing("python", text, f"install Python {'.'.join(map(str, PYTHON))} or later")
    elif kind == "system":
        yield warn("python", f"{text}, the system's", "give virtmark an environment of its own: python3 -m venv .venv")
    else:
        yield ok("python", f"{text}, in an environment of its own")


def names(owners: Mapping[str, tuple[Sequence[str], str]]) -> Iterator[Part]:
    """Judge who owns the names that virtmark's folders are imported by."""
    foreign = {name: sorted(set(owned) - {"virtmark"}) for name, (owned, _) in owners.items()}
    for name, (_, origin) in owners.items():
        if others := foreign[name]:
            yield missing(f"name {name}", f"also brought by {', '.join(others)}; imported from {origin}",
                          f"virtmark needs an environment of its own; here: pip uninstall {' '.join(others)}")
        elif origin != "ours":
            yield missing(f"name {name}", f"imported from {origin}",
                          "leave the folder that hides it, or unset PYTHONPATH")
    if not any(foreign.values()) and all(origin == "ours" for _, origin in owners.values()):
        yield ok("names", f"{', '.join(owners)} are virtmark's alone")


def extras(found: Mapping[str, Mapping[str, str]], checkout: str, table: Table) -> Iterator[Part]:
    """Judge which optional parts import; libvirt-python is compiled, with packages that are in the table."""
    build = " ".join(package for _, package, purpose in table if purpose.startswith("libvirt-python"))
    for extra, modules in found.items():
        source = f"-e {shlex.quote(f'{checkout}[{extra}]')}" if checkout else f"'virtmark[{extra}]'"
        before = f"{INSTALL} {build} && " if extra == "libvirt" else ""
        if trouble := {module: why for module, why in modules.items() if why}:
            yield warn(f"extra {extra}", "; ".join(f"{module}: {why}" for module, why in trouble.items()),
                       f"{before}{sys.executable} -m pip install {source}")
        else:
            yield ok(f"extra {extra}", f"{', '.join(modules)} can be imported")


def tools(versions: Mapping[str, str], table: Table) -> Iterator[Part]:
    """Judge which programs of the table are here; `versions` holds those that are."""
    for program, package, purpose in table:
        if program == "-":
            continue
        if program in versions:
            yield ok(program, versions[program] or "here; it tells no version")
        else:
            yield missing(program, f"not here; needed for: {purpose}",
                          f"{INSTALL} {package}")


def rights(user: int, namespaces: Sequence[Tried]) -> Iterator[Part]:
    """Judge whether the lab may be built: by root, out of namespaces that can really be made."""
    if user == 0:
        yield ok("root", "user id 0")
    else:
        yield missing("root", f"user id {user}; the lab cannot be built, other targets can be measured",
                      "run as root (sudo)")
    yield from _tried("namespaces", namespaces, Standing.MISSING)


def features(tried: Sequence[Tried]) -> Iterator[Part]:
    """Judge what the kernel offers; each feature was tried in namespaces of its own."""
    for each in tried:
        yield from _tried(each.trial.name, [each], Standing.WARN)


def _tried(name: str, tried: Sequence[Tried], bad: Standing) -> Iterator[Part]:
    failed = [each for each in tried if each.trouble]
    for trial, trouble in failed:
        yield Part(name=trial.name, status=bad, seen=f"tried and failed: {_line(trouble)}; it is for {trial.purpose}",
                   fix=trial.fix)
    if not failed:
        yield ok(name, "tried: " + ", ".join(each.trial.name.removeprefix("namespace ") for each in tried))


def machine(facts: Mapping[str, str]) -> Iterator[Part]:
    """Judge control groups, virtualization level, governor, mitigations and clock source."""
    version = facts.get("cgroup.version", "")
    if version:
        yield ok("cgroup", f"version {version}" if version != "hybrid" else "versions 1 and 2 side by side")
    else:
        yield missing("cgroup", "no control groups are mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    for limit in ("cgroup.cpu", "cgroup.memory"):
        if limit in facts:
            yield warn(limit, f"virtmark's own control group is limited to {facts[limit]}", "run outside of that limit")
    yield ok("machine", f"{facts.get('cpu.model', 'unknown CPU')}, {facts.get('cpu.threads', '?')} threads, "
             f"{facts.get('virt.level', 'level unknown')} {facts.get('virt.vendor', '')}".strip())
    yield _governor(facts.get("cpu.governor"))
    on = sum(value.startswith("Mitigation") for key, value in facts.items() if key.startswith("mitigation."))
    yield ok("mitigations", f"{on} in force against flaws of the CPU; every run lists them")
    source = facts.get("clock.source", "")
    if source and source not in QUICK_CLOCKS:
        yield warn("clock source", f"{source} is slow to read; short latencies will look longer",
                   f"choose one of: {facts.get('clock.available', 'none')} (kernel parameter clocksource=)")
    else:
        yield ok("clock source", source or "not told")


def _governor(governor: str | None) -> Part:
    if governor in (None, "performance"):
        return ok("CPU governor", governor or "none: the frequency is not in this machine's hands")
    return warn("CPU governor", f"{governor}: the frequency follows the load, and so do results",
                "cpupower frequency-set --governor performance")


def kvm(state: str) -> Iterator[Part]:
    """Judge /dev/kvm, which may open on machines where no guest boots with it."""
    if state == "opens":
        yield ok("/dev/kvm", "opens; only booting a guest tells whether it works: virtmark lab up does that")
    elif state == "absent":
        yield warn("/dev/kvm", "absent: guests are emulated (TCG), some ten times slower",
                   "enable virtualization in the firmware, or nesting in the hypervisor below")
    else:
        yield warn("/dev/kvm", f"does not open: {state}", "run as root, or join the group kvm")


def space(free: Mapping[str, int], memory: int) -> Iterator[Part]:
    """Judge disk space and memory for two hosts, a guest image and a few guests."""
    for place, left in free.items():
        yield _enough(f"space {place}", left, (3 * GIB, 8 * GIB), "make room, or set VIRTMARK_STATE and VIRTMARK_CACHE")
    yield _enough("memory", memory, (3 * GIB // 2, 4 * GIB), "end other work, or use a larger machine")


def _enough(name: str, left: int, limits: tuple[int, int], fix: str) -> Part:
    least, good = limits
    seen = f"{show(float(left), 'B', 3)} free"
    if left < least:
        return missing(name, f"{seen}; {show(float(least), 'B', 3)} are needed", fix)
    return warn(name, f"{seen}; {show(float(good), 'B', 3)} are advised", fix) if left < good else ok(name, seen)


def fonts(family: str | None) -> Iterator[Part]:
    """Judge whether charts can be labelled in Chinese."""
    if family:
        yield ok("Chinese font", family)
    else:
        yield warn("Chinese font", "none" if family == "" else "unknown: fc-list is not here",
                   "for reports in Chinese: apt-get install fonts-noto-cjk fontconfig")


def time(synchronised: bool | None) -> Iterator[Part]:
    """Judge whether wall clocks of several machines can be compared."""
    if synchronised is None:
        yield ok("clock", "whether it is synchronised could not be asked")
    elif synchronised:
        yield ok("clock", "synchronised")
    else:
        yield warn("clock", "not synchronised; no matter on one machine, but times of several cannot be compared",
                   "apt-get install chrony")


def noise(seen: Mapping[str, float]) -> Iterator[Part]:
    """Judge how quiet the machine is while virtmark does nothing."""
    busy, steal, load = seen.get("host.busy", 0.0), seen.get("host.steal", 0.0), seen.get("load.before", 0.0)
    text = f"{show(busy, '1', 2)} of the CPUs busy, load {load:.2g}"
    yield (warn("quiet", f"{text}, though virtmark does nothing", "end other work before measuring")
           if busy > 0.1 else ok("quiet", text))
    yield (warn("steal", f"{show(steal, '1', 2)} of the CPU time goes to others on the same physical machine",
                "measure at another time, or on a machine of your own")
           if steal > 0.01 else ok("steal", show(steal, "1", 2)))


def _line(text: str) -> str:
    return " ".join(text.split())[:160]
