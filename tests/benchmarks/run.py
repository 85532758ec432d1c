"""How fast hpsearch is, beside others, on this machine: a Markdown table, and every sample as JSON.

    pip install '.[benchmark]'
    python tests/benchmarks/run.py [--only book,store] [--rounds 3] [--json FILE] [--quick] [--slow]

Each measurement is a whole command from a cold process with clean settings of threads, one at a time. In every round
each contender of a part has its turn, so that what disturbs the machine disturbs all of them; a figure is the ratio of
two medians over the rounds, and "rounds" shows the least and the largest ratio of a single round. All of a workload's
contenders train the same network on the same images with the same mini-batch size, epochs and ranges; the second table
says whether they learned equally well.

The FLOP limit is the work's matrix products over the rate of sgemm on all cores at once, measured in each round.
With nothing else on the machine a run takes some 20 minutes; ``--quick`` shows in two that all of it works.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import machine
from at_once import cores
from parts import pruning, searches, starting, storing
from setting import Part, Setting
from table import figures_table, learning_table, machine_table
from workloads import WORKLOADS

PARTS: dict[str, Callable[[Setting], Part]] = {
    **{name: partial(searches.measure, workload) for name, workload in WORKLOADS.items()},
    "store": storing.measure,
    "start-up": starting.measure,
    "halving": pruning.measure,
}
NEEDS = dict.fromkeys(WORKLOADS, ("torch", "sklearn")) | {"store": ("rustuna",)}
"""The peers' packages by part."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line.

    Raises:
        SystemExit: It makes no sense, or a peer is missing.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PARTS", help=f"some of: {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="how often each contender is measured (3; 1 with --quick)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples here")
    parser.add_argument("--quick", action="store_true", help="few trials: does all of it run?")
    parser.add_argument("--slow", action="store_true", help="100,000 trials through Optuna's study.trials, too")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",") if options.only else list(PARTS)
    if unknown := [name for name in options.only if name not in PARTS]:
        parser.error(f"--only {','.join(unknown)}: no such part; known: {','.join(PARTS)}")
    options.rounds = options.rounds if options.rounds is not None else 1 if options.quick else 3
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: give at least 1")
    if options.json is not None and not options.json.resolve().parent.is_dir():
        parser.error(f"--json {options.json}: its folder does not exist; make it first")
    return options


def check_peers(parts: list[str]) -> None:
    """Make sure that what the parts are measured against is installed.

    Raises:
        SystemExit: Something is missing.
    """
    missing = {need for part in parts for need in NEEDS.get(part, ()) if importlib.util.find_spec(need) is None}
    if missing:
        sys.exit(f"the benchmark needs {', '.join(sorted(missing))}: pip install '.[benchmark]', or leave parts out")


def results(
    found: list[Part], broken: dict[str, str], described: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "machine": described,
        "options": {"rounds": options.rounds, "quick": options.quick, "slow": options.slow},
        "parts": {part.name: asdict(part) for part in found},
        "broken": broken,
    }


def main() -> int:
    """Measure, print and write; 1 where a part could not be measured, whose reason is on standard error."""
    options = parse()
    check_peers(options.only)
    described = machine.describe() | {"load before": round(machine.load(), 2)}
    began = time.monotonic()
    found: list[Part] = []
    broken: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="hpsearch-benchmark-") as folder:
        for name in options.only:
            with tempfile.TemporaryDirectory(dir=folder) as own:
                setting = Setting(Path(own), options.rounds, len(cores()), quick=options.quick, slow=options.slow)
                try:
                    found.append(PARTS[name](setting))
                except (RuntimeError, EOFError) as error:  # the other parts' minutes are not to be lost
                    broken[name] = str(error) or type(error).__name__
                    print(f"{name} could not be measured: {broken[name]}", file=sys.stderr, flush=True)
    described |= {"load after": round(machine.load(), 2), "minutes": round((time.monotonic() - began) / 60, 1)}
    print(figures_table(figure for part in found for figure in part.figures))
    if learned := [one for part in found for one in part.learned]:
        print(learning_table(learned))
    print(machine_table(described))
    if options.json is not None:
        options.json.write_text(
            json.dumps(results(found, broken, described, options), indent=1) + "\n", encoding="utf-8"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
