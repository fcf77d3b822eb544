"""The tools that are compared. A new one is one class here and one entry in `PEERS`; `run.py` does the rest.

A peer says how it is made ready and started, and reads its own answer. It does not measure anything.
"""

import functools
import importlib.util
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Protocol

from fields import FIELDS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Job:
    """What every run is given."""

    source: Path  # the access log, the same file for everyone
    out: Path  # an empty directory of this run, removed after it
    threads: int
    s3trail: Path  # the binary
    python: Path  # interpreter of the environment with the pinned packages
    work: Path  # kept from one comparison to the next, for what a peer builds


@dataclass(frozen=True)
class Answer:
    """What a tool says of its own run."""

    rows: Optional[int]  # records in its table or, without one, in its report; None when it does not say
    kept_aside: int = 0  # lines it kept elsewhere: neither in the table nor lost
    details: dict = field(default_factory=dict)  # further figures, name -> number, for the notes


class Peer(Protocol):
    name: str
    what: str  # one line for the reader of the table
    unequal: str = ""  # how its work differs from that of the others; a clause
    text_columns: bool = False  # its columns are all text, dashes included

    def missing(self, job: Job) -> Optional[str]:
        """Makes the tool ready, untimed. Returns why it cannot be run here; None when it can."""
        return None

    def command(self, job: Job) -> list[str]:
        """The process to time. It writes under `job.out` only."""

    def answer(self, stdout: str, job: Job) -> Answer:
        """Reads what `command` printed or left under `job.out`."""

    def parquet(self, job: Job) -> Optional[str]:
        """Path or glob of the Parquet files with the 27 fields, to be audited; None when there are none."""

    def startup(self, job: Job) -> Optional[list[str]]:
        """A command that starts the tool, prints its version and does nothing else; None when there is none."""


class S3Trail(Peer):
    name = "s3trail"
    what = (
        "`s3trail ingest` into a fresh lake: 27 fields, decoded keys, where each line came from, ledger, "
        "Delta commits"
    )

    def command(self, job: Job) -> list[str]:
        return [str(job.s3trail), "ingest", str(job.source), "--lake", str(job.out / "lake"), "--json"]

    def answer(self, stdout: str, job: Job) -> Answer:
        summary = json.loads(stdout)
        details = {name: summary[name] for name in ("lines", "records", "rejects", "duplicates")}
        return Answer(summary["records"], summary["rejects"] + summary["duplicates"], details)

    def parquet(self, job: Job) -> Optional[str]:
        # A fresh lake: every file of the folder is live, so no Delta reader is needed.
        return str(job.out / "lake" / "access_logs" / "**" / "*.parquet")

    def startup(self, job: Job) -> Optional[list[str]]:
        return [str(job.s3trail), "--version"]


class Script(Peer):
    """A database from PyPI, run by a script beside this one."""

    def __init__(self, name: str, what: str, script: str, package: str, version: str, *arguments: str):
        self.name = name
        self.what = what
        self.script = script
        self.package = package
        self.version = version  # an expression over the imported package
        self.arguments = arguments

    def missing(self, job: Job) -> Optional[str]:
        # `run.py` runs in the environment with the packages, so its own imports are what counts.
        if importlib.util.find_spec(self.package) is None:
            return f"requirements.txt knows no build of {self.package} for this system"
        return None

    def command(self, job: Job) -> list[str]:
        script = [str(job.python), str(HERE / self.script)]
        return [*script, str(job.source), self.parquet(job), "--threads", str(job.threads), *self.arguments]

    def answer(self, stdout: str, job: Job) -> Answer:
        answer = json.loads(stdout)
        return Answer(answer.pop("rows"), details=answer)

    def parquet(self, job: Job) -> Optional[str]:
        return str(job.out / "access_logs.parquet")

    def startup(self, job: Job) -> Optional[list[str]]:
        return [str(job.python), "-c", f"import {self.package}; print({self.version})"]


class RegexTokenizer(Peer):
    """A program of ours, `regex_tokenizer/`."""

    unequal = "one thread and nothing but text columns, dashes included, as in that tool; no deduplication"
    text_columns = True

    def __init__(self, name: str, what: str, mode: str):
        self.name = name
        self.what = what
        self.mode = mode

    def home(self, job: Job) -> Path:
        return job.work / "regex_tokenizer"

    def binary(self, job: Job) -> Path:
        return self.home(job) / "target" / "release" / "regex_tokenizer"

    def missing(self, job: Job) -> Optional[str]:
        """Builds it in a copy, so that nothing is written into the repository."""
        if shutil.which("cargo") is None:
            return "no cargo to build it with"
        home = self.home(job)
        shutil.copytree(HERE / "regex_tokenizer", home, dirs_exist_ok=True)
        # The pins: cargo keeps the versions of what is needed here and drops the rest.
        shutil.copy(ROOT / "Cargo.lock", home)
        build = ["cargo", "build", "--release", "--target-dir", str(home / "target")]
        built = subprocess.run(build, cwd=home, capture_output=True, text=True, errors="backslashreplace")
        return None if built.returncode == 0 else f"it does not build:\n{built.stderr[-2000:]}"

    def command(self, job: Job) -> list[str]:
        return [str(self.binary(job)), self.mode, str(job.source), self.parquet(job), *FIELDS]

    def answer(self, stdout: str, job: Job) -> Answer:
        return Answer(json.loads(stdout)["rows"])

    def parquet(self, job: Job) -> Optional[str]:
        return str(job.out / "access_logs.parquet")

    def startup(self, job: Job) -> Optional[list[str]]:
        return [str(self.binary(job))]


class GoAccess(Peer):
    name = "goaccess"
    what = "`goaccess --log-format=AWSS3 -o report.json`, other settings as they come"
    unequal = (
        "8 of the 27 fields are read and no table is written: the output is a report of counts by day, address, "
        "path, referer, browser and so on, and lost are the lines it does not count; one thread where goaccess "
        "has no option --jobs, as 1.7"
    )

    def missing(self, job: Job) -> Optional[str]:
        if shutil.which("goaccess") is None:
            return "goaccess is not installed (Debian: apt-get install goaccess)"
        return None

    @functools.cache
    def has_jobs(self) -> bool:
        """Whether this version can use several threads."""
        return "--jobs" in subprocess.run(["goaccess", "--help"], capture_output=True, text=True).stdout

    def report(self, job: Job) -> Path:
        return job.out / "report.json"

    def command(self, job: Job) -> list[str]:
        settings = ["--no-global-config", "--log-format=AWSS3", "--no-progress"]
        if self.has_jobs():
            settings.append(f"--jobs={job.threads}")
        return ["goaccess", str(job.source), *settings, "-o", str(self.report(job))]

    def answer(self, stdout: str, job: Job) -> Answer:
        # Bytes of the log that are not UTF-8 go into the report as they are.
        general = json.loads(self.report(job).read_text(errors="backslashreplace"))["general"]
        names = ("total_requests", "valid_requests", "failed_requests")
        return Answer(general["valid_requests"], details={name: general[name] for name in names})

    def parquet(self, job: Job) -> Optional[str]:
        return None

    def startup(self, job: Job) -> Optional[list[str]]:
        return ["goaccess", "--version"]


DUCKDB = ("duckdb_copy.py", "duckdb", "'DuckDB', duckdb.__version__")
CHDB = ("chdb_insert.py", "chdb", "'chDB', chdb.__version__, 'with ClickHouse', chdb.engine_version")

# The first entry is the one the others are compared with.
PEERS: list[Peer] = [
    S3Trail(),
    Script(
        "duckdb",
        "`COPY (SELECT ... FROM read_csv(...)) TO ... (FORMAT parquet, COMPRESSION zstd)`",
        *DUCKDB,
    ),
    Script(
        "duckdb-decoded",
        "the same columns as s3trail's as far as SQL can make them: `key` decoded, `key_logged`, `log_key`, "
        "`event_date`",
        *DUCKDB,
        "--decoded",
    ),
    Script(
        "duckdb-tuned",
        "as `duckdb` with the fastest settings found: dashes and integers left to the CSV reader, "
        "rows in any order, zstd level 1",
        *DUCKDB,
        "--tuned",
    ),
    Script(
        "chdb",
        "`INSERT INTO FUNCTION file(..., Parquet) SELECT ... FROM file(..., Regexp)`, zstd",
        *CHDB,
    ),
    RegexTokenizer(
        "regex-tokenizer",
        "the approach of aws-samples/s3logs-parquet, a regular expression that finds the tokens of a line one "
        "by one: capture groups, a string for every token; crate `regex`, arrow's Parquet writer, zstd level 1",
        "published",
    ),
    RegexTokenizer(
        "regex-tokenizer-tuned", "the same without capture groups and without copies of the tokens", "tuned"
    ),
    GoAccess(),
]
