"""Locust's master and its workers: who is there, who is lost, what time it is on each of them.

The one thing to know: the master sends no requests. It tells every worker, on the worker's own clock, when the one
schedule begins of which each sends its share, and asks for their time again and again: from these exchanges clocks are
fitted where they are not the same.
"""

from __future__ import annotations

import socket
import time
from typing import Any

import gevent
import gevent.event
import locust
from locust.env import Environment

PRESENT = 30.0          # s that workers have for coming
ASKED = 16              # exchanges of time before it begins
LEAD = 500_000_000      # ns between the word and the first arrival
PULSE = 0.5             # s between looks at the workers
HELLO, CLOCK, BEGIN, DONE = (f"virtmark-{word}" for word in ("hello", "clock", "begin", "done"))
now = time.monotonic_ns


class Wrong(Exception):
    """It cannot be done; the text is for whoever asked."""


class Worker:
    """What the master knows of a worker: Locust's name for it, and exchanges of time in ns (t1, t2, t3, t4)."""

    def __init__(self, node: str, said: dict[str, Any]) -> None:
        self.node, self.index, self.locust, self.boot = node, said["index"], said["locust"], said["boot"]
        self.exchanges: list[tuple[int, int, int, int]] = []
        self.done = False

    def there(self, moment: int, boot: str) -> int:
        """Return what the worker's clock shows at `moment` of the master's, by the quickest exchange.

        It is the same clock where the kernel is (boot id), unless the exchange shows another: time namespaces.
        """
        offset, trip = quickest(self.exchanges)
        return moment if self.boot == boot and abs(offset) <= trip else moment + offset


def quickest(exchanges: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """Return the offset of the worker's clock in ns by the exchange with the shortest round trip, and that trip."""
    t1, t2, t3, t4 = min(exchanges, key=lambda each: each[3] - each[0] - (each[2] - each[1]))
    return (t2 - t1 + t3 - t4) // 2, t4 - t1 - (t3 - t2)


class Workers:
    """All workers of a master, by index."""

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self.known: dict[int, Worker] = {}
        for kind, heard in ((HELLO, self.hello), (CLOCK, self.clock), (DONE, self.done)):
            runner.register_message(kind, heard)

    def hello(self, environment: Any, msg: Any) -> None:
        """Note who came."""
        self.known[msg.data["index"]] = Worker(msg.node_id, msg.data)

    def clock(self, environment: Any, msg: Any) -> None:
        """Note an exchange of time."""
        t1, t2, t3 = msg.data["t"]
        self.known[msg.data["index"]].exchanges.append((t1, t2, t3, now()))

    def done(self, environment: Any, msg: Any) -> None:
        """Note who has sent all of its share and has every answer."""
        self.known[msg.data["index"]].done = True

    def ask(self) -> None:
        """Ask each for its time."""
        for worker in self.known.values():
            self.runner.send_message(CLOCK, {"t": [now()]}, client_id=worker.node)

    def lost(self) -> list[int]:
        """Return the indices of workers that are no longer heard of, or left before they were told to."""
        live = {node.id for node in self.runner.clients.all if node.state != "missing"}
        return sorted(index for index, worker in self.known.items() if worker.node not in live)


def master(load: Any, environment: Environment) -> None:
    """Gather the workers, let them begin together, watch them to the end."""
    spec = load.spec
    host, port = spec["master"]
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("" if host == "*" else host, port))
        runner = environment.create_master_runner(host, port)
    except (OSError, SystemExit) as error:
        raise Wrong(f"port {port} of the master cannot be had: {getattr(error, 'strerror', None) or error}") from None
    workers = Workers(runner)
    gathered(workers, spec["of"])
    count = spec["of"] if spec["model"] == "open" else spec["users"]
    if environment.shape_class:
        runner.start_shape()
    else:
        runner.start(count, spawn_rate=count)
    begin = now() + LEAD
    for worker in workers.known.values():
        runner.send_message(BEGIN, {"at": worker.there(begin, load.boot)}, client_id=worker.node)
    load.write({"begin": begin})
    gone = watched(load, workers, begin)
    for index in gone:
        load.write({"lost": index, "after": now() - begin})
    runner.quit()
    gevent.sleep(0.2)       # the word is on its way
    for worker in workers.known.values():
        load.write({"clock": worker.index, "boot": worker.boot, "exchanges": worker.exchanges})


def gathered(workers: Workers, of: int) -> None:
    """Wait until all have come and told their time; Wrong where one does not, or is another Locust."""
    until = time.monotonic() + PRESENT
    while len(workers.known) < of:
        if time.monotonic() > until:
            missing = sorted(set(range(of)) - workers.known.keys())
            raise Wrong(f"worker {missing[0] + 1} of {of} did not come within {PRESENT:g} s")
        gevent.sleep(0.02)
    for worker in workers.known.values():
        if worker.locust != locust.__version__:
            raise Wrong(f"worker {worker.index + 1} of {of} has Locust {worker.locust}, the master "
                        f"{locust.__version__}; all need the same version")
    while any(len(worker.exchanges) < ASKED for worker in workers.known.values()):
        if time.monotonic() > until:
            raise Wrong(f"a worker did not tell its time within {PRESENT:g} s")
        workers.ask()
        gevent.sleep(0.02)


def watched(load: Any, workers: Workers, begin: int) -> list[int]:
    """Wait until all are done, time is over, or one is lost; return who is lost."""
    spec = load.spec
    while not load.stop.wait(PULSE):
        if gone := [index for index in workers.lost() if not workers.known[index].done]:
            return gone
        if spec["model"] == "open" and all(worker.done for worker in workers.known.values()):
            break
        if spec["model"] == "closed" and now() - begin >= spec["duration"] * 1e9:
            break
        workers.ask()
    return []


def worker(load: Any, environment: Environment) -> None:
    """Send this worker's share when the master says so."""
    spec = load.spec
    host, port = spec["master"]
    with gevent.Timeout(PRESENT, Wrong(f"the master at {host}:{port} does not answer")):
        runner = environment.create_worker_runner(host, port)

    def clock(environment: Any, msg: Any) -> None:
        t2 = now()
        runner.send_message(CLOCK, {"index": spec["index"], "t": [*msg.data["t"], t2, now()]})

    def begin(environment: Any, msg: Any) -> None:
        load.begin.set(msg.data["at"])
        load.write({"begin": msg.data["at"], "cpu": time.process_time_ns()})

    runner.register_message(CLOCK, clock)
    runner.register_message(BEGIN, begin)
    runner.send_message(HELLO, {"index": spec["index"], "locust": locust.__version__, "boot": load.boot})

    def report() -> None:
        load.sent_all.wait()
        runner.send_message(DONE, {"index": spec["index"]})

    gevent.spawn(report)
    left = gevent.spawn(runner.greenlet.join)
    gevent.wait([left, load.stop], count=1)
    load.stop.set()
