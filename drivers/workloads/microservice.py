"""Something happens to a service of several parts while it is loaded: a dependency fails, a replica dies, a version is
rolled out; or the gateway limits and divides what comes.

The one thing to know: all is judged by the requests, from outside, each of which is kept. What the gateway believes of
its replicas is followed beside that, never instead. The service is `drivers.service`, in the guest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from drivers import service
from drivers.workloads import _loading, _service
from drivers.workloads._service import Moment, Shop
from drivers.workloads.application import LONGEST, requests
from harness.errors import ToolError
from harness.model import Event, History, Outcome, Record, Series
from harness.protocols import Lab, Target
from harness.units import Rate, Seconds, Share

STARTING = 4.0      # s that the generator takes for coming up
STANDING = 45.0     # s that an emulated guest takes to have all parts stand
ROLLING = 12.0      # s that it takes to replace a replica
DRAINED = 1.0       # s in which a replica that gets no more requests answers those that it has
WRITING = "POST /policy"    # what needs the database each time


class Microservice(Record, frozen=True, kw_only=True):
    """`happens` to the service in a guest, under `rate` of requests through its gateway (open model, evenly spaced).

    breaker: its database is killed, and started again after `hold`. replica: so is one of its two replicas. update:
    both are replaced by another version, one after the other, and after `hold` back. limit: the gateway lets half of
    `rate` through. canary: it gives the second replica a share `canary`. `before` and `after` are what is looked at
    on both sides; a request waits `patience` for its answer. `request` is as for the workload application; "" is a
    customer's journey, or for breaker what needs the database.
    """

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ("haproxy", "redis-server")

    happens: Literal["breaker", "replica", "update", "limit", "canary"]
    rate: Rate = Rate(10)
    request: str = ""
    before: Seconds = Seconds(5)
    hold: Seconds = Seconds(15)
    after: Seconds = Seconds(15)
    patience: Seconds = Seconds(5)
    canary: Share = Share(0.1)

    def __post_init__(self) -> None:
        wrong = {
            "rate must be between 2/s and 1000/s": not 2 <= self.rate <= 1000,
            "before, hold and after must be at least 1s": min(self.before, self.hold, self.after) < 1,
            f"patience must be between 0.1s and {LONGEST:g}s": not 0.1 <= self.patience <= LONGEST,
            "canary must be between 1% and 99%": not 0.01 <= self.canary <= 0.99,
        }
        if reasons := [text for text, bad in wrong.items() if bad]:
            raise ValueError(reasons[0])
        requests(self.asked)

    @property
    def asked(self) -> str:
        """Return what is requested."""
        return self.request or (WRITING if self.happens == "breaker" else service.JOURNEY)

    def seconds(self) -> float:
        """Return how long one step takes, by what was seen of emulated guests."""
        rolling = 2 * len(service.REPLICAS) * ROLLING if self.happens == "update" else 0.0
        return STANDING + STARTING + self.before + self.hold + self.after + rolling

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event | History]:
        """Let it happen once; yield what became of the requests, what was done, and what the gateway saw."""
        _service.real(target)
        guest = lab.guest()
        limit = self.rate / 2 if self.happens == "limit" else 0.0
        canary = float(self.canary) if self.happens == "canary" else 0.5
        with _service.serving(lab, guest, patience=self.patience, limit=limit, canary=canary) as shop, \
                _loading.seated(lab, "auto", (), "") as seats:
            watcher = seats.first.machine
            with _service.watching(lab, watcher, shop) as watch:
                with seats.beside(self._load(shop), guest.name) as load:
                    lab.clock.sleep(self.before)
                    done = list(self._happening(lab, shop))
                    lab.clock.sleep(self.after)
                said = watch.stop()
        yield from load.records()
        yield from done
        if not said.stdout:
            raise ToolError(f"watch.py on {watcher.name}: {(said.stderr.strip().splitlines() or ['nothing'])[-1]}")
        yield from _service.seen(said.stdout, seats.clock, lab.began)

    def _load(self, shop: Shop) -> dict[str, object]:
        return {**_loading.PLAIN, "url": shop.url, "requests": requests(self.asked), "patience": float(self.patience),
                "rates": [float(self.rate), float(self.rate)], "by": service.BY}

    def _happening(self, lab: Lab, shop: Shop) -> Iterator[Event]:
        """Yield what is done to the service, as it is done."""
        if self.happens in ("limit", "canary"):
            lab.clock.sleep(self.hold)
        elif self.happens == "update":
            for action, version in (("update", 2), ("rollback", 1)):
                yield self._done(lab, action, rolled(lab, shop, version))
                lab.clock.sleep(self.hold if version == 2 else 0.0)
        else:
            part = "database" if self.happens == "breaker" else service.REPLICAS[-1]
            yield self._done(lab, "killed", shop.kill(part), part)
            lab.clock.sleep(self.hold)
            yield self._done(lab, "back", shop.database() if part == "database" else shop.bring(part), part)

    def _done(self, lab: Lab, action: str, when: Moment, detail: str = "") -> Event:
        return Event(actor="service", action=action, start=when.start - lab.began, end=when.end - lab.began,
                     outcome=Outcome.OK, detail=detail)


def rolled(lab: Lab, shop: Shop, version: int) -> Moment:
    """Replace each replica by another version, one after the other, as a careful operator does."""
    before = lab.clock.now()
    for name in service.REPLICAS:
        shop.tell(f"set server shop/{name} state drain")
        lab.clock.sleep(DRAINED)
        shop.tell(f"set server shop/{name} state maint")
        shop.kill(name)
        shop.bring(name, version)
        shop.tell(f"set server shop/{name} state ready")
    return Moment(before, lab.clock.now())


__all__ = ["Microservice", "rolled"]
