#!/usr/bin/env python3
"""Runs s3trail on failing disks and checks that it says so, loses nothing and takes nothing twice.

    python3 tests/scripts/faults.py [--bin target/release/s3trail] [--points 40] [--only OPERATION]...
                                    [--part PART]... [--fault TEXT] [--workers 2] [--work DIR]

The operations, each on a lake made for it:

    create        an ingest into a place where there is no lake yet
    ingest        into a lake of 48 commits, past the one that writes a checkpoint
    compact       days of many small part files, and records that are there twice
    expire        one of two times
    vacuum        files that compaction replaced, and remains of killed runs
    repair        one truncated part file
    check         a repair of a sound lake, whose source has no longer most of the log objects
    query         a join of all three tables
    query --logs  the same, of the source
    verify        the lake

The parts:

    calls         Calls on files of the lake, or of the source, fail: open, create, read, write, fsync, link
                  and rename, unlink, mkdir, listing, stat; with EIO, ENOSPC, EDQUOT, EACCES or EINTR; once,
                  or from then on. Or they move fewer bytes than asked (short), or are made and said to have
                  failed (lost). An undisturbed run counts the calls; then each of them fails in turn, or
                  --points of them, evenly spread. (LD_PRELOAD of fault_shim.c, built with cc)
    files         One file of the lake, or of the source, cannot be opened, or not be read, or has a damaged
                  inode, all the time. Each file in turn, or --points of them.
    disk          The operation on a tmpfs, in --points sizes from one that just holds the lake as it is to
                  one that is enough. Then the tmpfs grows.
    inodes        The same with the number of files that the tmpfs may hold.
    read-only     The operation on a file system that is mounted read-only. Then it is writable.

A run must end by itself within three minutes: with 0 and the right result, or with 2 and one line of error
that names a file, says what the system said, and does not call damaged what only could not be read. A panic
is a failure. What only moves fewer bytes must not be noticed at all. After a run that changes the lake and
failed, whole commit batches are visible (whole days of compact and expire), no line is there twice, and
`lake verify` finds nothing but what the next run finishes. Then the same command again, undisturbed, ends
with 0; number and order-free digest of the rows of the three tables are those after an undisturbed run
alone, and `lake verify` finds nothing. A log object that cannot be read costs the lake no other one. A run
that only reads leaves the lake as it is, byte for byte.

Prints a table, and of failures the command that makes them again. (The calls of several threads have no
fixed order: the n-th may be another one then; the failure names the one that was struck. For the same
reason the last calls of a count are not always reached, and "points" are those that were.)

Exit status 0: no failure; 1: failures, and of each kind in a line one lake is kept and named; 2: the test
could not be made. The parts that mount need root on Linux, and are left out without. Not tested: what a
power failure takes, lakes in a bucket, full disks under TMPDIR, faults of mapped memory.
"""

import argparse
import errno
import gzip
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator, Optional

from kill9 import Rows, Trouble

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

SECONDS = 180  # a run that takes longer hangs; on a busy machine an ingest took 30

REPORT_BYTES = 8192  # as in fault_shim.c

# The first days of the two parts of the source, and between them the day before which records expire.
OLD, NEW = "2025-01-01", "2025-06-01"
EXPIRY = datetime(2025, 3, 1, tzinfo=timezone.utc)

# Each table without the columns that say when and in which commit batch a row came in.
TABLES = {
    "access_logs": "*",
    "rejects": "* EXCEPT (commit_batch)",
    "log_objects": "* EXCEPT (commit_batch, ingested_at, last_modified)",
}
ALL_ROWS = " UNION ALL BY NAME ".join(
    f"SELECT '{table}' AS table_name, {columns} FROM {table}" for table, columns in TABLES.items()
)

# A question that reads all three tables.
QUESTION = (
    "SELECT a.*, o.lines, o.etag, (SELECT count(line) FROM rejects) AS rejects"
    " FROM access_logs a JOIN log_objects o ON a.log_key = o.log_key"
)


@dataclass(frozen=True)
class Operation:
    """One command, on a copy of a prepared lake."""

    name: str
    words: tuple[str, ...]
    lake: Optional[str]  # which prepared lake; None: there is none yet
    changes: bool  # whether it changes the lake
    targets: tuple[str, ...] = ("lake",)  # whose files are to fail


def operations() -> dict[str, Operation]:
    into = ("{source}", "--lake", "{lake}", "--max-reject-ratio", "1", "--commit-bytes", "{batch}")
    ask = ("query", QUESTION, "--format", "ndjson")
    both = ("lake", "source")
    found = (
        Operation("create", ("ingest", *into), None, True, both),
        Operation("ingest", ("ingest", *into), "old", True),
        Operation("compact", ("lake", "compact", "--lake", "{lake}"), "whole", True),
        Operation("expire", ("lake", "expire", "--lake", "{lake}", "--older-than", "{age}d"), "whole", True),
        Operation("vacuum", ("lake", "vacuum", "--lake", "{lake}", "--older-than", "0d"), "remains", True),
        Operation("repair", ("lake", "repair", *into), "damaged", True, both),
        # Nothing is to be done: whatever fails, all records stay.
        Operation("check", ("lake", "repair", "{copies}", "--lake", "{lake}"), "whole", True),
        Operation("query", (*ask, "--lake", "{lake}"), "whole", False),
        Operation("query --logs", (*ask, "--logs", "{source}"), None, False, ("source",)),
        Operation("verify", ("lake", "verify", "--lake", "{lake}"), "whole", False),
    )
    return {operation.name: operation for operation in found}


OPERATIONS = operations()

ANY_CALL = "open,create,read,write,sync,link,unlink,mkdir,list,stat"
TAKES_SPACE = "create,write,link,mkdir"


@dataclass(frozen=True)
class Fault:
    """What happens to which calls."""

    calls: str
    error: str
    lasts: bool = False  # whether all later ones fail too

    def __str__(self) -> str:
        calls = "any call" if self.calls == ANY_CALL else self.calls
        return f"{calls} {self.error}{', lasting' if self.lasts else ''}"

    @property
    def words(self) -> str:
        """What the system says."""
        return os.strerror(getattr(errno, "EIO" if self.error == "lost" else self.error))


FAULTS = (
    Fault("open", "EIO"),
    Fault("open", "EACCES", lasts=True),
    Fault("open", "EINTR"),
    Fault("read", "EIO"),
    Fault("read", "EIO", lasts=True),
    Fault("read", "short"),
    Fault("read", "short", lasts=True),
    Fault("read", "EINTR"),
    Fault("list", "EIO"),
    Fault("stat", "EIO"),
    Fault("stat", "EACCES", lasts=True),
    Fault("create", "EACCES"),
    Fault("mkdir", "EDQUOT"),
    Fault("write", "EIO"),
    Fault("write", "short"),
    Fault("write", "short", lasts=True),
    Fault("write", "EINTR"),
    Fault("sync", "EIO"),
    Fault("sync", "EIO", lasts=True),
    Fault("sync", "EINTR"),
    Fault("link", "EIO"),
    Fault("link", "lost"),
    Fault("unlink", "EIO"),
    Fault("unlink", "EACCES", lasts=True),
    Fault(TAKES_SPACE, "ENOSPC"),
    Fault(TAKES_SPACE, "ENOSPC", lasts=True),
    Fault(TAKES_SPACE, "EDQUOT", lasts=True),
    Fault(ANY_CALL, "EIO", lasts=True),
)

# Of one file: its permissions, its content or its inode.
FILE_FAULTS = (
    Fault("open", "EACCES", lasts=True),
    Fault("read", "EIO", lasts=True),
    Fault("stat", "EIO", lasts=True),
)

# What the mounts of the other parts do.
FULL = Fault(TAKES_SPACE, "ENOSPC", lasts=True)
READ_ONLY = Fault(ANY_CALL, "EROFS", lasts=True)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    command: list[str]
    status: Optional[int]  # None: it did not end
    out: str
    err: str

    @property
    def tail(self) -> str:
        return " | ".join((self.out + self.err).strip().splitlines()[-3:])[-900:]


@dataclass(frozen=True)
class Met:
    """What the shim says of a run."""

    counted: int
    struck: str  # name and path of the first call that failed; empty when none did


@dataclass
class Expected:
    """What an undisturbed run gives."""

    out: Rows
    contents: dict[str, Rows] = field(default_factory=dict)
    steps: frozenset[int] = frozenset()  # records that are visible before, between and after its commits
    remains: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Point:
    """One disturbed run."""

    status: Optional[int]
    is_reached: bool  # whether anything failed
    wrong: list[str]
    story: list[str]  # for people: what happened, and how to do it again
    kept: Optional[Path] = None  # the lake


@dataclass
class Tally:
    """One line of the table."""

    operation: str
    fault: str
    calls: int  # from which the points were drawn; sizes of a disk
    points: int = 0
    tolerated: int = 0
    refused: int = 0
    failures: int = 0

    def add(self, point: Point) -> None:
        self.points += point.is_reached
        self.tolerated += point.is_reached and not point.wrong and point.status == 0
        self.refused += point.is_reached and not point.wrong and point.status != 0
        self.failures += bool(point.wrong)

    def cells(self) -> list[str]:
        numbers = (self.calls, self.points, self.tolerated, self.refused, self.failures)
        return [self.operation, self.fault, *(f"{number:,}" for number in numbers)]


def print_row(cells: list[str]) -> None:
    operation, fault, *numbers = cells
    print(
        f"{operation:<20} {fault:<37}" + "".join(f"{number:>10}" for number in numbers).rstrip(), flush=True
    )


def digest(lines: list[str]) -> Rows:
    hashes = (hashlib.blake2b(line.encode(), digest_size=16).digest() for line in lines)
    return Rows(len(lines), sum(int.from_bytes(value, "big") for value in hashes) % (1 << 128))


def fingerprint(folder: Path) -> dict[str, bytes]:
    """Every file with the hash of its content."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).digest() for path in files}


def remains(lake: Path) -> frozenset[str]:
    """Part files and temporary files."""
    paths = (str(path.relative_to(lake)) for path in lake.rglob("*") if path.is_file())
    return frozenset(path for path in paths if re.search(r"\.parquet(\.tmp)?$|#\d+$", path))


def spread(first: int, last: int, points: int) -> list[int]:
    """Up to so many numbers, evenly spread, both ends among them."""
    if last - first < points:
        return list(range(first, last + 1))
    return [first + round(at * (last - first) / max(points - 1, 1)) for at in range(points)]


def finish(command: list[str], **changes: str) -> Outcome:
    # Where it is set, libraries put backtraces into their errors.
    environment = {**os.environ, "RUST_BACKTRACE": "0", **changes}
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return Outcome(command, None, "", "")
    out, err = (text.decode(errors="backslashreplace") for text in (done.stdout, done.stderr))
    return Outcome(command, done.returncode, out, err)


def must(outcome: Outcome) -> Outcome:
    if outcome.status != 0:
        raise Trouble(f"{shlex.join(outcome.command)} ended with {outcome.status}: {outcome.tail}")
    return outcome


class Bench:
    """The binary, the shim, the source, the prepared lakes, and what undisturbed runs give."""

    def __init__(self, binary: Path, work: Path):
        self.binary = binary
        self.work = work
        self.shim = work / "fault_shim.so"
        self.source = work / "source"
        self.copies = work / "copies"
        self.lakes = work / "lakes"
        self.batch = 0  # bytes of a commit batch
        self.expected: dict[str, Expected] = {}
        self.places = itertools.count(1)

    def place(self) -> Path:
        """A name that no other run uses."""
        return self.work / "runs" / str(next(self.places))

    def command(self, operation: Operation, lake: Path) -> list[str]:
        age = (datetime.now(timezone.utc) - EXPIRY).days
        places = {"lake": lake, "source": self.source, "copies": self.copies}
        words = (word.format(**places, batch=self.batch, age=age) for word in operation.words)
        return [str(self.binary), *words, "-q"]

    def run(self, operation: Operation, lake: Path) -> Outcome:
        return finish(self.command(operation, lake))

    def run_with_shim(
        self, operation: Operation, lake: Path, settings: dict[str, str]
    ) -> tuple[Outcome, Met]:
        with tempfile.NamedTemporaryFile(dir=self.work) as report:
            report.truncate(REPORT_BYTES)
            shim = {"LD_PRELOAD": str(self.shim), "FAULT_REPORT": report.name}
            outcome = finish(self.command(operation, lake), **shim, **settings)
            counted, _, struck = struct.unpack(f"=QQ{REPORT_BYTES - 16}s", report.read())
        return outcome, Met(counted, struck.partition(b"\0")[0].decode(errors="backslashreplace"))

    def ask(self, lake: Path, sql: str) -> Outcome:
        return finish([str(self.binary), "query", sql, "--lake", str(lake), "--format", "ndjson", "-q"])

    def rows(self, lake: Path, sql: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in must(self.ask(lake, sql)).out.splitlines()]

    def contents(self, lake: Path) -> dict[str, Rows]:
        lines: dict[str, list[str]] = {table: [] for table in TABLES}
        for line in must(self.ask(lake, ALL_ROWS)).out.splitlines():
            lines[json.loads(line)["table_name"]].append(line)
        return {table: digest(of_table) for table, of_table in lines.items()}

    def verify(self, lake: Path) -> Outcome:
        return self.run(OPERATIONS["verify"], lake)

    # Preparation.

    def prepare(self) -> None:
        build = [os.environ.get("CC", "cc"), "-O1", "-shared", "-fPIC", "-o", str(self.shim)]
        try:
            subprocess.run([*build, str(HERE / "fault_shim.c")], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Trouble(f"the shim cannot be compiled: {error}") from error
        self.generate()
        self.lakes.mkdir()
        ingest = OPERATIONS["ingest"]
        # A commit for each of these log objects: the next ingest comes to the version with a checkpoint.
        self.batch = 1
        must(finish(self.command(ingest, self.lakes / "old") + ["--include", "old/*"]))
        # More small files of log_objects than compact leaves alone.
        total = sum(path.stat().st_size for path in self.objects("."))
        self.batch = total // 12
        must(self.run(ingest, self.lakes / "whole"))
        must(
            finish([str(self.binary), "ingest", str(self.copies), "--lake", str(self.lakes / "whole"), "-q"])
        )
        self.batch = total // 4
        must(self.run(OPERATIONS["compact"], self.derived("remains", "whole")))
        for stray in ("access_logs/stray.parquet.tmp", "rejects/stray.parquet", "_s3trail/stray.json#1"):
            (self.lakes / "remains" / stray).write_bytes(b"left by a run that was killed")
        parts = (self.derived("damaged", "whole") / "access_logs").glob(f"event_date={NEW}/*.parquet")
        part = max(parts, key=lambda path: path.stat().st_size)
        os.truncate(part, part.stat().st_size // 2)

    def generate(self) -> None:
        kinds = {
            "old": ["--start", OLD, "--records", "480", "--records-per-object", "10"],
            "new": ["--start", NEW, "--records", "400", "--days", "2"],
        }
        for name, kind in kinds.items():
            errors = ["--damage-rate", "0.01", "--duplicate-rate", "0.01"]
            must(finish([str(self.binary), "generate", "-q", "-o", str(self.source / name), *kind, *errors]))
        for path in self.objects("new")[::20]:
            path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        # Delivered twice: compact has duplicates to remove. Not in the source: ingest leaves the second one
        # out if both come into one commit batch, as they would after some faults and not after others.
        self.copies.mkdir()
        for path in self.objects("old")[::4]:
            shutil.copy(path, self.copies)

    def objects(self, part: str) -> list[Path]:
        return sorted(path for path in (self.source / part).rglob("*") if path.is_file())

    def derived(self, name: str, other: str) -> Path:
        return Path(shutil.copytree(self.lakes / other, self.lakes / name))

    def copy(self, operation: Operation, lake: Path) -> None:
        if operation.lake is not None:
            shutil.copytree(self.lakes / operation.lake, lake)

    # Undisturbed runs.

    def expect(self, operation: Operation) -> None:
        lake = self.place()
        self.copy(operation, lake)
        before = self.days(lake) if operation.lake not in (None, "damaged") else {}
        expected = Expected(digest(must(self.run(operation, lake)).out.splitlines()))
        if operation.changes:
            must(self.verify(lake))
            expected.contents = self.contents(lake)
            expected.steps = frozenset(self.steps(operation, lake, before))
            expected.remains = remains(lake)
        self.expected[operation.name] = expected
        shutil.rmtree(lake, ignore_errors=True)

    def days(self, lake: Path) -> dict[str, int]:
        sql = "SELECT event_date, count(*) AS n FROM access_logs GROUP BY 1 ORDER BY 1"
        return {str(row.get("event_date")): row["n"] for row in self.rows(lake, sql)}

    def steps(self, operation: Operation, lake: Path, before: dict[str, int]) -> Iterator[int]:
        after, first = self.days(lake), sum(before.values())
        if operation.name in ("create", "ingest"):
            sql = "SELECT commit_batch, sum(records) AS n FROM log_objects GROUP BY 1 ORDER BY 1"
            sums = itertools.accumulate((row["n"] for row in self.rows(lake, sql)), initial=0)
            yield from (records for records in sums if records >= first)
        elif operation.name == "compact":
            # A day at a time, oldest first.
            gone = (after[day] - records for day, records in before.items())
            yield from itertools.accumulate(gone, initial=first)
        else:
            yield from (first, sum(after.values()))


# What is wrong with a run, and with the lake it leaves.


def unclear(outcome: Outcome, fault: Fault, roots: list[Path]) -> list[str]:
    """What is wrong with the end of a run and with what it said."""
    if outcome.status is None:
        return [f"it still ran after {SECONDS} s"]
    if re.search("panicked|RUST_BACKTRACE|stack backtrace", outcome.out + outcome.err):
        return ["it panicked"]
    if outcome.status not in (0, 2):
        return [f"it ended with {outcome.status}"]
    if outcome.status == 2 and fault.error == "short":
        return ["it should not have noticed"]
    lines = outcome.err.splitlines()
    if not all(line.startswith("s3trail: ") for line in lines):
        return ["a line on standard error does not say that it is from s3trail"]
    errors = [line for line in lines if not line.startswith("s3trail: warning: ")]
    if len(errors) > (1 if outcome.status == 2 else 0):
        return [f"it ended with {outcome.status} and {len(errors)} errors"]
    if outcome.status == 0:
        return []
    # Log objects that cannot be read are warnings, and what verify finds is a result.
    said = errors or lines + outcome.out.splitlines()
    telling = [line for line in said if fault.words in line]
    if not any(str(root) in line for root in roots for line in telling):
        return [f"no line names a file and says: {fault.words}"]
    if any("damaged" in line for line in telling):
        # Who believes it restores an old backup, and loses what is newer.
        return ["it calls damaged what cannot be read"]
    return []


def visible(bench: Bench, operation: Operation, lake: Path, steps: Optional[frozenset[int]]) -> list[str]:
    """What is wrong with what readers see of a lake in which a run failed."""
    twice = "SELECT 1 FROM access_logs GROUP BY log_key, log_offset HAVING count(*) > 1"
    both = f"SELECT (SELECT count(*) FROM access_logs) AS records, (SELECT count(*) FROM ({twice})) AS twice"
    answer = bench.ask(lake, both)
    if answer.status != 0:
        # Of a lake that was never whole there is nothing to see.
        is_begun = re.search(r"there is no lake|is no lake \(|the lake lacks a table", answer.err)
        return [] if operation.lake is None and is_begun else [f"a query after it: {answer.tail}"]
    seen = json.loads(answer.out)
    wrong = []
    if seen["twice"] > 0:
        wrong.append(f"after it: {seen['twice']} lines are there twice")
    if steps is not None and seen["records"] not in steps:
        wrong.append(f"after it: {seen['records']} records, which are not whole commits")
    return wrong


def unfinished(verified: Outcome) -> list[str]:
    """What is wrong with the answer of `lake verify` after a run that failed."""
    # What the next run finishes: a commit, or the creation of the lake; or nothing was begun.
    good = r"the next (ingest finishes|`s3trail ingest` completes) it|there is no lake|is no lake \("
    if verified.status == 0 or re.search(good, verified.out + verified.err):
        return []
    return [f"verify after it ended with {verified.status}: {verified.tail}"]


def undone(bench: Bench, operation: Operation, lake: Path, when: str) -> list[str]:
    """How a lake differs from that after an undisturbed run."""
    expected, found = bench.expected[operation.name], bench.contents(lake)
    wrong = []
    for table, rows in expected.contents.items():
        if found[table].count != rows.count:
            wrong.append(f"{when}: {table} has {found[table].count} rows, not {rows.count}")
        elif found[table].digest != rows.digest:
            wrong.append(f"{when}: {table} has {rows.count} rows as it should, but not the same ones")
    # Elsewhere the files of a failed run may still be there, for vacuum.
    if operation.name == "vacuum" and remains(lake) != expected.remains:
        wrong.append(f"{when}: not the files that should be there")
    return wrong


def spared(bench: Bench, operation: Operation, lake: Path) -> list[str]:
    """What is wrong with a lake after one log object could not be read."""
    found = bench.rows(lake, "SELECT count(*) AS n FROM log_objects")[0]["n"]
    others = bench.expected[operation.name].contents["log_objects"].count - 1
    return [] if found == others else [f"after it: {found} log objects, not {others}"]


def aftermath(
    bench: Bench,
    operation: Operation,
    lake: Path,
    outcome: Outcome,
    steps: Optional[frozenset[int]],
    relieve: Callable[[], None] = lambda: None,
) -> list[str]:
    """What is wrong with the lake, before and after the same command again; `relieve` ends the fault."""
    wrong = []
    if outcome.status == 0:
        wrong += undone(bench, operation, lake, "after it")
    elif operation.name != "repair":
        # What is to be repaired is not sound before it is done.
        wrong += visible(bench, operation, lake, steps) + unfinished(bench.verify(lake))
    relieve()
    must(bench.run(operation, lake))
    wrong += undone(bench, operation, lake, "after running again")
    must(bench.verify(lake))
    return wrong


# The parts.


def strike(
    bench: Bench, operation: Operation, target: str, fault: Fault, at: int, file: Optional[Path] = None
) -> Point:
    """One run of the parts `calls` and `files`; `file` is the one of the target that fails, if not all do."""
    lake = bench.place() if operation.changes else bench.lakes / str(operation.lake)
    if operation.changes:
        bench.copy(operation, lake)
    root = bench.source if target == "source" else lake
    path = root if file is None else root / file
    settings = {"FAULT_PATH": str(path), "FAULT_CALLS": fault.calls, "FAULT_ERROR": fault.error}
    settings |= {"FAULT_AT": str(at)} | ({"FAULT_LASTS": "1"} if fault.lasts else {})
    outcome, met = bench.run_with_shim(operation, lake, settings)
    wrong = unclear(outcome, fault, [root])
    if not met.struck and outcome.status != 0:
        wrong.append("it failed, and nothing was made to fail")
    try:
        if operation.changes:
            is_one = file is not None or not fault.lasts and Path(met.struck.partition(" ")[2]).is_file()
            if target == "source" and is_one and operation.name == "create" and outcome.status == 2:
                wrong += spared(bench, operation, lake)
            steps = bench.expected[operation.name].steps if target == "lake" else None
            wrong += aftermath(bench, operation, lake, outcome, steps)
        elif outcome.status == 0 and digest(outcome.out.splitlines()) != bench.expected[operation.name].out:
            wrong.append("another answer than without the fault")
    except Trouble as trouble:
        # A run that fails without a fault, or a lake that does not verify, is what this test is looking for.
        wrong.append(str(trouble))
    settings["LD_PRELOAD"] = str(bench.shim)
    again = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    lakes = "no lake" if operation.lake is None else f"a copy of {bench.lakes / operation.lake}"
    story = [f"call {at}, {met.struck}: ended with {outcome.status}: {outcome.tail}"]
    story.append(f"on {lakes}, with FAULT_REPORT: {again} {shlex.join(outcome.command)}")
    return Point(outcome.status, bool(met.struck), wrong, story, lake if operation.changes else None)


def calls(bench: Bench, args: argparse.Namespace, pool: ThreadPoolExecutor, operation: Operation) -> int:
    failures = 0
    for target in operation.targets:
        counted = 0
        for fault in chosen(FAULTS, args):
            lake = bench.place()
            bench.copy(operation, lake)
            path = bench.source if target == "source" else lake
            outcome, met = bench.run_with_shim(
                operation, lake, {"FAULT_PATH": str(path), "FAULT_CALLS": fault.calls}
            )
            must(outcome)
            shutil.rmtree(lake, ignore_errors=True)
            counted += met.counted
            if met.counted == 0:
                continue
            tally = Tally(f"{operation.name} ({target})", str(fault), met.counted)
            numbers = spread(1, met.counted, args.points)
            points = pool.map(partial(strike, bench, operation, target, fault), numbers)
            failures += report(tally, points)
        if counted == 0 and not args.fault:
            raise Trouble(f"the shim saw no call of {operation.name}: is the binary linked statically?")
    return failures


def files(bench: Bench, args: argparse.Namespace, pool: ThreadPoolExecutor, operation: Operation) -> int:
    failures = 0
    for target in operation.targets:
        if target == "lake" and operation.lake is None:
            continue
        root = bench.source if target == "source" else bench.lakes / str(operation.lake)
        found = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        for fault in chosen(FILE_FAULTS, args):
            tally = Tally(f"{operation.name} ({target})", f"of a file: {fault}", len(found))
            some = [found[at] for at in spread(0, len(found) - 1, args.points)]
            points = pool.map(partial(strike, bench, operation, target, fault, 1), some)
            failures += report(tally, points)
    return failures


def chosen(faults: tuple[Fault, ...], args: argparse.Namespace) -> list[Fault]:
    return [fault for fault in faults if not args.fault or args.fault in str(fault)]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Callable[[str], None]]:
    """A tmpfs; gives what changes its options."""

    def mount(*words: str) -> None:
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
        if done.returncode != 0:
            raise Trouble(f"cannot mount: {done.stderr.strip()}")

    folder.mkdir()
    mount("-t", "tmpfs", "-o", options, "none", str(folder))
    try:
        yield lambda changed: mount("-o", f"remount,{changed}", str(folder))
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def confine(bench: Bench, operation: Operation, limit: str, most: int) -> Point:
    """One run of the parts `disk` and `inodes`."""
    folder = bench.place()
    with mounted(folder, f"{limit}={most}") as remount:
        lake = folder / "lake"
        bench.copy(operation, lake)
        outcome = bench.run(operation, lake)
        wrong = unclear(outcome, FULL, [lake])
        try:
            steps = bench.expected[operation.name].steps
            wrong += aftermath(
                bench, operation, lake, outcome, steps, lambda: remount(f"{limit}={ROOMY[limit]}")
            )
        except Trouble as trouble:
            wrong.append(str(trouble))
        kept = None
        if wrong and lake.exists():
            kept = Path(shutil.copytree(lake, bench.place()))
    story = [f"{limit}={most}: ended with {outcome.status}: {outcome.tail}"]
    return Point(outcome.status, True, wrong, story, kept)


# Enough for every operation.
ROOMY = {"size": 64 << 20, "nr_inodes": 100_000}


def used(folder: Path, limit: str) -> int:
    """Of what a tmpfs has, in units of its option `limit`."""
    found = os.statvfs(folder)
    if limit == "size":
        return (found.f_blocks - found.f_bfree) * found.f_frsize
    return found.f_files - found.f_ffree


def confined(
    bench: Bench, args: argparse.Namespace, pool: ThreadPoolExecutor, operation: Operation, limit: str
) -> int:
    if not operation.changes:
        return 0
    folder = bench.place()
    with mounted(folder, f"{limit}={ROOMY[limit]}"):
        bench.copy(operation, folder / "lake")
        least = used(folder, limit)
        must(bench.run(operation, folder / "lake"))
        needed = max(used(folder, limit) - least, 0)
    unit = os.sysconf("SC_PAGE_SIZE") if limit == "size" else 1
    # On the way it needs more than at the end: temporary files.
    most = least + needed + needed // 4 + 16 * unit
    # A limit of zero means none.
    sizes = [units * unit for units in spread(max(least // unit, 1), most // unit, args.points)]
    tally = Tally(operation.name, "full disk" if limit == "size" else "no inodes left", len(sizes))
    points = pool.map(partial(confine, bench, operation, limit), sizes)
    return report(tally, points)


def read_only(bench: Bench, operation: Operation) -> int:
    folder = bench.place()
    expected = bench.expected[operation.name]
    with mounted(folder, f"size={ROOMY['size']}") as remount:
        lake = folder / "lake"
        bench.copy(operation, lake)
        before = fingerprint(folder)
        remount("ro")
        outcome = bench.run(operation, lake)
        wrong = unclear(outcome, READ_ONLY, [lake])
        if not operation.changes and (
            outcome.status != 0 or digest(outcome.out.splitlines()) != expected.out
        ):
            wrong.append("it gave no answer, or another one")
        if fingerprint(folder) != before:
            wrong.append("it changed the lake")
        remount("rw")
        try:
            if operation.changes:
                wrong += aftermath(bench, operation, lake, outcome, expected.steps)
        except Trouble as trouble:
            wrong.append(str(trouble))
    point = Point(outcome.status, True, wrong, [f"ended with {outcome.status}: {outcome.tail}"])
    return report(Tally(operation.name, "read-only file system", 1), iter([point]))


def report(tally: Tally, points: Iterator[Point]) -> int:
    """Prints a line of the table, and the first failure of each kind, whose lake stays. How many failed."""
    kinds: Counter[str] = Counter()
    told: dict[str, Point] = {}
    for point in points:
        tally.add(point)
        if point.wrong:
            # The same but for numbers and paths is the same.
            kind = re.sub(r"\d+|/\S+", "", point.wrong[0])[:60]
            kinds[kind] += 1
            if told.setdefault(kind, point) is point:
                continue
        if point.kept is not None:
            shutil.rmtree(point.kept, ignore_errors=True)
    print_row(tally.cells())
    for kind, point in told.items():
        kept = [] if point.kept is None else [f"kept: {point.kept}"]
        print(f"  {kinds[kind]} times:")
        for text in (*point.wrong, *point.story, *kept):
            print(f"    {text}", flush=True)
    return tally.failures


PARTS = ("calls", "files", "disk", "inodes", "read-only")
MOUNTING = ("disk", "inodes", "read-only")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument("--points", type=int, default=40, help="at most, of each line (default %(default)s)")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument(
        "--only", action="append", choices=OPERATIONS, help="only this operation; may be repeated"
    )
    parser.add_argument(
        "--fault", help="of the parts `calls` and `files`, only faults with this text in their name"
    )
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default %(default)s)")
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "target" / "faults",
        help="scratch directory (default %(default)s)",
    )
    args = parser.parse_args()
    if args.points < 1 or args.workers < 1:
        parser.error("--points and --workers take a number from 1")
    return args


def torture(args: argparse.Namespace) -> int:
    if not args.bin.is_file():
        raise Trouble(f"no binary at {args.bin}; build it with: cargo build --release")
    work = args.work.resolve() / "scratch"
    shutil.rmtree(work, ignore_errors=True)
    try:
        (work / "runs").mkdir(parents=True)
    except OSError as error:
        raise Trouble(f"{error}; is something still mounted there?") from error
    bench = Bench(args.bin.resolve(), work)
    bench.prepare()
    parts = set(args.part or PARTS)
    if os.geteuid() != 0 and parts.intersection(MOUNTING):
        print(f"not root: left out what mounts file systems ({', '.join(MOUNTING)})")
        parts.difference_update(MOUNTING)
    print_row(["operation", "fault", "calls", "points", "tolerated", "refused", "failures"])
    failures = 0
    with ThreadPoolExecutor(args.workers) as pool:
        for operation in OPERATIONS.values():
            if args.only and operation.name not in args.only:
                continue
            bench.expect(operation)
            template = bench.lakes / str(operation.lake)
            before = fingerprint(template)
            if "calls" in parts:
                failures += calls(bench, args, pool, operation)
            if "files" in parts:
                failures += files(bench, args, pool, operation)
            if "disk" in parts:
                failures += confined(bench, args, pool, operation, "size")
            if "inodes" in parts:
                failures += confined(bench, args, pool, operation, "nr_inodes")
            if "read-only" in parts:
                failures += read_only(bench, operation)
            if fingerprint(template) != before:
                raise Trouble(f"{operation.name} has changed the lake {template}, which it only reads")
    print(f"{failures} failures" if failures else "no failure: nothing lost, nothing twice, every error told")
    if failures == 0:
        shutil.rmtree(work)
    return 1 if failures else 0


def main() -> int:
    args = arguments()
    try:
        return torture(args)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
