"""What the comparisons here share: measuring a process, saying on what machine, Markdown tables. Knows no tool."""

import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "scripts"))

import pinned  # noqa: E402


class Trouble(Exception):
    """The comparison cannot go on; the text says why."""


@dataclass
class Measured:
    """One process, measured from outside."""

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    stdout: str
    # Bytes it got from read calls, cached or not, and those of them that came from a disk; what it maps into memory is
    # in neither. None where the system does not say (Linux does).
    read_bytes: Optional[int] = None
    disk_bytes: Optional[int] = None


def measure(
    command: Sequence[str], log: Path, limit_seconds: Optional[float] = None, good: Sequence[int] = (0,)
) -> Measured:
    """Runs `command` to its end. Output goes through files beside `log`, so no pipe can slow the process down.

    Raises `Trouble` when it ends with another code than the good ones, and when it takes longer than the limit.
    """
    out, err = log.with_suffix(".out"), log.with_suffix(".err")
    late = threading.Event()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)

        def stop() -> None:
            late.set()
            # Not `process.kill`, which would take away what is waited for below.
            os.kill(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit_seconds, stop) if limit_seconds is not None else None
        if timer is not None:
            timer.start()
        counted: dict[str, int] = {}
        if hasattr(os, "waitid"):
            # It has ended and is still there: what it counted can be read.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            ended = time.perf_counter()
            counted = counters(process.pid)
        if timer is not None:
            timer.cancel()
        _, status, usage = os.wait4(process.pid, 0)
        if not hasattr(os, "waitid"):
            ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if late.is_set() and process.returncode < 0:
        raise Trouble(f"{' '.join(command)}\ngave no answer within {limit_seconds:g} s")
    if process.returncode not in good:
        tail = err.read_text(errors="backslashreplace")[-2000:]
        raise Trouble(f"{' '.join(command)}\nended with {process.returncode}:\n{tail}")
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    text = out.read_text(errors="backslashreplace")
    peak = usage.ru_maxrss * unit
    return Measured(ended - started, cpu, peak, text, counted.get("rchar"), counted.get("read_bytes"))


def counters(pid: int) -> dict[str, int]:
    """What the system counts of a process that is alive, or has ended and was not waited for."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(count) for name, _, count in (line.partition(": ") for line in lines)}


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(seconds: Sequence[float]) -> str:
    """Least, median and most, for a cell of a table."""
    return f"{min(seconds):.2f} / **{median(seconds):.2f}** / {max(seconds):.2f}"


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table; all but the first columns to the right."""
    marks = ["---" if place < text_columns else "---:" for place in range(len(columns))]
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(marks)}|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def use_processors(threads: int) -> None:
    """Holds this process, and so everything it starts, to `threads` processors where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < threads:
            raise Trouble(f"--threads {threads}, but only {len(allowed)} processors may be used")
        os.sched_setaffinity(0, allowed[:threads])
    os.environ["RAYON_NUM_THREADS"] = str(threads)


def load_at_start() -> float:
    """The load of the machine, with a warning when it is not idle."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(
            f"warning: load average is {load:.1f}; figures from a busy machine are worth little",
            file=sys.stderr,
        )
    return load


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine(load: float) -> dict:
    """What ran the comparison, for the JSON."""
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.release()}",
        "load_at_start": load,
    }


def need_binary(path: Path) -> Path:
    if not path.is_file():
        raise Trouble(f"no binary at {path}; build it with: cargo build --release")
    return path.resolve()


@contextmanager
def scratch(work: Path, name: str) -> Iterator[Path]:
    """An empty directory, removed afterwards."""
    folder = work.resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def enter_environment(work: Path) -> None:
    """Goes on inside WORK/venv, which has the pinned packages; made on first use."""
    pinned.enter(work / "venv", HERE / "requirements.txt")


def say(text: str) -> None:
    """Progress, beside the result."""
    print(text, file=sys.stderr, flush=True)
