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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from faulty.faults import KINDS, Kind, World, lacking
from faulty.place import Result
from measuring import markdown

COLUMNS = (
    "fault",
    "count",
    "losses",
    "duplicates",
    "differing values",
    "RUNNING left",
    "batches trained again, at most",
    "anything else",
)


def row(kind: Kind, results: Sequence[Result]) -> tuple[str, ...]:
    """A kind's line of the table."""
    wrong = str(sum(bool(one.wrong) for one in results))
    if not kind.ends:  # only the commands' words are judged
        return kind.words, str(len(results)), *["-"] * 5, wrong
    counts = ([getattr(one, name) for one in results] for name in ("losses", "duplicates", "differing", "running_left"))
    again = max(one.again for one in results)
    return kind.words, str(len(results)), *(str(sum(count)) for count in counts), str(again), wrong


def main() -> int:
    """Make faults happen; returns how many were not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="faults of each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="of the first fault of each kind")
    parser.add_argument("--at-once", type=int, default=2, help="so many at a time")
    asked = parser.parse_args()
    began, rows, bad = time.monotonic(), [], 0
    world = World()
    try:
        with ThreadPoolExecutor(asked.at_once) as pool:
            for kind in asked.kinds:
                if (reason := lacking(kind)) is not None:
                    print(f"{kind}: left out, {reason}", file=sys.stderr)
                    continue
                since, seeds = time.monotonic(), range(asked.seed, asked.seed + asked.count)
                results = list(pool.map(world.suffer, [kind] * asked.count, seeds))
                for seed, result in zip(seeds, results, strict=True):
                    if not result.clean:
                        bad += 1
                        print(f"--kinds {kind} --seed {seed}: {result}", file=sys.stderr)
                rows.append(row(KINDS[kind], results))
                print(f"{kind}: {len(results)} in {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    finally:
        world.close()
    print(markdown(COLUMNS, rows))
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())
