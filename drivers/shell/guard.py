"""What ends the processes of a controller that was killed.

Every process that virtmark starts carries `VIRTMARK_JOB=<owner>.<number>` in its environment, and so do all its
descendants, whatever sessions, process groups or namespaces they move to (fio's jobs leave both). A guard is a small
shell process that waits for the end of a pipe. The kernel closes the pipe however the controller ends; the guard then
kills every process that carries its owner's mark, removes the paths that it was told, and runs the commands it was
told that are not done yet, the last one first: that is how a fault heals whose controller was killed. The same script
serves a remote machine, at the far end of an ssh connection; each connection is an owner of its own, so that the end
of one does not touch what another started on the same machine.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from drivers.shell import owner

MARK = "VIRTMARK_JOB"
WAITING_LAUNCHERS = ("nsenter", "unshare")

# $1 = pattern of the mark's value, $2 = signal name; true if there was a process to send it to.
SIGNAL_MARKED = f"""
marked() {{
  found=$(grep -slz "^{MARK}=$1\\$" /proc/[0-9]*/environ)  # its status also tells of processes that ended meanwhile
  [ -n "$found" ] || return 1
  for file in $found; do pid=${{file#/proc/}}; kill "-$2" "${{pid%/environ}}" 2>/dev/null; done
}}
"""

# The same, and a SIGKILL is repeated until none is left that could fork.
SIGNAL_ALL = SIGNAL_MARKED + """
tries=0
while marked "$1" "$2" && [ "$2" = KILL ] && [ "$tries" -lt 50 ]; do tries=$((tries + 1)); sleep 0.02; done
exit 0
"""

# $1 = the owner; reads one order a line until the pipe closes: a path to remove; "!N COMMAND", a shell command to run
# at the end, the last one first; or "-N", that command is not needed any more.
SCRIPT = SIGNAL_MARKED + """
owner=$1; shift
commands=
while IFS= read -r line; do
  case $line in
    !*) set -- "$line" "$@" ;;
    -*) commands="$commands ${line#-} " ;;
    *) set -- "$@" "$line" ;;
  esac
done
tries=0
while [ "$tries" -lt 50 ] && marked "$owner[.].*" KILL; do tries=$((tries + 1)); sleep 0.02; done
for line; do
  case $line in
    !*) rest=${line#!}; number=${rest%% *}
        case "$commands" in *" $number "*) ;; *) sh -c "${rest#* }" ;; esac ;;
    *) rm -rf -- "$line" ;;
  esac
done
"""


class Guard:
    """The guard of one owner on one machine, spoken to through the stdin of `process`."""

    def __init__(self, owner: str, process: subprocess.Popen[bytes]) -> None:
        self.owner, self._process = owner, process
        self._numbers = itertools.count(1)

    def new_mark(self) -> str:
        """Return the mark of one more job of this owner."""
        return f"{self.owner}.{next(self._numbers)}"

    def remove_at_end(self, path: str) -> None:
        """Have the absolute `path` removed when the owner is gone; paths already removed by then are no error."""
        self._tell(path)

    @contextmanager
    def run_at_end(self, argv: Sequence[str]) -> Iterator[None]:
        """Have a command run if the owner is gone before the context is left; commands run the last one first."""
        number = next(self._numbers)
        command = shlex.join(argv)
        if "\n" in command:
            raise ValueError(f"a guard takes commands of one line, not {command!r}")
        self._tell(f"!{number} {command}")
        try:
            yield
        finally:
            self._tell(f"-{number}")

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.write(os.fsencode(line) + b"\n")
            self._process.stdin.flush()

    def close(self, timeout: float = 10.0) -> None:
        """Let it do its work now."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@functools.cache
def local() -> Guard:
    """Return the controller's guard on this machine; the first call starts it."""
    mine = owner.new()
    guard = Guard(mine, subprocess.Popen(
        ["sh", "-c", SCRIPT, "virtmark-guard", mine], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != MARK}))
    atexit.register(guard.close)
    return guard


def marked(mark: str) -> Iterator[int]:
    """Yield the process ids on this machine, in whatever namespace, whose mark is `mark`."""
    wanted = re.compile(rb"(?:^|\0)" + re.escape(f"{MARK}={mark}".encode()) + rb"(?:\0|$)")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted.search((folder / "environ").read_bytes()):
                yield int(folder.name)
        except OSError:
            continue  # ended meanwhile, or another user's


def send(mark: str, number: signal.Signals) -> None:
    """Send a signal to every process with that mark; SIGKILL is repeated until none is left that could fork.

    A launcher that waits for its command gets only SIGKILL: else it would end first, and with it the command's status.
    """
    kill = number is signal.SIGKILL
    for _ in range(50 if kill else 1):
        living = [pid for pid in marked(mark) if kill or _name(pid) not in WAITING_LAUNCHERS]
        for pid in living:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        if not living:
            break


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
