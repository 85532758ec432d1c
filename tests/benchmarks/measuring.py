"""Samples taken in rounds, what follows from them, and Markdown tables: shared by all benchmarks."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Literal, Self, TypeAlias

import numpy as np

PACKAGES = ("hpsearch", "numpy", "optuna", "sqlalchemy", "pandas", "torch", "scikit-learn", "rustuna")
Sample: TypeAlias = dict[str, Any]  # one measurement: its ``seconds``, which are compared, and whatever else was seen
Samples: TypeAlias = dict[str, list[Sample]]  # samples by contender, a sample a round
Measure: TypeAlias = Callable[[int], Sample]  # takes one measurement, in the round of that number


def turn(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: each contender comes first in its turn, so that none always follows the same one."""
    at = number % len(names)
    return [*names[at:], *names[:at]]


def interleave(part: str, contenders: Mapping[str, Measure], *, rounds: int) -> Samples:
    """Measure every contender once a round, so that what disturbs the machine disturbs all of them."""
    samples: Samples = {name: [] for name in contenders}
    for number in range(rounds):
        for name in turn(list(contenders), number):
            sample = contenders[name](number)
            samples[name].append(sample)
            took = f"{sample['seconds']:.3f} s"
            print(f"{part}, round {number + 1}/{rounds}: {name}: {took}", file=sys.stderr, flush=True)
    return samples


def by_round(samples: Iterable[Sample], name: str = "seconds") -> list[Any]:
    """One of the values by round."""
    return [sample[name] for sample in samples]


@dataclass(frozen=True, slots=True)
class Spread:
    """A value measured in several rounds: the median of all, and the smallest and largest of any one."""

    value: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median of values, and their ends."""
    return Spread(median(values), min(values), max(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """The ratio of two medians, and the ends of the ratios round by round."""
    rounds = [a / b for a, b in zip(above, below, strict=True)]
    return Spread(median(above) / median(below), min(rounds), max(rounds))


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table."""

    what: str  # the comparison in words
    measured: Spread
    unit: str = "x"  # behind the value: ``x`` for a ratio, ``s``, ``MB``; empty for a share
    asked: float | None = None  # the value asked for; None where the row is shown for information
    bound: Literal["at least", "at most"] = "at least"  # whether that is the least or the most allowed
    ours: str = ""  # our time, in words
    theirs: str = ""  # the peer's time, in words
    note: str = ""  # conditions of the measurement

    @classmethod
    def against(cls, what: str, *, theirs: Sequence[float], ours: Sequence[float], **more: Any) -> Self:
        """How many times longer the peer's seconds are than ours, which were measured in the same rounds."""
        return cls(what, ratio(theirs, ours), ours=median_s(ours), theirs=median_s(theirs), **more)

    @property
    def met(self) -> bool | None:
        """Whether the value is as asked; None where nothing is asked."""
        if self.asked is None:
            return None
        value = self.measured.value
        return value >= self.asked if self.bound == "at least" else value <= self.asked

    @property
    def row(self) -> tuple[str, ...]:
        """Its cells."""
        low, high = number(self.measured.low, ""), number(self.measured.high, "")
        asked = "-" if self.asked is None else f"{self.bound} {number(self.asked, self.unit)}"
        cells = (self.what, asked, number(self.measured.value, self.unit), f"{low} .. {high}")
        return (*cells, yes_or_no(self.met), self.ours or "-", self.theirs or "-", self.note or "-")


FIGURES = ("what", "asked", "measured", "rounds", "met", "ours", "theirs", "note")


@dataclass(frozen=True, slots=True)
class Setting:
    """Conditions of a run."""

    folder: Path  # for temporary files
    rounds: int  # how many times each contender is measured
    quick: bool = False  # a few trials do, to see that all of it runs; the figures then mean little

    def fresh_folder(self) -> Path:
        """An empty folder for one measurement."""
        return Path(tempfile.mkdtemp(dir=self.folder))


@dataclass(frozen=True, slots=True)
class Part:
    """Results of one part of the benchmark, or of some of it: rows of two tables, and samples."""

    figures: list[Figure]
    samples: Samples
    learned: list[tuple[str, ...]] = field(default_factory=list)  # see `workloads.learned`

    def __add__(self, other: Self) -> Self:
        return type(self)(self.figures + other.figures, self.samples | other.samples, self.learned + other.learned)


def median_s(values: Sequence[float]) -> str:
    """The median of some seconds, for the table."""
    return f"{median(values):.3g} s"


def number(value: float, unit: str) -> str:
    """Three digits and the unit: ``2.35x``, ``0.871``, ``412 MB``."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text}{unit}" if unit in ("", "x") else f"{text} {unit}"


def yes_or_no(answer: bool | None) -> str:
    """An answer as a cell of a table."""
    return {True: "yes", False: "**no**", None: "-"}[answer]


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def cores() -> list[int]:
    """The cores that this process may use; where the system does not say which, their numbers."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def load() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def machine(**more: Any) -> dict[str, Any]:
    """CPU, cores, memory, system, versions and BLAS, and more."""

    def entry(path: str, name: str) -> str:
        file = Path(path)
        match = re.search(rf"^{name}\s*:\s*(.+)$", file.read_text() if file.exists() else "", re.M)
        return match[1] if match else "unknown"

    def installed(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "missing"

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "CPU": entry("/proc/cpuinfo", "model name"),
        "cores": len(cores()),
        "memory": entry("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "BLAS of NumPy": f"{blas['name']} {blas['version']}",
        **{name: installed(name) for name in PACKAGES},
        **more,
    }


def machine_table(described: Mapping[str, Any]) -> str:
    """The machine as a table."""
    return markdown(("machine", ""), ([name, str(value)] for name, value in described.items()))
