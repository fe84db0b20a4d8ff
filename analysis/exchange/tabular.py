"""The four flat tables as Arrow, and from there as Parquet and CSV.

The one thing to know: types come from `columns`, not from the values, so that an empty table has them too; units and
meanings travel in the metadata of Parquet's columns. CSV is for programs: nothing is quoted against spreadsheets (the
findings.csv of a report is), null is an empty field, text is always in quotes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
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


def parquet(table: str, cells: Iterable[tuple[Any, ...]], path: Path) -> None:
    """Write a table as Parquet, compressed by zstd."""
    arrow()
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema(table), compression="zstd") as writer:
        for batch in batches(table, cells):
            writer.write_batch(batch)


def csv(table: str, cells: Iterable[tuple[Any, ...]], path: Path) -> None:
    """Write a table as CSV with a heading; times are in UTC."""
    arrow()
    from pyarrow import csv as writers

    with writers.CSVWriter(path, schema(table), write_options=writers.WriteOptions(quoting_style="needed")) as writer:
        for batch in batches(table, cells):
            writer.write_batch(batch)


def text(found: pa.Table) -> str:
    """Return any table as CSV with a heading."""
    arrow()
    from pyarrow import csv as writers

    sink = io.BytesIO()
    writers.write_csv(found, sink)
    return sink.getvalue().decode()


WRITERS: Mapping[str, Any] = {"csv": csv, "parquet": parquet}
