"""Commands in a container through the exec calls of Docker's API, which Podman answers too.

The one thing to know: the SDK reads the head of an answer through a buffer and then hands out the socket below it.
Output that came together with the head stays in the buffer, so reading that socket would lose it: on a machine under
load, once in some thousands of commands. Hence `frames` reads from the buffer.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import docker.errors
import requests

from drivers.shell import Shell, guard
from drivers.shell.local import PATH, text
from harness.errors import TargetError
from harness.protocols import Completed

STDERR = 2
HEAD = struct.Struct(">BxxxL")    # of a frame: which stream, and how many bytes follow
_PATH = f'export PATH="$PATH:{PATH}"\n'
_COMMAND = _PATH + 'exec "$@"'
# Reads what the command left of its input: Podman's monitor (conmon) sits between two sockets, and the kernel throws
# the output in them away when it closes one with input that nobody read.
_FED = _PATH + '"$@"; code=$?; cat >/dev/null; exit "$code"'


class ExecJob:
    """A command in the container. A thread takes its output, which may come faster than anybody waits for it."""

    def __init__(self, shell: Container, argv: Sequence[str], identity: str, mark: str) -> None:
        self._shell, self._argv, self._identity, self._mark = shell, tuple(argv), identity, mark
        self._began = time.monotonic()
        self._out, self._err = bytearray(), bytearray()
        self._done: Completed | None = None
        self._broken: Exception | None = None

    def follow(self, stream: Any, stdin: bytes) -> None:
        """Begin to feed and to read the connection `stream`."""
        link = getattr(stream, "_sock", stream)
        link.settimeout(None)   # a command may be silent for as long as it likes
        if stdin:
            threading.Thread(target=_feed, args=(link, stdin), daemon=True).start()
        self._reader = threading.Thread(target=self._collect, args=(stream,), daemon=True)
        self._reader.start()

    def wait(self, timeout: float) -> Completed | None:
        """Return what it printed, or None if it still runs; TargetError if the connection broke."""
        self._reader.join(timeout)
        if self._broken is not None:
            raise TargetError(f"{self._shell.name}: {_line(self._broken)}")
        return self._done

    def signal(self, name: str) -> None:
        """Send a signal to the command and all its descendants."""
        self._shell.execute(["sh", "-c", guard.SIGNAL_ALL, "sh", self._mark, name], b"").wait(30)

    def drain(self) -> None:
        """Output is taken from the beginning."""

    def _collect(self, stream: Any) -> None:
        try:
            for number, piece in frames(stream):
                (self._err if number == STDERR else self._out).extend(piece)
            code = self._shell.exit_status(self._identity)
            self._done = Completed(argv=self._argv, code=code, stdout=text(bytes(self._out)),
                                   stderr=text(bytes(self._err)), elapsed=time.monotonic() - self._began)
        except (OSError, TargetError) as error:
            self._broken = error
        finally:
            hang_up(stream)


class Container(Shell):
    """A running container."""

    def __init__(self, client: Any, identity: str, name: str, *, address: str, cwd: str) -> None:
        self._api, self._identity, self.name, self._address, self.cwd = client, identity, name, address, cwd

    @property
    def address(self) -> str:
        return self._address

    def spawn(self, argv: Sequence[str], stdin: bytes) -> ExecJob:
        script = _FED if stdin else _COMMAND
        return self.execute(["sh", "-c", script, "sh", *argv], stdin, argv, guard.local().new_mark())

    def execute(self, command: Sequence[str], stdin: bytes, argv: Sequence[str] = (), mark: str = "") -> ExecJob:
        """Start `command`; the answer says that it was `argv`."""
        variables = {"LC_ALL": "C.UTF-8"} | ({guard.MARK: mark} if mark else {})
        with told(self.name):
            made = self._api.exec_create(self._identity, list(command), stdin=bool(stdin), environment=variables,
                                         workdir=self.cwd)["Id"]
            job = ExecJob(self, argv or command, made, mark)
            job.follow(self._api.exec_start(made, socket=True), stdin)
        return job

    def exit_status(self, job: str) -> int:
        """Return how a command ended; the engine may notice a little later than its output ends."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with told(self.name):
                state = self._api.exec_inspect(job)
            if not state["Running"] and state["ExitCode"] is not None:
                return int(state["ExitCode"])
            time.sleep(0.005)
        raise TargetError(f"{self.name}: a command closed its output and goes on")

    def remove_at_end(self, path: str) -> None:
        """Do nothing: the whole container goes when its controller does."""


@contextmanager
def told(where: str) -> Iterator[None]:
    """Say errors of the engine in one line."""
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise TargetError(f"{where}: {_line(error)}") from None


def frames(stream: Any) -> Iterator[tuple[int, bytes]]:
    """Yield (1 or STDERR, bytes) of a connection that the SDK handed out; OSError if it ends amid a frame."""
    reader = stream._response.raw._fp.fp
    while head := reader.read(HEAD.size):
        number, length = HEAD.unpack(head) if len(head) == HEAD.size else (0, 1)
        piece = reader.read(length)
        if len(piece) < length:
            raise OSError("the engine cut the output of a command off")
        yield number, piece


def hang_up(stream: Any) -> None:
    """End a connection that the SDK handed out; it keeps three things open for each."""
    for part in (getattr(stream, "_response", stream), stream, getattr(stream, "_sock", stream)):
        with contextlib.suppress(OSError):
            part.close()


def _feed(link: Any, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a command need not read all of its input
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)


def _line(error: Exception) -> str:
    said = getattr(error, "explanation", None) or str(error)
    return " ".join(str(said).split())[:300]
