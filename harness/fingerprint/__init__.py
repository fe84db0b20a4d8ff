"""What the machines were: hardware, kernel, settings and tool versions, as text under stable keys.

One shell script (`facts.sh`) asks the same of every machine, with one command: this one, a host, a guest, a
container. `keys.KEYS` says what each key means and which ones must agree before results are compared.
"""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from harness.errors import ToolError
from harness.fingerprint.keys import FLAGS, KEYS, Key, matters
from harness.fingerprint.reading import read
from harness.protocols import Machine

TIMEOUT = 120.0  # s; an emulated guest under load needs a few
LIBRARIES = ("numpy", "scipy", "psutil", "msgspec", "libvirt-python", "docker", "kubernetes")
ROOT = Path(__file__).parents[2]


def machine(machine: Machine, *, tools: Iterable[str] = (), scratch: str = ".") -> dict[str, str]:
    """Return the facts of a machine, from one command; `tools` are asked for their versions (`tool.NAME`).

    `scratch` is the directory whose file system is described. ToolError where the machine tells nothing.
    """
    done = machine.run(["sh", "-s", scratch], timeout=TIMEOUT, stdin=script(tools).encode())
    if not (facts := read(done.stdout)):
        said = " ".join(done.stderr.split())[-120:] or "no output"
        raise ToolError(f"{machine.name}: tells nothing of itself: exit status {done.code}: {said}; it must have sh")
    return facts


def controller(*, tools: Iterable[str] = (), scratch: str = ".") -> dict[str, str]:
    """Return the facts of this machine, of the Python that runs virtmark, and of virtmark itself."""
    try:
        done = subprocess.run(
            ["sh", "-s", scratch], input=script(tools), capture_output=True, text=True, errors="surrogateescape",
            timeout=TIMEOUT, check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"sh: cannot tell what this machine is: {error}") from None
    return read(done.stdout) | _python() | _virtmark()


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the facts that matter for comparing results and differ, by key; "" stands for what was not told."""
    return {
        key: (one.get(key, ""), other.get(key, ""))
        for key in sorted(one.keys() | other.keys())
        if matters(key) and one.get(key) != other.get(key)
    }


def script(tools: Iterable[str] = ()) -> str:
    """Return the shell script that asks, for these tools."""
    asked = "".join(f"version {shlex.quote(tool)}\n" for tool in tools)
    return (files("harness.fingerprint") / "facts.sh").read_text(encoding="utf-8") + asked


def _python() -> dict[str, str]:
    found = {"python.version": platform.python_version(), "python.implementation": platform.python_implementation()}
    for library in LIBRARIES:
        if known := _version(library):
            found[f"library.{library}"] = known
    return found


def _virtmark() -> dict[str, str]:
    found = {"virtmark.version": _version("virtmark"), "virtmark.revision": revision(ROOT)}
    return {key: value for key, value in found.items() if value}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def revision(folder: Path) -> str:
    """Return the git revision of a checkout, with +changes where tracked files differ from it; "" if it is none."""
    if not (folder / ".git").exists():
        return ""
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *words: str) -> str:
    argv = ["git", "--no-optional-locks", "-C", str(folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


__all__ = ["FLAGS", "KEYS", "Key", "controller", "differences", "machine", "matters", "read", "revision", "script"]
