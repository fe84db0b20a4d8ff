"""Whether a database kept its word: a history of operations and the state at the end, judged in Jepsen's manner. Pure.

The one thing to know: an operation is OK, FAILED (it did not happen) or UNKNOWN: the connection broke after it was
sent, so it may have happened at any time since, or never. Registers must be linearizable: all that is OK has one order
that respects real time, in which every answer is right. The search is exact; where it would take too long, it says so.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from harness.model import Event, Outcome, Record, Series

CONFIGURATIONS = 300_000      # states of the search for an order, after which it gives up
Action = Literal["insert", "transfer", "total", "read", "write", "compare-and-set"]


class Operation(Record, frozen=True, kw_only=True):
    """One operation of one session, between `start` and `end` (s).

    `key` is the number inserted, the id of a transfer, or the register; `value` what was written, read or summed up;
    `expected` what a compare-and-set compares with, and `done` whether it set.
    """

    session: int
    action: Action
    key: int = 0
    value: int | None = None
    expected: int | None = None
    done: bool = True
    start: float
    end: float
    outcome: Outcome


class Transfer(NamedTuple):
    """A row of the database: `amount` went from one account to another."""

    id: int
    source: int
    target: int
    amount: int


class Final(Record, frozen=True, kw_only=True):
    """What the database holds at the end: numbers inserted, transfers, balances by account, values by register."""

    numbers: tuple[int, ...]
    transfers: tuple[Transfer, ...]
    balances: dict[int, int]
    registers: dict[int, int | None]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is wrong, by key: acknowledged and missing (`lost`), failed or never asked for and there (`phantom`), there
    more than once, totals that are not what they must be, accounts whose balance does not follow from the transfers,
    registers without a right order, and those that were given up. `doubtful` are unknown and there, which is allowed.
    """

    operations: int
    acked: int
    lost: tuple[int, ...]
    phantom: tuple[int, ...]
    duplicate: tuple[int, ...]
    totals: tuple[int, ...]
    balances: tuple[int, ...]
    registers: tuple[int, ...]
    undecided: tuple[int, ...]
    doubtful: int

    @property
    def reason(self) -> str:
        """Why this is a failure whatever the times; "" if the database kept its word as far as can be told."""
        wrong = [f"{len(keys)} {what}" for keys, what in (
            (self.lost, "acknowledged writes are missing"), (self.phantom, "writes are there that failed"),
            (self.duplicate, "writes are there twice"), (self.totals, "totals were wrong"),
            (self.balances, "balances do not follow from the transfers"),
            (self.registers, "registers have no order in which all answers are right")) if keys]
        return f"data-loss: {', '.join(wrong)} ({self.acked} were acknowledged)" if wrong else ""


def read(text: str) -> list[Operation]:
    """Return the operations of JSON lines, but for a last line cut off; ValueError for anything else."""
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    try:
        return [msgspec.json.decode(line, type=Operation) for line in lines if line.strip()]
    except msgspec.MsgspecError as error:
        raise ValueError(f"ledger: {error}") from None


def judge(history: Sequence[Operation], final: Final, opening: Mapping[int, int],
          values: Mapping[int, int | None]) -> Judged:
    """Judge a history and the state after it; `opening` holds the balances before it, `values` the registers'."""
    inserts = _rows(history, "insert", final.numbers)
    transfers = _rows(history, "transfer", [row.id for row in final.transfers])
    orders = {key: _order(history, key, values.get(key), final.registers.get(key)) for key in final.registers}
    total = sum(opening.values())
    seen = [one.value for one in history if one.action == "total" and one.outcome is Outcome.OK]
    sums = [*seen, sum(final.balances.values())]
    return Judged(
        operations=len(history), acked=sum(one.outcome is Outcome.OK for one in history if _changes(one)),
        lost=inserts.lost + transfers.lost, phantom=inserts.phantom + transfers.phantom,
        duplicate=inserts.duplicate + transfers.duplicate, doubtful=inserts.doubtful + transfers.doubtful,
        totals=tuple(value for value in sums if value is not None and value != total),
        balances=tuple(_unbalanced(final, opening)),
        registers=tuple(key for key, found in orders.items() if found is False),
        undecided=tuple(key for key, found in orders.items() if found is None))


def series(judged: Judged, **labels: str) -> Iterator[Series]:
    """Yield the counts as series, for the rows that a sequence writer has as well."""
    wrong = judged.lost + judged.phantom + judged.totals + judged.balances + judged.registers
    counts = {"acked": judged.acked, "lost": len(wrong), "doubtful": judged.doubtful, "torn": 0,
              "reordered": len(judged.duplicate)}
    for name, count in counts.items():
        yield Series(metric=f"integrity.{name}", unit="1", values=(float(count),), labels={"data": "postgres"} | labels)


def events(history: Iterable[Operation], began: float) -> Iterator[Event]:
    """Yield operations whose outcome is not OK as events, with times since `began`."""
    for one in history:
        if one.outcome is not Outcome.OK:
            yield Event(actor=f"ledger-{one.session}", action=one.action, start=one.start - began,
                        end=one.end - began, outcome=one.outcome, detail=f"key {one.key}")


def linearizable(history: Iterable[Operation], value: int | None, *, most: int = CONFIGURATIONS) -> bool | None:
    """Return whether one register that begins with `value` answered rightly; None if that needs more than `most` steps.

    Wing and Gong's search with the configurations seen so far kept. What changes nothing is taken as soon as it fits,
    which loses no order; what is unknown may be taken or left.
    """
    kept = sorted((one for one in history if one.outcome is not Outcome.FAILED), key=lambda one: one.start)
    sure = [one for one in kept if one.outcome is Outcome.OK]
    maybe = [one for one in kept if one.outcome is Outcome.UNKNOWN and one.action != "read"]
    stack = [_Place(0, 0, 0, value)]
    seen = set(stack)
    while stack:
        place = _settled(stack.pop(), sure)
        if place.low == len(sure):
            return True
        for following in _following(place, sure, maybe):
            if following not in seen:
                seen.add(following)
                stack.append(following)
        if len(seen) > most:
            return None
    return False


class _Place(NamedTuple):
    """How far a search is: all sure ones before `low` are taken, and those of `taken` (bit 0 is `low`), and of `maybe`.
    """

    low: int
    taken: int
    maybe: int
    value: int | None

    def take(self, index: int, value: int | None) -> _Place:
        low, taken = self.low, self.taken | 1 << (index - self.low)
        while taken & 1:
            low, taken = low + 1, taken >> 1
        return _Place(low, taken, self.maybe, value)


def _open(place: _Place, sure: Sequence[Operation]) -> tuple[list[int], float]:
    """Return the sure ones that may come next, and until when one of the others must have started to do so."""
    found, until = [], math.inf
    for index in range(place.low, len(sure)):
        if sure[index].start > until:
            break
        if not place.taken >> (index - place.low) & 1:
            found.append(index)
            until = min(until, sure[index].end)
    return [index for index in found if sure[index].start <= until], until


def _settled(place: _Place, sure: Sequence[Operation]) -> _Place:
    """Take all answers that may come next and fit; what never changes anything can be taken at once."""
    while True:
        for index in _open(place, sure)[0]:
            one = sure[index]
            idle = one.action == "read" or (one.action == "compare-and-set" and not one.done)
            if idle and _applied(one, place.value)[0]:
                place = place.take(index, place.value)
                break
        else:
            return place


def _following(place: _Place, sure: Sequence[Operation], maybe: Sequence[Operation]) -> Iterator[_Place]:
    able, until = _open(place, sure)
    for index, one in enumerate(maybe):
        if one.start <= until and not place.maybe >> index & 1:
            fits, value = _applied(one, place.value)
            if fits and value != place.value:
                yield place._replace(maybe=place.maybe | 1 << index, value=value)
    for index in reversed(able):        # the earliest is looked at first
        fits, value = _applied(sure[index], place.value)
        if fits:
            yield place.take(index, value)


def _applied(one: Operation, value: int | None) -> tuple[bool, int | None]:
    """Return whether this answer is right where the register holds `value`, and what it holds then."""
    if one.action == "write":
        return True, one.value
    if one.action == "read":
        return one.value == value, value
    if one.outcome is Outcome.UNKNOWN or one.done:
        return value == one.expected, one.value
    return value != one.expected, value


class _Rows(NamedTuple):
    lost: tuple[int, ...]
    phantom: tuple[int, ...]
    duplicate: tuple[int, ...]
    doubtful: int


def _rows(history: Iterable[Operation], action: Action, there: Iterable[int]) -> _Rows:
    by: dict[Outcome, set[int]] = defaultdict(set)
    for one in history:
        if one.action == action:
            by[one.outcome].add(one.key)
    found = Counter(there)
    allowed = by[Outcome.OK] | by[Outcome.UNKNOWN]
    return _Rows(tuple(sorted(by[Outcome.OK] - set(found))), tuple(sorted(set(found) - allowed)),
                 tuple(sorted(key for key, count in found.items() if count > 1)),
                 len(set(found) & by[Outcome.UNKNOWN] - by[Outcome.OK]))


def _changes(one: Operation) -> bool:
    return one.action in ("insert", "transfer", "write") or (one.action == "compare-and-set" and one.done)


def _order(history: Iterable[Operation], key: int, value: int | None, last: int | None) -> bool | None:
    own = [one for one in history if one.key == key and one.action in ("read", "write", "compare-and-set")]
    end = 1 + max((max(one.start, one.end) for one in own), default=0.0)
    final = Operation(session=-1, action="read", key=key, value=last, start=end, end=end, outcome=Outcome.OK)
    return linearizable([*own, final], value)


def _unbalanced(final: Final, opening: Mapping[int, int]) -> Iterator[int]:
    due = Counter(opening)
    for row in final.transfers:
        due[row.source] -= row.amount
        due[row.target] += row.amount
    yield from sorted(key for key in due.keys() | final.balances.keys() if due[key] != final.balances.get(key, 0))


__all__ = ["Action", "Final", "Judged", "Operation", "Transfer", "events", "judge", "linearizable", "read", "series"]
