"""Commands on this machine, as it is or through a launcher that enters something on it.

A launcher is an argv prefix such as `nsenter --net=... --`. Each command leads a session of its own, so that Ctrl-C
at the terminal reaches only the controller, which then ends the commands in order.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.shell import guard
from drivers.shell.base import Shell
from harness.errors import TargetError, ToolError
from harness.protocols import Completed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REAPING = 10.0  # s that a killed process has to end


class Process(subprocess.Popen[bytes]):
    """A child process that is never left behind, though an interrupt may come before anybody holds it.

    It is in `begun` before it begins, and it ends at the latest with the last reference to it.
    """

    def __init__(self, begun: list[Process], argv: Sequence[str], **settings: Any) -> None:
        begun.append(self)
        super().__init__(argv, **settings)

    def reap(self) -> None:
        """Kill it, and take leave of it and of its pipes; do nothing if it has ended or never came to be."""
        if getattr(self, "pid", None) and self.returncode is None:
            self.kill()
            for pipe in filter(None, (self.stdin, self.stdout, self.stderr)):
                with contextlib.suppress(OSError):
                    pipe.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(REAPING)

    def __del__(self, *given: Any) -> None:
        self.reap()
        super().__del__(*given)


class LocalJob:
    """A child process of the controller."""

    def __init__(self, argv: Sequence[str], process: subprocess.Popen[bytes], mark: str, stdin: bytes) -> None:
        self._argv, self._process, self._mark, self._stdin = tuple(argv), process, mark, stdin
        self._began = time.monotonic()
        self._thread: threading.Thread | None = None
        self._done: Completed | None = None

    def wait(self, timeout: float) -> Completed | None:
        """Return what it printed, or None if it still runs after `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        elif self._done is None:
            self._communicate(timeout)
        return self._done

    def signal(self, name: str) -> None:
        """Send a signal to the command and all its descendants."""
        guard.send(self._mark, signal.Signals[f"SIG{name}"])
        if name == "KILL":      # one that wrote over its environment has no mark any more
            self._process.kill()

    def drain(self) -> None:
        """Collect the output in a thread, which ends with the command."""
        self._thread = threading.Thread(target=self._communicate, daemon=True)
        self._thread.start()

    def _communicate(self, timeout: float | None = None) -> None:
        data, self._stdin = self._stdin or None, b""  # stdin may be given only once
        try:
            out, err = self._process.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired:
            return
        code = self._process.returncode
        self._done = Completed(
            argv=self._argv, code=code if code >= 0 else 128 - code, stdout=text(out), stderr=text(err),
            elapsed=time.monotonic() - self._began)


class Local(Shell):
    """This machine; with a `prefix`, whatever that launcher enters.

    Commands inherit the controller's environment, unless `environment` replaces it. `files_here` is false where the
    launcher enters another root file system.
    """

    def __init__(self, name: str = "local", *, prefix: Sequence[str] = (), address: str = "127.0.0.1",
                 environment: Mapping[str, str] | None = None, files_here: bool = True) -> None:
        self.name, self._address, self._files_here = name, address, files_here
        self.prefix = tuple(prefix)
        self._environment = environment

    @property
    def address(self) -> str:
        return self._address

    def spawn(self, argv: Sequence[str], stdin: bytes) -> LocalJob:
        mark = guard.local().new_mark()
        begun: list[Process] = []
        try:
            process = self.popen(argv, mark, stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, begun=begun)
            return LocalJob(argv, process, mark, stdin)
        except BaseException:  # an interrupt while it starts: nobody else knows of it yet
            guard.send(mark, signal.SIGKILL)
            for process in begun:
                process.reap()
            raise

    def popen(self, argv: Sequence[str], mark: str, *, stdin: int, stdout: int, stderr: int,
              begun: list[Process] | None = None) -> Process:
        """Start a process that belongs to job `mark`; it is in `begun` as soon as there may be one."""
        inside = ("env", "-C", self.cwd) if self.prefix and self.cwd else ()
        try:
            return Process(
                [] if begun is None else begun, [*self.prefix, *inside, *argv], stdin=stdin, stdout=stdout,
                stderr=stderr, start_new_session=True,
                cwd=None if self.prefix else self.cwd or None, env=self._variables() | {guard.MARK: mark})
        except (OSError, ValueError) as error:
            raise self._refusal(argv[0], error) from None

    def remove_at_end(self, path: str) -> None:
        if self._files_here:
            guard.local().remove_at_end(path)

    def _variables(self) -> dict[str, str]:
        """Numbers without a locale's commas, and the programs that only root's path holds."""
        inherited = os.environ if self._environment is None else self._environment
        folders = dict.fromkeys(folder for folder in f"{inherited.get('PATH', '')}:{PATH}".split(":") if folder)
        return {**inherited, "LC_ALL": "C.UTF-8", "PATH": ":".join(folders)}

    def _refusal(self, program: str, error: OSError | ValueError) -> ToolError | TargetError:
        if self.cwd and not self.prefix and not Path(self.cwd).is_dir():
            return TargetError(f"{self.name}: the working directory {self.cwd} is gone")
        if isinstance(error, FileNotFoundError):
            return ToolError(f"{program}: no such program on {self.name}")
        return ToolError(f"{program}: cannot start on {self.name}: {getattr(error, 'strerror', None) or error}")


def text(data: bytes) -> str:
    """Decode output so that its bytes can be had back with the same error handler."""
    return data.decode("utf-8", "surrogateescape")
