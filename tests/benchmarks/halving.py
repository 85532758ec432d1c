"""How much sooner a stage comes to a good trial when hopeless ones stop early: the book's stage, seed by seed.

``python tests/benchmarks/halving.py [SEEDS]`` prints the table; `measure` gives the same as data. Both stages of a
seed run one after the other, so that a machine which others use as well slows both.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.executors import blas

blas.pin()

from hpsearch.search.workflow import Job, run  # noqa: E402  (NumPy comes with it)
from hpsearch.store import open_store  # noqa: E402

NEAR = 0.02
"""So close to the full stage's best score a trial must come: half a standard error on the book's 100 images."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One stage of 100 trials.

    Args:
        seconds: From the start of its first trial to the end of its last.
        best: The best score.
        curve: When trials ran to the end, and their scores: seconds from the start of the first trial.
        pruned: How many were stopped early.
    """

    seconds: float
    best: float
    curve: tuple[tuple[float, float], ...]
    pruned: int

    def reaches(self, score: float) -> float | None:
        """When the best score so far first came to this one, in seconds; None: never."""
        return min((at for at, found in self.curve if found >= score), default=None)


@dataclass(frozen=True, slots=True)
class Pair:
    """The stages of one seed, without pruning and with."""

    seed: int
    full: Ran
    pruned: Ran

    @property
    def near(self) -> float:
        """The score to come to."""
        return self.full.best - NEAR - 1e-9  # 0.76 - 0.02 is not quite 0.74 in binary

    @property
    def speedup(self) -> float:
        """How many times sooner the stage with pruning comes to it; 0 where it never does."""
        at, before = self.pruned.reaches(self.near), self.full.reaches(self.near)
        assert before is not None
        return 0.0 if at is None else before / at


def ran(folder: Path, *, seed: int, pruner: str, study: str | None = None, jobs: int | None = None) -> Ran:
    """Run one stage, and read from the database when its trials finished."""
    file = folder / f"{pruner}-{seed}.db"
    run(Job(storage=str(file), study=study, seed=seed, pruner=pruner, jobs=jobs))
    store = open_store(str(file))
    try:
        (stage,) = store.stages()
        frame = store.trials(stage)
        pruned = store.counts(stage).pruned
    finally:
        store.close()
    frame["at"] = (frame["finished"] - frame["started"].min()).dt.total_seconds()
    complete = frame[frame["state"] == "COMPLETE"].sort_values("at")
    curve = tuple(zip(complete["at"].tolist(), complete["score"].tolist(), strict=True))
    return Ran(float(frame["at"].max()), float(complete["score"].max()), curve, pruned)


def measure(
    seeds: Iterable[int], *, pruner: str = "halving", study: str | None = None, jobs: int | None = None
) -> list[Pair]:
    """Both stages of each seed.

    Args:
        seeds: Of the stages.
        pruner: The rule.
        study: Study file or name; None for the book's.
        jobs: Processes; None for one a core.
    """
    pairs = []
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            full, pruned = (
                ran(Path(name), seed=seed, pruner=rule, study=study, jobs=jobs) for rule in ("none", pruner)
            )
            pairs.append(Pair(seed, full, pruned))
    return pairs


def table(pairs: list[Pair]) -> str:
    """The measurement for people."""
    lines = ["seed   stage s: full  pruned  times   best: full  pruned   to full best - 0.02, s: full  pruned  times"]
    for pair in pairs:
        full, pruned = pair.full, pair.pruned
        near, soon = full.reaches(pair.near), pruned.reaches(pair.near)
        lines.append(
            f"{pair.seed:4} {full.seconds:15.2f} {pruned.seconds:7.2f} {full.seconds / pruned.seconds:6.2f}"
            f" {full.best:12.2f} {pruned.best:7.2f} {near or 0:28.2f} {soon or float('nan'):7.2f} {pair.speedup:6.2f}"
        )
    reached = [pair for pair in pairs if pair.speedup]
    sums = [sum(_reached(pair)[side] or 0.0 for pair in reached) for side in (0, 1)]
    in_sum = f"{sums[0] / sums[1]:.2f}" if reached else "-"
    stages = [sum(side) for side in zip(*((pair.full.seconds, pair.pruned.seconds) for pair in pairs), strict=True)]
    median = statistics.median(pair.speedup for pair in pairs)
    lines.append(
        f"stage: {stages[0] / stages[1]:.2f} times as fast in sum; to a good trial: {in_sum} in sum, "
        f"{median:.2f} in the median; {len(reached)} of {len(pairs)} came to it"
    )
    return "\n".join(lines)


def _reached(pair: Pair) -> tuple[float | None, float | None]:
    return pair.full.reaches(pair.near), pair.pruned.reaches(pair.near)


if __name__ == "__main__":
    print(table(measure(range(int(sys.argv[1]) if len(sys.argv) > 1 else 10))))
