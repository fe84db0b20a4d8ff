"""Follows what the gateway believes of its replicas: `python3 watch.py ADDRESS PORT INTERVAL` prints every change.

Sent as it stands to the machine that the load comes from; needs nothing but Python. The one thing to know: a change
happened between two looks, so each line has the time of both, in ns of this machine's monotonic clock.
"""

import contextlib
import json
import signal
import socket
import sys
import time
from typing import Any

PROMPT = b"\n> "
now = time.monotonic_ns


def asked(gateway: socket.socket, command: bytes) -> str:
    """Return the gateway's answer to a command."""
    gateway.sendall(command + b"\n")
    said = b""
    while not said.endswith(PROMPT):
        part = gateway.recv(65536)
        if not part:
            raise ConnectionError("the gateway ended")
        said += part
    return said[:-len(PROMPT)].decode()


def servers(said: str) -> dict[str, dict[str, Any]]:
    """Return state, weight and answered requests of each server of the backend, by name."""
    lines = [line.split(",") for line in said.splitlines() if line.startswith(("# pxname", "shop,"))]
    head = lines[0]
    rows = (dict(zip(head, line)) for line in lines[1:])        # noqa: B905  (Python 3.9)
    return {row["svname"]: {"state": row["status"].split()[0], "weight": row["weight"], "requests": row["stot"]}
            for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")}


def main(address: str, port: str, interval: str) -> None:
    """Look until it is told to end, or the gateway is gone."""
    with socket.create_connection((address, int(port)), 10) as gateway, contextlib.suppress(ConnectionError):
        gateway.settimeout(60)
        asked(gateway, b"prompt")
        before, known = now(), ""
        while True:
            found = servers(asked(gateway, b"show stat"))
            at = now()
            states = json.dumps({name: each["state"] for name, each in found.items()})
            if states != known:
                sys.stdout.write(json.dumps({"from": before, "to": at, "servers": found}) + "\n")
                sys.stdout.flush()
            before, known = at, states
            time.sleep(float(interval))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main(*sys.argv[1:])
