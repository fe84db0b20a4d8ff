"""Guests that no connection of ours holds: they move, or are moved, and live on without us until they are removed.

The one thing to know: such a guest is found by its name on whatever host it runs now. What removes it is the end of its
context, the guard of a controller that was killed, or `clean` at the next start.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import libvirt

from drivers.shell import guard
from harness.errors import TargetError


class Wherever:
    """The domain of a guest on whatever host it runs now; it has the calls of libvirt's own domain object. The disk of
    a `carried` one is on its host's own storage."""

    def __init__(self, name: str, connections: Callable[[], Iterator[tuple[int, Any]]], *, carried: bool = False
                 ) -> None:
        self._name, self._connections, self.carried = name, connections, carried
        self._domain: Any = None    # libvirt frees a domain with its last reference, also while a call has its handle

    def found(self) -> dict[int, Any]:
        """Return its domains by the index of the host: one, none, or after a split brain two."""
        there = {}
        for index, connection in self._connections():
            with contextlib.suppress(libvirt.libvirtError):
                domain = connection.lookupByName(self._name)
                if domain.isActive():
                    there[index] = domain
        return there

    def name(self) -> str:
        """Return its name."""
        return self._name

    def isActive(self) -> int:  # noqa: N802 - libvirt's name
        """Return whether it runs anywhere."""
        return int(bool(self.found()))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for domain in self.found().values():
            self._domain = domain
            return getattr(domain, name)
        raise TargetError(f"{self._name}: runs on no host now")


@contextmanager
def roaming(domain: Wherever, uris: Sequence[str]) -> Iterator[Wherever]:
    """Yield a guest that was started on one of the daemons `uris`; in the end it is destroyed wherever it is then."""
    with guard.local().run_at_end(("sh", "-c", _destroy(domain.name(), uris))):
        try:
            yield domain
        finally:
            for each in domain.found().values():
                with contextlib.suppress(libvirt.libvirtError):
                    each.destroy()


def _destroy(name: str, uris: Sequence[str]) -> str:
    return "; ".join(f"virsh -q -c {shlex.quote(uri)} destroy {shlex.quote(name)}" for uri in uris)
