"""How fast hpsearch is, beside others, on this machine: a Markdown table, and every sample as JSON.

    pip install '.[benchmark]'
    python tests/benchmarks/run.py [--only book,store] [--rounds 3] [--json FILE] [--quick]

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
from functools import partial
from pathlib import Path
from statistics import median

import cold
import objectives
import searches
import storing
from measuring import (
    FIGURES,
    Figure,
    Part,
    Sample,
    Setting,
    by_round,
    interleave,
    load,
    machine,
    machine_table,
    markdown,
    median_s,
    ratio,
)
from workloads import LEARNED, WORKLOADS

STARTS = 7  # a start takes a fraction of a second: a sample is the median of so many
ASKED_HELP = 2.5


def measure_starting(setting: Setting) -> Part:
    """Measure ``hpsearch --help`` beside Python with NumPy alone."""

    def often(command: tuple[str, ...], _: int) -> Sample:
        starts = range(1 if setting.quick else STARTS)
        return {"seconds": median(cold.run(command, folder=setting.folder).seconds for _ in starts)}

    help_, numpy = (*cold.HPSEARCH, "--help"), (*cold.PYTHON, "-c", "import numpy")
    contenders = {"hpsearch --help": partial(often, help_), "import numpy": partial(often, numpy)}
    samples = interleave("start-up", contenders, rounds=setting.rounds)
    ours, theirs = map(by_round, samples.values())
    title = "start-up: `hpsearch --help`, in times of `python -c 'import numpy'`"
    times, took = ratio(ours, theirs), map(median_s, (ours, theirs))
    return Part([Figure(title, times, "x", ASKED_HELP, "at most", *took)], samples)


PARTS: dict[str, Callable[[Setting], Part]] = {
    **{name: partial(searches.measure, workload) for name, workload in WORKLOADS.items()},
    "store": storing.measure,
    "objectives": objectives.measure,
    "start-up": measure_starting,
}
NEEDS = dict.fromkeys(WORKLOADS, ("torch", "sklearn")) | {"store": ("rustuna",)}  # the peers' packages by part


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `SystemExit` where it makes no sense, or a peer's package is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help=f"some of: {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="how often each contender is measured (3; 1 with --quick)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples here")
    parser.add_argument("--quick", action="store_true", help="few trials: does all of it run?")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in PARTS]:
        parser.error(f"--only {','.join(unknown)}: no such part; known: {','.join(PARTS)}")
    options.rounds = max(options.rounds or (1 if options.quick else 3), 1)
    if options.json is not None and not options.json.resolve().parent.is_dir():
        parser.error(f"--json {options.json}: its folder does not exist; make it first")
    return options


def check_peers(parts: list[str]) -> None:
    """Exit in one line where a package that a part is measured against is not installed."""
    needed = {need for part in parts for need in NEEDS.get(part, ())}
    if missing := sorted(need for need in needed if importlib.util.find_spec(need) is None):
        sys.exit(f"the benchmark needs {', '.join(missing)}: pip install '.[benchmark]', or leave parts out")


def main() -> int:
    """Measure, print and write; 1 where a part could not be measured, whose reason is on standard error."""
    options = parse()
    check_peers(options.only)
    began, before = time.monotonic(), load()
    parts: dict[str, Part] = {}
    with tempfile.TemporaryDirectory(prefix="hpsearch-benchmark-") as folder:
        for name in options.only:
            setting = Setting(Path(folder), options.rounds, quick=options.quick)
            try:
                parts[name] = PARTS[name](setting)
            except RuntimeError as error:  # the other parts' minutes are not to be lost
                print(f"{name} could not be measured: {error}", file=sys.stderr, flush=True)
    minutes = round((time.monotonic() - began) / 60, 1)
    described = machine(**{"load before and after": f"{before:.2f}, {load():.2f}", "minutes": minutes})
    print(markdown(FIGURES, (figure.row for part in parts.values() for figure in part.figures)))
    print(markdown(LEARNED, (row for part in parts.values() for row in part.learned)))
    print(machine_table(described))
    if options.json is not None:
        written = {"machine": described, "samples": {name: part.samples for name, part in parts.items()}}
        options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return int(len(parts) < len(options.only))


if __name__ == "__main__":
    sys.exit(main())
