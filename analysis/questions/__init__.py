"""SQL over many runs: the index that makes it fast, and the engine that answers.

    index    one Parquet file for each run and table, in the user's cache; never stale, safe to delete
    packs    small files of the index put together
    engine   DuckDB over these files, for reading only
"""
