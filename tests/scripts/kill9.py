#!/usr/bin/env python3
"""Kills `s3trail ingest` at many moments and checks that nothing is lost and nothing is there twice.

    python3 tests/scripts/kill9.py [--bin target/release/s3trail] [--instants 50] [--seed 1] [--source DIR|FILE]
                                   [--commit-bytes 4MB] [--kills 1] [--work DIR]

Two undisturbed runs give the reference, the time a run takes, and the proof that the comparison itself is
stable. Then, for each instant: a fresh lake, an ingest that gets SIGKILL at that moment (`--kills N`: N of
them in a row, so recovery is killed too), a plain run to the end, and a comparison with the reference: number
and order-free digest of the rows of the three tables, without the columns that tell of the run itself. `lake
verify` must find nothing. The instants are spread over the whole run, one at a random place in each of N
equal parts.

Exit status 0: all equal; 1: some lake differs (it is kept, and named); 2: the test could not be made. SIGKILL
takes the process, not the machine: what fsync is for is not tested here.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parent.parent.parent

# Each table without the columns that say when and in which commit batch a row came in.
TABLES = {
    "access_logs": "SELECT * FROM access_logs",
    "rejects": "SELECT * EXCEPT (commit_batch) FROM rejects",
    "log_objects": "SELECT * EXCEPT (commit_batch, ingested_at, last_modified) FROM log_objects",
}

# With fewer commit batches there is hardly a moment "between commits".
LEAST_BATCHES = 5


class Trouble(Exception):
    """The test cannot be made; the text says why."""


@dataclass(frozen=True)
class Rows:
    """A multiset of rows: how many, and the sum of their hashes, which no order changes."""

    count: int
    digest: int


@dataclass(frozen=True)
class Progress:
    """What a killed run left, read from the files of the lake without s3trail."""

    batches: int  # commits of access_logs that carry a transaction
    ledger: int  # the same of log_objects
    intents: int


class Tool:
    """The binary under test, with the source and the arguments all runs share."""

    def __init__(self, binary: Path, source: Path, commit_bytes: str, seconds: float = 600.0):
        self.binary = binary
        self.source = source
        self.commit_bytes = commit_bytes
        self.seconds = seconds  # a run that takes longer hangs

    def ingest(self, lake: Path) -> list[str]:
        arguments = ["--lake", str(lake), "--commit-bytes", self.commit_bytes, "--json"]
        return [str(self.binary), "ingest", str(self.source), *arguments]

    def run(self, command: list[str]) -> str:
        """Runs to the end; returns what was printed."""
        try:
            done = subprocess.run(command, capture_output=True, timeout=self.seconds)
        except subprocess.TimeoutExpired as error:
            raise Trouble(f"{' '.join(command)}\nstill runs after {self.seconds:.0f} s") from error
        if done.returncode != 0:
            tail = done.stderr.decode(errors="backslashreplace")[-2000:]
            raise Trouble(f"{' '.join(command)}\nended with {done.returncode}:\n{tail}")
        return done.stdout.decode(errors="backslashreplace")

    def kill_at(self, lake: Path, seconds: float) -> bool:
        """Starts an ingest and kills it after `seconds`; false when it had already ended."""
        process = subprocess.Popen(self.ingest(lake), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        alive = process.poll() is None
        process.kill()  # SIGKILL to this process alone; does nothing once it has been waited for
        code = process.wait()
        if not alive and code != 0:
            raise Trouble(f"an ingest ended by itself with {code} before it was killed; lake {lake}")
        return alive

    def rows(self, lake: Path, sql: str) -> Rows:
        count, digest = 0, 0
        command = [str(self.binary), "query", sql, "--lake", str(lake), "--format", "ndjson"]
        for line in self.run(command).splitlines():
            count += 1
            digest += int.from_bytes(hashlib.blake2b(line.encode(), digest_size=16).digest(), "big")
        return Rows(count, digest % (1 << 128))

    def contents(self, lake: Path) -> dict[str, Rows]:
        return {table: self.rows(lake, sql) for table, sql in TABLES.items()}

    def verify(self, lake: Path) -> None:
        self.run([str(self.binary), "lake", "verify", "--lake", str(lake)])


def transactions(table: Path) -> int:
    """Commits of a Delta table that carry a `txn` action: one per commit batch."""
    commits = (table / "_delta_log").glob("[0-9]*.json")
    return sum(
        any("txn" in json.loads(action) for action in commit.read_text().splitlines()) for commit in commits
    )


def progress(lake: Path) -> Progress:
    intents = sum(1 for _ in (lake / "_s3trail" / "intents").glob("*/*.json"))
    return Progress(transactions(lake / "access_logs"), transactions(lake / "log_objects"), intents)


def moment(alive: bool, left: Progress, batches: int) -> str:
    """Where in the run a kill landed."""
    if not alive:
        return "after the end"
    if left.batches > left.ledger:
        return "inside a commit: records visible, ledger behind"
    if left.intents > 0:
        return "inside a commit: intent on disk, nothing visible or all done"
    if left.batches == 0:
        return "before the first commit"
    return "after the last commit" if left.batches >= batches else "between commits"


def differences(found: dict[str, Rows], expected: dict[str, Rows]) -> list[str]:
    texts = []
    for table, rows in expected.items():
        if found[table].count != rows.count:
            texts.append(f"{table}: {found[table].count} rows, not {rows.count}")
        elif found[table].digest != rows.digest:
            texts.append(f"{table}: {rows.count} rows as it should be, but not the same ones")
    return texts


def attempt(
    tool: Tool, lake: Path, kills: list[float], batches: int, expected: dict[str, Rows]
) -> tuple[list[str], str]:
    """One instant: kills, a plain run, the comparison. Returns what is wrong, and where the first kill landed."""
    landed: Optional[str] = None
    try:
        for seconds in kills:
            alive = tool.kill_at(lake, seconds)
            landed = landed or moment(alive, progress(lake), batches)
        tool.run(tool.ingest(lake))
        wrong = differences(tool.contents(lake), expected)
        tool.verify(lake)
    except Trouble as trouble:
        # A run that fails or a lake that does not verify is what this test is looking for.
        wrong = [str(trouble)]
    return wrong, landed or "nowhere: the killed run failed"


def reference(tool: Tool, work: Path) -> tuple[dict[str, Rows], int, float]:
    """Rows, commit batches and seconds of an undisturbed run. Run twice: the first also warms the page cache."""
    contents, seconds = [], 0.0
    for name in ("undisturbed-1", "undisturbed-2"):
        started = time.perf_counter()
        tool.run(tool.ingest(work / name))
        seconds = time.perf_counter() - started
        contents.append(tool.contents(work / name))
        tool.verify(work / name)
    wrong = differences(contents[1], contents[0])
    if wrong:
        raise Trouble("two undisturbed runs differ, so nothing can be compared: " + "; ".join(wrong))
    if contents[0]["access_logs"].count == 0:
        raise Trouble("the source gives no record")
    batches = transactions(work / "undisturbed-1" / "access_logs")
    if batches < LEAST_BATCHES:
        raise Trouble(
            f"only {batches} commit batches: lower --commit-bytes, or give a source of more log objects"
        )
    return contents[0], batches, seconds


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument("--instants", type=int, default=50, help="how many moments (default %(default)s)")
    parser.add_argument(
        "--kills", type=int, default=1, help="kills in a row at each instant (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the moments and of the generated source")
    parser.add_argument("--source", type=Path, help="log objects to ingest (default: generated)")
    parser.add_argument("--bytes", default="60MB", help="size of the generated source (default %(default)s)")
    parser.add_argument("--commit-bytes", default="4MB", help="size of a commit batch (default %(default)s)")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "target" / "kill9", help="scratch directory (default %(default)s)"
    )
    args = parser.parse_args()
    if args.instants < 1 or args.kills < 1:
        parser.error("--instants and --kills take a number from 1")
    return args


def torture(args: argparse.Namespace) -> int:
    if not args.bin.is_file():
        raise Trouble(f"no binary at {args.bin}; build it with: cargo build --release")
    work = args.work.resolve() / "scratch"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tool = Tool(args.bin.resolve(), args.source or work / "source", args.commit_bytes)
    if args.source is None:
        generate = ["generate", "--bytes", args.bytes, "--seed", str(args.seed), "-o", str(tool.source)]
        tool.run([str(tool.binary), *generate])
    expected, batches, seconds = reference(tool, work)
    rows = ", ".join(f"{table} {rows.count:,}" for table, rows in expected.items())
    print(f"undisturbed: {seconds:.2f} s, {batches} commit batches; rows: {rows}", flush=True)
    tool.seconds = max(60.0, 20 * seconds)

    chance = random.Random(args.seed)
    landings: Counter[str] = Counter()
    failures = 0
    for number in range(args.instants):
        first = seconds * (number + chance.random()) / args.instants
        # Later kills of the same instant meet recovery, which is at the start of a run.
        kills = [first] + [seconds * chance.random() ** 2 for _ in range(args.kills - 1)]
        lake = work / f"lake-{number}"
        wrong, landed = attempt(tool, lake, kills, batches, expected)
        landings[landed] += 1
        if wrong:
            failures += 1
            print(
                f"instant {number}: killed at {', '.join(f'{at:.3f}' for at in kills)} s, {landed}; kept: {lake}"
            )
            for text in wrong:
                print(f"  {text}", flush=True)
        else:
            shutil.rmtree(lake)
    for landed, count in landings.most_common():
        print(f"{count:5} {landed}")
    print(f"{args.instants} instants, {failures} with a difference")
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
