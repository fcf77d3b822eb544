#!/usr/bin/env python3
"""Ingests, compactions, vacuums, checks and queries of one lake all at once, every answer checked.

    python3 tests/scripts/mixed_load.py [--bin target/release/s3trail] [--seconds 600] [--seed 1]
                                        [--history 100000] [--vacuum-age 60] [--work DIR]

The script writes the log objects and moves them into folders, so at any moment it knows every line delivered,
and those that an ingest which has ended must have committed. Each line has a request id of its own. Some
lines are delivered again, whole, in another log object; a quarter of the log objects bring records of days
that were compacted long ago; a few lines are no log records.

Writers     Two loops of `ingest`, each over a folder of its own (another destination bucket, so another
            source of the commit protocol); every other ten seconds both take over the same third folder, and
            have to conflict. A third writer is one `ingest --watch` that runs all the time.
Caretakers  Two loops of `lake compact`, and one each of `lake vacuum`, `lake verify` and `lake status`.
Readers     Four loops of `query`: counters; ledger and rejects; whole records and copies; and one whose
            answer is read slowly, so that compaction replaces its files, and more than once, under it.

An answer must show all that was committed before its question began, at least as much as any answer that
ended before it began, nothing that was not delivered when it ended, and no line more often than it was
delivered by then. Numbers of rows may fall when duplicates go, so what must not fall is the number of
different lines. Every command must end with 0 and say nothing on standard error but that lines were refused;
only a compaction may say that another one was faster, and end with 2.

When the time is over: a last ingest and compaction, and then exactly the lines that were delivered, each
once, equal in all columns to those of a lake that took each line in once, undisturbed; a ledger that adds up;
a sound lake, and nothing left on the disk that is not in it but what the vacuum then takes.

`lake vacuum` takes any age, also none, and relies on its caller: files that a query still reads, and those
that a commit batch has not named yet, must be younger. So here a command that fails having run longer than
the age proves nothing, and ends the test with 2. The age is three times what the slow reader takes. Not
tested: processes that are killed (kill9.py does that), lakes and sources in a bucket, days that are not over,
expiry, repair, and other programs that write to the tables.

Exit status 0: all as it should be; 1: something was wrong (the lake is kept, and named); 2: the test could
not be made.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Optional

from deliveries import Book, LogObject, Look, line, reject

ROOT = Path(__file__).resolve().parent.parent.parent

# Days of March 2026, all over; the later ones begin as time goes on. The first is asked for by itself.
DAYS = 5
FIRST_DAY = "2026-03-01"

# Folders of log objects, each with a destination bucket of the same name.
OWN = ("left", "right")
SHARED = "shared"
WATCHED = "watched"
FOLDERS = (*OWN, SHARED, WATCHED)

# Records in each log object that is there from the beginning.
HISTORY_RECORDS = 5_000

# How long both writers take over their own folders, and then the shared one.
TURN_SECONDS = 10.0

# What a compaction says that found another one faster, by design.
BEATEN = "another process is compacting or expiring this lake"

# What an ingest says of lines that are no log records.
REFUSED = re.compile(r"s3trail: warning: [1-9][0-9,]* lines? (was|were) refused, ")

# A command that runs so many times the age of what the vacuum takes hangs.
PATIENCE = 20

# More failures than this tell nothing new.
MOST_FAILURES = 20

PROGRESS_SECONDS = 30.0

# Everything of a record but the place it was read from: two records that agree in it are one line.
IDENTITY = "* EXCEPT (log_bucket, log_key, log_offset)"


# A row of an answer, or what a command printed as JSON.
Row = dict[str, Any]


class Trouble(Exception):
    """The test cannot be made; the text says why."""


# ---- Running s3trail


@dataclass
class Kind:
    """Commands of one kind."""

    done: int = 0
    conflicts: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass
class Journal:
    """What was done, what went wrong, and whether it is time to stop."""

    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    kinds: dict[str, Kind] = field(default_factory=dict)
    sums: Counter[str] = field(default_factory=Counter)  # of numbers that commands printed
    failures: list[str] = field(default_factory=list)
    trouble: Optional[str] = None

    def ended(self, kind: str, seconds: float, is_conflict: bool = False) -> None:
        with self.lock:
            entry = self.kinds.setdefault(kind, Kind())
            entry.done += not is_conflict
            entry.conflicts += is_conflict
            entry.seconds += seconds
            entry.slowest = max(entry.slowest, seconds)

    def add(self, kind: str, answer: Row, *names: str) -> None:
        with self.lock:
            self.sums.update({f"{kind} {name}": answer[name] for name in names})

    def fail(self, text: str) -> None:
        with self.lock:
            self.failures.append(text)
            print(f"FAILURE {len(self.failures)}: {text}", flush=True)
            if len(self.failures) >= MOST_FAILURES:
                self.stop.set()

    def give_up(self, text: str) -> None:
        with self.lock:
            self.trouble = self.trouble or text
        self.stop.set()


class Tool:
    """The binary under test and its lake, from which files vanish that were unused for `age` seconds."""

    def __init__(self, binary: Path, lake: Path, journal: Journal, age: float):
        self.binary = binary
        self.lake = lake
        self.journal = journal
        self.age = age
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("S3TRAIL_")
        }

    def start(
        self, *words: str, lake: Optional[Path] = None, stderr: int | IO[bytes] = subprocess.PIPE
    ) -> "subprocess.Popen[bytes]":
        command = [str(self.binary), *words, "--quiet", "--lake", str(lake or self.lake)]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=self.environment
        )

    def run(self, kind: str, *words: str, conflict: Optional[str] = None) -> Optional[str]:
        """What a command printed; none when it failed, which is noted, or had the conflict it may have."""
        started = time.perf_counter()
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=PATIENCE * self.age)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise Trouble(f"{' '.join(words)}: still runs after {PATIENCE * self.age:.0f} s") from error
        seconds = time.perf_counter() - started
        said = unexpected(err)
        if conflict is not None and process.returncode == 2 and conflict in said:
            self.journal.ended(kind, seconds, is_conflict=True)
            return None
        self.journal.ended(kind, seconds)
        printed = out.decode(errors="backslashreplace")
        if process.returncode != 0 or said:
            self.failed(" ".join(words), process.returncode, f"{said}\n  {printed[:1000]}", seconds)
        return printed if process.returncode == 0 else None

    def failed(self, command: str, code: int, said: str, seconds: float) -> None:
        if code != 0 and seconds > self.age:
            raise Trouble(
                f"{command}: ended with {code} after {seconds:.0f} s, in which the vacuum may have taken its files;"
                f" raise --vacuum-age: {said}"
            )
        self.journal.fail(f"{command}\n  ended with {code} after {seconds:.1f} s: {said[-2000:]}")


def unexpected(stderr: bytes) -> str:
    """What a command said that an undisturbed one would not."""
    said = stderr.decode(errors="backslashreplace").strip().splitlines()
    return "\n".join(text for text in said if not REFUSED.match(text))


def rows(answer: str) -> list[Row]:
    return [json.loads(row) for row in answer.splitlines()]


# ---- What the loops do


@dataclass
class Load:
    """What all loops share, and a step of each: of the writers, the caretakers and the readers."""

    tool: Tool
    book: Book
    journal: Journal
    work: Path
    started: float
    seconds: float

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def deliver(self, folder: str, chance: random.Random) -> None:
        front = min(DAYS - 1, int(DAYS * self.elapsed() / self.seconds))
        for _ in range(chance.randint(1, 5)):
            self.move_in(self.book.write(folder, chance, front, chance.randint(20, 120)))

    def move_in(self, written: LogObject) -> None:
        making = self.work / "making" / written.name
        making.write_bytes(self.book.text(written))
        making.rename(self.work / written.folder / written.name)
        self.book.arrived(written)

    def ingest_words(self, folder: str) -> list[str]:
        options = ["--log-bucket", f"amzn-s3-demo-{folder}", "--max-reject-ratio", "1", "--json"]
        return ["ingest", str(self.work / folder), *options]

    def ingest(self, folder: str, *options: str) -> None:
        taken = self.book.to_commit(folder)
        answer = self.tool.run("ingest", *self.ingest_words(folder), *options)
        if answer is not None:
            self.book.commit(taken)
            self.note_ingest(json.loads(answer))

    def note_ingest(self, summary: Row) -> None:
        self.journal.add("ingest", summary, "objects", "commit_batches", "retries", "duplicates")

    def write(self, own: str, chance: random.Random) -> None:
        """Delivers and takes over; at the same times all writers the shared folder."""
        is_shared = int(self.elapsed() / TURN_SECONDS) % 2 == 1
        folder = SHARED if is_shared else own
        self.deliver(folder, chance)
        # Sometimes several commits in one run.
        self.ingest(folder, "--commit-bytes", chance.choice(["100kB", "1GiB"]))

    def watch(self, chance: random.Random) -> None:
        """The writer that never ends. A round that saw all log objects of the folder has committed them."""
        self.deliver(WATCHED, chance)
        errors = self.work / "watch.stderr"
        with errors.open("wb") as stderr:
            process = self.tool.start(*self.ingest_words(WATCHED), "--watch", "1s", stderr=stderr)

        def end() -> None:
            self.journal.stop.wait()
            process.terminate()

        # From another thread, since rounds that fail print nothing that this one would wake up from.
        threading.Thread(target=end).start()
        assert process.stdout is not None
        for printed in process.stdout:
            summary = json.loads(printed)
            self.journal.ended("round of --watch", summary["seconds"])
            self.note_ingest(summary)
            taken = self.book.to_commit(WATCHED)
            if summary["objects"] + summary["known_objects"] == len(list((self.work / WATCHED).iterdir())):
                self.book.commit(taken)
            if not self.journal.stop.is_set():
                self.deliver(WATCHED, chance)
        code, said = process.wait(), unexpected(errors.read_bytes())
        if code != 0 or said:
            self.journal.fail(f"ingest --watch ended with {code}: {said[-2000:]}")

    def compact(self) -> None:
        answer = self.tool.run("lake compact", "lake", "compact", "--json", conflict=BEATEN)
        if answer is not None:
            self.journal.add("lake compact", json.loads(answer), "days", "duplicates")

    def vacuum(self) -> None:
        age = f"{self.tool.age:.0f}s"
        answer = self.tool.run("lake vacuum", "lake", "vacuum", "--older-than", age, "--json")
        if answer is not None:
            self.journal.add("lake vacuum", json.loads(answer), "files", "intents")

    def verify(self) -> None:
        self.tool.run("lake verify", "lake", "verify")

    def status(self) -> None:
        look = Look(self.book)
        answer = self.tool.run("lake status", "lake", "status", "--json")
        look.end()
        if answer is not None:
            tables = {table["table"]: table["rows"] for table in json.loads(answer)["tables"]}
            look.between("rows", tables["access_logs"], look.before.distinct, look.after.records)
            look.never_falls("log objects", tables["log_objects"], look.before.objects, look.after.objects)
            look.never_falls("rejects", tables["rejects"], look.before.rejects, look.after.rejects)
            self.judge("lake status", look, answer)

    def ask(self, question: "Question") -> None:
        look = Look(self.book)
        answer = self.tool.run(f"query: {question.name}", "query", question.sql, "--format", "ndjson")
        look.end()
        if answer is not None:
            question.check(look, rows(answer))
            self.judge(question.sql, look, answer)

    def ask_slowly(self) -> None:
        """Reads the answer piece by piece, over a third of the age of what the vacuum takes."""
        kind, sql = "query: read slowly", "SELECT request_id FROM access_logs"
        look = Look(self.book)
        started = time.perf_counter()
        process = self.tool.start("query", sql, "--format", "csv")
        assert process.stdout is not None and process.stderr is not None
        # An id and its end of line are 17 bytes.
        pause = self.tool.age / 3 / (17 * max(look.before.distinct, 1))
        answer = bytearray()
        while piece := process.stdout.read(1 << 14):
            answer += piece
            time.sleep(pause * len(piece))
        said = unexpected(process.stderr.read())
        code = process.wait()
        seconds = time.perf_counter() - started
        look.end()
        self.journal.ended(kind, seconds)
        if code != 0 or said:
            self.tool.failed(f"{sql}, read slowly", code, said, seconds)
            return
        found = Counter(int(request_id, 16) for request_id in answer.split()[1:])
        look.never_falls("lines", len(found), look.before.distinct, look.after.distinct)
        look.copies(found.items())
        missing = {number for seen in look.must_be_seen() for number in seen.lines if number not in found}
        if missing:
            look.wrong.append(f"{len(missing)} committed lines are missing, such as {min(missing):016X}")
        self.judge(sql, look, "")

    def judge(self, asked: str, look: Look, answer: str) -> None:
        for wrong in look.wrong[:5]:
            self.journal.fail(f"{asked}\n  {wrong}\n  {answer[:300]}")


# ---- Questions


@dataclass(frozen=True)
class Question:
    name: str
    sql: str
    check: Callable[[Look, list[Row]], None]


def check_rows(look: Look, answer: list[Row]) -> None:
    look.between("rows", answer[0]["n"], look.before.distinct, look.after.records)


def check_lines(look: Look, answer: list[Row]) -> None:
    row = answer[0]
    look.never_falls("lines", row["lines"], look.before.distinct, look.after.distinct)
    look.between("duplicates", row["n"] - row["lines"], 0, look.after.records - look.after.distinct)


def check_first_day(look: Look, answer: list[Row]) -> None:
    row, before, after = answer[0], look.before, look.after
    look.never_falls("lines of a day", row["lines"], before.first_day_distinct, after.first_day_distinct)
    most = after.first_day_records - after.first_day_distinct
    look.between("duplicates of a day", row["n"] - row["lines"], 0, most)


def check_identity(look: Look, answer: list[Row]) -> None:
    row = answer[0]
    look.never_falls("lines", row["lines"], look.before.distinct, look.after.distinct)
    look.between("request ids of as many lines", row["ids"], row["lines"], row["lines"])


def check_copies(look: Look, answer: list[Row]) -> None:
    look.copies((int(row["request_id"], 16), row["n"]) for row in answer)


def check_objects(look: Look, answer: list[Row]) -> None:
    """A log object is there whole, but for duplicates that are removed, or not at all."""
    prefix = "amzn-s3-demo-"
    found = {(row["log_bucket"].removeprefix(prefix), row["log_key"]): row["n"] for row in answer}
    for seen in look.must_be_seen():
        if (seen.folder, seen.name) not in found:
            look.wrong.append(f"{seen.folder}/{seen.name} is missing")
    for key, records in found.items():
        with look.book.lock:
            log_object = look.book.by_key[key]
            least = sum(look.book.copies[number] == 1 for number in log_object.lines)
        look.between(f"the number of records of {'/'.join(key)}", records, least, len(log_object.lines))


def check_ledger(look: Look, answer: list[Row]) -> None:
    row, before, after = answer[0], look.before, look.after
    look.never_falls("log objects", row["objects"], before.objects, after.objects)
    look.between("keys of log objects", row["keys"], row["objects"], row["objects"])
    least, most = before.records + before.rejects, after.records + after.rejects
    look.never_falls("lines in the ledger", row["lines"], least, most)
    # A log object's lines are there at once, whatever compaction makes of them.
    sum_of = row["records"] + row["rejects"] + row["duplicates"]
    look.between("records, rejects and duplicates", sum_of, row["lines"], row["lines"])
    look.between("duplicates in the ledger", row["duplicates"], 0, after.records - after.distinct)


def check_rejects(look: Look, answer: list[Row]) -> None:
    row = answer[0]
    look.never_falls("rejects", row["n"], look.before.rejects, look.after.rejects)
    look.between("different rejects", row["lines"], row["n"], row["n"])


COUNTS = "SELECT count(*) AS n, count(DISTINCT request_id) AS lines FROM access_logs"

ROWS = Question("rows", "SELECT count(*) AS n FROM access_logs", check_rows)
LINES = Question("lines", COUNTS, check_lines)
ONE_DAY = Question("one day", f"{COUNTS} WHERE event_date = DATE '{FIRST_DAY}'", check_first_day)
WHOLE = Question(
    "whole records",
    f"SELECT count(*) AS lines, count(DISTINCT request_id) AS ids FROM (SELECT DISTINCT {IDENTITY} FROM access_logs)",
    check_identity,
)
COPIES = Question(
    "copies", "SELECT request_id, count(*) AS n FROM access_logs GROUP BY 1 HAVING count(*) > 1", check_copies
)
OBJECTS = Question(
    "log objects", "SELECT log_bucket, log_key, count(*) AS n FROM access_logs GROUP BY 1, 2", check_objects
)
LEDGER = Question(
    "ledger",
    "SELECT count(*) AS objects, count(DISTINCT concat(log_bucket, '/', log_key)) AS keys, sum(lines) AS lines,"
    " sum(records) AS records, sum(rejects) AS rejects, sum(duplicates) AS duplicates FROM log_objects",
    check_ledger,
)
REJECTS = Question(
    "rejects", "SELECT count(*) AS n, count(DISTINCT line) AS lines FROM rejects", check_rejects
)
READERS = {
    "counters": [ROWS, LINES, ONE_DAY],
    "ledger": [LEDGER, REJECTS, OBJECTS],
    "records": [WHOLE, COPIES],
}


# ---- All at once


def repeat(load: Load, step: Callable[[], None], pauses: random.Random, longest: float) -> None:
    """One loop: a step after the other, until it is time to stop."""
    try:
        while not load.journal.stop.is_set():
            step()
            load.journal.stop.wait(pauses.uniform(0, longest))
    except Trouble as trouble:
        load.journal.give_up(str(trouble))
    except Exception as error:
        # A loop that is gone without a word would make the test an easier one.
        load.journal.give_up(f"{type(error).__name__} in this script: {error}")


def loops(load: Load, seed: int) -> list[threading.Thread]:
    """All loops, not yet started."""

    def chance(name: str) -> random.Random:
        return random.Random(f"{seed} {name}")

    def writer(own: str) -> Callable[[], None]:
        choice = chance(f"what {own} writes")
        return lambda: load.write(own, choice)

    def reader(name: str, questions: list[Question]) -> Callable[[], None]:
        choice = chance(f"what {name} asks")
        return lambda: load.ask(choice.choice(questions))

    watched = chance(f"what {WATCHED} writes")
    # What each does, and the longest pause after it.
    steps: dict[str, tuple[Callable[[], None], float]] = {
        **{own: (writer(own), 0.5) for own in OWN},
        WATCHED: (lambda: load.watch(watched), 0.0),
        "compact 1": (load.compact, 1.0),
        "compact 2": (load.compact, 1.0),
        "vacuum": (load.vacuum, 4.0),
        "verify": (load.verify, 2.0),
        "status": (load.status, 3.0),
        **{name: (reader(name, questions), 0.3) for name, questions in READERS.items()},
        "slow": (load.ask_slowly, 1.0),
    }
    return [
        threading.Thread(target=repeat, name=name, args=(load, step, chance(name), longest))
        for name, (step, longest) in steps.items()
    ]


def run_loops(load: Load, seed: int) -> None:
    threads = loops(load, seed)
    for thread in threads:
        thread.start()
    due = PROGRESS_SECONDS
    try:
        while load.elapsed() < load.seconds and not load.journal.stop.wait(0.2):
            if load.elapsed() >= due:
                due += PROGRESS_SECONDS
                print_progress(load)
    finally:
        load.journal.stop.set()
        for thread in threads:
            thread.join()


def print_progress(load: Load) -> None:
    with load.book.lock:
        delivered, committed = load.book.delivered.totals[-1], load.book.committed.totals[-1]
    with load.journal.lock:
        done = {name: kind.done for name, kind in load.journal.kinds.items()}
        conflicts = sum(kind.conflicts for kind in load.journal.kinds.values())
        failures = len(load.journal.failures)
    queries = sum(count for name, count in done.items() if name.startswith("query"))
    print(
        f"{load.elapsed():4.0f} s: {delivered.records:,} records in {delivered.objects:,} log objects delivered,"
        f" {committed.objects:,} certainly committed; {queries:,} queries, {done.get('lake compact', 0):,} compactions"
        f" and {conflicts:,} that lost, {done.get('lake verify', 0):,} verified, {failures} failures",
        flush=True,
    )


# ---- The end


def digest(tool: Tool, lake: Path) -> tuple[int, int]:
    """How many records a lake has, and the sum of their hashes, which no order changes."""
    sql = f"SELECT {IDENTITY} FROM access_logs"
    process = tool.start("query", sql, "--format", "ndjson", lake=lake)
    assert process.stdout is not None
    count, total = 0, 0
    for row in process.stdout:
        count += 1
        total += int.from_bytes(hashlib.blake2b(row, digest_size=16).digest(), "big")
    said = unexpected(process.communicate()[1])
    if process.returncode != 0 or said:
        tool.failed(sql, process.returncode, said, 0.0)
    return count, total % (1 << 128)


def reference(load: Load) -> tuple[int, int]:
    """The same of a lake that took each line in once, undisturbed."""
    source = load.work / "each-line-once"
    with source.open("wb") as out:
        out.writelines(line(number, day) for number, day in enumerate(load.book.days))
    lake = load.work / "reference"
    process = load.tool.start("ingest", str(source), lake=lake)
    said = unexpected(process.communicate()[1])
    if process.returncode != 0 or said:
        raise Trouble(f"the reference could not be made: {said}")
    return digest(load.tool, lake)


def settle(load: Load) -> None:
    """The last ingest and compaction, and the exact comparison. What is wrong goes into the journal."""
    tool, book, journal = load.tool, load.book, load.journal

    def expect(what: str, found: object, expected: object) -> None:
        if found != expected:
            journal.fail(f"at the end: {what} is {str(found)[:300]}, and should be {str(expected)[:300]}")

    def answer(*words: str) -> Row:
        printed: Row = json.loads(tool.run(f"at the end: {words[0]}", *words, "--json") or "{}")
        return printed

    for folder in FOLDERS:
        load.ingest(folder)
    load.compact()
    total = book.delivered.totals[-1]
    expect("log objects committed", book.committed.totals[-1].objects, total.objects)
    expect("log objects by the summaries", journal.sums["ingest objects"], total.objects)

    for question in (ROWS, LINES, ONE_DAY, WHOLE, COPIES, OBJECTS, LEDGER, REJECTS):
        load.ask(question)
    ids = (
        tool.run("at the end: query", "query", "SELECT request_id FROM access_logs", "--format", "csv") or ""
    )
    found = sorted(int(request_id, 16) for request_id in ids.split()[1:])
    expect("every line there, each once", found == list(range(len(book.days))), True)
    expect("number and digest of the records", digest(tool, tool.lake), reference(load))
    ledger = tool.run("at the end: query", "query", LEDGER.sql, "--format", "ndjson")
    sums = {
        "objects": total.objects,
        "keys": total.objects,
        "lines": total.records + total.rejects,
        "records": total.distinct,
        "rejects": total.rejects,
        "duplicates": total.records - total.distinct,
    }
    expect("the ledger", rows(ledger or ""), [sums])
    lines = tool.run("at the end: query", "query", "SELECT line FROM rejects", "--format", "ndjson")
    rejected = sorted(bytes.fromhex(row["line"]).decode() for row in rows(lines or ""))
    expect(
        "the rejects", rejected, sorted(reject(one.name) for one in book.delivered.objects if one.has_reject)
    )

    load.verify()
    status = answer("lake", "status")
    expect("pending intents", status.get("pending_intents"), 0)
    # Nothing was killed, so every attempt that lost has tidied up.
    expect("remains of attempts", status.get("remains"), {"files": 0, "bytes": 0})
    vacuumed = answer("lake", "vacuum", "--older-than", "0s")
    expect("what the vacuum takes", vacuumed.get("files"), status.get("replaced", {}).get("files"))
    load.verify()
    status = answer("lake", "status")
    live = sum(table["files"] for table in status.get("tables", []))
    on_disk = sum("_delta_log" not in path.parts for path in tool.lake.rglob("*.parquet"))
    expect("Parquet files on the disk after the vacuum", on_disk, live)


def print_table(load: Load) -> None:
    journal, total = load.journal, load.book.delivered.totals[-1]
    print(f"{'':26}{'done':>8}{'lost':>8}{'mean s':>9}{'slowest s':>11}")
    for name, kind in sorted(journal.kinds.items()):
        mean = kind.seconds / (kind.done + kind.conflicts)
        print(f"{name:26}{kind.done:8,}{kind.conflicts:8,}{mean:9.2f}{kind.slowest:11.2f}")
    print(
        f"delivered: {total.objects:,} log objects, {total.records:,} records ({total.distinct:,} different),"
        f" {total.rejects:,} rejects"
    )
    for name, count in sorted(journal.sums.items()):
        print(f"{name}: {count:,}")
    answers = sum(kind.done for name, kind in journal.kinds.items() if name.startswith("query"))
    print(f"answers checked: {answers:,}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument("--seconds", type=int, default=600, help="how long to go on (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is delivered, and of the pauses")
    parser.add_argument(
        "--history", type=int, default=100_000, help="records there from the beginning (default %(default)s)"
    )
    parser.add_argument(
        "--vacuum-age", type=int, default=60, help="seconds that unused files stay (default %(default)s)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "target" / "mixed-load",
        help="scratch directory (default %(default)s)",
    )
    args = parser.parse_args()
    if args.history < HISTORY_RECORDS:
        parser.error(f"--history must be at least {HISTORY_RECORDS}")
    if args.vacuum_age < 1 or args.seconds < 2 * args.vacuum_age:
        parser.error("--seconds must be at least twice --vacuum-age, or the vacuum takes little")
    return args


def mixed_load(args: argparse.Namespace) -> int:
    if not args.bin.is_file():
        raise Trouble(f"no binary at {args.bin}; build it with: cargo build --release")
    work = args.work.resolve() / "scratch"
    shutil.rmtree(work, ignore_errors=True)
    for folder in (*FOLDERS, "making"):
        (work / folder).mkdir(parents=True)
    journal = Journal()
    tool = Tool(args.bin.resolve(), work / "lake", journal, args.vacuum_age)
    load = Load(tool, Book(FOLDERS), journal, work, time.monotonic(), args.seconds)
    # Those who ask need a lake that is there, and one that is not read in no time.
    chance = random.Random(args.seed)
    for _ in range(args.history // HISTORY_RECORDS):
        load.move_in(load.book.write(OWN[0], chance, 0, HISTORY_RECORDS))
    load.ingest(OWN[0])
    load.started = time.monotonic()
    run_loops(load, args.seed)
    if journal.trouble is None:
        settle(load)
    print_table(load)
    if journal.failures:
        print(f"{len(journal.failures)} failures; kept: {tool.lake}")
        return 1
    if journal.trouble is not None:
        raise Trouble(journal.trouble)
    for name in ("lake compact days", "lake compact duplicates", "lake vacuum files", "ingest retries"):
        if journal.sums[name] == 0:
            raise Trouble(f"{name}: 0, so the test proves little; give it more --seconds")
    print("every answer was consistent, and the final counts are exact")
    shutil.rmtree(work)
    return 0


def main() -> int:
    args = arguments()
    try:
        return mixed_load(args)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
