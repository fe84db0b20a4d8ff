"""What was promised against what is there: acknowledged records that are missing are lost data. Pure.

The one thing to know: a record is named by epoch and sequence number. An epoch is one start of the writer and never
comes again, so that what was lost cannot be mistaken for what was written later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from harness.model import Record, Series


class Run(NamedTuple):
    """Whole records that follow each other in the file: sequence numbers `first` to `last` of one epoch."""

    epoch: int
    first: int
    last: int


class Written(Record, frozen=True, kw_only=True):
    """What a verifier found in a file: runs in the order of the file, and blocks that hold no whole record."""

    runs: tuple[Run, ...]
    records: int
    torn: int
    bytes: int


class Promise(NamedTuple):
    """A record that was acknowledged, and when that was known outside (s)."""

    epoch: int
    sequence: int
    time: float


@dataclass(frozen=True, kw_only=True)
class Compared:
    """How many records were acknowledged; which of them are missing (`lost`, in the order of acknowledgement); how many
    are there though nobody was told (`doubtful`, which is allowed), out of order, or there twice; blocks that are torn.

    `durable` is when the last record was acknowledged before which nothing is lost (None: there is none), `first` when
    the first one was.
    """

    acked: int
    lost: tuple[Promise, ...]
    doubtful: int
    torn: int
    reordered: int
    duplicate: int
    missing: int
    first: float | None
    durable: float | None

    @property
    def reason(self) -> str:
        """Why this is a failure whatever the times; "" if nothing is lost."""
        if not self.lost:
            return ""
        one = self.lost[0]
        return (f"data-loss: {len(self.lost)} of {self.acked} acknowledged records are missing, "
                f"the first of them number {one.sequence}")

    def rpo(self, fault: float) -> float:
        """Return the recovery point in s: how long before `fault` the last record was acknowledged up to which nothing
        is lost; 0 where nothing at all is. Where nothing is left it counts from the first acknowledgement."""
        point = self.first if self.durable is None else self.durable
        return max(0.0, fault - point) if self.lost and point is not None else 0.0


def written(text: str) -> Written:
    """Return what the verifier printed; ValueError for anything else."""
    try:
        return msgspec.json.decode(text.encode(), type=Written)
    except msgspec.MsgspecError as error:
        raise ValueError(f"check: {error}") from None


def compare(promises: Iterable[Promise], found: Written) -> Compared:
    """Compare what was acknowledged, in any order and with repetitions, with what is in the file."""
    told: dict[tuple[int, int], Promise] = {}
    for promise in sorted(promises, key=lambda promise: promise.time):
        told.setdefault(promise[:2], promise)
    there = _Intervals(found.runs)
    order = list(told.values())
    lost = tuple(promise for promise in order if promise[:2] not in there)
    kept = order if not lost else order[:order.index(lost[0])]
    distinct = len(there)
    reordered, duplicate = _disorder(found.runs)
    return Compared(
        acked=len(told), lost=lost, doubtful=distinct - (len(told) - len(lost)), torn=found.torn, reordered=reordered,
        duplicate=duplicate, missing=there.holes(), first=order[0].time if order else None,
        durable=kept[-1].time if kept else None)


def interleaved(promises: Iterable[Promise]) -> tuple[int, ...]:
    """Return the epochs of which a record was acknowledged after the first of a later epoch: two copies that wrote at
    once, which never may be."""
    latest, found = -1, set()
    for promise in sorted(promises, key=lambda promise: promise.time):
        if promise.epoch < latest:
            found.add(promise.epoch)
        latest = max(latest, promise.epoch)
    return tuple(sorted(found))


def series(compared: Compared, *, fault: float | None = None, **labels: str) -> Iterator[Series]:
    """Yield the counts as series, and the recovery point where the time of a `fault` is given."""
    counts = {"acked": compared.acked, "lost": len(compared.lost), "doubtful": compared.doubtful,
              "torn": compared.torn, "reordered": compared.reordered + compared.duplicate}
    for name, count in counts.items():
        yield Series(metric=f"integrity.{name}", unit="1", values=(float(count),), labels=labels)
    if fault is not None:
        yield Series(metric="integrity.rpo", unit="s", values=(compared.rpo(fault),), labels=labels)


def loss(values: Iterable[Series]) -> str:
    """Return why the series of a step are a failure whatever its times; "" if they tell of no lost data."""
    counts = dict.fromkeys(("acked", "lost"), 0.0)
    for one in values:
        name = one.metric.removeprefix("integrity.")
        if one.metric.startswith("integrity.") and name in counts:
            counts[name] += sum(one.values)
    return (f"data-loss: {counts['lost']:.0f} of {counts['acked']:.0f} acknowledged writes are missing"
            if counts["lost"] else "")


def _disorder(runs: Sequence[Run]) -> tuple[int, int]:
    """Return how many records stand behind one that was written later, and how many stand there again."""
    reordered = duplicate = 0
    latest = (-1, -1)
    seen: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        again = sum(max(0, min(run.last, old.last) - max(run.first, old.first) + 1) for old in _apart(seen[run.epoch]))
        duplicate += again
        if run.epoch < latest[0]:
            reordered += run.last - run.first + 1 - again
        elif run.epoch == latest[0]:
            reordered += max(0, min(run.last, latest[1]) - run.first + 1 - again)
        seen[run.epoch].append(run)
        latest = max(latest, (run.epoch, run.last))
    return reordered, duplicate


def _apart(runs: Iterable[Run]) -> list[Run]:
    """Return runs of one epoch in order, those that overlap joined to one."""
    joined: list[Run] = []
    for run in sorted(runs):
        if joined and run.first <= joined[-1].last:
            joined[-1] = Run(run.epoch, joined[-1].first, max(joined[-1].last, run.last))
        else:
            joined.append(run)
    return joined


class _Intervals:
    """The distinct records of runs, to be asked for."""

    def __init__(self, runs: Iterable[Run]) -> None:
        by: dict[int, list[Run]] = defaultdict(list)
        for run in runs:
            by[run.epoch].append(run)
        self._by = {epoch: _apart(some) for epoch, some in by.items()}
        self._firsts = {epoch: [run.first for run in some] for epoch, some in self._by.items()}

    def __contains__(self, name: tuple[int, int]) -> bool:
        epoch, sequence = name
        place = bisect_right(self._firsts.get(epoch, []), sequence) - 1
        return place >= 0 and sequence <= self._by[epoch][place].last

    def __len__(self) -> int:
        return sum(run.last - run.first + 1 for some in self._by.values() for run in some)

    def holes(self) -> int:
        """Return how many records are missing between the first and the last of each epoch."""
        return sum(some[-1].last - some[0].first + 1 for some in self._by.values()) - len(self)


__all__ = ["Compared", "Promise", "Run", "Written", "compare", "loss", "series", "written"]
