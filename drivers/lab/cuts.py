"""Cuts a path for exactly so long at exactly that time: the kernel drops what arrives while its clock is in a window.

The one thing to know: the rule is loaded beforehand and compares the kernel's own CLOCK_REALTIME in ns with both ends,
so that nothing has to be switched on time. nft writes times as whole seconds and multiplies them by 10**9 modulo 2**64;
`seconds` finds the number that multiplies to the wanted time, to 512 ns. A window that is over cuts nothing any more,
so a cut heals by itself, whatever becomes of the controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from drivers.shell import guard
from harness.errors import LabError
from harness.protocols import Machine

GRAIN = 512                         # ns; 10**9 = 512 * 1953125
_INVERSE = pow(10**9 // GRAIN, -1, 2**64 // GRAIN)
TABLE = "virtmark-cut"
TIMEOUT = 30.0


@dataclass(frozen=True)
class Cut:
    """A window in ns of CLOCK_REALTIME; `end` is the first moment at which packets pass again."""

    begin: int
    end: int


def seconds(moment: int) -> int:
    """Return what to write for a moment in ns, rounded down to `GRAIN`, where nft wants seconds."""
    return moment // GRAIN * _INVERSE % (2**64 // GRAIN)


def rules(device: str, cuts: Sequence[Cut], table: str = TABLE, match: str = "") -> str:
    """Return the nft table that drops what comes in by `device`, of that only what `match`es, during each cut."""
    lines = "\n".join(f"  {match} meta time >= {seconds(each.begin)} meta time < {seconds(each.end)} counter drop"
                      for each in cuts)
    return (f'table netdev {table} {{\n chain cut {{\n  type filter hook ingress device "{device}" priority 0;\n'
            f"{lines}\n }}\n}}\n")


def lossy(device: str, share: float, table: str = TABLE) -> str:
    """Return the nft table that drops a share of what comes in by `device`, at random, in 1/10000."""
    return (f'table netdev {table} {{\n chain cut {{\n  type filter hook ingress device "{device}" priority 0;\n'
            f"  numgen random mod 10000 < {round(share * 10000)} counter drop\n }}\n}}\n")


@contextmanager
def loaded(machine: Machine, text: str, remove: Sequence[str], table: str = TABLE) -> Iterator[None]:
    """Have a table in force on `machine`; `remove` is the command line before nft's own words that reaches it from
    here (() on this machine itself), run by the guard if the controller is killed. LabError if nft refuses."""
    away = (*remove, "nft", "delete", "table", "netdev", table)
    with guard.local().run_at_end(away):
        done = machine.run(["nft", "-f", "-"], timeout=TIMEOUT, stdin=text.encode())
        if done.code:
            raise LabError(f"nft on {machine.name}: {(done.stderr.strip() or 'refused').splitlines()[0]}")
        try:
            yield
        finally:
            machine.run(["nft", "delete", "table", "netdev", table], timeout=TIMEOUT).checked()


__all__ = ["GRAIN", "TABLE", "Cut", "loaded", "lossy", "rules", "seconds"]
