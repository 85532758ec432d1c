"""How much sooner a stage comes to a good trial when unpromising trials are pruned: the book's stage, seed by seed.

``python tests/benchmarks/halving.py [SEEDS]`` prints a table, or with ``--json`` the pairs as data. Both stages of a
seed run one after the other, so that a machine which others use as well slows both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from hpsearch.executors.base import pin

pin()

from measuring import markdown  # noqa: E402  (NumPy comes with it)

from hpsearch.search.workflow import Job, run  # noqa: E402
from hpsearch.store import open_store  # noqa: E402

NEAR = 0.02
"""So close to the full stage's best score a trial must come: half a standard error on the book's 100 images."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One stage."""

    seconds: float  # from the start of its first trial to the end of its last
    best: float  # the best score
    # ends of complete trials in seconds from the start of the first, each with its score
    curve: tuple[tuple[float, float], ...]
    pruned: int  # how many were pruned

    def reaches(self, score: float) -> float | None:
        """The second in which the best score so far first came to this one; None: never."""
        return min((at for at, reached in self.curve if reached >= score), default=None)


@dataclass(frozen=True, slots=True)
class Pair:
    """The stages of one seed, without pruning and with it, and when each came near the best of the first."""

    seed: int
    full: Ran
    pruned: Ran
    full_reaches: float
    pruned_reaches: float | None

    @property
    def speedup(self) -> float:
        """How many times sooner the stage with pruning comes to it; 0 where it never does."""
        return self.full_reaches / self.pruned_reaches if self.pruned_reaches is not None else 0.0


def ran(folder: Path, seed: int, pruner: str, study: str | None) -> Ran:
    """Run one stage, and read from the database when its trials finished."""
    file = folder / f"{pruner}-{seed}.db"
    run(Job(storage=str(file), study=study, seed=seed, pruner=pruner))
    store = open_store(str(file))
    try:
        (stage,) = store.stages()
        frame, pruned = store.trials(stage), store.counts(stage).pruned
    finally:
        store.close()
    frame["at"] = (frame["finished"] - frame["started"].min()).dt.total_seconds()
    complete = frame[frame["state"] == "COMPLETE"].sort_values("at")
    curve = tuple(zip(complete["at"].tolist(), complete["score"].tolist(), strict=True))
    return Ran(float(frame["at"].max()), float(complete["score"].max()), curve, pruned)


def pair(folder: Path, seed: int, study: str | None) -> Pair:
    """Both stages of a seed."""
    full, pruned = (ran(folder, seed, rule, study) for rule in ("none", "halving"))
    near = full.best - NEAR - 1e-9  # 0.76 - 0.02 is not quite 0.74 in binary
    before = full.reaches(near)
    assert before is not None
    return Pair(seed, full, pruned, before, pruned.reaches(near))


def table(pairs: list[Pair]) -> str:
    """The measurement for people."""
    heading = ("seed", "stage, s", "pruned, s", "x", "best", "pruned", "near the best, s", "pruned, s", "x")
    rows = []
    for one in pairs:
        values = (one.full.seconds, one.pruned.seconds, one.full.seconds / one.pruned.seconds, one.full.best)
        more = (one.pruned.best, one.full_reaches, one.pruned_reaches, one.speedup)
        rows.append((str(one.seed), *("-" if value is None else f"{value:.2f}" for value in (*values, *more))))
    reached = [one for one in pairs if one.pruned_reaches is not None]
    in_sum = sum(one.full_reaches for one in reached) / max(sum(one.pruned_reaches or 0 for one in reached), 1e-9)
    stages = sum(one.full.seconds for one in pairs) / sum(one.pruned.seconds for one in pairs)
    return markdown(heading, rows) + (
        f"\nstage: {stages:.2f} times as fast in sum; to a good trial: {in_sum:.2f} in sum, "
        f"{statistics.median(one.speedup for one in pairs):.2f} in the median; {len(reached)} of {len(pairs)} reach one"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="?", default=10, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--study", help="study file or name; by default the book's")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = range(options.first, options.first + options.seeds)
        pairs = [pair(Path(folder), seed, options.study) for seed in seeds]
    print(json.dumps([{**asdict(one), "speedup": one.speedup} for one in pairs]) if options.json else table(pairs))


if __name__ == "__main__":
    main()
