#!/usr/bin/env python3
"""Compares s3trail with its peers on one access log: interleaved runs, medians, one Markdown table.

    python3 benches/peers/run.py [--bytes 1GB] [--runs 5] [--bin target/release/s3trail]
                                 [--work DIR] [--json FILE] [--only TOOL ...]

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
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scripts"))

import pinned  # noqa: E402
from fields import FIELDS  # noqa: E402
from peers import PEERS, Answer, Job, Peer  # noqa: E402


class Trouble(Exception):
    """The comparison cannot go on; the text says why."""


@dataclass
class Measured:
    """One process, measured from outside."""

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    stdout: str


@dataclass
class Result:
    """Everything known of one peer."""

    peer: Peer
    runs: list[Measured] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    bytes_on_disk: int = 0
    misread: Optional[int] = None  # None when there is no table to audit
    startup_seconds: Optional[float] = None
    version: str = "version unknown"

    def median_seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    def lost(self, lines: int) -> Optional[int]:
        """Lines that are neither in the table nor kept aside."""
        last = self.answers[-1]
        return None if last.rows is None else lines - last.rows - last.kept_aside


def measure(command: list[str], log: Path) -> Measured:
    """Runs `command` to its end. Output goes through files beside `log`, so no pipe can slow the process down."""
    out, err = log.with_suffix(".out"), log.with_suffix(".err")
    with out.open("wb") as stdout, err.open("wb") as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = err.read_text(errors="backslashreplace")[-2000:]
        raise Trouble(f"{' '.join(command)}\nended with {process.returncode}:\n{tail}")
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, usage.ru_maxrss * unit, out.read_text(errors="backslashreplace"))


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
            result.misread = audited(result.peer, job, glob, answer)
    else:
        if answer.rows != result.answers[-1].rows:
            raise Trouble(f"{result.peer.name}: {answer.rows} rows now, {result.answers[-1].rows} before")
        result.runs.append(measured)
    result.answers.append(answer)
    result.bytes_on_disk = disk_bytes(job.out)
    shutil.rmtree(job.out)


def audited(peer: Peer, job: Job, glob: str, answer: Answer) -> int:
    """Checks that the table is the one that was asked for; returns the number of misread rows."""
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
    return found["misread"]


def start_up(result: Result, job: Job, log: Path) -> None:
    """Notes the tool's version and the median time it takes to do nothing."""
    command = result.peer.startup(job)
    if command is not None:
        runs = [measure(command, log) for _ in range(5)]
        result.startup_seconds = statistics.median(run.seconds for run in runs)
        result.version = runs[0].stdout.strip().partition("\n")[0].rstrip(".")


def count_lines(path: Path) -> int:
    """Lines of the file, a last one without LF included. Reading it also brings it into the page cache."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def use_processors(threads: int) -> None:
    """Holds this process, and so everything it starts, to `threads` processors where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < threads:
            raise Trouble(f"--threads {threads}, but only {len(allowed)} processors may be used")
        os.sched_setaffinity(0, allowed[:threads])
    os.environ["RAYON_NUM_THREADS"] = str(threads)


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def table(results: list[Result], skipped: dict[str, str], size: int, lines: int) -> str:
    """The Markdown table and the notes under it."""
    rows = [
        "| tool | seconds (min / median / max) | MB/s | CPU s | peak RSS | on disk "
        "| rows | kept aside | lost | misread |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        seconds = [run.seconds for run in result.runs]
        median = statistics.median(seconds)
        last = result.answers[-1]
        lost = result.lost(lines)
        cells = [
            result.peer.name,
            f"{min(seconds):.2f} / **{median:.2f}** / {max(seconds):.2f}",
            f"{size / 1e6 / median:,.0f}",
            f"{statistics.median(run.cpu_seconds for run in result.runs):.2f}",
            megabytes(max(run.peak_rss_bytes for run in result.runs)),
            megabytes(result.bytes_on_disk),
            "no table" if result.misread is None else f"{last.rows:,}",
            f"{last.kept_aside:,}",
            "?" if lost is None else f"{lost:,}",
            "not audited" if result.misread is None else f"{result.misread:,}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    rows.append("")
    first = results[0]
    for result in results[1:]:
        ratio = f"{result.median_seconds() / first.median_seconds():.2f} times the seconds"
        disk_ratio = bytes_ratio(result, first)
        if disk_ratio is not None:
            ratio += f", {disk_ratio:.2f} times the bytes on disk"
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
        "value (a lower bound).",
        "- Not equal work: s3trail also decodes keys, writes where every line came from, keeps rejects and a "
        "ledger, syncs its files and commits; the others write one file and sync nothing.",
    ]
    for unequal in dict.fromkeys(result.peer.unequal for result in results if result.peer.unequal):
        names = ", ".join(f"`{result.peer.name}`" for result in results if result.peer.unequal == unequal)
        rows.append(f"- Not equal work, {names}: {unequal}.")
    return "\n".join(rows)


def bytes_ratio(result: Result, first: Result) -> Optional[float]:
    """How much of the disk a table needs beside that of `first`. A report cannot be compared in this."""
    if result.misread is None or first.misread is None:
        return None
    return result.bytes_on_disk / first.bytes_on_disk


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
    if not args.bin.is_file():
        raise Trouble(f"no binary at {args.bin}; build it with: cargo build --release")
    if args.input is not None and not args.input.is_file():
        raise Trouble(f"no file at {args.input}")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(
            f"warning: load average is {load:.1f}; figures from a busy machine are worth little",
            file=sys.stderr,
        )
    use_processors(args.threads)
    scratch = args.work.resolve() / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        source = args.input
        if source is None:
            made = scratch / "input"
            generate = [
                "generate",
                "--bytes",
                args.bytes,
                "--seed",
                str(args.seed),
                "--layout",
                "file",
                "-o",
                str(made),
            ]
            measure([str(args.bin.resolve()), *generate], scratch / "generate")
            source = made / "access.log"
        source = source.resolve()
        size, lines = source.stat().st_size, count_lines(source)
        job = Job(
            source=source,
            out=scratch / "out",
            threads=args.threads,
            s3trail=args.bin.resolve(),
            python=Path(sys.executable),
            work=args.work.resolve(),
        )
        wanted = [peer for peer in PEERS if args.only is None or peer.name in args.only]
        results, skipped = ready(wanted, job)
        for result in results:
            print(f"warm-up: {result.peer.name}", file=sys.stderr)
            run_once(result, job, audit=True)
            start_up(result, job, scratch / "startup")
        for number in range(args.runs):
            for result in results:
                run_once(result, job, audit=False)
                print(
                    f"run {number + 1}: {result.peer.name} {result.runs[-1].seconds:.2f} s", file=sys.stderr
                )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

    machine = {
        "processor": processor(),
        "system": f"{platform.system()} {platform.release()}",
        "load_at_start": load,
    }
    print(
        f"{size / 1e6:,.0f} MB, {lines:,} lines; {args.threads} threads; "
        f"{args.runs} interleaved runs after one warm-up each; {machine['processor']}, {machine['system']}, "
        f"load at start {load:.2f}.\n"
    )
    print(table(results, skipped, size, lines))
    if args.json is not None:
        source_facts = {"bytes": size, "lines": lines, "seed": args.seed if args.input is None else None}
        context = {"input": source_facts, "threads": args.threads, "machine": machine, "skipped": skipped}
        args.json.write_text(json.dumps(as_json(results, context), indent=2) + "\n")


def main() -> int:
    args = arguments()
    pinned.enter(args.work / "venv", HERE / "requirements.txt")
    try:
        compare(args)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
