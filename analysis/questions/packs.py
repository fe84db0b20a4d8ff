"""Small files of the index put together, since a thousand of them take longer to open than to read.

    $XDG_CACHE_HOME/virtmark/query/packs/<table>-<bucket>-<key>.parquet

The one thing to know: runs fall into a fixed bucket by the hash of their folder, and a pack is one bucket's files of
one table, called after them. So a new run makes one pack new and leaves the others, and a pack can be as little out of
date as the files it was made of.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from analysis.exchange import tabular

KEPT = 3600.0    # s: for so long what is superseded stays, since another process may be about to read it
BUCKETS = 16
FEWEST = 4       # files that are worth a pack
SMALL = 2**20    # B: larger files stay alone
ROWS = 100_000   # rows that are gathered before they are written


def packed(table: str, files: Sequence[Path], cache: Path) -> list[Path]:
    """Return files with the same rows as `files` of a table, fewer of them; those that are not in `cache` stay."""
    buckets: dict[int, list[Path]] = {}
    alone: list[Path] = []
    for file in files:
        if file.parent.parent == cache and os.path.getsize(file) < SMALL:
            buckets.setdefault(int(file.parent.name[:2], 16) % BUCKETS, []).append(file)
        else:
            alone.append(file)
    for bucket, parts in sorted(buckets.items()):
        alone += [_pack(f"{table}-{bucket:02d}", parts, cache / "packs")] if len(parts) >= FEWEST else parts
    return alone


def _pack(name: str, parts: Sequence[Path], home: Path) -> Path:
    names = "\0".join(f"{part.parent.name}/{part.name}" for part in sorted(parts))
    path = home / f"{name}-{hashlib.sha256(names.encode()).hexdigest()[:32]}.parquet"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with landing(path) as made:
            _write(name.rpartition("-")[0], parts, made)
        sweep(home, {name}, {path.name})
    return path


def _write(table: str, parts: Sequence[Path], made: Path) -> None:
    pa = tabular.arrow()
    import pyarrow.parquet as pq

    held, rows = [], 0
    with pq.ParquetWriter(made, tabular.schema(table), compression="zstd") as writer:
        for part in parts:
            held.append(pq.read_table(part, partitioning=None))
            rows += held[-1].num_rows
            if rows >= ROWS:
                writer.write_table(pa.concat_tables(held))
                held, rows = [], 0
        if rows:
            writer.write_table(pa.concat_tables(held))


@contextmanager
def landing(path: Path) -> Iterator[Path]:
    """Yield another name beside `path` to write to; after it the file is synced and gets its own name, or is gone."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    os.close(handle)
    made = Path(name)
    try:
        yield made
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def sweep(home: Path, stems: set[str], fresh: set[str]) -> None:
    """Remove files `<stem>-<key>` that `fresh` superseded, and what killed processes left, if older than an hour."""
    for path in home.iterdir():
        stale = path.name.endswith(".part") or (path.name.rpartition("-")[0] in stems and path.name not in fresh)
        with suppress(OSError):
            if stale and time.time() - path.stat().st_mtime > KEPT:
                path.unlink()
