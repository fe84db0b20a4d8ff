"""Load on a service, sent by Locust from outside: how fast it answers at a rate, and the highest rate that it keeps to.

The one thing to know: model = "open" sends on a schedule that waits for no answer, as the public does, and counts the
time of an answer from when its request was due. model = "closed" has some users who each wait for an answer before they
go on; a stalled service slows them down, and so hides how long others would have waited. The series say which.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from drivers import shell, witness
from drivers.load import reading
from drivers.shell import Shell
from drivers.workloads import _loading, _service
from drivers.workloads._machines import PATIENCE
from harness.errors import InputError
from harness.load import AGAIN, Capacity, Objective, capacity, levels
from harness.model import Count, Event, History, Outcome, Record, Series, Value
from harness.protocols import Lab, Machine, Target
from harness.units import Rate, Seconds, Share

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
STARTING = 3.0      # s that the generator takes for coming up and going down
DAY = 24            # straight pieces of a day
SPIKE = (0.4, 0.2, 0.4)     # shares of the duration before, in and after it
PODS = "pods"
LONGEST = 17.0      # s of patience: beyond this all latencies are in one open bin


class Application(Record, frozen=True, kw_only=True):
    """`request` sent to `url` (empty: to the `service` in the guest) at `rate` for `duration`, by `workers`.

    service: page is a small page; journey the insurer's service of several parts (`drivers.service`) through its
    gateway; replica one of its two replicas, and with `through` the same by a gateway that has this replica alone.

    shape: constant; steps multiplies the rate by `growth` from level to level, up to `most`, until `slo_quantile` of
    the response times exceeds `slo` or more than `slo_errors` fail, and then halves the gap `bisect` times; spike goes
    to `most` in the middle; diurnal swings up to `most` and back; soak is constant for long. `request` may be several,
    each with a weight: "GET / 3, POST /claim". A request waits `patience` for its answer. closed: `users` instead of
    a rate, or those of the user's own `locustfile`. `machines` are shell specs over which workers are spread; they
    find the master at address `master` (else by their ssh connection) and `port`; `ssh_config` is ssh's own file of
    settings. "pods" are those of `virtmark job`. With arms over `through` the same load goes to the service itself and
    through its `gateway`.
    """

    needs: ClassVar[tuple[type, ...]] = ()
    tools: ClassVar[tuple[str, ...]] = ()
    alongside: ClassVar[Mapping[str, tuple[Value, ...]]] = {
        "rate": (), "request": (), "patience": (), "service": (), "url": (), "body": (), "arrivals": (),
        "connections": (), "generator": (), "model": ("open",), "shape": ("constant", "soak"), "workers": (1,),
        "through": (False,)}

    service: Literal["page", "journey", "replica"] = "page"
    url: str = ""
    gateway: str = ""
    through: bool = False
    request: str = "GET /"
    body: str = ""
    model: Literal["open", "closed"] = "open"
    shape: Literal["constant", "steps", "spike", "soak", "diurnal"] = "constant"
    rate: Rate = Rate(100)
    most: Rate = Rate(0)
    growth: float = 1.5
    bisect: int = 2
    arrivals: Literal["even", "poisson"] = "even"
    users: Count = 10
    duration: Seconds = Seconds(30)
    slo: Seconds = Seconds(0.1)
    slo_quantile: Share = Share(0.95)
    slo_errors: Share = Share(0.01)
    patience: Seconds = Seconds(10)
    connections: Count = 512
    workers: Count = 1
    machines: str = ""
    master: str = ""
    ssh_config: str = ""
    port: int = 0
    generator: Literal["auto", "client", "controller"] = "auto"
    locustfile: str = ""

    def __post_init__(self) -> None:
        opened = self.model == "open"
        web = all(url.startswith(("http://", "https://")) for url in (self.url, self.gateway) if url)
        peaked = self.shape in ("steps", "spike", "diurnal")
        wrong = {
            "locustfile: its users wait for their answers; set model = \"closed\"": bool(self.locustfile) and opened,
            "url and gateway must begin with http:// or https://": not web,
            "through needs the address of a gateway": self.through and not (self.gateway or self.service == "replica"),
            "service is what the guest serves; leave out url and gateway": self.service != "page" and bool(
                self.url or self.gateway),
            "rate must be above 0": not self.rate > 0,
            f"shape = {self.shape} needs most above rate": peaked and opened and not self.most > self.rate,
            f"shape = {self.shape} is for model = open": peaked and not opened,
            "growth must be above 1 and at most 10": not 1 < self.growth <= 10,
            "bisect must be between 0 and 10": not 0 <= self.bisect <= 10,
            "duration must be at least 1s": self.duration < 1,
            f"patience must be between 0.1s and {LONGEST:g}s": not 0.1 <= self.patience <= LONGEST,
            "slo_quantile must be between 1% and 99.99%": not 0.01 <= self.slo_quantile <= 0.9999,
            "slo_errors must be below 100%": self.slo_errors >= 1,
            "port must be between 0 (any) and 64000": not 0 <= self.port <= 64000,
            'machines = "pods" needs master (where pods reach the generator) and port':
                self.machines == PODS and not (self.master and self.port),
            "workers must not be more than users": not opened and self.workers > self.users,
        }
        if reasons := [text for text, bad in wrong.items() if bad]:
            raise ValueError(reasons[0])
        requests(self.request)
        try:
            for machine in shlex.split(self.machines) if self.machines != PODS else ():
                shell.checked(machine)
        except InputError as error:
            raise ValueError(f"machines: {error}") from None
        if self.ssh_config and not Path(self.ssh_config).is_file():
            raise ValueError(f"ssh_config: {self.ssh_config}: no such file")
        if self.locustfile:
            readable(self.locustfile)

    def seconds(self) -> float:
        """Return how long one step takes; a search for all of its levels, which it may not need."""
        tries = 1
        if self.shape == "steps":
            tries = 1 + math.ceil(math.log(self.most / self.rate) / math.log(self.growth)) + self.bisect
        return tries * (self.duration + STARTING)

    def run(self, target: Target, lab: Lab) -> Iterator[Series | Event]:
        """Load the service level by level and yield what was seen of each."""
        with self._service(target, lab) as url, \
                _loading.seated(lab, self.generator, self._machines(), self.locustfile) as seats:
            seats.address = self.master
            if self.machines == PODS:
                seats.call_from_pods(self.port)
            yield from self._levels(seats, url)

    @contextmanager
    def beside(self, target: Target, lab: Lab, guest: Machine
               ) -> Iterator[Callable[[], Iterator[Series | Event | History]]]:
        """Load `url`, else what `guest` serves, until the context ends; yield what then tells of it."""
        with self._service(target, lab, guest) as url, _loading.seated(lab, self.generator, (), "") as seats:
            spec = self._spec(url, self.rate, lab.rng.randrange(2**31)) | {"rates": [float(self.rate)] * 2}
            with seats.beside(spec, urlsplit(url).netloc if self.url else guest.name) as found:
                yield found.records

    @contextmanager
    def _service(self, target: Target, lab: Lab, guest: Machine | None = None) -> Iterator[str]:
        """Yield what is to be loaded: the given address, the users' own, or the guest's page."""
        if (self.through and self.gateway) or self.url or (self.locustfile and self.service == "page"):
            yield (self.gateway if self.through else self.url).rstrip("/")
            return
        guest = guest or lab.guest()
        if self.service != "page":
            _service.real(target)
            with _service.serving(lab, guest, patience=self.patience) as shop:
                ports = shop.ports
                port = ports.gateway if self.service == "journey" else ports.one if self.through else ports.a
                yield f"http://{guest.address}:{port}"
            return
        with witness.lasting(lab, guest, patience=PATIENCE) as port:
            yield f"http://{guest.address}:{port}"

    def _machines(self) -> list[Shell]:
        """Return the machines over which workers are spread."""
        options = ("-F", self.ssh_config) if self.ssh_config else ()
        specs = shlex.split(self.machines) if self.machines != PODS else ()
        return [shell.open(spec, ssh_options=options) for spec in specs]

    def _levels(self, seats: _loading.Seats, url: str) -> Iterator[Series | Event]:
        seen: list[Series] = []
        tallies: list[tuple[reading.Tally, float, float]] = []
        rate, halved, again = float(self.rate), 0, False
        while rate:
            name = f"{self.users} users" if self.model == "closed" else f"{rate:.6g}/s"
            name += AGAIN if again else ""
            shot, start = seats.shot(self._spec(url, rate, seats.lab.rng.randrange(2**31)), self.workers, self.port)
            tally = shot.tally()
            tallies.append((tally, start, shot.seconds))
            found = reading.series(shot, tally, start, level=name)
            seen += found
            yield from found
            yield Event(actor="load", action="level", start=start, end=start + shot.seconds,
                        outcome=Outcome.FAILED if shot.lost else Outcome.OK, detail="; ".join((name, *shot.lost)))
            if self.shape != "steps":
                break
            again = not again and bool(levels(found)[0].short)      # the generator's fault, perhaps by chance
            if not again:
                search = capacity(levels(seen), self.objective)
                halved += search.above is not None
                rate = self._next(search, rate, halved)
        yield from reading.timeline(tallies, {
            "tool": reading.TOOL, "model": self.model, "stat": "levels" if self.shape == "steps" else "series"})

    def _next(self, found: Capacity, rate: float, halved: int) -> float:
        """Return the rate of the next level of a search, 0 where it is over."""
        if found.above is None:
            return min(rate * self.growth, self.most) if rate < self.most else 0.0
        if found.best is None or halved > self.bisect:
            return 0.0
        return math.sqrt(found.best.offered * found.above.offered)

    @property
    def objective(self) -> Objective:
        """Return what the service is to keep to."""
        return Objective(limit=self.slo, quantile=self.slo_quantile, errors=self.slo_errors)

    def _spec(self, url: str, rate: float, seed: int) -> dict[str, Any]:
        """Return what the generator is told of a level."""
        return {"url": url, "model": self.model, "requests": requests(self.request), "body": self.body,
                "segments": self.segments(rate), "process": self.arrivals, "seed": seed, "users": self.users,
                "duration": float(self.duration), "patience": float(self.patience), "connections": self.connections,
                "locustfile": self.locustfile, "title": self.locustfile, "master": ["", 0]}

    def segments(self, rate: float) -> list[tuple[float, float, float]]:
        """Return the straight pieces of a level: s, and the rates at begin and end."""
        length, low, high = float(self.duration), float(rate), float(self.most)
        if self.shape == "spike":
            return [(share * length, level, level) for share, level in zip(SPIKE, (low, high, low), strict=True)]
        if self.shape == "diurnal":
            swing = [low + (high - low) * (1 - math.cos(2 * math.pi * hour / DAY)) / 2 for hour in range(DAY + 1)]
            return [(length / DAY, swing[hour], swing[hour + 1]) for hour in range(DAY)]
        return [(length, low, low)]


def requests(text: str) -> list[dict[str, Any]]:
    """Return the requests that a text such as "GET / 3, POST /claim" names; ValueError for anything else."""
    found = []
    for part in text.split(","):
        words = part.split()
        weight = words[2] if len(words) == 3 else "1"
        if len(words) not in (2, 3) or words[0] not in METHODS or not words[1].startswith("/") or not _positive(weight):
            raise ValueError(f"request: {part.strip()!r} is none; write, say, \"GET / 3, POST /claim\": one of "
                             f"{', '.join(METHODS)}, a path, and a weight if wanted")
        found.append({"method": words[0], "path": words[1], "name": f"{words[0]} {words[1]}", "weight": float(weight)})
    return found


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def readable(file: str) -> None:
    """Raise ValueError where a locustfile is not there or is no Python; it is not run here."""
    try:
        compile(Path(file).read_bytes(), file, "exec")
    except OSError as error:
        raise ValueError(f"locustfile: {file}: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"locustfile: {file}:{getattr(error, 'lineno', None) or 1}: {error.args[0]}") from None


__all__ = ["Application", "readable", "requests"]
