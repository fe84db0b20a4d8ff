"""What a run tells whoever watches it, and how much time is left.

The command line draws a bar from it; tests keep a list. A watch must not raise and must not take long: it is called
between steps, never during one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from harness.model import Step, StepResult
from harness.plan import Campaign, Forecast


class Watch(Protocol):
    """Is told of a campaign's progress; times in s."""

    def campaign(self, campaign: Campaign, steps: int, seconds: float) -> None:
        """The campaign begins, or goes on with a second stage: so many steps are to be run, in about `seconds`."""

    def begin(self, step: Step, left: float) -> None:
        """A step begins; `left` is the time left for it and all that follow."""

    def end(self, result: StepResult, left: float) -> None:
        """A step ended."""

    def note(self, text: str) -> None:
        """Something that a person should know: one line."""


class Silent:
    """A watch that looks away."""

    def campaign(self, campaign: Campaign, steps: int, seconds: float) -> None:
        """Ignore it."""

    def begin(self, step: Step, left: float) -> None:
        """Ignore it."""

    def end(self, result: StepResult, left: float) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


class Remaining:
    """The time left: what the forecast says for the steps to come, scaled by how right it has been so far."""

    TRUSTED = 60.0
    """So many seconds of the forecast count as if they had come true, so that the first steps do not sway it."""

    def __init__(self, forecast: Forecast, steps: Iterable[Step] = ()) -> None:
        self._open = {step.order: forecast.steps[step.order] for step in steps}
        self._planned = self._taken = 0.0

    def done(self, step: Step, taken: float) -> None:
        """Count a step as done after `taken` s, with all that belonged to it; again changes nothing."""
        planned = self._open.pop(step.order, None)
        if planned is not None:
            self._planned += planned
            self._taken += taken

    @property
    def seconds(self) -> float:
        """The time left in s."""
        pace = (self._taken + self.TRUSTED) / (self._planned + self.TRUSTED)
        return sum(self._open.values()) * pace

    @property
    def steps(self) -> int:
        """How many steps are left."""
        return len(self._open)


SILENT = Silent()
