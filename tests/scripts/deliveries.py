"""What was delivered to a source, what must have been committed by now, and whether an answer fits both.

The log objects are thought of here, so every line of them is known; putting them into folders, and asking, is
up to others. Any thread may call anything of a `Book` at any time.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


def line(number: int, day: int) -> bytes:
    """The log record with this number: no two of them are the same, and none depends on the run."""
    second = number * 7919 % 86_400
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    key = f"photos/{number % 977}/{number}.jpg"
    return (
        "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-data"
        f" [{day + 1:02}/Mar/2026:{clock} +0000] 192.0.2.{number % 250}"
        f" arn:aws:iam::111122223333:user/reader-{number % 13} {number:016X} REST.GET.OBJECT {key}"
        f' "GET /{key}?n={number % 5} HTTP/1.1" 200 - {number % 100_003} {number % 100_003 + 17} {number % 251} 7'
        f' "-" "aws-cli/2.{number % 31}" - {number * 2654435761 % (1 << 64):016x}= SigV4 TLS_AES_128_GCM_SHA256'
        " AuthHeader amzn-s3-demo-data.s3.eu-west-1.amazonaws.com TLSv1.3 - - -\n"
    ).encode()


def reject(name: str) -> str:
    return f"no log record, in {name}"


@dataclass(frozen=True)
class LogObject:
    folder: str
    name: str
    lines: tuple[int, ...]
    has_reject: bool


class Totals(NamedTuple):
    """What is in a number of log objects; `distinct` without what came before."""

    objects: int = 0
    records: int = 0
    distinct: int = 0
    first_day_records: int = 0
    first_day_distinct: int = 0
    rejects: int = 0


class Roll:
    """Log objects in the order in which something happened to them, with running totals."""

    def __init__(self) -> None:
        self.objects: list[LogObject] = []
        self.totals = [Totals()]
        self.seen: set[int] = set()

    def add(self, added: LogObject, days: list[int]) -> None:
        fresh = set(added.lines) - self.seen
        self.seen |= fresh
        last = self.totals[-1]
        self.totals.append(
            Totals(
                last.objects + 1,
                last.records + len(added.lines),
                last.distinct + len(fresh),
                last.first_day_records + sum(days[number] == 0 for number in added.lines),
                last.first_day_distinct + sum(days[number] == 0 for number in fresh),
                last.rejects + added.has_reject,
            )
        )
        self.objects.append(added)


class Book:
    """Who delivered and committed what, and what answers have shown. All of it only grows."""

    def __init__(self, folders: Iterable[str]) -> None:
        self.lock = threading.Lock()
        self.days: list[int] = []  # of each line, by number
        self.copies: Counter[int] = Counter()  # of each line delivered
        self.by_key: dict[tuple[str, str], LogObject] = {}
        self.delivered = Roll()
        self.committed = Roll()
        self.waiting: dict[str, list[LogObject]] = {folder: [] for folder in folders}
        self.is_committed: set[LogObject] = set()
        self.floors: dict[str, int] = {}

    def write(self, folder: str, chance: random.Random, front: int, records: int) -> LogObject:
        """A log object with so many new lines, of the day `front` or late. From now on it may be seen."""
        with self.lock:
            is_late = chance.random() < 0.25
            lines = []
            for _ in range(records):
                lines.append(len(self.days))
                self.days.append(chance.randint(0, front) if is_late else front)
            if self.delivered.objects and chance.random() < 0.3:
                for _ in range(chance.randint(1, 10)):
                    # Never the first line of a log object: so each keeps a record, whatever is removed.
                    lines.append(chance.choice(chance.choice(self.delivered.objects).lines[1:]))
            at = f"2026-03-{front + 1:02}-{len(self.by_key) // 3600 % 24:02}-{len(self.by_key) // 60 % 60:02}"
            name = f"{at}-{len(self.by_key) % 60:02}-{len(self.by_key):016X}"
            written = LogObject(folder, name, tuple(lines), chance.random() < 0.05)
            self.by_key[folder, name] = written
            self.copies.update(written.lines)
            self.delivered.add(written, self.days)
            return written

    def arrived(self, written: LogObject) -> None:
        """It is in its folder: an ingest that begins from now on has to find it."""
        with self.lock:
            self.waiting[written.folder].append(written)

    def to_commit(self, folder: str) -> list[LogObject]:
        """What an ingest that begins now will have committed when it ends."""
        with self.lock:
            return list(self.waiting[folder])

    def commit(self, taken: list[LogObject]) -> None:
        with self.lock:
            for log_object in taken:
                if log_object not in self.is_committed:
                    self.is_committed.add(log_object)
                    self.committed.add(log_object, self.days)
                    self.waiting[log_object.folder].remove(log_object)

    def text(self, written: LogObject) -> bytes:
        lines = [line(number, self.days[number]) for number in written.lines]
        if written.has_reject:
            lines.append(reject(written.name).encode() + b"\n")
        return b"".join(lines)


class Look:
    """A question to the lake: what its answer must show from when it began, and may from when it ended."""

    def __init__(self, book: Book):
        self.book = book
        with book.lock:
            self.before = book.committed.totals[-1]
            self.floors = dict(book.floors)
        self.after = Totals()
        self.wrong: list[str] = []

    def end(self) -> None:
        with self.book.lock:
            self.after = self.book.delivered.totals[-1]

    def must_be_seen(self) -> list[LogObject]:
        return self.book.committed.objects[: self.before.objects]

    def between(self, what: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            self.wrong.append(f"{what} is {value:,}, and should be from {low:,} to {high:,}")

    def never_falls(self, what: str, value: int, low: int, high: int) -> None:
        self.between(what, value, low, high)
        if value < self.floors.get(what, 0):
            self.wrong.append(
                f"{what} is {value:,}; an answer before this question had {self.floors[what]:,}"
            )
        with self.book.lock:
            self.book.floors[what] = max(value, self.book.floors.get(what, 0))

    def copies(self, copies: Iterable[tuple[int, int]]) -> None:
        """Of lines by number: none may be there more often than it was delivered."""
        with self.book.lock:
            for number, found in copies:
                if found > self.book.copies[number]:
                    self.wrong.append(
                        f"line {number:016X} is there {found} times, and was delivered {self.book.copies[number]} times"
                    )
