#!/usr/bin/env python3
"""Compares s3trail with its peers on one access log: interleaved runs, medians, one Markdown table.

    python3 benches/peers/run.py [--bytes 1GB] [--runs 5] [--bin target/release/s3trail]
                                 [--work DIR] [--json FILE] [--only TOOL ...] [--build]

Every run is a process of its own, start-up included, held to the same processors, writing to an empty
directory. Each tool runs once unmeasured before the runs that count; in that run its table is audited by
DuckDB. A tool that this machine does not have is skipped, and the result says so. The result is only worth
quoting from an otherwise idle machine; the load found at the start is printed with it.

Needs Linux or macOS and Python 3.11. On first use the peers from PyPI are installed into WORK/venv at pinned
versions, and regex-tokenizer is built in WORK with cargo. GoAccess is the system's own.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from common import (
    HERE,
    ROOT,
    Measured,
    Trouble,
    disk_bytes,
    enter_environment,
    load_at_start,
    machine,
    markdown,
    measure,
    megabytes,
    need_binary,
    scratch,
    spread,
    use_processors,
)
from fields import FIELDS
from peers import PEERS, Answer, Job, Peer


@dataclass
class Result:
    """Everything known of one peer."""

    peer: Peer
    runs: list[Measured] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    bytes_on_disk: int = 0
    misread: Optional[int] = None  # None when there is no table to audit
    column_bytes: Optional[dict[str, int]] = None  # on disk; None when there is no table to audit
    startup_seconds: Optional[float] = None
    version: str = "version unknown"

    def median_seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    def bytes_of(self, columns: Iterable[str]) -> Optional[int]:
        """What these columns take of the disk; None when there is no table."""
        return None if self.column_bytes is None else sum(self.column_bytes[name] for name in columns)

    def lost(self, lines: int) -> Optional[int]:
        """Lines that are neither in the table nor kept aside."""
        last = self.answers[-1]
        return None if last.rows is None else lines - last.rows - last.kept_aside


def run_once(result: Result, job: Job, audit: bool) -> None:
    """One run of one peer: a warm-up that is looked into (`audit`), or one that counts."""
    shutil.rmtree(job.out, ignore_errors=True)
    job.out.mkdir(parents=True)
    # What the run before left to be written must not be billed to this one.
    os.sync()
    measured = measure(result.peer.command(job), job.out.parent / result.peer.name)
    answer = result.peer.answer(measured.stdout, job)
    if audit:
        glob = result.peer.parquet(job)
        if glob is not None:
            result.misread, result.column_bytes = audited(result.peer, job, glob, answer)
    else:
        if answer.rows != result.answers[-1].rows:
            raise Trouble(f"{result.peer.name}: {answer.rows} rows now, {result.answers[-1].rows} before")
        result.runs.append(measured)
    result.answers.append(answer)
    result.bytes_on_disk = disk_bytes(job.out)
    shutil.rmtree(job.out)


def audited(peer: Peer, job: Job, glob: str, answer: Answer) -> tuple[int, dict[str, int]]:
    """Checks that the table is the one that was asked for; returns the number of misread rows, and the bytes of
    each column."""
    command = [str(job.python), str(HERE / "audit.py"), glob, *(["--text"] if peer.text_columns else [])]
    found = json.loads(measure(command, job.out.parent / f"{peer.name}-audit").stdout)
    if found["rows"] != answer.rows:
        raise Trouble(f"{peer.name}: says {answer.rows} rows, its files hold {found['rows']}")
    for name, sql_type in FIELDS.items():
        if peer.text_columns:
            sql_type = "VARCHAR"
        actual = found["columns"].get(name)
        if actual != sql_type:
            raise Trouble(f"{peer.name}: column {name} is {actual}, not {sql_type}: no fair comparison")
    return found["misread"], found["column_bytes"]


def start_up(result: Result, job: Job, log: Path) -> None:
    """Notes the tool's version and the median time it takes to do nothing."""
    command = result.peer.startup(job)
    if command is not None:
        runs = [measure(command, log) for _ in range(5)]
        result.startup_seconds = statistics.median(run.seconds for run in runs)
        result.version = runs[0].stdout.strip().partition("\n")[0].rstrip(".")


@dataclass
class Build:
    """What it takes to have s3trail."""

    binary_bytes: int
    stripped_bytes: Optional[int]  # None without `strip`
    cold: Optional[Measured]  # None when nothing was built

    def note(self) -> str:
        note = f"- The binary of `s3trail` has {megabytes(self.binary_bytes)}"
        if self.stripped_bytes is not None:
            note += f", {megabytes(self.stripped_bytes)} stripped"
        if self.cold is not None:
            note += (
                f"; a cold release build took {self.cold.seconds:,.0f} s ({self.cold.cpu_seconds:,.0f} CPU s)"
            )
        return note + "."

    def as_json(self) -> dict:
        return {
            "binary_bytes": self.binary_bytes,
            "stripped_bytes": self.stripped_bytes,
            "cold_seconds": None if self.cold is None else self.cold.seconds,
            "cold_cpu_seconds": None if self.cold is None else self.cold.cpu_seconds,
        }


def built(binary: Path, folder: Path, cold: bool, threads: int) -> Build:
    """The size of the binary and, when asked for, the time of a build from nothing: dependencies too, in a fresh
    target directory under `folder`, from sources that are downloaded before."""
    stripped_bytes = None
    if shutil.which("strip") is not None:
        stripped = folder / "stripped"
        measure(["strip", "-o", str(stripped), str(binary)], folder / "strip")
        stripped_bytes = stripped.stat().st_size
        stripped.unlink()
    measured = None
    if cold:
        if shutil.which("cargo") is None:
            raise Trouble("--build: there is no cargo")
        manifest = ["--manifest-path", str(ROOT / "Cargo.toml"), "--locked"]
        measure(["cargo", "fetch", *manifest], folder / "fetch")
        print("building from nothing; this takes long", file=sys.stderr)
        build = ["cargo", "build", "--release", *manifest, "--target-dir", str(folder / "cold")]
        measured = measure([*build, "--jobs", str(threads)], folder / "build")
        shutil.rmtree(folder / "cold")
    return Build(binary.stat().st_size, stripped_bytes, measured)


def count_lines(path: Path) -> int:
    """Lines of the file, a last one without LF included. Reading it also brings it into the page cache."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def table(results: list[Result], skipped: dict[str, str], size: int, lines: int, build: Build) -> str:
    """The Markdown table and the notes under it."""
    columns = ["tool", "seconds (min / median / max)", "MB/s", "CPU s", "peak RSS", "on disk", "27 fields"]
    columns += ["rows", "kept aside", "lost", "misread"]
    cells = []
    for result in results:
        last = result.answers[-1]
        lost = result.lost(lines)
        row = [
            result.peer.name,
            spread([run.seconds for run in result.runs]),
            f"{size / 1e6 / result.median_seconds():,.0f}",
            f"{statistics.median(run.cpu_seconds for run in result.runs):.2f}",
            megabytes(max(run.peak_rss_bytes for run in result.runs)),
            megabytes(result.bytes_on_disk),
            "no table" if result.column_bytes is None else megabytes(result.bytes_of(FIELDS)),
            "no table" if result.misread is None else f"{last.rows:,}",
            f"{last.kept_aside:,}",
            "?" if lost is None else f"{lost:,}",
            "not audited" if result.misread is None else f"{result.misread:,}",
        ]
        cells.append(row)
    rows = [markdown(columns, cells, text_columns=2), ""]
    first = results[0]
    for result in results[1:]:
        ratio = f"{result.median_seconds() / first.median_seconds():.2f} times the seconds"
        disk_ratio = bytes_ratio(result, first)
        if disk_ratio is not None:
            ratio += f", {disk_ratio:.2f} times the bytes on disk"
            shared, shared_ratio = shared_columns(result, first)
            ratio += f" ({shared_ratio:.3f} times those of the {shared} columns that both have)"
        rows.append(f"- **{result.peer.name} / {first.peer.name}**: {ratio}.")
    for result in results:
        note = f"- `{result.peer.name}` ({result.version}): {result.peer.what}."
        if result.startup_seconds is not None:
            note += f" Starting it to do nothing takes {result.startup_seconds:.3f} s."
        for key in result.answers[-1].details:
            if key.endswith("_seconds"):
                median = statistics.median(answer.details[key] for answer in result.answers[1:])
                note += f" {key} {median:.3f} (median, its own figure)."
        rows.append(note)
    rows += [f"- Skipped: `{name}`: {reason}." for name, reason in skipped.items()]
    rows += [
        "- kept aside: lines held outside the table (s3trail's rejects and removed duplicates); lost: lines of "
        "the input that are nowhere; misread: rows whose fields are shifted so far that one holds an impossible "
        "value (a lower bound); 27 fields: what the columns of the fields take of the disk, without others.",
        "- Not equal work: s3trail also decodes keys, writes where every line came from, keeps rejects and a "
        "ledger, syncs its files and commits; the others write one file and sync nothing.",
    ]
    for unequal in dict.fromkeys(result.peer.unequal for result in results if result.peer.unequal):
        names = ", ".join(f"`{result.peer.name}`" for result in results if result.peer.unequal == unequal)
        rows.append(f"- Not equal work, {names}: {unequal}.")
    rows.append(build.note())
    return "\n".join(rows)


def bytes_ratio(result: Result, first: Result) -> Optional[float]:
    """How much of the disk a table needs beside that of `first`. A report cannot be compared in this."""
    if result.misread is None or first.misread is None:
        return None
    return result.bytes_on_disk / first.bytes_on_disk


def shared_columns(result: Result, first: Result) -> tuple[int, float]:
    """How many columns both tables have, and how much of the disk they need beside those of `first`."""
    shared = result.column_bytes.keys() & first.column_bytes.keys()
    return len(shared), result.bytes_of(shared) / first.bytes_of(shared)


def as_json(results: list[Result], context: dict) -> dict:
    """The same figures for a machine. Seconds, bytes and counts; `runs` in the order they were made."""
    first = results[0]
    tools = []
    for result in results:
        last = result.answers[-1]
        tools.append(
            {
                "name": result.peer.name,
                "version": result.version,
                "what": result.peer.what,
                "unequal": result.peer.unequal,
                "audited": result.misread is not None,
                "seconds": [run.seconds for run in result.runs],
                "median_seconds": result.median_seconds(),
                "cpu_seconds": [run.cpu_seconds for run in result.runs],
                "peak_rss_bytes": [run.peak_rss_bytes for run in result.runs],
                "startup_seconds": result.startup_seconds,
                "bytes_on_disk": result.bytes_on_disk,
                "field_bytes": result.bytes_of(FIELDS),
                "column_bytes": result.column_bytes,
                "rows": last.rows,
                "kept_aside": last.kept_aside,
                "lost": result.lost(context["input"]["lines"]),
                "misread": result.misread,
                "details": [answer.details for answer in result.answers[1:]],
                "seconds_ratio": result.median_seconds() / first.median_seconds(),
                "bytes_ratio": bytes_ratio(result, first),
            }
        )
    return {**context, "tools": tools}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bytes", default="1GB", help="size of the generated log (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--input", type=Path, help="an access log to use instead of a generated one")
    parser.add_argument(
        "--runs", type=int, default=5, help="measured runs of each tool (default %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads and processors (default %(default)s)")
    parser.add_argument(
        "--only", nargs="+", metavar="TOOL", choices=[peer.name for peer in PEERS], help="only these tools"
    )
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "target" / "peers", help="scratch directory (default %(default)s)"
    )
    parser.add_argument(
        "--build", action="store_true", help="also time a cold release build with cargo; takes very long"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    if args.runs < 1 or args.threads < 1:
        parser.error("--runs and --threads take a number from 1")
    return args


def ready(peers: list[Peer], job: Job) -> tuple[list[Result], dict[str, str]]:
    """The peers that can be run here, and why the others cannot."""
    results, skipped = [], {}
    for peer in peers:
        reason = peer.missing(job)
        if reason is None:
            results.append(Result(peer))
        else:
            skipped[peer.name] = reason
            print(f"skipped: {peer.name}: {reason}", file=sys.stderr)
    if not results:
        raise Trouble("none of the tools can be run here")
    return results, skipped


def compare(args: argparse.Namespace) -> None:
    binary = need_binary(args.bin)
    if args.input is not None and not args.input.is_file():
        raise Trouble(f"no file at {args.input}")
    load = load_at_start()
    use_processors(args.threads)
    with scratch(args.work, "scratch") as folder:
        source = args.input
        if source is None:
            made = folder / "input"
            log = ["--bytes", args.bytes, "--seed", str(args.seed), "--layout", "file"]
            measure([str(binary), "generate", *log, "-o", str(made)], folder / "generate")
            source = made / "access.log"
        source = source.resolve()
        size, lines = source.stat().st_size, count_lines(source)
        job = Job(
            source=source,
            out=folder / "out",
            threads=args.threads,
            s3trail=binary,
            python=Path(sys.executable),
            work=args.work.resolve(),
        )
        wanted = [peer for peer in PEERS if args.only is None or peer.name in args.only]
        results, skipped = ready(wanted, job)
        for result in results:
            print(f"warm-up: {result.peer.name}", file=sys.stderr)
            run_once(result, job, audit=True)
            start_up(result, job, folder / "startup")
        for number in range(args.runs):
            for result in results:
                run_once(result, job, audit=False)
                print(
                    f"run {number + 1}: {result.peer.name} {result.runs[-1].seconds:.2f} s", file=sys.stderr
                )
        # After all that counts: a build warms the processor up and empties the page cache.
        build = built(binary, folder, args.build, args.threads)

    where = machine(load)
    print(
        f"{size / 1e6:,.0f} MB, {lines:,} lines; {args.threads} threads; "
        f"{args.runs} interleaved runs after one warm-up each; {where['processor']}, {where['system']}, "
        f"load at start {load:.2f}.\n"
    )
    print(table(results, skipped, size, lines, build))
    if args.json is not None:
        source_facts = {"bytes": size, "lines": lines, "seed": args.seed if args.input is None else None}
        context = {"input": source_facts, "threads": args.threads, "machine": where, "skipped": skipped}
        context["build"] = build.as_json()
        args.json.write_text(json.dumps(as_json(results, context), indent=2) + "\n")


def main() -> int:
    args = arguments()
    enter_environment(args.work)
    try:
        compare(args)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
