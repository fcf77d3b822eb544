#!/usr/bin/env python3
"""Kills s3trail at many moments while it writes a lake: nothing may be lost, and nothing be there twice.

    python3 tests/scripts/kill9.py [--bin target/release/s3trail] [--operation all] [--instants 50]
                                   [--kills 1] [--clock-back DAYS] [--seed 1] [--source DIR|FILE]
                                   [--bytes 5MB] [--commit-bytes 400KB] [--work DIR]

The operations, each on a lake made for it; `all` shares the instants out among them:

    ingest   into a place where there is no lake yet
    append   an ingest into a lake that has a part of the source, past the commit that writes a checkpoint
    compact  days of many small part files, and records that are there twice
    expire   some of those days
    vacuum   files that compaction replaced, remains and an intent of a killed run; a young file has to stay
    repair   one part file missing, one damaged

Two undisturbed runs give the reference, the time a run takes, and the proof that the comparison itself is
stable. Then, for each instant: a fresh copy of the lake, and an operation that gets SIGKILL at that moment
(`--kills N`: N of them in a row, so recovery is killed too). After each kill, access_logs must have exactly
the rows that it has in an undisturbed run after as many commits, and `lake verify` must find nothing, but in
the middle of a commit, of a creation or of a repair, where it may say clearly what is wrong. Then a plain run
to the end, and a comparison with the reference: number and order-free digest of the rows of the three tables,
without the columns that tell of the run itself; after `compact` also the number of part files in each folder,
after `vacuum` the names of all files. `lake verify` must find nothing. The instants are spread over the whole
run, one at a random place in each of N equal parts; the last one is after the end, so that the operation is
done twice.

With `--clock-back DAYS`, half of the runs, drawn by lot, have a clock that is so far behind (clock_shim.c,
built with cc), and the files they write are dated by it. Lakes are prepared and looked at by the true clock.

Exit status 0: all as it should be; 1: some instants are not (their lakes are kept, and named); 2: the test
could not be made. SIGKILL takes the process, not the machine: what fsync is for is not tested here, nor are
lakes in a bucket, nor several writers at a time.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent.parent

OPERATIONS = ("ingest", "append", "compact", "expire", "vacuum", "repair")

# Each table without the columns that say when and in which commit batch a row came in.
TABLES = {
    "access_logs": "SELECT * FROM access_logs",
    "rejects": "SELECT * EXCEPT (commit_batch) FROM rejects",
    "log_objects": "SELECT * EXCEPT (commit_batch, ingested_at, last_modified) FROM log_objects",
}

# Empty files for vacuum to remove, so many that a kill can find it at that.
REMAINS = 5000

# With fewer commits there is hardly a moment between them.
LEAST_STEPS = {"ingest": 5, "append": 10, "compact": 5, "expire": 1, "vacuum": REMAINS, "repair": 3}

# s3trail's: in commits; and under which name a table notes what has expired, beside the attempts.
CHECKPOINT_EVERY = 50
EXPIRED = "s3trail-expired"

# Days ago. The generated logs are of two times; expiry lies between them by any clock.
OLD, EXPIRY, RECENT = 500, 400, 120
MOST_DAYS_BACK = 60

# Where a kill landed.
BEFORE = "before"  # the first commit; of vacuum, the first removal
INTENT = "intent"  # inside a commit: intent on disk, nothing visible or all done
BEHIND = "behind"  # inside a commit: records visible, ledger behind
BETWEEN = "between"  # commits, or removals
AFTER = "after"  # the last of them
ENDED = "ended"  # the run had ended by itself
LANDINGS = (BEFORE, INTENT, BEHIND, BETWEEN, AFTER, ENDED)


class Trouble(Exception):
    """The test cannot be made, or s3trail does what it must not; the text says what."""


@dataclass(frozen=True)
class Rows:
    """A multiset of rows: how many, and the sum of their hashes, which no order changes."""

    count: int
    digest: int


# The rows of access_logs by how many commits have changed it; None for no lake, and for a clear error.
Views = dict[Optional[int], Optional[Rows]]


def no_files(_: Path) -> Counter[str]:
    return Counter()


@dataclass(frozen=True)
class Operation:
    """A way to write a lake."""

    name: str
    words: list[str]
    base: Path  # the lake to begin with, which need not be there
    measure: Callable[[Path], int]  # of a lake: it grows with each step of the work
    files: Callable[[Path], Counter[str]] = no_files  # those that must be the same in the end
    mends: Optional[Path] = None  # the base as it was before it was damaged


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run comes to, and by which way."""

    contents: dict[str, Rows]
    files: Counter[str]
    views: Views
    begin: int  # by the operation's measure
    end: int
    intents: set[str]  # that the base has
    seconds: float


@dataclass(frozen=True)
class Plan:
    """The runs of one instant: some that are killed, and one more to the end."""

    kills: list[float]  # seconds after the start
    is_back: list[bool]  # for every run, whether its clock is behind

    def __str__(self) -> str:
        text = f"killed at {', '.join(f'{at:.3f}' for at in self.kills)} s"
        back = [str(number) for number, is_back in enumerate(self.is_back, 1) if is_back]
        return f"{text}, clock back in run {', '.join(back)}" if back else text


@dataclass
class Tally:
    """What came of the instants of an operation."""

    landings: Counter[str] = field(default_factory=Counter)  # of the first kills
    unsound: int = 0  # kills after which `lake verify` had to say something
    failures: int = 0


class Tool:
    """The binary under test, and the clocks to run it by."""

    def __init__(self, binary: Path):
        self.binary = binary
        self.seconds = 600.0  # a run that takes longer hangs
        self.shim: Optional[Path] = None
        self.seconds_back = 0

    def turn_clock(self, shim: Path, days: int) -> None:
        """Runs may be asked for by a clock that is so far behind."""
        self.shim, self.seconds_back = shim, days * 86_400

    def command(self, words: list[str], lake: Path) -> list[str]:
        return [str(self.binary), *words, "--lake", str(lake)]

    def outcome(self, command: list[str], env: Optional[dict[str, str]] = None) -> tuple[int, str, str]:
        """Runs to the end; returns the exit status and what was printed on standard output and error."""
        try:
            done = subprocess.run(command, capture_output=True, timeout=self.seconds, env=env)
        except subprocess.TimeoutExpired as error:
            raise Trouble(f"{' '.join(command)}\nstill runs after {self.seconds:.0f} s") from error
        printed, complaints = (text.decode(errors="backslashreplace") for text in (done.stdout, done.stderr))
        return done.returncode, printed, complaints

    def run(self, command: list[str], env: Optional[dict[str, str]] = None) -> None:
        status, _, complaints = self.outcome(command, env)
        if status != 0:
            raise Trouble(f"{' '.join(command)}\nended with {status}:\n{complaints[-2000:]}")

    def operate(self, words: list[str], lake: Path, is_back: bool = False) -> None:
        """A plain run to the end."""
        with self.clock(lake, is_back) as env:
            self.run(self.command(words, lake), env)

    def kill(
        self,
        words: list[str],
        lake: Path,
        wait: Callable[["subprocess.Popen[bytes]"], None],
        is_back: bool = False,
    ) -> bool:
        """Starts an operation and kills it when `wait` returns; false when it had already ended."""
        command = self.command(words, lake)
        with self.clock(lake, is_back) as env:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
            wait(process)
            alive = process.poll() is None
            process.kill()  # SIGKILL to this process alone; does nothing once it has been waited for
            code = process.wait()
        if not alive and code != 0:
            raise Trouble(f"{' '.join(command)}\nended by itself with {code} before it was killed")
        return alive

    @contextmanager
    def clock(self, lake: Path, is_back: bool) -> Iterator[dict[str, str]]:
        """The environment of a run. When it is over, the files it wrote are dated by its clock."""
        if not is_back:
            yield dict(os.environ)
            return
        before = dates(lake)
        yield {**os.environ, "LD_PRELOAD": str(self.shim), "CLOCK_SHIM_SECONDS": str(-self.seconds_back)}
        for file, date in dates(lake).items():
            if before.get(file) != date:
                make_older(file, self.seconds_back)

    def rows(self, lake: Path, sql: str) -> Optional[Rows]:
        """The answer to a query; None for a clear error."""
        command = self.command(["query", sql, "--format", "ndjson"], lake)
        status, answer, complaints = self.outcome(command)
        if status != 0:
            check_clear(command, status, answer, complaints)
            return None
        count, digest = 0, 0
        for line in answer.splitlines():
            count += 1
            digest += int.from_bytes(hashlib.blake2b(line.encode(), digest_size=16).digest(), "big")
        return Rows(count, digest % (1 << 128))

    def view(self, lake: Path) -> Optional[Rows]:
        return self.rows(lake, TABLES["access_logs"])

    def contents(self, lake: Path) -> dict[str, Rows]:
        contents = {}
        for table, sql in TABLES.items():
            rows = self.rows(lake, sql)
            if rows is None:
                raise Trouble(f"{table} of {lake} cannot be read")
            contents[table] = rows
        return contents

    def problems(self, lake: Path) -> str:
        """What `lake verify` says of a lake that is not sound; nothing when it is."""
        command = self.command(["lake", "verify"], lake)
        status, report, complaints = self.outcome(command)
        if status == 0:
            return ""
        check_clear(command, status, report, complaints)
        return f"lake verify: {shortened((report + complaints).splitlines())}"

    def verify(self, lake: Path) -> None:
        problems = self.problems(lake)
        if problems:
            raise Trouble(problems)


def check_clear(command: list[str], status: int, printed: str, complaints: str) -> None:
    """An error is clear when it has the exit status of trouble and words of s3trail's own; a panic is not."""
    has_words = printed != "" or complaints.startswith("s3trail: ")
    if status != 2 or not has_words or "panicked" in complaints:
        raise Trouble(f"{' '.join(command)}\nended with {status}, no clear error:\n{complaints[-2000:]}")


def shortened(lines: list[str]) -> str:
    """The first few, for people."""
    few, more = lines[:4], len(lines) - 4
    return "\n    ".join([*few, f"and {more} more lines"] if more > 0 else few)


def dates(lake: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in lake.rglob("*") if file.is_file()}


def make_older(file: Path, seconds: int) -> None:
    date = file.stat().st_mtime_ns - seconds * 10**9
    os.utime(file, ns=(date, date))


def log_entries(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("[0-9]*.json"))


def actions(entry: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in entry.read_text().splitlines()]


def steps(lake: Path) -> int:
    """Commits that changed the files of access_logs."""
    entries = map(actions, log_entries(lake / "access_logs"))
    return sum(any("add" in action or "remove" in action for action in entry) for entry in entries)


def attempts(table: Path) -> set[str]:
    """Source and number of the attempts that a table has."""
    entries = map(actions, log_entries(table))
    txns = [action["txn"] for entry in entries for action in entry if "txn" in action]
    return {f"{txn['appId']}/{txn['version']}" for txn in txns if txn["appId"] != EXPIRED}


def view_key(lake: Path) -> Optional[int]:
    """What a view of the lake goes by. There is a lake once it has access_logs, which come last."""
    return steps(lake) if log_entries(lake / "access_logs") else None


def intents(lake: Path) -> set[str]:
    """Source and number of the attempts that left an intent."""
    found = (lake / "_s3trail" / "intents").glob("*/*.json")
    return {f"{intent.parent.name}/{intent.stem}" for intent in found}


def live_files(lake: Path) -> set[str]:
    """Files that the tables have."""
    live: set[str] = set()
    for table in TABLES:
        for entry in log_entries(lake / table):
            changes = actions(entry)
            live -= {f"{table}/{action['remove']['path']}" for action in changes if "remove" in action}
            live |= {f"{table}/{action['add']['path']}" for action in changes if "add" in action}
    return live


def live_files_by_folder(lake: Path) -> Counter[str]:
    return Counter(file.rpartition("/")[0] for file in live_files(lake))


def table_files(lake: Path) -> Counter[str]:
    """Files in the folders of the tables, but not of their logs."""
    found = (file for table in TABLES for file in (lake / table).rglob("*") if file.is_file())
    return Counter(str(file.relative_to(lake)) for file in found if file.parent.name != "_delta_log")


def files_gone(lake: Path) -> int:
    return -table_files(lake).total()


def log_objects(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


class Ground:
    """Logs, and lakes for the operations to begin with; each is made when it is first asked for."""

    def __init__(self, tool: Tool, work: Path, args: argparse.Namespace):
        self.tool = tool
        self.work = work
        self.bytes = args.bytes
        self.seed = args.seed
        self.commit_bytes = args.commit_bytes
        self.source = args.source

    def operation(self, name: str) -> Operation:
        match name:
            case "ingest":
                sources = [self.source] if self.source else self.logs
                return Operation(name, self.ingest(*sources), self.work / "nothing", steps)
            case "append":
                return Operation(name, self.ingest(*self.logs), self.begun, steps)
            case "compact":
                words = ["lake", "compact"]
                return Operation(name, words, self.doubled, steps, files=live_files_by_folder)
            case "expire":
                words = ["lake", "expire", "--older-than", f"{EXPIRY}d"]
                return Operation(name, words, self.doubled, steps)
            case "vacuum":
                return Operation(name, ["lake", "vacuum"], self.worn, files_gone, files=table_files)
            case _:
                words = ["lake", "repair", *self.intake(*self.logs)]
                return Operation(name, words, self.damaged, steps, mends=self.plain)

    def intake(self, *sources: Path) -> list[str]:
        return [*map(str, sources), "--commit-bytes", str(self.commit_bytes)]

    def ingest(self, *sources: Path) -> list[str]:
        return ["ingest", *self.intake(*sources)]

    @cached_property
    def logs(self) -> list[Path]:
        """Log objects of some days long ago, and of some later ones; some have a line that is no record."""
        folders = []
        for name, days_ago in (("old", OLD), ("recent", RECENT)):
            folder = self.work / name
            start = datetime.now(timezone.utc) - timedelta(days=days_ago)
            words = ["generate", "--start", f"{start:%Y-%m-%d}", "--days", "3", "--seed", str(self.seed)]
            self.tool.run([str(self.tool.binary), *words, "--bytes", self.bytes, "--output", str(folder)])
            for file in log_objects(folder)[5::50]:
                file.write_bytes(file.read_bytes() + b"no record\n")
            folders.append(folder)
        return folders

    @cached_property
    def repeats(self) -> Path:
        """Log objects that hold the lines of others, two by two: a copy of one would be known by its hash."""
        folder = self.work / "repeats"
        folder.mkdir()
        for logs in self.logs:
            objects = log_objects(logs)
            for one, other in zip(objects[::10], objects[1::10]):
                (folder / f"{one.name[:-4]}0000").write_bytes(one.read_bytes() + other.read_bytes())
        return folder

    @cached_property
    def begun(self) -> Path:
        """A lake of the old days, of almost as many commits as come before a checkpoint."""
        lake, old = self.work / "begun", self.logs[0]
        size = sum(file.stat().st_size for file in log_objects(old))
        self.tool.operate(["ingest", str(old), "--commit-bytes", str(size // (CHECKPOINT_EVERY - 2))], lake)
        made = steps(lake)
        if not CHECKPOINT_EVERY - LEAST_STEPS["append"] <= made < CHECKPOINT_EVERY:
            raise Trouble(f"{made} commits are too many or too few before a checkpoint: give more --bytes")
        return lake

    @cached_property
    def plain(self) -> Path:
        return self.later("plain", self.begun, self.ingest(*self.logs))

    @cached_property
    def doubled(self) -> Path:
        """With records that are there twice, in files of other commits."""
        return self.later("doubled", self.plain, self.ingest(self.repeats))

    @cached_property
    def damaged(self) -> Path:
        lake = self.later("damaged", self.plain)
        files = (lake / "access_logs").glob("*/*.parquet")
        by_size = sorted(files, key=lambda file: file.stat().st_size, reverse=True)
        # Large ones, and with that of different commits, so that much has to be read again.
        missing, damaged = by_size[0], by_size[5]
        missing.unlink()
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 0xFF
        damaged.write_bytes(content)
        return lake

    @cached_property
    def worn(self) -> Path:
        """With all that vacuum is for, old enough by any clock, and one file that is too young."""
        lake = self.interrupted("worn", self.later("compacted", self.plain, ["lake", "compact"]))
        logs = lake / "access_logs"
        for number in range(REMAINS):
            (logs / f"part-00000000-0000-4000-8000-{number:012}.parquet").touch()
        age = (MOST_DAYS_BACK + 30) * 86_400
        for file in table_files(lake).keys() - live_files(lake):
            make_older(lake / file, age)
        for intent in (lake / "_s3trail" / "intents").glob("*/*.json"):
            make_older(intent, age)
        for table in TABLES:
            for entry in log_entries(lake / table):
                make_removals_older(entry, age)
        (logs / "part-11111111-0000-4000-8000-000000000000.parquet").touch()
        return lake

    def later(self, name: str, base: Path, *operations: list[str]) -> Path:
        """A copy of a lake, after these operations."""
        lake = self.work / name
        shutil.copytree(base, lake)
        for words in operations:
            self.tool.operate(words, lake)
        return lake

    def interrupted(self, name: str, base: Path) -> Path:
        """A copy of a lake, after an ingest that was killed between its intent and its commit."""
        # Small commit batches, since it may take its time until this process sees the intent of the first.
        words = ["ingest", str(self.repeats), "--commit-bytes", "20KB"]

        def wait(process: "subprocess.Popen[bytes]") -> None:
            while process.poll() is None and not intents(lake):
                pass

        for _ in range(50):
            lake = self.later(name, base)
            self.tool.kill(words, lake, wait)
            if intents(lake) - attempts(lake / "access_logs"):
                return lake
            shutil.rmtree(lake)
        raise Trouble("no ingest could be killed between its intent and its commit")


def make_removals_older(entry: Path, seconds: int) -> None:
    """Takes the removals in an entry of a Delta log for earlier ones."""
    changes = actions(entry)
    for action in changes:
        if "remove" in action:
            action["remove"]["deletionTimestamp"] -= seconds * 1000
    entry.write_text("".join(json.dumps(action) + "\n" for action in changes))


def build_shim(work: Path) -> Path:
    shim = work / "clock_shim.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(shim), str(SCRIPTS / "clock_shim.c")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError as error:
        raise Trouble("--clock-back needs a C compiler, and there is no cc") from error
    except subprocess.CalledProcessError as error:
        raise Trouble(f"{' '.join(command)}\nfailed:\n{error.stderr.decode()}") from error
    return shim


def check_clock(tool: Tool, ground: Ground, lake: Path) -> None:
    """A binary that the shim does not reach would be tested by the true clock alone."""
    tool.operate(ground.ingest(ground.logs[0]), lake, is_back=True)
    last = log_entries(lake / "access_logs")[-1]
    times = [action["commitInfo"]["timestamp"] / 1000 for action in actions(last) if "commitInfo" in action]
    if not times or abs(time.time() - tool.seconds_back - times[0]) > 3600:
        raise Trouble(f"the binary does not go by the clock it is given: {last}")
    shutil.rmtree(lake)


def undisturbed(tool: Tool, operation: Operation, lake: Path) -> Reference:
    base = operation.base
    begin(operation, lake)
    started = time.perf_counter()
    tool.operate(operation.words, lake)
    seconds = time.perf_counter() - started
    tool.verify(lake)
    return Reference(
        contents=tool.contents(lake),
        files=operation.files(lake),
        views=views(tool, lake, steps(base)),
        begin=operation.measure(base),
        end=operation.measure(lake),
        intents=intents(base),
        seconds=seconds,
    )


def reference(tool: Tool, operation: Operation, work: Path) -> Reference:
    """What two undisturbed runs agree on; the first also warms the page cache."""
    one = undisturbed(tool, operation, work / f"{operation.name}-undisturbed-1")
    other = undisturbed(tool, operation, work / f"{operation.name}-undisturbed-2")
    wrong = differences(other.contents, one.contents) + file_differences(other.files, one.files)
    if other.views != one.views:
        wrong.append("the steps in between")
    if wrong:
        raise Trouble(
            f"{operation.name}: two undisturbed runs differ, so nothing can be compared: {'; '.join(wrong)}"
        )
    if operation.mends and differences(other.contents, tool.contents(operation.mends)):
        raise Trouble(f"{operation.name} does not bring back what was there before the damage")
    taken, least = other.end - other.begin, LEAST_STEPS[operation.name]
    if taken < least:
        raise Trouble(
            f"{operation.name}: {taken} steps, not {least}: lower --commit-bytes, or give more logs"
        )
    return other


def begin(operation: Operation, lake: Path) -> None:
    if operation.base.exists():
        shutil.copytree(operation.base, lake)


def views(tool: Tool, lake: Path, first: int) -> Views:
    """What was to be seen on the lake's way, from `first` commits on: its log is cut off bit by bit."""
    past = lake.with_name(f"{lake.name}-past")
    shutil.copytree(lake, past)
    log = past / "access_logs" / "_delta_log"
    # They tell of commits that are cut off.
    for file in [*log.glob("*.checkpoint*"), *log.glob("_last_checkpoint")]:
        file.unlink()
    found: Views = {None: None}
    while (at := view_key(past)) is not None and at >= first:
        if at not in found:
            found[at] = tool.view(past)
        log_entries(log.parent)[-1].unlink()
    shutil.rmtree(past)
    return found


def differences(found: dict[str, Rows], expected: dict[str, Rows]) -> list[str]:
    texts = []
    for table, rows in expected.items():
        if found[table].count != rows.count:
            texts.append(f"{table}: {found[table].count} rows, not {rows.count}")
        elif found[table].digest != rows.digest:
            texts.append(f"{table}: {rows.count} rows as it should be, but not the same ones")
    return texts


def file_differences(found: Counter[str], expected: Counter[str]) -> list[str]:
    different = sorted(name for name in found.keys() | expected.keys() if found[name] != expected[name])
    texts = [f"{name}: {found[name]} files, not {expected[name]}" for name in different]
    return [shortened(texts)] if texts else []


def moment(operation: Operation, lake: Path, expected: Reference) -> str:
    """How far a killed run came, read from the files of the lake without s3trail."""
    if attempts(lake / "access_logs") - attempts(lake / "log_objects"):
        return BEHIND
    if intents(lake) - expected.intents:
        return INTENT
    at = operation.measure(lake)
    if at <= expected.begin:
        return BEFORE
    return AFTER if at >= expected.end else BETWEEN


def look(tool: Tool, operation: Operation, lake: Path, expected: Reference, tally: Tally) -> list[str]:
    """What is wrong with a lake as a kill left it."""
    wrong = []
    at, view = view_key(lake), tool.view(lake)
    if at not in expected.views:
        wrong.append(f"access_logs was changed by {at} commits, which no undisturbed run comes by")
    elif view != expected.views[at]:
        seen, due = (f"{rows.count} rows" if rows else "an error" for rows in (view, expected.views[at]))
        instead = f"{seen}, not {due}" if seen != due else f"{seen} as it should, but not the same ones"
        wrong.append(f"access_logs shows {instead}, after {at} commits that changed it")
    problems = tool.problems(lake)
    if problems:
        tally.unsound += 1
        is_half_done = at is None or operation.mends or moment(operation, lake, expected) == BEHIND
        wrong += [] if is_half_done else [problems]
    return [f"right after a kill: {text}" for text in wrong]


def attempt(
    tool: Tool, operation: Operation, lake: Path, plan: Plan, expected: Reference, tally: Tally
) -> list[str]:
    """One instant: kills, a plain run, the comparison. Returns what is wrong."""
    wrong: list[str] = []
    begin(operation, lake)
    try:
        for number, (seconds, is_back) in enumerate(zip(plan.kills, plan.is_back)):
            alive = tool.kill(operation.words, lake, lambda _: time.sleep(seconds), is_back)
            if number == 0:
                tally.landings[moment(operation, lake, expected) if alive else ENDED] += 1
            wrong += look(tool, operation, lake, expected, tally)
        tool.operate(operation.words, lake, plan.is_back[-1])
        wrong += differences(tool.contents(lake), expected.contents)
        wrong += file_differences(operation.files(lake), expected.files)
        tool.verify(lake)
    except Trouble as trouble:
        # A run that fails or a lake that does not verify is what this test is looking for.
        wrong.append(str(trouble))
    return wrong


def plans(args: argparse.Namespace, instants: int, seconds: float, chance: random.Random) -> Iterator[Plan]:
    """The instants of an operation that takes so long."""
    for number in range(instants):
        kills = [seconds * (number + chance.random()) / instants]
        # Later kills of the same instant meet recovery, which is at the start of a run.
        kills += [seconds * chance.random() ** 2 for _ in range(args.kills - 1)]
        is_back = [args.clock_back > 0 and chance.random() < 0.5 for _ in range(args.kills + 1)]
        if number == instants - 1 > 0:
            kills[0] = 2 * seconds + 1
        yield Plan(kills, is_back)


def torture(tool: Tool, ground: Ground, name: str, instants: int, args: argparse.Namespace) -> Tally:
    """All instants of one operation; says what is wrong with them, and one line of the table."""
    operation = ground.operation(name)
    tool.seconds = 600.0
    expected = reference(tool, operation, ground.work)
    tool.seconds = max(60.0, 20 * expected.seconds)
    tally = Tally()
    chance = random.Random(f"{args.seed} {name}")
    for number, plan in enumerate(plans(args, instants, expected.seconds, chance)):
        lake = ground.work / f"{name}-{number}"
        wrong = attempt(tool, operation, lake, plan, expected, tally)
        if wrong:
            tally.failures += 1
            print(f"{name} {number}: {plan}; kept: {lake}")
            for text in wrong:
                print(f"  {text}", flush=True)
        else:
            shutil.rmtree(lake)
    landings = "".join(f"{tally.landings[landing]:9}" for landing in LANDINGS)
    work_done = f"{expected.seconds:8.2f}{expected.end - expected.begin:7}{instants:10}"
    print(f"{name:9}{work_done}{landings}{tally.unsound:9}{tally.failures:8}", flush=True)
    return tally


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument(
        "--operation", choices=[*OPERATIONS, "all"], default="all", help="(default %(default)s)"
    )
    parser.add_argument(
        "--instants", type=int, default=50, help="how many moments in all (default %(default)s)"
    )
    parser.add_argument(
        "--kills", type=int, default=1, help="kills in a row at each instant (default %(default)s)"
    )
    parser.add_argument(
        "--clock-back", type=int, default=0, metavar="DAYS", help="for half of the runs (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments and of the generated logs")
    parser.add_argument("--source", type=Path, help="what `ingest` takes in (default: the generated logs)")
    parser.add_argument(
        "--bytes", default="5MB", help="size of the generated logs, of two times each (default %(default)s)"
    )
    parser.add_argument(
        "--commit-bytes", default="400KB", help="size of a commit batch (default %(default)s)"
    )
    parser.add_argument(
        "--work", type=Path, default=ROOT / "target" / "kill9", help="scratch directory (default %(default)s)"
    )
    args = parser.parse_args()
    args.operations = OPERATIONS if args.operation == "all" else (args.operation,)
    if args.instants < len(args.operations) or args.kills < 1:
        parser.error("--instants and --kills take a number from 1, and each operation needs an instant")
    if not 0 <= args.clock_back <= MOST_DAYS_BACK:
        parser.error(f"--clock-back takes a number from 0 to {MOST_DAYS_BACK}")
    return args


def run(args: argparse.Namespace) -> int:
    if not args.bin.is_file():
        raise Trouble(f"no binary at {args.bin}; build it with: cargo build --release")
    work = args.work.resolve() / "scratch"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tool = Tool(args.bin.resolve())
    ground = Ground(tool, work, args)
    if args.clock_back:
        tool.turn_clock(build_shim(work), args.clock_back)
        check_clock(tool, ground, work / "clock")
    landings = "".join(f"{landing:>9}" for landing in LANDINGS)
    print(f"operation seconds  steps  instants{landings}  unsound  failed", flush=True)
    failures = 0
    for number, name in enumerate(args.operations):
        # The first ones take what cannot be shared out evenly.
        instants = (args.instants + len(args.operations) - 1 - number) // len(args.operations)
        failures += torture(tool, ground, name, instants, args).failures
    if failures:
        print(f"{args.instants} instants, {failures} FAILED")
        return 1
    print(f"{args.instants} instants: nothing lost, nothing twice, every lake sound")
    shutil.rmtree(work)
    return 0


def main() -> int:
    args = arguments()
    try:
        return run(args)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
