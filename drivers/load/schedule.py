"""When each request is to leave, and what is written down of it; knows nothing of Locust.

Stands alone (standard library, Python 3.9 or later), since it is sent to the generator's machine. The one thing to
know: the schedule is fixed before the first request leaves, so that no answer, however late, can shift what comes
after it (open model). Of several workers each takes every `of`-th arrival of one and the same schedule.
"""

from __future__ import annotations

import array
import base64
import itertools
import json
import math
import random
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

NEVER = -1                          # latency of a request that had no answer
COLUMNS = ("intended", "lag", "latency", "code", "which")
OK, REFUSED, TIMEOUT, UNSENT, CUT = 0, -1, -2, -3, -4       # codes; an HTTP status of 400 and above stands for itself
BLOCK = 16_384                      # rows that are held until they are written


def arrivals(segments: Iterable[tuple[float, float, float]], process: str, seed: int = 0) -> Iterator[int]:
    """Yield the time of each arrival in whole ns since the beginning.

    `segments` are (seconds, rate at its begin, rate at its end), rates in 1/s and linear between. even: one arrival
    each time the integral of the rate is a whole number, the first at once. poisson: each time it is a sum of seeded
    exponential numbers.
    """
    rng = random.Random(seed)
    due, passed, begin = (rng.expovariate(1.0) if process == "poisson" else 0.0), 0.0, 0.0
    for seconds, first, last in segments:
        whole, slope = seconds * (first + last) / 2, (last - first) / seconds
        while due - passed < whole:
            y = due - passed
            at = 2 * y / (first + math.sqrt(max(0.0, first * first + 2 * slope * y))) if y else 0.0
            yield round((begin + min(at, seconds)) * 1e9)
            due += rng.expovariate(1.0) if process == "poisson" else 1.0
        passed += whole
        begin += seconds


def share(times: Iterable[int], index: int, of: int) -> Iterator[int]:
    """Yield every `of`-th of `times`, from number `index` on: what one of `of` workers sends."""
    return (at for number, at in enumerate(times) if number % of == index)


def packed(values: array.array[int], *, rising: bool = False) -> str:
    """Return whole numbers as text: little-endian, eight bytes each, by significance, compressed, base64.

    The first bytes of all numbers come first, then the second ones: neighbours then are alike, which halves the size.
    Of a `rising` column each number but the first is the difference to the one before.
    """
    numbers = array.array("q", map(int.__sub__, values, itertools.chain((0,), values)) if rising else values)
    if sys.byteorder == "big":
        numbers.byteswap()
    data = numbers.tobytes()
    return base64.b64encode(zlib.compress(b"".join(data[at::8] for at in range(8)), 1)).decode()


def line(found: dict[str, Any]) -> str:
    """Return one line of the generator's output."""
    return json.dumps(found, separators=(",", ":")) + "\n"


class Log:
    """One row a request, held in columns until `take` turns them into a line: memory does not grow with the run."""

    def __init__(self) -> None:
        self.columns = {name: array.array("q") for name in COLUMNS}
        self.written = 0

    def add(self, *row: int) -> bool:
        """Note a request, in the order of COLUMNS (ns on the generator's monotonic clock); say if a block is full."""
        for column, value in zip(self.columns.values(), row):      # noqa: B905  (Python 3.9)
            column.append(value)
        return len(self.columns["code"]) >= BLOCK

    def take(self) -> dict[str, array.array[int]]:
        """Take out what is held."""
        found, self.columns = self.columns, {name: array.array("q") for name in COLUMNS}
        self.written += len(found["code"])
        return found


def block(rows: dict[str, array.array[int]]) -> str:
    """Return rows as a line."""
    columns = {name: packed(column, rising=name == "intended") for name, column in rows.items()}
    return line({"rows": len(rows["code"]), **columns})
