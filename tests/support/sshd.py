"""A real sshd on loopback with throwaway keys, for tests of everything that goes by ssh."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
PRIVILEGES = Path("/run/sshd")


@dataclass(frozen=True)
class Server:
    """Where it listens, and the client configuration that trusts it and is trusted by it."""

    port: int
    config: Path
    log: Path
    pid: int

    @property
    def spec(self) -> str:
        return f"ssh://127.0.0.1:{self.port}"

    @property
    def options(self) -> tuple[str, ...]:
        return ("-F", str(self.config))


def missing() -> str:
    """Return why no sshd can be started here, or nothing."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        return "openssh-server is not installed"
    if os.geteuid() == 0 and not PRIVILEGES.is_dir() and not os.access(PRIVILEGES.parent, os.W_OK):
        return f"{PRIVILEGES} is missing and cannot be made"
    return ""


@contextmanager
def running(folder: Path, *, rc: str = "") -> Iterator[Server]:
    """Run one sshd in the foreground; `rc` is a script that every login runs first, as a start file would."""
    made = os.geteuid() == 0 and not PRIVILEGES.exists()
    if made:
        PRIVILEGES.mkdir(mode=0o755)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    shutil.copy(folder / "user.pub", folder / "authorized")
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "client.conf").write_text(
        f"Host *\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile /dev/null\n")
    (folder / "rc").write_text(rc)
    command = f"ForceCommand . {folder}/rc; eval \"$SSH_ORIGINAL_COMMAND\"\n" if rc else ""
    (folder / "server.conf").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin yes\n{command}")
    log = folder / "log"
    with log.open("wb") as out:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "server.conf"], stdout=out, stderr=out)
    try:
        _await_listening(port, server, log)
        yield Server(port, folder / "client.conf", log, server.pid)
    finally:
        server.terminate()
        server.wait()
        if made:
            PRIVILEGES.rmdir()


def free_port() -> int:
    """Return a TCP port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listening(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)  # between two looks, not for luck
    raise RuntimeError(f"sshd does not listen: {log.read_text()}")
