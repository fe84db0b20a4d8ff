"""Simulated iperf3, ping and sockperf between simulated machines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

from drivers.targets._simulated.world import EPOCH, Answer, Conditions, Options, lognormal

LINE = 9.4e9              # bit/s
ROUND_TRIP, SIGMA = 220e-6, 0.25
LOST = 2e-5               # share of datagrams
QUEUE = 6.0               # how much longer a round trip takes on a busy line
VERSION = "iperf 3.12"
INTERRUPTED = "interrupt - the client has terminated"
REFUSED = "unable to connect to server: Connection refused"


def iperf3(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `iperf3 --server` and `iperf3 --client --json`."""
    asked = Options(argv, {"server", "udp", "json"})
    port = int(asked.number("port", 5201))
    if "server" in asked:
        return Answer(stdout=f"Server listening on {port}\n", stderr="iperf3: interrupt - the server has terminated\n",
                      code=1, seconds=math.inf, listens=port)
    to = asked.text("client")
    start: dict[str, Any] = {"connected": [], "version": VERSION, "system_info": "Linux simulated 6.1.0 x86_64"}
    if not here.reached(to, port):
        return Answer(stdout=_json({"start": start, "intervals": [], "end": {}, "error": REFUSED}), code=1, seconds=0.1)
    udp = "udp" in asked
    bits = asked.number("bitrate") if udp else here.around(LINE * min(1.0, here.speed))
    streams, time = int(asked.number("parallel", 1)), asked.number("time", 10)
    start |= {
        "connected": [{"socket": 5 + 2 * i, "local_host": "192.0.2.1", "local_port": 40000 + i, "remote_host": to,
                       "remote_port": port} for i in range(streams)],
        "timestamp": {"time": "", "timesecs": int(EPOCH + here.now)}, "connecting_to": {"host": to, "port": port},
        **({} if udp else {"tcp_mss_default": 1448}), "target_bitrate": int(asked.number("bitrate")),
        "test_start": {"protocol": "UDP" if udp else "TCP", "num_streams": streams,
                       "blksize": int(asked.number("length", 131072)), "omit": int(asked.number("omit")),
                       "duration": int(time), "bytes": 0, "blocks": 0, "reverse": 0, "tos": 0}}
    ended = _udp(asked, here, bits, time) if udp else _tcp(here, bits, streams, time)
    windows = _windows(asked, here, bits, time, streams)
    return Answer(stdout=_json({"start": start, "intervals": windows, "end": ended | _processors(here)}),
                  seconds=time + asked.number("omit") + 0.2)


def _tcp(here: Conditions, bits: float, streams: int, time: float) -> dict[str, Any]:
    again = here.rng.randrange(0, 20)
    trip = round(1e6 * here.around(ROUND_TRIP / here.speed, 0.1) * 2)
    each = _sum(bits / streams, time)
    sent = {**each, "socket": 5, "retransmits": again // streams, "max_snd_cwnd": 4_000_000, "max_rtt": 3 * trip,
            "min_rtt": trip // 2, "mean_rtt": trip, "sender": True}
    return {"streams": [{"sender": sent, "receiver": {**each, "socket": 5, "sender": True}} for _ in range(streams)],
            "sum_sent": {**_sum(bits, time), "retransmits": again, "sender": True},
            "sum_received": {**_sum(bits * 0.9995, time), "sender": True},
            "sender_tcp_congestion": "cubic", "receiver_tcp_congestion": "cubic"}


def _udp(asked: Options, here: Conditions, bits: float, time: float) -> dict[str, Any]:
    packets = round(bits * time / 8 / asked.number("length", 1460))
    lost = sum(here.rng.random() < LOST for _ in range(packets))
    seen = {**_sum(bits, time), "jitter_ms": 1e3 * here.around(0.05 * ROUND_TRIP / here.speed, 0.2),
            "lost_packets": lost, "packets": packets, "lost_percent": 100.0 * lost / max(1, packets)}
    got = _sum(bits * (1 - lost / max(1, packets)), time)
    return {"streams": [{"udp": {**seen, "socket": 5, "out_of_order": 0, "sender": True}}],
            "sum": {**seen, "sender": True}, "sum_sent": {**seen, "jitter_ms": 0, "lost_packets": 0, "sender": True},
            "sum_received": {**seen, **got, "sender": False}}


def _windows(asked: Options, here: Conditions, bits: float, time: float, streams: int) -> list[dict[str, Any]]:
    step = asked.number("interval", 1)
    found: list[dict[str, Any]] = []
    for number in range(round(time / step)):
        rates = [here.around(bits / streams, 0.01) for _ in range(streams)]
        rows = [{"socket": 5 + 2 * i, **_window(number, step, rate)} for i, rate in enumerate(rates)]
        found.append({"streams": rows, "sum": _window(number, step, sum(rates))})
    return found


def _window(number: int, step: float, rate: float) -> dict[str, Any]:
    return {"start": number * step, "end": (number + 1) * step, "seconds": step, "bytes": round(rate * step / 8),
            "bits_per_second": rate, "omitted": False, "sender": True}


def _processors(here: Conditions) -> dict[str, Any]:
    shares = {f"{side}_{kind}": here.around(value, 0.1) for side in ("host", "remote")
              for kind, value in (("total", 40.0), ("user", 2.0), ("system", 38.0))}
    return {"cpu_utilization_percent": shares}


def _sum(bits: float, time: float) -> dict[str, Any]:
    return {"start": 0, "end": time, "seconds": time, "bytes": round(bits * time / 8), "bits_per_second": bits}


def ping(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `ping -n -i INTERVAL -c COUNT -s SIZE -W 1 ADDRESS`."""
    asked = Options(argv, {"n"})
    to, count, interval = asked.words[-1], int(asked.number("c", 1)), asked.number("i", 1)
    size = int(asked.number("s", 56))
    arrived = {number: trip * 1e3 for number, trip in zip(range(1, count + 1), _trips(here), strict=False)
               if here.rng.random() >= LOST}
    rows = [f"{size + 8} bytes from {to}: icmp_seq={number} ttl=64 time={_digits(ms)} ms"
            for number, ms in arrived.items()]
    times = list(arrived.values()) or [0.0]
    mean = sum(times) / len(times)
    spread = math.sqrt(sum((each - mean) ** 2 for each in times) / len(times))
    lost = 100 * (count - len(arrived)) / count
    text = "\n".join([
        f"PING {to} ({to}) {size}({size + 28}) bytes of data.", *rows, "", f"--- {to} ping statistics ---",
        (f"{count} packets transmitted, {len(arrived)} received, {lost:g}% packet loss, "
        f"time {count * interval * 1e3:.0f}ms"),
        f"rtt min/avg/max/mdev = {min(times):.3f}/{mean:.3f}/{max(times):.3f}/{spread:.3f} ms", ""])
    return Answer(stdout=text, code=0 if arrived else 1, seconds=count * interval)


def _digits(ms: float) -> str:
    """Return a time as ping prints it: with three digits, or three places."""
    return f"{ms:.3f}" if ms < 1 else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"


def sockperf(argv: Sequence[str], here: Conditions) -> Answer:
    """Answer `sockperf server` and `sockperf ping-pong --full-log FILE`."""
    asked = Options(argv, {"tcp", "full-rtt"})
    port, to = int(asked.number("port", 11111)), asked.text("ip")
    if asked.words[:1] == ["server"]:
        return Answer(stdout="sockperf: [SERVER] listen on:\n", seconds=math.inf, listens=port)
    if not here.reached(to, port):
        return Answer(stderr="sockperf: ERROR: Can't connect socket (errno=111 Connection refused)\n", code=1,
                      seconds=0.1)
    time, at, rows = asked.number("time", 1), here.now + 0.4, []
    for trip in islice(_trips(here), 10_000_000):
        if at + trip > here.now + time - 0.05:
            break
        rows.append((at, at + trip, trip * 1e6))
        at += trip + 1e-6
    text = _statistics(asked, rows, time)
    log = "\n".join(["-" * 30, "packet, txTime(sec), rxTime(sec), rtt(usec)",
                     *(f"{n}, {a:.9f}, {b:.9f}, {us:.3f}" for n, (a, b, us) in enumerate(rows)), "-" * 30, ""])
    return Answer(stdout=text, seconds=time + 0.5, files={asked.text("full-log"): (text + log).encode()})


def _statistics(asked: Options, rows: Sequence[tuple[float, float, float]], time: float) -> str:
    times = sorted(us for _, _, us in rows)
    mean = sum(times) / len(times)
    marks = (99.999, 99.99, 99.9, 99, 90, 75, 50, 25)
    at = {mark: times[min(len(times) - 1, int(len(times) * mark / 100))] for mark in marks}
    said = "sockperf: "
    return "\n".join([
        f"{said}== version #3.7-no.git == ", f"{said}Test ended",
        (f"{said}[Total Run] RunTime={time:.3f} sec; Warm up time=400 msec; SentMessages={len(times) + 60}; "
        f"ReceivedMessages={len(times) + 60}"), f"{said}========= Printing statistics for Server No: 0",
        (f"{said}[Valid Duration] RunTime={time - 0.45:.3f} sec; SentMessages={len(times)}; "
        f"ReceivedMessages={len(times)}"), f"{said}====> avg-rtt={mean:.3f} (std-dev={0.2 * mean:.3f})",
        f"{said}# dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0",
        f"{said}Summary: Round trip is {mean:.3f} usec", f"{said}---> <MAX> observation = {times[-1]:.3f}",
        *(f"{said}---> percentile {mark:.3f} = {us:.3f}" for mark, us in at.items()),
        f"{said}---> <MIN> observation = {times[0]:.3f}", ""])


def _trips(here: Conditions) -> Any:
    median = here.around(ROUND_TRIP / here.speed) * (QUEUE if here.busy else 1.0)
    return lognormal(here.rng, median, SIGMA)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent="\t", separators=(",", ":\t")) + "\n"
