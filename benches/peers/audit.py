"""Looks into the Parquet files a peer wrote, outside any timed run. Prints one JSON object.

`rows`; `misread`: rows in which some field holds what that field cannot hold, because stray quotes or blanks
moved the fields. It is a lower bound: a value that is merely cut short is not noticed. `columns`: name ->
type. `column_bytes`: name -> what the column takes of the disk, indexes and footers left out.
"""

import argparse
import json

import duckdb

# What the condition below looks at, made of the text of the fields. What cannot be made is null, as it is in the tables
# of the peers that have types.
TYPED = """
    * REPLACE (
        try_strptime(time, '%d/%b/%Y:%H:%M:%S %z') AS time,
        try_cast(http_status AS SMALLINT) AS http_status,
        nullif(operation, '-') AS operation,
        nullif(signature_version, '-') AS signature_version,
        nullif(authentication_type, '-') AS authentication_type,
        nullif(tls_version, '-') AS tls_version
    )
"""

# True for a row whose narrow fields all hold a possible value. Null operation or time makes it null, which is not true.
SOUND = """
    time IS NOT NULL
    AND regexp_full_match(operation, '[A-Z0-9]+([.][A-Z0-9_]+)+')
    AND (http_status IS NULL OR http_status BETWEEN 100 AND 599)
    AND (signature_version IS NULL OR signature_version LIKE 'SigV%')
    AND (authentication_type IS NULL OR authentication_type IN ('AuthHeader', 'QueryString', 'HtmlForm'))
    AND (tls_version IS NULL OR tls_version ILIKE 'TLSv1%')
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parquet", help="a file or a glob")
    parser.add_argument("--text", action="store_true", help="the columns are the text of the fields")
    args = parser.parse_args()
    table = duckdb.read_parquet(args.parquet, hive_partitioning=False)
    typed = table.project(TYPED) if args.text else table
    [(rows, sound)] = typed.aggregate(f"count(*), count(*) FILTER ({SOUND})").fetchall()
    columns = dict(zip(table.columns, map(str, table.types)))
    column_bytes = duckdb.execute(
        "SELECT path_in_schema, sum(total_compressed_size)::BIGINT FROM parquet_metadata(?) GROUP BY ALL",
        [args.parquet],
    ).fetchall()
    found = {"rows": rows, "misread": rows - sound, "columns": columns, "column_bytes": dict(column_bytes)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
