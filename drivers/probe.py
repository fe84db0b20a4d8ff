"""Looks at services from outside, many times a second, and writes down when each probe left and when its answer came.

Stands alone (standard library, Python 3.9 or later, Linux) so that it can be copied to any client and run there:

    python3 probe.py '{"probes": [{"name": "a", "kind": "udp", "address": "10.0.0.2", "port": 7, "interval": 0.01,
                                   "patience": 30}], "duration": 60}'

The one thing to know: the schedule is absolute and waits for no answer (open loop), so that a stalled service does not
thin out the probes that shall measure the stall. Each line of stdout is a JSON object: first one about the process,
then blocks of columns (whole ns of CLOCK_MONOTONIC; each zlib over little-endian differences, base64), a block as soon
as its probes are answered or given up. It ends on SIGTERM, SIGINT, after `duration` s, or where `until_stdin_ends`.
IPv4 only. Kinds: icmp, udp, tcp, http, disk (address: a folder), libvirt (address: a URI), listen (stamps datagrams).
"""

from __future__ import annotations

import array
import base64
import contextlib
import ctypes
import errno
import gc
import json
import os
import queue
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Any

NEVER = -1
SPIN = 150_000              # ns before a probe is due in which the process no longer sleeps
FLUSH, DRAIN = 500_000_000, 200_000_000     # ns between blocks, and that the last probes have for their answers
WORKERS, BATCH = 8, 256     # threads of a probe whose calls block, and answers read at once
PR_SET_TIMERSLACK, MCL_CURRENT_AND_FUTURE = 29, 3

now = time.monotonic_ns


class Probe:
    """What is sent to one service, and the rows not written yet; the base of all kinds."""

    def __init__(self, spec: dict[str, Any], poller: select.epoll, handlers: dict[int, Callable[[int], None]]) -> None:
        self.name, self.kind = str(spec["name"]), str(spec["kind"])
        self.where = (str(spec["address"]), int(spec.get("port", 0)))
        self.interval, self.patience = round(spec["interval"] * 1e9), round(spec["patience"] * 1e9)
        if not 0 < self.interval <= self.patience:
            raise ValueError(f"probe {self.name}: interval and patience must be above 0, and patience not the smaller")
        self.poller, self.handlers = poller, handlers
        self.due = self.count = self.first = 0      # first: the number of the first row that is kept
        self.sent, self.lag, self.latency = (deque[int]() for _ in range(3))
        self.open()

    def open(self) -> None:
        """Get ready."""

    def send(self, number: int) -> None:
        """Send probe `number` without waiting."""

    def give_up(self, number: int) -> None:
        """Forget probe `number`, which was answered or is written as lost."""

    def fire(self, moment: int) -> None:
        """Send the probe that is due; the schedule goes on from the planned time, skipping what is long past."""
        number, self.count = self.count, self.count + 1
        self.sent.append(moment)
        self.lag.append(moment - self.due)
        self.latency.append(NEVER)
        self.due += self.interval * max(1, (moment - self.due) // self.interval + 1)
        with contextlib.suppress(OSError):
            self.send(number)

    def answered(self, number: int, moment: int) -> None:
        """Note an answer, the first one of its probe."""
        at = number - self.first
        if 0 <= at < len(self.sent) and self.latency[at] == NEVER:
            self.latency[at] = moment - self.sent[at]

    def settled(self, moment: int) -> int:
        """Return how many of the oldest rows cannot change any more at `moment`."""
        rows = zip(self.sent, self.latency)     # noqa: B905  (Python 3.9)
        return sum(1 for _ in takewhile(lambda row: row[1] != NEVER or moment - row[0] >= self.patience, rows))

    def block(self, count: int) -> dict[str, Any]:
        """Take the oldest `count` rows out as a block."""
        for number in range(self.first, self.first + count):
            self.give_up(number)
        rows = {name: packed([column.popleft() for _ in range(count)])
                for name, column in (("sent", self.sent), ("lag", self.lag), ("latency", self.latency))}
        found = {"probe": self.name, "first": self.first, "count": count, **rows}
        self.first += count
        return found

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Have `handler` called with what happened on `fd`."""
        self.handlers[fd] = handler
        self.poller.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Undo `watch`."""
        self.handlers.pop(fd, None)
        with contextlib.suppress(OSError, ValueError):
            self.poller.unregister(fd)


class Echo(Probe):
    """Datagrams that come back as they were: UDP."""

    def open(self) -> None:
        self.nonce = struct.unpack("<Q", os.urandom(8))[0]
        self.socket = self.connected()
        self.socket.setblocking(False)
        self.watch(self.socket.fileno(), select.EPOLLIN, self.receive)

    def connected(self) -> socket.socket:
        """Return the socket that sends."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.connect(self.where)
        return made

    def send(self, number: int) -> None:
        self.socket.send(struct.pack("<QQ", self.nonce, number))

    def receive(self, events: int) -> None:
        """Match what came to what was sent."""
        for _ in range(BATCH):
            try:
                data = self.payload(self.socket.recv(2048))
            except BlockingIOError:
                return
            except OSError:         # the service is not there, as an ICMP error tells: no answer
                continue
            if len(data) == 16 and data[:8] == struct.pack("<Q", self.nonce):
                self.answered(struct.unpack("<QQ", data)[1], now())

    def payload(self, data: bytes) -> bytes:
        """Return what was sent of a datagram that came."""
        return data


class Ping(Echo):
    """ICMP echo, by a datagram socket where the system allows that, else by a raw one."""

    def connected(self) -> socket.socket:
        self.raw = False
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        except OSError:
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            self.raw = True
        made.connect((self.where[0], 0))
        return made

    def send(self, number: int) -> None:
        data = struct.pack("<QQ", self.nonce, number)
        head = (8, 0, 0, self.nonce & 0xFFFF, number & 0xFFFF)
        whole = struct.pack("!BBHHH", *head) + data
        total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
        total = (total & 0xFFFF) + (total >> 16)
        check = ~(total + (total >> 16)) & 0xFFFF
        self.socket.send(struct.pack("!BBHHH", 8, 0, check, *head[3:]) + data)

    def payload(self, data: bytes) -> bytes:
        data = data[(data[0] & 15) * 4:] if self.raw else data
        return data[8:] if data[:1] == b"\0" else b""


class Connect(Probe):
    """A TCP connection of its own for each probe, answered when it stands."""

    def open(self) -> None:
        self.pending: dict[int, socket.socket] = {}

    def send(self, number: int) -> None:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))   # no TIME_WAIT: ports last
        self.pending[number] = made
        if made.connect_ex(self.where) in (0, errno.EINPROGRESS):
            self.watch(made.fileno(), select.EPOLLOUT, lambda events: self.ready(number, made, events))
        else:
            self.give_up(number)

    def ready(self, number: int, made: socket.socket, events: int) -> None:
        """Look whether it stands."""
        moment = now()
        if not made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.answered(number, moment)
        self.give_up(number)

    def give_up(self, number: int) -> None:
        made = self.pending.pop(number, None)
        if made is not None:
            self.unwatch(made.fileno())
            made.close()


class Request(Connect):
    """A GET request on a connection of its own, answered when a status of 2xx or 3xx comes."""

    def ready(self, number: int, made: socket.socket, events: int) -> None:
        try:
            if events & select.EPOLLOUT and not events & select.EPOLLIN:
                made.send(f"GET / HTTP/1.0\r\nHost: {self.where[0]}\r\n\r\n".encode())
                self.poller.modify(made.fileno(), select.EPOLLIN)
                return
            said = made.recv(64)
        except OSError:
            said = b""
        if said.startswith(b"HTTP/1.") and said[9:10] in (b"2", b"3"):
            self.answered(number, now())
        self.give_up(number)


class Called(Probe):
    """A call that blocks, made by threads; a probe is sent when it is handed to them."""

    def open(self) -> None:
        self.jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.done: deque[tuple[int, int]] = deque()
        for index in range(WORKERS):
            threading.Thread(target=self.work, args=(index,), daemon=True).start()

    def send(self, number: int) -> None:
        self.jobs.put(number)

    def work(self, index: int) -> None:
        """Make calls for ever."""
        call: Callable[[], object] | None = None
        while True:
            number = self.jobs.get()
            try:
                call = call or self.prepared(index)
                call()
            except Exception:       # whatever a library raises: no answer
                call = None
                continue
            self.done.append((number, now()))

    def prepared(self, index: int) -> Callable[[], object]:
        """Return the call; it raises where it fails."""
        raise NotImplementedError

    def settled(self, moment: int) -> int:
        while self.done:
            self.answered(*self.done.popleft())
        return super().settled(moment)


class Disk(Called):
    """A block written and acknowledged by fdatasync, in a file that has no name."""

    def prepared(self, index: int) -> Callable[[], object]:
        path = os.path.join(self.where[0], f".virtmark-probe-{os.getpid()}-{self.name}-{index}")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)

        def call() -> None:
            os.pwrite(fd, os.urandom(4096), 0)
            os.fdatasync(fd)
        return call


class Daemon(Called):
    """A question to libvirt: by its Python module, else by virsh."""

    def prepared(self, index: int) -> Callable[[], object]:
        try:
            import libvirt
        except ImportError:
            return lambda: subprocess.run(["virsh", "-c", self.where[0], "version"], check=True, capture_output=True,
                                          stdin=subprocess.DEVNULL, timeout=self.patience / 1e9)
        call: Callable[[], object] = libvirt.openReadOnly(self.where[0]).getLibVersion
        return call


class Listen(Echo):
    """Datagrams that others send: a row for each that arrives, with no lag and no latency."""

    def connected(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(self.where)
        return made

    def fire(self, moment: int) -> None:
        self.due += 3600 * 10**9

    def receive(self, events: int) -> None:
        self.socket.recv(2048)
        for column, value in ((self.sent, now()), (self.lag, 0), (self.latency, 0)):
            column.append(value)


MADE: dict[str, type[Probe]] = {
    "icmp": Ping, "udp": Echo, "tcp": Connect, "http": Request, "disk": Disk, "libvirt": Daemon, "listen": Listen}


def packed(values: list[int]) -> str:
    """Return whole numbers as text: differences, little-endian, compressed, base64."""
    steps = array.array("q", [b - a for a, b in zip([0, *values], values)])     # noqa: B905  (Python 3.9)
    if sys.byteorder == "big":
        steps.byteswap()
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode()


def punctual() -> dict[str, str]:
    """Ask the system for what keeps the process on time; return what it said, by name."""
    libc = ctypes.CDLL(None, use_errno=True)
    said = {}
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        said["scheduler"] = "fifo"
    except OSError as error:
        said["scheduler"] = f"other: {error.strerror}"
    for name, code in (("memory", libc.mlockall(MCL_CURRENT_AND_FUTURE)),
                       ("slack", libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0))):
        said[name] = "set" if not code else os.strerror(ctypes.get_errno())
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    gc.disable()
    return said


def write(found: dict[str, Any]) -> None:
    """Write a line at once."""
    sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def main(spec: dict[str, Any]) -> None:
    """Probe until told to stop."""
    poller = select.epoll()
    handlers: dict[int, Callable[[int], None]] = {}
    stopped: list[bool] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    if spec.get("until_stdin_ends"):
        handlers[0] = lambda events: stopped.extend([] if os.read(0, 4096) else [True])
        poller.register(0, select.EPOLLIN)
    said = punctual()
    probes = [MADE[each["kind"]](each, poller, handlers) for each in spec["probes"]]
    begin = now() + 10_000_000
    for index, probe in enumerate(probes):      # side by side, not all at the same moment
        probe.due = begin + index * probe.interval // len(probes)
    end = begin + round(spec.get("duration", 0) * 1e9 or 1e18)
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    write({"boot": boot, "monotonic": now(), "realtime": time.time_ns(), "cpu": 0, **said})
    run(probes, poller, handlers, lambda: bool(stopped) or now() >= end)
    write({"end": now(), "cpu": time.process_time_ns()})


def run(probes: list[Probe], poller: select.epoll, handlers: dict[int, Callable[[int], None]],
        over: Callable[[], bool]) -> None:
    """Send what is due and take what comes until it is over, then wait a little for the last answers."""
    turn = 0
    flushed = now()
    while not over():
        probe = min(probes, key=lambda each: each.due)
        until = probe.due - SPIN
        listen(poller, handlers, until)
        while (moment := now()) < probe.due and moment >= until:
            pass
        if moment >= probe.due:
            probe.fire(now())
        if moment - flushed > FLUSH // len(probes):     # one probe at a time, so that none is held up for long
            turn, flushed = turn + 1, moment
            its = probes[turn % len(probes)]
            if count := its.settled(moment):
                write(its.block(count))
    until = now() + DRAIN
    while now() < until:
        listen(poller, handlers, until)
    for probe in probes:
        if count := max(probe.settled(until), sum(until - sent >= DRAIN for sent in probe.sent)):
            write(probe.block(count))


def listen(poller: select.epoll, handlers: dict[int, Callable[[int], None]], until: int) -> None:
    """Take what has come; with nothing to do, sleep until then or until something comes."""
    wait = max(0, until - now()) / 1e9
    with contextlib.suppress(InterruptedError):
        if wait and not select.select([poller.fileno()], [], [], min(wait, 0.1))[0]:
            return      # epoll itself would round to whole milliseconds
    for fd, events in poller.poll(0, BATCH):
        if fd in handlers:      # else it was closed by one of this batch
            handlers[fd](events)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
