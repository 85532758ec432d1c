"""Hundreds of faults of every kind, and what they cost, as a Markdown table.

``python tests/benchmarks/faults.py --count 200`` takes 200 of each kind, two at a time. Each runs a search of 100
small networks with the command line's own code, breaks something at a random moment, starts it again, and compares
all that is in the database with an undisturbed run. The first lines are progress, on standard error; so is what went
wrong, with the seed that makes it happen again: ``--kinds KIND --seed SEED --count 1``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from faulty.faults import KINDS, Kind, World, lacking
from faulty.place import Result
from measuring import markdown

COUNTS = ("losses", "duplicates", "differing", "running_left")
HEADING = ("fault", "count", *COUNTS, "batches trained again, at most", "anything else")


def row(kind: Kind, results: Sequence[Result]) -> tuple[str, ...]:
    """A kind's line of the table."""
    counts = [str(sum(getattr(result, name) for result in results)) for name in COUNTS]
    counts.append(str(max(result.again for result in results)))
    wrong = str(sum(bool(result.wrong) for result in results))
    # Where the search does not end only the commands' words are judged.
    return kind.words, str(len(results)), *(counts if kind.ends else ["-"] * len(counts)), wrong


def main() -> int:
    """Make faults happen; returns how many were not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="faults of each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="of the first fault of each kind")
    parser.add_argument("--at-once", type=int, default=2, help="so many at a time")
    options = parser.parse_args()
    rows, bad = [], 0
    with closing(World()) as world, ThreadPoolExecutor(options.at_once) as pool:
        for kind in options.kinds:
            if (reason := lacking(kind)) is not None:
                print(f"{kind}: left out, {reason}", file=sys.stderr)
                continue
            began, seeds = time.monotonic(), range(options.seed, options.seed + options.count)
            results = list(pool.map(world.suffer, [kind] * options.count, seeds))
            for seed, result in zip(seeds, results, strict=True):
                if not result.clean:
                    bad += 1
                    print(f"--kinds {kind} --seed {seed}: {result}", file=sys.stderr)
            rows.append(row(KINDS[kind], results))
            print(f"{kind}: {len(results)} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(markdown(HEADING, rows))
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())
