"""What a guest says by itself, as the client hears it: datagrams of the witness, each with the time of its arrival.

The one thing to know: the client stamps them with its own monotonic clock. The guest's clock stands still while the
guest is paused or moves, so it cannot tell how long that was.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from drivers import receiver, witness
from drivers.workloads import _machines
from harness.integrity import Promise
from harness.protocols import Lab, Machine, Running

SOURCE = Path(receiver.__file__)


def receiving(lab: Lab, client: Machine) -> AbstractContextManager[tuple[int, Running]]:
    """Have the client receive datagrams and print each with its arrival; yields the port and the program."""
    return _machines.listening(lab, client, _listener, "udp")


def beats(text: str, offset: float = 0.0) -> list[float]:
    """Return when heartbeats arrived, in s, among the lines of the receiver, shifted by `offset`."""
    found = (line.partition(" ") for line in text.splitlines())
    return [int(stamp) / 1e9 + offset for stamp, _, said in found
            if stamp.isdecimal() and isinstance(witness.parsed(said), witness.Beat)]


def promises(text: str, offset: float = 0.0) -> list[Promise]:
    """Return the acknowledgements among the lines of the receiver; times in s, shifted by `offset`."""
    found = []
    for line in text.splitlines():
        stamp, _, said = line.partition(" ")
        ack = witness.parsed(said) if stamp.isdecimal() else None
        if isinstance(ack, witness.Ack):
            found.append(Promise(ack.epoch, ack.sequence, int(stamp) / 1e9 + offset))
    return found


def _listener(port: int) -> list[str]:
    return ["python3", "-u", "-c", SOURCE.read_text(), str(port)]
