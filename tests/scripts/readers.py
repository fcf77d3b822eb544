#!/usr/bin/env python3
"""Opens a lake from outside and checks that other Delta readers see the same access_logs as s3trail does.

    python3 tests/scripts/readers.py LAKE [--bin target/release/s3trail] [--work DIR]

Readers: `s3trail query`; Polars (`scan_delta`); the Python package deltalake over a PyArrow dataset; DuckDB
(`delta_scan`). Each counts records and sums bytes_sent per operation. Prints a table; exit status 1 when any
differs, 2 when one cannot read the lake at all. The lake is only read.

Needs Python 3.11. Packages are installed into WORK/venv at pinned versions on first use.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

import pinned

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# operation -> (records, sum of bytes_sent); a dash in bytes_sent counts as 0
Counts = dict[Optional[str], tuple[int, int]]

SQL = "SELECT operation, count(*) AS records, coalesce(sum(bytes_sent), 0) AS bytes_sent FROM {} GROUP BY operation"


def s3trail(table: Path, args: argparse.Namespace) -> tuple[str, Counts]:
    def run(*arguments: str) -> str:
        return subprocess.run(
            [args.bin.resolve(), *arguments], check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    lines = run(
        "query", SQL.format("access_logs"), "--lake", str(table.parent), "--format", "ndjson"
    ).splitlines()
    rows = [json.loads(line) for line in lines]
    # A null is written as an absent member or as null; both are accepted.
    return run("--version").strip(), {
        row.get("operation"): (row["records"], row["bytes_sent"]) for row in rows
    }


def polars(table: Path, _: argparse.Namespace) -> tuple[str, Counts]:
    import polars as pl

    totals = (pl.len().alias("records"), pl.col("bytes_sent").sum())
    frame = pl.scan_delta(str(table)).group_by("operation").agg(*totals).collect()
    return f"Polars {pl.__version__}", {
        operation: (records, total) for operation, records, total in frame.rows()
    }


def deltalake(table: Path, _: argparse.Namespace) -> tuple[str, Counts]:
    import deltalake as package
    import pyarrow

    data = package.DeltaTable(str(table)).to_pyarrow_dataset().to_table(columns=["operation", "bytes_sent"])
    grouped = data.group_by("operation").aggregate([([], "count_all"), ("bytes_sent", "sum")]).to_pylist()
    counts = {row["operation"]: (row["count_all"], row["bytes_sent_sum"] or 0) for row in grouped}
    return f"deltalake {package.__version__}, PyArrow {pyarrow.__version__}", counts


def duckdb(table: Path, args: argparse.Namespace) -> tuple[str, Counts]:
    import duckdb as package
    import duckdb_extensions

    # Not the user's own extension directory: the check leaves no trace outside WORK.
    connection = package.connect(
        config={"extension_directory": str(args.work.resolve() / "duckdb-extensions")}
    )
    duckdb_extensions.import_extension("delta", con=connection)
    connection.execute("LOAD delta")
    literal = "'" + str(table).replace("'", "''") + "'"
    rows = connection.execute(SQL.format(f"delta_scan({literal})")).fetchall()
    return f"DuckDB {package.__version__}", {
        operation: (records, int(total)) for operation, records, total in rows
    }


# The first is the one the others are compared with.
READERS = (s3trail, polars, deltalake, duckdb)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lake", type=Path, help="directory of a lake")
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "target" / "readers",
        help="where packages go (default %(default)s)",
    )
    args = parser.parse_args()
    pinned.enter(args.work / "venv", HERE / "readers-requirements.txt")

    table = args.lake.resolve() / "access_logs"
    expected: Counts = {}
    differences: list[str] = []
    broken = False
    print("| reader | records | operations | sum(bytes_sent) | seconds | same |")
    print("|---|---:|---:|---:|---:|---|")
    for reader in READERS:
        started = time.perf_counter()
        try:
            name, counts = reader(table, args)
        except Exception as error:  # whatever a reader raises, the other readers are still worth asking
            print(f"| {reader.__name__} | | | | | cannot read |")
            print(f"error: {reader.__name__}: {error}", file=sys.stderr)
            if reader is READERS[0]:
                return 2
            broken = True
            continue
        seconds = time.perf_counter() - started
        if reader is READERS[0]:
            expected = counts
        for operation in sorted({*expected, *counts}, key=str):
            if expected.get(operation) != counts.get(operation):
                found, wanted = counts.get(operation), expected.get(operation)
                differences.append(f"{name}: {operation}: {found}, s3trail {wanted}")
        records, total = (sum(column) for column in zip(*counts.values())) if counts else (0, 0)
        same = "yes" if counts == expected else "NO"
        print(f"| {name} | {records:,} | {len(counts):,} | {total:,} | {seconds:.2f} | {same} |")
    for difference in differences:
        print(f"difference: {difference} (records, sum of bytes_sent)", file=sys.stderr)
    if broken:
        return 2
    if not expected:
        print("error: the lake holds no record, so nothing was compared", file=sys.stderr)
        return 2
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
