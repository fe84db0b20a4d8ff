"""Run the programs that a lab is made with; one that fails is a LabError with its last word.

The one thing to know: `contained` ties a program and everything it starts to this process. It runs in a process
and mount namespace of its own, which the kernel empties when we die, so that a killed build leaves nothing running
and nothing mounted.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import LabError

TICK = 0.02
_PATHS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_CONTAINED = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL",
              "--mount-proc", "--")


def contained(argv: Sequence[str]) -> list[str]:
    """Return a command line that runs `argv` so that nothing of it outlives this process."""
    return [*_CONTAINED, *argv]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with the folders of system programs and plain messages."""
    have = os.environ.get("PATH", "").split(os.pathsep)
    path = os.pathsep.join([*filter(None, have), *(p for p in _PATHS if p not in have)])
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **(extra or {})}


def call(argv: Sequence[str], *, stdin: str = "", timeout: float = 120.0) -> str:
    """Return what a program printed; LabError if it is missing, fails or takes longer than `timeout` seconds."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace", timeout=timeout,
                              env=environment(), check=False)
    except FileNotFoundError:
        raise LabError(f"{argv[0]}: no such program") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{_short(argv)}: did not end within {timeout:g} s") from None
    if done.returncode:
        raise LabError(f"{_short(argv)}: {_last(done.stderr or done.stdout, done.returncode)}")
    return done.stdout


def logged(argv: Sequence[str], log: Path, *, timeout: float, extra: Mapping[str, str] | None = None) -> None:
    """Run a long program contained, its output in `log`; LabError names the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(contained(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env=environment(extra))
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"{argv[0]}: did not end within {timeout:g} s; see {log}") from None
        finally:
            process.kill()
            process.wait()
    if code:
        raise LabError(f"{argv[0]}: {_last(log.read_text(errors='replace'), code)}; see {log}")


def wait(done: Callable[[], object], patience: float, what: str) -> None:
    """Wait until `done()` is true; LabError after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not done after {patience:g} s")
        time.sleep(TICK)


def _short(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) <= 100 else text[:97] + "..."


def _last(said: str, code: int) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {code}"
