"""A lake for a comparison: made with s3trail, and as DuckDB sees it, over the very same Parquet files."""

import json
import shutil
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from common import Trouble, measure, say
from dialect import SETTINGS, SETUP, bound, literal, saved, translated

TABLES = ("access_logs", "log_objects", "rejects")

# Tables that are in no lake; DuckDB gets them as s3trail answers them.
REFERENCE = ("bucket_config", "prices", "kms_quotas")

# In this order: some use others.
VIEWS = ("bucket_configuration", "configured_loops", "deliveries", "log_deliveries", "log_loops", "requests")

LOG_BUCKET = "amzn-s3-demo-logs"


@dataclass(frozen=True)
class Recipe:
    """What is in a lake that is made."""

    records: int
    days: int
    buckets: int
    seed: int
    threads: int


def make(s3trail: Path, lake: Path, recipe: Recipe, folder: Path) -> None:
    """Generates logs, takes them in, compacts, and removes everything but the lake."""
    logs = folder / "logs"
    tool = [str(s3trail), "--threads", str(recipe.threads), "--quiet"]
    say(f"generating {recipe.records:,} records")
    traffic = ["--records", str(recipe.records), "--seed", str(recipe.seed), "--scenario", "incidents"]
    spread = ["--days", str(recipe.days), "--buckets", str(recipe.buckets)]
    objects = ["--layout", "simple", "--records-per-object", "2000", "-o", str(logs)]
    measure([*tool, "generate", *traffic, *spread, *objects], folder / "generate")
    say("taking them in")
    measure([*tool, "ingest", str(logs), "--lake", str(lake), "--log-bucket", LOG_BUCKET], folder / "ingest")
    shutil.rmtree(logs)
    say("compacting")
    # Days that are not over yet where the clock stands before the generated time.
    measure([*tool, "lake", "compact", "--open-days", "--lake", str(lake)], folder / "compact")
    measure([*tool, "lake", "vacuum", "--older-than", "0s", "--lake", str(lake)], folder / "vacuum")


def is_lake(folder: Path) -> bool:
    return (folder / "_s3trail" / "lake.json").is_file()


def live_files(table: Path) -> list[Path]:
    """The files of a Delta table's newest version, by its log."""
    log = table / "_delta_log"
    live: dict[str, None] = {}
    after = -1
    last = log / "_last_checkpoint"
    if last.is_file():
        import duckdb

        after = json.loads(last.read_text())["version"]
        checkpoint = str(log / f"{after:020}.checkpoint.parquet")
        rows = duckdb.execute("SELECT add.path FROM read_parquet(?) WHERE add.path IS NOT NULL", [checkpoint])
        live.update((path, None) for (path,) in rows.fetchall())
    for commit in sorted(log.glob("*.json")):
        if not commit.stem.isdigit() or int(commit.stem) <= after:
            continue
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "remove" in action:
                live.pop(action["remove"]["path"], None)
            if "add" in action:
                live[action["add"]["path"]] = None
    return [table / urllib.parse.unquote(path) for path in live]


@dataclass(frozen=True)
class Facts:
    """A lake in numbers."""

    records: int
    days: int
    files: int
    row_groups: int
    bytes: int


def prepare(s3trail: Path, lake: Path, database: Path) -> Facts:
    """Makes a DuckDB database without rows: s3trail's tables over the files of the lake, its views, its functions.

    What a connection must set besides goes into a file beside it.
    """
    import duckdb

    database.with_suffix(".settings").write_text("\n".join(SETTINGS) + "\n")
    connection = duckdb.connect(str(database))
    for statement in SETUP:
        connection.execute(statement)
    for name in TABLES:
        files = live_files(lake / name)
        if files:
            listed = ", ".join(literal(str(path)) for path in files)
            partition = (
                ", hive_partitioning = true, hive_types = {'event_date': DATE}"
                if name == "access_logs"
                else ""
            )
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet([{listed}]{partition})")
        elif name == "access_logs":
            raise Trouble(f"{lake} has no records")
        else:
            copied(connection, s3trail, lake, database, name)
    for name in REFERENCE:
        copied(connection, s3trail, lake, database, name)
    for name in VIEWS:
        connection.execute(f"CREATE VIEW {name} AS {translated(bound(saved(name), {}))}")
    files = live_files(lake / "access_logs")
    [(records, days)] = connection.execute(
        "SELECT count(*), count(DISTINCT event_date) FROM access_logs"
    ).fetchall()
    [(groups,)] = connection.execute(
        "SELECT sum(num_row_groups) FROM parquet_file_metadata(?)", [[str(path) for path in files]]
    ).fetchall()
    connection.close()
    return Facts(records, days, len(files), int(groups), sum(path.stat().st_size for path in files))


def copied(connection, s3trail: Path, lake: Path, database: Path, name: str) -> None:
    """A table as s3trail answers it."""
    answer = database.with_name(f"{name}.parquet")
    query = [str(s3trail), "query", f"SELECT * FROM {name}", "--lake", str(lake), "--format", "parquet"]
    measure([*query, "-o", str(answer)], database.with_name(name))
    connection.execute(f"CREATE TABLE {name} AS FROM read_parquet({literal(str(answer))})")
