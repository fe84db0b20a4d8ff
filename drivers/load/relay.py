"""Workers in pods, which can be called by nobody: they call, get what to do, and what they print comes back.

    python -m drivers.load.relay pod ADDRESS PORT       in the pod: one generator after the other, until it is ended
    python -m drivers.load.relay serve PORT SPEC        beside the master: gives SPEC to the pod that calls on PORT

Stands alone (standard library, Python 3.9 or later), since it is sent along. The one thing to know: `serve` prints what
the generator in the pod prints and ends as it ended, so that to all others it is the generator.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time

GENERATOR = "drivers.load.generator"
PRESENT = 300.0     # s that a pod has for calling: its image may have to be fetched
AGAIN = 0.3         # s between calls
LONELY = 3600.0     # s without a master after which a pod ends
EXIT = b'{"exit":'


def serve(port: int, spec: str) -> int:
    """Wait for a pod, give it what to do, pass on what it prints; return how its generator ended."""
    with socket.create_server(("", port)) as door:
        door.settimeout(PRESENT)
        try:
            pod, _ = door.accept()
        except TimeoutError:
            said(json.dumps({"error": f"no pod called on port {port} within {PRESENT:g} s"}).encode() + b"\n")
            return 2
    with pod:
        pod.settimeout(None)
        signal.signal(signal.SIGTERM, lambda *_: pod.shutdown(socket.SHUT_WR))     # the pod hears that it is enough
        pod.sendall(spec.encode() + b"\n")
        with pod.makefile("rb") as lines:
            for line in lines:
                if line.startswith(EXIT):
                    return int(json.loads(line)["exit"])
                said(line)
    return 1        # the pod is gone


def said(line: bytes) -> None:
    """Print a line at once."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def pod(address: str, port: int) -> None:
    """Call, do what is asked for, and call again, until nobody has been there for an hour."""
    until = time.monotonic() + LONELY
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 10) as master:
            master.settimeout(None)
            with master.makefile("rb") as lines:
                spec = lines.readline().decode().strip()
                if spec:
                    master.sendall(EXIT + f" {done(master, spec)}}}\n".encode())
                    until = time.monotonic() + LONELY
        time.sleep(AGAIN)


def done(master: socket.socket, spec: str) -> int:
    """Run a generator and send what it prints; end it when the master has closed its side."""
    with subprocess.Popen([sys.executable, "-m", GENERATOR, spec], stdout=subprocess.PIPE) as generator:
        threading.Thread(target=ended, args=(master, generator), daemon=True).start()
        assert generator.stdout
        try:
            for line in generator.stdout:
                master.sendall(line)
        except OSError:     # nobody listens any more
            generator.kill()
    return generator.returncode


def ended(master: socket.socket, generator: subprocess.Popen[bytes]) -> None:
    """Tell the generator to end once the master says no more."""
    with contextlib.suppress(OSError):
        while master.recv(1):
            pass
    generator.terminate()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(serve(int(sys.argv[2]), sys.argv[3]))
    pod(sys.argv[2], int(sys.argv[3]))
