"""A folder in which one fault happens, and the judgement of what it left behind."""

from __future__ import annotations

import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tiny

from faulty import search
from faulty.hooks import counted, dies_at
from faulty.process import LIMIT_S, Hook, Run, Running
from faulty.search import LANES, Found, Rows
from hpsearch.store import open_store


@dataclass(frozen=True)
class Result:
    """The cost of a fault."""

    losses: int = 0  # trials that were finished after the fault, and are missing or were run again
    duplicates: int = 0  # rows that are there more than once, and trials that were recorded more than once
    differing: int = 0  # trials that differ from an undisturbed run's, in the last bit of anything
    running_left: int = 0  # trials that were still RUNNING after the next start
    again: int = 0  # batches of trials that were begun more than once
    wrong: tuple[str, ...] = ()  # what else should not have been: exit codes, tracebacks, words

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.losses or self.duplicates or self.differing or self.running_left or self.wrong)


def when(condition: Callable[[], bool], run: Run, *, within: float = LIMIT_S) -> bool:
    """Wait until it comes to that, the command is over, or so many seconds have passed; whether it came to that."""
    end = time.monotonic() + within
    while not condition() and not run.over and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


class Undisturbed:
    """The search as it goes where nothing happens, which all others are compared with."""

    def __init__(self, trials: int) -> None:
        self.trials, self.batches = trials, math.ceil(trials / LANES)
        with Place(self, random.Random(0), database=None) as place:
            open_store(str(place.folder / "empty.db"), create=True).close()
            self.empty = (place.folder / "empty.db").read_bytes()
            for _ in range(2):  # the second time for the seconds
                place.file.write_bytes(self.empty)
                place.begun_log.unlink(missing_ok=True)
                counts = place.folder / "statements"
                began = time.monotonic()
                run = place.start(partial(dies_at, None, counts))
                when(lambda: place.begun() > 0, run)
                self.before_seconds = time.monotonic() - began
                assert run.wait() == 0, run.lines
            self.seconds = time.monotonic() - began
            self.statements = int(counts.read_text())
            found = search.read(place.url)
            assert len(found.rows) == trials
            assert set(search.begun_in(place.begun_log).values()) == {1}
            self.rows: Rows = found.rows
            self.size = place.file.stat().st_size


@dataclass
class Place:
    """A folder with the study file and a database, in which commands run; all is gone after the block."""

    undisturbed: Undisturbed  # the search without any fault
    rng: random.Random  # decides whatever of a fault is left to chance
    # URL of a server's database without stages; None: a SQLite file, in `disk` or in the folder
    database: str | None = None
    disk: Path | None = None
    wrong: list[str] = field(default_factory=list)

    def __enter__(self) -> Place:
        self.folder = Path(tempfile.mkdtemp(prefix="hpsearch-fault-"))
        self.file = (self.disk or self.folder) / "my.db"
        self.begun_log, self.recorded_log = self.folder / "begun", self.folder / "recorded"
        tiny.write(self.folder, trials={"count": self.undisturbed.trials})
        if self.database is None and hasattr(self.undisturbed, "empty"):
            self.file.write_bytes(self.undisturbed.empty)
        self.commands = Running(self.folder)
        return self

    def __exit__(self, *_: Any) -> None:
        self.commands.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """The database, as SQLAlchemy takes it."""
        return self.database or f"sqlite:///{self.file}"

    def start(self, *hooks: Hook, engine: Sequence[str] = ("inline",), url: str | None = None) -> Run:
        """Run ``hpsearch start``."""
        storage = url or self.database or str(self.file)
        words = ("start", "tiny.toml", "--storage", storage, "--lanes", str(LANES), "--engine", *engine)
        return self.commands.start(*words, hooks=(partial(counted, self.begun_log, self.recorded_log), *hooks))

    def status(self) -> Run:
        """Run ``hpsearch status``."""
        return self.commands.start("status", "--storage", str(self.file))

    def begun(self) -> int:
        """The number of batches that were begun so far."""
        return self.begun_log.read_bytes().count(b"\n") if self.begun_log.exists() else 0

    def under_way(self) -> set[int]:
        """Trials that were begun and not recorded yet."""
        return set(search.begun_in(self.begun_log)) - set(search.begun_in(self.recorded_log))

    def at_any_moment(self, run: Run, *, within: float = LIMIT_S) -> None:
        """Let a random part of the command pass, from its first instructions to its last, within so many seconds."""
        whole, already = self.undisturbed, self.begun()
        passed = self.rng.randrange(-3, whole.batches + 1)
        if passed >= 0:
            when(lambda: self.begun() >= already + passed, run, within=within)
            time.sleep(self.rng.uniform(0, 2 * (whole.seconds - whole.before_seconds) / whole.batches))
        else:
            time.sleep(self.rng.uniform(0, whole.before_seconds))

    def expect(self, run: Run, *codes: int) -> None:
        """Wait for a command; note an exit code other than these, a traceback, and more than one line of complaint."""
        code, lines = run.wait(), run.lines
        last = " | ".join(lines[-3:])
        if code not in codes:
            self.wrong.append(f"exit code {code}, not {' or '.join(map(str, codes))}: {last}")
        for sign in ("Traceback", "internal error", "defect of hpsearch", "Exception ignored", "locked"):
            if any(sign in line for line in lines):
                self.wrong.append(f"{sign!r} in: {last}")
        complaints = [line for line in lines if line.startswith("hpsearch: ")]
        if code > 0 and (len(complaints) != 1 or lines[-1] != complaints[0]):
            self.wrong.append(f"exit code {code}, and not one line: {last}")

    def judged(self, before: Found) -> Result:
        """Start once more, which must complete the search, and compare."""
        begun_before = search.begun_in(self.begun_log)
        self.expect(self.start(), 0)
        after, begun = search.read(self.url), search.begun_in(self.begun_log)
        lost = [
            number
            for number, when in before.finished_at.items()
            if after.finished_at.get(number) != when or begun[number] != begun_before[number]
        ]
        whole = self.undisturbed.rows
        twice = sum(times - 1 for times in search.begun_in(self.recorded_log).values())
        return Result(
            losses=len(lost),
            duplicates=after.repeated + twice,
            differing=sum(after.rows.get(number) != whole.get(number) for number in whole.keys() | after.rows.keys()),
            running_left=after.running,
            again=math.ceil(sum(times - 1 for times in begun.values()) / LANES),
            wrong=tuple(self.wrong),
        )
