"""Commands on another machine through the OpenSSH client.

One connection is shared by all commands. Its master is a session of our own rather than a daemon that lingers
(`ControlPersist`): it runs the guard script on the far side, so when the controller dies, however it dies, the
connection ends and the guard kills what was started there and removes what was left. The user's own ssh
configuration, agent, jump hosts and known hosts apply. Exit status 255 is ambiguous in ssh (its own failure or the
command's), so the far side says when it was the command's; it also says where a command's output begins, because
start files of the login shell may print.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO

from drivers.shell import guard, owner
from drivers.shell.base import Shell
from drivers.shell.local import PATH, Local, LocalJob
from harness.errors import TargetError
from harness.protocols import Completed

CONNECT = 10
PERSISTENCE = 8
PATIENCE = 60.0  # for the whole login, slow name servers and start files included
_OPTIONS = (
    "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}", "-o", "ServerAliveInterval=15",
    "-o", "ServerAliveCountMax=3", "-o", "ClearAllForwardings=yes", "-o", "LogLevel=ERROR")
_READY = "virtmark-ready"
_GUARD = f'set -- "$1" $SSH_CONNECTION; echo "{_READY} ${{4:-}}"; set -- "$1"' + guard.SCRIPT
_PREPARE = f'export PATH="$PATH:{PATH}" LC_ALL=C.UTF-8\n'
# $1 = working directory, $2 = mark, then the command. The mark divides what start files print from what it prints.
_COMMAND = _PREPARE + f"""
mark=$2
echo "$mark"
echo "$mark" >&2
cd "${{1:-.}}" || exit 255
shift 2
{guard.MARK}=$mark env "$@"
code=$?
[ "$code" -ne 255 ] || echo "$mark" >&2
exit "$code"
"""


class Link:
    """A connection to one machine: a master session that runs the guard, and a socket for the commands."""

    def __init__(self, destination: str, options: Sequence[str], via: Local) -> None:
        self.destination, self._options, self._via = destination, tuple(options), via
        self._master: subprocess.Popen[bytes] | None = None
        self._folder = ""
        self._opening = threading.Lock()
        self.guard: guard.Guard
        self.address = ""

    def client(self, script: str, *arguments: str) -> list[str]:
        """Return the argv of an ssh client that runs `script` over the shared connection, opening it if need be."""
        self.open()
        return ["ssh", "-S", f"{self._folder}/s", "-o", "ControlMaster=no", "-o", "ProxyCommand=false",
                *self._common(), self._remote(script, *arguments)]

    def alone(self, argv: Sequence[str]) -> list[str]:
        """Return the argv of an ssh client that needs nothing of this controller."""
        return ["ssh", *self._common(), shlex.join(argv)]

    def open(self) -> None:
        """Connect unless connected; TargetError with ssh's reason in one line."""
        with self._opening:
            if self._master is None or self._master.poll() is not None:
                self._connect()

    def _connect(self) -> None:
        self.close()
        self._folder = tempfile.mkdtemp(prefix="virtmark-ssh-")
        self._via.remove_at_end(self._folder)
        mine = owner.new()
        with tempfile.TemporaryFile() as complaints:
            argv = ["ssh", "-M", "-S", f"{self._folder}/s", "-o", "ControlPersist=no", *self._common(),
                    self._remote(_GUARD, mine)]
            mark = guard.local().new_mark()
            self._master = self._via.popen(argv, mark, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=complaints.fileno())
            self.guard = guard.Guard(mine, self._master)
            self.address = self._await_ready(self._master, complaints)

    def close(self) -> None:
        """Disconnect; what is left on the far side is killed and removed."""
        if self._master is not None:
            self.guard.close()
            if self._master.stdout is not None:
                self._master.stdout.close()
            self._master = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def _common(self) -> list[str]:
        return [*_OPTIONS, *self._options, "--", self.destination]

    @staticmethod
    def _remote(script: str, *arguments: str) -> str:
        return shlex.join(["exec", "sh", "-c", script, "sh", *arguments])

    def _await_ready(self, master: subprocess.Popen[bytes], complaints: IO[bytes]) -> str:
        """Return the address that the far side was reached at; start files may print before the guard does."""
        deadline = time.monotonic() + PATIENCE
        said = b""
        assert master.stdout is not None
        while (left := deadline - time.monotonic()) > 0 and select.select([master.stdout], [], [], left)[0]:
            chunk = os.read(master.stdout.fileno(), 65536)
            said += chunk
            for line in said.decode(errors="replace").splitlines(keepends=True):
                if line.startswith(_READY) and line.endswith("\n"):
                    return line.removeprefix(_READY).strip()
            if not chunk:
                break
        master.kill()
        self.close()
        complaints.seek(0)
        reason = last_line((said + b"\n" + complaints.read()).decode(errors="replace"))
        raise TargetError(f"{self.destination}: cannot connect: {reason}")


class SshJob:
    """A command on the far side of a link: `client` is the ssh process here, `mark` marks what runs there."""

    def __init__(self, shell: Ssh, client: LocalJob, mark: str, argv: Sequence[str]) -> None:
        self._shell, self._client, self._mark, self._argv = shell, client, mark, tuple(argv)

    def wait(self, timeout: float) -> Completed | None:
        """Return what it printed, or None if it still runs; TargetError if ssh itself failed."""
        done = self._client.wait(timeout)
        if done is None:
            return None
        line = f"{self._mark}\n"
        noise, begun, said = done.stderr.partition(line)
        ended = said.removesuffix(line)
        if not begun or (done.code == 255 and ended == said):
            raise TargetError(f"{self._shell.name}: {last_line(said or noise)}")
        return dataclasses.replace(done, argv=self._argv, stdout=done.stdout.partition(line)[2], stderr=ended)

    def signal(self, name: str) -> None:
        """Signal on the far side; to kill, until it is gone: a slow login may start it later than this comes.

        If the far side cannot be reached, end the client here.
        """
        with contextlib.suppress(TargetError):
            for _ in range(PERSISTENCE if name == "KILL" else 1):
                if not self._shell.script(guard.SIGNAL_ALL, self._mark, name).wait(CONNECT):
                    break
                if name != "KILL" or self._client.wait(1.0):
                    return
        self._client.signal("KILL")

    def drain(self) -> None:
        """Keep taking its output from now on."""
        self._client.drain()


class Ssh(Shell):
    """A machine reached by ssh as `[user@]host[:port]`; `via` is where the client runs, `options` go to it."""

    def __init__(self, host: str, *, options: Sequence[str] = (), via: Local | None = None, name: str = "") -> None:
        self.name = name or f"ssh://{host}"
        self._via = via or Local()
        self._link = Link(f"ssh://{host}", options, self._via)

    @property
    def address(self) -> str:
        """The address that the machine itself saw the connection arrive at."""
        self._link.open()
        return self._link.address or "127.0.0.1"

    def spawn(self, argv: Sequence[str], stdin: bytes) -> SshJob:
        self._link.open()
        mark = self._link.guard.new_mark()
        client = self._via.spawn(self._link.client(_COMMAND, self.cwd, mark, *argv), stdin)
        return SshJob(self, client, mark, argv)

    def remove_at_end(self, path: str) -> None:
        self._link.open()
        self._link.guard.remove_at_end(path)

    def close(self) -> None:
        """Disconnect; the guard on the far side ends what is left there."""
        self._link.close()

    def alone(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command line of an ssh client that runs `argv` over a connection of its own."""
        return (*self._via.prefix, *self._link.alone(argv))

    def script(self, script: str, *arguments: str) -> LocalJob:
        """Run a script of our own on the far side."""
        return self._via.spawn(self._link.client(script, *arguments), b"")


def last_line(said: str) -> str:
    """Return the reason that ssh gave last; it may print pages about a changed host key before that."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "the connection failed, and ssh gave no reason"
