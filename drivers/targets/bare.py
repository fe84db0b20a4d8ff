"""This machine itself, without virtualization: the baseline of an overhead, and the quickest way to try a scenario.

There is one machine, whatever role and size a guest should have; each guest gets a directory of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from drivers.shell import Local, Shell
from drivers.targets._real import Real, system
from harness.errors import Unsupported
from harness.protocols import GuestSpec


class Bare(Real, frozen=True, kw_only=True, dict=True):
    """Runs commands here; `directory` is where tools may write, on the disk to be measured."""

    directory: str = "/var/tmp"

    def facts(self) -> Mapping[str, str]:
        """Return what this machine runs."""
        found = system(Local())
        return self.described({
            "vendor": found["os_vendor"], "product": "bare", "version": found["os_version"], "accelerator": "none",
            "directory": self.directory} | found)

    @contextmanager
    def guest(self, spec: GuestSpec) -> Iterator[Shell]:
        """Yield this machine with a fresh directory to work in."""
        if spec.host:
            raise Unsupported(f"bare is one machine; there is no host {spec.host}")
        with Local("bare").private(self.directory) as machine:
            yield machine

    def clean(self) -> Sequence[str]:
        """Remove the directories of controllers that are gone."""
        return Local("bare").clean(self.directory)
