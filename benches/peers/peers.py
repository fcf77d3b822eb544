"""The tools that are compared. A new one is one class here and one entry in `PEERS`; `run.py` does the rest.

A peer says how it is started and reads its own answer. It does not measure anything.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Protocol

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Job:
    """What every run is given."""

    source: Path  # the access log, the same file for everyone
    out: Path  # an empty directory of this run, removed after it
    threads: int
    s3trail: Path  # the binary
    python: Path  # interpreter of the environment with the pinned packages


@dataclass(frozen=True)
class Answer:
    """What a tool says of its own run."""

    rows: Optional[int]  # records in its table; None when it does not say
    kept_aside: int = 0  # lines it kept elsewhere: neither in the table nor lost
    details: dict = field(default_factory=dict)  # further figures, name -> number, for the notes


class Peer(Protocol):
    name: str
    what: str  # one line for the reader of the table

    def command(self, job: Job) -> list[str]:
        """The process to time. It writes under `job.out` only."""

    def answer(self, stdout: str) -> Answer:
        """Reads what `command` printed."""

    def parquet(self, job: Job) -> Optional[str]:
        """Path or glob of the Parquet files with the 27 fields, to be audited; None when there are none."""

    def startup(self, job: Job) -> Optional[list[str]]:
        """A command that starts the tool, prints its version and does nothing else; None when there is none."""


class S3Trail:
    name = "s3trail"
    what = (
        "`s3trail ingest` into a fresh lake: 27 fields, decoded keys, where each line came from, ledger, "
        "Delta commits"
    )

    def command(self, job: Job) -> list[str]:
        return [str(job.s3trail), "ingest", str(job.source), "--lake", str(job.out / "lake"), "--json"]

    def answer(self, stdout: str) -> Answer:
        summary = json.loads(stdout)
        details = {name: summary[name] for name in ("lines", "records", "rejects", "duplicates")}
        return Answer(summary["records"], summary["rejects"] + summary["duplicates"], details)

    def parquet(self, job: Job) -> Optional[str]:
        # A fresh lake: every file of the folder is live, so no Delta reader is needed.
        return str(job.out / "lake" / "access_logs" / "**" / "*.parquet")

    def startup(self, job: Job) -> Optional[list[str]]:
        return [str(job.s3trail), "--version"]


class DuckDb:
    def __init__(self, name: str, what: str, *arguments: str):
        self.name = name
        self.what = what
        self.arguments = arguments

    def command(self, job: Job) -> list[str]:
        script = [str(job.python), str(HERE / "duckdb_copy.py")]
        return [*script, str(job.source), self.parquet(job), "--threads", str(job.threads), *self.arguments]

    def answer(self, stdout: str) -> Answer:
        answer = json.loads(stdout)
        return Answer(answer.pop("rows"), details=answer)

    def parquet(self, job: Job) -> Optional[str]:
        return str(job.out / "access_logs.parquet")

    def startup(self, job: Job) -> Optional[list[str]]:
        return [str(job.python), "-c", "import duckdb; print('DuckDB', duckdb.__version__)"]


# The first entry is the one the others are compared with.
PEERS: list[Peer] = [
    S3Trail(),
    DuckDb("duckdb", "`COPY (SELECT ... FROM read_csv(...)) TO ... (FORMAT parquet, COMPRESSION zstd)`"),
    DuckDb(
        "duckdb-tuned",
        "the same with the fastest settings found: dashes and integers left to the CSV reader, "
        "rows in any order, zstd level 1",
        "--tuned",
    ),
]
