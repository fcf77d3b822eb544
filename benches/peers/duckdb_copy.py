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


TIME = "try_strptime(time_text || ' ' || time_offset, '[%d/%b/%Y:%H:%M:%S %z]')"

# A key as s3trail decodes it: once and with `+` for a blank in rows of BATCH and S3, else twice.
DECODED_KEY = (
    "CASE WHEN key = '-' THEN NULL "
    "WHEN starts_with(operation, 'BATCH.') OR starts_with(operation, 'S3.') "
    "THEN url_decode(replace(key, '+', ' ')) "
    "ELSE url_decode(url_decode(key)) END"
)


def extra_columns(source: str) -> list[str]:
    """What s3trail's table has beside the fields and SQL can make of them."""
    return [
        f"CASE WHEN {DECODED_KEY} <> key THEN key END AS key_logged",
        f"{quoted(source.rpartition('/')[2])} AS log_key",
        f"{TIME}::DATE AS event_date",
    ]


def column(name: str, sql_type: str, tuned: bool, decoded: bool) -> str:
    """The expression that turns the text of a field into its column."""
    if name == "key" and decoded:
        return f"{DECODED_KEY} AS key"
    if name == "time":
        return f"{TIME} AS time"
    if name == "acl_required":
        # Tuned: the reader has already made the dash a null, so "no" and "too old to say" become one.
        return "acl_required = 'Yes' AS acl_required"
    if tuned:
        return name
    if sql_type in INTEGERS:
        return f"try_cast({name} AS {sql_type}) AS {name}"
    return f"nullif({name}, '-') AS {name}"


def statement(source: str, target: str, tuned: bool, decoded: bool) -> str:
    """The COPY statement.

    `strict_mode = false` and `ignore_errors` are not a choice: with strict quoting, the first stray quote in a user
    agent makes the reader lose nearly everything that follows it.
    Tuned: dashes and integers are left to the CSV reader, and zstd runs at level 1. Decoded: keys are decoded, and the
    columns of `extra_columns` are written too.
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
    select = [column(name, sql_type, tuned, decoded) for name, sql_type in FIELDS.items()]
    if decoded:
        select += extra_columns(source)
    level = ", COMPRESSION_LEVEL 1" if tuned else ""
    return (
        f"COPY (SELECT {', '.join(select)} FROM read_csv({quoted(source)}, {', '.join(options)})) "
        f"TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd{level})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tuned", action="store_true", help="the fastest settings found")
    parser.add_argument("--decoded", action="store_true", help="keys decoded, and further columns of s3trail's")
    args = parser.parse_args()

    connection = duckdb.connect()
    connection.execute(f"SET threads = {args.threads}")
    # strptime with an offset yields an instant; the session's zone only matters for display.
    connection.execute("SET TimeZone = 'UTC'")
    if args.tuned:
        connection.execute("SET preserve_insertion_order = false")
    copy = statement(args.source, args.target, args.tuned, args.decoded)
    started = time.perf_counter()
    (rows,) = connection.execute(copy).fetchone()
    copy_seconds = time.perf_counter() - started
    print(json.dumps({"rows": rows, "import_seconds": import_seconds, "copy_seconds": copy_seconds}))


if __name__ == "__main__":
    main()
