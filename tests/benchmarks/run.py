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
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import cold
import searches
import storing
from measuring import (
    Figure,
    Part,
    Sample,
    Setting,
    cores,
    details_of,
    figures_table,
    interleave,
    load,
    machine,
    machine_table,
    markdown,
    median_s,
    ratio,
    seconds_of,
    spread,
    yes_or_no,
)
from workloads import BOOK, WORKLOADS, Learned

STARTS = 7
"""A start takes a fraction of a second: a sample is the median of so many."""
ASKED_HELP, ASKED_HALVING = 2.5, 3.0
SEEDS = 3
"""Pairs of stages a round, each of another seed: what a search finds early is luck."""


def measure_starting(setting: Setting) -> Part:
    """Measure ``hpsearch --help`` beside Python with NumPy alone."""

    def often(command: tuple[str, ...], _: int) -> Sample:
        took = [cold.run(command, folder=setting.folder).seconds for _ in range(1 if setting.quick else STARTS)]
        return Sample(median(took), {"all": took})

    contenders = {
        "hpsearch --help": partial(often, (*cold.HPSEARCH, "--help")),
        "import numpy": partial(often, (*cold.PYTHON, "-c", "import numpy")),
    }
    samples = interleave("start-up", contenders, rounds=setting.rounds)
    ours, theirs = map(seconds_of, samples.values())
    title = "start-up: `hpsearch --help`, in times of `python -c 'import numpy'`"
    figure = Figure(title, ratio(ours, theirs), "x", ASKED_HELP, "at most", median_s(ours), median_s(theirs))
    return Part("start-up", [figure], samples)


def measure_halving(setting: Setting) -> Part:
    """Measure how much sooner a stage comes to a good trial when it prunes; see ``halving.py``."""
    study = setting.folder / "book.toml"
    study.write_text((BOOK.of(8) if setting.quick else BOOK).study_file())
    each = 1 if setting.quick else SEEDS

    def pairs(number: int) -> Sample:
        words = (str(each), "--first", str(number * each), "--study", str(study), "--json")
        ran = cold.run(cold.program("halving", *words), folder=setting.folder)
        return Sample(ran.seconds, {"pairs": ran.json()})

    samples = interleave("halving", {"halving": pairs}, rounds=setting.rounds)
    found = list(chain.from_iterable(details_of(samples["halving"], "pairs")))
    full, pruned = ([pair[name]["seconds"] for pair in found] for name in ("full", "pruned"))
    reached = [pair["pruned_reaches"] for pair in found if pair["pruned_reaches"] is not None]
    figures = [
        Figure(
            "halving: time to a trial within 0.02 of the full stage's best, against training every trial to the end",
            spread([pair["speedup"] for pair in found]),
            asked=ASKED_HALVING,
            ours=median_s(reached) if reached else "",
            theirs=median_s([pair["full_reaches"] for pair in found]),
            note=f"median of {len(found)} seeds; {len(reached)} of them came to it (0 where not)",
        ),
        Figure(
            "halving: the stage, against training every trial to the end",
            ratio(full, pruned),
            ours=median_s(pruned),
            theirs=median_s(full),
        ),
    ]
    return Part("halving", figures, samples)


PARTS: dict[str, Callable[[Setting], Part]] = {
    **{name: partial(searches.measure, workload) for name, workload in WORKLOADS.items()},
    "store": storing.measure,
    "start-up": measure_starting,
    "halving": measure_halving,
}
NEEDS = dict.fromkeys(WORKLOADS, ("torch", "sklearn")) | {"store": ("rustuna",)}
"""The peers' packages by part."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `SystemExit` where it makes no sense."""
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
    """Exit in one line where a package that a part is measured against is not installed."""
    missing = {need for part in parts for need in NEEDS.get(part, ()) if importlib.util.find_spec(need) is None}
    if missing:
        sys.exit(f"the benchmark needs {', '.join(sorted(missing))}: pip install '.[benchmark]', or leave parts out")


def learning_table(learned: Iterable[Learned]) -> str:
    """Whether all contenders learn equally well."""
    heading = ("workload", "who", "trials", "best", "median of the best twentieth", "noise (2 s.e.)", "as ours")
    rows = []
    for one in learned:
        values = [f"{value:.3f}" for value in (one.best, one.top, one.noise)]
        rows.append((one.workload, one.who, str(one.trials), *values, yes_or_no(one.alike)))
    return markdown(heading, rows)


def main() -> int:
    """Measure, print and write; 1 where a part could not be measured, whose reason is on standard error."""
    options = parse()
    check_peers(options.only)
    described: dict[str, Any] = machine() | {"load before": round(load(), 2)}
    began = time.monotonic()
    parts: list[Part] = []
    broken: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="hpsearch-benchmark-") as folder:
        for name in options.only:
            with tempfile.TemporaryDirectory(dir=folder) as own:
                setting = Setting(Path(own), options.rounds, len(cores()), quick=options.quick, slow=options.slow)
                try:
                    parts.append(PARTS[name](setting))
                except (RuntimeError, EOFError) as error:  # the other parts' minutes are not to be lost
                    broken[name] = str(error) or type(error).__name__
                    print(f"{name} could not be measured: {broken[name]}", file=sys.stderr, flush=True)
    described |= {"load after": round(load(), 2), "minutes": round((time.monotonic() - began) / 60, 1)}
    print(figures_table(figure for part in parts for figure in part.figures))
    if learned := [one for part in parts for one in part.learned]:
        print(learning_table(learned))
    print(machine_table(described))
    if options.json is not None:
        written = {
            "machine": described,
            "options": {"rounds": options.rounds, "quick": options.quick, "slow": options.slow},
            "parts": {part.name: asdict(part) for part in parts},
            "broken": broken,
        }
        options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
