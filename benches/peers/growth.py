#!/usr/bin/env python3
"""How ingest and detect grow with their input: time against size, and memory.

    python3 benches/peers/growth.py [--sizes 1GB 2GB 4GB 8GB 16GB 20GB] [--runs 3] [--json FILE]

For each size a log is generated, taken into a fresh lake `--runs` times, and all detections run over that lake as
often; everything is deleted before the next size. The exponent of time against size is the slope of a straight line
through the logarithms: 1 is proportional. At the least and the greatest size, runs with other settings show what
bounds the memory. Every run is a process of its own, held to the same processors.

The log and one lake must fit on the disk of WORK: a size that does not is skipped, and the result says so. A log that
does not fit into memory beside them is read from the disk; the table says how much was. Needs Linux or macOS and
Python 3.11, no packages. The result is only worth quoting from an otherwise idle machine; the load found at the start
is printed with it.
"""

import argparse
import json
import math
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from common import (
    ROOT,
    Measured,
    Trouble,
    disk_bytes,
    load_at_start,
    machine,
    markdown,
    measure,
    median,
    megabytes,
    need_binary,
    say,
    scratch,
    spread,
    use_processors,
)

# A lake has about a fifth of the bytes of its log.
DISK_FACTOR = 1.4

UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True)
class Setting:
    """Other settings than the default ones."""

    command: str
    arguments: tuple[str, ...]
    means: str

    @property
    def bound_bytes(self) -> int | None:
        """What the process as a whole may have by this setting, where it says so."""
        name, value = self.arguments
        return size_of(value) if name == "--max-memory" else None


SETTINGS = (
    Setting("ingest", ("--threads", "1"), "buffers of one thread"),
    Setting("ingest", ("--commit-bytes", "128MiB"), "shorter commits"),
    Setting("detect", ("--max-memory", "512MiB"), "sorts and groups"),
    Setting("detect", ("--max-memory", "1GiB"), "sorts and groups"),
)


@dataclass
class Run:
    """One process and what it said."""

    measured: Measured
    count: int  # records, or findings
    unfinished: list[str] = field(default_factory=list)  # detections that could not be run


@dataclass
class Step:
    """One size."""

    bytes: int
    lake_bytes: int = 0
    ingest: list[Run] = field(default_factory=list)
    detect: list[Run] = field(default_factory=list)
    settings: list[tuple[Setting, Run]] = field(default_factory=list)

    def runs(self, command: str) -> list[Run]:
        return self.ingest if command == "ingest" else self.detect


def size_of(text: str) -> int:
    """`1.5GB` as 1,500,000,000."""
    found = re.fullmatch(r"([0-9]+(?:[.][0-9]+)?)([kKMG]i?B|)", text)
    if found is None or found[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"no size: {text}; write it as 500MB or 16GB")
    return round(float(found[1]) * UNITS[found[2]])


def ingest(s3trail: Path, log: Path, lake: Path, folder: Path, settings: tuple[str, ...] = ()) -> Run:
    shutil.rmtree(lake, ignore_errors=True)
    # What the run before left to be written must not be billed to this one.
    os.sync()
    command = [str(s3trail), "--quiet", "ingest", str(log), "--lake", str(lake), "--json", *settings]
    measured = measure(command, folder / "ingest")
    return Run(measured, json.loads(measured.stdout)["records"])


def detect(s3trail: Path, lake: Path, folder: Path, settings: tuple[str, ...] = ()) -> Run:
    answer = folder / "findings.json"
    command = [
        str(s3trail),
        "--quiet",
        "detect",
        "--lake",
        str(lake),
        "--format",
        "json",
        "-o",
        str(answer),
        *settings,
    ]
    # 2: some detections could not be run, which the answer names.
    measured = measure(command, folder / "detect", good=(0, 2))
    found = json.loads(answer.read_text())
    answer.unlink()
    return Run(measured, len(found["findings"]), [skipped["id"] for skipped in found["skipped"]])


def step(args: argparse.Namespace, s3trail: Path, size: int, at_an_end: bool, folder: Path) -> Step:
    """One size from generating to deleting."""
    say(f"{size / 1e9:g} GB: generating")
    logs, lake = folder / "logs", folder / "lake"
    traffic = ["--bytes", str(size), "--seed", str(args.seed), "--days", str(args.days), "--layout", "file"]
    measure([str(s3trail), "--quiet", "generate", *traffic, "-o", str(logs)], folder / "generate")
    log = logs / "access.log"
    done = Step(log.stat().st_size)
    for _ in range(args.runs):
        done.ingest.append(ingest(s3trail, log, lake, folder))
        say(f"{size / 1e9:g} GB: ingest {done.ingest[-1].measured.seconds:.2f} s")
    done.lake_bytes = disk_bytes(lake)
    for _ in range(args.runs):
        done.detect.append(detect(s3trail, lake, folder))
        say(f"{size / 1e9:g} GB: detect {done.detect[-1].measured.seconds:.2f} s")
    if at_an_end and not args.no_settings:
        # Detections first: they need the lake as it is.
        for setting in sorted(SETTINGS, key=lambda setting: setting.command):
            if setting.command == "detect":
                run = detect(s3trail, lake, folder, setting.arguments)
            else:
                run = ingest(s3trail, log, lake, folder, setting.arguments)
            done.settings.append((setting, run))
            say(
                f"{size / 1e9:g} GB: {setting.command} {' '.join(setting.arguments)} {run.measured.seconds:.2f} s"
            )
    shutil.rmtree(logs)
    shutil.rmtree(lake)
    return done


def exponent(points: list[tuple[float, float]]) -> float:
    """The slope of the straight line through the logarithms, by least squares."""
    xs, ys = ([math.log(value) for value in values] for values in zip(*points))
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys)) / sum((x - x_mean) ** 2 for x in xs)


def exponents(steps: list[Step], command: str) -> dict[str, float]:
    """Of wall-clock and of processor time, by the medians of the runs."""

    def of(seconds) -> float:
        return exponent(
            [(one.bytes, median([seconds(run.measured) for run in one.runs(command)])) for one in steps]
        )

    return {"seconds": of(lambda run: run.seconds), "cpu_seconds": of(lambda run: run.cpu_seconds)}


# --- Tables ----------------------------------------------------------------------------------------


def peak(runs: list[Run]) -> int:
    return max(run.measured.peak_rss_bytes for run in runs)


def from_disk(runs: list[Run]) -> str:
    counts = [run.measured.disk_bytes for run in runs if run.measured.disk_bytes is not None]
    return megabytes(median(counts)) if counts else "?"


def time_table(steps: list[Step], command: str, counted: str) -> str:
    columns = ["log", f"{command} s (min / median / max)", "MB/s", "CPU s", "peak RSS", "from disk", counted]
    rows = []
    for one in steps:
        runs = one.runs(command)
        seconds = [run.measured.seconds for run in runs]
        unfinished = runs[-1].unfinished
        rows.append(
            [
                f"{one.bytes / 1e9:,.2f} GB",
                spread(seconds),
                f"{one.bytes / 1e6 / median(seconds):,.0f}",
                f"{median([run.measured.cpu_seconds for run in runs]):.2f}",
                megabytes(peak(runs)),
                from_disk(runs),
                f"{runs[-1].count:,}" + (f", not run: {', '.join(unfinished)}" if unfinished else ""),
            ]
        )
    return markdown(columns, rows)


def settings_table(steps: list[Step]) -> str:
    columns = ["setting", "bounds", "log", "seconds", "peak RSS", "within the bound", "result"]
    rows = []
    for setting in SETTINGS:
        for one in steps:
            for made, run in one.settings:
                if made != setting:
                    continue
                bound, usual = setting.bound_bytes, one.runs(setting.command)[-1]
                result = (
                    "as with default settings"
                    if run.count == usual.count
                    else f"{run.count:,} instead of {usual.count:,}"
                )
                if run.unfinished:
                    result += f", not run: {', '.join(run.unfinished)}"
                within = (
                    "" if bound is None else ("yes" if run.measured.peak_rss_bytes <= bound else "**no**")
                )
                rows.append(
                    [
                        f"`{setting.command} {' '.join(setting.arguments)}`",
                        setting.means,
                        f"{one.bytes / 1e9:,.2f} GB",
                        f"{run.measured.seconds:.2f}",
                        megabytes(run.measured.peak_rss_bytes),
                        within,
                        result,
                    ]
                )
    return markdown(columns, rows)


def growth_note(steps: list[Step], command: str) -> str:
    peaks = [peak(one.runs(command)) for one in steps]
    note = f"- {command}: "
    if len({one.bytes for one in steps}) > 1:
        slopes = exponents(steps, command)
        note += f"**exponent {slopes['seconds']:.3f}** of seconds against bytes ({slopes['cpu_seconds']:.3f} of CPU seconds); "
    return note + (
        f"peak RSS {megabytes(min(peaks))} to {megabytes(max(peaks))}, at the greatest size "
        f"{peaks[-1] / peaks[0]:.2f} times that at the least."
    )


def as_json(steps: list[Step], context: dict) -> dict:
    def run_json(run: Run) -> dict:
        measured = run.measured
        return {
            "seconds": measured.seconds,
            "cpu_seconds": measured.cpu_seconds,
            "peak_rss_bytes": measured.peak_rss_bytes,
            "disk_bytes": measured.disk_bytes,
            "count": run.count,
            "unfinished": run.unfinished,
        }

    made = [
        {
            "bytes": one.bytes,
            "lake_bytes": one.lake_bytes,
            "ingest": [run_json(run) for run in one.ingest],
            "detect": [run_json(run) for run in one.detect],
            "settings": [
                {"command": setting.command, "arguments": setting.arguments, **run_json(run)}
                for setting, run in one.settings
            ],
        }
        for one in steps
    ]
    facts = {**context, "steps": made}
    if len(steps) > 1:
        facts["exponents"] = {command: exponents(steps, command) for command in ("ingest", "detect")}
    return facts


# --- Main --------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = ["1GB", "2GB", "4GB", "8GB", "16GB", "20GB"]
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=size_of,
        default=[size_of(size) for size in sizes],
        metavar="SIZE",
        help=f"sizes of the logs (default {' '.join(sizes)})",
    )
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each (default %(default)s)")
    parser.add_argument(
        "--days", type=int, default=14, help="over so many days, whatever the size (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-settings", action="store_true", help="leave out the runs with other settings")
    parser.add_argument("--threads", type=int, default=2, help="threads and processors (default %(default)s)")
    parser.add_argument("--bin", type=Path, default=ROOT / "target" / "release" / "s3trail")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "target" / "peers", help="scratch directory (default %(default)s)"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures there too, after every size"
    )
    args = parser.parse_args()
    if min(args.runs, args.threads, args.days, *args.sizes) < 1:
        parser.error("numbers start at 1")
    return args


def compare(args: argparse.Namespace) -> None:
    s3trail = need_binary(args.bin)
    load = load_at_start()
    use_processors(args.threads)
    sizes = sorted(set(args.sizes))
    steps: list[Step] = []
    skipped: dict[str, str] = {}
    where = machine(load)
    context = {
        "days": args.days,
        "seed": args.seed,
        "threads": args.threads,
        "machine": where,
        "skipped": skipped,
    }
    with scratch(args.work, "growth") as folder:
        fitting = []
        for size in sizes:
            free = shutil.disk_usage(folder).free
            if size * DISK_FACTOR > free:
                skipped[f"{size / 1e9:g} GB"] = (
                    f"needs about {megabytes(size * DISK_FACTOR)} of disk, {megabytes(free)} are free"
                )
            else:
                fitting.append(size)
        if not fitting:
            raise Trouble("none of the sizes fits on the disk")
        for size in fitting:
            steps.append(step(args, s3trail, size, size in (fitting[0], fitting[-1]), folder))
            if args.json is not None:
                args.json.write_text(json.dumps(as_json(steps, context), indent=2) + "\n")
    print(
        f"Logs of {args.days} days in one file; {args.threads} threads; {args.runs} runs of each; "
        f"{where['processor']}, {where['system']}, load at start {load:.2f}.\n"
    )
    print(time_table(steps, "ingest", "records"))
    print(f"\n{time_table(steps, 'detect', 'findings')}")
    if any(one.settings for one in steps):
        print(f"\n{settings_table(steps)}")
    print()
    for command in ("ingest", "detect"):
        print(growth_note(steps, command))
    print(
        "- from disk: bytes that were read from a disk and not from the page cache. Peak RSS is the greatest of all runs. "
        "MB/s counts the bytes of the log, also for detect, which reads the lake."
    )
    for size, reason in skipped.items():
        print(f"- Skipped: {size}: {reason}.")


def main() -> int:
    args = arguments()
    try:
        compare(args)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
