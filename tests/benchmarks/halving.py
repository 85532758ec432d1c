"""How much sooner a stage comes to a good trial when unpromising trials are pruned: the book's stage, seed by seed.

``python tests/benchmarks/halving.py [SEEDS]`` prints a table. Both stages of a seed run one after the other, so that a
machine which others use as well slows both.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from hpsearch.executors.base import pin

pin()

from measuring import markdown  # noqa: E402  (NumPy comes with it)

from hpsearch.search.workflow import Job, run  # noqa: E402
from hpsearch.store import open_store  # noqa: E402

NEAR = 0.02  # so close to the full stage's best score a trial must come: half a standard error on 100 images


class Ran(NamedTuple):
    """One stage."""

    seconds: float  # from the start of its first trial to the end of its last
    best: float  # the best score
    ends: list[tuple[float, float]]  # of complete trials, in seconds from the start of the first, each with its score

    def reaches(self, score: float) -> float | None:
        """The second in which a trial first came to this score; None: never."""
        return min((at for at, reached in self.ends if reached >= score), default=None)


def ran(folder: Path, seed: int, pruner: str, study: str | None) -> Ran:
    """Run one stage, and read from the database when its trials finished."""
    file = folder / f"{pruner}-{seed}.db"
    run(Job(storage=str(file), study=study, seed=seed, pruner=pruner))
    with closing(open_store(str(file))) as store:
        frame = store.trials(store.stages()[0])
    at = (frame["finished"] - frame["started"].min()).dt.total_seconds()
    complete = frame["state"] == "COMPLETE"
    scores = frame["score"][complete].tolist()
    return Ran(float(at.max()), max(scores), list(zip(at[complete].tolist(), scores, strict=True)))


def main() -> None:
    """Run the pairs and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="?", default=10, help="how many")
    parser.add_argument("--study", help="study file or name; by default the book's")
    options = parser.parse_args()
    rows, stages, speedups = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            full, pruned = (ran(Path(folder), seed, rule, options.study) for rule in ("none", "halving"))
            near = full.best - NEAR - 1e-9  # 0.76 - 0.02 is not quite 0.74 in binary
            before, after = full.reaches(near), pruned.reaches(near)
            assert before is not None
            stages.append(full.seconds / pruned.seconds)
            speedups.append(0.0 if after is None else before / after)
            values = (full.seconds, pruned.seconds, stages[-1], full.best, pruned.best, before, after, speedups[-1])
            rows.append((str(seed), *("-" if value is None else f"{value:.2f}" for value in values)))
    heading = ("seed", "stage, s", "pruned, s", "x", "best", "pruned", "near the best, s", "pruned, s", "x")
    print(markdown(heading, rows))
    print(f"medians: stage {median(stages):.2f} x, to a good trial {median(speedups):.2f} x (0 where none is reached);")
    print(f"{sum(map(bool, speedups))} of {len(rows)} reach one")


if __name__ == "__main__":
    main()
