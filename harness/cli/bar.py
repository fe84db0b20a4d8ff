"""Progress on stderr: a bar with the time left and the step at hand on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from harness.model import Status, Step, StepResult
from harness.plan import Campaign
from harness.progress import Watch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def clock_text(seconds: float) -> str:
    """Return a time left as people say it: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Lines:
    """One line a step, for logs."""

    def __init__(self) -> None:
        self._done = self._steps = 0

    def campaign(self, campaign: Campaign, steps: int, seconds: float) -> None:
        """Announce what is to be done."""
        self._steps = self._done + steps
        click.echo(f"campaign {campaign.id}: {steps} steps, about {clock_text(seconds)}", err=True)

    def begin(self, step: Step, left: float) -> None:
        """Say nothing: the line comes when the step is done."""

    def end(self, result: StepResult, left: float) -> None:
        """Print how it went."""
        self._done += 1
        step = result.step
        why = f": {result.error}" if result.error else ""
        click.echo(f"[{self._done}/{self._steps}] {step.target} {step.id} {result.status.value} in "
                   f"{result.elapsed:.1f} s, {clock_text(left)} left{why}", err=True)

    def note(self, text: str) -> None:
        """Print it."""
        click.echo(text, err=True)


class Bar:
    """A bar that stays on one line; what went wrong is printed above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("", total=None, left="")

    def campaign(self, campaign: Campaign, steps: int, seconds: float) -> None:
        """Set the length; a second stage adds to it."""
        done = self._progress.tasks[0].completed
        self._progress.update(self._task, total=done + steps, left=clock_text(seconds))

    def begin(self, step: Step, left: float) -> None:
        """Name the step at hand."""
        self._progress.update(self._task, description=f"{step.target} {step.id}", left=clock_text(left))

    def end(self, result: StepResult, left: float) -> None:
        """Move on; print what broke."""
        self._progress.update(self._task, advance=1, left=clock_text(left))
        if result.status is Status.BROKEN:
            self.note(f"{result.step.target} {result.step.id}: broken: {result.error}")

    def note(self, text: str) -> None:
        """Print it above the bar."""
        self._progress.console.print(text, highlight=False, markup=False)


@contextmanager
def watch() -> Iterator[Watch]:
    """Yield what shows progress on stderr."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.fields[left]} left"),
               TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress)
