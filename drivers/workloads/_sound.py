"""Is a guest still what it was? Asked of the guest itself, after something happened to it.

The one thing to know: a platform may report success and leave a guest corrupted. So a program in the guest sweeps over
memory whose content it knows, a file of random bytes has a known hash, and the kernel's log must hold no new complaint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from drivers import witness
from drivers.workloads._machines import in_spite
from harness.errors import ToolError, VirtmarkError
from harness.protocols import Lab, Machine

FILE, SWEPT = "virtmark-known.data", "virtmark-swept.jsonl"
BLOCKS = 8          # MiB of the file
REPLY = 60.0        # s that a guest has for answering a question; on a crowded machine an echo was seen to take 18
STOPPED = 60.0
COMPLAINT = re.compile(r"\bBUG\b|\bOops\b|general protection|soft lockup|hung task|self-detected stall|Call Trace|"
                       r"Bad page|bad pmd|segfault|I/O error|EXT4-fs error|kernel NULL|double fault", re.IGNORECASE)
# In a process of its own, so that what it says can be read while it runs.
_SWEEP = 'out=$1; shift; exec "$@" >"$out"'


class Known:
    """What is known of a guest, and whether it is still so."""

    def __init__(self, lab: Lab, guest: Machine, client: Machine) -> None:
        self._lab, self._guest, self._client = lab, guest, client
        self._hash = self._hashed()
        self._said = len(self._log())

    def trouble(self) -> tuple[str, ...]:
        """Return what is wrong with the guest; () if it is all that it was."""
        echoes = ["ping", "-n", "-c", "3", "-i", "0.2", "-w", f"{REPLY:.0f}", self._guest.address]
        if self._client.run(echoes, timeout=2 * REPLY).code:    # 3 answers, however late
            return ("the network of the guest does not answer",)
        try:
            found = [self._memory(), "" if self._hashed() == self._hash else "its file has other bytes than before"]
            found += [f"its kernel says: {line.strip()}" for line in self._log()[self._said:] if COMPLAINT.search(line)]
        except VirtmarkError as error:
            return (f"the guest takes no commands: {error}",)
        return tuple(text for text in found if text)

    def _memory(self) -> str:
        """Return what the sweep says; a sweep that is gone, or says nothing new, is trouble too."""
        before = after = self._swept()
        until = self._lab.clock.now() + REPLY
        while after.elapsed <= before.elapsed and self._lab.clock.now() < until:
            self._lab.clock.sleep(1.2)      # it speaks every second of the guest's time
            after = self._swept()
        if after.mismatches:
            return f"{after.mismatches} pages of its memory were not what was written ({after.damaged} damaged)"
        return "" if after.elapsed > before.elapsed else "the program that sweeps its memory has stopped"

    def _swept(self) -> witness.Swept:
        said = witness.swept(self._ask("tail", "-n", "2", SWEPT))
        if not said:
            raise ToolError(f"{witness.PROGRAM}: sweep said nothing on {self._guest.name}")
        return said[-1]

    def _hashed(self) -> str:
        """Return the hash of the file as it is on the disk, not in the guest's cache."""
        self._ask("sh", "-c", "sync; echo 1 > /proc/sys/vm/drop_caches; true")
        return self._ask("sha256sum", FILE).split()[0]

    def _log(self) -> list[str]:
        return self._ask("dmesg").splitlines()

    def _ask(self, *argv: str) -> str:
        return self._guest.run(argv, timeout=REPLY).checked().stdout


@contextmanager
def known(lab: Lab, guest: Machine, *, size: int, rate: float) -> Iterator[Known]:
    """Sweep over `size` B of the guest's memory at `rate` B/s and give it a file; yield what is then known of it.

    Leaving the context ends the sweep, also where the guest is gone.
    """
    program = witness.install(guest)
    guest.run(["dd", "if=/dev/urandom", f"of={FILE}", "bs=1M", f"count={BLOCKS}", "conv=fsync"],
              timeout=STOPPED).checked()
    with in_spite(guest.start(["sh", "-c", _SWEEP, "sh", SWEPT, *witness.sweep(size, rate, program=program)])):
        until = lab.clock.now() + REPLY
        while "{" not in guest.run(["cat", SWEPT], timeout=REPLY).stdout:
            if lab.clock.now() > until:
                raise ToolError(f"{witness.PROGRAM}: sweep says nothing on {guest.name}")
            lab.clock.sleep(0.2)
        yield Known(lab, guest, lab.client())
