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

ALWAYS = ("bare", "fake", "command")


@dataclass(frozen=True)
class Case:
    """A target by the name of its packaged file; `ssh` and `command` are made by the test."""

    name: str
    driver: str


def _cases() -> list[Case]:
    found = [Case(name, tomllib.loads(path.read_text())["driver"])
             for name, path in scenario.packaged("target").items() if not name.endswith("-example")]
    return [*found, Case("ssh", "ssh"), Case("command", "command")]


CASES = _cases()


def cases() -> list[Any]:
    """Return the cases as pytest parameters; all that need a platform are marked live."""
    return [pytest.param(case, id=case.name, marks=[] if case.name in ALWAYS else [pytest.mark.live])
            for case in CASES]


@contextmanager
def ready(case: Case, folder: Path) -> Iterator[Any]:
    """Yield the target, or skip with the reason why its platform is not there."""
    if case.name == "command":
        with _closing(scenario.build(_commands(folder), "test").target) as target:
            yield target
        return
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


def _commands(folder: Path) -> dict[str, Any]:
    """Return a platform whose guests are folders and whose commands are those of this machine."""
    guest = f"{folder}/{{guest}}"
    return {
        "driver": "command", "name": "command", "accelerator": "none", "machine": "local",
        "hosts": [{"name": "first", "shell": "local"}, {"name": "second"}], "directory": str(folder),
        "create": ["sh", "-c", 'mkdir "$1" && echo "$2" >"$1/on"', "sh", guest, "{host}"],
        "remove": ["rm", "-rf", guest], "list": ["ls", str(folder)], "facts": ["echo", "product=folders"],
        "migrate": ["sh", "-c", 'echo "$2" >"$1/on"', "sh", guest, "{host}"], "where": ["cat", f"{guest}/on"],
        "faults": {"guest-hang": {"inject": ["touch", f"{guest}/hung"], "heal": ["rm", "-f", f"{guest}/hung"]},
                   "host-power-off": {"inject": ["touch", f"{folder}/off-{{host}}"],
                                      "heal": ["rm", "-f", f"{folder}/off-{{host}}"]}}}


@contextmanager
def _closing(target: Any) -> Iterator[Any]:
    try:
        yield target
    finally:
        if hasattr(target, "close"):
            target.close()
