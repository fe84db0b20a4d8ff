"""A path between two network namespaces is cut for an exact time, and probes of four kinds tell how long.

VIRTMARK_TEST_CUTS sets the number of cuts, 1 if it is not set; the errors are printed.
"""

import os
import random
import shutil
import subprocess
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from drivers.lab import cuts
from drivers.shell import Local
from drivers.workloads._machines import await_port
from drivers.workloads._probing import Probe, probing
from harness import history
from harness import probing as judged
from harness.clock import RealClock

pytestmark = [pytest.mark.live, pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("ip"), reason="needs root, ip and nft")]
COUNT = int(os.environ.get("VIRTMARK_TEST_CUTS", "1"))
SERVICE = ("198.18.7.2", 7007)
TRIP = 0.002        # s of a round trip here, many times over
RESPONDER = """
import os, socket, sys, threading
where = (sys.argv[1], int(sys.argv[2]))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(where)
tcp = socket.create_server(where, backlog=1000)
def reply(link):
    try:
        link.settimeout(5)
        if link.recv(200):
            link.send(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
    except OSError:
        pass
    link.close()
def requests():
    while True:
        threading.Thread(target=reply, args=(tcp.accept()[0],), daemon=True).start()
try:        # an answer that is late because this machine is busy would be taken for an outage
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(40))
except OSError:
    pass
threading.Thread(target=requests, daemon=True).start()
while True:
    data, sender = udp.recvfrom(2048)
    udp.sendto(data, sender)
"""


@dataclass
class Outside:
    """What a step gives: a clock and the client."""

    here: Local
    clock: RealClock = field(default_factory=RealClock)
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    began: float = 0.0

    def client(self):
        return self.here


@pytest.fixture
def sides():
    """Two namespaces with a cable between them."""
    names = [f"vm-probe-{side}-{os.getpid()}" for side in ("a", "b")]
    try:
        for name in names:
            call("netns", "add", name)
        call("-n", names[0], "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", names[1])
        for number, name in enumerate(names, 1):
            call("-n", name, "address", "add", f"198.18.7.{number}/24", "dev", "eth0")
            call("-n", name, "link", "set", "eth0", "up")
        yield [Local(name, prefix=("ip", "netns", "exec", name)) for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def call(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def planned(rng, count):
    """Return cuts to come, log-uniform from 1 ms to 1 s, or one of 100 ms."""
    made, at = [], time.time_ns() + 2_000_000_000
    for _ in range(count):
        length = int(10 ** rng.uniform(6, 9)) if count > 1 else 100_000_000
        at += int(rng.uniform(0.3e9, 0.31e9))
        made.append(cuts.Cut(at // cuts.GRAIN * cuts.GRAIN, (at + length) // cuts.GRAIN * cuts.GRAIN))
        at += length
    return made


def test_each_kind_tells_how_long_a_path_was_cut(sides):
    client, service = sides
    lab = Outside(client)
    interval = float(os.environ.get("VIRTMARK_TEST_INTERVAL", "0.01"))
    probes = [Probe(kind, *SERVICE, interval=interval, patience=2.0, name=kind)
              for kind in ("icmp", "udp", "tcp", "http")]
    with service.start(["python3", "-c", RESPONDER, SERVICE[0], str(SERVICE[1])]) as server:
        await_port(lab, service, server, SERVICE[1])
        with probing(lab, service, probes) as seen:
            made = planned(lab.rng, COUNT)
            shift = time.monotonic_ns() - time.time_ns()
            with cuts.loaded(service, cuts.rules("eth0", made), service.prefix):
                lab.clock.sleep((made[-1].end + shift) / 1e9 + 0.7 - lab.clock.now())
    histories = seen.histories()
    assert [each.kind for each in histories] == ["icmp", "udp", "tcp", "http"]
    if min(history.columns(each).sent[0] for each in histories) / 1e9 > (made[0].begin + shift) / 1e9 - 0.1:
        pytest.skip("this machine was too busy to start the prober before the first cut")
    for each in histories:
        tell(each, made, shift)
    print("lag", judged.punctual(histories), "cpu", histories[0].labels)


def tell(seen, made, shift):
    """Hold the bounds of each outage to the truth, and print how far off the estimates were, in intervals."""
    found, errors = judged.outages(seen), []
    for cut in made:
        begin, end = (cut.begin + shift) / 1e9, (cut.end + shift) / 1e9
        its = [each for each in found if each.start_s - 0.05 < end and each.start_s + each.lo_s + 0.05 > begin]
        errors.append((sum(each.est_s for each in its) - (end - begin)) / seen.interval)
        if len(made) == 1:
            (outage,) = its
            assert outage.lo_s - TRIP <= end - begin <= outage.hi_s + TRIP
    share = float(np.mean(np.abs(errors) <= 1))
    print(f"{seen.kind} n={len(errors)} bias={np.mean(errors):+.3f} sd={np.std(errors):.3f} inside={share:.3f} "
          f"worst={np.max(np.abs(errors)):.2f} probes={history.columns(seen).sent.size}")
