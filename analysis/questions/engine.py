"""DuckDB over the index: one SELECT, which can read the four views and nothing else.

The one thing to know: a question can change nothing and see nothing of the machine. Only one statement, a SELECT, is
taken; access to files is closed but for the index, settings are locked, memory is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.exchange import columns, tabular
from analysis.questions import index as indexes
from harness.errors import InputError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from harness.profile import Profile

MEMORY, SPILLED = "512MB", "4GB"
BATCH = 10_000


def engine() -> Any:
    """Return the module duckdb; InputError says how to install it."""
    try:
        import duckdb
    except ImportError as error:
        raise InputError(f"duckdb is not installed ({error}); run: {tabular.INSTALL}") from None
    return duckdb


def views(sql: str) -> list[str]:
    """Return the views that a question names, so that no other is indexed for it."""
    return [table for table in columns.TABLES if re.search(rf"\b{table}\b", sql, re.IGNORECASE)]


def checked(sql: str) -> None:
    """Refuse what is not one SELECT; InputError says what is wrong."""
    duckdb = engine()
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise InputError(f"query: {_line(error)}") from None
    if len(statements) != 1:
        raise InputError(f"query: {len(statements)} statements; one SELECT is expected")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise InputError(f"query: a statement of type {statements[0].type.name}; only SELECT is allowed")


@contextmanager
def ask(sql: str, folders: Sequence[Path], *, profile: Profile | None = None, profiles: Sequence[str] = (),
        cache: Path | None = None, step: indexes.Step = lambda: None) -> Iterator[tuple[pa.RecordBatchReader,
                                                                                         indexes.Indexed]]:
    """Yield the answer as a stream of record batches, and what was indexed for it; see `indexes.index`."""
    duckdb, home = engine(), cache or indexes.place()
    checked(sql)
    with indexes.aside(home) as private:
        found = indexes.index(folders, views(sql), home, private, profile=profile, profiles=profiles, step=step)
        with duckdb.connect() as connection:
            try:
                _open(connection, found, home, private)
                yield connection.sql(sql).to_arrow_reader(BATCH), found
            except (duckdb.Error, tabular.arrow().ArrowException) as error:
                raise InputError(f"query: {_line(error)}") from None


def _open(connection: duckdb.DuckDBPyConnection, found: indexes.Indexed, home: Path, private: Path) -> None:
    """Make the views, then close the doors."""
    pa = tabular.arrow()
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")
    for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
        connection.execute(f"SET {name} = false")
    connection.execute(f"SET temp_directory = {_quoted(private / 'spilled')}")
    connection.execute(f"SET max_temp_directory_size = '{SPILLED}'")
    connection.execute(f"SET allowed_directories = [{_quoted(home)}]")
    for table, files in found.files.items():
        if files:
            listed = ", ".join(map(_quoted, files))
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{listed}])")
        else:
            connection.register(table, pa.Table.from_batches([], tabular.schema(table)))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _line(error: Exception) -> str:
    """Return what DuckDB says on one line, without its drawing of where."""
    said = str(error).partition("\n\nLINE")[0]
    return " ".join(said.split())[:400]
