"""One run of the DuckDB peer: read an access log as CSV, type the 27 fields, write one Parquet file.

Started as a process of its own by `run.py`, so that start-up counts as it does for s3trail. Prints one JSON
object: `rows`, `import_seconds` (loading the package alone) and `copy_seconds` (the statement alone).
"""

import time

before_import = time.perf_counter()

import duckdb  # noqa: E402  (timed)

import_seconds = time.perf_counter() - before_import

import argparse  # noqa: E402
import json  # noqa: E402

from fields import FIELDS  # noqa: E402

INTEGERS = ("SMALLINT", "BIGINT")


def quoted(text: str) -> str:
    """`text` as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def column(name: str, sql_type: str, tuned: bool) -> str:
    """The expression that turns the text of a field into its column."""
    if name == "time":
        return "try_strptime(time_text || ' ' || time_offset, '[%d/%b/%Y:%H:%M:%S %z]') AS time"
    if name == "acl_required":
        # Tuned: the reader has already made the dash a null, so "no" and "too old to say" become one.
        return "acl_required = 'Yes' AS acl_required"
    if tuned:
        return name
    if sql_type in INTEGERS:
        return f"try_cast({name} AS {sql_type}) AS {name}"
    return f"nullif({name}, '-') AS {name}"


def statement(source: str, target: str, tuned: bool) -> str:
    """The COPY statement.

    `strict_mode = false` and `ignore_errors` are not a choice: with strict quoting, the first stray quote in a user
    agent makes the reader lose nearly everything that follows it.
    Tuned: dashes and integers are left to the CSV reader, and zstd runs at level 1.
    """
    tokens = {}  # of the CSV reader; `[01/Mar/2026:10:00:00 +0000]` is two, as it holds a blank and no quotes
    for name, sql_type in FIELDS.items():
        if name == "time":
            tokens["time_text"] = tokens["time_offset"] = "VARCHAR"
        else:
            tokens[name] = sql_type if tuned and sql_type in INTEGERS else "VARCHAR"
    columns = ", ".join(f"{quoted(name)}: {quoted(sql_type)}" for name, sql_type in tokens.items())
    options = [
        "auto_detect = false",
        "header = false",
        "delim = ' '",
        "quote = '\"'",
        "escape = ''",
        f"columns = {{{columns}}}",
        "null_padding = true",
        "strict_mode = false",
        "ignore_errors = true",
    ]
    if tuned:
        options.append("nullstr = '-'")
    select = ", ".join(column(name, sql_type, tuned) for name, sql_type in FIELDS.items())
    level = ", COMPRESSION_LEVEL 1" if tuned else ""
    return (
        f"COPY (SELECT {select} FROM read_csv({quoted(source)}, {', '.join(options)})) "
        f"TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd{level})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tuned", action="store_true", help="the fastest settings found")
    args = parser.parse_args()

    connection = duckdb.connect()
    connection.execute(f"SET threads = {args.threads}")
    # strptime with an offset yields an instant; the session's zone only matters for display.
    connection.execute("SET TimeZone = 'UTC'")
    if args.tuned:
        connection.execute("SET preserve_insertion_order = false")
    started = time.perf_counter()
    (rows,) = connection.execute(statement(args.source, args.target, args.tuned)).fetchone()
    copy_seconds = time.perf_counter() - started
    print(json.dumps({"rows": rows, "import_seconds": import_seconds, "copy_seconds": copy_seconds}))


if __name__ == "__main__":
    main()
