"""Who sends: users of Locust that keep to a schedule, and users who wait for their answers.

The one thing to know: one user of the open model stands for all visitors of its process. It hands every request that is
due to one of many connections, and opens another where all are busy; where there may be no more, the request waits, and
the wait counts, since its visitor would wait too.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import gevent
import gevent.queue
from geventhttpclient.url import URL
from locust import FastHttpUser, constant, task
from locust.exception import StopUser

from drivers.load import precise, schedule
from drivers.load.schedule import CUT, NEVER, OK, REFUSED, TIMEOUT, UNSENT

BODIED = ("POST", "PUT", "PATCH")
YIELD = 64          # requests that a process which is late sends before it looks for answers
now = time.monotonic_ns


class Visitor(FastHttpUser):
    """What both models share: what is asked for, and the log."""

    abstract = True
    load: Any
    wait_time = constant(0)

    def on_start(self) -> None:
        """Get ready."""
        spec = self.load.spec
        self.plans = [(each["method"], each["path"], each["name"]) for each in spec["requests"]]
        self.body = spec["body"].encode()
        self.chosen = precise.chooser([each["weight"] for each in spec["requests"]], spec["seed"] + spec["index"])


class Punctual(Visitor):
    """Sends what is due, whatever became of what was sent before."""

    abstract = True

    @task
    def keep(self) -> None:
        """Send what is due until the schedule ends, then see to the last answers."""
        load, spec = self.load, self.load.spec
        begin = load.begin.get()
        self.queue: Any = gevent.queue.SimpleQueue()
        self.idle, workers = 0, 0
        self.port = self.client.client.clientpool.get_client(URL(self.host or ""))
        alarm = precise.Alarm()
        times = schedule.arrivals(spec["segments"], spec["process"], spec["seed"])
        for number, offset in enumerate(schedule.share(times, spec["index"], spec["of"])):
            if load.stop.is_set():
                break
            if begin + offset > now():
                alarm.until(begin + offset)
            elif not number % YIELD:
                gevent.sleep(0)
            load.open += 1
            self.queue.put((begin + offset, self.chosen()))
            if self.queue.qsize() > self.idle and workers < self.concurrency:
                workers += 1
                gevent.spawn(self.work)
        while load.open:
            gevent.sleep(0.01)
        load.sent_all.set()
        raise StopUser

    def work(self) -> None:
        """Send one after the other of what is due, on a connection of its own."""
        load, patience, slot = self.load, round(self.load.spec["patience"] * 1e9), object()
        while True:
            self.idle += 1
            due, which = self.queue.get()
            self.idle -= 1
            method, path, name = self.plans[which]
            sent = now()
            if sent - due > patience:
                load.note(due, sent - due, NEVER, UNSENT, name)
            else:
                load.waiting[slot] = due, sent - due, name
                code, by = self.ask(method, path)
                if load.waiting.pop(slot, None):
                    load.note(due, sent - due, NEVER if code == TIMEOUT else now() - due, code, f"{name}{by}")
            load.open -= 1

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Send a request, read its answer; return what became of it, and who says to have answered."""
        by = self.load.spec.get("by", "")
        try:
            answer = self.port.request(method, path, body=self.body if method in BODIED else b"")
            answer.read()
            status = int(answer.status_code)
            said = f" [{answer.get(by, '')}]" if by else ""
            answer.release()
        except Exception as error:      # whatever the client's library raises
            return refusal(error), ""
        return OK if status < 400 else status, said


def cut(load: Any) -> None:
    """Write down what has no answer where all ends; a late one is not written down again."""
    while load.waiting:
        due, lag, name = load.waiting.popitem()[1]
        load.note(due, lag, NEVER, CUT, name)


class Waiting(Visitor):
    """Sends a request, waits for the answer, and goes on at once."""

    abstract = True

    @task
    def ask(self) -> None:
        """Send one; the listener writes it down."""
        method, path, name = self.plans[self.chosen()]
        self.client.request(method, path, name=name, data=self.body if method in BODIED else None)


def bound(load: Any) -> type[Visitor]:
    """Return the class of users that does what `load` asks for."""
    spec = load.spec
    kind = Punctual if spec["model"] == "open" else Waiting
    return type("Visitors", (kind,), {
        "abstract": False, "load": load, "host": spec["url"], "concurrency": spec["connections"],
        "network_timeout": spec["patience"], "connection_timeout": spec["patience"]})


def listener(load: Any) -> Callable[..., None]:
    """Return what Locust calls after each request of a user who waits, ours or one of the user's own file."""

    def heard(name: str, response_time: float, exception: Exception | None = None, response: Any = None,
              **_: Any) -> None:
        took, code = round(response_time * 1e6), OK
        if exception is not None:
            status = int(getattr(response, "status_code", 0) or 0)
            code = status if status >= 400 else refusal(exception)
        load.note(now() - took, 0, NEVER if code == TIMEOUT else took, code, name)

    return heard


def refusal(error: BaseException) -> int:
    """Return what an exception means: waited in vain, or turned away."""
    if isinstance(error, TimeoutError | socket.timeout) or "timed out" in str(error).lower():
        return TIMEOUT
    return REFUSED
