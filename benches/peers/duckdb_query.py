"""DuckDB's side of `queries.py`: runs SQL files one after the other, each answer into a Parquet file.

Started as a process of its own, so that start-up counts as it does for s3trail. Prints one JSON object:
`import_seconds` (loading the package), `open_seconds` (the database with the views) and `queries`: for each its
`seconds`, or `error`.

    python3 duckdb_query.py --threads 2 DATABASE [SQL_FILE ANSWER]...
"""

import time

before_import = time.perf_counter()

import duckdb  # noqa: E402  (timed)

import_seconds = time.perf_counter() - before_import

import argparse  # noqa: E402
import json  # noqa: E402
from pathlib import Path  # noqa: E402


def quoted(text: str) -> str:
    """`text` as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def run(connection: duckdb.DuckDBPyConnection, sql: str, answer: str) -> dict:
    started = time.perf_counter()
    try:
        connection.execute(f"COPY ({sql}) TO {quoted(answer)} (FORMAT parquet)")
    except duckdb.Error as error:
        return {"error": str(error).partition("\n")[0]}
    return {"seconds": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("database")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("files", nargs="*", help="pairs of a file with SQL and the file for its answer")
    args = parser.parse_args()

    started = time.perf_counter()
    connection = duckdb.connect(args.database, read_only=True)
    connection.execute(f"SET threads = {args.threads}")
    # What belongs to a connection and not to a database.
    for setting in (Path(args.database).with_suffix(".settings")).read_text().splitlines():
        connection.execute(setting)
    open_seconds = time.perf_counter() - started

    queries = [
        run(connection, Path(sql).read_text(), answer)
        for sql, answer in zip(args.files[::2], args.files[1::2])
    ]
    print(json.dumps({"import_seconds": import_seconds, "open_seconds": open_seconds, "queries": queries}))


if __name__ == "__main__":
    main()
