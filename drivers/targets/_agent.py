"""Commands and files in a virtual machine through the QEMU guest agent: no network, no ssh daemon needed.

Limits that were found the hard way: one answer of more than 10 MiB makes libvirt give up on the agent for good, one of
more than about 3 MiB does not fit a libvirt message, and requests much above 64 KiB stall. So output goes to files in
the guest and is fetched in pieces. Starting a process is the expensive part (tens of milliseconds without hardware
virtualization, twice that with shared libraries), hence one shell and one program per command and no more, and
busybox for the shell where the guest has it. Programs are looked up by path, so that it never runs its own instead.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import heapq
import json
import re
import time
from collections.abc import Sequence
from typing import Any

import libvirt
import libvirt_qemu

from drivers.shell import Shell, guard
from drivers.shell.local import PATH, text
from harness.errors import TargetError, ToolError
from harness.protocols import Completed

READ, WRITE = 1 << 20, 48 << 10
PATIENCE = 60  # seconds for one answer of the agent
FOLDER = "/run"
BUSYBOX = "/bin/busybox"
_FILE_ERROR = re.compile(r"guest-file-\w+': (.+)")
# $1 = working directory, $2 = where output goes, $3 = input, $4 = mark, then the command. Tells which output there is.
_COMMAND = f"""
cd "$1" || exit 125
out=$2 given=$3 mark=$4
shift 4
program=$1
case $1 in
*/*) ;;
*) IFS=:
  for folder in $PATH; do
    [ ! -x "$folder/$1" ] || [ -d "$folder/$1" ] || {{ program=$folder/$1; break; }}
  done ;;
esac
shift
(export {guard.MARK}="$mark"; exec "$program" "$@") <"$given" >"$out.1" 2>"$out.2"
code=$?
[ ! -s "$out.1" ] || printf 1
[ ! -s "$out.2" ] || printf 2
exit "$code"
"""


# In front of scripts of our own where busybox is the shell.
_FRUGAL = f"""
grep() {{ {BUSYBOX} grep "$@"; }}
sleep() {{ {BUSYBOX} sleep "$@"; }}
"""


class Channel:
    """The agent of one domain."""

    def __init__(self, domain: Any, name: str) -> None:
        self._domain, self.name = domain, name
        self._shell: tuple[str, ...] = ("/bin/sh",)

    @property
    def domain(self) -> Any:
        """The domain of libvirt as it is now."""
        return self._domain

    def await_agent(self) -> None:
        """Return if the agent answers, having seen which shell is the cheapest; TargetError if it does not."""
        self.call("guest-ping")
        with contextlib.suppress(ToolError):
            self.call("guest-file-close", handle=self.call("guest-file-open", path=BUSYBOX, mode="r"))
            self._shell = (BUSYBOX, "sh")

    def call(self, command: str, **arguments: Any) -> Any:
        """Return the agent's answer; ToolError for a file error, TargetError for all else."""
        request = json.dumps({"execute": command, "arguments": arguments})
        try:
            return json.loads(libvirt_qemu.qemuAgentCommand(self._domain, request, PATIENCE, 0))["return"]
        except libvirt.libvirtError as error:
            if found := _FILE_ERROR.search(str(error)):
                raise ToolError(f"{found[1]} (on {self.name})") from None
            raise TargetError(f"{self.name}: {command}: {error}") from None

    def execute(self, script: str, *arguments: str) -> int:
        """Start a shell script and return its process id."""
        frugal = _FRUGAL if len(self._shell) > 1 else ""
        return int(self.call(
            "guest-exec", path=self._shell[0], arg=[*self._shell[1:], "-c", frugal + script, "sh", *arguments],
            env=[f"PATH={PATH}", "LC_ALL=C.UTF-8", "HOME=/root"], **{"capture-output": True})["pid"])

    def status(self, pid: int) -> dict[str, Any] | None:
        """Return how a process ended, or None while it runs; to be asked only once after the end.

        A guest under full load may be too slow to answer once; that is no reason to give the command up.
        """
        for left in (2, 1, 0):
            try:
                answer = self.call("guest-exec-status", pid=pid)
                return answer if answer["exited"] else None
            except TargetError:
                if not left or not self._alive():
                    raise
        return None

    def _alive(self) -> bool:
        try:
            return bool(self._domain.isActive())
        except libvirt.libvirtError:
            return False

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        handle = self.call("guest-file-open", path=path, mode="r")
        pieces = []
        try:
            while True:
                piece = self.call("guest-file-read", handle=handle, count=READ)
                pieces.append(base64.b64decode(piece["buf-b64"]))
                if piece["eof"] or not pieces[-1]:
                    return b"".join(pieces)
        finally:
            self.call("guest-file-close", handle=handle)

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file."""
        handle = self.call("guest-file-open", path=path, mode="w")
        try:
            for start in range(0, len(data), WRITE):
                self._write_all(handle, data[start:start + WRITE])
        finally:
            self.call("guest-file-close", handle=handle)

    def _write_all(self, handle: int, data: bytes) -> None:
        while data:
            piece = base64.b64encode(data).decode()
            count = self.call("guest-file-write", handle=handle, **{"buf-b64": piece})["count"]
            if not count:
                raise ToolError(f"a file cannot be written on {self.name}; is its disk full?")
            data = data[count:]


class AgentJob:
    """A command in the guest."""

    def __init__(self, shell: Agent, argv: Sequence[str], slot: int, mark: str, pid: int) -> None:
        self._shell, self._argv, self._slot, self._mark, self._pid = shell, tuple(argv), slot, mark, pid
        self._began = time.monotonic()
        self._done: Completed | None = None

    def wait(self, timeout: float) -> Completed | None:
        """Ask until it has ended: often at first, then at every 50th part of the time it has taken."""
        deadline = time.monotonic() + timeout
        pause = 0.005
        while self._done is None:
            if ended := self._shell.channel.status(self._pid):
                self._done = self._collect(ended)
            elif (left := deadline - time.monotonic()) <= 0:
                break
            else:
                time.sleep(min(pause, left))
                pause = min(max(pause * 1.3, (time.monotonic() - self._began) / 50), 0.5)
        return self._done

    def signal(self, name: str) -> None:
        """Send a signal to the command and all its descendants."""
        channel = self._shell.channel
        pid = channel.execute(guard.SIGNAL_ALL, self._mark, name)
        deadline = time.monotonic() + PATIENCE
        while channel.status(pid) is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def drain(self) -> None:
        """Output goes to files; nothing blocks."""

    def _collect(self, ended: dict[str, Any]) -> Completed:
        elapsed = time.monotonic() - self._began
        there = base64.b64decode(ended.get("out-data", "")).decode()
        out, err = (self._shell.fetch(self._slot, stream) if stream in there else b"" for stream in "12")
        self._shell.release(self._slot)
        code = ended["exitcode"] if "exitcode" in ended else 128 + int(ended.get("signal", 0))
        return Completed(argv=self._argv, code=code, stdout=text(out), stderr=text(err), elapsed=elapsed)


class Agent(Shell):
    """A virtual machine, through its guest agent."""

    def __init__(self, domain: Any, name: str, address: str, cwd: str = "/") -> None:
        self.name, self._address, self.cwd = name, address, cwd
        self.channel = Channel(domain, name)
        self._slots: list[int] = list(range(1000))

    @property
    def address(self) -> str:
        return self._address

    def at(self, address: str) -> Agent:
        """Return the same machine, which is now known to have that address."""
        found = copy.copy(self)
        found._address = address
        return found

    def spawn(self, argv: Sequence[str], stdin: bytes) -> AgentJob:
        slot = heapq.heappop(self._slots)
        given = self._path(slot, "0")
        mark = guard.local().new_mark()
        if stdin:
            self.channel.write(given, stdin)
        pid = self.channel.execute(
            _COMMAND, self.cwd, self._path(slot, ""), given if stdin else "/dev/null", mark, *argv)
        return AgentJob(self, argv, slot, mark, pid)

    def remove_at_end(self, path: str) -> None:
        """Do nothing: the whole guest goes when its controller does."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return self.channel.read(self._absolute(path))

    def write(self, path: str, data: bytes) -> None:
        """Create or replace a file."""
        self.channel.write(self._absolute(path), data)

    def fetch(self, slot: int, stream: str) -> bytes:
        """Return what a command printed; give its space back where it is much."""
        path = self._path(slot, stream)
        data = self.channel.read(path)
        if len(data) > 1 << 16:
            self.channel.write(path, b"")
        return data

    def release(self, slot: int) -> None:
        """Let another command use the files of one that has ended."""
        heapq.heappush(self._slots, slot)

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.cwd.rstrip('/')}/{path}"

    @staticmethod
    def _path(slot: int, stream: str) -> str:
        return f"{FOLDER}/virtmark-{slot}" + (f".{stream}" if stream else "")
