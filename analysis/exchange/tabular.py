"""The four flat tables as Arrow, and from there as Parquet and CSV.

The one thing to know: types come from `columns`, not from the values, so that an empty table has them too; units and
meanings travel in the metadata of Parquet's columns. CSV is for programs: nothing is quoted against spreadsheets (the
findings.csv of a report is), null is an empty field, text is always in quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.exchange import columns
from harness.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

INSTALL = "pip install 'virtmark[query]'"
BATCH = 100_000


def arrow() -> Any:
    """Return the module pyarrow; InputError says how to install it."""
    try:
        import pyarrow
    except ImportError as error:
        raise InputError(f"pyarrow is not installed ({error}); run: {INSTALL}") from None
    return pyarrow


def schema(table: str) -> pa.Schema:
    """Return the schema of a table, with unit and meaning of each column."""
    pa = arrow()
    kinds = {"text": pa.string(), "json": pa.string(), "real": pa.float64(), "whole": pa.int64(), "flag": pa.bool_(),
             "time": pa.timestamp("us", tz="UTC")}
    return pa.schema([pa.field(each.name, kinds[each.kind], metadata={"unit": each.unit, "meaning": each.meaning})
                      for each in columns.TABLES[table]])


def batches(table: str, cells: Iterable[tuple[Any, ...]]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a table in batches, so that memory does not grow with their number."""
    pa, shape = arrow(), schema(table)
    held: list[tuple[Any, ...]] = []
    for row in cells:
        held.append(row)
        if len(held) == BATCH:
            yield _batch(pa, shape, held)
            held = []
    if held:
        yield _batch(pa, shape, held)


def _batch(pa: Any, shape: Any, held: list[tuple[Any, ...]]) -> Any:
    return pa.record_batch([pa.array(column, field.type) for column, field in zip(zip(*held, strict=True), shape,
                                                                                 strict=True)], schema=shape)


def _parquet(table: str, path: Path) -> Any:
    arrow()
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema(table), compression="zstd")


def _csv(table: str, path: Path) -> Any:
    arrow()
    from pyarrow import csv

    return csv.CSVWriter(path, schema(table), write_options=csv.WriteOptions(quoting_style="needed"))


WRITERS: Mapping[str, Callable[[str, Path], Any]] = {"csv": _csv, "parquet": _parquet}


@contextmanager
def writing(form: str, table: str, path: Path) -> Iterator[Callable[[Iterable[tuple[Any, ...]]], None]]:
    """Yield what writes rows of a table to `path`, again and again: as Parquet (zstd), or CSV with a heading."""

    def write(cells: Iterable[tuple[Any, ...]]) -> None:
        for batch in batches(table, cells):
            writer.write_batch(batch)

    with WRITERS[form](table, path) as writer:
        yield write


def write(form: str, table: str, cells: Iterable[tuple[Any, ...]], path: Path) -> None:
    """Write a whole table to `path`."""
    with writing(form, table, path) as add:
        add(cells)
