"""What all real platforms share: real time, what the user may declare about them, and facts about their systems."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import ClassVar

from harness.clock import Clock, RealClock
from harness.model import Record
from harness.protocols import Machine

_ASK = "cat /etc/os-release /usr/lib/os-release 2>/dev/null; uname -sr; uname -m"


class Real(Record, frozen=True, kw_only=True, dict=True):
    """A platform in real time. `vendor`, `product` and `version` replace what it says about itself, if given.

    Instances keep their connections in cached properties, beside the frozen settings.
    """

    clock: ClassVar[Clock] = RealClock()

    vendor: str = ""
    product: str = ""
    version: str = ""

    def described(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return `found` with what the target file declares instead, and the names of what it declares."""
        given = {key: value for key in ("vendor", "product", "version") if (value := getattr(self, key))}
        return {**found, **given} | ({"declared": " ".join(given)} if given else {})


def system(machine: Machine, prefix: str = "") -> dict[str, str]:
    """Return what runs on a machine: os, os_vendor, os_version, kernel, architecture; keys begin with `prefix`."""
    lines = machine.run(["sh", "-c", _ASK], timeout=60).stdout.splitlines()
    release: dict[str, str] = {}
    for line in lines[:-2]:
        key, _, value = line.partition("=")
        release.setdefault(key, " ".join(_words(value)))
    found = {
        "os": release.get("PRETTY_NAME", "unknown"), "os_vendor": release.get("NAME", "unknown"),
        "os_version": release.get("VERSION_ID", "unknown"),
        "kernel": lines[-2] if len(lines) > 1 else "unknown", "architecture": lines[-1] if lines else "unknown"}
    return {prefix + key: value for key, value in found.items()}


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return [value]
