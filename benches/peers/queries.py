#!/usr/bin/env python3
"""Compares queries of s3trail with DuckDB on the same Parquet files: the same SQL, interleaved runs, medians.

    python3 benches/peers/queries.py [--records 20000000] [--lake DIR] [--runs 5]
                                     [--only reports detections lookups] [--json FILE]

Three tables: ten reports; all detections, each by itself and the whole set at once; point lookups with the bytes that
were read for them. Every run is a process of its own, start-up included, held to the same processors, and writes its
answer to a Parquet file. The answers are compared. DuckDB reads the files the newest version of the lake has; it knows
s3trail's views and functions as views and macros of a database file (see dialect.py).

The lake is made on first use and removed afterwards; with --lake it is kept there, and used again the next time.
Needs Linux or macOS (no bytes read there) and Python 3.11. On first use the packages are installed into WORK/venv. The
result is only worth quoting from an otherwise idle machine; the load found at the start is printed with it.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Optional

import dialect
import lake as lakes
from common import (
    HERE,
    ROOT,
    Measured,
    Trouble,
    enter_environment,
    load_at_start,
    machine,
    markdown,
    measure,
    median,
    megabytes,
    need_binary,
    say,
    scratch,
    use_processors,
)

REPORTS = (
    "who-deleted",
    "principal-activity",
    "top-talkers",
    "error-breakdown",
    "latency-by-operation",
    "tls-mix",
    "anonymous-requests",
    "acl-required",
    "bytes-by-prefix",
    "requests-per-hour",
)

PARTS = ("reports", "detections", "lookups")

# Numbers that were added up in another order.
TOLERANCE = 1e-6

# Less than this is start-up and noise.
LEAST_SECONDS = 0.1

# Columns that depend on which of several records of the same second comes first.
ARBITRARY = {"exfiltration-then-deletion": {"evidence"}, "part-upload-abandoned": {"evidence"}}


@dataclass
class Bench:
    """What every run needs."""

    s3trail: Path
    lake: Path
    database: Path
    folder: Path
    threads: int
    limit_seconds: float
    apart: Executor  # a process for what needs DuckDB: what this one has in memory would count as the tools'
    startup: dict[str, Measured] = field(default_factory=dict)

    def ours(self, *query: str, answer: Path) -> Measured:
        command = [
            str(self.s3trail),
            "--threads",
            str(self.threads),
            "query",
            *query,
            "--lake",
            str(self.lake),
        ]
        command += ["--format", "parquet", "-o", str(answer)]
        return measure(command, self.folder / "s3trail", self.limit_seconds)

    def theirs(self, sql: Path, answer: Path) -> Measured:
        measured = measure(self.duckdb(sql, answer), self.folder / "duckdb", self.limit_seconds)
        statement_seconds(measured)
        return measured

    def duckdb(self, *files: Path) -> list[str]:
        """Pairs of a file with SQL and the file for its answer."""
        script = [
            sys.executable,
            str(HERE / "duckdb_query.py"),
            "--threads",
            str(self.threads),
            str(self.database),
        ]
        return [*script, *map(str, files)]


def statement_seconds(run: Measured) -> float:
    """What DuckDB needed for its statements alone, by its own clock."""
    queries = json.loads(run.stdout)["queries"]
    for query in queries:
        if "error" in query:
            raise Trouble(query["error"])
    return sum(query["seconds"] for query in queries)


@dataclass
class Question:
    """One question to both, and what came of it."""

    name: str
    arguments: list[str]  # for s3trail: the name of a saved query, or SQL
    sql: str  # for DuckDB
    loose: frozenset[str] = frozenset()  # columns whose values are not compared
    ours: list[Measured] = field(default_factory=list)
    theirs: list[Measured] = field(default_factory=list)
    rows: int = 0
    differs: Optional[str] = None  # how DuckDB's answer differs, for people
    failed: Optional[str] = None  # why there is nothing to compare

    def ratio(self) -> float:
        return median([run.seconds for run in self.ours]) / median([run.seconds for run in self.theirs])

    def alone(self, bench: Bench) -> Optional[float]:
        """The ratio without start-up; `None` where what is left on either side is too little to be compared."""
        ours = median([run.seconds for run in self.ours]) - bench.startup["s3trail"].seconds
        theirs = median([statement_seconds(run) for run in self.theirs])
        return ours / theirs if min(ours, theirs) >= LEAST_SECONDS else None


def question(query: dialect.Saved) -> Question:
    """A saved query with its defaults."""
    sql = dialect.translated(dialect.bound(query, {}))
    loose = approximations(query.sql) | ARBITRARY.get(query.name, set())
    return Question(query.name, [query.name], sql, loose)


def approximations(sql: str) -> frozenset[str]:
    """Names of the columns that approximate functions make."""
    names = set()
    for found in re.finditer(r"\bapprox_\w+\(", sql):
        end = dialect.closing(sql, found.end() - 1)
        name = re.search(r"\bAS (\w+)", sql[end:])
        if name is not None:
            names.add(name[1])
    # Also made of approximate columns of a subquery: our queries say so in the name.
    return frozenset(names | set(re.findall(r"\bAS (\w+_approx)\b", sql)))


# --- Answers -------------------------------------------------------------------------------------


def rows_of(answer: Path) -> tuple[list[str], list[list]]:
    """Columns and rows of an answer; times as text."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    table = f"read_parquet({dialect.literal(str(answer))})"
    columns = [name for name, *_ in connection.execute(f"DESCRIBE FROM {table}").fetchall()]
    rows = connection.execute(f"SELECT to_json(answer) FROM {table} AS answer").fetchall()
    return columns, [list(json.loads(row).values()) for (row,) in rows]


def difference(ours: Path, theirs: Path, loose: frozenset[str]) -> tuple[int, Optional[str]]:
    """Rows of our answer, and how the other differs: the order of rows does not matter."""
    columns, mine = rows_of(ours)
    other_columns, other = rows_of(theirs)
    if [name.lower() for name in columns] != [name.lower() for name in other_columns]:
        return len(mine), f"columns {', '.join(other_columns)} instead of {', '.join(columns)}"
    if len(mine) != len(other):
        return len(mine), f"{len(other)} rows instead of {len(mine)}"
    kept = [place for place, name in enumerate(columns) if name not in loose]

    def ordered(rows: list[list]) -> list[list]:
        # Numbers last and coarsely: what differs within the tolerance must not change the order.
        def key(row: list) -> tuple[list[str], list[str]]:
            exact = [repr(value) for value in row if not isinstance(value, float)]
            return exact, [f"{value:.4g}" for value in row if isinstance(value, float)]

        return sorted(([plain(row[place]) for place in kept] for row in rows), key=key)

    different: dict[str, int] = {}
    for row, other_row in zip(ordered(mine), ordered(other)):
        for place, value, other_value in zip(kept, row, other_row):
            if not alike(value, other_value):
                different[columns[place]] = different.get(columns[place], 0) + 1
    if different:
        return len(mine), "; ".join(f"{name} in {count} rows" for name, count in different.items())
    return len(mine), None


def plain(value):
    """Whole numbers as such, however they were stored."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def alike(value, other) -> bool:
    numbers = (int, float)
    if isinstance(value, numbers) and isinstance(other, numbers):
        return math.isclose(value, other, rel_tol=TOLERANCE)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(alike, value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(alike(value[name], other[name]) for name in value)
    return value == other


# --- Runs ------------------------------------------------------------------------------------------


def start_up(bench: Bench) -> None:
    """What it takes to start each tool and ask nothing of it, the lake opened."""

    def middle(start: Callable[[], Measured]) -> Measured:
        runs = [start() for _ in range(6)][1:]
        return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]

    bench.startup["s3trail"] = middle(
        lambda: bench.ours("SELECT 1 AS one", answer=bench.folder / "one.parquet")
    )
    bench.startup["duckdb"] = middle(lambda: measure(bench.duckdb(), bench.folder / "startup"))


def ask(bench: Bench, questions: list[Question], runs: int) -> None:
    """Once unmeasured, which gives the answers that are compared; then `runs` times, one tool after the other."""
    for one in questions:
        sql = bench.folder / f"{one.name}.sql"
        sql.write_text(one.sql)
        answers = (bench.folder / "s3trail.parquet", bench.folder / "duckdb.parquet")
        try:
            bench.ours(*one.arguments, answer=answers[0])
            bench.theirs(sql, answers[1])
            one.rows, one.differs = bench.apart.submit(difference, *answers, one.loose).result()
            for _ in range(runs):
                one.ours.append(bench.ours(*one.arguments, answer=answers[0]))
                one.theirs.append(bench.theirs(sql, answers[1]))
            say(f"{one.name}: {one.ratio():.2f}" + (f" (differs: {one.differs})" if one.differs else ""))
        except Trouble as trouble:
            one.failed = str(trouble).strip().splitlines()[-1]
            say(f"{one.name}: {trouble}")


def reports(bench: Bench, runs: int) -> list[Question]:
    questions = [question(dialect.saved(name)) for name in REPORTS]
    ask(bench, questions, runs)
    return questions


@dataclass
class Set:
    """All detections at once."""

    detect: list[Measured]  # s3trail detect, as people run it
    duckdb: list[Measured]  # all SQL in one DuckDB process, one query after the other
    findings: int
    skipped: list[str]


def detections(bench: Bench, runs: int) -> tuple[list[Question], Set]:
    questions = [question(query) for query in dialect.saved_of("detections")]
    ask(bench, questions, runs)
    pairs: list[Path] = []
    for one in questions:
        if one.failed is None:
            pairs += [bench.folder / f"{one.name}.sql", bench.folder / "duckdb.parquet"]
    whole = Set([], [], 0, [])
    answer = bench.folder / "findings.json"
    detect = [str(bench.s3trail), "--threads", str(bench.threads), "detect", "--lake", str(bench.lake)]
    detect += ["--format", "json", "-o", str(answer)]
    for number in range(runs + 1):
        # 2: some detections could not be run, which the answer names.
        ours = measure(detect, bench.folder / "detect", 10 * bench.limit_seconds, good=(0, 2))
        theirs = measure(bench.duckdb(*pairs), bench.folder / "duckdb", 10 * bench.limit_seconds)
        statement_seconds(theirs)
        if number > 0:
            whole.detect.append(ours)
            whole.duckdb.append(theirs)
    found = json.loads(answer.read_text())
    whole.findings, whole.skipped = len(found["findings"]), [skipped["id"] for skipped in found["skipped"]]
    return questions, whole


@dataclass
class Lookup:
    """A question about very little of a lake."""

    name: str
    question: Question
    row_groups: Optional[int] = None  # that s3trail's plan could not skip
    scanned_bytes: Optional[float] = None  # that its scan asked for, by its own count


COLUMNS = "time, bucket, requester, operation, key, remote_ip, http_status, request_id"


def chosen(database: Path) -> tuple[str, str, str, str]:
    """What to look for: a day, a request id, its key and a requester."""
    import duckdb

    connection = duckdb.connect(str(database), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")

    def one(sql: str) -> str:
        return connection.execute(sql).fetchone()[0]

    # An object that was asked for at noon of the middle day; by hash, so that no end of a file or column is preferred.
    day = one("SELECT CAST(quantile_disc(event_date, 0.5) AS VARCHAR) FROM access_logs")
    noon = f"event_date = DATE '{day}' AND date_part('hour', time) = 12 AND key IS NOT NULL"
    record = f"FROM access_logs WHERE {noon} ORDER BY hash(request_id) LIMIT 1"
    callers = (
        "SELECT requester, count(*) AS n FROM access_logs WHERE requester IS NOT NULL GROUP BY requester"
    )
    rare = one(f"SELECT requester FROM ({callers}) AS callers ORDER BY n, requester LIMIT 1")
    return day, one(f"SELECT request_id {record}"), one(f"SELECT key {record}"), rare


def lookups(bench: Bench, runs: int) -> list[Lookup]:
    day, request_id, key, rare = bench.apart.submit(chosen, bench.database).result()
    by_key = f"key = {dialect.literal(key)}"
    hour = f"time >= TIMESTAMP '{day}T12:00:00Z' AND time < TIMESTAMP '{day}T13:00:00Z'"
    conditions = {
        "request_id": f"request_id = {dialect.literal(request_id)}",
        "exact key": by_key,
        "one requester, the rarest": f"requester = {dialect.literal(rare)}",
        "one hour": hour,
        "exact key within one hour": f"{by_key} AND {hour}",
    }
    found = []
    for name, condition in conditions.items():
        sql = f"SELECT {COLUMNS} FROM access_logs WHERE {condition}"
        asked = Question(name.replace(" ", "-"), [sql], sql)
        ask(bench, [asked], runs)
        lookup = Lookup(name, asked)
        if asked.failed is None:
            plan(bench, lookup)
        found.append(lookup)
    return found


def plan(bench: Bench, lookup: Lookup) -> None:
    """What the plan says of itself."""
    explain = f"EXPLAIN ANALYZE {lookup.question.arguments[0]}"
    command = [
        str(bench.s3trail),
        "--threads",
        str(bench.threads),
        "query",
        explain,
        "--lake",
        str(bench.lake),
    ]
    text = measure([*command, "--format", "ndjson"], bench.folder / "explain", bench.limit_seconds).stdout
    # Groups fall in several steps; each passes on what it could not skip.
    steps = re.findall(r"row_groups_pruned_(?:statistics|bloom_filter)=[^,]*?([0-9.]+ ?[KM]?) matched", text)
    if steps:
        lookup.row_groups = int(min(number(step) for step in steps))
    scanned = re.search(r"bytes_scanned=([0-9.]+ ?[KMGT]?)", text)
    if scanned is not None:
        lookup.scanned_bytes = number(scanned[1])


def number(text: str) -> float:
    """`1.94 M` as 1,940,000."""
    scale = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    return float(text.rstrip("KMGT ")) * scale.get(text[-1], 1)


# --- Tables ----------------------------------------------------------------------------------------


def seconds(runs: list[Measured]) -> str:
    """Wall-clock time and, in brackets, that of the processors."""
    return f"{median([run.seconds for run in runs]):.3f} ({median([run.cpu_seconds for run in runs]):.3f})"


def same(one: Question) -> str:
    if one.differs is not None:
        return f"no: {one.differs}"
    return "yes" if not one.loose else f"yes, without {len(one.loose)} columns"


def timings(bench: Bench, questions: list[Question], by: str) -> str:
    columns = [by, "s3trail s (CPU)", "DuckDB s (CPU)", "ratio", "without start-up"]
    columns += ["s3trail RSS", "DuckDB RSS", "rows", "same answer"]
    rows = []
    for one in questions:
        if one.failed is not None:
            rows.append([f"`{one.name}`", "", "", "", "", "", "", "", f"not compared: {one.failed}"])
            continue
        peaks = [megabytes(max(run.peak_rss_bytes for run in runs)) for runs in (one.ours, one.theirs)]
        alone = one.alone(bench)
        ratios = [f"{one.ratio():.2f}", "too short" if alone is None else f"{alone:.2f}"]
        rows.append(
            [
                f"`{one.name}`",
                seconds(one.ours),
                seconds(one.theirs),
                *ratios,
                *peaks,
                f"{one.rows:,}",
                same(one),
            ]
        )
    return markdown(columns, rows)


def summary(bench: Bench, questions: list[Question], what: str) -> str:
    """One line: how many, median and worst of the ratios, and who is above what is asked for."""
    compared = [one for one in questions if one.failed is None]
    if not compared:
        return f"- {what}: nothing could be compared."
    ratios = [one.ratio() for one in compared]
    above = [f"`{one.name}` {one.ratio():.2f}" for one in slowest_first(compared) if one.ratio() > 2]
    line = (
        f"- {what}: {len(compared)} of {len(questions)} compared; seconds of s3trail / seconds of DuckDB: "
        f"**median {median(ratios):.2f}, worst {max(ratios):.2f}**; above 2.0: {', '.join(above) or 'none'}."
    )
    alone = {one.name: ratio for one in compared if (ratio := one.alone(bench)) is not None}
    if alone:
        above = [
            f"`{name}` {ratio:.2f}"
            for name, ratio in sorted(alone.items(), key=lambda it: -it[1])
            if ratio > 2
        ]
        line += (
            f" Without start-up, {len(alone)} that are long enough: median {median(list(alone.values())):.2f}, "
            f"worst {max(alone.values()):.2f}; above 2.0: {', '.join(above) or 'none'}."
        )
    return line


def slowest_first(questions: list[Question]) -> list[Question]:
    return sorted(questions, key=Question.ratio, reverse=True)


def notes(bench: Bench) -> list[str]:
    startup = {tool: run.seconds for tool, run in bench.startup.items()}
    return [
        f"- Every run is a process of its own. To start it and open the lake takes s3trail {startup['s3trail']:.3f} s "
        f"and DuckDB {startup['duckdb']:.3f} s (Python, the package, a database file with views and macros). Without "
        "start-up: s3trail's seconds less that, beside what DuckDB's own statement took; too short when that is less "
        f"than {LEAST_SECONDS} s on either side.",
        "- DuckDB runs the same SQL, translated by `dialect.py`: parameters as literals, other names of functions, "
        f"s3trail's functions as macros. Simpler than the original: {'; '.join(dialect.SIMPLER)}.",
        "- Answers are compared as sets of rows, numbers to one part in a million; not compared are columns of "
        "approximate functions (approx_distinct, approx_percentile_cont), and evidence where it depends on which of "
        f"several records of one second comes first ({', '.join(ARBITRARY)}).",
    ]


def report_part(bench: Bench, questions: list[Question]) -> str:
    loose = [f"`{one.name}` ({', '.join(sorted(one.loose))})" for one in questions if one.loose]
    lines = ["## Reports", "", timings(bench, questions, "report"), "", summary(bench, questions, "reports")]
    lines += [f"- Approximate, so not compared: {', '.join(loose)}.", *notes(bench)]
    return "\n".join(lines)


def detection_part(bench: Bench, questions: list[Question], whole: Set) -> str:
    compared = [one for one in questions if one.failed is None]
    failed = [f"`{one.name}` ({one.failed})" for one in questions if one.failed is not None]
    differ = [f"`{one.name}` ({one.differs})" for one in compared if one.differs is not None]
    ours, theirs = (median([run.seconds for run in runs]) for runs in (whole.detect, whole.duckdb))
    peaks = [megabytes(max(run.peak_rss_bytes for run in runs)) for runs in (whole.detect, whole.duckdb)]
    lines = [
        "## Detections",
        "",
        timings(bench, slowest_first(compared), "detection, slowest beside DuckDB first"),
        "",
    ]
    lines += [
        summary(bench, questions, "detections, each a process of its own"),
        f"- The whole set at once: `s3trail detect` {ours:.2f} s ({peaks[0]}), {len(questions)} detections, "
        f"{whole.findings:,} findings; the same SQL of {len(compared)} detections one after the other in one DuckDB "
        f"process {theirs:.2f} s ({peaks[1]}): **ratio {ours / theirs:.2f}**.",
        f"- {sum(one.rows > 0 for one in compared)} detections have findings in this lake; the others were compared "
        "in finding nothing.",
        f"- Not compared with DuckDB: {', '.join(failed) or 'none'}. Answers that differ: {', '.join(differ) or 'none'}. "
        f"Skipped by `s3trail detect`: {', '.join(whole.skipped) or 'none'}.",
    ]
    return "\n".join(lines + notes(bench))


def lookup_part(bench: Bench, facts: lakes.Facts, found: list[Lookup]) -> str:
    columns = ["lookup", "rows", "row groups", "s3trail scans", "s3trail reads", "DuckDB reads"]
    columns += ["s3trail s (CPU)", "DuckDB s (CPU)"]
    rows = []
    for lookup in found:
        one = lookup.question
        if one.failed is not None:
            rows.append([lookup.name, f"not compared: {one.failed}", *[""] * 6])
            continue
        groups = "?" if lookup.row_groups is None else f"{lookup.row_groups:,} of {facts.row_groups:,}"
        read = [lookup.scanned_bytes, read_by(one.ours), read_by(one.theirs, bench.startup["duckdb"])]
        cells = [
            "?" if count is None else f"{megabytes(count)} ({count / facts.bytes:.1%})" for count in read
        ]
        rows.append([lookup.name, f"{one.rows:,}", groups, *cells, seconds(one.ours), seconds(one.theirs)])
    differ = [
        f"{lookup.name} ({lookup.question.differs})"
        for lookup in found
        if lookup.question.differs is not None
    ]
    lines = ["## Point lookups", "", markdown(columns, rows), ""]
    lines += [
        summary(bench, [lookup.question for lookup in found], "lookups"),
        "- reads: bytes the process got from the system, cached or not (rchar of /proc/PID/io), for DuckDB less those of "
        f"starting Python; in brackets the share of the lake's {megabytes(facts.bytes)}. scans: what s3trail's scan asked "
        "for, by its own count; row groups: those that statistics and bloom filters did not rule out (both from EXPLAIN "
        "ANALYZE).",
        f"- Answers that differ: {', '.join(differ) or 'none'}.",
    ]
    return "\n".join(lines)


def read_by(runs: list[Measured], startup: Optional[Measured] = None) -> Optional[float]:
    """Bytes that a run read, less those of starting it; `None` where the system does not say."""
    read = [run.read_bytes for run in runs if run.read_bytes is not None]
    if not read:
        return None
    return max(median(read) - (startup.read_bytes if startup is not None else 0), 0)


def as_json(bench: Bench, one: Question) -> dict:
    facts = {"name": one.name, "rows": one.rows, "differs": one.differs, "failed": one.failed}
    facts["not_compared"] = sorted(one.loose)
    for tool, runs in (("s3trail", one.ours), ("duckdb", one.theirs)):
        facts[tool] = runs_json(runs)
    if one.failed is None:
        facts["ratio"] = one.ratio()
        facts["ratio_without_startup"] = one.alone(bench)
        facts["duckdb"]["statement_seconds"] = [statement_seconds(run) for run in one.theirs]
    return facts


def lookup_json(bench: Bench, one: Lookup) -> dict:
    more = {"sql": one.question.sql, "row_groups": one.row_groups, "scanned_bytes": one.scanned_bytes}
    return {**as_json(bench, one.question), **more}


def runs_json(runs: list[Measured]) -> dict:
    return {
        "seconds": [run.seconds for run in runs],
        "cpu_seconds": [run.cpu_seconds for run in runs],
        "peak_rss_bytes": [run.peak_rss_bytes for run in runs],
        "read_bytes": [run.read_bytes for run in runs],
    }


# --- Main --------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--records", type=int, default=20_000_000, help="records of the lake (default %(default)s)"
    )
    parser.add_argument("--days", type=int, default=14, help="over so many days (default %(default)s)")
    parser.add_argument("--buckets", type=int, default=5, help="of so many buckets (default %(default)s)")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument(
        "--lake", type=Path, metavar="DIR", help="keep the lake there; used when it is there already"
    )
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each (default %(default)s)")
    parser.add_argument(
        "--detection-runs",
        type=int,
        help="measured runs of each detection (default: as --runs)",
        metavar="RUNS",
    )
    parser.add_argument("--threads", type=int, default=2, help="threads and processors (default %(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="only these tables")
    parser.add_argument(
        "--limit",
        type=float,
        default=600,
        metavar="SECONDS",
        help="a query that takes longer is given up (default %(default)s)",
    )
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "target" / "peers", help="scratch directory (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    if args.detection_runs is None:
        args.detection_runs = args.runs
    if min(args.runs, args.detection_runs, args.threads, args.records, args.days, args.buckets) < 1:
        parser.error("numbers start at 1")
    return args


def compare(args: argparse.Namespace) -> None:
    s3trail = need_binary(args.bin)
    load = load_at_start()
    use_processors(args.threads)
    with scratch(args.work, "queries") as folder, ProcessPoolExecutor(1, get_context("spawn")) as apart:
        lake = folder / "lake" if args.lake is None else args.lake.resolve()
        if not lakes.is_lake(lake):
            lakes.make(
                s3trail,
                lake,
                lakes.Recipe(args.records, args.days, args.buckets, args.seed, args.threads),
                folder,
            )
        bench = Bench(s3trail, lake, folder / "views.duckdb", folder, args.threads, args.limit, apart)
        facts = apart.submit(lakes.prepare, s3trail, lake, bench.database).result()
        start_up(bench)
        where = machine(load)
        print(
            f"{facts.records:,} records of {facts.days} days: {facts.files} files, {facts.row_groups:,} row groups, "
            f"{megabytes(facts.bytes)}; {args.threads} threads; interleaved runs after one warm-up each (reports and "
            f"lookups {args.runs}, detections {args.detection_runs}); {where['processor']}, {where['system']}, load at "
            f"start {load:.2f}.",
            flush=True,
        )
        figures: dict = {"lake": asdict(facts), "threads": args.threads, "machine": where}
        figures["startup"] = {tool: runs_json([run]) for tool, run in bench.startup.items()}

        def show(table: str, **more) -> None:
            print(f"\n{table}", flush=True)
            figures.update(more)
            if args.json is not None:
                args.json.write_text(json.dumps(figures, indent=2) + "\n")

        if "reports" in args.only:
            questions = reports(bench, args.runs)
            show(report_part(bench, questions), reports=[as_json(bench, one) for one in questions])
        if "lookups" in args.only:
            found = lookups(bench, args.runs)
            show(lookup_part(bench, facts, found), lookups=[lookup_json(bench, one) for one in found])
        if "detections" in args.only:
            questions, whole = detections(bench, args.detection_runs)
            together = {"s3trail": runs_json(whole.detect), "duckdb": runs_json(whole.duckdb)}
            together |= {"findings": whole.findings, "skipped": whole.skipped}
            table = detection_part(bench, questions, whole)
            show(table, detections=[as_json(bench, one) for one in questions], whole_set=together)


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
