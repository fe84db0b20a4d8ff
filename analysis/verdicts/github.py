"""Annotations of GitHub's workflows: lines on standard output that a run shows beside its log.

GitHub shows ten a kind and step; the worst stand first.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.verdicts.cases import Case, Level, Sheet

_COMMAND = {Level.FAILED: "error", Level.BROKEN: "warning", Level.OPEN: "notice"}
_ORDER = (Level.FAILED, Level.BROKEN, Level.OPEN)


def lines(sheet: Sheet) -> Iterator[str]:
    """Yield a workflow command for every case that somebody should look at, the worst first."""
    for level in _ORDER:
        yield from (_line(case, sheet) for case in sheet.cases if case.level is level)


def _line(case: Case, sheet: Sheet) -> str:
    title = value(f"{case.title}: {case.outcome} ({sheet.target})")
    return f"::{_COMMAND[case.level]} title={title}::{data(case.text)}"


def data(text: str) -> str:
    """Return a message as a workflow command may carry it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def value(text: str) -> str:
    """Return the value of a property of a workflow command."""
    return data(text).replace(":", "%3A").replace(",", "%2C")
