"""Sends requests by Locust and writes every one of them down: the program that runs on the generator's machine.

    python -m drivers.load.generator '{"role": "alone", "url": "http://10.0.0.2:80/", ...}'

The one thing to know: in the open model requests leave on a schedule that waits for no answer, and latency counts from
the moment that was planned; in the closed one each of some users waits for its answer before it goes on. Each line of
stdout is a JSON object: a head, blocks of rows (see `schedule`), and an end; {"error": ...} and exit status 2 where it
cannot be done. Roles: alone; or a master, which sends nothing itself, and its workers. SIGTERM ends it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import gevent
import gevent.event
import gevent.threadpool
import locust
from geventhttpclient.url import URL
from locust.env import Environment
from locust.user.users import User
from locust.util.load_locustfile import load_locustfile

from drivers.load import cluster, schedule, visitors

FLUSH = 0.5                 # s between blocks
LAST = 1.5                  # s that a load which is told to end waits for its last answers
REACHED = 5.0               # s in which the service must take a connection before anything begins
LEAD = 300_000_000          # ns between the word and the first arrival
NAMES = 1000                # requests that are told apart by name; all others are one
OUT = sys.stdout
now = time.monotonic_ns


class Wrong(Exception):
    """It cannot be done; the text is for whoever asked."""


class Load:
    """What the users of one process share: what was asked, the log, when it begins and whether it is over."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.log = schedule.Log()
        self.begin: gevent.event.AsyncResult = gevent.event.AsyncResult()
        self.stop, self.sent_all, self.full = (gevent.event.Event() for _ in range(3))
        self.names: dict[str, int] = {}
        self.fresh: list[str] = []
        self.waiting: dict[object, tuple[int, int, str]] = {}   # of who waits for an answer: when due, lag, name
        self.open, self.boot, self.over = 0, "", False
        self.length = round(spec["duration"] * 1e9) + 1     # the last one may be due at the very end
        self.writer = gevent.threadpool.ThreadPool(1)

    def note(self, intended: int, lag: int, latency: int, code: int, name: str) -> None:
        """Write a request down, if it belongs to what is measured."""
        if not self.begin.ready() or not 0 <= intended - self.begin.value < self.length:
            return
        if name not in self.names:
            if len(self.names) >= NAMES:
                name = "others"
            if name not in self.names:
                self.names[name] = len(self.names)
                self.fresh.append(name)
        if self.log.add(intended, lag, latency, code, self.names[name]):
            self.full.set()

    def write(self, found: dict[str, Any]) -> None:
        """Print a line, by a thread, so that no request waits for whoever reads."""
        self.writer.apply(put, (schedule.line(found),))

    def flushing(self) -> None:
        """Print what the log holds, again and again, to the end."""
        while not self.over:
            self.full.wait(FLUSH)
            self.full.clear()
            self.flush()

    def flush(self) -> None:
        """Print what the log holds."""
        names, self.fresh = self.fresh, []
        if names:
            self.write({"names": {self.names[name]: name for name in names}})
        rows = self.log.take()
        if rows["code"]:
            self.writer.apply(lambda: put(schedule.block(rows)))


def put(text: str) -> None:
    """Write to what stdout was at first, at once."""
    OUT.write(text)
    OUT.flush()


def users(load: Load) -> tuple[list[type[User]], Any]:
    """Return the classes of users, and the shape that a user's own file may bring."""
    spec = load.spec
    if not spec["locustfile"]:
        return [visitors.bound(load)], None
    file = spec["locustfile"]
    try:
        classes, shapes = load_locustfile(os.path.abspath(file))
    except BaseException as error:
        at = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
        raise Wrong(f"{spec['title']}{f':{at[-1]}' if at else ''}: {type(error).__name__}: {error}") from None
    if not classes:
        raise Wrong(f"{spec['title']}: defines no class of users; one at least is needed, derived from HttpUser")
    homeless = [name for name, kind in classes.items() if not (kind.host or spec["url"])]
    if homeless:
        raise Wrong(f"{spec['title']}: class {homeless[0]} has no host; set `host` in it, or `url` in the scenario")
    return list(classes.values()), shapes[0] if shapes else None


def reach(url: str) -> None:
    """Raise Wrong where the service takes no connection."""
    where = URL(url)
    try:
        with socket.create_connection((where.host, where.port), REACHED):
            pass
    except OSError as error:
        raise Wrong(f"{url}: cannot be reached: {error.strerror or error}") from None


def alone(load: Load, environment: Environment) -> None:
    """Send from this process until all is sent, time is over, or it is told to stop."""
    spec = load.spec
    runner = environment.create_local_runner()
    count = 1 if spec["model"] == "open" else spec["users"]
    if environment.shape_class:
        runner.start_shape()
    else:
        runner.start(count, spawn_rate=count, wait=True)
    load.begin.set(now() + (LEAD if spec["model"] == "open" else 0))
    load.write({"begin": load.begin.value, "cpu": time.process_time_ns()})
    signed(spec, "begun")
    over = load.sent_all if spec["model"] == "open" else load.stop
    gevent.wait([over, load.stop], timeout=None if spec["model"] == "open" else spec["duration"], count=1)
    if spec.get("until") == "told" and load.stop.is_set():
        load.sent_all.wait(LAST)
        visitors.cut(load)
    load.stop.set()
    runner.quit()


def main(spec: dict[str, Any]) -> None:
    """Do what `spec` asks for."""
    load = Load(spec)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, load.stop.set)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with open("/proc/sys/kernel/random/boot_id") as file:
        load.boot = file.read().strip()
    load.write({"head": spec["role"], "index": spec["index"], "of": spec["of"], "model": spec["model"],
                "locust": locust.__version__, "python": sys.version.split()[0], "boot": load.boot, "monotonic": now(),
                "realtime": time.time_ns()})
    if spec["url"] and spec["master"][0] != "*":    # a master of other machines need not see the service
        reach(spec["url"])
    classes, shape = users(load)
    environment = Environment(user_classes=classes, shape_class=shape, host=spec["url"] or None)
    if spec["model"] == "closed":
        environment.events.request.add_listener(visitors.listener(load))     # type: ignore[no-untyped-call]
    gc.collect()
    gc.freeze()
    flushing = gevent.spawn(load.flushing)
    memory = resident()
    {"alone": alone, "master": cluster.master, "worker": cluster.worker}[spec["role"]](load, environment)
    load.over = True
    load.full.set()
    flushing.join()
    load.flush()
    load.write({"end": now(), "cut": load.open, "written": load.log.written, "cpu": time.process_time_ns(),
                "resident": [memory, resident()]})


def resident() -> int:
    """Return the bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def signed(spec: dict[str, Any], word: str) -> None:
    """Write a word to the file `sign`, if there is one to be, for whoever waits for it beside."""
    if spec.get("sign"):
        with open(spec["sign"], "w") as file:
            file.write(word + "\n")


def ended(spec: dict[str, Any], error: str) -> NoReturn:
    """Say what is wrong, and end."""
    put(schedule.line({"error": error}))
    signed(spec, "failed")
    os._exit(2)


if __name__ == "__main__":
    OUT = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)       # what a user's own file prints must not come between the rows
    asked = json.loads(sys.argv[1])
    try:
        main(asked)
    except (Wrong, cluster.Wrong) as wrong:
        ended(asked, str(wrong))
    os._exit(0)     # greenlets of users may still wait for answers that nobody needs
