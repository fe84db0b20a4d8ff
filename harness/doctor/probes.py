"""Looking at this machine, and trying what it can do, in child processes and namespaces that vanish.

Nothing is judged here. Every function returns plain data for the function of the same name in `checks`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psutil

from harness import fingerprint, telemetry
from harness.clock import RealClock

ROOT = Path(__file__).parents[2]
NAMES = ("harness", "drivers", "analysis", "scenarios")
MODULES = {
    "libvirt": ("libvirt", "libvirt_qemu"), "docker": ("docker",), "kubernetes": ("kubernetes",), "load": ("locust",),
    "pdf": ("weasyprint",), "query": ("duckdb", "pyarrow"),
}
TIMEOUT = 30.0
TIME_ERROR = 5  # what adjtimex(2) answers when the clock is not synchronised


class Trial(NamedTuple):
    """Something tried: what it is, the command, what it is for, and what to do where it fails."""

    name: str
    argv: tuple[str, ...]
    purpose: str
    fix: str


class Tried(NamedTuple):
    """How a trial went: "" or what the command complained of."""

    trial: Trial
    trouble: str


def _link(kind: str) -> tuple[str, ...]:
    return ("unshare", "--net", "ip", "link", "add", "virtmark-try", "type", kind)


def _shaped(*discipline: str) -> tuple[str, ...]:
    script = 'ip link set lo up && exec tc qdisc add dev lo root "$@"'
    return ("unshare", "--net", "sh", "-c", script, "sh", *discipline)


_OVERLAY = """mount -t tmpfs none /mnt && cd /mnt && mkdir l u w m &&
exec mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w m"""


_PRIVILEGED = "run as root with CAP_SYS_ADMIN; a container needs --privileged"
NAMESPACES = tuple(
    Trial(f"namespace {kind}", ("unshare", f"--{kind}", *(("--fork",) if kind == "pid" else ()), "true"), "the lab",
          _PRIVILEGED)
    for kind in ("mount", "net", "pid", "uts", "ipc", "cgroup")
)
_KERNEL = "a kernel with {} (Debian's has it: modprobe {})"
FEATURES = (
    Trial("veth", _link("veth"), "the lab's network", _KERNEL.format("CONFIG_VETH", "veth")),
    Trial("bridge", _link("bridge"), "the lab's network", _KERNEL.format("CONFIG_BRIDGE", "bridge")),
    Trial("nft", ("unshare", "--net", "nft", "add table ip virtmark-try"), "cutting and losing traffic",
          _KERNEL.format("CONFIG_NF_TABLES", "nf_tables")),
    Trial("tun", ("test", "-c", "/dev/net/tun"), "networks of virtual machines", _KERNEL.format("CONFIG_TUN", "tun")),
    Trial("overlay", ("unshare", "--mount", "sh", "-c", _OVERLAY), "containers and lab hosts",
          _KERNEL.format("CONFIG_OVERLAY_FS", "overlay")),
    Trial("tbf", _shaped("tbf", "rate", "10mbit", "burst", "32k", "latency", "50ms"), "limiting traffic",
          _KERNEL.format("CONFIG_NET_SCH_TBF", "sch_tbf")),
    Trial("netem", _shaped("netem", "delay", "1ms"), "delaying traffic",
          _KERNEL.format("CONFIG_NET_SCH_NETEM", "sch_netem")),
)


def python() -> tuple[tuple[int, ...], str]:
    """Return Python's version and whether this is an environment of its own ("venv") or the system's ("system")."""
    return tuple(sys.version_info[:3]), "venv" if sys.prefix != sys.base_prefix else "system"


def owners() -> dict[str, tuple[list[str], str]]:
    """Return for each top-level name the distributions that bring it, and "ours" or the path of what is imported."""
    known = packages_distributions()
    found = {}
    for name in NAMES:
        spec = find_spec(name)
        places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
        origin = "ours" if places == [ROOT / name] else str(places[0] if places else "nothing")
        found[name] = (sorted(set(known.get(name, []))), origin)
    return found


def extras() -> dict[str, dict[str, str]]:
    """Return for each extra its requirement by module: "" if the module imports, else why not."""
    return {extra: {module: _import(module) for module in modules} for extra, modules in MODULES.items()}


def _import(module: str) -> str:
    """Import in a child, as some modules change the interpreter and broken libraries may end it."""
    if find_spec(module) is None:
        return "not installed"
    done = _run((sys.executable, "-c", f"import {module}"))
    return done and (done.splitlines() or [""])[-1]


def checkout() -> str:
    """Return the folder of the checkout that virtmark runs from; "" if it was installed from a package."""
    return str(ROOT) if (ROOT / "pyproject.toml").exists() else ""


def programs() -> list[tuple[str, str, str]]:
    """Return (program, Debian package, purpose) from the one table of them; program "-" brings none."""
    text = (files("drivers") / "packages.txt").read_text(encoding="utf-8")
    rows = (line.split(None, 2) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(program, package, purpose) for program, package, purpose in rows]


def tools() -> dict[str, str]:
    """Return the version of each program of the table that is here; "" for one that says none."""
    names = [program for program, _, _ in programs() if program != "-"]
    here = [name for name in names if shutil.which(name, path=_path())]
    return {name: facts(tuple(names)).get(f"tool.{name}", "") for name in here}


@functools.cache
def facts(asked: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Return the fingerprint of this machine."""
    return fingerprint.controller(tools=asked)


def user() -> int:
    """Return the effective user id."""
    return os.geteuid()


def trials(wanted: Sequence[Trial]) -> list[Tried]:
    """Try each in a child process of its own."""
    return [Tried(trial, _run(trial.argv)) for trial in wanted]


def _run(argv: Sequence[str]) -> str:
    """Return "" if the command succeeds, else what it complained of."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False, errors="replace",
                              stdin=subprocess.DEVNULL, env={**os.environ, "PATH": _path(), "LC_ALL": "C"})
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]}: {error.strerror if isinstance(error, OSError) else 'took too long'}"
    said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
    return said if done.returncode else ""


def _path() -> str:
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def kvm(path: str = "/dev/kvm") -> str:
    """Return "opens", "absent", or why /dev/kvm does not open."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except FileNotFoundError:
        return "absent"
    except OSError as error:
        return error.strerror or "does not open"
    return "opens"


def space() -> dict[str, int]:
    """Return the bytes left where the lab keeps its state and its cache."""
    places = {"VIRTMARK_STATE": "/var/lib/virtmark", "VIRTMARK_CACHE": "/var/cache/virtmark"}
    found = [os.environ.get(variable) or default for variable, default in places.items()]
    return {place: shutil.disk_usage(_existing(Path(place))).free for place in found}


def _existing(path: Path) -> Path:
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())


def memory() -> int:
    """Return the bytes of memory that could be had without swapping."""
    return int(psutil.virtual_memory().available)


def fonts() -> str | None:
    """Return the first font family with Chinese characters, "" if there is none, None if nobody could be asked."""
    argv = ["fc-list", ":lang=zh-cn", "family"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return min(done.stdout.splitlines(), default="").partition(",")[0]


def synchronised() -> bool | None:
    """Return whether the kernel holds its clock for synchronised; None if it cannot be asked."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.byref(ctypes.create_string_buffer(512)))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != TIME_ERROR


def noise(seconds: float = 1.0) -> dict[str, float]:
    """Return the conditions of a watch over `seconds` in which virtmark itself does nothing."""
    with telemetry.watch(RealClock()) as seen:
        time.sleep(seconds)
    return seen.conditions()
