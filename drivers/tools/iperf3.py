"""iperf3 >= 3.1: TCP throughput and UDP jitter and loss, from the client's JSON.

The one thing to know: rates are the receiver's, what arrived, not what was sent. Jitter is the smoothed
inter-arrival jitter of RFC 3550 as it stood at the end of the test; it is no mean.
"""

from __future__ import annotations

import re

from drivers.tools.reading import Document, document, noted, one
from harness.errors import ToolError
from harness.model import Record, Series
from harness.units import Bandwidth, Bytes, Seconds

TOOL = "iperf3"
OLDEST = (3, 1)


def server(port: int) -> list[str]:
    """Return the command line of a server that stays until it is stopped."""
    return [TOOL, "--server", "--port", str(port)]


class Tcp(Record, frozen=True, kw_only=True):
    """`streams` connections from the client to the server, as fast as they go; the first `omit` is not counted."""

    address: str
    port: int
    streams: int = 1
    duration: Seconds = Seconds(60)
    omit: Seconds = Seconds(0)
    window: Seconds = Seconds(1)

    def argv(self) -> list[str]:
        """Return the client's command line; iperf3 counts whole seconds."""
        return [TOOL, "--client", self.address, "--port", str(self.port), "--parallel", str(self.streams),
                "--time", whole(self.duration), *(["--omit", whole(self.omit)] if self.omit else []),
                "--interval", f"{self.window:g}", "--json"]

    def parse(self, text: str) -> list[Series]:
        """Return received bandwidth, the sender's windows, retransmissions and the TCP's own round-trip time."""
        read = sound(document(text, TOOL))
        return noted(tcp(read), read.notes)


class Udp(Record, frozen=True, kw_only=True):
    """Datagrams of `size` payload bytes at a fixed `rate`."""

    address: str
    port: int
    rate: Bandwidth = Bandwidth(20e6 / 8)
    size: Bytes = Bytes(1400)
    duration: Seconds = Seconds(20)
    window: Seconds = Seconds(1)

    def argv(self) -> list[str]:
        """Return the client's command line."""
        return [TOOL, "--client", self.address, "--port", str(self.port), "--udp", "--bitrate",
                f"{self.rate * 8:.0f}", "--length", f"{self.size:.0f}", "--time", whole(self.duration),
                "--interval", f"{self.window:g}", "--json"]

    def parse(self, text: str) -> list[Series]:
        """Return jitter in s, lost share of the datagrams, their number, and the received bandwidth."""
        read = sound(document(text, TOOL))
        return noted(udp(read), read.notes)


def tcp(read: Document) -> list[Series]:
    """Return the series of a TCP test."""
    labels = {"tool": TOOL, "protocol": "tcp", "streams": str(len(read.at("end", "streams")))}
    series = [one("net.bandwidth", "B/s", read.number("end", "sum_received", "bits_per_second") / 8, stat="mean",
                  side="receiver", **labels),
              one("net.bandwidth", "B/s", read.number("end", "sum_sent", "bits_per_second") / 8, stat="mean",
                  side="sender", **labels), *_windows(read, labels)]
    if "retransmits" in read.at("end", "sum_sent"):
        series += [one("net.retransmits", "1", read.number("end", "sum_sent", "retransmits"), **labels),
                   one("net.sent", "B", read.number("end", "sum_sent", "bytes"), **labels),
                   one("net.segment", "B", read.number("start", "tcp_mss_default"), **labels)]
    times = [each["sender"]["mean_rtt"] for each in read.at("end", "streams") if "mean_rtt" in each.get("sender", {})]
    if times:
        series.append(one("net.latency", "s", sum(times) / len(times) * 1e-6, stat="mean", loaded="yes", **labels))
    return series + _processors(read, labels)


def udp(read: Document) -> list[Series]:
    """Return the series of a UDP test; `sum` of iperf3 holds what the server saw."""
    labels = {"tool": TOOL, "protocol": "udp"}
    received = "sum_received" if "sum_received" in read.at("end") else "sum"
    packets = read.number("end", "sum", "packets")
    if not packets:
        raise ToolError(f"{TOOL}: no datagram was sent")
    return [one("net.jitter", "s", read.number("end", "sum", "jitter_ms") * 1e-3, **labels),
            one("net.loss", "1", read.number("end", "sum", "lost_packets") / packets, **labels),
            one("net.packets", "1", packets, **labels),
            one("net.bandwidth", "B/s", read.number("end", received, "bits_per_second") / 8, stat="mean",
                side="receiver", **labels), *_windows(read, labels), *_processors(read, labels)]


def whole(duration: Seconds) -> str:
    """Return a duration as iperf3 takes it; ValueError where it is no whole number of seconds."""
    if not duration.is_integer() or duration < 1:
        raise ValueError(f"{duration:g} s is no duration for iperf3; it counts whole seconds, from 1 on")
    return f"{duration:.0f}"


def version(read: Document) -> str:
    """Return the version, as "3.12"; ToolError where it is too old to be trusted."""
    said = str(read.at("start").get("version", ""))
    found = re.match(r"iperf (\d+)\.(\d+)", said)
    if not found or (int(found[1]), int(found[2])) < OLDEST:
        raise ToolError(f"{TOOL}: output of {said or 'an unnamed version'!r}; iperf 3.1 or later is needed")
    return said.removeprefix("iperf ")


def sound(read: Document) -> Document:
    """Return `read` if it is the result of a test that went through."""
    if error := read.data.get("error"):
        raise ToolError(f"{TOOL}: {error}")
    version(read)
    if not read.at("end"):
        raise ToolError(f"{TOOL}: the test has no end in its JSON; it was stopped early")
    return read


def _windows(read: Document, labels: dict[str, str]) -> list[Series]:
    spans = [each["sum"] for each in read.at("intervals") if "sum" in each and not each["sum"].get("omitted")]
    full = max((span["end"] - span["start"] for span in spans), default=0.0)
    # A rest of a few ms says nothing, and the window in which `omit` ends is reported with a wrong length.
    kept = [span for span in spans if span["seconds"] > 0.5 * full
            and abs(span["end"] - span["start"] - span["seconds"]) < 0.1 * full]
    return [Series(metric="net.bandwidth", unit="B/s", values=tuple(span["bits_per_second"] / 8 for span in kept),
                   times=tuple(float(span["end"]) for span in kept),
                   labels={**labels, "stat": "series", "side": "sender"})] if kept else []


def _processors(read: Document, labels: dict[str, str]) -> list[Series]:
    """Return the share of one processor that each side took: a full one is the limit, not the network."""
    return [one("net.cpu", "1", read.number("end", "cpu_utilization_percent", f"{side}_total") / 100,
                side=name, **labels) for side, name in (("host", "sender"), ("remote", "receiver"))]
