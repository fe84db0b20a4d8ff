"""The platforms that the contract tests run on: every packaged target file, and an sshd of the test's own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import scenario
from harness.errors import InputError, LabError, TargetError
from tests.support import sshd

ALWAYS = ("bare", "fake")


@dataclass(frozen=True)
class Case:
    """A target by the name of its packaged file; `ssh` is made by the test."""

    name: str
    driver: str


def _cases() -> list[Case]:
    found = [Case(name, tomllib.loads(path.read_text())["driver"])
             for name, path in scenario.packaged("target").items() if not name.endswith("-example")]
    return [*found, Case("ssh", "ssh")]


CASES = _cases()


def cases() -> list[Any]:
    """Return the cases as pytest parameters; all that need a platform are marked live."""
    return [pytest.param(case, id=case.name, marks=[] if case.name in ALWAYS else [pytest.mark.live])
            for case in CASES]


@contextmanager
def ready(case: Case, folder: Path) -> Iterator[Any]:
    """Yield the target, or skip with the reason why its platform is not there."""
    if case.name == "ssh":
        if reason := sshd.missing():
            pytest.skip(reason)
        with sshd.running(folder) as server:
            settings = {"driver": "ssh", "name": "ssh", "machine": server.spec, "config": str(server.config)}
            with _closing(scenario.build(settings, "test").target) as target:
                yield target
        return
    try:
        target = scenario.target(case.name).target
        if case.name not in ALWAYS:
            target.facts()
    except (LabError, TargetError, InputError) as error:
        pytest.skip(f"{case.name}: {error}")
    with _closing(target):
        yield target


@contextmanager
def _closing(target: Any) -> Iterator[Any]:
    try:
        yield target
    finally:
        if hasattr(target, "close"):
            target.close()
