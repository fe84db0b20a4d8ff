"""What goes on beside a step's workload: load on an application, from the step's first guest on to the workload's end.

The one thing to know: neither of the two may hide what went wrong with the other. The workload's own error is the
step's; what became of the load beside it is told behind it, and breaks the step alone only where the workload did not.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import msgspec

from harness import codec, registry
from harness.errors import InputError, VirtmarkError
from harness.model import Event, History, Series, Step, Value
from harness.protocols import Accompanies, Lab, Machine, Target

WORKLOAD = "application"        # what can go on beside another one
LOADED = ("microservice",)      # workloads whose own load is what they are judged by; two could not be told apart
FULL = (errno.ENOSPC, errno.EDQUOT)


def check(params: Mapping[str, Value], workload: str, here: str) -> None:
    """Refuse parameters that the workload does not have, or that make no sense beside another; InputError names file,
    stage and key."""
    if workload in LOADED:
        raise InputError(f"{here}: {workload} brings load of its own; allowed for every other workload")
    kind = registry.find("workloads", WORKLOAD)
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in params.items():
        if key not in kind.alongside:
            wrong = f"{key!r} makes no sense beside another workload" if key in types else f"unknown key {key!r}"
            raise InputError(f"{here}: {wrong}; allowed: {', '.join(kind.alongside)}")
        codec.convert(types[key], value, f"{here}.{key}")
        if (allowed := kind.alongside[key]) and value not in allowed:
            raise InputError(f"{here}.{key}: {value!r} makes no sense beside another workload; allowed: "
                             f"{', '.join(map(repr, allowed))}")
    codec.convert(kind, params, here)


class Background:
    """What goes on beside one step's workload, as a context around its run; nothing where the step wants nothing.

    `records` are there after it ended; `trouble` is what went wrong with it where the workload's own error came first.
    """

    def __init__(self, step: Step, target: Target, lab: Lab) -> None:
        self._step, self._target, self._lab = step, target, lab
        self._stack = ExitStack()
        self._told: Any = None
        self._failed: VirtmarkError | None = None
        self.records: tuple[Series | Event | History, ...] = ()
        self.trouble = ""

    def met(self, guest: Machine) -> None:
        """Begin, if this is the step's first guest."""
        if not self._step.background or self._told or self._failed:
            return
        try:
            self._told = self._stack.enter_context(self._beside(guest))
        except VirtmarkError as error:
            self._failed = _of_ours(error)
            raise self._failed from error

    def __enter__(self) -> Background:
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        """End it, and take what it saw; what goes wrong is raised only where nothing else was."""
        try:
            self._end(whole=problem is None)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            error = _of_ours(error) if isinstance(error, VirtmarkError) else error
            if problem is None:
                raise error from None
            if error is not problem:
                self.trouble = str(error) if isinstance(error, VirtmarkError) else f"{type(error).__name__}: {error}"

    def _beside(self, guest: Machine) -> AbstractContextManager[Any]:
        kind = registry.find("workloads", WORKLOAD)
        workload: Accompanies = codec.convert(kind, self._step.background, f"{self._step.id}: background")
        return workload.beside(self._target, self._lab, guest)

    def _end(self, *, whole: bool) -> None:
        """End it; a `whole` run of the workload would have begun it."""
        self._stack.close()
        if self._told:
            self.records = tuple(self._told())
        elif self._failed:
            raise self._failed
        elif self._step.background and whole:
            raise VirtmarkError("the step's workload asked for no guest, so that nothing began beside it")


def _of_ours(error: VirtmarkError) -> VirtmarkError:
    """Return the error of what goes on beside, named as such; its kind stays, for it says who has to act."""
    text = str(error)
    return error if text.startswith("background: ") else type(error)(f"background: {text}")


__all__ = ["FULL", "WORKLOAD", "Background", "check"]
