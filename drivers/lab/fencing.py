"""The lab's power switch: a small server outside all hosts that turns one off when the cluster's fence agent asks.

The one thing to know: it listens on the lab's switch, at an address of the lab's network. So a host whose cable is
cut cannot turn off the other one, and it is the isolated host that loses the race. It ends with the switch.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import sys
import time
from pathlib import Path

from drivers.lab import faults, machines, switch
from drivers.lab.command import call, environment, wait
from drivers.lab.layout import NETWORK, SWITCH, Layout
from drivers.lab.state import load
from harness.errors import LabError

ADDRESS, PORT = str(NETWORK[254]), 16623
LOG = "fencing.jsonl"


def start(layout: Layout) -> None:
    """Start the power switch unless it runs; return when it listens."""
    if _listens(layout):
        return
    shown = json.loads(call(["ip", "-n", layout.called(SWITCH), "-j", "addr", "show", switch.FABRIC]))
    if ADDRESS not in [each.get("local") for each in shown[0]["addr_info"]]:
        call(["ip", "-n", layout.called(SWITCH), "addr", "add", f"{ADDRESS}/{NETWORK.prefixlen}", "dev",
              switch.FABRIC])
    env = environment({"VIRTMARK_STATE": str(layout.state), "VIRTMARK_CACHE": str(layout.cache),
                       "PYTHONPATH": str(Path(__file__).parents[2])})
    env.pop("VIRTMARK_JOB", None)   # it belongs to the lab, not to whoever needed it first
    with (layout.root / "fencing.log").open("ab") as log:
        subprocess.run(["nsenter", f"--net={switch.file_of(layout, SWITCH)}", "setsid", "--fork", sys.executable, "-m",
                        "drivers.lab.fencing"], check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                       cwd="/")
    wait(lambda: _listens(layout), 20.0, "the lab's power switch")


def answer(layout: Layout, line: str) -> str:
    """Return the answer to one line of the fence agent: "off HOST", "status HOST", "list" or "monitor"."""
    action, _, host = line.strip().partition(" ")
    state = load(layout)
    known = state.machines if state else {}
    hosts = [name for name in known if name.startswith("h")]
    if action in ("list", "monitor"):
        return " ".join(hosts)
    if host not in hosts or action not in ("off", "status"):
        return f"error: {line.strip()!r}: known are off, status, list, monitor and the hosts {', '.join(hosts)}"
    init = known[host].init
    if action == "status":
        return "on" if init and init.alive else "off"
    return _turn_off(layout, host)


def _turn_off(layout: Layout, host: str) -> str:
    asked = time.monotonic()
    try:
        faults.power_off(layout, host)
        was = "on"
    except LabError:
        machines.end(layout, host)
        was = "off"
    with (layout.root / LOG).open("a") as log:
        log.write(json.dumps({"host": host, "asked": asked, "off": time.monotonic(), "was": was}) + "\n")
    return "off"


class _Switch(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline(200).decode(errors="replace")
        try:
            said = answer(Layout.current(), line)
        except LabError as error:
            said = f"error: {error}"
        self.wfile.write(said.encode() + b"\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _listens(layout: Layout) -> bool:
    table = call(["ip", "netns", "exec", layout.called(SWITCH), "cat", "/proc/net/tcp"])
    wanted = f"{int.from_bytes(socket.inet_aton(ADDRESS), sys.byteorder):08X}:{PORT:04X}"
    return any(fields[1] == wanted and fields[3] == "0A"
               for fields in map(str.split, table.splitlines()) if len(fields) > 3)


if __name__ == "__main__":
    os.environ.pop("VIRTMARK_JOB", None)
    with _Server((ADDRESS, PORT), _Switch) as server:
        server.serve_forever()
