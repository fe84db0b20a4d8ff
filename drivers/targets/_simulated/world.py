"""What a simulated program gets and gives: conditions in, an answer out. Numbers come from a seed and a few constants.

`speed` is how fast the machine is: rates are multiplied by it, times divided. Everything else of a model is a constant
at the top of its module, chosen to look like a small server, not to be one.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

EPOCH = 1_700_000_000  # what simulated time 0 is on the wall


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Where a program runs: `now` in s of simulated time, who listens there, and whether the network is busy."""

    rng: random.Random
    speed: float
    processors: int
    now: float
    spread: float
    reached: Callable[[str, int], bool]
    busy: bool = False

    def around(self, value: float, share: float = 0.0) -> float:
        """Return `value` with noise: a factor whose logarithm is normal, of standard deviation `share`."""
        return value * math.exp(self.rng.gauss(0.0, share or self.spread))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program leaves: output, exit status, how long it took (inf: it waits until it is stopped), files.

    `ending` gives the output of one that watches until it ends.
    """

    stdout: str = ""
    stderr: str = ""
    code: int = 0
    seconds: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)
    listens: int = 0
    ending: Callable[[], str] | None = None


class Options:
    """Command line options by name: `--name=value`, `--name value`, `-n value`; `switches` take no value."""

    def __init__(self, argv: Sequence[str], switches: Collection[str] = ()) -> None:
        self.named: dict[str, str] = {}
        self.words: list[str] = []
        rest = iter(argv[1:])
        for word in rest:
            name, equals, value = word.lstrip("-").partition("=")
            if not word.startswith("-"):
                self.words.append(word)
            else:
                self.named[name] = value if equals or name in switches else next(rest, "")

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a number, without the unit s or ms that may follow it; in s where there is one."""
        text = self.named.get(name, "")
        if not text:
            return default
        scale = 1e-3 if text.endswith("ms") else 1.0
        return float(text.rstrip("ms")) * scale

    def text(self, name: str, default: str = "") -> str:
        """Return the text of an option."""
        return self.named.get(name, default)

    def __contains__(self, name: str) -> bool:
        return name in self.named


def counts(rng: random.Random, total: int, edges: Sequence[float], median: float, sigma: float) -> list[int]:
    """Return how many of `total` draws of a log-normal fall between neighbouring `edges`, with the noise of drawing.

    Ends are open. The sum is near `total`, not equal to it: callers take the sum for the number of events.
    """
    below = [0.0, *(_share_below(edge, median, sigma) for edge in edges[1:-1]), 1.0]
    return [_drawn(rng, total, high - low) for low, high in itertools.pairwise(below)]


def lognormal(rng: random.Random, median: float, sigma: float) -> Iterator[float]:
    """Yield draws for ever."""
    while True:
        yield median * math.exp(rng.gauss(0.0, sigma))


def _share_below(value: float, median: float, sigma: float) -> float:
    return 0.5 * (1.0 + math.erf(math.log(value / median) / (sigma * math.sqrt(2.0)))) if value > 0 else 0.0


def _drawn(rng: random.Random, total: int, share: float) -> int:
    mean = total * share
    if mean < 20:
        return _poisson(rng, mean) if mean > 1e-9 else 0
    return max(0, round(rng.gauss(mean, math.sqrt(mean * (1.0 - share)))))


def _poisson(rng: random.Random, mean: float) -> int:
    """Return a Poisson number of a small mean, by multiplying uniform numbers (Knuth)."""
    limit, product, number = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        number += 1
    return number
