"""Which measuring tools a machine lacks, and what to install there.

The Debian package of each tool stands in `drivers/packages.txt`, the one table for set-up, doctor and errors alike.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterable, Sequence

from harness.protocols import Machine

_ASK = 'for tool in "$@"; do command -v "$tool" >/dev/null 2>&1 || echo "$tool"; done'


def missing(machine: Machine, tools: Iterable[str], *, timeout: float = 60.0) -> list[str]:
    """Return those of `tools` that are not on the machine's PATH; one command for all of them."""
    wanted = sorted(set(tools))
    if not wanted:
        return []
    return machine.run(["sh", "-c", _ASK, "sh", *wanted], timeout=timeout).checked().stdout.splitlines()


def advice(lacking: Sequence[str], where: str) -> str:
    """Return the sentence about missing tools: which, where, and the command that installs them."""
    packages = sorted({packages_by_tool().get(tool, tool) for tool in lacking})
    verb = "is" if len(lacking) == 1 else "are"
    return f"{', '.join(lacking)} {verb} missing {where}; there, run: apt-get install {' '.join(packages)}"


@functools.cache
def packages_by_tool() -> dict[str, str]:
    """Return the Debian package of every known tool."""
    text = (importlib.resources.files("drivers") / "packages.txt").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {row[0]: row[1] for row in rows if row[0] != "-"}
