"""Cuts a path for exactly so long at exactly that time: the kernel drops what arrives while its clock is in a window.

The one thing to know: the rule is loaded beforehand and compares the kernel's own CLOCK_REALTIME in ns with both ends,
so that nothing has to be switched on time. nft writes times as whole seconds and multiplies them by 10**9 modulo 2**64;
`seconds` finds the number that multiplies to the wanted time, to 512 ns. A window that is over cuts nothing any more,
so a cut heals by itself, whatever becomes of the controller.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from drivers.shell import guard
from harness.errors import LabError
from harness.protocols import Machine

GRAIN = 512                         # ns; 10**9 = 512 * 1953125
_INVERSE = pow(10**9 // GRAIN, -1, 2**64 // GRAIN)
TABLE, DROPPED = "virtmark-cut", "dropped"
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
    lines = "\n".join(f"  {match} {_within(each)} counter drop" for each in cuts)
    return (f'table netdev {table} {{\n chain cut {{\n  type filter hook ingress device "{device}" priority 0;\n'
            f"{lines}\n }}\n}}\n")


def lossy(device: str, share: float, window: Cut, table: str = TABLE, match: str = "") -> str:
    """Return the nft table that drops a share of what comes in by `device` in a window, of that only what `match`es, at
    random in 1/10000, and counts it by protocol and length in the set `DROPPED`."""
    return (f"table netdev {table} {{\n set {DROPPED} {{ typeof ip protocol . ip length; flags dynamic; size 1024; }}\n"
            f' chain cut {{\n  type filter hook ingress device "{device}" priority 0;\n'
            f"  {match} {_within(window)} numgen random mod 10000 < {round(share * 10000)} "
            f"update @{DROPPED} {{ ip protocol . ip length counter }} drop\n }}\n}}\n")


def _within(window: Cut) -> str:
    return f"meta time >= {seconds(window.begin)} meta time < {seconds(window.end)}"


def dropped(listing: str) -> dict[tuple[str, int], int]:
    """Return how many packets of which protocol and length nft counted, of its JSON of the set `DROPPED`; LabError if
    it is none."""
    try:
        found = [each["set"] for each in json.loads(listing)["nftables"] if "set" in each]
        return {(str(protocol), int(length)): int(entry["elem"]["counter"]["packets"])
                for entry in found[0].get("elem", ()) for protocol, length in (entry["elem"]["val"]["concat"],)}
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise LabError(f"nft: its list of what was dropped cannot be read: {type(error).__name__}: {error}") from None


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


__all__ = ["DROPPED", "GRAIN", "TABLE", "Cut", "dropped", "loaded", "lossy", "rules", "seconds"]
