"""The network between two machines: TCP throughput and UDP jitter (iperf3), round-trip times (ping or sockperf).

The one thing to know: `path` says between whom: two guests on one host, two guests on two hosts, or the client
outside and a guest. With where = "host" the hosts stand in for their guests. Where both ends are one machine the
series say path=loopback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

from drivers.tools import iperf3, ping, sockperf
from drivers.tools.reading import complaint
from drivers.workloads._machines import GRACE, Where, marked, serving, shifted
from harness.errors import ToolError
from harness.model import Record, Series
from harness.protocols import Lab, Machine, Target
from harness.units import Bandwidth, Bytes, Seconds

LOAD_MARGIN = 15.0  # s that the background load outlives the round-trip test


class Network(Record, frozen=True, kw_only=True):
    """One measurement of `measure` on `path`.

    tcp: `streams` connections. udp: datagrams of `size` at `rate`. rtt: by `tool`, one echo each `interval` (ping) or
    one after the other (sockperf), with `loaded` while one TCP connection fills the path.
    """

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("iperf3", "ping", "sockperf")

    measure: Literal["tcp", "udp", "rtt"]
    path: Literal["same-host", "cross-host", "client"] = "same-host"
    streams: int = 1
    rate: Bandwidth = Bandwidth(20e6 / 8)
    size: Bytes = Bytes(1400)
    omit: Seconds = Seconds(0)
    duration: Seconds = Seconds(60)
    window: Seconds = Seconds(1)
    tool: Literal["ping", "sockperf"] = "ping"
    interval: Seconds = Seconds(0.01)
    loaded: bool = False
    where: Where = "guest"

    def __post_init__(self) -> None:
        iperf3.whole(self.duration)
        wrong = {
            "where = host on path = same-host would be one machine talking to itself; take cross-host or client":
                self.where == "host" and self.path == "same-host",
            "loaded is for measure = rtt": self.loaded and self.measure != "rtt",
            "streams must be between 1 and 128, and is for measure = tcp":
                not 1 <= self.streams <= 128 or (self.streams > 1 and self.measure != "tcp"),
            "interval must be between 2ms and the duration": not 0.002 <= self.interval <= self.duration,
            "window must be between 0.1s and the duration": not 0.1 <= self.window <= self.duration,
            "size must be between 16B and 65000B": not 16 <= self.size <= 65000,
            "rate must be above 0": not self.rate > 0,
            "tool = sockperf needs a duration of 2s at least": self._pingpong() and self.duration < 2,
        }
        if reasons := [text for text, bad in wrong.items() if bad]:
            raise ValueError(reasons[0])

    def seconds(self) -> float:
        """Return how long one step takes."""
        slower = {"tcp": 0.3, "udp": 0.3, "rtt": 3.0 if self._pingpong() else 0.3 + 0.5 * self.duration}[self.measure]
        return self.duration + self.omit + slower

    def run(self, target: Target, lab: Lab) -> Iterator[Series]:
        """Run once and yield what was measured; the server is stopped in any case."""
        began = lab.clock.now()
        near, far = self._ends(lab)
        path = "loopback" if far.address.startswith("127.") or far.address == near.address else self.path
        for series in {"tcp": self._tcp, "udp": self._udp, "rtt": self._rtt}[self.measure](lab, near, far, began):
            yield marked(series, where=self.where, path=path)

    def _ends(self, lab: Lab) -> tuple[Machine, Machine]:
        """Return who sends and who receives."""
        if self.where == "host":
            return (lab.client(), lab.host(0)) if self.path == "client" else (lab.host(0), lab.host(1))
        if self.path == "client":
            return lab.client(), lab.guest()
        return lab.guest(), lab.guest("peer", host=int(self.path == "cross-host"))

    def _tcp(self, lab: Lab, near: Machine, far: Machine, began: float) -> Iterator[Series]:
        with serving(lab, far, iperf3.server) as port:
            yield from self._iperf(iperf3.Tcp(address=far.address, port=port, streams=self.streams, omit=self.omit,
                                              duration=self.duration, window=self.window), lab, near, began)

    def _udp(self, lab: Lab, near: Machine, far: Machine, began: float) -> Iterator[Series]:
        with serving(lab, far, iperf3.server) as port:
            yield from self._iperf(iperf3.Udp(address=far.address, port=port, rate=self.rate, size=self.size,
                                              duration=self.duration, window=self.window), lab, near, began)

    def _iperf(self, job: iperf3.Tcp | iperf3.Udp, lab: Lab, near: Machine, began: float) -> Iterator[Series]:
        start = lab.clock.now() - began
        done = near.run(job.argv(), timeout=self.duration + self.omit + GRACE)
        text = done.stdout if done.stdout.strip() else done.checked().stdout
        yield from (shifted(series, start) for series in job.parse(text))

    def _rtt(self, lab: Lab, near: Machine, far: Machine, began: float) -> Iterator[Series]:
        with self._background(lab, near, far):
            start = lab.clock.now() - began
            found = self._messages(lab, near, far) if self._pingpong() else self._echoes(near, far)
        for series in found:
            yield marked(shifted(series, start), loaded="yes" if self.loaded else "no")

    def _echoes(self, near: Machine, far: Machine) -> list[Series]:
        job = ping.Ping(address=far.address, interval=self.interval, count=round(self.duration / self.interval))
        done = near.run(job.argv(), timeout=2 * self.duration + GRACE)
        return job.parse(done.stdout + done.stderr)  # it exits with 1 if one echo is lost, which is an answer

    def _messages(self, lab: Lab, near: Machine, far: Machine) -> list[Series]:
        log = f"virtmark-{lab.rng.randrange(16**8):08x}.csv"
        try:
            with serving(lab, far, lambda port: sockperf.server(far.address, port, "udp"), "udp") as port:
                job = sockperf.Pingpong(address=far.address, port=port, log=log, duration=self.duration)
                done = near.run(job.argv(), timeout=self.duration + GRACE).checked()
                return job.parse(done.stdout + done.stderr, near.read(log).decode("ascii", "replace"))
        finally:
            near.run(["rm", "-f", log], timeout=GRACE)

    @contextmanager
    def _background(self, lab: Lab, near: Machine, far: Machine) -> Iterator[None]:
        """Fill the path with one TCP connection while the context is open, if that is asked for."""
        if not self.loaded:
            yield
            return
        with serving(lab, far, iperf3.server) as port:
            job = iperf3.Tcp(address=far.address, port=port, duration=Seconds(self.duration + LOAD_MARGIN))
            with near.start(job.argv()) as running:
                yield
                said = running.stop().stdout
        if "unable to" in said:
            raise ToolError(f"iperf3 on {near.name}: the load beside the round-trip test failed: {complaint(said)}")

    def _pingpong(self) -> bool:
        return self.measure == "rtt" and self.tool == "sockperf"
