"""Histories of probes: columns of whole nanoseconds in numpy, packed into a few bytes a probe.

The one thing to know: a column is stored as differences, little-endian and compressed, so that an exact schedule costs
next to nothing. What is packed comes back bit by bit.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.model import History

NEVER = -1
"""The latency of a probe that was not answered."""

Column = npt.NDArray[np.int64]


class Columns(NamedTuple):
    """One entry a probe, in ns: sent since the step began, sent later than planned, answered after (`NEVER`: not)."""

    sent: Column
    lag: Column
    latency: Column


def pack(column: npt.ArrayLike) -> bytes:
    """Return a column (n,) of integers in ns as bytes; ValueError for anything else."""
    values = np.asarray(column)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise ValueError(f"history: {values.ndim} dimensions of {values.dtype}; needed is one of whole nanoseconds")
    return zlib.compress(np.diff(values.astype("<i8"), prepend=0).astype("<i8").tobytes(), 6)


def unpack(data: bytes, count: int) -> Column:
    """Return the column of `count` entries that was packed; ValueError if it is another's or damaged."""
    try:
        column = np.cumsum(np.frombuffer(zlib.decompress(data), dtype="<i8"), dtype=np.int64)
    except (zlib.error, ValueError) as error:
        raise ValueError(f"history: cannot be unpacked: {error}") from None
    if column.size != count:
        raise ValueError(f"history: {column.size} entries where {count} are said to be")
    return column


def columns(history: History) -> Columns:
    """Return the columns of a history; ValueError if they do not belong together."""
    return Columns(*(unpack(data, history.count) for data in (history.sent, history.lag, history.latency)))


def made(columns: Columns, *, probe: str, kind: str, machine: str, interval: float, patience: float,
         **labels: str) -> History:
    """Return the history of these columns; ValueError if they differ in length or send times do not increase."""
    count = len(columns.sent)
    if {len(columns.lag), len(columns.latency)} != {count} or (np.diff(columns.sent) <= 0).any():
        raise ValueError(f"history of {probe}: columns must have one length, and send times must increase")
    return History(probe=probe, kind=kind, machine=machine, interval=interval, patience=patience, count=count,
                   labels=labels, **{name: pack(column) for name, column in columns._asdict().items()})


__all__ = ["NEVER", "Column", "Columns", "columns", "made", "pack", "unpack"]
