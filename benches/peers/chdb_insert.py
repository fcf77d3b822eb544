"""One run of the chDB peer: read an access log by a regular expression, type the 27 fields, write one Parquet file.

Started as a process of its own by `run.py`, so that start-up counts as it does for s3trail. Prints one JSON
object: `rows`, `import_seconds` (loading the package, which starts its engine) and `insert_seconds` (the
statement alone).
"""

import time

before_import = time.perf_counter()

import chdb  # noqa: E402  (timed)

import_seconds = time.perf_counter() - before_import

import argparse  # noqa: E402
import json  # noqa: E402

from fields import FIELDS  # noqa: E402

INTEGERS = {"SMALLINT": "Int16", "BIGINT": "Int64"}
QUOTED = ("request_uri", "referer", "user_agent")
# Fields that every record has, also the oldest; later ones were added over the years.
ALWAYS = 18


def quoted(text: str) -> str:
    """`text` as a SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def group(name: str, sql_type: str) -> str:
    """The part of the expression that captures one field. A dash in place of quotes captures nothing."""
    if name == "time":
        return r"\[([^\]]*)\]"
    if name in QUOTED:
        return '(?:"([^"]*)"|-)'
    # Anything else here would end the whole statement, not just lose the line.
    return "(-|[0-9]+)" if sql_type in INTEGERS else "([^ ]*)"


def expression() -> str:
    """The regular expression of a whole line, in the way of the one that is commonly given to Amazon Athena.

    It lets no blank into a field without quotes, which loses the lines whose requester is a CloudFront identity,
    as it does there.
    """
    groups = [group(name, sql_type) for name, sql_type in FIELDS.items()]
    tail = ""
    for later in reversed(groups[ALWAYS:]):
        tail = f"(?: {later}{tail})?"
    return " ".join(groups[:ALWAYS]) + tail


def read_as(name: str, sql_type: str) -> str:
    """The type in which the reader hands a field over. The nullable ones turn a dash into a null."""
    if name in ("time", "acl_required"):
        return "String"
    return f"Nullable({INTEGERS.get(sql_type, 'String')})"


def column(name: str, sql_type: str) -> str:
    """The expression that turns what was read into its column. Nothing captured is read as empty text."""
    read = f"log.{name}"
    if name == "time":
        return f"parseDateTime64OrNull({read}, '%d/%b/%Y:%H:%i:%s %z', 'UTC') AS time"
    if name == "acl_required":
        return f"CAST(if({read} = '', NULL, {read} = 'Yes') AS Nullable(Bool)) AS acl_required"
    return f"{read} AS {name}" if sql_type in INTEGERS else f"nullIf({read}, '') AS {name}"


def statement(source: str, target: str, threads: int) -> str:
    """The INSERT statement.

    `format_regexp_skip_unmatched` is not a choice: without it the first line that does not match ends it all.
    """
    structure = ", ".join(f"{name} {read_as(name, sql_type)}" for name, sql_type in FIELDS.items())
    select = ", ".join(column(name, sql_type) for name, sql_type in FIELDS.items())
    settings = {
        "format_regexp": quoted(expression()),
        "format_regexp_escaping_rule": "'Raw'",
        "format_regexp_skip_unmatched": "1",
        "format_tsv_null_representation": "'-'",  # it is also that of the rule Raw
        "max_threads": str(threads),
        "max_parsing_threads": str(threads),
        "output_format_parquet_compression_method": "'zstd'",
    }
    return (
        f"INSERT INTO FUNCTION file({quoted(target)}, Parquet) "
        f"SELECT {select} FROM file({quoted(source)}, Regexp, {quoted(structure)}) AS log "
        f"SETTINGS {', '.join(f'{name} = {value}' for name, value in settings.items())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()

    started = time.perf_counter()
    chdb.query(statement(args.source, args.target, args.threads))
    insert_seconds = time.perf_counter() - started
    # INSERT does not say how many rows it wrote; this reads the file's footer.
    rows = int(chdb.query(f"SELECT count() FROM file({quoted(args.target)}, Parquet)", "TSV").bytes())
    print(json.dumps({"rows": rows, "import_seconds": import_seconds, "insert_seconds": insert_seconds}))


if __name__ == "__main__":
    main()
